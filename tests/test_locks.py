"""What holds a server is Hetzner's word, not that some action is running: whole runs."""

from typing import Any

import pytest

from local.simulator import Fault, Project, World
from local.simulator.faults import hook
from tests.aws import Aws
from tests.snapshots import available, writes

CREATE = r"/servers/\d+/actions/create_image"


@pytest.mark.parametrize("event", [{}, {"on_locked": "skip"}])
def test_an_action_that_locks_nothing_costs_a_server_nothing(
    aws: Aws, project: Project, event: dict[str, Any]
) -> None:
    server = project.add_server("sg5")
    project.lock(server, "apply_firewall", seconds=None).locks = False
    night = aws.run(event)
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert (night.results["sg5"]["lock_s"], night.results["sg5"]["lock"]) == (0, "")
    assert night.results["sg5"]["waited_s"] < 30


def test_a_dry_run_asks_whether_the_server_is_locked(
    aws: Aws, world: World, project: Project
) -> None:
    free, held, hidden = (project.add_server(name) for name in ("free", "held", "hidden"))
    project.lock(free, "apply_firewall", seconds=None).locks = False
    project.lock(held, "change_type", seconds=None)
    hidden.hidden_lock = True
    night = aws.run({"dry_run": True})
    assert night.verdict() == "Completed"
    assert night.results["free"]["reason"] == "would be made now"
    assert "locked by change_type" in night.results["held"]["reason"]
    assert "locked, no action tells by whom; a run would wait" in night.results["hidden"]["reason"]
    assert writes(world) == []


def test_the_one_who_may_hold_the_server_is_named_and_gets_the_time(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.lock(server, "change_type", seconds=900)
    # Newer, and holds nothing.
    project.lock(server, "apply_firewall", seconds=None).locks = False
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert "locked by change_type (action" in aws.messages()
    assert 900 <= night.results["sg5"]["lock_s"] < 1200
    assert "change_type" in night.results["sg5"]["lock"]


def test_two_locks_get_the_time_of_each(aws: Aws, world: World, project: Project) -> None:
    server = project.add_server("sg5")
    project.lock(server, "rebuild_server", seconds=1200)
    then = lambda: project.lock(server, "attach_volume", seconds=100)  # noqa: E731
    at = world.clock.now()

    def follow(*_: Any) -> None:
        if not followed and (world.clock.now() - at).total_seconds() >= 1150:
            followed.append(then())

    followed: list[Any] = []
    world.faults.add(Fault(hook(follow), times=None))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert followed
    assert night.results["sg5"]["lock"].split(" and ")[0] == "rebuild_server"


def test_there_is_no_create_while_somebody_elses_snapshot_is_made(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    world.create_image_locks = False
    project.snapshot_seconds[server.id] = [900, 60]
    action, _ = project.create_image(server, description="by hand")
    starts: list[str] = []
    looks = hook(lambda *_: starts.append(action.status))
    world.faults.add(Fault(looks, "POST", CREATE, times=None))
    night = aws.run({"on_locked": "skip"})
    assert night.verdict() == "Completed"
    assert available(project, night.run_id) == {"sg5": 1}
    assert starts == ["success"]


def test_a_lock_without_an_action_is_timed_from_the_first_refusal(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    server.hidden_lock = True
    at = world.clock.now()
    free = lambda *_: setattr(  # noqa: E731
        server, "hidden_lock", (world.clock.now() - at).total_seconds() < 600
    )
    world.faults.add(Fault(hook(free), times=None))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert night.results["sg5"]["lock_s"] >= 600
    assert night.results["sg5"]["lock_s"] == night.results["sg5"]["waited_s"]


def test_a_lock_that_ends_in_time_is_not_given_up_unasked(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    # Runs beyond the deadline, and locks for half an hour.
    project.lock(server, "change_type", seconds=1800)
    project.lock(server, "apply_firewall", seconds=None).locks = False
    assert aws.run({}).verdict() == "Completed"
    assert available(project) == {"sg5": 1}
