"""Short nights, in which together every status of every document comes about."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from local.simulator import Fault, Server
from local.simulator.faults import drop, status
from local.virtual.cloud import Fate
from local.virtual.stage import START, Stage

AT_TWO = {"scheduled_time": START.strftime("%Y-%m-%dT%H:%M:%SZ"), "retention": "last2"}
CREATE = r"/servers/\d+/actions/create_image"
# So many servers in a batch, while a night is recorded.
BATCH = 2

Story = Callable[[Stage], dict[str, Any]]


def _server(stage: Stage, name: str = "sg5", old: int = 4, seconds: int = 300) -> Server:
    server = stage.project.add_server(name)
    for days in range(1, old + 1):
        stage.old_snapshot(server, days)
    stage.project.snapshot_seconds[server.id] = seconds
    return server


def plain(stage: Stage) -> dict[str, Any]:
    _server(stage)
    return AT_TWO


def locked(stage: Stage) -> dict[str, Any]:
    stage.project.lock(_server(stage), command="change_type", seconds=400)
    return AT_TWO


def three_in_two_batches(stage: Stage) -> dict[str, Any]:
    for number in range(3):
        _server(stage, f"web-{number}", old=3, seconds=60)
    return AT_TWO


def a_lost_answer(stage: Stage) -> dict[str, Any]:
    _server(stage)
    stage.world.faults.add(Fault(drop(), method="POST", path=CREATE, when="after"))
    return AT_TWO


def a_failed_action(stage: Stage) -> dict[str, Any]:
    stage.project.next_action_fails(_server(stage), after_seconds=100)
    return AT_TWO


def deletes_that_fail(stage: Stage) -> dict[str, Any]:
    _server(stage)
    fault = Fault(status(503, "unavailable"), method="DELETE", path=r"/images/\d+", nth=2, times=2)
    stage.world.faults.add(fault)
    return AT_TWO | {"max_deletions": 2}


def a_dry_run(stage: Stage) -> dict[str, Any]:
    _server(stage)
    return AT_TWO | {"dry_run": True}


def only_pruning(stage: Stage) -> dict[str, Any]:
    _server(stage)
    return {"prune_only": True, "retention": "last2"}


def an_outage_at_first(stage: Stage) -> dict[str, Any]:
    _server(stage, seconds=60)
    stage.world.faults.add(Fault(status(503, "unavailable"), path="/servers", times=2))
    return AT_TWO


def no_such_server(stage: Stage) -> dict[str, Any]:
    _server(stage)
    return AT_TWO | {"servers": ["sg6"]}


def no_servers(stage: Stage) -> dict[str, Any]:
    return AT_TWO


def skipped(stage: Stage) -> dict[str, Any]:
    stage.project.lock(_server(stage), seconds=4000)
    return AT_TWO | {"on_locked": "skip"}


def a_quota(stage: Stage) -> dict[str, Any]:
    _server(stage)
    stage.world.faults.add(
        Fault(status(403, "resource_limit_exceeded"), method="POST", path=CREATE, times=None)
    )
    return AT_TWO


def a_bug_in_the_pruning(stage: Stage) -> dict[str, Any]:
    _server(stage, seconds=60)
    stage.cloud.fates.append(Fate("bug", "PruneSnapshots", nth=1, pause=3))
    return AT_TWO


def an_earlier_attempt(stage: Stage) -> dict[str, Any]:
    server = _server(stage)
    labels = {"hetzner-snapshots/run-id": START.strftime("%Y%m%dT%H%M%SZ")}
    image = stage.old_snapshot(server, -timedelta(seconds=1) / timedelta(days=1), labels=labels)
    assert image.status == "available"
    return AT_TWO


STORIES: tuple[Story, ...] = (
    plain,
    locked,
    three_in_two_batches,
    a_lost_answer,
    a_failed_action,
    deletes_that_fail,
    a_dry_run,
    only_pruning,
    an_outage_at_first,
    no_such_server,
    no_servers,
    skipped,
    a_quota,
    a_bug_in_the_pruning,
    an_earlier_attempt,
)
