"""What CreateSnapshot decides after each look: a table, each row a sentence."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.decisions import creating
from handler.decisions.creating import Seen
from handler.documents.document import Look, Run, Stopwatch
from handler.documents.errors import (
    Locked,
    NotFound,
    OutcomeUnknown,
    QuotaReached,
    RateLimited,
    Refused,
    TransientError,
    Unauthorized,
)
from handler.documents.job import Job, ServerItem, StartedSnapshot
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_RUN_ID, LABEL_SERVER_ID
from handler.documents.resources import Action, Snapshot

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
RUN = Run(
    id="tonight", project="shop", owner="me", retention="daily3", on_locked="wait", dry_run=False,
    prune_only=False, max_deletions=5, servers_at_a_time=1, lock_wait_minutes=60,
    snapshot_minutes=180,
)  # fmt: skip
LABELS = {LABEL_MANAGED_BY: "me", LABEL_RUN_ID: "tonight", LABEL_SERVER_ID: "42"}
AGAIN = 'run again with {"run_id": "tonight", "project": "shop"}.'


def job(elapsed_s: int = 0, run: dict[str, Any] | None = None, **more: Any) -> Job:
    """A job that has looked, with an hour for locks and outages."""
    return Job(
        run=replace(RUN, **(run or {})),
        server=ServerItem(42, "sg5"),
        stopwatch=Stopwatch(NOW, elapsed_s),
        **{"status": "new", "deadline_s": 3600, "attempts": 1, **more},
    )


def image(status: str = "available", id: int = 7) -> Snapshot:
    return Snapshot(id, NOW, status, labels=LABELS)


def action(status: str = "running", command: str = "change_type", **more: Any) -> Action:
    ago = more.pop("minutes_ago", 10)
    return Action(
        17, command, status, more.pop("progress", 40), NOW - timedelta(minutes=ago), **more
    )


LATE = job(3600)
SKIPPING = job(run={"on_locked": "skip"})
DRY = job(run={"dry_run": True})
POSTED = {"maybe_posted": True}
LOCK = "locked by change_type (action 17, 40 %, since 01:50Z)"
OURS = action(command="create_image", image_ids=frozenset({7}))
NAMELESS = action("success", "create_image", minutes_ago=0, progress=100)
NAMELESS_FAILED = replace(NAMELESS, status="error")
NONE = Seen(snapshots=())
BUSY = RateLimited("too many")
DOWN = TransientError("down")


@dataclass(frozen=True)
class Row:
    sentence: str
    job: Job
    seen: Seen
    kind: str
    reason: str  # how it begins


ROWS = [
    # Nothing in the way.
    Row("a free server without a snapshot gets one", job(), NONE, "create", ""),
    Row("late is better than not at all", LATE, NONE, "create", ""),
    Row(
        "unless one may be there already",
        replace(LATE, **POSTED),
        NONE,
        "fail",
        "a snapshot may have been started all the same; no snapshot confirmed after 60 min: no "
        f"time left to create a snapshot. To retry, {AGAIN}",
    ),
    Row("a dry run plans", DRY, NONE, "plan", "would be made now"),
    # This run's snapshot.
    Row(
        "a good one is adopted",
        job(),
        Seen(snapshots=(image(),)),
        "adopt",
        "snapshot 7 of this run is there already",
    ),
    Row(
        "a dry run says that it is there",
        DRY,
        Seen(snapshots=(image(),)),
        "plan",
        "snapshot 7 of this run is there already",
    ),
    Row(
        "the lowest id of two is adopted",
        job(),
        Seen(snapshots=(image(), image(id=8))),
        "adopt",
        "snapshot 7",
    ),
    Row(
        "a good one outlives the server's actions",
        job(),
        Seen(actions_error=DOWN, snapshots=(image(),)),
        "adopt",
        "snapshot 7",
    ),
    Row(
        "one that is creating is watched",
        job(),
        Seen(actions=(OURS,), snapshots=(image("creating"),)),
        "watch",
        "snapshot 7 of this run was started by an earlier attempt; if it goes on so",
    ),
    Row(
        "one whose action is unknown is watched",
        job(),
        Seen(snapshots=(image("creating"),)),
        "watch",
        "snapshot 7 of this run was started by an earlier attempt; no progress to go by",
    ),
    Row(
        "a dry run only names it",
        DRY,
        Seen(snapshots=(image("creating"),)),
        "plan",
        "snapshot 7 of this run was started",
    ),
    Row(
        "one that is creating is not judged while the actions are not known",
        job(),
        Seen(actions_error=DOWN, snapshots=(image("creating"),)),
        "wait",
        "down",
    ),
    Row(
        "one that is creating is watched though its server is gone",
        job(),
        Seen(actions_error=NotFound("no"), snapshots=(image("creating"),)),
        "watch",
        "snapshot 7",
    ),
    Row(
        "what a failed action left behind is not watched",
        job(),
        Seen(actions=(replace(OURS, status="error"),), snapshots=(image("creating"),)),
        "create",
        "",
    ),
    Row(
        "nor is an unavailable one adopted",
        job(),
        Seen(snapshots=(image("unavailable"),)),
        "create",
        "",
    ),
    Row(
        "one in an unknown status is watched",
        job(),
        Seen(snapshots=(image("finalizing"),)),
        "watch",
        "snapshot 7 of this run was started by an earlier attempt",
    ),
    Row(
        "what a failed action that names no image left behind is not watched",
        job(),
        Seen(actions=(NAMELESS_FAILED,), snapshots=(image("creating"),)),
        "create",
        "",
    ),
    Row(
        "but of two such actions neither is known to be its",
        job(),
        Seen(actions=(NAMELESS_FAILED, NAMELESS_FAILED), snapshots=(image("creating"),)),
        "watch",
        "snapshot 7",
    ),
    Row(
        "after a create of ours an action that names no image may be its",
        job(60, **POSTED),
        Seen(actions=(NAMELESS,), snapshots=()),
        "wait",
        "the snapshot of create_image (action 17, 100 %, since 02:00Z) is not listed yet",
    ),
    Row(
        "but not one that had begun before",
        job(60, **POSTED),
        Seen(actions=(replace(NAMELESS, started=NOW - timedelta(minutes=3)),), snapshots=()),
        "create",
        "",
    ),
    Row(
        "nor without a create of ours",
        job(60),
        Seen(actions=(NAMELESS,), snapshots=()),
        "create",
        "",
    ),
    Row(
        "nor one whose image is listed and of no use",
        job(60, **POSTED),
        Seen(
            actions=(NAMELESS,), snapshots=(image("unavailable"),), listed=(image("unavailable"),)
        ),
        "create",
        "",
    ),
    # Locks.
    Row(
        "a lock is waited for",
        job(),
        Seen(locked=True, actions=(action(),)),
        "wait",
        f"{LOCK}; if that goes on",
    ),
    Row(
        "also when the snapshots were listed",
        job(),
        Seen(locked=True, actions=(action(),), snapshots=()),
        "wait",
        LOCK,
    ),
    Row(
        "a lock is given up at the deadline",
        LATE,
        Seen(locked=True, actions=(action(),), snapshots=()),
        "fail",
        f"no snapshot made after 60 min: {LOCK}. To retry, {AGAIN}",
    ),
    Row(
        "a lock is skipped if asked",
        SKIPPING,
        Seen(locked=True, actions=(action(),), snapshots=()),
        "skip",
        LOCK,
    ),
    Row(
        "but not after a create of ours",
        replace(SKIPPING, **POSTED),
        Seen(locked=True, actions=(action(),), snapshots=()),
        "wait",
        LOCK,
    ),
    Row(
        "a dry run says that it would wait",
        DRY,
        Seen(locked=True, actions=(action(),), snapshots=()),
        "plan",
        f"{LOCK}; a run would wait for it",
    ),
    Row(
        "or skip",
        job(run={"dry_run": True, "on_locked": "skip"}),
        Seen(locked=True, actions=(action(),), snapshots=()),
        "plan",
        f"{LOCK}; a run would skip it",
    ),
    Row(
        "a lock that nobody is known to hold, too",
        job(),
        Seen(locked=True, snapshots=()),
        "wait",
        "locked, no action tells by whom",
    ),
    Row(
        "beside another's snapshot none is begun and none skipped",
        SKIPPING,
        Seen(locked=False, actions=(replace(OURS, image_ids=frozenset({9})),), snapshots=()),
        "wait",
        "locked by create_image (action 17, 40 %, since 01:50Z)",
    ),
    Row(
        "a snapshot that names another image is skipped like any lock",
        SKIPPING,
        Seen(locked=True, actions=(replace(OURS, image_ids=frozenset({9})),), snapshots=()),
        "skip",
        "locked by create_image (action 17, 40 %, since 01:50Z)",
    ),
    Row(
        "one that names none may be ours, and is waited for",
        SKIPPING,
        Seen(locked=True, actions=(replace(OURS, image_ids=frozenset()),), snapshots=()),
        "wait",
        "locked by create_image (action 17, 40 %, since 01:50Z)",
    ),
    Row(
        "an action that locks nothing is in nobody's way",
        job(),
        Seen(locked=False, actions=(action(),), snapshots=()),
        "create",
        "",
    ),
    Row(
        "an action that has ended holds nothing",
        job(),
        Seen(actions=(action("success"),), snapshots=()),
        "create",
        "",
    ),
    # Errors of the reads.
    Row(
        "too many requests are waited for",
        job(requests_left=0),
        Seen(error=BUSY),
        "wait",
        "too many; 0 of 3600 requests per hour left",
    ),
    Row("an outage is waited for", job(), Seen(error=DOWN), "wait", "down"),
    Row(
        "an outage of the actions alone, too",
        job(),
        Seen(actions_error=DOWN, snapshots=()),
        "wait",
        "down",
    ),
    Row(
        "an outage past the deadline ends without a claim",
        LATE,
        Seen(error=DOWN),
        "fail",
        f"no snapshot confirmed after 60 min: down. To retry, {AGAIN}",
    ),
    Row(
        "a server that is gone is skipped",
        job(),
        Seen(actions_error=NotFound("no"), snapshots=()),
        "skip",
        "the server was deleted during the run.",
    ),
    Row(
        "a bad token is told",
        job(),
        Seen(error=Unauthorized("bad token")),
        "fail",
        f"bad token. Check or replace that token, then {AGAIN}",
    ),
    Row(
        "a refusal is told",
        job(),
        Seen(error=Refused("nonsense")),
        "fail",
        f"Hetzner refused: nonsense. To retry, {AGAIN}",
    ),
    Row(
        "what only Hetzner's support can unlock is not waited for",
        job(),
        replace(NONE, created=Refused("no", "resource_locked")),
        "fail",
        f"Hetzner refused: no (resource_locked). Ask Hetzner's support. To retry, {AGAIN}",
    ),
    # The answer to the create.
    Row(
        "a create is watched",
        job(),
        replace(NONE, created=StartedSnapshot(7, 77)),
        "watch",
        "no pr",
    ),
    Row(
        "a quota is told",
        job(),
        replace(NONE, created=QuotaReached("30")),
        "fail",
        "the account's limit of snapshots is reached: 30. Delete snapshots that",
    ),
    Row(
        "an unclear answer is looked at again",
        job(),
        replace(NONE, created=OutcomeUnknown("504")),
        "wait",
        "no clear answer to the create: 504",
    ),
    Row(
        "even after the deadline",
        LATE,
        replace(NONE, created=OutcomeUnknown("504")),
        "wait",
        "no clear answer",
    ),
    Row(
        "a lock that came after the first look is looked at",
        SKIPPING,
        replace(NONE, created=Locked("locked")),
        "wait",
        "locked",
    ),
    Row(
        "one that comes again is a lock",
        replace(SKIPPING, attempts=2),
        replace(NONE, created=Locked("no")),
        "skip",
        "no",
    ),
    Row(
        "and so is one whose holder is known",
        SKIPPING,
        replace(NONE, actions=(action(),), created=Locked("no")),
        "skip",
        LOCK,
    ),
    Row(
        "whose holder is named if it is known",
        job(attempts=2),
        replace(NONE, actions=(action(),), created=Locked("no")),
        "wait",
        LOCK,
    ),
    Row(
        "a create that was refused for its rate is sent later",
        job(requests_left=0),
        replace(NONE, created=BUSY),
        "wait",
        "too many",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_what_is_decided(row: Row) -> None:
    step = creating.decide(row.job, row.seen, 0.0)
    assert step.kind == row.kind
    assert step.job.reason.startswith(row.reason)
    if step.kind in ("skip", "fail"):
        assert step.job.result and step.job.result.status == step.job.status
        assert step.job.status == {"skip": "skipped", "fail": "failed"}[step.kind]
    elif step.kind in ("wait", "watch"):
        assert step.job.status == {"wait": "waiting", "watch": "creating"}[step.kind]
        assert step.job.wait_seconds > 0 and not step.job.result


def test_a_watched_snapshot_has_its_own_deadline_from_the_create_on() -> None:
    watched = creating.decide(job(600), replace(NONE, created=StartedSnapshot(7, 77)), 0.0).job
    assert (watched.deadline_s, watched.waited_s) == (600 + 180 * 60, 600)
    assert watched.snapshot == StartedSnapshot(7, 77)
    assert watched.maybe_posted and not watched.adopted and watched.looks == ()
    again = job(900, failed_actions=1, deadline_s=1000, adopted=True)
    again = creating.decide(again, replace(NONE, created=StartedSnapshot(8, 78)), 0.0).job
    assert (again.deadline_s, again.adopted) == (1000, False)


def test_an_adopted_snapshot_is_told_as_such() -> None:
    good = creating.decide(job(30), Seen(snapshots=(image(),)), 0.0).job
    assert good.adopted and good.status == "available" and good.waited_s == 30
    assert good.snapshot == StartedSnapshot(7, available=True)
    known = creating.decide(job(30, waited_s=5), Seen(snapshots=(image(),)), 0.0).job
    assert known.waited_s == 5
    seen = Seen(actions=(OURS,), snapshots=(image("creating"),))
    young = creating.decide(job(), seen, 0.0).job
    assert young.adopted and young.snapshot == StartedSnapshot(7, 17)
    assert young.looks == (Look(600, 40),)


def test_a_lock_is_timed_from_look_to_look_and_named() -> None:
    class Api:
        answered_at: datetime | None = NOW + timedelta(seconds=150)
        requests_left: int | None = None
        requests_per_hour: int | None = None
        actions_left: int | None = None
        actions_per_hour: int | None = None

    locked = creating.decide(job(), Seen(locked=True, actions=(action(),)), 0.0).job
    assert (locked.lock, locked.lock_from_s) == ("change_type", 0)
    free = creating.observed(locked, Api(), NONE)
    assert (free.lock_s, free.lock_from_s) == (150, None)
    assert (
        creating.decide(
            replace(free, lock_s=150), Seen(locked=True, actions=(action(),)), 0.0
        ).job.lock_s
        == 150
    )
    unnamed = creating.decide(job(attempts=2), replace(NONE, created=Locked("locked")), 0.0).job
    assert (unnamed.lock, unnamed.lock_from_s) == ("", 0)


class Later:
    """Hetzner's answer 150 s after the first look."""

    answered_at: datetime | None = NOW + timedelta(seconds=150)
    requests_left: int | None = None
    requests_per_hour: int | None = None
    actions_left: int | None = None
    actions_per_hour: int | None = None


