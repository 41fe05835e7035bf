"""Servers' child executions whose results Step Functions loses."""

import random
from typing import TYPE_CHECKING

from tests.chaos.troubles import Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()


@TROUBLES.one
def a_child_without_a_result(night: "Stage", rng: random.Random) -> str:
    server, form = night.any_server(rng), rng.choice(["null", "object", "32 kB"])
    night.cloud.lost_children[server.id] = form
    return f"the child of {server.name} ends, and {form} stands in its result's place"
