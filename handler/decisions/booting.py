"""What CheckServer does next for a copy, and why: pure.

A copy is powered on only if nothing but our firewall is at it, and switched off when something has
attached itself. It is looked at again at every look.
"""

from collections.abc import Sequence
from dataclasses import replace

from handler.decisions import isolating, listening, pacing, removing
from handler.decisions.looking import NOTHING_SEEN, Seen, Step, by_time, until_again
from handler.decisions.pacing import Budget
from handler.decisions.restoring import NEXT_SECONDS, expected
from handler.documents.copies import Copy
from handler.documents.document import Wait, format_time
from handler.documents.errors import HetznerError, Locked, NotFound, TransientError
from handler.documents.resources import Action
from handler.documents.restore import Restore

OUTAGE_SECONDS = 1800  # so long after the deadline Hetzner's API is waited for
MOST_PROOF_ATTEMPTS = 6
MAY_BE_OLD = "An old image with fixed addresses, or without its volumes, may never answer;"
DETACH = "Look which label selector or tool attaches to servers by itself."


def decide(restore: Restore, seen: Seen, jitter: float) -> Step:
    """The next step of a restore that has observed what was seen."""
    if seen.error:
        return _after_error(restore, seen.error, jitter, seen)
    copy = seen.copy
    assert copy, "a copy or an error"
    why = removing.why_not_ours(copy, expected(restore))
    if restore.outcome and (why or copy.status == "deleting"):
        return Step("mark", restore)  # what was seen before counts
    if why:
        reason = f"server {copy.id} ({copy.name}) is no copy of this restore any more: {why}."
        return _end(restore, "unproven", reason)
    restore = replace(
        restore,
        address=copy.ipv4 or "",  # one that it had may be another server's now
        copy_created=format_time(copy.created),
    )
    if restore.firewall_id is None and seen.firewall:  # of a copy that was found by its name
        restore = replace(restore, firewall_id=seen.firewall.id)
    if copy.status == "deleting":
        return _wait(restore, "somebody deletes the copy", by_time(restore), jitter)
    if restore.off_reason:
        return _switched_off(restore, copy)
    return _looked(restore, copy, seen, jitter)


def may_be_powered_on(restore: Restore, action: Action | None) -> bool:
    """Whether the copy may be powered on at this look: it was not yet, or that has failed."""
    if action and action.is_running:
        return False
    return restore.powered_on_s is None or bool(action and action.status == "error")


def after_power_on(restore: Restore, answer: Action | HetznerError, jitter: float) -> Step:
    """The restore after its copy was powered on, or was not."""
    if isinstance(answer, Action):
        sent = replace(_booting(restore), power_action=answer.id)
        return _wait(sent, "it was powered on", by_time(sent), jitter)
    # After an unclear answer the next look tells whether it is on.
    return _after_error(restore, answer, jitter)


def after_power_off(restore: Restore, error: HetznerError | None, jitter: float) -> Step:
    """A drill's copy is removed at once, which is no weaker; what is kept is seen to be off."""
    if not restore.keep:
        return _end_switched_off(restore, error)
    said = f": {error}" if error else ""
    wait = until_again(error, restore, jitter)
    # Also after the deadline: the next look tells whether it is off.
    reason = f"it is switched off, because {restore.off_reason}{said}"
    return Step("wait", restore.waiting("booting", reason, wait))


def after_probe(
    restore: Restore, heard: str, since: Sequence[Action] | HetznerError, jitter: float
) -> Step:
    """The restore after somebody has listened what the copy says.

    `since`: what was done to the copy since it was made, if it greets.
    """
    restore = replace(restore, greeting=heard)
    since_s = restore.stopwatch.elapsed_s - (restore.powered_on_s or 0)
    if listening.is_greeting(heard):
        if isinstance(since, HetznerError):
            return _after_error(restore, since, jitter)
        if why := listening.why_no_proof(since):
            return _end(restore, "restored" if restore.keep else "unproven", why)
        restore = replace(restore, greeted_s=restore.stopwatch.elapsed_s)
        return _mark(
            restore, "proven", f"greets on {restore.server.probe} {since_s} s after its start"
        )
    if restore.overdue:
        return _not_proven(restore, f"no greeting on port {restore.server.port}: {heard}")
    return _wait(restore, f"running for {since_s} s, {heard}", by_time(restore), jitter)


