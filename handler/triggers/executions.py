"""The executions of SnapshotRun that Step Functions knows: those of the last 90 days."""

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws.logs import logger
from handler.documents.request import EventRefused
from handler.report.links import execution_link

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def short(request_id: str) -> str:
    """The end of a resume's execution name: it identifies the request if Lambda retries it."""
    return request_id.replace("-", "")[:8]


def earlier_execution(
    step_functions: "SFNClient", state_machine_arn: str, run_id: str, project: str, request_id: str
) -> str | None:
    """The newest execution of this run, by ARN; Step Functions knows those of the last 90 days.

    Raises EventRefused if it is still running.
    """
    pages = step_functions.get_paginator("list_executions").paginate(
        stateMachineArn=state_machine_arn
    )
    ours = "_" + short(request_id)
    found = None
    for page in pages:
        for execution in page["executions"]:
            # Lambda may retry a request: an execution that it has started itself may be running.
            name = execution["name"]
            if not name.startswith(f"{run_id}_{project}_") or name.endswith(ours):
                continue
            if execution["status"] == "RUNNING":
                link = execution_link(execution["executionArn"])
                raise EventRefused(
                    f"The field run_id is {json.dumps(run_id)}, and that run is still running: "
                    f"{link}. Wait until it has ended, or stop it first. Nothing was started."
                )
            found = found or execution["executionArn"]
    return found


def running_runs(step_functions: "SFNClient", state_machine_arn: str) -> dict[str, set[str]]:
    """Per project the ids of the running runs; empty if they cannot be listed."""
    found: dict[str, set[str]] = {}
    try:
        pages = step_functions.get_paginator("list_executions").paginate(
            stateMachineArn=state_machine_arn, statusFilter="RUNNING"
        )
        for page in pages:
            for execution in page["executions"]:
                run_id, _, rest = execution["name"].partition("_")
                if execution["status"] == "RUNNING" and rest:
                    found.setdefault(rest.partition("_")[0], set()).add(run_id)
    except (BotoCoreError, ClientError) as error:
        # Needed only in the rare case of concurrent runs: no run is given up because of it.
        logger.warning(f"Which runs are going on is not known: {error}")
    return found


def execution_input(step_functions: "SFNClient", execution_arn: str) -> dict[str, Any]:
    execution = step_functions.describe_execution(executionArn=execution_arn)
    document: dict[str, Any] = json.loads(execution["input"])
    return document
