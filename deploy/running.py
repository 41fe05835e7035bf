"""The runs and restores that go on: a removal would break them off, so they are stopped before."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.account import Account, Failed, Stack

STOP_SECONDS = 120
POLL_SECONDS = 1.0
MOST_NAMED = 5


# The outputs that name the machines; the second one is there only with Restores.
MACHINES = {"SnapshotRunArn": "run", "RestoreRunArn": "restore"}


@dataclass(frozen=True, slots=True)
class Run:
    arn: str
    name: str
    kind: str = "run"


def runs_going_on(account: Account, stack: Stack) -> list[Run]:
    """Of a stack whose first deployment failed there are none: it may have no state machine."""
    lister = account.client("stepfunctions").get_paginator("list_executions")
    return [
        Run(execution["executionArn"], execution["name"], kind)
        for output, kind in MACHINES.items()
        if (machine := stack.outputs.get(output))
        for page in lister.paginate(stateMachineArn=machine, statusFilter="RUNNING")
        for execution in page["executions"]
    ]


def told(runs: Sequence[Run]) -> str:
    kinds = " and ".join(f"{kind}s" for kind in dict.fromkeys(run.kind for run in runs))
    count = f"One {runs[0].kind} is" if len(runs) == 1 else f"{len(runs)} {kinds} are"
    names = ", ".join(run.name for run in runs[:MOST_NAMED])
    more = f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
    return f"{count} going on: {names}{more}."


def stop(account: Account, runs: Sequence[Run]) -> None:
    """Returns when all have ended. Raises Failed if one does not end."""
    step_functions = account.client("stepfunctions")
    for run in runs:
        step_functions.stop_execution(executionArn=run.arn, cause="make destroy")
    deadline = time.monotonic() + STOP_SECONDS
    for run in runs:
        while step_functions.describe_execution(executionArn=run.arn)["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise Failed(
                    f"The {run.kind} {run.name} was told to stop and still goes on after "
                    f"{STOP_SECONDS} s, so nothing was removed. Its page in the Step Functions "
                    "console says more."
                )
            time.sleep(POLL_SECONDS)
        print(f"The {run.kind} {run.name} is stopped.")
