"""Each project's last run: how it ended, and what it says of each server."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import Account
from deploy.run_log import TooLong, fill
from deploy.runs import Execution, ending, executions
from deploy.trouble import explain
from handler.report.links import execution_link
from local.common.board import Board

# So far back it is looked for; dry runs are passed over.
MOST_EXECUTIONS, MOST_DESCRIBED, MOST_RUNS_READ = 5000, 200, 10
AROUND = timedelta(minutes=10)


@dataclass(slots=True)
class LastRun:
    """A project's last run that was no dry run.

    `results` by server id, and `stock` (count, size_gb, monthly, currency), are from the log: empty
    if it does not have them.
    """

    run_id: str
    verdict: str
    line: str
    link: str
    results: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    stock: Mapping[str, Any] = field(default_factory=dict)


def last_runs(
    account: Account, machine: str, group: str, projects: Iterable[str], now: datetime
) -> tuple[dict[str, LastRun], str]:
    """By project; and why the results are not known, if so. Raises botocore's errors."""
    found: dict[str, LastRun] = {}
    of_runs: dict[str, list[Execution]] = {}
    for execution, verdict, line in _last(account, machine, set(projects)):
        link = execution_link(execution.arn)
        found[execution.project] = LastRun(execution.run_id, verdict, line, link)
        of_runs.setdefault(execution.run_id, []).append(execution)
    missing = ""
    for number, (run_id, of_run) in enumerate(of_runs.items()):
        if number >= MOST_RUNS_READ:
            return found, f"The results of runs before {run_id} were not read."
        missing = _read(account, group, run_id, of_run, found, now) or missing
    return found, missing


def _last(
    account: Account, machine: str, projects: set[str]
) -> Iterator[tuple[Execution, str, str]]:
    """Each project's last execution that was no dry run, the newest first: verdict and line."""
    step_functions = account.client("stepfunctions")
    described = 0
    for number, execution in enumerate(executions(account, machine)):
        if not projects or number >= MOST_EXECUTIONS or described >= MOST_DESCRIBED:
            return
        if execution.project not in projects:
            continue
        described += 1
        answer = step_functions.describe_execution(executionArn=execution.arn)
        if is_dry_run(answer.get("input", "")):
            continue
        projects.remove(execution.project)
        verdict, line = ending(answer)
        told = line.partition("\n")[0]
        if answer["status"] not in ("RUNNING", "SUCCEEDED", "FAILED"):
            told = f"the execution ended {answer['status']} without a summary"
        yield execution, verdict or answer["status"], told


def is_dry_run(input: str) -> bool:
    """Of an execution's input, which is anybody's JSON where a person has started it by hand."""
    document = json.loads(input or "{}")
    run = document.get("run") if isinstance(document, dict) else None
    return isinstance(run, dict) and bool(run.get("dry_run"))


def _read(
    account: Account,
    group: str,
    run_id: str,
    of_run: list[Execution],
    found: dict[str, LastRun],
    now: datetime,
) -> str:
    """Adds what the log has of a run; returns why it has nothing, if so."""
    board = Board(run_id, [execution.project for execution in of_run])
    # A resumed run has earlier results; the last execution's lines are enough to tell of the last.
    since = min(execution.started for execution in of_run) - AROUND
    until = max(execution.stopped or now for execution in of_run) + AROUND
    # Of a large run all lines would take a minute.
    only = f'{{ ($.run_id = "{run_id}") && ($.summary.verdict = "*" || $.result.server = "*") }}'
    try:
        fill(account, group, board, _ms(since), _ms(until), only)
    except TooLong:
        return f"The log of the run {run_id} was not read to its end."
    except (BotoCoreError, ClientError) as error:
        return f"The log group {group} cannot be read: {explain(error)}"
    for line in board.lines:
        if not (last := found.get(str(line["project"]))) or last.run_id != run_id:
            continue
        if isinstance(result := line.get("result"), Mapping):
            last.results[int(result.get("id") or 0)] = result
        if isinstance(summary := line.get("summary"), Mapping):
            last.stock = (summary.get("inventory") or {}).get("all") or {}
    lacking = [e.project for e in of_run if not e.running and not found[e.project].results]
    if any(not board.summaries.get(project) for project in lacking):
        return f"The log has no results of the run {run_id}."
    return ""


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
