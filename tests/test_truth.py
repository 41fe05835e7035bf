"""What is counted is so, or said to be at least so: whole runs in which functions die."""

import json
from typing import Any

import pytest

from local.simulator import Fault, Project, World
from local.simulator.faults import hook
from tests.aws import Aws, LambdaDied
from tests.snapshots import ours


def dying(aws: Aws, function: str, times: int = 1) -> list[dict[str, Any]]:
    """That function does its work so many times, and its answer is lost."""
    died: list[dict[str, Any]] = []

    def die(name: str, _: Any, output: Any) -> None:
        if name == function and len(died) < times:
            died.append(output)
            raise LambdaDied

    aws.after = die
    return died


def written(aws: Aws, name: str) -> list[float]:
    of_project = (line for line in aws.metrics if "project" in line)
    return [value for line in of_project for value in line.get(name, [])]


def test_deletes_of_an_attempt_that_died_are_at_least_said(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days).id for days in range(1, 7)]
    [died] = [dying(aws, "PruneSnapshots")]
    night = aws.run({"retention": "last2"})
    assert len(died) == 1
    assert set(old) - project.images.keys() == set(old[1:])
    result = night.results["sg5"]
    assert (result["status"], result["deleted"], result["at_least"]) == ("available", 0, True)
    assert "; at least 0 deleted" in night.summary()
    assert "more are gone than it saw deleted" in result["reason"]


@pytest.mark.parametrize("event", [{"prune_only": True}, {}])
def test_an_attempt_that_dies_in_a_run_that_only_prunes_is_noticed_too(
    aws: Aws, project: Project, event: dict[str, Any]
) -> None:
    server = project.add_server("sg5")
    for days in range(1, 5):
        ours(project, server, days)

    def die(name: str, _: Any, output: Any) -> None:
        if name == "PruneSnapshots" and output["deleted"] and aws.after:
            aws.after = None
            raise LambdaDied

    aws.after = die
    night = aws.run(event | {"retention": "last1"})
    assert aws.after is None
    assert "at least 0 deleted" in night.summary()


def test_without_trouble_counts_are_exact(aws: Aws, world: World, project: Project) -> None:
    server = project.add_server("sg5")
    for days in range(1, 5):
        ours(project, server, days)
    night = aws.run({"retention": "last1"})
    assert "; 4 deleted" in night.summary()
    assert not night.results["sg5"]["at_least"]


def test_what_somebody_else_deleted_is_not_counted_as_ours(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days) for days in (7, 8)]
    by_hand = hook(lambda *_: project.images.pop(old[0].id, None))
    world.faults.add(Fault(by_hand, method="DELETE", path=f"/images/{old[0].id}"))
    night = aws.run({"retention": "last1"})
    assert not project.images.keys() & {image.id for image in old}
    assert night.results["sg5"]["deleted"] == 1
    assert "at least 1 deleted" in night.summary()


def test_a_server_whose_pruning_is_killed_for_good_has_its_snapshot(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5")
    for days in range(1, 5):
        ours(project, server, days)
    dying(aws, "PruneSnapshots", 99)
    night = aws.run({"retention": "last1"})
    result = night.results["sg5"]
    assert (result["status"], result["pruned"]) == ("available", False)
    assert result["image_id"] in project.images
    assert "made, not pruned: a function broke off" in result["reason"]
    assert "1 made" in night.summary() and "at least 0 deleted" in night.summary()


def test_an_adoption_that_breaks_off_is_no_snapshot_made(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    first = aws.run({})
    aws.metrics.clear()

    def fail(name: str, _: Any) -> None:
        if name == "PruneSnapshots":
            raise ZeroDivisionError

    aws.before = fail
    again = aws.run({"run_id": first.run_id})
    assert again.results["sg5"]["image_id"] == first.results["sg5"]["image_id"]
    assert again.results["sg5"]["adopted"]
    assert "1 of them taken over from an earlier attempt" in again.summary()
    assert written(aws, "ServersMade") == [0]
    assert written(aws, "ServersAdopted") == [1]


def test_the_time_in_a_lock_is_told_though_the_pruning_broke_off(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5")
    project.lock(server, command="change_type", seconds=600)

    def fail(name: str, _: Any) -> None:
        if name == "PruneSnapshots":
            raise ZeroDivisionError

    aws.before = fail
    result = aws.run({}).results["sg5"]
    assert (result["status"], result["lock"]) == ("available", "change_type")
    assert result["lock_s"] >= 590


def test_a_summary_whose_answer_is_lost_is_told_once(
    aws: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.add_server("sg5")
    project.image_limit = 0
    messages: list[str] = []

    class Topic:
        def publish(self, TopicArn: str, Subject: str, Message: str) -> None:
            messages.append(Message)

    monkeypatch.setattr("handler.aws.telling.sns", Topic)
    died = dying(aws, "SummariseRun")
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert len(died) == 1
    assert json.loads(json.dumps(died[0]))["summary"] == night.summary().split("\n")[0]
    assert len(messages) == 1
    assert written(aws, "ServersFailed") == [1]
