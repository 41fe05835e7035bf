"""What RemoveServer decides after each look: tables, each row a sentence."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from handler.decisions import clearing
from handler.decisions.clearing import Seen, Step
from handler.documents.errors import HetznerError, Locked, Protected
from handler.documents.labels import LABEL_THROW_AWAY
from handler.documents.restore_run import Candidate
from tests.restore_tables import (
    BOOTING,
    BUSY,
    COPY,
    DENIED,
    DOWN,
    FRESH,
    GONE,
    LOST,
    NAME,
    NO,
    NOW,
    RUNNING,
    Row,
    at,
)

REMOVING = replace(
    BOOTING, status="removing", outcome="proven", outcome_reason="greets", deadline_s=600 + 3600
)
LATE = at(REMOVING, 600 + 3600)
SENT = replace(REMOVING, removal="sent")
NOTHING = replace(REMOVING, copy_id=None, maybe_posted=False, outcome="", outcome_reason="")
LOST_CREATE = replace(NOTHING, maybe_posted=True)
SWEPT = replace(NOTHING, copy_id=70, run=replace(NOTHING.run, sweep=True))
KEPT_LABELS = {name: text for name, text in COPY.labels.items() if name != LABEL_THROW_AWAY}
STILL = f"server 70 ({NAME}) is still there and costs 0.0061 EUR per hour, not removed: "
DELETE = "Delete it in the Hetzner console. Before that: proven, greets"
NONE = Seen(sees_project=True)


ROWS = [
    # It is there.
    Row("a copy is deleted", REMOVING, Seen(copy=RUNNING), "delete", "removing", ""),
    Row("also one that is off", REMOVING, Seen(copy=COPY), "delete", "removing", ""),
    Row("one that is being deleted is looked at again", REMOVING,
        Seen(copy=replace(COPY, status="deleting")), "wait", "removing", "it is being deleted"),
    Row("one that is no longer ours is left", REMOVING, Seen(copy=replace(COPY, name="mine-now")),
        "end", "proven",
        f"greets. Server 70 (mine-now) was left: it is not called {NAME}. No night saves it as "
        f"long as it has the label {LABEL_THROW_AWAY}: to keep it, take that off; else delete it."),
    Row("whole sentences before it stay so", replace(REMOVING, outcome_reason="it greets."),
        Seen(copy=replace(COPY, labels=KEPT_LABELS)), "end", "proven",
        f"it greets. Server 70 ({NAME}) was left: it has no label {LABEL_THROW_AWAY}=true."),
    Row("and so is one that somebody wants to keep", REMOVING,
        Seen(copy=replace(COPY, labels=KEPT_LABELS)), "end", "proven",
        f"greets. Server 70 ({NAME}) was left: it has no label {LABEL_THROW_AWAY}=true."),
    Row("which skips what had no outcome", SWEPT, Seen(copy=replace(COPY, labels=KEPT_LABELS)),
        "end", "skipped",
        f"Server 70 ({NAME}) was left: it has no label {LABEL_THROW_AWAY}=true."),
    Row("after the deadline it is told", LATE, Seen(copy=RUNNING), "end", "failed",
        f"{STILL}no time left. {DELETE}"),
    Row("with the last trouble", replace(LATE, reason="down"), Seen(copy=RUNNING), "end", "failed",
        f"{STILL}down. {DELETE}"),
    # There is none.
    Row("it was removed", SENT, NONE, "end", "proven", "greets; removed"),
    Row("somebody else has removed it", REMOVING, NONE, "end", "proven",
        "greets; somebody else has removed it"),
    Row("whole sentences stay so", replace(SENT, outcome_reason="it greets."), NONE, "end",
        "proven", "it greets. Removed."),
    Row("what is told besides stays", replace(SENT, problem="No key."), NONE, "end", "proven",
        "greets; removed. No key."),
    Row("a leftover was removed", replace(SWEPT, removal="sent"), NONE, "end", "removed",
        "removed"),
    Row("what nobody decided has failed", replace(SENT, outcome="", outcome_reason=""), NONE,
        "end", "failed", "removed"),
    Row("nothing was made", NOTHING, Seen(), "end", "failed", "nothing was made"),
    Row("a token that sees nothing proves nothing", REMOVING, Seen(), "wait", "removing",
        "the copy is not found, and the token sees nothing else of this project"),
    Row("nor for a create without an answer", at(LOST_CREATE, 4000), Seen(), "wait", "removing",
        "the copy is not found, and the token sees nothing else of this project"),
    Row("after a create without an answer it is looked for", LOST_CREATE, NONE, "wait", "removing",
        f"a create had no answer: {NAME} is looked for"),
    Row("for ten minutes", at(LOST_CREATE, 600 + 599), NONE, "wait", "removing",
        f"a create had no answer: {NAME} is looked for"),
    Row("and no longer", at(LOST_CREATE, 600 + 600), NONE, "end", "failed",
        "no server of the create that had no answer is there"),
    # It is not known.
    Row("an outage is waited for", REMOVING, Seen(error=DOWN), "wait", "removing", "down"),
    Row("too many requests, too", replace(REMOVING, requests_left=0), Seen(error=BUSY), "wait",
        "removing", "too many; 0 of 3600 requests per hour left"),
    Row("until the deadline", LATE, Seen(error=DOWN), "end", "failed", f"{STILL}down. {DELETE}"),
    Row("a bad token ends it", REMOVING, Seen(error=DENIED), "end", "failed",
        f"{STILL}bad token. {DELETE}"),
    Row("and so does a refusal", REMOVING, Seen(error=NO), "end", "failed",
        f"{STILL}nonsense (invalid_input). {DELETE}"),
    Row("what holds it is waited for", REMOVING, Seen(error=Locked("held")), "wait", "removing",
        "held"),
    Row("what may be there is told so", replace(LOST_CREATE, outcome="", candidates=()),
        Seen(error=DENIED), "end", "failed",
        f"a server ({NAME}) may be still there and is billed, not removed: bad token. Delete it in "
        "the Hetzner console."),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_what_is_decided(row: Row) -> None:
    step = clearing.decide(row.restore, row.seen, 0.0)
    assert (step.kind, step.restore.status) == (row.kind, row.status)
    assert step.restore.reason == row.reason
    assert (step.restore.result is not None) is (row.kind == "end")
    if row.kind == "wait":
        assert step.restore.wait_seconds > 0


def test_what_is_known_of_the_copy_is_told_at_the_end() -> None:
    found = clearing.decide(replace(LOST_CREATE, copy_created=None), Seen(copy=COPY), 0.0).restore
    assert (found.copy_id, found.copy_created) == (70, "2026-11-21T02:01:00Z")
    left = clearing.decide(REMOVING, Seen(copy=replace(COPY, name="mine-now")), 0.0).restore
    assert left.removal == "left" and left.result and left.result.copy_id == 70
    assert left.result.problem == left.problem != ""
    gone = clearing.decide(SENT, NONE, 0.0).restore
    assert gone.result and (gone.result.copy_id, gone.result.cost) == (None, "")
    deleting = clearing.decide(REMOVING, Seen(copy=replace(COPY, status="deleting")), 0.0).restore
    assert (deleting.removal, deleting.wait_seconds) == ("sent", 8)


@pytest.mark.parametrize(
    ("error", "seconds"), [(DOWN, 39), (Locked("held"), 30), (Protected("kept"), 30)]
)
def test_how_long_it_is_waited(error: HetznerError, seconds: int) -> None:
    assert clearing.decide(REMOVING, Seen(error=error), 0.0).restore.wait_seconds == seconds
    assert clearing.after_delete(REMOVING, error, 0.0).restore.wait_seconds == seconds


@pytest.mark.parametrize(("passed_s", "seconds"), [(0, 8), (60, 8), (100, 12), (1000, 120)])
def test_one_that_does_not_go_is_looked_at_ever_more_rarely(passed_s: int, seconds: int) -> None:
    deleting = Seen(copy=replace(COPY, status="deleting"))
    later = at(REMOVING, 600 + passed_s)
    assert clearing.decide(later, deleting, 0.0).restore.wait_seconds == seconds
    held = clearing.decide(later, Seen(error=Locked("held")), 0.0).restore
    assert held.wait_seconds == max(30, seconds)


def test_what_has_broken_off_may_have_made_something() -> None:
    begun = clearing.begun(replace(BOOTING, maybe_posted=False))
    assert (begun.status, begun.maybe_posted, begun.outcome) == ("removing", True, "failed")
    assert begun.outcome_reason == "it broke off while booting: look at the log"
    assert begun.deadline_s == 600 + 60 * 60
    # What was seen before remains.
    proven = clearing.begun(replace(BOOTING, outcome="proven", outcome_reason="greets"))
    assert (proven.outcome, proven.outcome_reason) == ("proven", "greets")


def test_what_was_sent_here_has_an_hour_from_its_first_look_on() -> None:
    sent = replace(REMOVING, deadline_s=None, maybe_posted=False)
    assert clearing.begun(sent) == replace(sent, deadline_s=600 + 60 * 60)
    assert clearing.begun(REMOVING) is REMOVING


def said(step: Step) -> tuple[str, str, str]:
    return step.kind, step.restore.status, step.restore.reason


@pytest.mark.parametrize(
    ("answer", "action"), [(73, 73), (None, None), (GONE, None)], ids=["told", "not told", "gone"]
)
def test_a_delete_is_believed_when_the_copy_is_seen_to_be_gone(
    answer: int | HetznerError | None, action: int | None
) -> None:
    step = clearing.after_delete(REMOVING, answer, 0.0)
    assert said(step) == ("wait", "removing", "server 70 is being deleted")
    assert (step.restore.removal, step.restore.remove_action) == ("sent", action)
    assert step.restore.wait_seconds == 8


@pytest.mark.parametrize("error", [DOWN, LOST, Locked("held"), Protected("kept")])
def test_a_delete_that_may_still_come_is_tried_again(error: HetznerError) -> None:
    step = clearing.after_delete(REMOVING, error, 0.0)
    assert said(step) == ("wait", "removing", str(error)) and step.restore.removal == ""
    late = clearing.after_delete(LATE, error, 0.0)
    assert said(late) == ("end", "failed", f"{STILL}{error}. {DELETE}")


@pytest.mark.parametrize("error", [NO, DENIED])
def test_a_delete_that_was_refused_is_told(error: HetznerError) -> None:
    step = clearing.after_delete(REMOVING, error, 0.0)
    assert said(step) == ("end", "failed", f"{STILL}Hetzner refused: {error}. {DELETE}")


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("created", "now", "per_hour", "spent"),
    [
        (NOW, NOW + HOUR, "0.0061", "0.01 EUR"),
        (NOW, NOW + HOUR, "0.5", "0.50 EUR"),
        (NOW, NOW + HOUR + timedelta(seconds=1), "0.5", "1.00 EUR"),  # each hour begun
        (NOW, NOW, "0.5", "0.50 EUR"),
        (NOW, NOW - 5 * HOUR, "0.5", "0.50 EUR"),  # by a clock that is wrong
        (NOW, NOW + 3 * HOUR, "0.0081", "0.03 EUR"),
        (None, NOW, "0.5", ""),
        (NOW, None, "0.5", ""),
        (NOW, NOW, "", ""),
        (NOW, NOW, "free", ""),
    ],
)
def test_what_a_copy_has_cost(
    created: datetime | None, now: datetime | None, per_hour: str, spent: str
) -> None:
    candidate = Candidate("cx23", "fsn1", per_hour, "EUR")
    restore = replace(
        FRESH,
        copy_created=created and created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        candidates=(candidate,),
    )
    assert clearing.cost(restore, now) == spent
    assert clearing.cost(replace(restore, candidates=()), now) == ""


def test_the_cost_is_of_the_time_until_the_end() -> None:
    restore = replace(SENT, copy_created="2026-11-21T02:01:00Z")
    ended = clearing.decide(at(restore, 2 * 3600), NONE, 0.0).restore
    assert ended.result and ended.result.cost == "0.02 EUR"
    assert clearing.cost(replace(restore, candidates=(Candidate("a", "b", "0.5"),)), NOW) == "0.50"
