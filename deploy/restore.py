"""`make restore`: the deployed stack makes a new server from a snapshot, beside the old one.

No token reaches this machine, and nothing that is there is changed: StartRestore plans, a person
agrees, RestoreRun makes it.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from secrets import token_hex
from shlex import quote
from typing import Any

from botocore.exceptions import BotoCoreError

from deploy.account import (
    Account,
    Failed,
    Stack,
    command,
    connect,
    owner_of,
    refuse_unready,
    stack_in,
)
from deploy.elsewhere import agree_to_account
from deploy.restore_event import restore_event
from deploy.restore_words import what_is_left, what_is_made
from deploy.settings import Settings
from deploy.terminal import agreed, has_terminal
from handler.documents.restore import RestoreResult
from local.common.console import duration
from local.common.following import follow
from local.common.restores import Progress, Told, grouped, reasons
from local.common.variables import Unusable

POLL_SECONDS = 2.0
# A plan does not wait but for an API that is busy or down.
LONGEST_PLAN_SECONDS = 900
# RestoreMinutes and BootMinutes at their longest, for several types one after the other.
LONGEST_SECONDS = 12 * 3600


class Unanswered(Failed):
    """StartRestore broke off before it could say what it has started."""


def restore(settings: Settings) -> int:
    """0 if the new server is there and came back; 1 if not, or if nobody agreed."""
    project = settings.project if settings.names_project else None
    event = restore_event(settings.restore, project)
    account = connect(settings)
    agree_to_account(settings, account)
    stack = stack_in(account, settings)
    function = _function_of(stack, settings)
    print("StartRestore looks which snapshots and server types there are. That takes some seconds.")
    plan = _plan(account, function, event)
    if plan is None:
        print("Nothing was made.")
        return 1
    for line in what_is_made(plan, str(event.get("name", "")), owner_of(stack)):
        print(line)
    if not _agreed(settings):
        print("Nothing was made.")
        return 1
    # What was said is what is done, though a newer snapshot may come meanwhile.
    told = _watched(account, function, {**event, "snapshot": plan.image_id})
    print(f"\n{told.line or told.verdict}")
    for line in (*reasons(told), *grouped(told.notes)):
        print(line)
    for result in told.results:
        if result.copy_id:
            print()
            for line in what_is_left(result, owner_of(stack)):
                print(line)
    return 0 if told.verdict == "Completed" else 1


def _function_of(stack: Stack, settings: Settings) -> str:
    """Raises Unusable if the stack does not restore."""
    refuse_unready(stack, settings)
    if function := stack.outputs.get("StartRestoreFunction"):
        return function
    older = "" if "Restores" in stack.parameters else " It is of an older version, too."
    raise Unusable(
        f"The stack {stack.name} is deployed without what restores servers.{older} Turn it on: "
        f"{command('deploy', settings, 'PARAMETERS=Restores=true')}. Nights go on as they are; its "
        "functions may then make servers. Restoring by hand needs none of it: docs/operating.md."
    )


def _plan(account: Account, function: str, event: dict[str, Any]) -> RestoreResult | None:
    """What would be made. None: nothing can be; it is said why."""
    answer = _start(account, function, {**event, "dry_run": True})
    deadline = time.monotonic() + LONGEST_PLAN_SECONDS
    told = _follow(account, answer, Told(), _show, deadline)
    planned = [result for result in told.results if result.status == "planned"]
    if planned:
        return planned[0]
    print(told.line or "There is no plan; the log says more.")
    for line in (*reasons(told), *grouped(told.notes)):
        print(line)
    return None


def _agreed(settings: Settings) -> bool:
    if settings.yes:
        return True
    if not has_terminal():
        given = {**settings.restore, "PROJECT": settings.project if settings.names_project else ""}
        said = " ".join(f"{name}={quote(text)}" for name, text in given.items() if text)
        raise Unusable(
            "Nobody is there to be asked, so nothing was made. If you mean it: "
            f"{command('restore', settings, f'{said} YES=1')}"
        )
    return agreed("Make it?")


def _watched(account: Account, function: str, event: dict[str, Any]) -> Told:
    # Of an id there is one restore: an answer that is lost may be asked for again.
    restore_id = f"{datetime.now(UTC):%Y%m%d}-{token_hex(6)}"
    try:
        answer = _start(account, function, {**event, "run_id": restore_id})
    except (BotoCoreError, Unanswered, KeyboardInterrupt):
        name = event.get("name") or f"restore-{restore_id}-… (the original's id)"
        print(
            f"\nNo answer of StartRestore: it may have started the restore {restore_id} all the "
            f"same. Then there will be a new server {name}, which costs money. Look in the "
            "Hetzner console, or at the executions of RestoreRun, before you start another one.",
            file=sys.stderr,
        )
        raise
    for warning in answer.get("warnings", []):
        print(f"Warning: {warning}")
    [execution] = answer["executions"]
    print(f"Restore {answer['run_id']} has started. It goes on at AWS whether this waits or not:")
    print(f"  {execution['console']}")
    told = Told()
    try:
        return _follow(account, answer, told, _show, time.monotonic() + LONGEST_SECONDS)
    except BaseException:
        named = ", ".join(told.copies.values())
        which = f" The new server is {named}." if named else ""
        print(
            f"\nThe restore goes on at AWS.{which} Its page shows how it ends, with the address "
            f"in the output of SummariseRestore:\n  {execution['console']}",
            file=sys.stderr,
        )
        raise


def _follow(
    account: Account,
    answer: dict[str, Any],
    told: Told,
    show: Callable[[Progress], None],
    deadline: float,
) -> Told:
    def pause() -> None:
        if time.monotonic() > deadline:
            raise Failed("It has not ended by now, and is no longer waited for.")
        time.sleep(POLL_SECONDS)

    [execution] = answer["executions"]
    step_functions = account.client("stepfunctions")
    return follow(step_functions, execution["execution_arn"], told, show, pause)


def _show(progress: Progress) -> None:
    reason = f": {progress.reason}" if progress.reason else ""
    who = f"{progress.server}  " if progress.server else ""
    print(f"{duration(progress.elapsed_s):>8}  {who}{progress.what}{reason}")


def _start(account: Account, function: str, event: dict[str, Any]) -> dict[str, Any]:
    """StartRestore's answer. Raises Unusable if it refuses, Unanswered and Failed."""
    answer = account.client("lambda").invoke(
        FunctionName=function, Payload=json.dumps(event).encode()
    )
    payload: dict[str, Any] = json.loads(answer["Payload"].read())
    if not answer.get("FunctionError"):
        return payload
    said = str(payload.get("errorMessage", payload))
    if payload.get("errorType") in ("EventRefused", "NoProjects"):
        raise Unusable(said)
    text = f"StartRestore ended with an error: {said}"
    if payload.get("errorType") in ("NotAllStarted", "ExecutionsUnknown"):
        raise Failed(text)
    raise Unanswered(text)
