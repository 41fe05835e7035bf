"""`make plan`: the calendar a person reads, and the same as JSON."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handler.decisions.retention import plan
from handler.documents.policy import parse_policy
from handler.documents.resources import Snapshot
from local.plan import YEAR, Unplannable, main, planned
from local.virtual.template import ROOT, read_template
from tests import restic

DOC = (ROOT / "docs" / "retention.md").read_text()


def written(path: Path, content: object) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_the_documented_calendar_is_what_the_command_prints() -> None:
    command = "make plan POLICY=daily7-weekly4-monthly6\n```\n"
    shown = DOC.split(command)[1].split("```\n")[1].removesuffix("\n")
    assert shown == planned({"POLICY": "daily7-weekly4-monthly6"})


def test_every_policy_in_the_documentation_is_one() -> None:
    tables = re.findall(r"^\| `([a-z0-9-]+)` \|", DOC, re.MULTILINE)
    assert len(tables) > 15
    for text in tables:
        parse_policy(text)


def test_the_documented_numbers_of_snapshots_are_those_of_a_year_of_nights() -> None:
    numbers = re.findall(r"^\| `([a-z0-9-]+)` \| ([0-9]+) \|", DOC, re.MULTILINE)
    assert len(numbers) > 3
    for policy, number in numbers:
        assert planned({"POLICY": policy}).startswith(f"{policy} keeps {number} of 365 ")


def test_rules_do_not_add_up_as_documented() -> None:
    assert "`last1-daily1-weekly1` keeps one\n  snapshot" in DOC
    assert planned({"POLICY": "last1-daily1-weekly1"}).startswith(
        "last1-daily1-weekly1 keeps 1 of 365 "
    )


def nights_after_a_pause(policy: str, days: int) -> tuple[int, list[tuple[int, int]]]:
    """How many are there after a year; for each of seven nights after the pause, how many it
    deletes and how many from before the pause are left."""
    rules = parse_policy(policy)
    first = datetime(YEAR, 1, 1, 2, tzinfo=UTC)
    most = int(read_template()["Parameters"]["MaxDeletions"]["Default"])
    there: list[Snapshot] = []

    def deletes(day: int) -> int:
        nonlocal there
        night = first + timedelta(days=day)
        decisions = plan(rules, [*there, Snapshot(day, night)], now=night, most_deletions=most)
        there = [decision.snapshot for decision in decisions if decision.keep]
        return sum(not decision.keep for decision in decisions)

    for day in range(365):
        deletes(day)
    before = {snapshot.id for snapshot in there}
    return len(before), [
        (deletes(364 + days + night), sum(s.id in before for s in there)) for night in range(7)
    ]


def test_what_the_nights_after_a_long_pause_delete_is_as_documented() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)`((?: \| [0-9]+){5}) \|$", DOC, re.MULTILINE)
    assert len(rows) > 4
    for policy, numbers in rows:
        before, nights = nights_after_a_pause(policy, days=30)
        left = [nights[night - 1][1] for night in (1, 3, 7)]
        assert numbers == "".join(f" | {n}" for n in (before, nights[0][0], *left)), policy


def test_each_night_of_the_year_is_in_the_calendar_or_deleted() -> None:
    calendar = planned({"POLICY": "lastunlimited"}).split("\n\n")[1]
    assert calendar.splitlines()[2] == "Feb " + "  #" * 28
    assert calendar.count("#") == 365
    nights = json.loads(planned({"POLICY": "last1", "FORMAT": "json"}))
    assert len(nights) == 365
    assert nights[0] == {
        "created": f"{YEAR}-01-01T02:00:00Z", "keep": False, "reason": "no rule keeps it",
    }  # fmt: skip
    assert nights[-1]["reason"] == "last 1 of 1"


def test_json_is_in_the_files_order_and_echoes_its_times(tmp_path: Path) -> None:
    times = [
        "2026-11-19T23:30:00-05:00",
        "2026-11-20t02:00:00z",
        "2026-11-20 03:00:00.123456789+01:00",
        "2026-11-20T02:00:00Z",
    ]
    rows = json.loads(planned({
        "POLICY": "last2", "SNAPSHOTS": written(tmp_path / "s.json", times), "FORMAT": "json",
    }))  # fmt: skip
    assert [row["created"] for row in rows] == times
    assert [row["reason"] for row in rows] == [
        "last 1 of 2", "no rule keeps it", "last 2 of 2", "no rule keeps it",
    ]  # fmt: skip


def test_of_equal_times_the_first_is_the_newer_as_in_restic(tmp_path: Path) -> None:
    times = ["2026-11-20T02:00:00Z"] * 3 + ["2026-11-20T03:00:00+01:00"] * 2
    path = written(tmp_path / "s.json", times)
    rows = json.loads(planned({"POLICY": "last2-daily3", "SNAPSHOTS": path, "FORMAT": "json"}))
    assert [row["keep"] for row in rows] == [True, True, False, False, True]


@pytest.mark.parametrize("policy", restic.POLICIES)
def test_a_files_plan_is_restics(policy: str, tmp_path: Path) -> None:
    times = list(reversed(restic.history()))
    path = written(tmp_path / "s.json", [time.isoformat() for time in times])
    rows = json.loads(planned({"POLICY": policy, "SNAPSHOTS": path, "FORMAT": "json"}))
    assert {nr for nr, row in enumerate(rows) if row["keep"]} == restic.kept(policy, times)


def test_a_calendar_has_a_block_for_each_year_and_counts_busy_days(tmp_path: Path) -> None:
    times = [f"2024-02-29T0{hour}:00:00Z" for hour in range(3)]
    times += [f"2026-01-01T{hour:02}:00:00Z" for hour in range(12)]
    path = written(tmp_path / "s.json", times)
    text = planned({"POLICY": "hourlyunlimited", "SNAPSHOTS": path, "FORMAT": "text"})
    head, leap_year, year, legend, listed = text.split("\n\n")
    assert head == "hourlyunlimited keeps 15 of 15 snapshots."
    assert leap_year.splitlines()[2] == "Feb " + " " * 86 + "3"
    assert year.splitlines()[1] == "Jan   +"
    assert legend.startswith("# kept   . deleted")
    assert listed.splitlines()[0] == "2026-01-01 11:00Z  hourly 1, unlimited (2026-01-01T11)"


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    assert planned({"POLICY": "lastunlimited"}).endswith(
        "\nand 305 older ones; FORMAT=json lists them all"
    )
    path = written(tmp_path / "s.json", [])
    assert planned({"POLICY": "last1", "SNAPSHOTS": path}) == "last1 keeps 0 of 0 snapshots."
    assert planned({"POLICY": "last1", "SNAPSHOTS": path, "FORMAT": "json"}) == "[]"


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({}, "POLICY is missing; write for example POLICY=daily7-weekly4."),
        ({"POLICY": ""}, "POLICY is missing"),
        ({"POLICY": "daily7 "}, "POLICY: 'daily7 ' needs a number"),
        ({"POLICY": "last1", "FORMAT": "yaml"}, "FORMAT is 'yaml'; write text or json."),
        ({"POLICY": "last1", "SNAPSHOTS": "no/such.json"},
         "SNAPSHOTS: cannot read no/such.json: No such file or directory."),
        ({"POLICY": "last1", "SNAPSHOTS": str(ROOT)},
         f"SNAPSHOTS: cannot read {ROOT}: Is a directory."),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(Unplannable) as refusal:
        planned(environ)
    assert str(refusal.value).startswith(problem)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("nonsense", "is not JSON: Expecting value"),
        ("[" * 100_000, "is not JSON: maximum recursion depth"),
        ("\x00", "is not JSON"),
        ({"times": []}, "is not a JSON list of times."),
        (["2026-11-20T02:00:00Z", "2026-11-20T02:00:00"],
         ', "2026-11-20T02:00:00", has no offset from UTC; add Z or for example +01:00.'),
        ([1790000000], ', 1790000000, is not a time such as "2026-11-21T02:00:00Z".'),
        (["20261120T020000Z"], "is not a time such as"),
        (["2026-11-20"], "is not a time such as"),
        (["2026-11-31T02:00:00Z"], "is no time: day is out of range for month."),
        (["2026-11-20T02:00:60Z"], "is no time: second must be in 0..59"),
        (["0001-01-01T00:00:00+01:00"], "is no time: date value out of range."),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_in_one_line(
    content: object, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "s.json", content)
    assert main({"POLICY": "last1", "SNAPSHOTS": path}) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err
    assert err.count("\n") == 1
    if isinstance(content, list):
        assert f"entry {len(content)} of {path}" in err


def test_the_module_prints_the_plan_and_nothing_else() -> None:
    environ = {**os.environ, "POLICY": "last1", "FORMAT": "json", "SNAPSHOTS": ""}
    command = [sys.executable, "-m", "local.plan"]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(json.loads(done.stdout)) == 365
    done = subprocess.run(
        command, env={**environ, "POLICY": "x"}, cwd=ROOT, capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (2, b"")
