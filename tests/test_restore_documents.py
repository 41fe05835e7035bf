"""What the states of RestoreRun hand on: as JSON and back, of other versions, and small enough."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from handler.documents.document import Stopwatch
from handler.documents.reading import Unreadable
from handler.documents.restore import ENDS, Restore, RestoreDocument, RestoreResult
from handler.documents.restore_run import (
    MOST_RESTORES,
    Candidate,
    KnownRestore,
    Original,
    RestoreRun,
    Source,
)
from handler.triggers.start_restore import MOST_KNOWN

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
STATE_BYTES = 262_144
RUN = RestoreRun(
    "drill-1", "default", "me", servers=("sg5", 7), began="2026-11-21T09:00:00Z",
    restores=(KnownRestore("dead", "2026-11-20T09:00:00Z", False),),
)  # fmt: skip
RESTORE = Restore(
    run=RUN,
    status="booting",
    stopwatch=Stopwatch(NOW, 600),
    server=Original(1, "sg5", "ssh.2222"),
    source=Source(10, "2026-11-20T02:00:00Z", 40),
    copy_name="drill-drill-1-1",
    restore_id="drill-1",
    began="2026-11-21T09:00:00Z",
    candidates=(Candidate("cx23", "fsn1", "0.0068", "EUR"),),
    copy_id=70,
    address="127.0.0.9",
    powered_on=True,
    powered_on_s=500,
)


def through_json(document: Any) -> Any:
    return json.loads(json.dumps(document.to_dict()))


def test_documents_come_back_from_json_as_they_were() -> None:
    assert Restore.from_dict(through_json(RESTORE)) == RESTORE
    document = RestoreDocument(run=RUN, status="ready", notes=("a", "b")).with_restores([RESTORE])
    read = RestoreDocument.from_dict(through_json(document))
    assert replace(read, restores=()) == replace(document, restores=())
    assert Restore.from_dict(read.restores[0]) == RESTORE


def test_what_another_version_wrote_is_read_and_left_aside() -> None:
    written = through_json(RESTORE) | {"error": {"Error": "x"}, "new_field": 1}
    written["run"]["another"] = [1]
    written["candidates"].append({"server_type": "cx33"})
    del written["removal"], written["attempts"]
    assert Restore.from_dict(written) == RESTORE


@pytest.mark.parametrize("field", ["keep", "copy_name", "server", "source"])
def test_a_restore_that_lacks_what_decides_about_its_copy_is_refused(field: str) -> None:
    written = through_json(RESTORE)
    del written[field]
    with pytest.raises(Unreadable):
        Restore.from_dict(written)


@pytest.mark.parametrize("field", ["id", "owner", "keep", "dry_run", "sweep"])
def test_a_run_that_lacks_what_was_asked_is_refused(field: str) -> None:
    written = through_json(RESTORE)
    del written["run"][field]
    with pytest.raises(Unreadable):
        Restore.from_dict(written)


def test_an_outcome_of_a_drill_leads_to_its_removal_and_one_of_what_is_kept_does_not() -> None:
    drill = RESTORE.ending("proven", "it greets")
    assert (drill.status, drill.outcome, drill.outcome_reason) == (
        "removing", "proven", "it greets",
    )  # fmt: skip
    assert drill.result is None
    kept = replace(RESTORE, keep=True).ending("restored", "it greets")
    assert kept.status == "restored" and kept.result and kept.result.copy_id == 70


def test_a_result_has_the_time_from_its_start_to_its_greeting() -> None:
    greeted = replace(RESTORE, greeted_s=594).done("proven")
    assert greeted.result and greeted.result.seconds == 94
    late = RESTORE.done("unproven", "it never greets")
    assert late.result and late.result.seconds == 600


@pytest.mark.parametrize("status", [*ENDS, "something new", None])
def test_a_result_of_an_unknown_kind_is_a_failure(status: str | None) -> None:
    read = RestoreResult.from_dict({"server": "sg5", "id": 1, "status": status})
    assert read.status == (status if status in ENDS else "failed")
    assert RestoreResult.from_dict(None).status == "failed"


def test_what_make_drill_writes() -> None:
    result = replace(RESTORE, greeted_s=594).done("proven", cost="0.01 EUR").result
    assert result and result.to_json() == {
        "server": "sg5", "image_id": 10, "status": "proven", "reason": "", "seconds": 94,
        "server_type": "cx23", "location": "fsn1", "cost": "0.01 EUR",
    }  # fmt: skip


def test_the_largest_execution_fits_a_state() -> None:
    long = "\u00e4" * 2000
    run = replace(
        RUN, servers=("s" * 63,) * MOST_RESTORES, restores=(), owner="o" * 63, name="n" * 63
    )
    worst = replace(
        RESTORE, run=run, server=Original(10**12, long[:63]),
        candidates=(RESTORE.candidates[0],) * 12,
        outcome_reason=long[:1000], reason=long[:1000], off_reason=long[:200], problem=long[:500],
    )  # fmt: skip
    document = RestoreDocument(run=run, status="ready", reason=long[:1000], notes=("n" * 300,) * 21)
    full = document.with_restores([replace(worst, outcome_reason="", off_reason="", problem="")])
    full = replace(full, restores=full.restores * MOST_RESTORES)
    assert len(json.dumps(full.to_dict())) < STATE_BYTES
    ended = worst.done("failed", long, "what to do").result
    assert ended
    results = replace(document, restores=(ended.to_dict(),) * MOST_RESTORES)
    assert len(json.dumps(results.to_dict())) < STATE_BYTES
    known = (KnownRestore("r" * 32, "2026-11-20T09:00:00Z", False),) * (2 * MOST_KNOWN)
    sweep = RestoreDocument(run=replace(run, restores=known), status="new")
    assert len(json.dumps(sweep.to_dict())) < STATE_BYTES


def test_every_field_of_a_result_but_three_has_what_is_usual() -> None:
    bare = RestoreResult("sg5", 1, "proven")
    assert bare.to_dict() == {"server": "sg5", "id": 1, "status": "proven"}
    assert RestoreResult.from_dict(bare.to_dict()) == bare
    assert len(fields(RestoreResult)) > 15
