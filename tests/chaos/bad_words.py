"""Worlds in which names and errors hold what a terminal, a mail or a log would obey."""

import random
from typing import TYPE_CHECKING

from local.simulator import Fault
from local.simulator.faults import edited, status
from tests.chaos.bad_answers import PATHS
from tests.chaos.troubles import Mild, Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()
# A line that looks like ours, colours, a cleared screen, a title, text from right to left.
OBEYED = [
    *("\nCompleted: all is well", "\r\n", "\x1b[2J\x1b[31m", "\x1b]0;title\x07", "\u202egnp.exe"),
    *("\x00", "\x9b2J", "\u2028", "\u2066", "\x7f\b\b", "\t"),
]


@TROUBLES.one
def names_that_a_terminal_obeys(night: "Stage", rng: random.Random) -> str:
    server, words = night.any_server(rng), rng.choice(OBEYED)
    server.name += words
    for image in night.project.images.values():
        image.description += words
    night.project.lock(server, f"change{words}", rng.choice([30, 300]))
    return Mild(f"{server.name!r} is locked by change{words!r}")


@TROUBLES.one
def errors_that_a_terminal_obeys(night: "Stage", rng: random.Random) -> str:
    server, words = night.any_server(rng), rng.choice(OBEYED)
    night.project.next_action_fails(server, message=f"no{words}", code=f"code{words}")
    code, number = rng.choice([("server_error", 500), ("conflict", 409), ("unheard-of", 418)])
    where = rng.choice(list(PATHS))
    effect = status(number, code + rng.choice(["", words]), f"not now{words}")
    night.world.faults.add(Fault(effect, path=PATHS[where], times=rng.choice([1, 3])))
    return f"{code} on {where} and an action's error say {words!r}"


@TROUBLES.one
def types_and_statuses_that_a_terminal_obeys(night: "Stage", rng: random.Random) -> str:
    words = rng.choice(OBEYED)

    def change(body: object) -> None:
        if isinstance(body, dict) and isinstance(server := body.get("server"), dict):
            server["status"] = f"running{words}"

    night.world.faults.add(Fault(edited(change), times=None, when="after"))
    return Mild(f"servers are running{words!r}")