def test_a_lock_that_nobody_was_known_to_hold_is_put_down_to_who_holds_it_now() -> None:
    locked = job(lock_from_s=0, lock="")
    held = creating.observed(locked, Later(), Seen(locked=True, actions=(action(),)))
    assert held.locks == (("change_type", 150),)
    free = creating.observed(locked, Later(), Seen(locked=False, actions=(action(),)))
    assert free.locks == (("", 150),)


def test_what_runs_while_the_server_is_free_is_not_taken_for_a_holder() -> None:
    actions = (action(), replace(action("success"), id=18), replace(action(), id=5))
    known = job(harmless=(6,))
    free = creating.observed(known, Later(), Seen(locked=False, actions=actions))
    assert free.harmless == (5, 6, 17)
    for locked in (True, None):
        held = creating.observed(known, Later(), Seen(locked=locked, actions=actions))
        assert held.harmless == (6,)


@pytest.mark.parametrize(
    ("sentence", "job", "actions", "asks"),
    [
        ("where nothing runs the create tells", job(), (action("success"),), False),
        ("what runs may lock or not", job(), (action("success"), action()), True),
        ("an image that is made is waited for, locked or not", job(), (action(), OURS), False),
        ("but skipped only if locked", SKIPPING, (OURS,), True),
        ("a dry run sends no create", DRY, (), True),
    ],
)
def test_hetzner_is_asked_whether_a_server_is_locked_if_nothing_else_tells(
    sentence: str, job: Job, actions: tuple[Action, ...], asks: bool
) -> None:
    assert creating.lock_is_doubtful(job, Seen(actions=actions)) is asks, sentence


