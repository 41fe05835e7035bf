"""What RemoveServer does next for a copy, and why: pure. What may be deleted is in removing.py."""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_UP, Decimal, InvalidOperation
from typing import Literal

from handler.decisions import pacing, removing
from handler.decisions.looking import longer
from handler.decisions.restoring import expected
from handler.documents.copies import Copy
from handler.documents.document import Wait, format_time, parse_time
from handler.documents.errors import (
    HetznerError,
    Locked,
    NotFound,
    Protected,
    Refused,
    TransientError,
    Unauthorized,
)
from handler.documents.labels import LABEL_THROW_AWAY
from handler.documents.restore import Restore

REMOVE_MINUTES = 60
# So long a server is looked for whose create had no answer.
LOST_SECONDS = 600
LOOK_SECONDS = 8  # after a delete, until it is seen to be gone; at least
HELD_SECONDS = 30
HOUR = 3600
CENT = Decimal("0.01")
UNSAVED = (
    f"No night saves it as long as it has the label {LABEL_THROW_AWAY}: to keep it, take that off; "
    "else delete it."
)

Kind = Literal["wait", "end", "delete"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What Hetzner answered; errors are part of it."""

    copy: Copy | None = None  # None without an error: there is none of its id and name
    error: HetznerError | None = None  # why that is not known
    # Whether the token sees what it must see in this project; it is asked where there is no copy.
    sees_project: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, and the restore after it."""

    kind: Kind
    restore: Restore


def begun(restore: Restore) -> Restore:
    """The restore with its deadline. What has not been sent here by a decision has broken off, and
    may have made something that it does not know."""
    if restore.status != "removing":
        reason = f"it broke off while {restore.status}: look at the log"
        restore = replace(
            restore,
            status="removing",
            maybe_posted=True,
            deadline_s=None,
            outcome=restore.outcome or "failed",
            outcome_reason=restore.outcome_reason or reason,
        )
    return restore if restore.deadline_s is not None else restore.with_deadline(REMOVE_MINUTES)


def decide(restore: Restore, seen: Seen, jitter: float) -> Step:
    """The next step of a restore that has observed what was seen."""
    if isinstance(seen.error, TransientError):
        return _wait(restore, str(seen.error), pacing.after_error(seen.error, restore, jitter))
    if isinstance(seen.error, (Unauthorized, Refused)):
        return _left(restore, f"{seen.error}")
    if seen.error:
        return _wait(restore, str(seen.error), _longer(restore, HELD_SECONDS))
    if seen.copy is None:
        return _none(restore, seen, jitter)
    copy = seen.copy
    restore = replace(restore, copy_id=copy.id, copy_created=format_time(copy.created))
    if why := removing.why_not_removed(copy, expected(restore)):
        return _somebodys(restore, copy, why)
    if copy.status == "deleting":
        return _wait(
            replace(restore, removal="sent"), "it is being deleted", _longer(restore, LOOK_SECONDS)
        )
    if restore.overdue:
        return _left(restore, restore.reason or "no time left")
    return Step("delete", restore)


def after_delete(restore: Restore, answer: int | HetznerError | None, jitter: float) -> Step:
    """The restore after a delete: it is removed when it is seen to be gone."""
    match answer:
        case TransientError():
            return _wait(restore, str(answer), pacing.after_error(answer, restore, jitter))
        case Locked() | Protected():
            return _wait(restore, str(answer), _longer(restore, HELD_SECONDS))
        case HetznerError() if not isinstance(answer, NotFound):
            return _left(restore, f"Hetzner refused: {answer}")
    action = answer if isinstance(answer, int) else None
    sent = replace(restore, removal="sent", remove_action=action)
    reason = f"server {restore.copy_id} is being deleted"
    return _wait(sent, reason, _longer(sent, LOOK_SECONDS))


def cost(restore: Restore, now: datetime | None) -> str:
    """What the copy has cost so far, each hour begun; empty if it is not known."""
    candidate, created = restore.candidate, parse_time(restore.copy_created)
    if not (candidate and created and now):
        return ""
    hours = max(1, math.ceil((now - created).total_seconds() / HOUR))
    try:
        total = (Decimal(candidate.per_hour) * hours).quantize(CENT, ROUND_UP)
    except InvalidOperation:
        return ""
    return f"{total} {candidate.currency}".strip()


def _none(restore: Restore, seen: Seen, jitter: float) -> Step:
    """No such server is found."""
    if restore.copy_id is None and not restore.maybe_posted:
        return _end(restore, "nothing was made")
    if not seen.sees_project:
        reason = "the copy is not found, and the token sees nothing else of this project"
        return _wait(restore, reason, pacing.in_trouble(restore.attempts, jitter))
    if restore.copy_id is None:
        if _so_far_s(restore) < LOST_SECONDS:
            reason = f"a create had no answer: {restore.copy_name} is looked for"
            return _wait(restore, reason, pacing.in_trouble(restore.attempts, jitter))
        return _end(restore, "no server of the create that had no answer is there")
    what = "removed" if restore.removal else "somebody else has removed it"
    return _end(replace(restore, copy_id=None), what)


def _somebodys(restore: Restore, copy: Copy, why: str) -> Step:
    """It stays, and is no trouble of the restore: a person has taken it."""
    what = f"Server {copy.id} ({copy.name}) was left: {why}."
    if LABEL_THROW_AWAY in copy.labels:
        what = f"{what} {UNSAVED}"
    outcome = restore.outcome or "skipped"
    problem = f"{restore.problem} {what}".strip()
    return _end(replace(restore, removal="left", outcome=outcome, problem=problem), "")


def _so_far_s(restore: Restore) -> int:
    """Since its removal began."""
    return 60 * REMOVE_MINUTES - restore.left_s


def _longer(restore: Restore, at_least_s: int) -> Wait:
    """A copy that does not go must not fill the execution's history."""
    return longer(at_least_s, _so_far_s(restore))


def _wait(restore: Restore, reason: str, wait: Wait) -> Step:
    if restore.overdue:
        return _left(restore, reason)
    return Step("wait", restore.waiting("removing", reason, wait))


def _left(restore: Restore, why: str) -> Step:
    """The copy is there, or may be, and costs money."""
    which = f"server {restore.copy_id} " if restore.copy_id else "a server "
    sure = "is" if restore.copy_id else "may be"
    price = restore.candidate.price if restore.candidate else ""
    costs = f" and costs {price} per hour" if price else " and is billed"
    reason = f"{which}({restore.copy_name}) {sure} still there{costs}, not removed: {why}."
    before = f" Before that: {restore.outcome}, {restore.outcome_reason}" if restore.outcome else ""
    advice = f"Delete it in the Hetzner console.{before}"
    return _done(restore, "failed", reason, advice)


def _end(restore: Restore, what: str) -> Step:
    """The end that CreateServer or CheckServer has decided, with what became of the copy."""
    status = restore.outcome or ("removed" if restore.run.sweep else "failed")
    said = restore.outcome_reason
    if said.endswith(".") and what:  # whole sentences
        reason = f"{said} {what[0].upper()}{what[1:]}."
    else:
        reason = "; ".join(text for text in (said, what) if text)
    return _done(restore, status, reason, restore.problem)


def _done(restore: Restore, status: str, reason: str, advice: str = "") -> Step:
    spent = cost(restore, restore.stopwatch.now)
    return Step("end", restore.done(status, reason, advice, spent))
