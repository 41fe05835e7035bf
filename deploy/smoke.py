"""`make smoke`: a dry run on the deployed stack, which reads everything and changes nothing.

It prints what the first night would make and delete, server by server.
"""

import json
import sys
import time
from typing import Any

from deploy.account import Account, Failed, command, connect, refuse_unready, stack_in
from deploy.elsewhere import agree_to_account
from deploy.reach import told_by
from deploy.run_log import read_log
from deploy.runs import ending
from deploy.settings import ROOT, Settings
from deploy.tokens import stored_tokens
from local.common.board import Board
from local.common.console import plain_console
from local.common.last_screen import print_servers
from local.common.variables import Unusable

EVENT = ROOT / "events/dry-run.json"
POLL_SECONDS = 1.0
# A dry run does not wait for snapshots, only for an API that is busy or down.
LONGEST_SECONDS = 900
CLOCKS_SECONDS = 600


def smoke(settings: Settings) -> int:
    """0 if every project is Completed, else 1."""
    account = connect(settings)
    agree_to_account(settings, account)
    stack = stack_in(account, settings)
    refuse_unready(stack, settings)
    if not stored_tokens(account, stack):
        raise Unusable(
            f"There is no Hetzner API token under {stack.parameters['TokenPath']} yet. Make one "
            "with read and write permission in the Hetzner console and store it with "
            f"{command('token', settings, 'PROJECT=default')}."
        )
    # Clocks differ; the run's id tells which lines are its own.
    began_ms = int((time.time() - CLOCKS_SECONDS) * 1000)
    answer = _start(account, stack.outputs["StartRunFunction"])
    print(f"Dry run {answer['run_id']} has started: it makes and deletes nothing.")
    for warning in answer.get("warnings", []):
        print(f"Warning: {warning}")
    deadline = time.monotonic() + LONGEST_SECONDS
    try:
        ends = [
            (item, _wait_for(account, item["execution_arn"], deadline))
            for item in answer["executions"]
        ]
    except KeyboardInterrupt:
        pages = "".join(f"\n  {item['console']}" for item in answer["executions"])
        print(
            f"\nThe dry run goes on at AWS, and changes nothing. How it ends is shown here:{pages}",
            file=sys.stderr,
        )
        raise
    projects = [item["project"] for item in answer["executions"]]
    board = Board(answer["run_id"], projects, dry_run=True)
    missing = read_log(account, stack.outputs["LogGroupName"], board, began_ms)
    print_servers(plain_console(), board)
    if missing:
        print(f"\n{missing}")
    for item, (_, line) in ends:
        print(f"\n{item['project']}: {line}")
        print(f"  the execution: {item['console']}\n  its log: {item['logs']}")
    print(f"\n{told_by(settings, account, stack)}")
    if all(verdict == "Completed" for _, (verdict, _) in ends):
        print("\nAll is well. The schedule does the rest.")
        return 0
    print(f"\nNot all is well. When what is named above is repaired: {command('smoke', settings)}")
    return 1


def _start(account: Account, function: str) -> dict[str, Any]:
    """StartRun's answer. Raises Failed with StartRun's error."""
    # A second attempt would start a second run.
    answer = account.client("lambda", attempts=1).invoke(
        FunctionName=function, Payload=EVENT.read_bytes()
    )
    payload: dict[str, Any] = json.loads(answer["Payload"].read())
    if not answer.get("FunctionError"):
        return payload
    raise Failed(f"StartRun ended with an error: {payload.get('errorMessage', payload)}")


def _wait_for(account: Account, arn: str, deadline: float) -> tuple[str, str]:
    """Verdict and line; without a summary, the execution's status and error."""
    step_functions = account.client("stepfunctions")
    while (found := step_functions.describe_execution(executionArn=arn))["status"] == "RUNNING":
        if time.monotonic() > deadline:
            minutes = LONGEST_SECONDS // 60
            return "RUNNING", f"still running after {minutes} min; its page shows what it waits for"
        time.sleep(POLL_SECONDS)
    return ending(found)
