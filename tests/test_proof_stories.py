"""Nights beside restores: copies are passed over, and a proof outlives its snapshot."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from handler.decisions.proof import last_proofs
from handler.decisions.selecting import A_COPY, CALLED_COPY
from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_RESTORE_ID,
    LABEL_SERVER_ID,
    LABEL_SERVER_PROVEN_AT,
    LABEL_THROW_AWAY,
)
from handler.documents.resources import Snapshot
from handler.hetzner.api import Hetzner, client_for
from handler.hetzner.survey import take_look, take_survey
from local.simulator import Fault, Project, Simulator, World
from local.simulator.faults import hook
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.snapshots import available, ours
from tests.test_rhythm_nights import attention

KEPT = {
    LABEL_MANAGED_BY: "hetzner-snapshots",
    LABEL_SERVER_ID: "4711",
    LABEL_RESTORE_ID: "20261121T020000Z",
}
COPY = {**KEPT, LABEL_THROW_AWAY: "true"}
PROOF = "20261120T031500Z"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def hetzner(project: Project, simulator: Simulator) -> Iterator[Hetzner]:
    client = client_for(TOKEN, simulator.url)
    yield Hetzner(lambda: client, "/tokens/default")
    client._client._session.close()


@pytest.mark.parametrize(
    ("labels", "proven"),
    [
        ({LABEL_PROVEN_AT: PROOF, LABEL_PROVEN_BY: "ssh"}, True),
        ({LABEL_PROVEN_AT: PROOF, LABEL_PROVEN_BY: "running"}, False),
        ({LABEL_PROVEN_AT: PROOF}, False),
        ({LABEL_SERVER_PROVEN_AT: PROOF}, True),
        ({LABEL_SERVER_PROVEN_AT: "20261122T031500Z"}, False),
        ({LABEL_SERVER_PROVEN_AT: "20261399T031500Z"}, False),
        ({LABEL_SERVER_PROVEN_AT: "yes"}, False),
    ],
)
def test_only_what_has_greeted_is_a_proof(labels: dict[str, str], proven: bool) -> None:
    snapshot = Snapshot(11, NOW, labels={LABEL_SERVER_ID: "1", **labels})
    assert (1 in last_proofs([snapshot], NOW)) is proven


def test_a_copy_gets_no_snapshot_and_a_kept_server_does(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    project.add_server("copy", labels=COPY)
    project.add_server("kept", labels=KEPT)
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1, "kept": 1}
    assert night.summary().startswith("Completed: 2 of 2 servers;")


def test_a_project_of_copies_alone_has_no_servers(aws: Aws, project: Project) -> None:
    project.add_server("copy", labels=COPY)
    aws.run({})
    assert not project.images


@pytest.mark.parametrize("selector", ["", "!nobody"])
def test_no_survey_of_a_project_has_its_copies(
    hetzner: Hetzner, project: Project, selector: str
) -> None:
    project.add_server("copy", labels=COPY)
    server = project.add_server("sg5")
    for take in (take_survey, take_look):
        survey = take(hetzner, "hetzner-snapshots", selector)
        assert [each.id for each in survey.servers] == [server.id]


def test_a_server_that_becomes_a_copy_by_label_keeps_its_snapshots(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = ours(project, server, 2).id
    label = {LABEL_THROW_AWAY: "true"}
    act = hook(lambda *_: server.labels.update(label))
    world.faults.add(Fault(act, method="GET", path=r"/actions/\d+"))
    night = aws.run({"retention": "last1"})
    assert old in project.images
    assert f"it has the label {LABEL_THROW_AWAY} now" in night.results["sg5"]["reason"]


def test_a_copy_that_is_named_is_left_out_and_told(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    project.add_server("copy", labels=COPY)
    night = aws.run({"servers": ["sg5", "copy"]})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert attention(night) == [("note", "copy", A_COPY)]


def test_a_server_that_is_called_a_copy_by_mistake_is_left_out_and_told(
    aws: Aws, project: Project
) -> None:
    project.add_server("sg5")
    project.add_server("shop", labels={LABEL_THROW_AWAY: "true"})
    night = aws.run({})
    assert available(project) == {"sg5": 1}
    assert night.summary().startswith("Completed: 1 of 2 servers, 1 left out")
    assert attention(night) == [("note", "shop", CALLED_COPY)]


def test_a_proof_outlives_its_snapshot(aws: Aws, world: World, project: Project) -> None:
    server = project.add_server("sg5")
    proven = ours(project, server, 1)
    at = f"{proven.created:%Y%m%dT%H%M%SZ}"
    proven.labels |= {LABEL_PROVEN_AT: at, LABEL_PROVEN_BY: "ssh"}
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Completed"
    [left] = project.images.values()
    assert left.id != proven.id
    assert left.labels[LABEL_SERVER_PROVEN_AT] == at


def test_a_snapshot_that_only_ran_gives_no_proof_on(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    ran = ours(project, server, 1)
    ran.labels |= {LABEL_PROVEN_AT: PROOF, LABEL_PROVEN_BY: "running"}
    aws.run({})
    assert all(LABEL_SERVER_PROVEN_AT not in i.labels for i in project.images.values())