def test_the_first_look_sets_the_deadline_and_learns_what_earlier_snapshots_took() -> None:
    class Api:
        answered_at: datetime | None = NOW
        requests_left: int | None = 99
        requests_per_hour: int | None = 3600
        actions_left: int | None = None
        actions_per_hour: int | None = None

    earlier = [
        action("success", "create_image", finished=NOW - timedelta(minutes=10 - n))
        for n in range(1, 7)
    ]
    seen = Seen(actions=(action("success"), action("error", "create_image"), *earlier))
    looked = creating.observed(job(deadline_s=None, attempts=0), Api(), seen)
    assert (looked.deadline_s, looked.attempts, looked.requests_left) == (3600, 1, 99)
    assert looked.earlier_s == (60, 120, 180, 240, 300)
    assert creating.observed(job(5, deadline_s=7), Api(), NONE).deadline_s == 7


@pytest.mark.parametrize(
    ("sentence", "job", "is_all"),
    [
        ("while it is locked nothing else need be known", job(), True),
        ("before a skip the snapshots are looked at", SKIPPING, False),
        ("before a plan, too", DRY, False),
        ("after a create of ours they are", job(maybe_posted=True), False),
        ("before the end they are", LATE, False),
    ],
)
def test_when_a_lock_is_all_there_is_to_know(sentence: str, job: Job, is_all: bool) -> None:
    assert creating.lock_is_all(job, Seen(locked=True, actions=(action(),))) is is_all, sentence
    assert not creating.lock_is_all(job, Seen())


