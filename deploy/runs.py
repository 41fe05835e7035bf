"""The runs that Step Functions knows: those of the last 90 days."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.account import Account, Stack, refuse_unready
from deploy.settings import Settings
from local.common.variables import Unusable

PER_PAGE, MOST_PAGES = 1000, 200
# By the schedule `20261121T020000Z`, by hand `20261121-…`; a person's own may be anything.
DAY = re.compile(r"(\d{8})(?:T(\d{6})Z|-)")
# A resumed run has later executions; none is older than its id, whatever zone the clock was in.
OLDER = timedelta(days=1)
MOST_OTHERS = 5


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as its name tells it: `<run id>_<project>_<hash>`."""

    arn: str
    name: str
    status: str
    started: datetime
    stopped: datetime | None

    @property
    def run_id(self) -> str:
        return self.name.split("_")[0]

    @property
    def project(self) -> str:
        return self.name.split("_")[1]

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"


def output_of(stack: Stack, name: str, settings: Settings) -> str:
    """An output of the stack, which may be in the middle of an update. Raises Unusable."""
    if name not in stack.outputs:
        refuse_unready(stack, settings)
        raise Unusable(f"The stack {stack.name} has no output {name}. Its events may say why.")
    return stack.outputs[name]


def executions(account: Account, machine: str) -> Iterator[Execution]:
    """The newest first; pages are asked for as they are needed."""
    pages = (
        account.client("stepfunctions")
        .get_paginator("list_executions")
        .paginate(
            stateMachineArn=machine,
            PaginationConfig={"PageSize": PER_PAGE, "MaxItems": PER_PAGE * MOST_PAGES},
        )
    )
    for page in pages:
        for each in page["executions"]:
            if each["name"].count("_") >= 2:
                yield Execution(
                    each["executionArn"],
                    each["name"],
                    each["status"],
                    each["startDate"],
                    each.get("stopDate"),
                )


def began(run_id: str) -> datetime | None:
    """When a run of that id began, as far as the id tells it; never later."""
    if not (found := DAY.match(run_id)):
        return None
    try:
        return datetime.strptime(f"{found[1]}{found[2] or '000000'}", "%Y%m%d%H%M%S").replace(
            tzinfo=UTC
        )
    except ValueError:
        return None


def run_of(known: Iterator[Execution], run_id: str) -> tuple[list[Execution], list[str]]:
    """A run's executions, the first one first, and the ids of other runs, some of the newest.

    An empty `run_id` is the newest run.
    """
    found: list[Execution] = []
    others: dict[str, None] = {}
    for execution in known:
        run_id = run_id or execution.run_id
        if execution.run_id == run_id:
            found.append(execution)
        else:
            others[execution.run_id] = None
        old = (since := began(run_id)) and execution.started < since - OLDER
        if old and len(others) >= MOST_OTHERS:
            break
    return found[::-1], list(others)[:MOST_OTHERS]


def ending(found: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict and line of a described execution; without a summary, its status and error."""
    status = str(found["status"])
    if status == "RUNNING":
        return "Running", "Running: the execution is still going on"
    if status == "SUCCEEDED":
        output = json.loads(found["output"])
        return str(output["verdict"]), str(output["summary"])
    cause = found.get("cause") or found.get("error") or "it says no more"
    return str(found.get("error", "")), str(cause) if status == "FAILED" else status
