"""Which snapshots of a server that is gone to delete, and why: pure.

All stay while the newest good one is not older than OrphanDays. Then it stays alone, beside it one
that is much larger, as in retention.py. It never goes by itself: its age does not tell how long the
server has been gone, and of one that was deleted by mistake it may be all that is left. What
retention never deletes stays here as well: protected ones, what is not available or made of another
server.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from handler.decisions.retention import Decision, limit_deletions, plan
from handler.documents.policy import parse_policy
from handler.documents.resources import Snapshot

NEWEST = parse_policy("last1")


def plan_orphans(
    snapshots: Sequence[Snapshot], days: int, now: datetime, most_deletions: int
) -> list[Decision]:
    """A decision for each snapshot of a server that is gone, newest first; `days` is OrphanDays.

    Of those that are left only the oldest `most_deletions` are deleted.
    """
    # Without `now`: a snapshot that seems to be from the future is one more reason to keep all.
    decisions = plan(NEWEST, snapshots)
    age = _age_of_newest_good(snapshots, now)
    if not days or age is None or age <= timedelta(days=days):
        return [_kept(each, f"its server is gone, for less than {days} days") for each in decisions]
    why = f"its server is gone, whose newest good snapshot is {age.days} days old"
    decisions = [_kept_for_ever(each) if each.keep else _with_size(each, why) for each in decisions]
    limit_deletions(decisions, most_deletions)
    return decisions


def _age_of_newest_good(snapshots: Sequence[Snapshot], now: datetime) -> timedelta | None:
    good = [s.created for s in snapshots if s.is_available and not s.is_of_another]
    return now - max(good) if good else None


def _kept(decision: Decision, reason: str) -> Decision:
    return decision if decision.kind == "exempt" else replace(decision, kind="rule", reason=reason)


def _kept_for_ever(decision: Decision) -> Decision:
    reason = "the newest good one of a server that is gone: it never goes by itself"
    return replace(decision, reason=reason) if decision.kind == "rule" else decision


def _with_size(decision: Decision, why: str) -> Decision:
    size_gb = decision.snapshot.size_gb
    size = "its size is not told" if size_gb is None else f"{size_gb:g} GB"
    return replace(decision, reason=f"{why}; {size}")