@pytest.mark.parametrize(
    ("minutes_ago", "status", "is_all", "unlisted"),
    [
        (59, "success", False, [7]), (60, "success", False, []), (719, "success", False, []),
        (720, "success", True, []), (10, "error", True, []), (10, "running", False, [7]),
    ],
)  # fmt: skip
def test_a_create_image_of_late_may_be_this_runs(
    minutes_ago: int, status: str, is_all: bool, unlisted: list[int]
) -> None:
    made = action(status, "create_image", minutes_ago=minutes_ago, image_ids=frozenset({7}))
    seen = Seen(locked=True, actions=(action(), made))
    assert creating.lock_is_all(job(), seen) is is_all
    assert list(creating.unlisted_images(job(), seen)) == unlisted
    # Other actions make no snapshot.
    other = Seen(actions=(replace(made, command="rebuild"),))
    assert list(creating.unlisted_images(job(), other)) == []
    unknown = replace(job(), stopwatch=Stopwatch())
    assert list(creating.unlisted_images(unknown, seen)) == []


def test_only_what_is_labelled_as_ours_and_of_this_run_is_this_runs() -> None:
    other_run = replace(image(id=8), labels={**LABELS, LABEL_RUN_ID: "yesterday"})
    assert creating.of_this_run(job(), [image(), other_run]) == (image(),)
    assert creating.is_ours(job(), other_run)
    for label, value in ((LABEL_MANAGED_BY, "other"), (LABEL_SERVER_ID, "43")):
        assert not creating.is_ours(job(), replace(image(), labels={**LABELS, label: value}))


