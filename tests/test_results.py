"""A batch's results: each server handed out has one, and it says what is known."""

import json
from dataclasses import replace
from typing import Any

import pytest

from handler.documents.document import Run
from handler.documents.job import RESULT_BYTES, Result, run_again
from handler.documents.run import RunDocument, Selection
from handler.report.results import results_of, why_unlisted
from tests.documents import RUN

AGAIN = 'run again with {"run_id": "night", "project": "default"}'
MAYBE = "; a snapshot may have been started"
GOOD = {"server": "web-1", "id": 1, "status": "available", "image_id": 90, "deleted": 2,
        "pruned": True}  # fmt: skip
BROKEN = {"server": "web-1", "id": 1, "error": "KeyError", "was": "creating", "snapshot": None}
DRY_RUN, PRUNE_ONLY = replace(RUN, dry_run=True), replace(RUN, prune_only=True)


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
