"""What CreateServer decides after each look: a table, each row a sentence."""

from dataclasses import replace
from datetime import timedelta

import pytest

from handler.decisions import restoring
from handler.decisions.restoring import NO_KEY, Seen, Step, expected
from handler.documents.copies import WantedCopy
from handler.documents.document import Stopwatch
from handler.documents.errors import (
    Locked,
    NameTaken,
    NoStock,
    NotFound,
    QuotaReached,
    Refused,
    Unauthorized,
)
from handler.documents.labels import LABEL_THROW_AWAY
from tests.restore_tables import (
    BUSY,
    COPY,
    DOWN,
    FRESH,
    LOST,
    NOW,
    WALL,
    Row,
    at,
    kept,
)

READY = Seen(firewall=WALL, ssh_keys=(3,))
LATE = at(FRESH, 3600)
NO_STOCK = NoStock("sold out")


def seen(**more: object) -> Seen:
    return replace(READY, **more)  # type: ignore[arg-type]


def answered(answer: object) -> Seen:
    return seen(created=answer)


def said(step: Step) -> tuple[str, str, str]:
    """What is next, how it goes on or its outcome, and why."""
    restore = step.restore
    if step.kind == "end" and restore.result:
        return "end", restore.result.status, restore.result.reason
    if step.kind == "end":
        return "end", restore.outcome, restore.outcome_reason
    return step.kind, restore.status, restore.reason


