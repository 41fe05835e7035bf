"""Whether a run's results for its servers, and its own verdict, are true."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from local.virtual.cloud import Execution, Invocation
from local.virtual.stage import Stage
from tests.chaos.emptied import TOLD

PRUNE_MINUTES = 60
# What Step Functions' own retries may add to a child's time: 5 of up to 600 s, and throttling.
RETRIES_SECONDS = 4 * 3600
# Minutes are rounded; an answer that was lost is given again, from an attempt before.
TOLD_WITHIN_SECONDS = 60 + 600
THROTTLED = "Lambda.TooManyRequestsException"
THROTTLED_TRIES = 20
AWS_ERRORS = (
    "States.Timeout",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "Lambda.Unknown",
    THROTTLED,
    "ZeroDivisionError",
)


def untrue(night: Stage, execution: Execution) -> Iterator[str]:
    """The false statements of an execution, its verdict and its servers' results."""
    if execution.status == "ABORTED":
        return
    if execution.status == "RUNNING":
        yield "still running"
        return
    yield from _impatient(night, execution)
    yield from _unlisted(night, execution)
    yield from _bad_advice(night, execution)
    run = execution.input["run"]
    most = 60 * (2 * run["lock_wait_minutes"] + run["snapshot_minutes"] + PRUNE_MINUTES)
    if execution.ended - execution.started > most + RETRIES_SECONDS:
        yield f"took {execution.ended - execution.started:.0f} s"
    summaries = [
        i for i in night.cloud.invocations
        if i.execution is execution and i.function == "SummariseRun" and i.heard
    ]  # fmt: skip
    verdict = summaries[-1].output.get("verdict") if summaries else None
    green, completed = execution.status == "SUCCEEDED", verdict == "Completed"
    # Without an answer of SummariseRun the execution fails with SummariseRun's error.
    if green != completed and (green or execution.error not in AWS_ERRORS):
        yield f"{execution.status} ({execution.error}) with verdict {verdict}"
    if verdict is None:
        return
    # A container that is asked again for a lost answer gives it again, and logs nothing twice.
    same = [
        i for i in night.cloud.invocations
        if i.execution is execution and i.function == "SummariseRun"
        and i.output == summaries[-1].output and results_in(i)
    ]  # fmt: skip
    told = [r for i in same[-1:] for r in results_in(i)]
    yield from _verdicts(night, execution, told)
    yield from _wrong_times(night, execution, summaries[-1])
    yield from _run_verdict(execution, verdict, told)


def _wrong_times(night: Stage, execution: Execution, summary: Invocation) -> Iterator[str]:
    """How long the run is told to have taken: never less than nothing; to the minute where no
    clock is wrong."""
    told = re.search(r"made in (-?\d+) (s|min)", summary.output["summary"])
    told_s = int(told[1]) * (60 if told[2] == "min" else 1) if told else 0
    took_s = summary.started - execution.started
    is_off = abs(told_s - took_s) > TOLD_WITHIN_SECONDS and not night.wrong_clocks
    if told and (told_s < 0 or (is_off and "Date" not in night.world.without_headers)):
        yield f"told to have taken {told[1]} {told[2]}, took {took_s:.0f} s"


def _impatient(night: Stage, execution: Execution) -> Iterator[str]:
    """A throttled call has not begun: so few of them are got over, by the run and each child."""
    if sum(fate.what == "throttled" for fate in night.cloud.fates) < THROTTLED_TRIES:
        if execution.error == THROTTLED:
            yield "ended by a throttled call"
        for result in execution.results.values():
            if result and result.get("error") == THROTTLED:
                yield f"{result['server']} was given up for a throttled call"


def _unlisted(night: Stage, execution: Execution) -> Iterator[str]:
    """After nothing worse than what a run gets over, its servers are handed out."""
    listings = [
        i.output for i in night.cloud.invocations
        if i.execution is execution and i.function == "ListServers" and i.heard
    ]  # fmt: skip
    last = listings[-1] if listings else {"status": "broken off", "reason": execution.error}
    # A selection that matches nothing is a person's to correct.
    asked_wrongly = last["reason"].startswith(("none of the ", "no server "))
    if night.mild and last["status"] not in ("ready", "done") and not asked_wrongly:
        yield f"nothing worse than what it must get over, and yet no listing: {last['reason']}"


