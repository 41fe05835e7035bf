"""What Scheduler would refuse in a schedule or a time zone is refused before, and explained."""

import re
from zoneinfo import available_timezones

import pytest

from local.common.parameters import template_parameters
from local.common.schedule import NO_ZONES
from local.virtual.template import read_template

GOOD = [
    "cron(0 2 * * ? *)",
    "cron(15 10 ? * 6L 2026-2030)",
    "cron(0/15 8-17 ? * MON-FRI *)",
    "cron(0 2 ? * mon,wed,fri *)",
    "cron(0 0 L * ? *)",
    "cron(0 0 LW * ? *)",
    "cron(0 0 3W 1,JUN,12 ? *)",
    "cron(0 0 1/10,2,3/8 * ? *)",
    "cron(0 9 ? * 3#2 *)",
    "cron(0 11-23/2 * * ? *)",
    "cron(30-30 13-13 ? * 2,4,6 *)",
    "cron(*/5 * * * ? 2199)",
    "rate(1 day)",
    "rate(12 hours)",
    "rate(90 minutes)",
    "at(2026-12-24T02:00:00)",
    "at(2028-02-29T23:59:59)",
]
BAD = [
    ("cron(0 2 * * ?)", "here are 5"),
    ("cron(0 2 * * *)", "here are 5"),
    ("cron(0 0 2 * * ? *)", "here are 7"),
    ("cron(0 2 * * * *)", "one of day-of-month (*) and day-of-week (*) must be ?"),
    ("cron(0 2 ? * ? *)", "must be ?, and only one"),
    ("cron(0 2 1 * MON *)", "one of day-of-month (1) and day-of-week (MON) must be ?"),
    ("cron(60 2 * * ? *)", "its minutes (60) cannot be read; it takes 0-59"),
    ("cron(0 24 * * ? *)", "its hours (24)"),
    ("cron(0 2 32 * ? *)", "its day-of-month (32)"),
    ("cron(0 2 0 * ? *)", "its day-of-month (0)"),
    ("cron(0 2 * 13 ? *)", "its month (13)"),
    ("cron(0 2 * JANUARY ? *)", "its month (JANUARY)"),
    ("cron(0 2 ? * 0 *)", "its day-of-week (0) cannot be read; it takes 1-7 (1 is Sunday)"),
    ("cron(0 2 ? * 3#6 *)", "its day-of-week (3#6)"),
    ("cron(0 2 ? * 3#1,6#3 *)", "its day-of-week (3#1,6#3)"),
    ("cron(0 2 * * ? 1969)", "its year (1969)"),
    ("cron(0 2, * * ? *)", "its hours (2,)"),
    ("cron(0 2/0 * * ? *)", "its hours (2/0)"),
    ("cron(? 2 * * ? *)", "its minutes (?)"),
    ("cron(0  2 * * ? *)", "separated by one space each"),
    ("cron()", "here are 0"),
    ("rate(1 days)", "one is written as rate(1 day)"),
    ("rate(2 day)", "more as rate(2 days)"),
    ("rate(0 days)", "rate(1 day)"),
    ("rate(1 week)", "also minutes and hours"),
    ("rate(1.5 hours)", "rate(1 day)"),
    ("at(2026-12-24)", "at(2026-12-24T02:00:00)"),
    ("at(2026-12-24T02:00:00Z)", "at(2026-12-24T02:00:00)"),
    ("at(2027-02-29T02:00:00)", "there is no such day"),
    ("0 2 * * ? *", "it must be cron(...), rate(...) or at(...)"),
    ("cron 0 2 * * ? *", "it must be cron(...), rate(...) or at(...)"),
    ("Cron(0 2 * * ? *)", "it must be cron(...), rate(...) or at(...)"),
    ("", "it must be cron(...), rate(...) or at(...)"),
    (f"cron({'0,' * 150}0 2 * * ? *)", "at most 256 are possible"),
]
# A pattern knows no calendar.
ONLY_DEPLOY_SEES = {"at(2027-02-29T02:00:00)"}


PARAMETERS = template_parameters()
TEMPLATE = read_template()["Parameters"]


def template_takes(name: str, value: str) -> bool:
    parameter = TEMPLATE[name]
    fits = len(value) <= parameter["MaxLength"]
    return fits and re.fullmatch(parameter["AllowedPattern"], value) is not None


@pytest.mark.parametrize("schedule", GOOD)
def test_what_scheduler_takes_is_taken(schedule: str) -> None:
    assert PARAMETERS["Schedule"].problem(schedule) is None
    assert template_takes("Schedule", schedule)


@pytest.mark.parametrize(("schedule", "why"), BAD)
def test_what_scheduler_refuses_is_refused_and_explained(schedule: str, why: str) -> None:
    problem = PARAMETERS["Schedule"].problem(schedule)
    assert problem and why in problem
    assert template_takes("Schedule", schedule) == (schedule in ONLY_DEPLOY_SEES)


@pytest.mark.parametrize(
    ("zone", "nearest"),
    [
        ("Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("utc", "UTC"),
        ("UTC+2", None),
        ("CEST", None),
        ("Factory", None),
        ("", None),
    ],
)
def test_a_time_zone_that_nobody_knows_is_refused_with_the_nearest(
    zone: str, nearest: str | None
) -> None:
    problem = PARAMETERS["ScheduleTimezone"].problem(zone)
    assert problem and "a time zone of IANA's list" in problem
    if nearest:
        assert problem.endswith(f"the nearest is {nearest}.")
    # The template knows areas, not all of their cities.
    assert template_takes("ScheduleTimezone", zone) == (zone == "Europe/Berln")


def test_every_time_zone_there_is_is_taken() -> None:
    zones = available_timezones() - NO_ZONES
    assert len(zones) > 400
    known = PARAMETERS["ScheduleTimezone"]
    assert [zone for zone in zones if known.problem(zone)] == []