UNLABELLED = replace(COPY, labels=COPY.labels | {LABEL_THROW_AWAY: "false"})
ROWS = [
    # Nothing is there yet.
    Row("a copy is made", FRESH, READY, "create", "new", ""),
    Row("not behind somebody's firewall", FRESH, seen(firewall=replace(WALL, labels={})), "end",
        "failed",
        "nothing was made: firewall 5 has our name and not our label "
        "hetzner-snapshots/managed-by=me. Rename or delete that firewall, then start it again."),
    Row("nor behind one with other rules", FRESH, seen(firewall=replace(WALL, rules=frozenset())),
        "wait", "waiting",
        "firewall 5 has other outbound rules than the one that leads nowhere, although they were "
        "set"),
    Row("nor without a type", replace(FRESH, tried=2), READY, "end", "failed",
        "there is no server type that it could be restored to."),
    Row("nor after its deadline", LATE, READY, "end", "failed",
        "no copy made after 60 min: no time left to make a copy. Start it again."),
    Row("and the last trouble is told", replace(LATE, reason="down"), READY, "end", "failed",
        "no copy made after 60 min: down. Start it again."),
    Row("one that may be there is not denied", replace(LATE, maybe_posted=True), READY, "end",
        "failed", "no copy confirmed after 60 min: no time left to make a copy. Start it again."),
    Row("nor of a snapshot that is gone", FRESH, seen(snapshot_gone=True), "end", "failed",
        "snapshot 7 was deleted meanwhile. Start it again, of no certain snapshot: that takes the "
        "newest good one."),
    Row("nor without requests", replace(FRESH, requests_left=0), READY, "wait", "waiting",
        "0 of 3600 requests per hour left"),
    # A server of its name is there.
    Row("it was made before", FRESH, seen(copy=COPY), "watch", "creating",
        f"server 70 ({COPY.name}) is made: cx23 in fsn1"),
    Row("it is somebody's", FRESH, seen(copy=replace(COPY, image_id=8)), "end", "failed",
        f"server 70 ({COPY.name}) has the copy's name and is none: it was made of image 8, not of "
        "snapshot 7. Start it again, with another name."),
    Row("for the first reason that there is", kept(FRESH), seen(copy=replace(COPY, image_id=8)),
        "end", "failed",
        f"server 70 ({COPY.name}) has the copy's name and is none: it was made of image 8, not of "
        "snapshot 7. Start it again, with another name."),
    Row("it would not be removed", FRESH, seen(copy=UNLABELLED), "end", "failed",
        f"server 70 ({COPY.name}) has the copy's name and is none: its label {LABEL_THROW_AWAY} is "
        "not as this restore sets it. Start it again, with another name."),
    Row("it would be removed", kept(FRESH), seen(copy=COPY), "end", "failed",
        f"server 70 ({COPY.name}) has the copy's name and is none: its label {LABEL_THROW_AWAY} is "
        "not as this restore sets it. Start it again, with another name."),
    Row("it is kept as it should be", kept(FRESH), seen(copy=UNLABELLED), "watch", "creating",
        f"server 70 ({COPY.name}) is made: cx23 in fsn1"),
    # Errors of the reads.
    Row("an outage is waited for", FRESH, Seen(error=DOWN), "wait", "waiting", "down"),
    Row("until its deadline", LATE, Seen(error=DOWN), "end", "failed",
        "no copy made after 60 min: down. Start it again."),
    Row("too many requests are waited for", replace(FRESH, requests_left=0), Seen(error=BUSY),
        "wait", "waiting", "too many; 0 of 3600 requests per hour left"),
    Row("a firewall that came meanwhile is looked at", FRESH, Seen(error=NameTaken("taken")),
        "wait", "waiting", "taken"),
    Row("one that went, too", FRESH, Seen(error=NotFound("gone")), "wait", "waiting", "gone"),
    Row("and one that is held", FRESH, Seen(error=Locked("held")), "wait", "waiting", "held"),
    Row("until the deadline again", LATE, Seen(error=Locked("held")), "end", "failed",
        "no copy made after 60 min: held. Start it again."),
    Row("a bad token is told", FRESH, Seen(error=Unauthorized("bad token")), "end", "failed",
        "bad token. Its token needs Read & Write; check or replace it."),
    Row("a limit of firewalls is told", FRESH, Seen(error=QuotaReached("50")), "end", "failed",
        "the project's limit of firewalls is reached: 50. Delete firewalls that nobody needs."),
    Row("a refusal is told", FRESH, Seen(error=Refused("no")), "end", "failed",
        "Hetzner refused: no."),
    # The answer to the create.
    Row("it is made", FRESH, answered((COPY, 71)), "watch", "creating",
        f"server 70 ({COPY.name}) is made: cx23 in fsn1"),
    Row("the next type has its turn", FRESH, answered(NO_STOCK), "wait", "waiting",
        "cx23 in fsn1: sold out"),
    Row("until none is left", replace(FRESH, tried=1), answered(NO_STOCK), "end", "unproven",
        "none of 2 server types could be had, the last one cx33 in nbg1: sold out. Try again "
        "later."),
    Row("which for what is kept is a failure", kept(replace(FRESH, tried=1)), answered(NO_STOCK),
        "end", "failed",
        "none of 2 server types could be had, the last one cx33 in nbg1: sold out. Try again "
        "later."),
    Row("or until the deadline", LATE, answered(NO_STOCK), "end", "unproven",
        "none of 1 server types could be had, the last one cx23 in fsn1: sold out. Try again "
        "later."),
    Row("a type may not take the image", FRESH, answered(Refused("no", "invalid_input")), "wait",
        "waiting", "cx23 in fsn1: no (invalid_input)"),
    Row("nor a location the type", FRESH, answered(Refused("no", "unsupported_error")), "wait",
        "waiting", "cx23 in fsn1: no (unsupported_error)"),
    Row("if none does it has failed", replace(FRESH, tried=1),
        answered(Refused("no", "invalid_input")), "end", "failed",
        "none of 2 server types could be had, the last one cx33 in nbg1: no (invalid_input)."),
    Row("any other refusal is told", FRESH, answered(Refused("no", "forbidden")), "end", "failed",
        "Hetzner refused: no (forbidden)."),
    Row("its name is taken", FRESH, answered(NameTaken("taken")), "wait", "waiting", "taken"),
    Row("no clear answer", FRESH, answered(LOST), "wait", "waiting",
        "no clear answer to the create: 504"),
    Row("even after the deadline", LATE, answered(LOST), "wait", "waiting",
        "no clear answer to the create: 504"),
    Row("a limit of servers is told", FRESH, answered(QuotaReached("10")), "end", "failed",
        "the account's limit of servers or of primary IPs is reached: 10. Delete what nobody needs "
        "or ask for more on the console's Limits page."),
    Row("its snapshot is gone", FRESH, answered(NotFound("no image")), "end", "failed",
        "snapshot 7 or what it is restored with is gone: no image."),
    Row("an outage is waited for after it, too", FRESH, answered(DOWN), "wait", "waiting", "down"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_what_is_decided(row: Row) -> None:
    step = restoring.decide(row.restore, row.seen, 0.0)
    assert said(step) == (row.kind, row.status, row.reason)
    if row.kind in ("wait", "watch"):
        assert step.restore.wait_seconds > 0
    if row.kind == "end":
        assert step.restore.status == (row.status if row.restore.keep else "removing")


def test_the_first_look_sets_the_deadline() -> None:
    assert restoring.begun(at(FRESH, 30, deadline_s=None)).deadline_s == 30 + 60 * 60
    assert restoring.begun(FRESH) is FRESH


def test_a_copy_that_is_made_is_watched_from_then_on() -> None:
    made = restoring.decide(at(FRESH, 30), answered((COPY, 71)), 0.0).restore
    assert made.maybe_posted and (made.copy_id, made.create_action) == (70, 71)
    assert (made.address, made.created_s, made.wait_seconds) == ("127.0.0.9", 30, 25)
    assert made.copy_created == "2026-11-21T02:01:00Z"
    found = restoring.decide(FRESH, seen(copy=replace(COPY, ipv4=None)), 0.0).restore
    assert (found.create_action, found.address) == (None, "")


@pytest.mark.parametrize(
    "seen_now",
    [
        answered(QuotaReached("10")), answered(Refused("no")), answered(NotFound("no image")),
        answered(NO_STOCK), Seen(error=Unauthorized("bad token")),
    ],
)  # fmt: skip
def test_a_server_to_keep_that_may_be_there_and_billed_is_told(seen_now: Seen) -> None:
    told = f"A create had no clear answer: if there is a server {COPY.name} in the Hetzner console"
    last = replace(FRESH, tried=1)
    for restore in (kept(last), kept(replace(last, maybe_posted=True))):
        ended = restoring.decide(restore, seen_now, 0.0).restore
        assert (told in ended.reason) is restore.maybe_posted
        assert ended.result and ended.result.reason == ended.reason
    # RemoveServer looks for that of a drill.
    drill = restoring.decide(replace(last, maybe_posted=True), seen_now, 0.0).restore
    assert told not in drill.outcome_reason


def test_a_server_of_its_name_that_is_somebodys_leaves_no_doubt() -> None:
    found = seen(copy=replace(COPY, image_id=8))
    ended = restoring.decide(kept(replace(FRESH, maybe_posted=True)), found, 0.0).restore
    assert ended.reason.endswith("Start it again, with another name.")


@pytest.mark.parametrize("answer", [LOST, NameTaken("taken")])
def test_what_may_have_been_made_is_not_forgotten(answer: Exception) -> None:
    waiting = restoring.decide(FRESH, answered(answer), 0.0).restore
    assert waiting.maybe_posted and waiting.wait_seconds == 39
    assert not restoring.decide(FRESH, answered(NO_STOCK), 0.0).restore.maybe_posted


def test_the_next_type_has_its_turn_at_once() -> None:
    later = restoring.decide(FRESH, answered(NO_STOCK), 0.0).restore
    assert (later.tried, later.wait_seconds) == (1, 2)


def test_a_project_without_a_key_is_warned_of_the_password() -> None:
    assert restoring.decide(FRESH, READY, 0.0).restore.problem == ""
    keyless = restoring.decide(FRESH, seen(ssh_keys=()), 0.0).restore
    assert keyless.problem == NO_KEY
    # Of what is kept the end tells it, of a drill RemoveServer.
    ended = restoring.decide(kept(keyless), answered(Refused("no")), 0.0)
    assert said(ended)[2] == f"Hetzner refused: no. {NO_KEY}"
    ended = restoring.decide(keyless, answered(Refused("no")), 0.0)
    assert said(ended)[2] == "Hetzner refused: no."


def test_the_create_asks_for_nothing_but_what_a_copy_needs() -> None:
    restore = restoring.decide(FRESH, READY, 0.0).restore
    assert restore.firewall_id == 5
    assert restoring.wanted(restore, READY) == WantedCopy(
        COPY.name, "cx23", "fsn1", 7, COPY.labels, 5, (3,)
    )
    labels = restoring.wanted(kept(restore), READY).labels
    assert LABEL_THROW_AWAY in COPY.labels and LABEL_THROW_AWAY not in labels


def test_nothing_is_created_that_was_not_looked_at() -> None:
    with pytest.raises(AssertionError, match="without a firewall"):
        restoring.decide(FRESH, Seen(), 0.0)
    for restore, unknown in ((replace(FRESH, tried=2), READY), (FRESH, seen(firewall=None))):
        with pytest.raises(AssertionError):
            restoring.wanted(restore, unknown)


@pytest.mark.parametrize(
    ("elapsed_s", "sure", "began", "restore_id", "since_s"),
    [
        (100, True, "2026-11-21T01:59:00Z", "drill-1", -60),
        # A clock that was ahead does not count.
        (100, True, "2026-11-21T05:00:00Z", "drill-1", 0),
        (100, True, None, "drill-1", 0),
        # Nor one that nobody has confirmed, nor that of another restore's sweep.
        (100, False, "2026-11-21T01:59:00Z", "drill-1", -60),
        (100, False, "2026-11-21T05:00:00Z", "drill-1", 3 * 3600),
        (100, True, "2026-11-21T05:00:00Z", "dead", 3 * 3600),
        (100, False, None, "drill-1", None),
    ],
)
def test_a_copy_is_known_by_all_that_it_was_made_with(
    elapsed_s: int, sure: bool, began: str | None, restore_id: str, since_s: int | None
) -> None:
    watch = Stopwatch(NOW + timedelta(seconds=elapsed_s), elapsed_s, sure)
    restore = replace(FRESH, stopwatch=watch, began=began, restore_id=restore_id)
    known = expected(restore)
    assert (known.owner, known.restore_id, known.server_id) == ("me", restore_id, 42)
    assert (known.name, known.image_id) == (COPY.name, 7)
    assert known.began == (None if since_s is None else NOW + timedelta(seconds=since_s))


def test_without_hetzners_clock_the_begin_is_what_was_told() -> None:
    blind = replace(FRESH, stopwatch=Stopwatch(None, 100, True))
    assert expected(blind).began == NOW - timedelta(seconds=60)