def _bad_advice(night: Stage, execution: Execution) -> Iterator[str]:
    """A snapshot that people are told to delete is not the one that the run ends with."""
    log = "\n".join(
        line for i in night.cloud.invocations if i.execution is execution for line in i.logs
    )
    for result in execution.results.values():
        image_id = result and result.get("image_id")
        if not image_id or image_id in night.truth.meddled or result["status"] != "available":
            continue
        if re.search(rf"snapshot {image_id} of this run is \w+ and not used", log):
            yield f"told to be of no use, and then taken: {result}"


def results_in(invocation: Invocation) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in invocation.logs]
    return [line["result"] for line in lines if "result" in line]


def _verdicts(night: Stage, execution: Execution, told: list[dict[str, Any]]) -> Iterator[str]:
    """Every server handed out has one result, and it is true."""
    run, ids = execution.input["run"], Counter(result["id"] for result in told)
    if list(ids.values()) != [1] * len(ids):
        yield f"more than one verdict: {ids}"
    listed = [
        i.output["handed_out"] for i in night.cloud.invocations
        if i.execution is execution and i.function == "ListServers" and i.heard
        and i.output["status"] == "ready"
    ]  # fmt: skip
    if listed and ids.keys() != set(listed[-1]):
        yield f"verdicts on {sorted(ids)}, selected were {listed[-1]}"
    for result in told:
        truth = execution.truths.get(result["id"])
        if truth is None:
            yield f"a verdict without a child: {result}"
            continue
        if night.mild and not _is_well(night, result):
            yield f"nothing worse than what it must get over, and yet: {result}"
        mine = result["image_id"]
        if result["status"] == "available":
            # Of a branch that gave no result, SummariseRun has looked later than the branch's end.
            if (execution.results.get(result["id"]) or {}).get("status") != "available":
                truth = truth | night.truth.of_run(run["id"], result["id"])
            if truth.get(mine) != "available" and mine not in night.truth.meddled:
                yield f"told to be available, is {truth.get(mine)}: {result}"
            continue
        if run["dry_run"] or run["prune_only"]:
            continue
        there = [i for i, s in truth.items() if s != "unavailable" and i not in night.truth.meddled]
        reason = result["reason"]
        if "no snapshot made" not in reason and _told_by_others(night, execution, result["id"]):
            continue
        hinted = (
            mine in there
            or any(str(i) in reason for i in there)
            or re.search(r"may have been started|confirmed|may still|was started", reason)
        )
        if there and not hinted:
            yield f"told not to be available, but {truth} is there: {result}"


def _is_well(night: Stage, result: dict[str, Any]) -> bool:
    """Made and pruned as asked, unless a person has to correct a label or look at a disk."""
    good = result["status"] != "failed" and result["pruned"]
    return good or "its label" in result["reason"] or TOLD in result["reason"]


def _told_by_others(night: Stage, execution: Execution, server_id: int) -> bool:
    """Whether the run could not know it: another run, or a lost attempt, made the snapshot."""
    run_id = execution.input["run"]["id"]
    unheard = any(
        i.function == "CreateSnapshot" and i.server_id == server_id and i.run_id == run_id
        for i in night.cloud.invocations
        if not i.heard
    )
    twins = [e for e in night.cloud.executions.values() if e.input["run"]["id"] == run_id]
    return unheard or len(twins) > 1


def _run_verdict(execution: Execution, verdict: str, told: list[dict[str, Any]]) -> Iterator[str]:
    failed = [r for r in told if r["status"] == "failed"]
    unpruned = [r for r in told if not r["pruned"]]
    if verdict == "Completed" and (failed or unpruned):
        yield f"Completed, but {failed + unpruned}"
    of_servers = [r for r in told if not r["gone"]]
    if told and verdict == "Failed" and any(r["status"] != "failed" for r in of_servers):
        yield f"Failed, but {told}"
    if told and verdict == "PartiallyFailed" and not (failed or unpruned):
        yield "PartiallyFailed, but nothing failed"
    if any(not result["reason"] for result in failed + unpruned):
        yield "a failure without a reason"
