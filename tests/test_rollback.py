"""Documents of another version of ours are read, and so is what Step Functions puts for a child."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from handler.documents.document import Look
from handler.documents.job import Job, Result, ServerItem, StartedSnapshot
from handler.documents.memory import LastLook
from handler.documents.run import (
    MOST_ATTENTION,
    MOST_CONCURRENT_RUNS,
    Concern,
    RunDocument,
    Selection,
    Totals,
)
from handler.report.results import results_of
from local.virtual.machine import lost_child
from tests.documents import RUN
from tests.test_structure import STATE_BYTES, size_of_a_run

JOB = Job(
    run=RUN,
    status="creating",
    server=ServerItem(1, "sg5"),
    snapshot=StartedSnapshot(90, 7),
    looks=(Look(10, 5),),
)
DOCUMENT = RunDocument(
    run=RUN,
    selection=Selection(("sg5",), "env=prod"),
    status="ready",
    handed_out=(1, 2),
    last_look=LastLook("2026-11-21T01:30:00Z", 2, 1, 90),
    totals=Totals(available=3).noting(Concern("failed", "sg5", "no")),
)
FAILED = {
    "ExecutionArn": "arn:aws:states:eu-central-1:123456789012:execution:SnapshotRun/Server:1",
    "Status": "FAILED",
    "Error": "States.Runtime",
    "Cause": "x" * 32_000,
}


def with_more(value: Any) -> Any:
    """The same with a field in every object that nobody knows."""
    if isinstance(value, dict):
        return {**{name: with_more(each) for name, each in value.items()}, "brand_new": {"a": 1}}
    return [with_more(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("document", [JOB, DOCUMENT])
def test_what_a_version_does_not_know_is_left_aside(document: Job | RunDocument) -> None:
    written = json.loads(json.dumps(document.to_dict()))
    assert type(document).from_dict(with_more(written)) == document


def test_a_document_that_names_all_projects_or_no_last_look_is_read() -> None:
    written = json.loads(json.dumps(DOCUMENT.to_dict())) | {"projects": ["default", "shop"]}
    assert RunDocument.from_dict(written) == DOCUMENT
    assert RunDocument.from_dict(written | {"last_look": None}).last_look is None
    some = RunDocument.from_dict(written | {"last_look": {"at": "2026-11-21T01:30:00Z"}})
    assert some.last_look == LastLook("2026-11-21T01:30:00Z")


@pytest.mark.parametrize("document", [JOB, DOCUMENT])
def test_what_a_document_lacks_has_a_default(document: Job | RunDocument) -> None:
    written = json.loads(json.dumps(document.to_dict()))
    for name in written.keys() - {"run", "server", "selection", "totals", "after_id"}:
        without = {field: value for field, value in written.items() if field != name}
        read = type(document).from_dict(without)
        assert type(document).from_dict(written | {name: None}) == read
        assert type(document).from_dict(read.to_dict()) == read


def test_a_run_that_does_not_say_which_runs_went_on_beside_it_knows_of_none_for_certain() -> None:
    written = JOB.to_dict()
    assert Job.from_dict(written).run.concurrent_runs == ()
    del written["run"]["concurrent_runs"]
    assert Job.from_dict(written).run.concurrent_runs is None


def test_a_concern_of_a_new_kind_is_a_note() -> None:
    written = json.loads(json.dumps(DOCUMENT.to_dict()))
    written["totals"]["attention"][0]["what"] = "brand new"
    [concern] = RunDocument.from_dict(written).totals.attention
    assert concern == Concern("note", "sg5", "no")


def found(*batch: Any) -> list[Result]:
    return list(results_of(replace(DOCUMENT, batch=batch), ""))


def test_a_result_of_another_version_is_read() -> None:
    good = asdict(Result("sg5", 1, "available", image_id=90))
    assert found(good | {"brand_new": 1})[0] == Result("sg5", 1, "available", image_id=90)
    # What it does not tell may be bad.
    bare = Result("server 1", 1, "available", "perhaps not pruned", pruned=False, at_least=True)
    assert found({"id": 1, "status": "available"})[0] == bare
    [odd, _] = found(good | {"status": "restored"})
    assert odd.status == "failed"
    assert (
        "it ended as restored, which this version does not know. To retry, run again" in odd.reason
    )
    Totals().plus([odd])


@pytest.mark.parametrize("form", [str, dict])
def test_a_failed_child_counts_for_the_server_in_its_input(form: Any) -> None:
    child = {"run": {}, "server": {"id": 2, "name": "web-2"}}
    entry = FAILED | {"Input": json.dumps(child) if form is str else child}
    [result] = [r for r in found(entry) if r.id == 2]
    assert (result.server, result.status) == ("web-2", "failed")
    assert "its branch ended without a result" in result.reason
    assert "(States.Runtime: xxx" in result.reason
    assert "; a snapshot may have been started" in result.reason
    assert result == result.fitted()


@pytest.mark.parametrize("entry", [FAILED, FAILED | {"Input": "{"}, FAILED | {"Input": "[]"}])
def test_a_failed_child_without_input_is_known_by_its_place(entry: dict[str, Any]) -> None:
    good = asdict(Result("sg5", 1, "available", image_id=90))
    first, second = found(good, entry)
    assert (first.id, first.status) == (1, "available")
    assert (second.id, second.status) == (2, "failed")
    assert "(States.Runtime: xxx" in second.reason
    # Where the places say nothing no server is blamed for another's error.
    assert "States.Runtime" not in found(entry)[0].reason


@pytest.mark.parametrize(("form", "count"), [("object", 10), ("32 kB", 1)])
def test_some_failed_children_fit_beside_a_full_batch_of_the_worst_results(
    form: str, count: int
) -> None:
    """Nothing else protects: States.DataLimitExceeded may not be catchable."""
    worst = Result("x" * 63, 10**12, "failed", "y" * 600, 10**12, 10**6, 10**6, 1000).fitted()
    concern = Concern("made, not pruned", worst.server, worst.reason, worst.id)
    totals = Totals(attention=(concern,) * MOST_ATTENTION)
    run = asdict(RUN) | {"concurrent_runs": ["r" * 32] * MOST_CONCURRENT_RUNS}
    child = {"run": run, "server": asdict(ServerItem(10**12, "x" * 80)), "status": "new"}
    more = len(json.dumps(lost_child(child, form))) - len(json.dumps(worst.to_dict()))
    assert size_of_a_run(worst.to_dict(), totals) + count * more < STATE_BYTES
