"""`make report`: the page that `make run` writes, about a run on AWS."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deploy.account import Account, Stack, command, connect, stack_in
from deploy.elsewhere import agree_to_account
from deploy.run_log import TooLong, fill
from deploy.runs import Execution, began, ending, executions, output_of, run_of
from deploy.settings import ROOT, Settings
from handler.report.links import execution_link
from local.common.board import WORST_FIRST, Board
from local.common.variables import Unusable

PAGE = ROOT / "build/report.html"
# Clocks differ, and lines come late.
AROUND = timedelta(minutes=10)
# Of a run that Step Functions has forgotten: so long it may have gone on.
LONGEST_RUN = timedelta(days=4)
# Until then the log of what has just ended may lack its last lines.
FRESH = timedelta(minutes=2)
GOOD = ("available", "planned", "pruned", "skipped")
SHORT_LEVELS = ("WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class Run:
    """What Step Functions knows of a run; `executions` is empty of one that it has forgotten."""

    id: str
    executions: Sequence[Execution]
    others: Sequence[str]  # ids of other runs

    @property
    def last(self) -> Mapping[str, Execution]:
        """By project: a run that was resumed has several."""
        return {execution.project: execution for execution in self.executions}

    def time(self, now: datetime) -> tuple[datetime, datetime]:
        """From when to when there may be lines of it."""
        if not self.executions:
            since = began(self.id) or now
            return since - AROUND, min(since + LONGEST_RUN, now)
        ends = [execution.stopped or now for execution in self.executions]
        return min(e.started for e in self.executions) - AROUND, max(ends) + AROUND


def report(settings: Settings) -> int:
    """0 if the page has all there is of the run, else 1: the page and the terminal say why."""
    account = connect(settings)
    agree_to_account(settings, account)
    stack = stack_in(account, settings)
    group = output_of(stack, "LogGroupName", settings)
    run = _find(account, output_of(stack, "SnapshotRunArn", settings), stack, settings)
    now = datetime.now(UTC)
    board = Board(run.id, sorted(run.last))
    print(f"Reading the log of the run {run.id} ...")
    missing = _read(account, group, board, run, now)
    if not board.lines:
        raise Unusable(_gone(board, run, stack, group))
    missing += _missing(board, run, stack, now)
    _write(board, run, missing, _where(account, stack))
    for name, project in board.record()["projects"].items():
        print(f"{name}: {project['line']}")
    for what in missing:
        print(what)
    if run.others:
        print(f"Other runs, for RUN=: {', '.join(run.others)}.")
    print(f"The page about it is {PAGE.relative_to(ROOT)}.")
    return 1 if missing else 0


def _find(account: Account, machine: str, stack: Stack, settings: Settings) -> Run:
    """The run that is asked for. Raises Unusable if there is none."""
    found, others = run_of(executions(account, machine), settings.run_id)
    if found:
        return Run(found[0].run_id, found, others)
    if not settings.run_id:
        raise Unusable(
            f"Step Functions knows no run of {stack.name} in the last 90 days, so there is nothing "
            f"to report. {command('smoke', settings)} starts a dry run."
        )
    if began(settings.run_id) is None:
        known = f"The newest are {', '.join(others)}." if others else "It knows no run at all."
        raise Unusable(
            f"Step Functions knows no run {settings.run_id} of {stack.name} in the last 90 days. "
            f"{known}"
        )
    return Run(settings.run_id, (), others)


def _read(account: Account, group: str, board: Board, run: Run, now: datetime) -> list[str]:
    """Fills the board; what is missing for sure."""
    since, until = (round(moment.timestamp() * 1000) for moment in run.time(now))
    missing = []
    try:
        fill(account, group, board, since, until)
    except TooLong:
        missing.append(
            "The log was not read to its end, since that took too long: what comes later is not "
            "on the page."
        )
    seen = {str(line["project"]): None for line in board.lines}
    board.projects += [name for name in sorted(seen) if name not in board.projects]
    for name, execution in run.last.items():
        if execution.running:
            board.summaries.pop(name, None)  # of an earlier execution
        if name not in board.summaries:
            board.told[name] = _told(account, execution)
    return missing


def _told(account: Account, execution: Execution) -> dict[str, str]:
    """Verdict and line of an execution whose summary is not in the log."""
    found = account.client("stepfunctions").describe_execution(executionArn=execution.arn)
    name, line = ending(found)
    verdict = name.split(".")[0]
    if verdict in WORST_FIRST:
        return {"verdict": verdict, "line": line.partition("\n")[0]}
    why = f": {name or 'no error'}, {line}" if found["status"] == "FAILED" else ""
    line = f"Failed: the execution ended {found['status']} without a summary{why}"
    return {"verdict": "Failed", "line": line}


def _missing(board: Board, run: Run, stack: Stack, now: datetime) -> list[str]:
    """What of a run is not in its log, in sentences."""
    found = list(_lacks(board, run, now))
    level = stack.parameters.get("LogLevel")
    if found and level in SHORT_LEVELS:
        found.append(f"The stack's LogLevel is {level}, with which runs log little: INFO has all.")
    return found


def _lacks(board: Board, run: Run, now: datetime) -> Iterator[str]:
    for name in board.projects:
        mine = [line for line in board.lines if line["project"] == name]
        execution = run.last.get(name)
        if not mine:
            yield f"{name}: nothing of it is in the log."
            continue
        if not any("input" in line for line in mine):
            yield f"{name}: the log's beginning is missing; it may have been kept too short."
        if board.running(name):
            continue
        summary = board.summaries.get(name)
        if summary is None and execution and execution.stopped and now - execution.stopped < FRESH:
            yield f"{name}: the log is not complete yet. Try again in a minute."
        elif summary is None:
            yield f"{name}: the log has no summary of it."
        else:
            yield from _results_lack(board, name)


def _results_lack(board: Board, project: str) -> Iterator[str]:
    """By the summary's counts; what failed has no result if the run broke off."""
    counted = sum(int(board.summaries[project].get(status) or 0) for status in GOOD)
    results = [result for (name, _), result in board.results.items() if name == project]
    logged = sum(result.get("status") in GOOD for result in results)
    if logged < counted:
        yield f"{project}: the log has the results of {logged} of {counted} servers."


def _gone(board: Board, run: Run, stack: Stack, group: str) -> str:
    since, _ = run.time(datetime.now(UTC))
    days = stack.parameters.get("LogRetentionDays", "some")
    lines = [
        f"The log of the run {run.id} is gone, or was never written: {group} has no line of it "
        f"from {since:%Y-%m-%d %H:%M}Z on. It keeps lines for {days} days (LogRetentionDays)."
    ]
    if board.told:
        lines.append("What Step Functions knows of it:")
        lines += [f"  {name}: {told['line']}" for name, told in board.told.items()]
    else:
        lines.append("Step Functions does not know it, either: it forgets runs after 90 days.")
    if run.others:
        lines.append(f"Other runs, for RUN=: {', '.join(run.others)}.")
    return "\n".join(lines)


def _where(account: Account, stack: Stack) -> str:
    return f"--stack-name {stack.name} --region {account.region}"


def _write(board: Board, run: Run, notes: Sequence[str], where: str) -> None:
    # Imported only here: matplotlib takes longer to load than most commands take.
    from local.common.page import page

    links = {
        f"{name}: the execution" if len(run.last) > 1 else "the execution": execution_link(each.arn)
        for name, each in run.last.items()
    }
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(board, where=where, notes=notes, links=links), encoding="utf-8")
