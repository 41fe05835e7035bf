"""`make report`: the page about a run on AWS, from its log; what it lacks is said."""

import os
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.__main__ import main
from deploy.report import PAGE
from deploy.runs import began
from local.simulator import Project
from local.virtual.template import ROOT
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.deploy_shell import REGION, Stacks, a_stack, keep, said
from tests.test_local_page import EVIL, Elements, rows

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def page(shell: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the page is written, in place of build/."""
    shell.setattr("deploy.report.ROOT", tmp_path)
    shell.setattr("deploy.report.PAGE", tmp_path / PAGE.relative_to(ROOT))
    return tmp_path / PAGE.relative_to(ROOT)


def words(page: Path) -> str:
    return " ".join(" ".join(Elements(page.read_text()).texts).split())


def test_the_last_runs_page_has_every_server_of_every_project(
    nights: Aws, project: Project, page: Path, capsys: Capsys
) -> None:
    project.add_server("web-1")
    project.add_server(EVIL)
    nights.store_token("second", "of-nobody")
    first = nights.run({"project": "default", "run_id": "first", "new": True})
    last = nights.run({})
    keep(nights.logs)
    assert main("report", os.environ) == 0
    told = capsys.readouterr().out
    assert "default: Completed: 2 of 2 servers" in told
    assert "second: Failed: the token in /hetzner-snapshots/tokens/second" in told
    assert f"Other runs, for RUN=: {first.run_id}." in told
    assert told.endswith("The page about it is build/report.html.\n")
    elements = Elements(page.read_text())
    assert {("default", "web-1", "available"), ("default", EVIL, "available")} <= set(
        rows(elements, 0, 1, 2)[-2:]
    )
    assert EVIL not in page.read_text()
    links = [value for tag, name, value in elements.attributes if (tag, name) == ("a", "href")]
    assert len(links) == 2 and all(
        link.startswith("https://eu-central-1.console") for link in links
    )
    assert last.run_id in elements.texts
    assert f'{{"run_id": "{last.run_id}", "project": "second"}}' in elements.texts
    where = "--stack-name hetzner-snapshots --region eu-central-1"
    assert f"sam remote invoke StartRun {where} --event '…'" in elements.texts


@pytest.mark.parametrize("asked", ["first", "the execution's name"])
def test_an_earlier_run_is_named_by_its_id_or_an_execution(
    nights: Aws, project: Project, page: Path, shell: pytest.MonkeyPatch, capsys: Capsys, asked: str
) -> None:
    project.add_server("web-1")
    first = nights.run({"run_id": "first", "new": True})
    nights.run({"dry_run": True})
    keep(nights.logs)
    arn = first.executions["default"]["executionArn"]
    shell.setenv("RUN", asked if asked == "first" else arn.rsplit(":", 1)[1])
    assert main("report", os.environ) == 0
    assert "default: Completed: 1 of 1 server; 1 made" in capsys.readouterr().out
    assert "first" in Elements(page.read_text()).texts


def test_a_run_that_was_resumed_is_told_as_it_ended(
    nights: Aws, project: Project, page: Path, capsys: Capsys
) -> None:
    held = project.add_server("held")
    project.lock(held, command="rebuild_server", seconds=5400)
    night = nights.run({})
    assert night.verdict() == "Failed"
    nights.run({"run_id": night.run_id})
    keep(nights.logs)
    assert main("report", os.environ) == 0
    assert "default: Completed: 1 of 1 server" in capsys.readouterr().out
    assert rows(Elements(page.read_text()), 0, 1)[-1] == ("held", "available")


def test_a_log_that_is_gone_is_said_with_what_step_functions_still_knows(
    nights: Aws, project: Project, page: Path, capsys: Capsys
) -> None:
    project.add_server("web-1")
    night = nights.run({})
    keep([{"run_id": "another", "project": "default", "message": "not of this run"}])
    text = said("report", capsys)
    assert f"The log of the run {night.run_id} is gone, or was never written" in text
    assert "It keeps lines for 30 days (LogRetentionDays)." in text
    assert "  default: Completed: 1 of 1 server; 1 made" in text
    assert not page.exists()


def of(lines: list[dict[str, Any]], *lacking: str) -> list[dict[str, Any]]:
    return [line for line in lines if not set(lacking) & line.keys()]


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ("summary", "default: the log is not complete yet. Try again in a minute."),
        ("input", "default: the log's beginning is missing; it may have been kept too short."),
        ("result", "default: the log has the results of 0 of 1 servers."),
        ("project", ""),
    ],
)
def test_a_log_that_lacks_something_is_said_on_the_page_and_by_the_exit_code(
    nights: Aws, project: Project, page: Path, capsys: Capsys, lacking: str, told: str
) -> None:
    project.add_server("web-1")
    nights.run({})
    if lacking == "project":
        assert said("report", capsys).startswith("The log of the run ")
        return
    keep(of(nights.logs, lacking))
    assert main("report", os.environ) == 1
    out = capsys.readouterr().out
    assert told in out and told in words(page)
    # Whatever the log lacks, the verdict is true.
    assert "default: Completed: 1 of 1 server" in out
    assert "To make what is missing" not in words(page)


def test_a_level_that_logs_little_is_named(
    nights: Aws, project: Project, stacks: Stacks, page: Path, capsys: Capsys
) -> None:
    stacks[REGION, "hetzner-snapshots"]["Parameters"] = a_stack(LogLevel="WARNING")["Parameters"]
    project.add_server("web-1")
    nights.run({})
    keep(of(nights.logs, "summary", "result", "input"))
    assert main("report", os.environ) == 1
    assert "The stack's LogLevel is WARNING" in capsys.readouterr().out


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_that_goes_on_has_not_failed(
    nights: Aws, project: Project, page: Path, capsys: Capsys, resumed: bool
) -> None:
    server = project.add_server("held")
    project.lock(server, command="rebuild_server", seconds=None)
    event = {"run_id": nights.run({}).run_id} if resumed else {}
    before = len(nights.logs)
    nights.invoke("StartRun", event)
    nights.time.pass_until(lambda: any("elapsed_s" in line for line in nights.logs[before:]))
    keep(nights.logs)
    assert main("report", os.environ) == 0
    assert "default: Running: the execution is still going on" in capsys.readouterr().out
    text = words(page)
    assert ("Running" in text and "Nothing so far." in text) or resumed
    assert "To make what is missing" not in text


def test_a_run_that_was_stopped_is_not_taken_for_one_that_goes_on(
    nights: Aws, project: Project, page: Path, capsys: Capsys
) -> None:
    server = project.add_server("held")
    project.lock(server, command="rebuild_server", seconds=None)
    answer = nights.invoke("StartRun", {})
    nights.time.pass_until(lambda: any("elapsed_s" in line for line in nights.logs))
    [run] = answer["executions"]
    step_functions = boto3.client("stepfunctions", region_name=REGION)
    step_functions.stop_execution(executionArn=run["execution_arn"], cause="by hand")
    nights.time.pass_until(lambda: run["execution_arn"] in nights.time.ended)
    keep(nights.logs)
    assert main("report", os.environ) == 1
    told = capsys.readouterr().out
    assert "default: Failed: the execution ended ABORTED" in told
    assert f'{{"run_id": "{answer["run_id"]}", "project": "default"}}' in words(page)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("$(x)", "is no run's id: those are as 20261121T020000Z."),
        ("mine", "Step Functions knows no run mine of hetzner-snapshots in the last 90 days. The"),
        ("20260101T020000Z", "Step Functions does not know it, either"),
    ],
)
def test_a_run_that_is_not_known_is_refused_with_those_that_are(
    nights: Aws,
    project: Project,
    page: Path,
    shell: pytest.MonkeyPatch,
    capsys: Capsys,
    asked: str,
    expected: str,
) -> None:
    night = nights.run({})
    keep(nights.logs)
    shell.setenv("RUN", asked)
    text = said("report", capsys)
    assert expected in text
    assert asked == "$(x)" or night.run_id in text
    assert not page.exists()


def test_before_the_first_run_it_is_said_how_to_start_one(
    nights: Aws, page: Path, capsys: Capsys
) -> None:
    assert "`make smoke REGION=eu-central-1` starts a dry run." in said("report", capsys)


def test_a_runs_id_tells_its_day() -> None:
    assert str(began("20261121T020000Z")) == "2026-11-21 02:00:00+00:00"
    assert str(began("20261121-0000abcd0000")) == "2026-11-21 00:00:00+00:00"
    for other in ("mine", "20269999-x", "2026112", "20261121", TOKEN[:20]):
        assert began(other) is None