def test_all_but_the_one_to_adopt_are_told() -> None:
    broken, first, second = image("unavailable", 5), image(id=6), image("creating", 7)
    assert Seen(snapshots=(broken, first, second)).unused == [broken, second]
    assert Seen(snapshots=(first,)).unused == [] and Seen().unused == []


def test_nothing_is_created_without_a_look_at_the_snapshots() -> None:
    with pytest.raises(AssertionError, match="without a look"):
        creating.decide(job(), Seen(), 0.0)


def test_what_an_earlier_attempt_may_have_posted_is_made_if_it_is_nowhere() -> None:
    assert creating.decide(job(maybe_posted=True), NONE, 0.0).kind == "create"
    late = replace(LATE, maybe_posted=True, reason="no clear answer")
    assert "after 60 min: no clear answer. To retry" in creating.decide(late, NONE, 0.0).job.reason
    unclear = creating.decide(job(), replace(NONE, created=OutcomeUnknown("504")), 0.0).job
    assert unclear.maybe_posted and unclear.wait_seconds == 39


def test_the_first_of_two_decides_whether_the_actions_are_needed() -> None:
    two = Seen(actions_error=DOWN, snapshots=(image("creating"), image(id=8)))
    assert creating.decide(job(), two, 0.0).kind == "wait"


