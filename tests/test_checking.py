"""What CheckSnapshot and PruneSnapshots decide after each look: tables, each row a sentence."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from handler.decisions import checking, pruning
from handler.decisions.planning import decisions_of
from handler.decisions.pruning import Deleted, Step
from handler.documents.document import Look, Stopwatch, format_time
from handler.documents.errors import (
    HetznerError,
    OutcomeUnknown,
    RateLimited,
    Refused,
    TransientError,
)
from handler.documents.job import Job, ServerItem, StartedSnapshot
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_RUN_ID, LABEL_SERVER_ID
from handler.documents.resources import Action, Server, Snapshot
from tests.test_creating import AGAIN, NOW, action, image, job

WATCHED = job(600, snapshot=StartedSnapshot(7, 77), status="creating", waited_s=60, deadline_s=9999)
LATE = replace(WATCHED, deadline_s=600)
TAKE_OVER = f" Snapshot 7 may still become available; to take it over, {AGAIN}"
DOWN, BUSY, NO = TransientError("down"), RateLimited("too many"), Refused("nonsense")


def made(status: str = "running", progress: int = 40, **more: Any) -> Action:
    return action(status, "create_image", progress=progress, **more)


@dataclass(frozen=True)
class Row:
    sentence: str
    job: Job
    seen: Any
    status: str
    reason: str  # how it begins


LOOKS = [
    Row(
        "an action that is done made the snapshot",
        WATCHED,
        checking.Seen(action=made("success", finished=NOW - timedelta(minutes=7))),
        "available",
        "snapshot 7, after 180 s",
    ),
    Row(
        "without its end the time is ours",
        WATCHED,
        checking.Seen(action=made("success")),
        "available",
        "snapshot 7, after 540 s",
    ),
    Row(
        "a running action is waited for",
        WATCHED,
        checking.Seen(action=made(progress=60)),
        "due",
        "60 % after 600 s; if it goes on so, done after",
    ),
    Row(
        "until the deadline",
        LATE,
        checking.Seen(action=made()),
        "failed",
        "not available after 180 min: 40 % after 600 s." + TAKE_OVER,
    ),
    Row(
        "a failed action is tried again",
        WATCHED,
        checking.Seen(action=made("error", error="no (unknown)")),
        "waiting",
        "action 17 failed: no (unknown)",
    ),
    Row(
        "but not past the deadline",
        LATE,
        checking.Seen(action=made("error", error="no (unknown)")),
        "failed",
        f"action 17 failed: no (unknown) (failed 1 times). To retry, {AGAIN}",
    ),
    Row(
        "nor more than five times",
        replace(WATCHED, failed_actions=4),
        checking.Seen(action=made("error", error="no (unknown)")),
        "failed",
        f"action 17 failed: no (unknown) (failed 5 times). To retry, {AGAIN}",
    ),
    Row(
        "four times it is tried again",
        replace(WATCHED, failed_actions=3),
        checking.Seen(action=made("error", error="no (unknown)")),
        "waiting",
        "action 17 failed",
    ),
    Row(
        "without an action the image tells",
        WATCHED,
        checking.Seen(image=image()),
        "available",
        "snapshot 7, after 540 s",
    ),
    Row(
        "an image that is creating is waited for",
        WATCHED,
        checking.Seen(image=replace(image("creating"), created=NOW - timedelta(seconds=99))),
        "creating",
        "0 % after 99 s; no progress to go by",
    ),
    Row(
        "an image that is of no use is made anew",
        WATCHED,
        checking.Seen(image=image("unavailable")),
        "waiting",
        "snapshot 7 turned unavailable",
    ),
    Row(
        "an image that is gone is made anew",
        WATCHED,
        checking.Seen(),
        "waiting",
        "snapshot 7 vanished",
    ),
    Row("an outage is waited for", WATCHED, checking.Seen(error=DOWN), "creating", "down"),
    Row(
        "too many requests are waited for",
        replace(WATCHED, requests_left=0),
        checking.Seen(error=BUSY),
        "creating",
        "too many; 0 of 3600 requests per hour left",
    ),
    Row(
        "an outage at the deadline ends it",
        LATE,
        checking.Seen(error=DOWN),
        "failed",
        "not available after 180 min: down." + TAKE_OVER,
    ),
    Row("a refusal ends it", WATCHED, checking.Seen(error=NO), "failed", "nonsense." + TAKE_OVER),
]


@pytest.mark.parametrize("row", LOOKS, ids=lambda row: row.sentence)
def test_what_a_look_means(row: Row) -> None:
    found = checking.decide(row.job, row.seen, 0.0)
    assert found.status == row.status
    assert (found.result.reason if found.result else found.reason).startswith(row.reason)
    if row.status in ("waiting", "creating", "due"):
        assert 0 < found.wait_seconds <= max(row.job.left_s, 30)


def test_a_look_is_remembered_and_a_failed_try_is_forgotten() -> None:
    watched = replace(WATCHED, looks=tuple(Look(n, 1) for n in range(6)))
    found = checking.decide(watched, checking.Seen(action=made()), 0.0)
    assert found.looks == (*watched.looks[1:], Look(600, 40))
    failed = checking.decide(watched, checking.Seen(action=made("error")), 0.0)
    assert (failed.snapshot, failed.failed_actions) == (None, 1)
    ended = checking.decide(LATE, checking.Seen(action=made("error")), 0.0)
    assert ended.result and (ended.result.image_id, ended.maybe_posted) == (None, False)
    done = checking.decide(watched, checking.Seen(image=image()), 0.0)
    assert done.snapshot == StartedSnapshot(7, 77, available=True) and done.snapshot_s == 540


def test_a_snapshot_without_a_deadline_has_its_minutes_from_now_on() -> None:
    assert checking.begun(replace(WATCHED, deadline_s=None)).deadline_s == 600 + 180 * 60
    assert checking.begun(WATCHED) is WATCHED


# Pruning.

PRUNING = job(
    600, snapshot=StartedSnapshot(7), status="pruning", waited_s=60, deadline_s=600 + 3600,
    run={"retention": "last1", "began": "2026-11-21T02:00:00Z"},
)  # fmt: skip
DUE = replace(WATCHED, status="due", run=PRUNING.run)


def old(id: int, days: int = 9, **more: Any) -> Snapshot:
    labels = {LABEL_MANAGED_BY: "me", LABEL_RUN_ID: f"night-{id}", LABEL_SERVER_ID: "42"}
    return Snapshot(id, NOW - timedelta(days=days), labels=labels, **more)


NEW = replace(image(), size_gb=1.5)
SERVER = Server(42, "sg5", "running", None, None, None, None, {}, NOW)
OLD = (old(1), old(2, 8))


def seen(*snapshots: Snapshot, **more: Any) -> pruning.Seen:
    return pruning.Seen(snapshots, **{"server": SERVER, **more})


def after_minutes(minutes: int) -> Job:
    """A job that has been pruning for so long."""
    return replace(PRUNING, deadline_s=600 + 3600 - 60 * minutes)


LISTINGS = [
    Row("no rule, no stay", PRUNING, seen(NEW, *OLD), "pruning", ""),
    Row(
        "this run's snapshot is not listed yet",
        PRUNING,
        seen(*OLD),
        "pruning",
        "snapshot 7 is not among the server's labelled snapshots",
    ),
    Row(
        "it is gone",
        PRUNING,
        seen(*OLD, vanished=True),
        "failed",
        f"snapshot 7 vanished. To retry, {AGAIN}",
    ),
    Row(
        "it is there and its labels are not",
        PRUNING,
        seen(*OLD, unlisted=image()),
        "available",
        "made, not pruned: snapshot 7 is not among the server's labelled snapshots; were its",
    ),
    Row(
        "it is there by itself and still creating",
        PRUNING,
        seen(*OLD, unlisted=image("creating")),
        "pruning",
        "snapshot 7 is creating, though its action succeeded",
    ),
    Row(
        "it is still creating",
        PRUNING,
        seen(image("creating"), *OLD),
        "pruning",
        "snapshot 7 is creating, though its action succeeded",
    ),
    Row(
        "for too long",
        after_minutes(60),
        seen(image("creating"), *OLD),
        "failed",
        f"snapshot 7 is creating, though its action succeeded. To look again, {AGAIN}",
    ),
    Row(
        "it is of no use",
        PRUNING,
        seen(image("unavailable"), *OLD),
        "failed",
        f"snapshot 7 is unavailable, though its action succeeded. To look again, {AGAIN}",
    ),
    Row(
        "a label that is wrong prunes nothing",
        replace(PRUNING, server=ServerItem(42, "sg5", problem="its label is nonsense")),
        seen(NEW, *OLD, server=None),
        "available",
        "made, not pruned: its label is nonsense",
    ),
    Row(
        "so does a policy that this version does not read",
        replace(PRUNING, run=replace(PRUNING.run, retention="lots")),
        seen(NEW, *OLD),
        "available",
        "made, not pruned: its retention policy: ",
    ),
    Row("an outage is waited for", PRUNING, seen(error=DOWN), "pruning", "down"),
    Row(
        "also one that comes with the question for its labels",
        PRUNING,
        seen(NEW, *OLD, server=DOWN),
        "pruning",
        "down",
    ),
    Row(
        "an outage at the deadline ends it",
        after_minutes(60),
        seen(error=DOWN),
        "available",
        "made, not pruned: down (tried for 60 min)",
    ),
    Row(
        "a refusal ends it",
        PRUNING,
        seen(error=NO),
        "available",
        "made, not pruned: nonsense",
    ),
    Row(
        "who only prunes has nothing to fall back on",
        replace(PRUNING, snapshot=None, run=replace(PRUNING.run, prune_only=True)),
        seen(error=NO),
        "failed",
        "not pruned: nonsense",
    ),
    Row(
        "nor has a dry run",
        replace(PRUNING, run=replace(PRUNING.run, dry_run=True)),
        seen(error=NO),
        "failed",
        "not pruned: nonsense",
    ),
    Row(
        "too few requests to delete with",
        replace(PRUNING, requests_left=721),
        seen(NEW, *OLD),
        "pruning",
        "2 to delete; 721 of 3600 requests per hour left",
    ),
    # Due.
    Row("due and not there", DUE, seen(*OLD), "creating", "due, but not there"),
    Row(
        "due and not known",
        replace(DUE, snapshot=None),
        seen(*OLD),
        "creating",
        "due, but not there",
    ),
    Row("due and of no use", DUE, seen(image("unavailable")), "creating", "due, but not there"),
    Row(
        "due and still creating",
        DUE,
        seen(replace(image("creating"), created=NOW - timedelta(seconds=99))),
        "creating",
        "not done after 99 s",
    ),
    Row(
        "due and nobody knows the time",
        replace(DUE, stopwatch=Stopwatch(None, 600)),
        seen(image("creating")),
        "creating",
        "due, but not there",
    ),
    Row("due in an outage", DUE, seen(error=DOWN), "due", "down"),
    Row(
        "past the deadline the look is CheckSnapshot's",
        replace(DUE, deadline_s=600),
        seen(error=DOWN),
        "creating",
        "down",
    ),
    Row("a refusal is CheckSnapshot's, too", DUE, seen(error=NO), "creating", "nonsense"),
]


@pytest.mark.parametrize("row", LISTINGS, ids=lambda row: row.sentence)
def test_what_a_listing_means(row: Row) -> None:
    step = pruning.decide(row.job, row.seen, 0.0, NOW)
    found = step.job
    assert found.status == row.status
    # Only what deletes, or ends with that, says how many stay; nothing is asked a second time.
    assert bool(step.kept) is (step.delete is not None) and not step.asks_labels
    reason = found.result.reason if found.result else found.reason
    assert reason.startswith(row.reason)
    if found.result:
        assert found.result.pruned is not reason.startswith("made, not pruned")


def test_what_no_rule_keeps_is_deleted_and_decided_once() -> None:
    step = pruning.decide(PRUNING, seen(NEW, *OLD), 0.0, NOW)
    assert step.delete == (2, 1) and step.job.to_delete == (2, 1) and step.kept == 1
    assert step.job.snapshot == StartedSnapshot(7, available=True) and step.job.size_gb == 1.5
    assert [decision.kind for decision in step.decisions] == ["rule", "no rule", "no rule"]
    # One has gone, and one that was not decided about has come to be unwanted.
    again = pruning.decide(step.job, seen(NEW, old(1), old(3, 7)), 0.0, NOW)
    assert (again.delete, again.decisions) == ((1,), ())
    # What is gone without an answer may be ours.
    assert again.job.at_least and again.job.deleted == 0
    assert again.notes == "1 more to delete next time (at most 5 in one run)"


def test_what_has_come_to_be_kept_since_it_was_decided_stays() -> None:
    decided = pruning.decide(PRUNING, seen(NEW, *OLD), 0.0, NOW).job
    now = seen(NEW, old(2, 8), old(1, protected=True))
    assert pruning.decide(decided, now, 0.0, NOW).delete == (2,)


def test_at_the_deadline_it_deletes_with_what_requests_there_are() -> None:
    late = replace(after_minutes(60), requests_left=721)
    assert pruning.decide(late, seen(NEW, *OLD), 0.0, NOW).delete == (2, 1)


def test_before_a_delete_the_servers_labels_are_asked_for_and_only_then() -> None:
    step = pruning.decide(PRUNING, seen(NEW, *OLD, server=None), 0.0, NOW)
    assert (step.asks_labels, step.delete, step.decisions) == (True, None, ())
    nothing = pruning.decide(PRUNING, seen(NEW, server=None), 0.0, NOW)
    assert (nothing.asks_labels, nothing.delete) == (False, ())


def test_when_more_would_go_than_may_the_decision_is_kept_first() -> None:
    job = replace(PRUNING, run=replace(PRUNING.run, max_deletions=1))
    step = pruning.decide(job, seen(NEW, *OLD), 0.0, NOW)
    assert step.delete is None and len(step.decisions) == 3
    assert (step.job.status, step.job.reason) == ("pruning", "deletes 1 for now")
    again = pruning.decide(step.job, seen(NEW, *OLD), 0.0, NOW)
    assert again.delete == (1,) and again.decisions == ()
    assert again.notes == "1 more to delete next time (at most 1 in one run)"
    resumed = replace(job, run=replace(job.run, max_deletions=2, earlier_deletions=1))
    stored = pruning.decide(resumed, seen(NEW, *OLD), 0.0, NOW).job
    assert pruning.decide(stored, seen(NEW, *OLD), 0.0, NOW).notes == (
        "1 more to delete next time (at most 2 in one run, its earlier executions included)"
    )


def test_where_nothing_is_made_the_decision_is_kept_before_anything_goes() -> None:
    only = replace(PRUNING, snapshot=None, run=replace(PRUNING.run, prune_only=True))
    step = pruning.decide(only, seen(*OLD), 0.0, NOW)
    assert (step.job.to_delete, step.delete) == ((1,), None)
    assert (step.job.status, step.job.reason) == ("pruning", "deletes 1 for now")


def test_a_dry_run_has_deleted_nothing_whatever_is_gone() -> None:
    gone = replace(PRUNING, snapshot=None, before=(3,), run=replace(PRUNING.run, dry_run=True))
    planned = pruning.decide(gone, seen(*OLD), 0.0, NOW).job.result
    assert planned and not planned.at_least


def test_a_dry_run_plans_as_if_the_new_snapshot_were_there() -> None:
    job = replace(PRUNING, snapshot=None, reason="would be made now",
                  run=replace(PRUNING.run, dry_run=True))  # fmt: skip
    step = pruning.decide(job, seen(*OLD), 0.0, NOW)
    result = step.job.result
    assert step.delete is None and result and result.status == "planned"
    assert (result.deleted, result.kept, result.reason) == (2, 1, "would be made now")
    assert [(d.snapshot.id, d.keep) for d in step.decisions] == [(0, True), (2, False), (1, False)]
    # It is there already: nothing is added.
    there = replace(job, snapshot=StartedSnapshot(7, available=True))
    assert len(pruning.decide(there, seen(NEW, *OLD), 0.0, NOW).decisions) == 3
    begun = replace(job, snapshot=StartedSnapshot(7))
    step = pruning.decide(begun, seen(image("creating"), *OLD), 0.0, NOW)
    assert step.job.status == "planned"
    assert [d.snapshot.id for d in step.decisions] == [7, 0, 2, 1]
    only = replace(job, run=replace(job.run, prune_only=True))
    assert [d.snapshot.id for d in pruning.decide(only, seen(*OLD), 0.0, NOW).decisions] == [2, 1]


def test_what_a_person_should_know() -> None:
    twin = replace(image(id=8), created=NOW - timedelta(minutes=1))
    listing = seen(NEW, twin, old(1, protected=True), old(2, status="unavailable"))
    step = pruning.decide(PRUNING, listing, 0.0, NOW)
    assert step.delete == () and step.kept == 3
    assert step.notes == (
        "unavailable, of no use: snapshot 2; also of this run: snapshot 8; "
        "1 kept only by delete protection"
    )
    assert pruning.twins(PRUNING, listing.snapshots) == ["8"]
    assert pruning.twins(replace(PRUNING, snapshot=None), listing.snapshots) == []


def test_what_running_runs_have_made_stays() -> None:
    job = replace(PRUNING, run=replace(PRUNING.run, concurrent_runs=("night-1",)))
    step = pruning.decide(job, seen(NEW, *OLD), 0.0, NOW)
    assert step.delete == (2,)
    [spared] = [d for d in step.decisions if d.snapshot.id == 1]
    assert (spared.kind, spared.reason) == ("exempt", "of another run that is going on")


def spared(created: datetime, **run: Any) -> str:
    """Why no rule keeps a snapshot of that time and yet it stays; empty if it goes."""
    asked = replace(PRUNING, run=replace(PRUNING.run, **run))
    made = replace(old(1), created=created)
    [decision] = [d for d in decisions_of(asked, (NEW, made), NOW) if d.snapshot.id == 1]
    return decision.reason if decision.keep else ""


BEGAN, SECOND = NOW - timedelta(minutes=9), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("run", "since"),
    [
        # A run may be listed a little after its start.
        ({}, NOW - timedelta(minutes=1)),
        ({"began": format_time(BEGAN)}, BEGAN - timedelta(minutes=1)),
        # The earlier clock counts.
        ({"began": format_time(NOW), "earliest_began": format_time(BEGAN)},
         BEGAN - timedelta(minutes=1)),
        # Which ones go on is not known: none does for longer than a week.
        ({"began": format_time(BEGAN), "concurrent_runs": None}, BEGAN - timedelta(days=7)),
        ({"began": None}, NOW - timedelta(days=7)),
    ],
)  # fmt: skip
def test_what_a_run_that_goes_on_beside_it_may_have_made_stays(
    run: dict[str, Any], since: datetime
) -> None:
    run = {"began": format_time(NOW)} | run
    assert spared(since, **run) == "of another run that may be going on"
    assert spared(since - SECOND, **run) == ""


def test_a_second_one_of_this_run_stays_however_long_ago_it_was_made() -> None:
    twin = replace(image(id=8), created=NOW - timedelta(days=9))
    decision = decisions_of(PRUNING, (NEW, twin), NOW)[1]
    assert (decision.kind, decision.reason) == ("exempt", "this run's")


def test_the_policy_of_its_own_label_counts() -> None:
    own = replace(PRUNING, server=ServerItem(42, "sg5", retention="last2"))
    kept = [decision.keep for decision in decisions_of(own, (NEW, *OLD[::-1]), NOW)]
    assert kept == [True, True, False]


def test_only_a_run_that_only_prunes_is_told_to_let_a_larger_one_go() -> None:
    for prune_only, kind in ((False, "larger"), (True, "no rule")):
        run = replace(PRUNING.run, accept_smaller=True, prune_only=prune_only)
        listing = (NEW, old(1, size_gb=9.0))
        assert decisions_of(replace(PRUNING, run=run), listing, NOW)[1].kind == kind


def test_only_a_dry_run_plans_with_a_snapshot_that_is_not_there() -> None:
    assert len(decisions_of(replace(PRUNING, snapshot=None), OLD, NOW)) == 2


def test_the_snapshot_that_was_due_has_arrived() -> None:
    step = pruning.decide(DUE, seen(NEW, *OLD), 0.0, NOW)
    assert step.delete == (2, 1)
    assert (step.job.snapshot_s, step.job.deadline_s) == (540, 600 + 3600)
    unknown = replace(DUE, waited_s=None)
    assert pruning.decide(unknown, seen(NEW, *OLD), 0.0, NOW).job.snapshot_s == 600


def test_the_pruning_has_a_deadline_of_its_own() -> None:
    fresh = job(600, snapshot=StartedSnapshot(7), status="available", deadline_s=700)
    assert pruning.begun(fresh).deadline_s == 600 + 3600
    first = replace(fresh, status="pruning", deadline_s=None)
    assert pruning.begun(first).deadline_s == 600 + 3600
    due = replace(fresh, status="due", deadline_s=None)
    assert pruning.begun(due).deadline_s == 600 + 180 * 60
    for going in (replace(fresh, status="pruning"), replace(fresh, status="due")):
        assert pruning.begun(going) is going


def test_a_snapshot_that_is_missing_for_long_is_asked_for_by_itself() -> None:
    missing: Callable[[Job], bool] = lambda job: pruning.missing_for_long(job, OLD)  # noqa: E731
    assert [missing(after_minutes(minutes)) for minutes in (0, 9, 10, 30)] == [0, 0, 1, 1]
    assert not missing(replace(PRUNING, deadline_s=600 + 3600 - 599))
    long = after_minutes(10)
    assert not pruning.missing_for_long(long, (NEW,))
    assert not missing(replace(long, status="due"))
    assert not missing(replace(long, snapshot=None))
    assert not missing(replace(long, run=replace(long.run, dry_run=True)))


@pytest.mark.parametrize(
    ("deleted", "status", "count", "reason"),
    [
        (Deleted([1, 2]), "available", 2, "a note"),
        (Deleted([1], [2]), "available", 1, f"a note; {pruning.MORE_WENT}"),
        (Deleted([1], failed={2: DOWN}), "pruning", None, "snapshot 2 not deleted: down"),
        (Deleted([1], failed={2: BUSY}), "pruning", None, "snapshot 2 not deleted: too many"),
        (Deleted([1], refused=["no"]), "available", 1, "made, not pruned: no"),
    ],
)
def test_after_the_deletes(deleted: Deleted, status: str, count: int | None, reason: str) -> None:
    step = Step(PRUNING, delete=(1, 2), kept=4, notes="a note")
    found = pruning.after_deleting(PRUNING, step, deleted, 0.0)
    assert found.status == status
    assert (found.result.reason if found.result else found.reason).startswith(reason)
    assert (found.result and found.result.deleted) == count
    assert (found.went, found.deleted) == (tuple(deleted.went), len(deleted.went))
    assert found.at_least is bool(deleted.gone)
    if not deleted.failed and not deleted.refused:
        assert found.result and found.result.kept == 4
        only = replace(PRUNING, run=replace(PRUNING.run, prune_only=True))
        assert pruning.after_deleting(only, step, deleted, 0.0).status == "pruned"


@pytest.mark.parametrize(("error", "at_least"), [(DOWN, False), (OutcomeUnknown("lost"), True)])
def test_a_delete_without_a_clear_answer_may_have_happened(
    error: HetznerError, at_least: bool
) -> None:
    late = after_minutes(60)
    found = pruning.after_deleting(
        late, Step(late, delete=(1, 2)), Deleted([1], failed={2: error}), 0.0
    )
    assert found.result and (found.result.deleted, found.result.at_least) == (1, at_least)


@pytest.mark.parametrize(("error", "at_least"), [(DOWN, False), (OutcomeUnknown("lost"), True)])
def test_a_delete_without_a_clear_answer_may_have_happened_if_no_later_look_succeeds(
    error: HetznerError, at_least: bool
) -> None:
    waiting = pruning.after_deleting(
        PRUNING, Step(PRUNING, delete=(1, 2)), Deleted([1], failed={2: error}), 0.0
    )
    assert waiting.status == "pruning" and not waiting.at_least
    late = after_minutes(60)
    late = replace(waiting, stopwatch=late.stopwatch, deadline_s=late.deadline_s)
    given_up = pruning.decide(late, pruning.Seen(error=DOWN), 0.0, NOW).job
    assert given_up.result
    assert (given_up.result.deleted, given_up.result.at_least) == (1, at_least)


def test_a_listing_counts_what_an_unclear_delete_has_done() -> None:
    unclear = replace(PRUNING, unclear=True)
    refused = pruning.decide(unclear, seen(NEW, *OLD, server=NO), 0.0, NOW).job.result
    assert refused and not refused.at_least
    assert refused.reason == "made, not pruned: nonsense"


def test_who_asks_too_often_waits_longer_to_delete_again() -> None:
    step = Step(replace(PRUNING, requests_left=0), delete=(1, 2))
    waits = [
        pruning.after_deleting(step.job, step, Deleted(failed={2: error}), 0.0).wait_seconds
        for error in (DOWN, BUSY)
    ]
    assert waits[0] < waits[1] == 720
    both = pruning.after_deleting(step.job, step, Deleted(failed={1: DOWN, 2: BUSY}), 0.0)
    assert both.wait_seconds == 720


def test_one_delete_without_a_clear_answer_among_others_is_enough_to_doubt() -> None:
    step = Step(PRUNING, delete=(1, 2))
    for failed, unclear in (({1: DOWN, 2: OutcomeUnknown("lost")}, True), ({1: DOWN}, False)):
        assert pruning.after_deleting(PRUNING, step, Deleted(failed=failed), 0.0).unclear is unclear


def test_what_was_doubted_once_stays_so() -> None:
    doubted = replace(PRUNING, at_least=True)
    assert pruning.decide(doubted, seen(NEW, *OLD), 0.0, NOW).job.at_least
    for ended in (
        pruning.after_deleting(doubted, Step(doubted, delete=(1,)), Deleted([1]), 0.0),
        pruning.not_pruned(doubted, "no"),
    ):
        assert ended.result and ended.result.at_least


def test_of_a_server_that_is_gone_nothing_is_made_but_pruned_or_not() -> None:
    gone = replace(PRUNING, snapshot=None, server=ServerItem(42, "sg5 (gone)", gone=True))
    step = Step(gone, delete=(1,), sizes={1: 1.5})
    ended = pruning.after_deleting(gone, step, Deleted([1]), 0.0)
    assert (ended.status, ended.reason) == ("pruned", "1 snapshot deleted, 1.5 GB")
    refused = pruning.after_deleting(gone, step, Deleted([1], refused=["no"]), 0.0)
    assert (refused.status, refused.reason) == (
        "failed", "not pruned: no; 1 snapshot deleted, 1.5 GB"
    )  # fmt: skip


def test_without_hetzners_clock_the_time_is_counted_from_the_create_on() -> None:
    blind = replace(WATCHED, stopwatch=Stopwatch(None, 600))
    creating = checking.Seen(action=made())
    assert checking.decide(blind, creating, 0.0).reason.startswith("40 % after 540 s")
    unknown = replace(blind, waited_s=None)
    assert checking.decide(unknown, creating, 0.0).reason.startswith("40 % after 600 s")
    done = checking.Seen(image=image())
    assert checking.decide(unknown, done, 0.0).reason == "snapshot 7, after 600 s"


def test_no_snapshot_takes_less_than_no_time() -> None:
    backwards = made("success", finished=NOW - timedelta(minutes=11))
    found = checking.decide(WATCHED, checking.Seen(action=backwards), 0.0)
    assert found.reason == "snapshot 7, after 0 s"
