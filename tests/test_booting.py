"""What CheckServer decides after each look at a copy: tables, each row a sentence."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from handler.decisions import booting, marking
from handler.decisions.booting import Seen, Step
from handler.documents.copies import Rule
from handler.documents.errors import HetznerError, Locked, Refused
from handler.documents.labels import (
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_SERVER_DRILLED_AT,
    LABEL_SERVER_ID,
    LABEL_SERVER_PROVEN_AT,
    LABEL_UNPROVEN_AT,
)
from handler.documents.resources import Action, Snapshot
from handler.documents.restore import Restore
from handler.documents.restore_run import Original
from tests.restore_tables import (
    BOOTING,
    BUSY,
    COPY,
    DOWN,
    GONE,
    LOST,
    MADE,
    NO,
    NOW,
    RUNNING,
    WALL,
    Row,
    action,
    at,
    kept,
)

DETACH = "Look which label selector or tool attaches to servers by itself."
NETWORK = {"networks": (4,)}
OFF_BY_US = replace(BOOTING, off_reason="network 4 is on it")
GREETED = replace(BOOTING, outcome="proven", outcome_reason="greets")
LATE, LATE_ON = at(MADE, 3600), at(BOOTING, 1000)
UNPROBED = {"server": Original(42, "sg5", "none")}
LETS_OUT = replace(WALL, rules=frozenset({Rule("out", "tcp", "1", frozenset({"0.0.0.0/0"}))}))


def seen(**more: Any) -> Seen:
    return Seen(**{"copy": COPY, "firewall": WALL, "applying": (), **more})


def on(**changes: Any) -> Seen:
    return seen(copy=replace(RUNNING, **changes))


def off(**changes: Any) -> Seen:
    return seen(copy=replace(COPY, **changes))


def said(step: Step) -> tuple[str, str, str]:
    """What is next, how it goes on or its outcome, and why."""
    restore = step.restore
    if step.kind == "wait":
        return "wait", restore.status, restore.reason
    if restore.result:
        return step.kind, restore.result.status, restore.result.reason
    return step.kind, restore.outcome or restore.status, restore.outcome_reason


ROWS = [
    # Off.
    Row("it is not there yet", MADE, seen(action=action()), "wait", "creating",
        "create_server, 40 %"),
    Row("it is there", MADE, seen(action=action("success")), "power_on", "creating", ""),
    Row("and its action is not known", MADE, seen(), "power_on", "creating", ""),
    Row("it is being made", MADE, off(status="initializing"), "wait", "creating",
        "the copy is initializing"),
    Row("it is not told what it is", MADE, seen(copy=replace(COPY, status="unknown",
        firewalls=((5, "pending"),))), "wait", "creating", "the copy is unknown"),
    Row("once it was on it counts as on", BOOTING, on(status="unknown", **NETWORK), "power_off",
        "booting", ""),
    Row("what is at it counts, too", MADE, off(status="unknown", **NETWORK), "power_off",
        "creating", ""),
    Row("it is locked", MADE, off(locked=True), "wait", "creating", "the copy is locked"),
    Row("it was not made", MADE, seen(action=action("error", error="no (unknown)")), "end",
        "failed", "the copy was not made: no (unknown)."),
    Row("it is powered on again if that has failed", BOOTING,
        seen(action=action("error", "start_server")), "power_on", "booting", ""),
    Row("it is being powered on", BOOTING, seen(action=action("running", "start_server")),
        "wait", "booting", "start_server, 40 %"),
    Row("it has gone off", BOOTING, seen(action=action("success", "start_server")), "wait",
        "booting", "it has gone off by itself"),
    Row("and stays so", LATE_ON, seen(), "mark", "unproven",
        "it has gone off by itself, 15 min after its start."),
    Row("no time is left", LATE, seen(), "end", "unproven",
        "not there after 60 min: no time left to power it on."),
    Row("it never came", LATE, seen(action=action()), "end", "unproven",
        "not there after 60 min: create_server, 40 %."),
    # Its isolation.
    Row("nothing else may be at it", MADE, off(**NETWORK), "end", "unproven",
        f"it was not powered on: network 4 is on it. {DETACH}"),
    Row("even before it is there", MADE, off(status="initializing", **NETWORK), "end", "unproven",
        f"it was not powered on: network 4 is on it. {DETACH}"),
    Row("its firewall is gone", MADE, seen(firewall=None), "end", "unproven",
        "it was not powered on: our firewall 5 is gone."),
    Row("its firewall is somebody's", MADE, seen(firewall=replace(WALL, name="web")), "end",
        "unproven", f"it was not powered on: firewall 5 has another name than {WALL.name}."),
    Row("its rules are being applied", MADE, seen(applying=(action("running", "set_rules"),)),
        "wait", "creating", "it is not powered on yet: the rules of our firewall are being "
        "applied: set_rules (action 71, 40 %, since 02:00Z)"),
    Row("that is not known", MADE, seen(applying=None), "wait", "creating", "it is not powered on "
        "yet: it is not known whether the rules of our firewall are being applied"),
    Row("it runs before its firewall is applied", MADE,
        seen(copy=replace(RUNNING, firewalls=((5, "pending"),))), "power_off", "creating", ""),
    Row("it is applied again", replace(BOOTING, was_isolated=True),
        on(firewalls=((5, "pending"),)), "probe", "booting", ""),
    Row("its firewall is not applied", MADE, off(firewalls=((5, "pending"),)), "wait", "creating",
        "it is not powered on yet: our firewall 5 is pending on it"),
    Row("its firewall lets out", MADE, seen(firewall=LETS_OUT), "wait", "creating",
        "it is not powered on yet: firewall 5 has other outbound rules than the one that leads "
        "nowhere"),
    # On.
    Row("it runs", BOOTING, on(), "probe", "booting", ""),
    Row("it has no address", BOOTING, on(ipv4=None), "wait", "booting",
        "the copy has no IPv4 address"),
    Row("it starts", BOOTING, on(status="starting"), "wait", "booting", "the copy is starting"),
    Row("it starts for too long", LATE_ON, on(status="starting"), "mark", "unproven",
        "the copy is starting, 15 min after its start."),
    Row("it need not greet", replace(BOOTING, **UNPROBED), on(), "mark", "restored",
        "is running; its label says that it is not probed"),
    Row("what it proved is not written yet", GREETED, on(), "mark", "proven", "greets"),
    Row("nor when it has gone off since", GREETED, seen(), "mark", "proven", "greets"),
    Row("something has attached itself since its proof", GREETED, on(**NETWORK), "power_off",
        "proven", "greets"),
    Row("something has attached itself", BOOTING, on(**NETWORK), "power_off", "booting", ""),
    Row("its firewall was opened", BOOTING, seen(copy=RUNNING, firewall=LETS_OUT), "power_off",
        "booting", ""),
    # Switched off by us.
    Row("it is off", OFF_BY_US, seen(), "end", "unproven",
        f"it was switched off: network 4 is on it. {DETACH}"),
    Row("it is still on", OFF_BY_US, on(), "power_off", "booting", ""),
    Row("it cannot be switched off", at(OFF_BY_US, 1000), on(), "end", "failed",
        "network 4 is on it, and it could not be switched off. Switch it off in the Hetzner "
        "console."),
    Row("it had greeted before", replace(GREETED, off_reason="network 4 is on it"), seen(), "mark",
        "proven", "greets"),
    # Somebody's.
    Row("it is no longer ours", BOOTING, on(name="mine-now"), "end", "unproven",
        f"server 70 (mine-now) is no copy of this restore any more: it is not called {COPY.name}."),
    Row("but it had greeted", GREETED, on(name="mine-now"), "mark", "proven", "greets"),
    Row("or is deleted since", GREETED, on(status="deleting"), "mark", "proven", "greets"),
    Row("or has something at it", GREETED, off(**NETWORK), "mark", "proven", "greets"),
    Row("it is being deleted", BOOTING, on(status="deleting"), "wait", "booting",
        "somebody deletes the copy"),
    # Errors.
    Row("an outage is waited for", MADE, Seen(error=DOWN), "wait", "creating", "down"),
    Row("until the deadline", LATE, Seen(error=DOWN), "end", "unproven",
        "not there after 60 min: down."),
    Row("half an hour longer once it is on", LATE_ON, Seen(error=DOWN), "wait", "booting", "down"),
    Row("all of it", at(BOOTING, 1000 + 1799), Seen(error=DOWN), "wait", "booting", "down"),
    Row("and no longer", at(BOOTING, 1000 + 1800), Seen(error=DOWN), "mark", "unproven",
        "down, 15 min after its start."),
    Row("what it proved remains", at(GREETED, 1000), Seen(error=DOWN), "mark", "proven", "greets"),
    Row("also before the deadline", GREETED, Seen(error=DOWN), "wait", "booting", "down"),
    Row("too many requests are waited for", replace(MADE, requests_left=0), Seen(error=BUSY),
        "wait", "creating", "too many; 0 of 3600 requests per hour left"),
    Row("a refusal ends it", MADE, Seen(error=NO), "end", "failed", "nonsense (invalid_input)."),
    Row("but for what it proved", GREETED, Seen(error=NO), "mark", "proven", "greets"),
    Row("a lock is waited for", MADE, Seen(error=Locked("held", "locked")), "wait", "creating",
        "held (locked)"),
    Row("and what is in its way", MADE, Seen(error=Refused("busy", "conflict")), "wait",
        "creating", "busy (conflict)"),
    Row("it is not found", MADE, Seen(error=GONE), "end", "failed",
        "the copy is not found: no such server."),
    Row("though it was made", MADE, Seen(error=GONE, action=action("success")), "end", "failed",
        "the copy is not found: no such server."),
    Row("nor once it was on", BOOTING, Seen(error=GONE, action=action("error")), "end", "failed",
        "the copy is not found: no such server."),
    Row("a failed create has taken it away", MADE,
        Seen(error=GONE, action=action("error", error="no stock")), "wait", "waiting",
        "cx23 in fsn1: no stock"),
    Row("and there is no other type", replace(MADE, tried=1),
        Seen(error=GONE, action=action("error", error="no stock")), "end", "failed",
        "the copy was not made: cx33 in nbg1: no stock."),
    Row("or no time for it", LATE, Seen(error=GONE, action=action("error", error="no stock")),
        "end", "failed", "the copy was not made: cx23 in fsn1: no stock."),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_what_a_look_means(row: Row) -> None:
    step = booting.decide(row.restore, row.seen, 0.0)
    assert said(step) == (row.kind, row.status, row.reason)
    if row.kind == "wait":
        assert 0 < step.restore.wait_seconds <= max(900, row.restore.left_s)
    if row.kind == "end":
        assert step.restore.status == "removing"


def test_what_is_known_of_the_copy_is_kept_from_look_to_look() -> None:
    found = booting.decide(replace(MADE, firewall_id=None), seen(), 0.0).restore
    assert (found.firewall_id, found.address) == (5, "127.0.0.9")
    assert found.copy_created == "2026-11-21T02:01:00Z"
    # But for its address: one that it had may be another server's now.
    known = replace(MADE, address="127.0.0.8")
    assert booting.decide(known, off(ipv4=None), 0.0).restore.address == ""
    # It is looked for at the firewall that it was made behind, not at the one that is seen.
    other = booting.decide(MADE, seen(firewall=replace(WALL, id=8)), 0.0)
    assert other.restore.firewall_id == 5
    unknown = replace(MADE, firewall_id=None)
    assert said(booting.decide(unknown, seen(firewall=None), 0.0))[1] == "unproven"


def test_a_copy_that_is_on_without_our_doing_has_its_minutes_from_then_on() -> None:
    step = booting.decide(MADE, on(), 0.0)
    assert (step.kind, step.restore.powered_on, step.restore.powered_on_s) == ("probe", True, 100)
    assert step.restore.deadline_s == 100 + 15 * 60
    again = booting.decide(BOOTING, on(), 0.0).restore
    assert (again.powered_on_s, again.deadline_s) == (100, 1000)


@pytest.mark.parametrize(
    ("firewalls", "isolated"), [(((5, "applied"),), True), (((5, "pending"),), False), ((), False)]
)
def test_it_is_remembered_that_its_firewall_was_applied(firewalls: Any, isolated: bool) -> None:
    look = off(locked=True, firewalls=firewalls)
    assert booting.decide(MADE, look, 0.0).restore.was_isolated is isolated
    # Once it was, it may be applied again.
    again = booting.decide(replace(MADE, was_isolated=True), look, 0.0)
    assert again.restore.was_isolated


def test_one_that_may_be_on_behind_a_firewall_that_never_worked_is_switched_off() -> None:
    pending = {"firewalls": ((5, "pending"),)}
    for status in ("starting", "running"):
        assert booting.decide(MADE, on(status=status, **pending), 0.0).kind == "power_off"
    # A status that tells nothing is believed to be off until it was powered on.
    assert booting.decide(MADE, on(status="migrating", **pending), 0.0).kind == "wait"
    assert booting.decide(BOOTING, on(status="migrating", **pending), 0.0).kind == "power_off"


def test_a_failed_power_on_is_forgotten() -> None:
    step = booting.decide(BOOTING, seen(action=action("error", "start_server")), 0.0)
    assert step.restore.power_action is None


def test_why_it_is_switched_off_is_remembered() -> None:
    assert booting.decide(BOOTING, on(**NETWORK), 0.0).restore.off_reason == "network 4 is on it"


def test_what_need_not_greet_is_as_it_must_be_when_it_runs() -> None:
    assert booting.decide(replace(BOOTING, **UNPROBED), on(), 0.0).restore.greeted_s == 600


def test_the_next_type_begins_as_if_there_had_been_no_copy() -> None:
    gone = Seen(error=GONE, action=action("error", error="no stock"))
    later = booting.decide(replace(MADE, address="127.0.0.9"), gone, 0.0).restore
    assert (later.tried, later.wait_seconds) == (1, 2)
    nothing = (later.copy_id, later.create_action, later.created_s, later.copy_created)
    assert nothing == (None, None, None, None) and later.address == ""


@pytest.mark.parametrize(
    ("restore", "seconds"),
    [
        (at(MADE, 61), 15),
        (at(MADE, 60 + 125), 15),
        (at(MADE, 60 + 500), 60),  # 12 per cent of its time so far
        (at(MADE, 500, created_s=None), 60),
        (BOOTING, 60),
        (at(BOOTING, 990), 10),  # no look after the deadline
        (replace(BOOTING, powered_on_s=0), 72),
    ],
)
def test_looks_become_rarer_with_time(restore: Restore, seconds: int) -> None:
    waiting = booting.decide(restore, off(status="initializing"), 0.0).restore
    if restore.power_action:
        waiting = booting.decide(restore, on(status="starting"), 0.0).restore
    assert waiting.wait_seconds == seconds


def test_no_wait_in_an_outage_is_beyond_the_deadline() -> None:
    last = booting.decide(at(BOOTING, 999), Seen(error=DOWN), 0.0).restore
    assert (last.status, last.wait_seconds) == ("booting", 1)


def test_nothing_is_decided_without_a_look() -> None:
    with pytest.raises(AssertionError, match="a copy or an error"):
        booting.decide(MADE, Seen(), 0.0)


def test_few_requests_lengthen_the_wait() -> None:
    short = booting.decide(replace(MADE, requests_left=0), off(locked=True), 0.0).restore
    assert short.wait_seconds > 700
    assert short.reason == "the copy is locked; 0 of 3600 requests per hour left"


@pytest.mark.parametrize(
    ("restore", "seen_action", "may"),
    [
        (MADE, None, True),
        (MADE, action("success"), True),
        (MADE, action(), False),
        (BOOTING, None, False),
        (BOOTING, action("success", "start_server"), False),
        (BOOTING, action("running", "start_server"), False),
        (BOOTING, action("error", "start_server"), True),
    ],
)
def test_it_is_powered_on_once_and_again_only_if_that_has_failed(
    restore: Restore, seen_action: Action | None, may: bool
) -> None:
    assert booting.may_be_powered_on(restore, seen_action) is may


# What came of the deeds.


def test_once_it_was_powered_on_it_has_its_minutes_to_greet() -> None:
    sent = booting.after_power_on(MADE, replace(action(), id=72), 0.0).restore
    assert (sent.status, sent.reason, sent.wait_seconds) == ("booting", "it was powered on", 15)
    assert (sent.powered_on, sent.powered_on_s, sent.power_action) == (True, 100, 72)
    assert sent.deadline_s == 100 + 15 * 60
    for error in (LOST, Locked("held", "locked")):
        waiting = booting.after_power_on(MADE, error, 0.0)
        assert said(waiting) == ("wait", "creating", str(error))
        assert not waiting.restore.powered_on
    assert said(booting.after_power_on(MADE, NO, 0.0))[:2] == ("end", "failed")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, "it was switched off: network 4 is on it."),
        (DOWN, "it was not switched off (down), though network 4 is on it."),
        (NO, f"it was not switched off ({NO}), though network 4 is on it."),
    ],
)
def test_a_drills_copy_that_is_switched_off_is_removed_at_once(
    error: HetznerError | None, told: str
) -> None:
    step = booting.after_power_off(OFF_BY_US, error, 0.0)
    assert said(step) == ("end", "unproven", f"{told} {DETACH}")


@pytest.mark.parametrize(
    ("error", "told", "seconds"), [(None, "", 60), (DOWN, ": down", 39), (NO, f": {NO}", 60)]
)
def test_what_is_kept_is_seen_to_be_off(
    error: HetznerError | None, told: str, seconds: int
) -> None:
    step = booting.after_power_off(kept(OFF_BY_US), error, 0.0)
    assert said(step) == (
        "wait", "booting", f"it is switched off, because network 4 is on it{told}"
    )  # fmt: skip
    assert step.restore.wait_seconds == seconds


def test_who_greets_as_ssh_does_is_proven() -> None:
    step = booting.after_probe(BOOTING, "SSH-2.0-OpenSSH", (), 0.0)
    assert said(step) == ("mark", "proven", "greets on ssh 500 s after its start")
    assert (step.restore.greeting, step.restore.greeted_s) == ("SSH-2.0-OpenSSH", 600)
    # Also at the last moment.
    assert said(booting.after_probe(LATE_ON, "SSH-2.0-OpenSSH", (), 0.0))[1] == "proven"
    early = replace(BOOTING, powered_on_s=None)
    assert "600 s after its start" in said(booting.after_probe(early, "SSH-", (), 0.0))[2]


def test_who_greets_otherwise_is_listened_to_again_until_the_deadline() -> None:
    heard = booting.after_probe(BOOTING, "220 mail", (), 0.0)
    assert said(heard) == ("wait", "booting", "running for 500 s, 220 mail")
    assert (heard.restore.greeting, heard.restore.wait_seconds) == ("220 mail", 60)
    reason = "no greeting on port 22: 220 mail, 15 min after its start. An old image with fixed"
    late = booting.after_probe(LATE_ON, "220 mail", (), 0.0)
    assert said(late)[:2] == ("mark", "unproven") and said(late)[2].startswith(reason)
    # What is kept is there, which is what was asked for.
    assert said(booting.after_probe(kept(LATE_ON), "220 mail", (), 0.0))[:2] == ("mark", "restored")


@pytest.mark.parametrize(
    ("command", "proves"),
    [
        ("create_server", True), ("start_server", True), ("reboot_server", True),
        ("enable_rescue", False), ("attach_iso", False), ("rebuild_server", False),
    ],
)  # fmt: skip
def test_a_greeting_proves_nothing_after_another_system_may_have_started(
    command: str, proves: bool
) -> None:
    since = (action("success", "apply_firewall"), action("success", command))
    drilled = said(booting.after_probe(BOOTING, "SSH-2.0-OpenSSH", since, 0.0))
    restored = said(booting.after_probe(kept(BOOTING), "SSH-2.0-OpenSSH", since, 0.0))
    if proves:
        assert drilled[:2] == restored[:2] == ("mark", "proven")
    else:
        why = f"it greets, but {command} was used on it: that is no proof."
        assert drilled == ("end", "unproven", why)
        assert restored == ("end", "restored", why)


def test_a_greeting_counts_once_it_is_known_what_was_done() -> None:
    assert said(booting.after_probe(BOOTING, "SSH-", DOWN, 0.0)) == ("wait", "booting", "down")
    assert booting.after_probe(BOOTING, "SSH-", DOWN, 0.0).restore.greeted_s is None


def test_an_outcome_that_is_written_is_the_end() -> None:
    step = booting.after_mark(GREETED, None, 0.0)
    assert said(step) == ("end", "proven", "greets")
    assert (step.restore.status, step.restore.problem) == ("removing", "")
    assert step.restore.marked and not booting.after_mark(GREETED, NO, 0.0).restore.marked
    assert said(booting.after_mark(kept(GREETED), None, 0.0)) == ("end", "proven", "greets")


@pytest.mark.parametrize(
    ("attempts", "error", "kind", "told"),
    [
        (4, DOWN, "wait", "proven; not yet written on snapshot 7: down"),
        (5, DOWN, "end", "the outcome could not be written on snapshot 7: down."),
        (0, NO, "end", f"the outcome could not be written on snapshot 7: {NO}."),
        (0, GONE, "end", "snapshot 7 is gone meanwhile: nothing could be written on it."),
    ],
)
def test_an_outcome_that_cannot_be_written_remains_and_is_told(
    attempts: int, error: HetznerError, kind: str, told: str
) -> None:
    greeted = replace(GREETED, proof_attempts=attempts, problem="No key.")
    step = booting.after_mark(greeted, error, 0.0)
    assert (step.kind, step.restore.outcome) == (kind, "proven")
    if kind == "wait":
        assert (step.restore.status, step.restore.reason) == ("booting", told)
        assert (step.restore.proof_attempts, step.restore.wait_seconds) == (attempts + 1, 39)
        return
    assert (step.restore.problem, step.restore.reason) == (f"No key. {told}", "greets")
    # Of a drill RemoveServer tells the problem, of what is kept the end.
    assert said(booting.after_mark(kept(greeted), error, 0.0))[2] == f"greets. No key. {told}"


def test_a_snapshot_that_is_held_gets_its_outcome_at_the_next_look() -> None:
    held = booting.after_mark(GREETED, Locked("held", "locked"), 0.0)
    assert said(held) == (
        "wait", "booting", "proven; not yet written on snapshot 7: held (locked)"
    )  # fmt: skip
    assert held.restore.wait_seconds == 60


def test_that_it_was_switched_off_after_its_proof_is_told() -> None:
    proven = replace(GREETED, off_reason="network 4 is on it")
    assert booting.after_power_off(proven, None, 0.0).restore.problem == (
        "it was switched off: network 4 is on it."
    )
    # Once.
    again = replace(proven, problem="No key. it was switched off: network 4 is on it.")
    assert booting.after_power_off(again, None, 0.0).restore.problem == again.problem


# What is written on the snapshot.


@pytest.mark.parametrize(
    ("restore", "ours"),
    [
        (GREETED, {LABEL_PROVEN_AT: "20261121T020000Z", LABEL_PROVEN_BY: "ssh"}),
        (replace(GREETED, outcome="restored", **UNPROBED),
         {LABEL_PROVEN_AT: "20261121T020000Z", LABEL_PROVEN_BY: "running"}),
        (replace(GREETED, outcome="restored"), {LABEL_UNPROVEN_AT: "20261121T020000Z"}),
        (replace(GREETED, outcome="unproven"), {LABEL_UNPROVEN_AT: "20261121T020000Z"}),
        (replace(GREETED, outcome="unproven", **UNPROBED),
         {LABEL_UNPROVEN_AT: "20261121T020000Z"}),
    ],
)  # fmt: skip
def test_the_snapshot_says_whether_and_how_it_came_back(restore: Restore, ours: Any) -> None:
    assert marking.marks(restore, NOW) == ours


@pytest.mark.parametrize(
    ("restore", "ours"),
    [
        (GREETED, {LABEL_PROVEN_AT: "20261121T020000Z", LABEL_PROVEN_BY: "ssh"}),
        (replace(GREETED, outcome="restored", **UNPROBED),
         {LABEL_PROVEN_AT: "20261121T020000Z", LABEL_PROVEN_BY: "running"}),
        (replace(GREETED, outcome="failed"), {LABEL_SERVER_DRILLED_AT: "20261121T020000Z"}),
        (replace(GREETED, marked=True), {}),  # it is written already
    ],
)  # fmt: skip
def test_at_the_end_the_server_has_had_its_turn(restore: Restore, ours: Any) -> None:
    assert marking.marks_at_end(restore, NOW) == ours


def night(id_: int, hours: float, of: int = 42, made_of: int = 42) -> Snapshot:
    """A snapshot of so many hours after the drilled one."""
    made = NOW + timedelta(hours=hours - 24)
    return Snapshot(id_, made, labels={LABEL_SERVER_ID: str(of)}, made_of=made_of)


def test_a_snapshot_that_was_made_during_the_drill_is_handed_its_outcome() -> None:
    listing = [night(8, 1), night(9, 24), night(7, 0)]
    time = "20261121T020000Z"
    assert marking.for_newest(GREETED, NOW, listing) == (
        9, {LABEL_SERVER_DRILLED_AT: time, LABEL_SERVER_PROVEN_AT: time}
    )  # fmt: skip
    failed = replace(GREETED, outcome="failed")
    assert marking.for_newest(failed, NOW, listing) == (9, {LABEL_SERVER_DRILLED_AT: time})
    # Of an unknown time nothing is newer.
    untold = replace(GREETED, source=replace(GREETED.source, created=""))
    assert marking.for_newest(untold, NOW, listing) is None


@pytest.mark.parametrize(
    "other", [night(7, 0), night(6, -24), night(9, 24, of=43, made_of=43), night(9, 24, made_of=43)]
)
def test_no_other_snapshot_is_handed_anything(other: Snapshot) -> None:
    assert marking.for_newest(GREETED, NOW, [other]) is None


def test_a_proof_takes_the_place_of_a_failure_and_a_failure_that_of_none() -> None:
    proven, unproven = {LABEL_PROVEN_AT: "2"}, {LABEL_UNPROVEN_AT: "2"}
    there = {"people/wrote": "this", LABEL_PROVEN_AT: "1", LABEL_UNPROVEN_AT: "1"}
    assert marking.marked(there, proven) == {"people/wrote": "this", LABEL_PROVEN_AT: "2"}
    drilled = {LABEL_SERVER_DRILLED_AT: "2"}
    for ours in (unproven, drilled):
        assert marking.marked(there, ours) == there | ours
