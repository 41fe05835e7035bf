"""A batch's results: each server handed out has one, and it says what is known."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.documents.document import Run
from handler.documents.job import RESULT_BYTES, Result, run_again
from handler.documents.labels import LABEL_RUN_ID, LABEL_SERVER_ID
from handler.documents.resources import Snapshot
from handler.documents.run import RunDocument, Selection
from handler.report.results import made_by_run, results_of, some_unknown, why_unlisted
from tests.documents import RUN

AGAIN = 'run again with {"run_id": "night", "project": "default"}'
MAYBE = "; a snapshot may have been started"
GOOD = {"server": "web-1", "id": 1, "status": "available", "image_id": 90, "deleted": 2,
        "pruned": True}  # fmt: skip
BROKEN = {"server": "web-1", "id": 1, "error": "KeyError", "was": "creating", "snapshot": None}
DRY_RUN, PRUNE_ONLY = replace(RUN, dry_run=True), replace(RUN, prune_only=True)


BEGAN = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
LOST = {"ExecutionArn": "arn", "Error": "States.Runtime", "Cause": "too much"}


def batch(*items: Any, handed_out: tuple[int, ...] = (1,), run: Run = RUN) -> RunDocument:
    return RunDocument(
        run=run, selection=Selection(), status="ready", handed_out=handed_out, batch=items
    )


def results(*items: Any, run: Run = RUN) -> list[Result]:
    return list(results_of(batch(*items, run=run), "States.Timeout"))


def test_a_servers_own_result_is_taken_as_it_is() -> None:
    assert results(GOOD) == [Result("web-1", 1, "available", image_id=90, deleted=2)]


def test_only_servers_handed_out_count_and_each_of_them_once() -> None:
    others = (None, "web-1", {}, GOOD | {"id": 2})
    assert results(*others, GOOD, GOOD | {"status": "failed"}) == results(GOOD)


def test_a_server_without_a_result_has_failed() -> None:
    found = list(results_of(batch(GOOD, handed_out=(1, 2, 3)), ""))
    reason = f"its branch ended without a result{MAYBE}. To retry, {AGAIN}."
    assert found[1:] == [Result(f"server {n}", n, "failed", reason, at_least=True) for n in (2, 3)]


def test_a_server_that_a_run_broke_off_before_has_failed() -> None:
    reason = f"the run broke off (States.Timeout){MAYBE}. To retry, {AGAIN}."
    assert results({"id": 1, "name": "web-1"}) == [
        Result("web-1", 1, "failed", reason, at_least=True)
    ]


@pytest.mark.parametrize("run", [DRY_RUN, PRUNE_ONLY])
def test_a_run_that_makes_nothing_has_started_nothing(run: Run) -> None:
    for item in ({"id": 1, "name": "web-1"}, BROKEN, None):
        [result] = results(item, run=run)
        assert result.status == "failed"
        assert "may have been started" not in result.reason


def test_where_a_function_broke_off_its_log_is_the_place_to_look() -> None:
    reason = f"a function broke off (KeyError), see its log lines{MAYBE}. To retry, {AGAIN}."
    assert results(BROKEN) == [Result("web-1", 1, "failed", reason)]


@pytest.mark.parametrize("run", [RUN, DRY_RUN])
def test_a_snapshot_that_was_only_started_is_named(run: Run) -> None:
    [result] = results(BROKEN | {"snapshot": {"image_id": 90, "available": run.dry_run}}, run=run)
    assert (result.status, result.image_id, result.pruned) == ("failed", 90, True)
    assert "see its log lines; snapshot 90 was started. To retry" in result.reason


def test_a_snapshot_that_was_available_is_made_and_not_pruned() -> None:
    reason = "made, not pruned: a function broke off (KeyError), see its log lines"
    assert results(BROKEN | {"snapshot": {"image_id": 90, "available": True}}) == [
        Result("web-1", 1, "available", reason, 90, pruned=False)
    ]


@pytest.mark.parametrize("item", [BROKEN | {"error": "x" * 999}, {"id": 1, "name": "x" * 999}])
def test_a_long_result_is_cut(item: dict[str, Any]) -> None:
    [result] = results(item)
    assert result == result.fitted()
    assert len(result.reason) < RESULT_BYTES


LIMITS = "Ask for more on the console's Limits page, then"


def worst_of(name: str, lock: str, advice: str) -> Result:
    return Result(
        name, 10**8, "failed", "y\n" * 600, None, 9999, None, lock_s=9999, lock=lock
    ).fitted(advice)  # fmt: skip


@pytest.mark.parametrize("lock", ["", "change_type", "l" * 90])
def test_what_is_cut_is_not_the_advice(lock: str) -> None:
    run = replace(RUN, id="20261121T020000Z", project="default")
    advice = f"{LIMITS} {run_again(run, 1)}."
    worst = worst_of("database-1.example.com", lock, advice)
    assert worst.reason.endswith(f" {advice}")
    # Nothing is cut that has room.
    assert Result("sg5", 1, "failed", "no.").fitted(advice).reason == f"no. {advice}"


@pytest.mark.parametrize("name", ["x" * 99, "\u00e4" * 99])
def test_where_names_leave_no_room_the_advice_loses_only_its_event(name: str) -> None:
    """The message gives that event once for all servers."""
    run = replace(RUN, id="r" * 32, project="p" * 29)
    quota = "Delete snapshots that nobody needs or ask for more on the console's Limits page, then"
    worst = worst_of(name, "l" * 90, f"{quota} {run_again(run, 1)}.")
    assert worst.reason.strip().startswith(quota) and worst.reason.endswith("...")
    assert len(json.dumps(worst.to_dict())) <= RESULT_BYTES


def test_why_there_are_no_servers_to_speak_of() -> None:
    failed = replace(batch(), status="failed", reason="the API stays down")
    assert why_unlisted(failed, "") == why_unlisted(failed, "KeyError") == "the API stays down"
    unlisted = batch(handed_out=())
    assert (
        why_unlisted(unlisted, "KeyError") == "ListServers broke off (KeyError), see its log lines"
    )
    assert why_unlisted(replace(unlisted, status="done"), "") == ""
    assert "which this version does not know" in why_unlisted(unlisted, "")
    assert why_unlisted(batch(GOOD), "States.Timeout") == ""
    assert "ended as odd, which" in why_unlisted(replace(unlisted, status="odd"), "")
    assert "ended as ?, which" in why_unlisted(replace(unlisted, status=""), "")
    assert "why is not told" in why_unlisted(replace(unlisted, status="failed"), "")


def found(*labelled: Any, **more: Any) -> Snapshot:
    """A snapshot as Hetzner lists it, of server 1 and this run unless told otherwise."""
    labels = {LABEL_RUN_ID: "night", LABEL_SERVER_ID: "1", **dict(labelled)}
    return Snapshot(**{"id": 90, "created": BEGAN, "labels": labels, **more})


def test_only_what_is_available_and_this_runs_counts_as_made_by_it() -> None:
    second = found((LABEL_SERVER_ID, "2"), id=91)
    nobodys = found((LABEL_SERVER_ID, ""), id=92)
    yesterdays = found((LABEL_RUN_ID, "yesterday"), (LABEL_SERVER_ID, "3"), id=93)
    creating = found((LABEL_SERVER_ID, "4"), id=94, status="creating")
    listing = [found(), second, nobodys, yesterdays, creating]
    assert made_by_run(RUN, listing) == {1: found(), 2: second}


@pytest.mark.parametrize(
    ("items", "handed_out", "asks"),
    [
        ((GOOD,), (1,), False),
        ((), (), False),
        ((GOOD,), (1, 2), True),  # no result of the second one
        ((GOOD | {"status": "restored"},), (1,), True),
        ((BROKEN,), (1,), True),
        ((BROKEN | {"status": "failed"},), (1,), True),  # that is ServerFailed's
        (({"id": 1, "name": "web-1"},), (1,), True),
        (("web-1", None, LOST), (1,), True),
    ],
)
def test_hetzner_is_asked_what_was_made_only_if_a_result_is_missing(
    items: tuple[Any, ...], handed_out: tuple[int, ...], asks: bool
) -> None:
    document = batch(*items, handed_out=handed_out)
    assert some_unknown(document) is asks
    assert not some_unknown(replace(document, gone=handed_out))
    for run in (DRY_RUN, PRUNE_ONLY):
        assert not some_unknown(replace(document, run=run))


@pytest.mark.parametrize(
    ("item", "name", "reason"),
    [
        (BROKEN, "web-1", "a function broke off (KeyError), see its log lines"),
        ({"id": 1, "name": "web-1"}, "web-1", "the run broke off (States.Timeout)"),
        (GOOD | {"status": "restored"}, "web-1",
         "it ended as restored, which this version does not know."),
        (LOST, "server 1", "its branch ended without a result (States.Runtime: too much)"),
        (None, "server 1", "its branch ended without a result"),
    ],
)  # fmt: skip
def test_what_hetzner_has_of_a_server_without_a_result_was_made_and_not_pruned(
    item: Any, name: str, reason: str
) -> None:
    [result] = results_of(batch(item), "States.Timeout", {1: found()})
    assert (result.server, result.status, result.image_id) == (name, "available", 90)
    assert (result.reason, result.pruned) == (f"made, not pruned: {reason}", False)
    # What Hetzner has of others is theirs.
    [failed] = results_of(batch(item), "States.Timeout", {2: found()})
    assert failed.status == "failed"


def test_one_that_is_older_than_the_execution_was_made_by_an_earlier_one() -> None:
    run = replace(RUN, began="2026-11-21T02:00:00Z")
    before = found(created=BEGAN - timedelta(seconds=1))
    for item in (BROKEN, {"id": 1, "name": "web-1"}, LOST):
        for there, adopted in ((before, True), (found(), False)):
            [result] = results_of(batch(item, run=run), "", {1: there})
            assert result.adopted is adopted
        # Without a begin nothing is older.
        assert not next(results_of(batch(item), "", {1: before})).adopted
    child = BROKEN | {"snapshot": {"image_id": 90, "available": True}, "adopted": True}
    assert results(child)[0].adopted
    assert not results(child | {"adopted": False}, run=run)[0].adopted


def test_the_snapshot_that_hetzner_has_is_told_rather_than_the_childs() -> None:
    child = BROKEN | {"snapshot": {"image_id": 80, "available": True}}
    assert next(results_of(batch(child), "", {1: found()})).image_id == 90


def test_what_a_broken_off_child_had_counted_is_told() -> None:
    counted = {"deleted": 3, "lock_s": 60, "lock": "change_type"}
    [result] = results(BROKEN | counted)
    assert (result.deleted, result.lock_s, result.lock) == (3, 60, "change_type")


@pytest.mark.parametrize(
    ("was", "at_least"),
    [("new", False), ("creating", False), ("available", True), ("due", True), ("pruning", True)],
)
def test_a_child_that_broke_off_in_its_pruning_may_have_deleted_more(
    was: str, at_least: bool
) -> None:
    for made in ({}, {1: found()}):
        [result] = results_of(batch(BROKEN | {"was": was}), "", made)
        assert result.at_least is at_least
        [dry] = results_of(batch(BROKEN | {"was": was}, run=DRY_RUN), "", made)
        assert not dry.at_least


@pytest.mark.parametrize("item", [{"id": 1, "name": "web-1"}, LOST, None])
def test_where_nobody_knows_how_far_it_came_more_may_have_been_deleted(item: Any) -> None:
    for made in ({}, {1: found()}):
        assert next(results_of(batch(item), "", made)).at_least
        assert not next(results_of(batch(item, run=DRY_RUN), "", made)).at_least


def test_a_result_that_does_not_tell_its_deletions_may_have_more() -> None:
    untold = {name: value for name, value in GOOD.items() if name != "deleted"}
    assert results(untold) == [Result("web-1", 1, "available", image_id=90, at_least=True)]
    assert results(GOOD | {"at_least": True})[0].at_least
    unpruned = GOOD | {"pruned": None, "reason": "no time"}
    assert (results(unpruned)[0].reason, results(unpruned)[0].pruned) == ("no time", False)
    unended = {name: value for name, value in GOOD.items() if name != "status"}
    assert results(unended)[0].reason.startswith("it ended as ?, which this version does not know")
    odd = GOOD | {"status": "restored", "deleted": 2}
    assert results(odd)[0].at_least


def test_a_broken_off_child_is_called_by_what_it_tells_of_itself() -> None:
    assert results({"id": 1, "was": "creating"})[0].server == "server 1"
    assert results({"id": 1, "was": "creating", "name": "web-1"})[0].server == "web-1"


def test_a_failed_child_of_a_server_that_was_not_handed_out_is_nobodys() -> None:
    others = LOST | {"Input": {"server": {"id": 9, "name": "web-9"}}}
    assert [result.id for result in results(others)] == [1]
    assert "States.Runtime" not in results(others)[0].reason
    # Without an input that names one it is known by its place.
    for unnamed in (None, 7, "", {}, {"server": "web-1"}, {"server": {"id": "1"}}):
        assert "(States.Runtime: " in results(LOST | {"Input": unnamed})[0].reason
    named = {"ExecutionArn": "arn", "Input": {"server": {"id": 1, "name": "web-1"}}}
    assert results(named)[0].server == "web-1"


def test_of_step_functions_long_causes_only_the_beginning_is_told() -> None:
    [result] = results(LOST | {"Cause": "x" * 99})
    said = ("States.Runtime: " + 99 * "x")[:60]
    assert f"({said})." in result.reason
    gone = replace(batch(LOST | {"Error": "x" * 99}), gone=(1,))
    assert f"({60 * 'x'}), see the log" in next(results_of(gone, "")).reason


def test_of_a_server_that_is_gone_only_a_dry_run_has_deleted_nothing_for_certain() -> None:
    for run, at_least in ((RUN, True), (DRY_RUN, False)):
        [result] = results_of(replace(batch(None, run=run), gone=(1,)), "")
        assert (result.gone, result.deleted, result.at_least) == (True, 0, at_least)
