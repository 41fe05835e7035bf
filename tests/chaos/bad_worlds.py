"""Worlds in which Hetzner is not quite as the others have it: what it says, leaves out, locks."""

import random
from typing import TYPE_CHECKING

from local.simulator import Fault
from local.simulator.faults import status
from tests.chaos.bad_answers import PATHS
from tests.chaos.troubles import Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()


@TROUBLES.one
def texts_that_quote_the_token(night: "Stage", rng: random.Random) -> str:
    begin = rng.randint(0, 40)
    piece = night.token[begin : begin + rng.randint(8, 24)]
    server = night.any_server(rng)
    night.project.next_action_fails(server, message=f"with token {piece}: no", code=piece)
    where = rng.choice(list(PATHS))
    code, number = rng.choice([("server_error", 500), ("conflict", 409), ("maintenance", 403)])
    effect = status(number, rng.choice([code, piece]), f"not with '{piece}...'")
    fault = Fault(effect, path=PATHS[where], nth=rng.choice([1, 2, 5]), times=rng.choice([1, 3]))
    night.world.faults.add(fault)
    return f"{code} on {where} and an action's error quote {piece}"
