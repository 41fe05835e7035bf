"""What is believed about Hetzner and not on record, the other way round.

Each is a line of docs/first-deploy.md.
"""

import json
import random
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Response

from local.simulator import Fault
from local.simulator.faults import Call, Effect, edited
from tests.chaos.bad_answers import PATHS
from tests.chaos.bad_worlds import everywhere
from tests.chaos.troubles import Mild, Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()


@TROUBLES.frequent
def a_switched_belief(night: "Stage", rng: random.Random) -> str:
    kind = rng.choice(["no lock", "invisible", "lagging actions"])
    seconds = rng.choice([10, 29, 60, 200])
    if kind == "no lock":
        night.world.create_image_locks = False
        night.beliefs.add("create_image does not lock")
    elif kind == "invisible":
        night.world.image_visible_after_seconds = seconds
        if seconds > 30:
            night.beliefs.add(f"images are invisible for {seconds} s")
    else:
        night.lagging = True
        night.world.faults.add(
            Fault(_lagging(seconds), path=r"/servers/\d+/actions", times=None, when="after")
        )
    return f"belief switched: {kind} ({seconds} s)"


@TROUBLES.one
def a_budget_of_actions(night: "Stage", rng: random.Random) -> str:
    limit, others = rng.choice([60, 200, 7200]), rng.choice([0, 3000])
    night.project.actions_limit = limit
    night.project.spend_budget(others)
    return f"{limit} requests an hour under /actions, {others} of the others are gone"


@TROUBLES.one
def budgets_of_tokens(night: "Stage", rng: random.Random) -> str:
    """The rate limit is each token's: what others of the project ask for costs us nothing."""
    night.world.budget_per_token = True
    # What two runs need in an hour; with less some server's time is over before its turn.
    enough = 20 * len(night.project._servers)
    limit = max(enough, rng.choice([60, 200, 3600]))
    night.project.rate_limit = limit
    night.project.spend_budget(limit)
    return Mild(f"each token has {limit} requests an hour of its own")


@TROUBLES.one
def headers_that_are_missing(night: "Stage", rng: random.Random) -> str:
    limit = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
    missing = rng.choice([["Date"], limit, limit[1:], [*limit, "Date", "X-Correlation-Id"]])
    night.world.without_headers |= set(missing)
    return Mild(f"no answer has {', '.join(missing)}")


@TROUBLES.one
def so_many_creates_at_once(night: "Stage", rng: random.Random) -> str:
    night.world.creates_at_once = rng.choice([1, 2, 4])
    return f"of the creates that run beside {night.world.creates_at_once} others each one fails"


@TROUBLES.one
def actions_in_another_order(night: "Stage", rng: random.Random) -> str:
    def shuffle(body: Any) -> None:
        if isinstance(body.get("actions"), list):
            rng.shuffle(body["actions"])

    night.world.faults.add(Fault(edited(shuffle), path=PATHS["actions"], times=None, when="after"))
    return Mild("the actions of a server come in any order")


@TROUBLES.one
def times_in_another_form(night: "Stage", rng: random.Random) -> str:
    end = rng.choice([".000Z", ".000000+00:00", "+00:00"])

    def reword(item: dict[str, Any]) -> None:
        for name in ("created", "started", "finished"):
            if item.get(name):
                item[name] = re.sub(r"(Z|\+00:00)$", end, item[name])

    for kind in ("server", "image", "action"):
        everywhere(night, kind, reword)
    return Mild(f"times end in {end}")


def _lagging(seconds: int) -> Effect:
    """The list of a server's actions lacks those of the last seconds."""

    def effect(call: Call) -> Response | None:
        if call.response is None or call.response.status_code != 200:
            return None
        try:
            body = json.loads(call.response.get_data())
        except ValueError:
            return None  # Another fault has changed the answer already.
        since = (call.world.clock.now() - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body["actions"] = [a for a in body["actions"] if a["started"] < since]
        return Response(json.dumps(body), 200, content_type="application/json")

    return effect