def test_how_long_until_the_first_look() -> None:
    made = creating.decide(job(), replace(NONE, created=StartedSnapshot(7, 77)), 0.0).job
    assert made.wait_seconds == 38
    usual = creating.decide(
        job(earlier_s=(100,)), replace(NONE, created=StartedSnapshot(7)), 0.0
    ).job
    assert usual.wait_seconds == 88
    adopted = creating.decide(job(), Seen(actions=(OURS,), snapshots=(image("creating"),)), 0.0).job
    assert adopted.wait_seconds == 900
    without_clock = replace(job(), stopwatch=Stopwatch())
    seen = Seen(actions=(OURS,), snapshots=(image("creating"),))
    assert creating.decide(without_clock, seen, 0.0).job.looks == ()


def test_only_actions_that_have_ended_tell_how_long_earlier_snapshots_took() -> None:
    class Api:
        answered_at: datetime | None = NOW
        requests_left: int | None = None
        requests_per_hour: int | None = None
        actions_left: int | None = None
        actions_per_hour: int | None = None

    endless = action("success", "create_image")
    assert creating.observed(job(), Api(), Seen(actions=(endless,))).earlier_s == ()
    known = job(earlier_s=(60,))
    assert creating.observed(known, Api(), Seen()).earlier_s == (60,)


def test_an_action_in_a_status_that_is_new_is_waited_for() -> None:
    paused = replace(NAMELESS, status="paused")
    seen = Seen(actions=(paused,), snapshots=())
    assert paused.is_running and seen.makes_image
    assert creating.decide(job(60), seen, 0.0).kind == "wait"
    assert not replace(NAMELESS, status="error").is_running
