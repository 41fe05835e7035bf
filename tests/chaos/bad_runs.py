"""Trouble between runs: others that start at a bad moment, resumes one after the other."""

import random
from typing import TYPE_CHECKING, Any

from local.simulator import Fault
from local.simulator.faults import drop, html, status
from tests.chaos.troubles import Mild, Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()


@TROUBLES.one
def another_run_while_the_listing_fails(night: "Stage", rng: random.Random) -> str:
    effect = rng.choice([status(503, "unavailable"), html(502), drop()])
    times, seconds = rng.choice([1, 2, 4, 6]), rng.choice([1, 5, 30, 90])
    night.world.faults.add(Fault(effect, "GET", "/servers", times=times))
    event = {"run_id": "meanwhile", "new": True, "retention": rng.choice(["last1", "daily3"])}
    _deliver(night, seconds, event)
    return Mild(f"the listing fails {times} times, another run starts at {seconds} s")


@TROUBLES.one
def resumes_that_ask_for_something_else(night: "Stage", rng: random.Random) -> str:
    overrides: list[dict[str, Any]] = [
        {"dry_run": True}, {"prune_only": True}, {"servers": [night.any_server(rng).id]},
        {"retention": "last1"}, {"max_deletions": 7}, {"label_selector": "env=prod"},
    ]  # fmt: skip
    first, seconds = rng.choice(overrides), rng.choice([300, 4000, 9000])

    def resume() -> None:
        for execution in list(night.cloud.executions.values())[:1]:
            run_id = execution.input["run"]["id"]
            _deliver(night, 0, {"run_id": run_id, **first})
            _deliver(night, 20_000, {"run_id": run_id})

    night.later(seconds, resume)
    return f"a resume with {first} at {seconds} s, one in the message's words later"


@TROUBLES.one
def throttled_executions(night: "Stage", rng: random.Random) -> str:
    times = rng.choice([1, 2, 3, 30])
    night.cloud.throttle(times)
    return f"ListExecutions is throttled {times} times"


def _deliver(night: "Stage", seconds: float, event: dict[str, Any]) -> None:
    request_id = f"{len(event):04x}{int(seconds):04x}-1111-4000-8000-000000000000"
    night.later(seconds, lambda: night.cloud.deliver(event, request_id))
