"""What OrphanDays lets go of a server that is gone, as tables; what is handed out and counted."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from handler.aws.settings import RunSettings
from handler.decisions.gone_servers import MOST_GONE, doubt, due, handed_out, told, with_deleted
from handler.decisions.orphans import plan_orphans
from handler.decisions.planning import decisions_of
from handler.decisions.pruning import Seen, decide
from handler.documents.errors import NotFound, TransientError, Unauthorized
from handler.documents.job import NAME_BYTES, Job, Result, ServerItem
from handler.documents.labels import LABEL_RUN_ID, LABEL_SERVER_ID, LABEL_SERVER_NAME
from handler.documents.request import Request
from handler.documents.resources import Snapshot
from handler.documents.run import BATCH, Concern, RunDocument, Selection, Totals
from handler.report.results import results_of, some_unknown
from handler.report.summary import summary_line, verdict_of
from handler.triggers.start_run import first_document
from local.virtual.template import Stack
from tests.documents import RUN
from tests.test_freshness import server as a_server

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
ANSWERED: Any = SimpleNamespace(
    answered_at=NOW, requests_left=3600, requests_per_hour=3600, actions_left=None,
    actions_per_hour=None,
)  # fmt: skip


# The rule.


def snap(id_: int, days: float, size_gb: float | None = 10.0, **more: Any) -> Snapshot:
    labels = {LABEL_SERVER_ID: "7", LABEL_SERVER_NAME: "old-db"}
    made_of = more.pop("made_of", 7)
    created = NOW - timedelta(days=days)
    return Snapshot(
        id_,
        created,
        size_gb=size_gb,
        labels=labels,
        made_of=made_of,
        **{"status": "available"} | more,
    )


@pytest.mark.parametrize(
    ("what", "snapshots", "gone"),
    [
        ("nothing", [], []),
        ("young", [snap(1, 40), snap(2, 9.9)], []),
        ("just as old", [snap(1, 40), snap(2, 10)], []),
        ("older", [snap(1, 40), snap(2, 30), snap(3, 10.1)], [1, 2]),
        ("only one", [snap(1, 10.1)], []),
        ("of a year ago", [snap(1, 400), snap(2, 366)], [1]),
        ("only one, of a year ago", [snap(1, 366)], []),
        ("from the future", [snap(1, 40), snap(2, -1)], []),
        ("creating", [snap(1, 40), snap(2, 30), snap(3, 25, status="creating")], [1]),
        ("unavailable and new", [snap(1, 15), snap(2, 12), snap(3, 1, status="unavailable")], [1]),
        ("no good one", [snap(1, 40, status="unavailable")], []),
        ("protected", [snap(1, 40, protected=True), snap(2, 30), snap(3, 12)], [2]),
        ("the newest is protected", [snap(1, 40), snap(2, 30, protected=True)], [1]),
        ("made of another", [snap(1, 40), snap(2, 30), snap(3, 1, made_of=8)], [1]),
        ("made of nobody", [snap(1, 40), snap(2, 12, made_of=None)], [1]),
        ("emptied", [snap(1, 40, 9.0), snap(2, 30, 9.0), snap(3, 12, 0.4)], [1]),
        ("emptied, of a year ago", [snap(1, 400, 9.0), snap(2, 366, 0.4)], []),
    ],
)  # fmt: skip
def test_what_goes_of_a_server_that_is_gone(
    what: str, snapshots: list[Snapshot], gone: list[int]
) -> None:
    decisions = plan_orphans(snapshots, 10, NOW, 50)
    assert sorted(d.snapshot.id for d in decisions if not d.keep) == gone, what
    assert [d.snapshot.id for d in decisions] == [s.id for s in reversed(snapshots)]
    assert not any(not d.keep for d in plan_orphans(snapshots, 0, NOW, 50))


def test_the_oldest_go_first_and_no_more_than_allowed() -> None:
    snapshots = [snap(id_, 60 - id_) for id_ in range(1, 6)]
    decisions = plan_orphans(snapshots, 10, NOW, 2)
    assert [d.snapshot.id for d in decisions if not d.keep] == [2, 1]
    assert [d.kind for d in decisions if d.keep] == ["rule", "postponed", "postponed"]
    assert not any(not d.keep for d in plan_orphans(snapshots, 10, NOW, 0))


def test_each_decision_says_why_and_how_large() -> None:
    snapshots = [snap(1, 40, None), snap(2, 30), snap(3, 15)]
    newest, second, oldest = plan_orphans(snapshots, 10, NOW, 50)
    why = "its server is gone, whose newest good snapshot is 15 days old"
    assert newest.reason == (
        "the newest good one of a server that is gone: it never goes by itself"
    )
    assert second.reason == f"{why}; 10 GB"
    assert oldest.reason == f"{why}; its size is not told"
    young, bad = plan_orphans([snap(1, 15), snap(2, 9, status="unavailable")], 15, NOW, 50)[::-1]
    assert young.reason == "its server is gone, for less than 15 days"
    assert bad.reason == "not available but unavailable"
    protected = plan_orphans([snap(1, 40, protected=True), snap(2, 15)], 10, NOW, 50)[-1]
    assert (protected.kind, protected.reason) == ("protected", "protected")


# Which servers are handed out.

AFTER_TEN = RunDocument(
    run=replace(RUN, orphan_days=10),
    selection=Selection(),
    status="ready",
)


def test_only_servers_in_no_listing_of_which_something_is_due_are_handed_out() -> None:
    run, old = AFTER_TEN.run, [snap(1, 40), snap(2, 30)]
    [item] = due(run, [a_server(1)], old, NOW)
    assert item == ServerItem(7, "old-db (gone)", gone=True)
    assert due(run, [a_server(1), a_server(7)], old, NOW) == []
    assert due(run, [a_server(1)], [snap(1, 40), snap(2, 3)], NOW) == []
    assert due(run, [a_server(1)], [snap(1, 40, made_of=1), snap(2, 30, made_of=1)], NOW) == []
    assert due(RUN, [a_server(1)], old, NOW) == []
    # That one stays for now does not hide that another is due.
    assert due(run, [a_server(1)], [snap(1, 40), snap(2, 15)], NOW) == [item]


def test_a_server_that_is_gone_has_the_name_that_its_newest_snapshot_tells() -> None:
    def named(*snapshots: Snapshot) -> str:
        [item] = due(AFTER_TEN.run, [a_server(1)], snapshots, NOW)
        assert len(item.name) <= NAME_BYTES
        return item.name

    older, newer, other = snap(1, 40), snap(2, 30), snap(3, 20, made_of=1)
    older.labels[LABEL_SERVER_NAME] = "db"
    other.labels[LABEL_SERVER_NAME] = "copied"
    assert named(older, newer, other) == "old-db (gone)"
    newer.labels[LABEL_SERVER_NAME] = "n" * 63
    assert named(older, newer) == "n" * 53 + "... (gone)"
    del newer.labels[LABEL_SERVER_NAME]
    assert named(older, newer) == "server 7 (gone)"


@pytest.mark.parametrize("label", ["", "0", "seven", "-7", str(10**18), "9" * 63])
def test_a_label_that_names_no_server_names_none_that_is_gone(label: str) -> None:
    def both(label: str) -> list[Snapshot]:
        return [
            Snapshot(days, NOW - timedelta(days=days), labels={LABEL_SERVER_ID: label})
            for days in (90, 80)
        ]

    assert due(AFTER_TEN.run, [a_server(1)], both(label), NOW) == []
    [item] = due(AFTER_TEN.run, [a_server(1)], [*both(label), *both(str(10**18 - 1))], NOW)
    assert item.id == 10**18 - 1


def test_servers_make_room_for_those_that_are_gone_and_come_next() -> None:
    batch = tuple({"id": id_, "name": f"s{id_}"} for id_ in range(1, BATCH + 1))
    document = RunDocument(
        run=AFTER_TEN.run, selection=Selection(), status="ready", batch=batch, remaining=7,
        handed_out=tuple(range(1, BATCH + 1)), after_id=BATCH,
    )  # fmt: skip
    items = [ServerItem(1000 + n, f"old-{n} (gone)", gone=True) for n in range(MOST_GONE + 3)]
    cut = handed_out(document, items)
    assert len(cut.batch) == len(cut.handed_out) == BATCH
    assert cut.gone == tuple(range(1000, 1000 + MOST_GONE)) == cut.handed_out[-MOST_GONE:]
    assert (cut.after_id, cut.remaining) == (BATCH - MOST_GONE, 7 + MOST_GONE)
    assert [item["id"] for item in cut.batch] == list(cut.handed_out)
    few = handed_out(document, items[:1])
    assert (few.after_id, few.remaining, few.gone) == (BATCH - 1, 8, (1000,))
    nobody = replace(document, status="done", batch=(), handed_out=(), after_id=0, remaining=0)
    alone = handed_out(nobody, items[:1])
    assert (alone.status, alone.handed_out, alone.after_id) == ("ready", (1000,), 0)


def test_a_server_is_gone_only_for_a_token_that_still_sees_the_project() -> None:
    run = replace(AFTER_TEN.run, witnesses=(1, 2))
    job = Job(run=run, status="pruning", server=ServerItem(7, "old-db (gone)", gone=True))
    assert doubt(job, {2, 3}) is None
    assert isinstance(doubt(job, {2, 7}), TransientError)
    assert isinstance(doubt(job, {3}), Unauthorized)
    assert isinstance(doubt(job, set()), Unauthorized)
    unknown = Job(run=AFTER_TEN.run, status="pruning", server=job.server)
    assert isinstance(doubt(unknown, {2, 3}), Unauthorized)


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(days=30)])
def test_a_clock_that_is_ahead_when_it_is_pruned_makes_nothing_older(ahead: timedelta) -> None:
    run = replace(AFTER_TEN.run, began="2026-11-21T02:00:00Z")
    job = Job(run=run, status="pruning", server=ServerItem(7, "old-db (gone)", gone=True))
    assert all(each.keep for each in decisions_of(job, [snap(1, 40), snap(2, 9)], NOW + ahead))
    assert [each.keep for each in decisions_of(job, [snap(1, 40), snap(2, 11)], NOW + ahead)] == [
        True, False
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "days"),
    [
        ({}, 10),
        ({"dry_run": True}, 10),
        ({"prune_only": True}, 10),
        ({"servers": ("sg5",)}, 0),
        ({"label_selector": "env=prod"}, 0),
    ],
)
def test_only_a_run_over_all_servers_is_for_those_that_are_gone(
    event: dict[str, Any], days: int
) -> None:
    stack = Stack(OrphanDays="10", LabelSelector="env=prod")
    settings = RunSettings.from_env(stack.environment("StartRun"))
    document = first_document(Request(**event), "run", "default", settings)
    assert document.run.orphan_days == days
    resumed = first_document(Request(servers=("web-1",)), "run", "default", settings, document)
    assert resumed.run.orphan_days == 0
    # What a resume does not ask for anew is as in the run that it resumes.
    assert first_document(Request(), "run", "default", settings, document).run.orphan_days == days


# Documents of another version, and what is counted.

GONE = ServerItem(7, "old-db (gone)", gone=True)


@pytest.mark.parametrize("prune_only", [False, True])
def test_a_job_that_has_lost_that_its_server_is_gone_deletes_nothing(prune_only: bool) -> None:
    """A version that does not know it has had the job."""
    run = replace(AFTER_TEN.run, prune_only=prune_only, retention="last1")
    written = Job(run=run, status="pruning", server=GONE).to_dict()
    assert Job.from_dict(written).server.gone
    del written["server"]["gone"]
    job = Job.from_dict(written).observed(ANSWERED).with_deadline(60)
    seen = Seen((snap(1, 40), snap(2, 30)), server=NotFound("server not found"))
    step = decide(job, seen, 0.5, NOW)
    assert step.delete is None and not step.job.to_delete
    if prune_only:
        assert "the server was deleted during the run" in step.job.reason
    else:
        assert step.job.status == "creating"


def test_a_run_that_has_lost_orphan_days_deletes_nothing() -> None:
    written = Job(run=AFTER_TEN.run, status="pruning", server=GONE).to_dict()
    del written["run"]["orphan_days"]
    job = Job.from_dict(written).observed(ANSWERED).with_deadline(60)
    seen = Seen((snap(1, 90), snap(2, 80)), server=NotFound("server not found"))
    step = decide(job, seen, 0.5, NOW)
    assert step.delete == () and step.job.to_delete == ()


def test_a_larger_one_of_a_server_that_is_gone_stays_for_ever_and_is_no_news() -> None:
    job = Job(run=AFTER_TEN.run, status="pruning", server=GONE).observed(ANSWERED)
    sizes = {1: 9.0, 2: 9.0, 3: 0.4}
    listing = tuple(replace(snap(id_, 100 - id_), size_gb=gb) for id_, gb in sizes.items())
    seen = Seen(listing, server=NotFound("server not found"))
    chosen = decide(job.with_deadline(60), seen, 0.5, NOW)
    step = decide(chosen.job, seen, 0.5, NOW)
    assert (step.delete, step.notes) == ((1,), "")


def test_whether_it_is_there_is_asked_before_anything_is_deleted_or_told_to_go() -> None:
    job = Job(run=AFTER_TEN.run, status="pruning", server=GONE).observed(ANSWERED)
    job, seen = job.with_deadline(60), Seen((snap(1, 90), snap(2, 80)))
    chosen = decide(job, seen, 0.5, NOW)
    assert (chosen.job.status, chosen.job.to_delete, chosen.delete) == ("pruning", (1,), None)
    asking = decide(chosen.job, seen, 0.5, NOW)
    assert asking.asks_labels and asking.delete is None
    planning = replace(job, run=replace(job.run, dry_run=True))
    assert decide(planning, seen, 0.5, NOW).asks_labels


def test_a_larger_snapshot_and_those_of_runs_that_go_on_stay() -> None:
    run = replace(AFTER_TEN.run, concurrent_runs=("resumed",))
    old = [snap(1, 40, 9.0), snap(2, 30, 9.0), snap(3, 15, 0.4), snap(4, 35, 9.0)]
    old[3].labels[LABEL_RUN_ID] = "resumed"
    kinds = {
        each.snapshot.id: each.kind
        for each in decisions_of(Job(run=run, status="pruning", server=GONE), old, NOW)
    }
    assert kinds == {1: "no rule", 2: "larger", 3: "rule", 4: "exempt"}


@pytest.mark.parametrize(
    ("sizes", "dry_run", "said"),
    [
        ([], False, ""),
        ([20.6], False, "1 snapshot deleted, 20.6 GB"),
        ([20.6, 20.6], False, "2 snapshots deleted, 41.2 GB"),
        ([20.6, None], False, "2 snapshots deleted, their size is not told"),
        ([None, 20.6], False, "2 snapshots deleted, their size is not told"),
        ([1.0, 2.0], True, "2 snapshots would be deleted, 3.0 GB"),
    ],
)
def test_how_many_went_and_how_large_they_were_is_told(
    sizes: list[float | None], dry_run: bool, said: str
) -> None:
    run = replace(AFTER_TEN.run, dry_run=dry_run)
    job = Job(run=run, status="pruning", server=GONE)
    assert told(with_deleted(job, sizes)) == said
    lost = replace(with_deleted(job, sizes), at_least=True)
    assert told(lost) == (f"at least {said}" if said else "")
    one_by_one = job
    for size_gb in sizes:
        one_by_one = Job.from_dict(with_deleted(one_by_one, [size_gb]).to_dict())
    assert told(one_by_one) == said
    assert told(replace(with_deleted(job, sizes), server=ServerItem(7, "sg5"))) == ""


def result_of(item: Any, error: str = "") -> Result:
    document = replace(AFTER_TEN, handed_out=(7,), gone=(7,), batch=(item,) if item else ())
    document = RunDocument.from_dict(document.to_dict())
    assert not some_unknown(document)
    [result] = results_of(document, error)
    assert result.gone and result == result.fitted()
    return result


def test_every_server_that_is_gone_has_a_result_that_is_none_of_the_runs_servers() -> None:
    item = asdict(GONE)
    good = Result("old-db (gone)", 7, "pruned", "2 snapshots deleted, 3.0 GB", deleted=2)
    assert result_of(good.to_dict()) == replace(good, gone=True)
    child = {"server": "old-db (gone)", "id": 7, "status": "failed", "error": "ZeroDivisionError"}
    broke_off = "not pruned: its branch broke off (ZeroDivisionError), see the log lines"
    bad = result_of(child | {"was": "pruning", "deleted": 1})
    assert (bad.status, bad.reason, bad.deleted, bad.at_least) == ("failed", broke_off, 1, True)
    assert not result_of(child | {"was": "new", "deleted": 0}).at_least
    lost = {"ExecutionArn": "arn", "Error": "States.Runtime", "Input": json.dumps({"server": item})}
    for unknown in (item, None, lost, good.to_dict() | {"status": "restored"}):
        result = result_of(unknown, "States.Timeout")
        assert (result.status, result.at_least, result.image_id) == ("failed", True, None)
        assert result.reason.startswith("not pruned: its branch broke off (States.")
    for named in (lost, item, child | {"was": "pruning"}, good.to_dict() | {"status": "restored"}):
        assert result_of(named).server == "old-db (gone)"
    assert result_of(None).server == "server 7"
    assert "broke off (States.Runtime)" in result_of(lost, "States.Timeout").reason
    assert "broke off (without a result)" in result_of(None).reason


def test_a_server_that_is_gone_counts_by_what_was_deleted_and_left_alone() -> None:
    fine = Result("old-db (gone)", 7, "pruned", "2 snapshots deleted", deleted=2, gone=True)
    none = Result("older (gone)", 8, "pruned", gone=True)
    failed = Result("ci (gone)", 9, "failed", "not pruned: no", deleted=1, gone=True)
    there = Result("sg5", 1, "available")
    totals = Totals().plus([fine, none, there])
    assert (totals.servers, totals.available, totals.deleted) == (1, 1, 2)
    assert totals.attention == (Concern("note", "old-db (gone)", "2 snapshots deleted"),)
    assert verdict_of(totals) == "Completed"
    totals = totals.plus([failed])
    assert (totals.servers, totals.failed, totals.deleted, totals.gone_not_pruned) == (1, 0, 3, 1)
    assert totals.attention[0] == Concern("not pruned", "ci (gone)", "not pruned: no")
    assert verdict_of(totals) == "PartiallyFailed"
    assert verdict_of(Totals(failed=1, gone_not_pruned=1)) == "Failed"
    line = summary_line("PartiallyFailed", totals, RUN)
    assert line.endswith("; 3 deleted; snapshots of 1 gone server not pruned")
