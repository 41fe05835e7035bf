"""Which snapshots of one server to keep, and why: pure, with the words and meaning of restic.

A policy is written `last3-daily7-weekly4-monthly6-yearlyunlimited-within30d`. A rule stands for
the flag of `restic forget` of the same name: `daily7` for `--keep-daily 7`, `withindaily30d` for
`--keep-within-daily 30d`. A snapshot stays if any rule keeps it:

- A rule with a count goes from the newest snapshot to the oldest and keeps the newest of each
  hour, day, ISO week, month or year (of each snapshot: `last`) until it has counted enough.
  A period without a snapshot is not counted.
- A rule with a duration does the same with all snapshots less than that much older than the
  newest one. Months and years are the calendar's; a day that a month lacks runs over into the
  next: one month before 31 March is "31 February", 3 March.
- The oldest snapshot stays too if a rule gets that far with its count not used up, or with the
  oldest inside its duration.

Where this differs from restic: all periods are UTC's (restic: the local time zone). Snapshots
that are not available or from the future stay and do not count. Protected ones stay, the newest
good one stays, a run may delete only so many. A count or a duration of zero is refused (restic:
such a rule is off), and so are a rule or a unit that is given twice (restic: the last one holds).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

# The rules, in the order in which a policy is printed, with the name of the period a time is in.
# A rule without periods takes each snapshot for itself.
COUNTED: dict[str, Callable[[datetime], str] | None] = {
    "last": None,
    "hourly": lambda time: time.isoformat()[:13],
    "daily": lambda time: time.isoformat()[:10],
    "weekly": lambda time: "{:04}-W{:02}".format(*time.isocalendar()),
    "monthly": lambda time: time.isoformat()[:7],
    "yearly": lambda time: time.isoformat()[:4],
}
WITHIN: dict[str, Callable[[datetime], str] | None] = {
    "within": None,
    **{f"within{name}": period for name, period in COUNTED.items() if period},
}
PERIODS = COUNTED | WITHIN

RULE = re.compile(rf"({'|'.join(sorted(PERIODS, key=len, reverse=True))})(.*)", re.DOTALL)
COUNT = re.compile(r"[0-9]{1,9}")
DURATION = re.compile(r"([0-9]{1,9})([ymdh])")
EXAMPLE = "write for example daily7-weekly4-monthly6"
LABEL_CHARACTERS = 63


class BadPolicy(ValueError):
    """A retention policy that means nothing; the message says how to write one."""


@dataclass(frozen=True, slots=True)
class Duration:
    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    def __str__(self) -> str:
        units = ((self.years, "y"), (self.months, "m"), (self.days, "d"), (self.hours, "h"))
        return "".join(f"{number}{unit}" for number, unit in units if number)

    def before(self, time: datetime) -> datetime:
        """The time that is this much earlier; the first there is if that lies before it."""
        months = 12 * (time.year - self.years) + time.month - 1 - self.months
        try:
            first = time.replace(year=months // 12, month=months % 12 + 1, day=1)
            return first + timedelta(days=time.day - 1 - self.days, hours=-self.hours)
        except (ValueError, OverflowError):  # before the year 1
            return datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    limit: int | Duration | None  # None: unlimited

    def __str__(self) -> str:
        return f"{self.name}{'unlimited' if self.limit is None else self.limit}"


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in the order of PERIODS, each at most once; str() is what parse_policy reads."""

    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        return "-".join(map(str, self.rules))


class Snapshot(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def created(self) -> datetime: ...  # with a time zone
    @property
    def status(self) -> str: ...
    @property
    def protected(self) -> bool: ...


# Of these only "no rule" is deleted.
Kind = Literal["rule", "exempt", "protected", "postponed", "no rule"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a snapshot, and why: `kind` for programs, `reason` for people."""

    snapshot: Snapshot
    kind: Kind
    reason: str

    @property
    def keep(self) -> bool:
        return self.kind != "no rule"


def parse_policy(text: str) -> Policy:
    """The policy in the text; raises BadPolicy. No valid policy keeps nothing."""
    rules: dict[str, Rule] = {}
    try:
        for token in text.split("-"):
            rule = _parse_rule(token)
            if rule.name in rules:
                raise BadPolicy(f"{token!r} repeats the rule {rule.name}")
            rules[rule.name] = rule
    except BadPolicy as error:
        too_long = len(text) > LABEL_CHARACTERS
        hint = f" (a label holds at most {LABEL_CHARACTERS} characters)" if too_long else ""
        raise BadPolicy(f"{error}; {EXAMPLE}{hint}") from None
    return Policy(tuple(rules[name] for name in PERIODS if name in rules))


def _parse_rule(token: str) -> Rule:
    shown = repr(token[:40])
    if not (match := RULE.fullmatch(token)):
        raise BadPolicy(f"{shown} is not a retention rule")
    name, amount = match.groups()
    limit: int | Duration | None
    if name in WITHIN:
        parts = {unit: int(number) for number, unit in DURATION.findall(amount)}
        if not amount or DURATION.sub("", amount) or len(parts) < len(DURATION.findall(amount)):
            raise BadPolicy(f"{shown} needs a duration such as 30d or 1y5m7d2h")
        limit = Duration(*(parts.get(unit, 0) for unit in "ymdh"))
    elif amount == "unlimited":
        limit = None
    elif COUNT.fullmatch(amount):
        limit = int(amount)
    else:
        raise BadPolicy(f"{shown} needs a number (up to 9 digits) or unlimited")
    if limit in (0, Duration()):
        raise BadPolicy(f"{shown} keeps nothing")
    return Rule(name, limit)


def plan(
    policy: Policy,
    snapshots: Sequence[Snapshot],
    *,
    now: datetime | None = None,
    most_deletions: int | None = None,
) -> list[Decision]:
    """A decision for each of one server's snapshots, newest first.

    Only available snapshots that are not from the future count or go. Protected ones and the
    newest good one stay. Of what no rule keeps, only the oldest `most_deletions` go.
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
    if most_deletions is not None:
        _limit(decisions, most_deletions)
    return decisions


def _exempt(snapshot: Snapshot, now: datetime | None) -> str:
    if snapshot.status != "available":
        return f"not available but {snapshot.status}"
    return "created in the future" if now and snapshot.created > now else ""


def _reasons(policy: Policy, times: list[datetime]) -> list[str]:
    """For each of the times, which are newest first, all that keeps it; empty if nothing does."""
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


def _limit(decisions: list[Decision], most: int) -> None:
    """Turn all deletions but the oldest `most` into keeping; the decisions are newest first."""
    doomed = [position for position, decision in enumerate(decisions) if not decision.keep]
    noun = "deletion" if most == 1 else "deletions"
    for position in doomed[: max(0, len(doomed) - most)]:
        reason = f"over this run's limit of {most} {noun}, next time"
        decisions[position] = replace(decisions[position], kind="postponed", reason=reason)