def after_mark(restore: Restore, error: HetznerError | None, jitter: float) -> Step:
    """The restore after its outcome was written on the snapshot, or was not."""
    restore = replace(restore, proof_attempts=restore.proof_attempts + 1)
    image_id = restore.source.image_id
    if error is None:
        return _end(replace(restore, marked=True), restore.outcome, restore.outcome_reason)
    passes = isinstance(error, (TransientError, Locked))
    if passes and restore.proof_attempts < MOST_PROOF_ATTEMPTS:
        wait = until_again(error, restore, jitter)
        reason = f"{restore.outcome}; not yet written on snapshot {image_id}: {error}"
        return Step("wait", restore.moved_to("booting", reason, wait.seconds))
    what = f"the outcome could not be written on snapshot {image_id}: {error}."
    if isinstance(error, NotFound):
        what = f"snapshot {image_id} is gone meanwhile: nothing could be written on it."
    return _end(_with_problem(restore, what), restore.outcome, restore.outcome_reason)


def _looked(restore: Restore, copy: Copy, seen: Seen, jitter: float) -> Step:
    """A copy of ours, off or on; first of all nothing may be at it."""
    is_off = copy.status in ("off", "initializing")
    firewall_id, owner = restore.firewall_id or 0, restore.run.owner
    if not (isolating.not_behind(copy, firewall_id) or isolating.not_applied(copy, firewall_id)):
        restore = replace(restore, was_isolated=True)
    is_started = copy.status in ("starting", "running") or restore.powered_on_s is not None
    was_applied = restore.was_isolated or not is_started
    if not is_off and (
        why := isolating.why_off(copy, seen.firewall, firewall_id, owner, was_applied=was_applied)
    ):
        return Step("power_off", replace(restore, off_reason=why))
    if restore.outcome:  # not yet on the snapshot
        return Step("mark", restore)
    if is_off:
        if why := isolating.attached(copy, firewall_id):
            return _end(restore, "unproven", f"it was not powered on: {why}.", DETACH)
        return _off(restore, copy, seen, jitter)
    if not is_started:  # it cannot be told whether it is on
        return _wait(restore, f"the copy is {copy.status}", by_time(restore), jitter)
    return _on(_booting(restore), copy, jitter)


def _off(restore: Restore, copy: Copy, seen: Seen, jitter: float) -> Step:
    """It is off: not yet there, to be powered on, or it has gone off by itself."""
    action = seen.action
    if action and action.status == "error":
        if restore.powered_on_s is None:
            return _end(restore, "failed", f"the copy was not made: {action.error}.")
        restore = replace(restore, power_action=None)
    elif action and action.is_running:
        progress = f"{action.command}, {action.progress} %"
        return _wait(restore, progress, by_time(restore), jitter)
    elif restore.power_action is not None:
        return _wait(restore, "it has gone off by itself", by_time(restore), jitter)
    if copy.status != "off" or copy.locked:
        held = "locked" if copy.locked else copy.status
        return _wait(restore, f"the copy is {held}", by_time(restore), jitter)
    firewall_id, owner = restore.firewall_id or 0, restore.run.owner
    if why := isolating.not_ours(seen.firewall, firewall_id, owner):
        return _end(restore, "unproven", f"it was not powered on: {why}.")
    assert seen.firewall
    if why := isolating.why_not_on(copy, seen.firewall, seen.applying, restore.server.port):
        return _wait(restore, f"it is not powered on yet: {why}", by_time(restore), jitter)
    if restore.overdue:
        return _give_up(restore, "no time left to power it on")
    return Step("power_on", restore)


def _on(restore: Restore, copy: Copy, jitter: float) -> Step:
    if copy.status != "running":
        return _wait(restore, f"the copy is {copy.status}", by_time(restore), jitter)
    if not restore.server.port:
        restore = replace(restore, greeted_s=restore.stopwatch.elapsed_s)
        return _mark(restore, "restored", "is running; its label says that it is not probed")
    if not restore.address:
        return _wait(restore, "the copy has no IPv4 address", by_time(restore), jitter)
    return Step("probe", restore)


def _booting(restore: Restore) -> Restore:
    """The restore with its copy on; the first time sets the deadline for its greeting."""
    if restore.powered_on_s is not None:
        return restore
    since_s = restore.stopwatch.elapsed_s
    on = replace(restore, powered_on=True, powered_on_s=since_s)
    return on.with_deadline(restore.run.boot_minutes)


