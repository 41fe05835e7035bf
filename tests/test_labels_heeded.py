"""Labels that people set while a run goes on are heeded before anything is deleted."""

from typing import Any

import pytest

from handler.documents.labels import LABEL_ENABLED, LABEL_RETENTION
from local.simulator import Fault, Project, World
from local.simulator.faults import hook, html, status
from tests.aws import Aws
from tests.snapshots import ours


def once_creating(world: World, act: Any) -> None:
    """Somebody acts while the snapshot is being made."""
    world.faults.add(Fault(hook(act), method="GET", path=r"/actions/\d+"))


@pytest.mark.parametrize(
    ("label", "value", "verdict", "said"),
    [
        (LABEL_ENABLED, "false", "Completed", f"its label {LABEL_ENABLED} is false now"),
        (LABEL_RETENTION, "last9", "Completed", ""),
        (LABEL_RETENTION, "lots", "PartiallyFailed", f"its label {LABEL_RETENTION}: 'lots'"),
    ],
)
def test_a_label_set_during_the_run_keeps_what_it_keeps(
    aws: Aws, world: World, project: Project, label: str, value: str, verdict: str, said: str
) -> None:
    server = project.add_server("sg5")
    old = {ours(project, server, days).id for days in range(1, 5)}
    once_creating(world, lambda *_: server.labels.update({label: value}))
    night = aws.run({"retention": "last1"})
    assert old <= project.images.keys()
    assert night.verdict() == verdict
    assert said in night.results["sg5"]["reason"]
    assert (night.results["sg5"]["status"], night.results["sg5"]["deleted"]) == ("available", 0)


def test_a_policy_that_was_loosened_during_the_run_is_the_one_that_counts(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5", labels={LABEL_RETENTION: "last4"})
    old = [ours(project, server, days).id for days in range(1, 6)]
    once_creating(world, lambda *_: server.labels.update({LABEL_RETENTION: "last2"}))
    night = aws.run({})
    assert set(old) & project.images.keys() == {old[0]}
    assert night.results["sg5"]["deleted"] == 4


def test_nothing_is_deleted_of_a_server_that_is_gone_by_then(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.add_server("other")
    old = {ours(project, server, days).id for days in range(1, 5)}
    path = f"/servers/{server.id}"
    world.faults.add(Fault(hook(lambda *_: project.delete_server(server)), "GET", path))
    night = aws.run({"servers": ["sg5"], "retention": "last1"})
    assert old <= project.images.keys()
    assert night.verdict() == "Completed"
    assert "the server was deleted during the run: its older" in night.results["sg5"]["reason"]


def test_labels_that_cannot_be_read_wait_and_then_delete_nothing(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = {ours(project, server, days).id for days in range(1, 5)}
    path = f"/servers/{server.id}"
    world.faults.add(Fault(html(502), "GET", path, times=2))
    assert aws.run({"retention": "last4"}).results["sg5"]["deleted"] == 1
    world.faults.add(Fault(status(422, "invalid_input"), "GET", path, times=None))
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "PartiallyFailed"
    assert night.results["sg5"]["reason"].startswith("made, not pruned: ")
    assert len(old & project.images.keys()) == 3


def test_the_server_is_asked_for_only_if_something_is_to_be_deleted(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    for days in (1, 2):
        ours(project, server, days)

    def looks() -> int:
        return sum(record.path == f"/servers/{server.id}" for record in world.requests)

    aws.run({"retention": "last9"})
    assert looks() == 0
    aws.run({"retention": "last2"})
    assert looks() == 1
