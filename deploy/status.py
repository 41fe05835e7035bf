"""`make status`: what a deployed stack has and lacks, as its own watch sees it just now.

No token reaches this machine: WatchServers looks, and answers.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import Account, Stack, command, connect, stack_in
from deploy.alarms import Alarm, alarms_of
from deploy.elsewhere import agree_to_account
from deploy.last_runs import LastRun, last_runs
from deploy.reach import told_by
from deploy.runs import output_of
from deploy.settings import Settings
from deploy.status_text import Status, lines, verdict
from deploy.trouble import explain
from deploy.watch import ask_watch

NARROWEST, WIDEST = 80, 160

Known = TypeVar("Known")


def status(settings: Settings) -> int:
    """0 if all is well: nothing is overdue, no alarm is red, and nothing of that is unknown."""
    with redirect_stdout(sys.stderr if settings.json else sys.stdout):
        found = _gather(settings)
    well = not verdict(found)
    if settings.json:
        told = {**asdict(found), "well": well}
        del told["give_token"]  # for people
        print(json.dumps(told, default=_text, indent=2))
    else:
        columns = shutil.get_terminal_size((80, 24)).columns
        for line in lines(found, min(max(columns, NARROWEST), WIDEST)):
            print(line)
    return 0 if well else 1


def _gather(settings: Settings) -> Status:
    account = connect(settings)
    agree_to_account(settings, account)
    stack = stack_in(account, settings)
    print("WatchServers looks at all projects. That takes some seconds, with many servers more.")
    answer = ask_watch(account, stack, settings, {"only_look": True})
    now = datetime.now(UTC)
    no_alarms: list[Alarm] = []
    no_runs: dict[str, LastRun] = {}
    alarms, why_no_alarms = _if_known(lambda: alarms_of(account, stack, now), no_alarms)
    (runs, missing), why_no_runs = _if_known(
        lambda: _runs(account, stack, settings, answer, now), (no_runs, "")
    )
    missing = f"The last runs are not known: {why_no_runs}" if why_no_runs else missing
    given = stack.parameters
    return Status(
        stack=stack.name,
        region=account.region,
        schedule=f"{given.get('Schedule')} {given.get('ScheduleTimezone')}",
        enabled=given.get("ScheduleState") != "DISABLED",
        retention=str(given.get("Retention")),
        dashboard=stack.outputs.get("DashboardLink", ""),
        watch=answer,
        runs=runs,
        alarms=alarms,
        reach=told_by(settings, account, stack),
        runs_known=not why_no_runs,
        unknown=[f"The alarms are not known: {why_no_alarms}"] if why_no_alarms else [],
        missing=[missing] if missing else [],
        give_token=command("token", settings, "PROJECT=default"),
    )


def _runs(
    account: Account, stack: Stack, settings: Settings, answer: Mapping[str, object], now: datetime
) -> tuple[dict[str, LastRun], str]:
    projects = answer.get("projects")
    names = [str(each["project"]) for each in projects] if isinstance(projects, list) else []
    machine = output_of(stack, "SnapshotRunArn", settings)
    return last_runs(account, machine, output_of(stack, "LogGroupName", settings), names, now)


def _if_known(ask: Callable[[], Known], otherwise: Known) -> tuple[Known, str]:
    """The answer; without one, why there is none: the rest is shown all the same."""
    try:
        return ask(), ""
    except (BotoCoreError, ClientError) as error:
        return otherwise, explain(error)


def _text(moment: object) -> str:
    return moment.isoformat() if isinstance(moment, datetime) else str(moment)
