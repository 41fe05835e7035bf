"""A retention policy: how it is written, and what its rules are, with the words of restic.

A policy is written `last3-daily7-weekly4-monthly6-yearlyunlimited-within30d`. A rule stands for
the flag of `restic forget` of the same name: `daily7` for `--keep-daily 7`, `withindaily30d` for
`--keep-within-daily 30d`. decisions/retention.py applies it.

A count or a duration of zero is refused (restic: such a rule is off), and so are a rule or a unit
that is given twice (restic: the last one holds).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# The rules, in the order in which a policy is printed. Each has a function that names the period a
# time is in; for `last` every snapshot is a period of its own.
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
    """A retention policy that cannot be understood; the message says how to write one."""


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
        """The time that is this much earlier, or the earliest possible one."""
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


def parse_policy(text: str) -> Policy:
    """The policy in the text; raises BadPolicy. Every valid policy keeps something."""
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
