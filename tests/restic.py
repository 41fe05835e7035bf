"""What `restic forget` keeps, written a second time, with sets, independently of our code.

Written from restic's documentation and from the behaviour of its policy code as of 2026: naive,
slow, sharing nothing with handler/decisions/retention.py. `python -m tests.restic` writes the
golden file.
"""

import json
import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden" / "retention.json"
PERIODS = {
    "hourly": ("year", "month", "day", "hour"),
    "daily": ("year", "month", "day"),
    "monthly": ("year", "month"),
    "yearly": ("year",),
}
POLICIES = [
    "last1", "last10", "last199", "last200", "last500", "lastunlimited", "hourly1", "hourly20",
    "hourlyunlimited",
    "daily1", "daily3", "daily30", "daily300", "dailyunlimited", "weekly1", "weekly2", "weekly5",
    "weeklyunlimited",
    "monthly1", "monthly6", "monthlyunlimited", "yearly1", "yearly3", "yearly4",
    "yearlyunlimited",
    "last3-daily7-weekly4-monthly6-yearlyunlimited-within30d", "daily7-weekly4-monthly6",
    "last5-daily5", "last2-daily10", "daily7-weekly5-monthly12-yearly75",
    "hourly24-daily7-weekly4",
    "within1h", "within1d", "within1m", "within2m2h", "within1y5m7d2h", "within99y",
    "withinhourly2d", "withindaily7d", "withindaily1y", "withinweekly1m", "withinweekly1y1m1d1h",
    "withinmonthly1y", "withinmonthly10m", "withinyearly2y", "withinyearly9999y",
    "withindaily7d-withinweekly1m-withinmonthly1y-withinyearly75y",
    "within1h-withinhourly1d-withindaily7d-withinweekly1m-withinmonthly1y-withinyearly9999y",
    "last1-withindaily14d", "yearly2-withinmonthly6m",
]  # fmt: skip


def history() -> list[datetime]:
    """200 snapshots of one server in three years."""

    def every(start: str, count: int, **step: int) -> list[datetime]:
        first = datetime.fromisoformat(f"{start}+00:00")
        return [first + nr * timedelta(**step) for nr in range(count)]

    return [
        *every("2018-02-25T02:00", 8, days=1),  # over the end of a February
        *every("2018-06-03T11:00", 9, days=7),  # Sundays
        *every("2018-10-27T23:30", 9, minutes=30),  # the clocks go back in Europe
        *every("2018-12-20T02:00", 21, days=1),  # 31 December is in week 1 of 2019
        *every("2019-01-31T23:59:59", 4, days=28),
        # nothing for half a year
        *every("2019-11-30T00:00", 3, seconds=1),
        *every("2019-12-31T23:59:58", 5, seconds=1),
        *every("2020-02-27T02:00", 5, days=1),  # a leap day
        *every("2020-03-29T00:10", 8, minutes=25),  # the clocks go forward
        *every("2020-04-30T05:00", 30, days=2),
        *every("2020-08-14T09:03", 25, minutes=7),  # many snapshots in one morning
        *every("2020-11-20T02:00", 43, days=1),
        # nothing on New Year's Day
        *every(
            "2021-01-02T22:15", 13, minutes=20
        ),  # Saturday to Sunday, the end of week 53 of 2020
        *every("2021-01-04T00:00", 9, hours=5),
        *every("2021-01-31T02:00", 8, minutes=1),  # a month before it there is no 31st
    ]


def kept(policy: str, times: list[datetime]) -> set[int]:
    """The positions in the list of what restic keeps; of equal times the first is the newer."""
    newest_first = sorted(range(len(times)), key=lambda nr: (-times[nr].timestamp(), nr))
    flags = re.findall(r"(last|within(?:[a-z]*ly)?|[a-z]*ly)([0-9ymdh]+|unlimited)", policy)
    assert "-".join(name + value for name, value in flags) == policy
    found: set[int] = set()
    for name, value in flags:
        if not newest_first:
            continue
        oldest = newest_first[-1]
        if name == "last":
            found |= set(newest_first if value == "unlimited" else newest_first[: int(value)])
        elif name.startswith("within"):
            start = earlier(times[newest_first[0]], value)
            inside = [nr for nr in newest_first if start is None or times[nr] > start]
            if name == "within":
                found |= set(inside)
            else:
                found |= set(newest_of_each(name.removeprefix("within"), inside, times))
                found |= {oldest} & set(inside)
        else:
            newest = newest_of_each(name, newest_first, times)
            if value == "unlimited" or len(newest) < int(value):
                found |= {*newest, oldest}
            else:
                found |= set(newest[: int(value)])
    return found


def newest_of_each(period: str, newest_first: list[int], times: list[datetime]) -> list[int]:
    newest: dict[tuple[int, ...], int] = {}
    for nr in newest_first:
        time = times[nr].astimezone(UTC)
        if period == "weekly":
            key = tuple(time.isocalendar())[:2]
        else:
            key = tuple(getattr(time, part) for part in PERIODS[period])
        newest.setdefault(key, nr)
    return list(newest.values())


def earlier(time: datetime, duration: str) -> datetime | None:
    """The time so much before; None if that is before the year 1."""
    number = {unit: int(digits) for digits, unit in re.findall("([0-9]+)([ymdh])", duration)}
    year, month = time.year - number.get("y", 0), time.month
    for _ in range(number.get("m", 0)):
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    if year < 1:
        return None
    days = monthrange(year, month)[1]
    surplus = max(0, time.day - days)
    there = time.replace(year=year, month=month, day=min(time.day, days))
    return there + timedelta(days=surplus) - timedelta(number.get("d", 0), hours=number.get("h", 0))


def golden() -> str:
    """The history, and for each policy a line of marks, one for each of its times: # for kept."""
    times = history()
    rows = {"history": json.dumps([f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in times])}
    for policy in POLICIES:
        keeps = kept(policy, times)
        rows[policy] = json.dumps("".join(".#"[nr in keeps] for nr in range(len(times))))
    return "{\n" + ",\n".join(f'"{name}": {row}' for name, row in rows.items()) + "\n}\n"


if __name__ == "__main__":
    GOLDEN.write_text(golden())
