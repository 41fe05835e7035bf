"""Plays one night in one way, and measures it."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

from bench.bound import Bound, bound
from bench.script import Script
from bench.world import MeasuredWorld
from handler.decisions import pacing
from handler.documents.labels import LABEL_RUN_ID
from local.simulator.model import ProgressStyle
from local.virtual.cloud import stack

Way = Literal["ours", "script", "naive"]
WAYS: tuple[Way, ...] = ("ours", "script", "naive")
NAIVE_SECONDS = 5
ONE_SERVER = re.compile(r"/servers/\d+")
RUN_ID = "the-night"


@dataclass(frozen=True, slots=True)
class Sample:
    """One server's night."""

    has_history: bool
    style: ProgressStyle
    snapshot_s: float
    polls: int
    overshoot_s: float  # from the snapshot being done until that was known
    unlocked_s: float | None  # from the lock's end to the create; None: the lock was not waited for


@dataclass(frozen=True, slots=True)
class Night:
    way: Way
    servers: int
    seed: int
    makespan_s: float
    bound: Bound
    requests: int
    questions: int  # of these, for one server: whether it is locked, or its labels before a delete
    refused: int  # answered 429
    least_left: int  # the lowest number of requests left of the rate limit
    transitions: int
    invocations: int
    cold_starts: int
    waiting_s: float
    computing_s: float  # measured; the only figure here that differs between runs of one seed
    failed: int
    doubled: int
    most_job_bytes: int
    rss_grown_kb: int
    samples: tuple[Sample, ...]


def play(way: Way, servers: int, seed: int) -> Night:
    """The night's figures; each server that has not exactly one new snapshot counts as failed."""
    before_kb = _rss_kb()
    world = MeasuredWorld(seed, servers)
    polls, noticed = world.cloud.polls, world.cloud.noticed
    if way == "script":
        script = Script(world, RUN_ID)
        world.play_work(script.work)
        polls, noticed = script.polls, script.noticed
    else:
        with naive() if way == "naive" else ExitStack():
            world.play_run({"run_id": RUN_ID, "new": True})
    meter = world.cloud.meter
    made = _made(world)
    said = world.cloud.results
    well = [
        id_ for id_ in world.fleet
        if made[id_] == 1 and (way == "script" or _is_well(said.get(id_, {})))
    ]  # fmt: skip
    return Night(
        way=way,
        servers=servers,
        seed=seed,
        makespan_s=world.loop.now,
        bound=bound(world.fleet.values(), int(stack().parameters["ServersAtATime"])),
        requests=len(world.world.requests),
        questions=sum(bool(ONE_SERVER.fullmatch(r.path)) for r in world.world.requests),
        refused=sum(request.status == 429 for request in world.world.requests),
        least_left=world.wire.least_left,
        transitions=world.transitions.count,
        invocations=meter.invocations,
        cold_starts=meter.cold_starts,
        waiting_s=meter.waiting_s,
        computing_s=meter.computing_s,
        failed=servers - len(well),
        doubled=sum(count > 1 for count in made.values()),
        most_job_bytes=max((meter.most_bytes[f] for f in JOB_FUNCTIONS), default=0),
        rss_grown_kb=_rss_kb() - before_kb,
        samples=tuple(_samples(world, polls, noticed, way != "script")),
    )


JOB_FUNCTIONS = ("CreateSnapshot", "CheckSnapshot", "PruneSnapshots")


@contextmanager
def naive() -> Iterator[None]:
    """The same state machine, but it asks every five seconds."""

    def five_seconds(*_: Any, **__: Any) -> pacing.Wait:
        return pacing.Wait(NAIVE_SECONDS)

    with (
        patch.object(pacing, "while_locked", five_seconds),
        patch.object(pacing, "while_creating", five_seconds),
    ):
        yield


def _made(world: MeasuredWorld) -> dict[int, int]:
    """Per server, its available snapshots of this night."""
    made = dict.fromkeys(world.fleet, 0)
    for image in world.project.images.values():
        if image.labels.get(LABEL_RUN_ID) == RUN_ID and image.status == "available":
            assert image.created_from
            made[image.created_from["id"]] += 1
    return made


def _is_well(result: dict[str, Any]) -> bool:
    return bool(result and result["status"] == "available" and result["pruned"])


def _samples(
    world: MeasuredWorld, polls: dict[int, int], noticed: dict[int, float], waited: bool
) -> Iterator[Sample]:
    for id_, traits in world.fleet.items():
        if id_ not in noticed or not world.made[id_]:
            continue
        action = world.made[id_][-1]
        assert action.finished
        done_s = (action.finished - world.loop.start).total_seconds()
        began_s = (action.started - world.loop.start).total_seconds()
        yield Sample(
            has_history=traits.has_history,
            style=traits.style,
            snapshot_s=traits.snapshot_s,
            polls=polls[id_],
            overshoot_s=noticed[id_] - done_s,
            # In the script's way most locks are over before the server's turn.
            unlocked_s=began_s - traits.locked_s if traits.locked_s and waited else None,
        )


def _rss_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4