def _mark(restore: Restore, outcome: str, reason: str) -> Step:
    return Step("mark", replace(restore, outcome=outcome, outcome_reason=reason))


def _not_proven(restore: Restore, reason: str) -> Step:
    reason = f"{reason}, {restore.run.boot_minutes} min after its start. {MAY_BE_OLD}"
    look = "look at its console."
    if restore.keep:  # it is there and running, which is what was asked for
        return _mark(restore, "restored", f"{reason} {look}")
    return _mark(restore, "unproven", f"{reason} restore it with make restore and {look}")


def _switched_off(restore: Restore, copy: Copy) -> Step:
    if copy.status == "off":
        return _end_switched_off(restore)
    if restore.overdue:
        what = "Switch it off in the Hetzner console."
        reason = f"{restore.off_reason}, and it could not be switched off."
        return _end(restore, "failed", reason, what)
    return Step("power_off", restore)


def _end_switched_off(restore: Restore, error: HetznerError | None = None) -> Step:
    reason = f"it was switched off: {restore.off_reason}."
    if error:
        reason = f"it was not switched off ({error}), though {restore.off_reason}."
    if restore.outcome:  # it was seen before
        return Step("mark", _with_problem(restore, reason))
    return _end(restore, "unproven", reason, DETACH)


def _after_error(
    restore: Restore, error: HetznerError, jitter: float, seen: Seen = NOTHING_SEEN
) -> Step:
    if isinstance(error, TransientError):
        wait = pacing.after_error(error, restore, jitter)
        late_s = restore.stopwatch.elapsed_s - (restore.deadline_s or 0)
        is_on = restore.powered_on_s is not None and not restore.outcome
        if is_on and 0 <= late_s < OUTAGE_SECONDS:
            # A look decides whether it has come back, not an outage.
            return Step("wait", restore.moved_to("booting", str(error), wait.seconds))
        return _wait(restore, str(error), wait, jitter)
    if restore.outcome:  # the copy is not needed to write it
        return Step("mark", restore)
    if isinstance(error, NotFound):
        return _vanished(restore, seen, error)
    if error.code in ("locked", "conflict"):
        return _wait(restore, str(error), by_time(restore), jitter)
    return _end(restore, "failed", f"{error}.")


def _vanished(restore: Restore, seen: Seen, error: NotFound) -> Step:
    """The copy is not found: a create that fails later takes it away, or somebody has."""
    action = seen.action
    if restore.powered_on_s is not None or not (action and action.status == "error"):
        look = ""
        if restore.keep:  # of a drill RemoveServer looks
            restore = replace(restore, copy_id=None)
            look = f"Look in the Hetzner console whether a server {restore.copy_name} is there."
        return _end(restore, "failed", f"the copy is not found: {error}.", look)
    reason = f"{restore.candidate}: {action.error}"
    later = replace(
        restore,
        tried=restore.tried + 1,
        copy_id=None,
        create_action=None,
        created_s=None,
        copy_created=None,
        address="",
    )
    if later.candidate and not later.overdue:
        return Step("wait", later.waiting("waiting", reason, Wait(NEXT_SECONDS)))
    return _end(later, "failed", f"the copy was not made: {reason}.")


def _wait(restore: Restore, reason: str, wait: Wait, jitter: float) -> Step:
    """Another look, or, after the deadline, the end."""
    if restore.overdue:
        return _give_up(restore, reason)
    wait = pacing.stretched(wait, Budget.of(restore), jitter)
    status = "creating" if restore.powered_on_s is None else "booting"
    return Step("wait", restore.waiting(status, reason, wait))


def _give_up(restore: Restore, reason: str) -> Step:
    if restore.outcome:
        return Step("mark", restore)
    if restore.powered_on_s is not None:
        return _mark(
            restore, "unproven", f"{reason}, {restore.run.boot_minutes} min after its start."
        )
    return _end(
        restore, "unproven", f"not there after {restore.run.restore_minutes} min: {reason}."
    )


def _end(restore: Restore, outcome: str, reason: str, advice: str = "") -> Step:
    if restore.keep:  # of a drill RemoveServer tells it
        advice = f"{advice} {restore.problem}".strip()
    return Step("end", restore.ending(outcome, reason, advice))


def _with_problem(restore: Restore, what: str) -> Restore:
    if what in restore.problem:
        return restore
    return replace(restore, problem=f"{restore.problem} {what}".strip())
