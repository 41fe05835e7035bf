"""What CreateServer does next for a restore, and why: pure.

A copy is made once: its name is derived from restore and server, names are unique in a project,
and it is looked for by its name before each create.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from handler.decisions import isolating, pacing, removing
from handler.decisions.pacing import Budget
from handler.decisions.removing import Expected
from handler.documents.copies import Copy, Firewall, WantedCopy
from handler.documents.document import Wait, format_time
from handler.documents.errors import (
    HetznerError,
    Locked,
    NameTaken,
    NoStock,
    NotFound,
    OutcomeUnknown,
    QuotaReached,
    Refused,
    TransientError,
    Unauthorized,
)
from handler.documents.labels import LABEL_THROW_AWAY
from handler.documents.restore import Restore

NEXT_SECONDS = 2  # before the next candidate's turn
FIRST_LOOK_SECONDS = 25  # hardly any copy is there sooner
NO_KEY = (
    "The project has no SSH key: Hetzner mails a root password to its owner, and the copy's root "
    "password is another one than the original's."
)

Kind = Literal["wait", "end", "watch", "create"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What Hetzner answered, as far as it was asked; errors are part of it."""

    copy: Copy | None = None  # the server of the copy's name
    ssh_keys: tuple[int, ...] = ()
    firewall: Firewall | None = None  # as it was last read; None: not asked
    error: HetznerError | None = None  # why the rest is not known
    snapshot_gone: bool = False  # it is looked for after a candidate that could not be had
    # The answer to the create, once sent: the copy and the create's action.
    created: tuple[Copy, int | None] | HetznerError | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, and the restore after it."""

    kind: Kind
    restore: Restore


def expected(restore: Restore) -> Expected:
    """What its copy is known by."""
    watch, began = restore.stopwatch, restore.began_at
    if restore.restore_id == restore.run.id and watch.sure and watch.now:
        # The earlier one: a clock that was ahead does not count, nor does a first look that came
        # late, after a function that has made the copy and died.
        looked = watch.now - timedelta(seconds=watch.elapsed_s)
        began = min(began or looked, looked)
    return Expected(
        owner=restore.run.owner,
        restore_id=restore.restore_id,
        server_id=restore.server.id,
        name=restore.copy_name,
        image_id=restore.source.image_id,
        began=began,
    )


def wanted(restore: Restore, seen: Seen) -> WantedCopy:
    """What the create asks for."""
    assert restore.candidate and seen.firewall
    return WantedCopy(
        name=restore.copy_name,
        server_type=restore.candidate.server_type,
        location=restore.candidate.location,
        image_id=restore.source.image_id,
        labels=removing.labels_of(expected(restore), keep=restore.keep),
        firewall_id=seen.firewall.id,
        ssh_keys=seen.ssh_keys,
    )


def begun(restore: Restore) -> Restore:
    """The restore with its deadline, which the first look sets."""
    if restore.deadline_s is not None:
        return restore
    return restore.with_deadline(restore.run.restore_minutes)


def decide(restore: Restore, seen: Seen, jitter: float) -> Step:
    """The next step of a restore that has observed what was seen."""
    if isinstance(seen.created, tuple):
        return _watch(restore, *seen.created)
    if seen.created:
        return _not_created(restore, seen.created, jitter)
    if seen.error:
        return _after_error(restore, seen.error, jitter)
    if seen.copy:
        return _found(restore, seen.copy)
    if seen.snapshot_gone:
        reason = f"snapshot {restore.source.image_id} was deleted meanwhile."
        advice = "Start it again, of no certain snapshot: that takes the newest good one."
        return _end(restore, "failed", reason, advice)
    assert seen.firewall, "no create without a firewall"
    if why := isolating.of_another(seen.firewall, restore.run.owner):
        advice = "Rename or delete that firewall, then start it again."
        return _end(restore, "failed", f"nothing was made: {why}.", advice)
    restore = replace(restore, firewall_id=seen.firewall.id)
    if why := isolating.wrong_rules(seen.firewall, restore.server.port):
        return _wait(restore, f"{why}, although they were set", jitter)
    if restore.candidate is None:
        return _end(restore, "failed", "there is no server type that it could be restored to.")
    if restore.overdue:
        return _give_up(restore, restore.reason or "no time left to make a copy")
    if wait := pacing.before_start(Budget.of(restore), jitter):
        return Step("wait", restore.waiting("waiting", "", wait))
    if not seen.ssh_keys:
        restore = replace(restore, problem=NO_KEY)
    return Step("create", restore)


def _found(restore: Restore, copy: Copy) -> Step:
    """A server of the copy's name is there: an earlier create made it, or it is somebody's."""
    why = removing.why_not_ours(copy, expected(restore))
    is_thrown_away = copy.labels.get(LABEL_THROW_AWAY) == "true"
    if not why and is_thrown_away == restore.keep:
        why = f"its label {LABEL_THROW_AWAY} is not as this restore sets it"
    if why:
        reason = f"server {copy.id} ({copy.name}) has the copy's name and is none: {why}."
        # What has that name is this one, and nothing of ours.
        not_ours = replace(restore, maybe_posted=False)
        return _end(not_ours, "failed", reason, "Start it again, with another name.")
    return _watch(restore, copy, None)


def _watch(restore: Restore, copy: Copy, action_id: int | None) -> Step:
    made = replace(
        restore,
        maybe_posted=True,
        copy_id=copy.id,
        create_action=action_id,
        address=copy.ipv4 or "",
        created_s=restore.stopwatch.elapsed_s,
        copy_created=format_time(copy.created),
    )
    reason = f"server {copy.id} ({copy.name}) is made: {restore.candidate}"
    return Step("watch", made.waiting("creating", reason, Wait(FIRST_LOOK_SECONDS)))


def _not_created(restore: Restore, error: HetznerError, jitter: float) -> Step:
    match error:
        case NoStock():
            return _next_candidate(restore, error)
        case NameTaken():
            # The next look tells whose it is.
            return _wait(replace(restore, maybe_posted=True), str(error), jitter)
        case OutcomeUnknown():
            # The next look tells whether it was made; it is taken even after the deadline.
            reason = f"no clear answer to the create: {error}"
            wait = pacing.in_trouble(restore.attempts, jitter)
            asked = replace(restore, maybe_posted=True)
            return Step("wait", asked.moved_to("waiting", reason, wait.seconds))
        case QuotaReached():
            reason = f"the account's limit of servers or of primary IPs is reached: {error}."
            advice = "Delete what nobody needs or ask for more on the console's Limits page."
            return _end(restore, "failed", reason, advice)
        case Refused() if error.code in ("invalid_input", "unsupported_error"):
            # Not every type takes every image, and not every location every type.
            return _next_candidate(restore, error)
        case NotFound():
            reason = f"snapshot {restore.source.image_id} or what it is restored with is gone"
            return _end(restore, "failed", f"{reason}: {error}.")
    return _after_error(restore, error, jitter)


def _next_candidate(restore: Restore, error: HetznerError) -> Step:
    reason = f"{restore.candidate}: {error}"
    later = replace(restore, tried=restore.tried + 1)
    if later.candidate and not later.overdue:
        return Step("wait", later.waiting("waiting", reason, Wait(NEXT_SECONDS)))
    tried = f"none of {later.tried} server types could be had, the last one {reason}."
    if isinstance(error, NoStock):
        return _end(restore, "failed" if restore.keep else "unproven", tried, "Try again later.")
    return _end(restore, "failed", tried)


def _after_error(restore: Restore, error: HetznerError, jitter: float) -> Step:
    match error:
        case TransientError():
            if restore.overdue:
                return _give_up(restore, str(error))
            wait = pacing.after_error(error, restore, jitter)
            return Step("wait", restore.waiting("waiting", str(error), wait))
        case Locked() | NameTaken() | NotFound():  # a firewall that came or went meanwhile
            return _wait(restore, str(error), jitter)
        case Unauthorized():
            return _end(
                restore, "failed", f"{error}.", "Its token needs Read & Write; check or replace it."
            )
        case QuotaReached():
            reason = f"the project's limit of firewalls is reached: {error}."
            return _end(restore, "failed", reason, "Delete firewalls that nobody needs.")
    return _end(restore, "failed", f"Hetzner refused: {error}.")


def _wait(restore: Restore, reason: str, jitter: float) -> Step:
    if restore.overdue:
        return _give_up(restore, reason)
    wait = pacing.in_trouble(restore.attempts, jitter)
    return Step("wait", restore.waiting("waiting", reason, wait))


def _give_up(restore: Restore, reason: str) -> Step:
    what = "no copy confirmed" if restore.maybe_posted else "no copy made"
    minutes = restore.run.restore_minutes
    return _end(restore, "failed", f"{what} after {minutes} min: {reason}.", "Start it again.")


def _end(restore: Restore, outcome: str, reason: str, advice: str = "") -> Step:
    if restore.keep:  # of a drill RemoveServer tells it
        may_be = _may_be_there(restore) if restore.maybe_posted else ""
        advice = " ".join(text for text in (advice, may_be, restore.problem) if text)
    return Step("end", restore.ending(outcome, reason, advice))


def _may_be_there(restore: Restore) -> str:
    """What a create without a clear answer may have made, and nobody looks for any more."""
    return (
        f"A create had no clear answer: if there is a server {restore.copy_name} in the Hetzner "
        "console, it is off, behind our firewall, and billed."
    )
