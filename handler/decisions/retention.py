"""Which snapshots of one server to keep, and why: pure, with the words and meaning of restic.

documents/policy.py says how a policy is written. A snapshot stays if any rule keeps it:

- A rule with a count goes from the newest snapshot to the oldest and keeps the newest of each
  hour, day, ISO week, month or year (of each snapshot: `last`) until it has counted enough.
  A period without a snapshot is not counted.
- A rule with a duration does the same with all snapshots that are less than this duration older
  than the newest one. Months and years are calendar months and years. A day that a month does not
  have is counted on into the next month: one month before 31 March is "31 February", 3 March.
- The oldest snapshot stays too if a rule reaches it before its count is used up, or if it lies
  inside the rule's duration.

Differences to restic: all periods are in UTC (restic: the local time zone). Snapshots that are not
available, from the future or made of another server stay and do not count. Protected ones stay, the
newest good one stays, a larger one stays while all others are much smaller (shrinking.py), and a
run deletes only so many.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from handler.decisions import shrinking
from handler.documents.policy import PERIODS, Duration, Policy, Rule
from handler.documents.resources import Snapshot

# Only those of kind "no rule" are deleted.
Kind = Literal["rule", "exempt", "protected", "larger", "postponed", "no rule"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a snapshot is kept, and why: `kind` for programs, `reason` for people."""

    snapshot: Snapshot
    kind: Kind
    reason: str

    @property
    def keep(self) -> bool:
        return self.kind != "no rule"


def plan(
    policy: Policy,
    snapshots: Sequence[Snapshot],
    *,
    now: datetime | None = None,
    most_deletions: int | None = None,
    accept_smaller: bool = False,
) -> list[Decision]:
    """A decision for each of one server's snapshots, newest first.

        Only available snapshots of this server that are not from the future are counted or deleted.
    Protected ones and the newest good one stay; one that is much larger than all of these stays,
    too, but not if the run is to `accept_smaller` ones. Of those that are left, only the oldest
    `most_deletions` are deleted.
    """
    newest_first = sorted(snapshots, key=lambda s: (s.created, s.id), reverse=True)
    good = [s for s in newest_first if not _exempt(s, now)]
    why = iter(_reasons(policy, [s.created.astimezone(UTC) for s in good]))
    decisions = []
    for snapshot in newest_first:
        if reason := _exempt(snapshot, now):
            decisions.append(Decision(snapshot, "exempt", reason))
        elif reason := next(why):
            decisions.append(Decision(snapshot, "rule", reason))
        elif snapshot.protected:
            decisions.append(Decision(snapshot, "protected", "protected"))
        else:
            decisions.append(Decision(snapshot, "no rule", "no rule keeps it"))
    if not accept_smaller:
        _keep_a_larger_one(decisions)
    if most_deletions is not None:
        limit_deletions(decisions, most_deletions)
    return decisions


def _exempt(snapshot: Snapshot, now: datetime | None) -> str:
    if snapshot.status != "available":
        return f"not available but {snapshot.status}"
    if snapshot.is_of_another:
        return f"made of server {snapshot.made_of}, whatever its labels say"
    return "created in the future" if now and snapshot.created > now else ""


def _reasons(policy: Policy, times: list[datetime]) -> list[str]:
    """For each of the times (newest first) all reasons to keep it; empty if there are none."""
    reasons: list[list[str]] = [[] for _ in times]
    for rule in policy.rules:
        for position, reason in _kept_by(rule, times):
            reasons[position].append(reason)
    if reasons and not reasons[0]:
        reasons[0].append("the newest good one")
    return [", ".join(found) for found in reasons]


def _kept_by(rule: Rule, times: list[datetime]) -> Iterator[tuple[int, str]]:
    """The positions of the times, newest first, that the rule keeps, each with the reason."""
    period_of, limit = PERIODS[rule.name], rule.limit
    since, what, of = None, rule.name, ", unlimited" if limit is None else f" of {limit}"
    if times and isinstance(limit, Duration):
        since = limit.before(times[0])
        what = f"{rule.name.removeprefix('within')} within {limit} of the newest".lstrip()
    kept, last_period = 0, None
    for position, time in enumerate(times):
        if kept == limit or (since and time <= since):
            return
        period = period_of(time) if period_of else str(position)
        if period != last_period:
            kept, last_period = kept + 1, period
            nth = "" if since else f" {kept}{of}"
            yield position, f"{what}{nth} ({period})" if period_of else f"{what}{nth}"
        elif position == len(times) - 1:
            yield position, f"oldest, {what}" if since else f"oldest, {what} not used up"


def _keep_a_larger_one(decisions: list[Decision]) -> None:
    """Keep one of those that would go if all that stay are much smaller, as of an emptied disk."""
    stay = [d.snapshot for d in decisions if d.kind in ("rule", "protected")]
    go = [d.snapshot for d in decisions if not d.keep]
    larger = shrinking.newest_larger(stay, go)
    for position, decision in enumerate(decisions):
        if decision.snapshot is larger:
            reason = "no rule keeps it, but those that stay are less than half as large"
            decisions[position] = replace(decision, kind="larger", reason=reason)


def limit_deletions(decisions: list[Decision], most: int) -> None:
    """Delete only the oldest `most` and keep the others; the decisions are newest first."""
    to_delete = [position for position, decision in enumerate(decisions) if not decision.keep]
    noun = "deletion" if most == 1 else "deletions"
    for position in to_delete[: max(0, len(to_delete) - most)]:
        reason = f"over this run's limit of {most} {noun}, next time"
        decisions[position] = replace(decisions[position], kind="postponed", reason=reason)
