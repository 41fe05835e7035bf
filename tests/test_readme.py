"""The README says what is there."""

import os
import re
import subprocess
import sys

from handler.documents.request import FIELDS
from local.virtual.template import ROOT, read_template

README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_promise_not_to_delete_names_a_test_that_exists() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    promises = re.split(r"\n- ", section("What it will never delete"))[1:]
    assert len(promises) >= 10
    for promise in promises:
        named = re.findall(r"`(test_\w+)`", promise)
        assert named, promise
        for name in named:
            assert f"def {name}(" in tests, name


def test_every_line_of_what_happens_when_is_a_test_that_exists() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    lines = re.findall(r"^\| (?!…|-).*\|$", section("What happens when …"), re.MULTILINE)
    assert len(lines) >= 20
    for line in lines[1:]:
        [name] = re.findall(r"`(test_\w+)` \|$", line)
        assert f"def {name}(" in tests, name


def test_every_parameter_and_its_default_are_listed() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", section("Settings"), re.MULTILINE)
    parameters = read_template()["Parameters"]
    assert [name for name, _ in rows] == list(parameters)
    words = {
        "Owner": "the stack's name",
        "LabelSelector": "all servers",
        "NotificationEmail": "nobody",
    }
    for name, default in rows:
        assert default.strip("`") == words.get(name, str(parameters[name]["Default"])), name


def test_every_field_of_the_event_is_listed() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("The event"), re.MULTILINE)
    assert sorted(rows) == sorted(FIELDS)


def test_the_calendar_is_what_make_plan_prints() -> None:
    planned = subprocess.run(
        [sys.executable, "-m", "local.plan"],
        cwd=ROOT,
        env=os.environ | {"POLICY": "daily7-weekly4-monthly6"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    [calendar] = re.findall(r"```\n(daily7.*?)\n```", section("Retention"), re.DOTALL)
    assert planned.startswith(calendar)


def test_the_benchmarks_figures_are_those_of_its_page() -> None:
    page = (ROOT / "docs" / "benchmark.md").read_text()
    rows = re.findall(r"^\| (ours|naive fan-out|plain script) \| (.+) \|$", README, re.MULTILINE)
    assert len(rows) == 3
    for way, figures in rows:
        [line] = re.findall(rf"^\| 100 \| {way} \| .*$", page, re.MULTILINE)
        for figure in figures.split(" | "):
            assert f" {figure.removeprefix('$')} |" in line, (way, figure)
