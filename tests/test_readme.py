"""The README says what is there."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handler.documents.labels import (
    LABEL_DRILL,
    LABEL_ENABLED,
    LABEL_EVERY,
    LABEL_PROBE,
    LABEL_RETENTION,
)
from handler.documents.request import FIELDS
from handler.documents.restore_request import FIELDS as RESTORE_FIELDS
from handler.report.restore import conclude
from local.cloud import Cloud
from local.commands import Commands
from local.common.board import Board
from local.common.console import plain_console
from local.options import REAL_ENDPOINT, Options
from local.virtual.template import ROOT, read_template
from tests.test_restore_summary import PROVEN, document

README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_promise_not_to_delete_names_a_test_that_exists() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    snapshots, servers = section("What it will never delete").split("\n**Servers**")
    promises = [*re.split(r"\n- ", snapshots)[1:], *re.split(r"\n- ", servers)]
    assert len(promises) >= 15
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
    nights, restores = section("The event").split("\n### The event of StartRestore\n")
    rows = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
    assert sorted(rows.findall(nights)) == sorted(FIELDS)
    assert rows.findall(restores) == list(RESTORE_FIELDS)


def test_every_label_of_a_server_is_listed() -> None:
    written = {LABEL_ENABLED, LABEL_RETENTION, LABEL_EVERY, LABEL_DRILL, LABEL_PROBE}
    rows = re.findall(r"^\| `(hetzner-snapshots/\w+)` \|", section("Settings"), re.MULTILINE)
    assert set(rows) == written


def test_the_line_of_a_drill_is_the_one_that_is_written() -> None:
    line = conclude(document(PROVEN), "").line
    assert f"```\n{line}\n```" in section("What a drill proves, and what it does not")


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


FIRST_SCREEN = "\n".join(README.splitlines()[:45])


@pytest.mark.parametrize(
    "told",
    ["not yet run against a real account", "same Hetzner project", "Volumes", "copied\n  elsewhere",
     "as your only backup no", "#compared-with-hetzners-backups", "#restoring-a-snapshot",
     "make run REAL=1 EVENT=events/dry-run.json"],
)  # fmt: skip
def test_the_first_screen_says_what_it_is_not(told: str) -> None:
    assert told in FIRST_SCREEN


class Planned(Board):
    def verdict(self) -> Any:
        return "Completed"


def asked_for(event: dict[str, Any], folder: Path, patch: pytest.MonkeyPatch) -> str:
    """What `make run REAL=1` says with that event; a question is answered with N."""
    patch.setattr(Commands, "_watch", lambda *_: Planned("20261121T020000Z", ["default"]))
    patch.setattr(Commands, "_write_page", lambda *_: None)
    patch.setattr(sys, "stdin", io.StringIO("N\n"))
    cloud = Cloud(aws="", endpoint=REAL_ENDPOINT, api="real", wait_scale=1.0, folder=str(folder))
    said = io.StringIO()
    Commands(plain_console(said), folder).run_on(cloud, event, yes=False)
    return said.getvalue()


def test_the_trial_on_ones_own_servers_asks_nothing_and_a_real_run_the_question_that_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [command] = re.findall(r"^HCLOUD_TOKEN=\$TOKEN make run (.*)$", README, re.MULTILINE)
    given = dict(setting.split("=") for setting in command.split())
    trial = Options.from_env({**given, "HCLOUD_TOKEN": "t" * 64})
    assert (trial.api, trial.endpoint) == ("real", REAL_ENDPOINT)
    event = json.loads((ROOT / given["EVENT"]).read_text())
    assert "[y/N]" not in asked_for(event, tmp_path, monkeypatch)
    [question] = re.findall(r"`(Do this on .*?)`", README)
    assert question in asked_for({}, tmp_path, monkeypatch)
