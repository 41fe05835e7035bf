"""What EventBridge Scheduler would refuse in a schedule or a time zone, in words.

CloudFormation finds such a value only when the stack is half made, and rolls all of it back.
"""

import re
from datetime import datetime
from difflib import get_close_matches
from zoneinfo import available_timezones

# Each field of cron, what may be in it, and a value that is always right.
FIELDS = (
    ("minutes", "0-59 with , - * /", "0"),
    ("hours", "0-23 with , - * /", "2"),
    ("day-of-month", "1-31 with , - * / ? L W", "*"),
    ("month", "1-12 or JAN-DEC with , - * /", "*"),
    ("day-of-week", "1-7 (1 is Sunday) or SUN-SAT with , - * / ? L #", "?"),
    ("year", "1970-2199 with , - * /", "*"),
)
NAMES = " ".join(name for name, _, _ in FIELDS)
DAY_OF_MONTH, DAY_OF_WEEK = 2, 4
# In the lists of some systems, but no zones: each names what that machine is set to.
NO_ZONES = {"Factory", "localtime", "posixrules"}


def schedule_problem(value: str, pattern: str) -> str | None:
    """What is wrong with a schedule; the pattern is the template's, which decides."""
    if re.fullmatch(pattern, value):
        return _no_such_day(value)
    if value.startswith("cron(") and value.endswith(")"):
        return _cron_problem(value[5:-1].split(), pattern)
    if value.startswith("rate("):
        return "one is written as rate(1 day), more as rate(2 days); also minutes and hours"
    if value.startswith("at("):
        return "a single time is written as at(2026-12-24T02:00:00), in ScheduleTimezone"
    return "it must be cron(...), rate(...) or at(...); each day at 2 is cron(0 2 * * ? *)"


def _no_such_day(value: str) -> str | None:
    if value.startswith("at("):
        try:
            datetime.fromisoformat(value[3:-1])
        except ValueError:
            return "there is no such day"
    return None


def _cron_problem(fields: list[str], pattern: str) -> str:
    if len(fields) != len(FIELDS):
        return (
            f"cron has six fields ({NAMES}), here are {len(fields)}; "
            "each day at 2 is cron(0 2 * * ? *)"
        )
    if (fields[DAY_OF_MONTH] == "?") == (fields[DAY_OF_WEEK] == "?"):
        return (
            f"one of day-of-month ({fields[DAY_OF_MONTH]}) and day-of-week "
            f"({fields[DAY_OF_WEEK]}) must be ?, and only one, as in cron(0 2 * * ? *)"
        )
    for place, (name, holds, _) in enumerate(FIELDS):
        # The pattern is asked about one field at a time: the others are right.
        if not re.fullmatch(pattern, _with_only(place, fields[place])):
            return f"its {name} ({fields[place]}) cannot be read; it takes {holds}"
    return "its fields must be separated by one space each, as in cron(0 2 * * ? *)"


def _with_only(place: int, field: str) -> str:
    fields = [right for _, _, right in FIELDS]
    fields[place] = field
    if place == DAY_OF_WEEK:
        fields[DAY_OF_MONTH] = "*" if field == "?" else "?"
    elif place == DAY_OF_MONTH and field == "?":
        fields[DAY_OF_WEEK] = "*"
    return f"cron({' '.join(fields)})"


def timezone_problem(value: str, pattern: str) -> str | None:
    """What is wrong with a time zone; that there is none of this name is more than a pattern."""
    known = available_timezones() - NO_ZONES
    if value in known and re.fullmatch(pattern, value):
        return None
    written = {zone.casefold(): zone for zone in known}
    wanted = value.strip().casefold().replace(" ", "_")
    # "Berlin" is meant for Europe/Berlin.
    cities = sorted(zone for zone in known if zone.casefold().endswith(f"/{wanted}"))
    near = [written[zone] for zone in get_close_matches(wanted, written, n=1, cutoff=0.8)]
    nearest = ([written[wanted]] if wanted in written else []) or cities or near
    guess = "".join(f"; the nearest is {zone}" for zone in nearest[:1])
    return f"it must be a time zone of IANA's list, such as UTC or Europe/Berlin{guess}"
