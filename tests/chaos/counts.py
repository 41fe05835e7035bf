"""Whether what a run counts is so: results, line, metrics and messages against what happened."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from handler.documents.printable import printable
from handler.report import metrics
from local.virtual.cloud import Execution, Invocation
from local.virtual.stage import Stage
from local.virtual.truth import is_ours
from tests.chaos.bad_tokens import BELIEF
from tests.chaos.gone import HIDDEN
from tests.chaos.verdicts import results_in

LISTED = ("selected", "left_out")


def false_counts(night: Stage, execution: Execution) -> Iterator[str]:
    tellers = [
        invocation
        for invocation in night.cloud.invocations
        if invocation.execution is execution
        and invocation.function == "SummariseRun"
        and (invocation.metrics or invocation.messages)
    ]
    yield from _told_twice(tellers)
    for teller in tellers:
        results = results_in(teller)
        for result in results:
            yield from _false_result(night, execution, result)
        if teller.output and "verdict" in teller.output:
            yield from _false_sums(execution, teller, results)
            yield from _false_message(teller)


def vanished(night: Stage, execution: Execution) -> Iterator[str]:
    """No server that is there is said to be deleted, no project that had servers is simply none."""
    listed = [
        i.output for i in night.cloud.invocations
        if i.execution is execution and i.function == "ListServers" and i.heard
    ]  # fmt: skip
    had = any(is_ours(image) for image in night.truth.before.values())
    # A run cannot know that an empty project is another one.
    had = had and BELIEF not in night.beliefs and not night.project._servers
    if night.looks:  # they may have been deleted long after it
        sights = [sight for by, sight in night.looks.listings if by.execution is execution]
        had = had and not any(sight.servers for sight in sights)
    empty = bool(listed) and listed[-1]["status"] == "done" and not listed[-1]["totals"]["not_due"]
    if execution.status == "SUCCEEDED" and had and empty:
        yield "Completed, though the project has lost its servers"
    for server_id, result in execution.results.items():
        there = server_id in night.project._servers and isinstance(result, dict)
        if there and "was deleted during the run" in result.get("reason", ""):
            yield f"it is there: {result}"


def overlooked(night: Stage, execution: Execution) -> Iterator[str]:
    """The first listing tells of each server that is there from the beginning to the end, and is
    listed."""
    if execution.input["run"]["project"] != night.project.name:
        return
    there = {id_ for id_, server in night.project._servers.items() if server.name != HIDDEN}
    there -= night.newcomers
    for invocation in night.cloud.invocations:
        if invocation.execution is not execution or invocation.function != "ListServers":
            continue
        lines = [json.loads(line) for line in invocation.logs]
        told = {line["server_id"] for line in lines if line.get("status") in LISTED}
        if told and BELIEF not in night.beliefs and (missed := there - told):
            yield f"servers {sorted(missed)} are there and were overlooked"


def _told_twice(tellers: list[Invocation]) -> Iterator[str]:
    """A container that told once and is asked again tells nothing; a new one cannot know."""
    for container, count in Counter(teller.container for teller in tellers).items():
        if count > 1:
            yield f"told {count} times by container {container}"


def _false_result(night: Stage, execution: Execution, result: dict[str, Any]) -> Iterator[str]:
    if execution.input["run"]["dry_run"]:
        return
    server_id, truth = result["id"], night.truths[execution.input["run"]["project"]]
    deleted = sum(
        deletion.by is not None
        and deletion.by.execution is execution
        and deletion.by.server_id == server_id
        for deletion in truth.deletions
    )
    if result["deleted"] > deleted or (result["deleted"] < deleted and not result["at_least"]):
        yield f"{deleted} deleted, told: {result}"
    maker = truth.makers.get(result["image_id"])
    made = maker is not None and maker.execution is execution
    if maker and maker.execution and "ended without a result" in result["reason"]:
        # Two executions of one run at a time: which one made it only the lost branch knew.
        made = maker.execution.input["run"]["id"] == execution.input["run"]["id"]
    if result["status"] == "available" and not result["adopted"] and not made:
        yield f"told to be made by this run: {result}"
    locks = {
        printable(action.command)
        for action in truth.project._actions.values()
        if action.server_id == server_id
    } | {"create_image", "unknown"}  # whose actions may vanish in a night, or name no command
    # The last words may have been cut to fit the result.
    lock = re.sub(r" (and \d+ more|(a|an|and|o|or)?( \d*( m\w*)?)?\.\.\.)$", "", result["lock"])
    named = set(re.split(" and | or ", lock)) - {""}
    cut = {each for each in named if each.endswith("...")}
    fits = all(any(lock.startswith(each[:-3]) for lock in locks) for each in cut)
    if not (fits and named - cut <= locks):
        yield f"locked by {locks}, told {named}: {result}"
    lasted = execution.child_ended.get(server_id, night.loop.now) - execution.started
    if result["lock_s"] > lasted + 1:
        yield f"there for {lasted} s, told: {result}"


def _false_sums(
    execution: Execution, teller: Invocation, results: list[dict[str, Any]]
) -> Iterator[str]:
    """The line and the metrics are the sums of the results; nights have one batch."""
    deleted = sum(result["deleted"] for result in results)
    if execution.input["run"]["dry_run"]:
        if teller.metrics:
            yield "metrics of a dry run"
        return
    at_least = any(result["at_least"] for result in results)
    line = teller.output["summary"]
    said = f"{'at least ' if at_least else ''}{deleted} deleted"
    if results and said not in line:
        yield f"not {said}: {line}"
    available = [result for result in results if result["status"] == "available"]
    adopted = sum(result["adopted"] for result in available)
    sums = {
        metrics.DELETED: deleted,
        metrics.ADOPTED: adopted,
        metrics.MADE: len(available) - adopted,
        metrics.NOT_PRUNED: sum(
            result["status"] == "failed"
            if result["gone"]
            else not result["pruned"] and result["status"] != "failed"
            for result in results
        ),
    }
    for name, value in sums.items():
        written = sum(sum(each[name]) for each in teller.metrics if name in each)
        if results and written != value:
            yield f"{name} is {value}, written {written}"


def _false_message(teller: Invocation) -> Iterator[str]:
    due = teller.output["verdict"] != "Completed"
    if len(teller.messages) != due:
        yield f"{len(teller.messages)} messages of a run {teller.output['verdict']}"
    for message in teller.messages:
        if not message["Message"].startswith(teller.output["summary"]):
            yield f"the message says {message['Message'][:200]}"
