"""StartRun: start one run for each Hetzner project. Talks to AWS only."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from document import Run
from links import execution_link, log_link
from request import EventRefused, Request, parse_event
from run import RunDocument, Selection
from runtime import logger, put_parameter_command, run_settings, ssm, step_functions
from settings import RunSettings

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

# With run id (32), hash (8), request id (8) and separators it fits an execution's name (80).
PROJECT = re.compile(r"[A-Za-z0-9-]{1,29}", re.ASCII)
MOST_OTHERS = 20
# Where the link to a run's log lines ends, seen from its start.
LONGEST_READING = timedelta(days=1)
# At its end a run looks into all of them; if there are more, it does not judge their freshness.
MOST_PROJECTS = 100


class NoProjects(Exception):
    """There is no token to run with; the message says how to store one."""


class NotAllStarted(Exception):
    """Some projects could not be started; the others were. The message names both."""


@dataclass(frozen=True, slots=True)
class Projects:
    """The projects found under the token path, and what is wrong there."""

    names: tuple[str, ...]
    warnings: tuple[str, ...]  # it runs all the same
    unusable: tuple[str, ...]  # no run is possible


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    request = parse_event(event)
    run_id = request.run_id or new_run_id(request, context.aws_request_id, datetime.now(UTC))
    logger.append_keys(run_id=run_id)
    return start_run(
        request, run_id, context.aws_request_id, run_settings(), ssm(), step_functions()
    )


def start_run(
    request: Request,
    run_id: str,
    request_id: str,
    settings: RunSettings,
    ssm: "SSMClient",
    step_functions: "SFNClient",
) -> dict[str, Any]:
    """Starts the executions; gives the run id and per project its execution and console link.

    Raises EventRefused and NoProjects with nothing started, NotAllStarted when some were.
    """
    projects = find_projects(ssm, settings.token_path)
    if request.project is not None and request.project not in projects.names:
        raise EventRefused(
            f"The field project is {json.dumps(request.project)}; accepted are: "
            f"{', '.join(projects.names) or 'none, there is no token yet'}. Nothing was started."
        )
    chosen = (request.project,) if request.project else projects.names
    unusable = list(() if request.project else projects.unusable)
    if not chosen and not unusable:
        command = put_parameter_command(f"{settings.token_path}/default")
        raise NoProjects(
            f"There is no Hetzner API token under {settings.token_path}. Make one with read and "
            f"write permission in the Hetzner console and store it with: {command}"
        )
    if request.servers and len(chosen) > 1:
        raise EventRefused(
            f"The field servers needs the field project beside it, there are several: "
            f"{', '.join(chosen)}. Nothing was started."
        )
    arn = settings.state_machine_arn
    resumed = {
        project: earlier_execution(step_functions, arn, run_id, project, request_id)
        for project in chosen
        if request.run_id
    }
    going_on = running_runs(step_functions, arn)
    warnings = list(projects.warnings)
    started = []
    for project in chosen:
        earlier = None
        if execution_arn := resumed.get(project):
            earlier = execution_input(step_functions, execution_arn)
        elif any(resumed.values()):
            # The run may have been for other projects only: resuming must not widen it.
            warnings.append(
                f"{project}: not started, it has no execution of run {run_id}; "
                f'name it with "project" to start one'
            )
            continue
        elif request.run_id:
            warnings.append(f"{project}: no earlier execution of run {run_id}, so it starts anew")
        document = first_document(request, run_id, project, settings, earlier)
        # Not in the name: a delivery that comes twice finds the first one going on.
        name = execution_name(document, request_id if request.run_id else None)
        document["run"]["others"] = sorted(going_on.get(project, set()) - {run_id})[:MOST_OTHERS]
        document["projects"] = projects.names if len(projects.names) <= MOST_PROJECTS else ()
        document["execution"] = arn.replace(":stateMachine:", ":execution:") + f":{name}"
        try:
            started.append(start_execution(step_functions, arn, name, document, settings.log_group))
        except Exception as error:  # the other projects are started all the same
            logger.exception(f"{project}: not started", extra={"project": project})
            unusable.append(f"{project}: {type(error).__name__}: {error}")
    for warning in warnings:
        logger.warning(warning)
    if unusable:
        names = ", ".join(s["project"] for s in started) or "none"
        raise NotAllStarted(f"{'; '.join(unusable)}. Started in run {run_id}: {names}.")
    return {"run_id": run_id, "executions": started, "warnings": warnings}


def new_run_id(request: Request, request_id: str, now: datetime) -> str:
    """The schedule's time; by hand the day and the request.

    When Lambda tries an invocation again both are the same, but for the day at midnight.
    """
    if request.scheduled_time:
        return request.scheduled_time.strftime("%Y%m%dT%H%M%SZ")
    return f"{now:%Y%m%d}-{re.sub('[^A-Za-z0-9]', '', request_id)[:12]}"


def find_projects(ssm: "SSMClient", token_path: str) -> Projects:
    """The parameters right below the path, one project each. Reads no token."""
    names, warnings, unusable = [], [], []
    for parameter in _parameters(ssm, token_path):
        full = parameter["Name"]
        name = full.removeprefix(token_path + "/")
        if not PROJECT.fullmatch(name):
            unusable.append(
                f"the SSM parameter {full} is no project: its name must be right below "
                f"{token_path} and have 1 to 29 letters, digits and dashes"
            )
            continue
        if parameter["Type"] != "SecureString":
            warnings.append(
                f"the SSM parameter {full} is a {parameter['Type']}, readable without "
                f"decryption; store it again with: aws ssm delete-parameter --name {full}; "
                f"{put_parameter_command(full)}"
            )
        names.append(name)
    return Projects(tuple(sorted(names)), tuple(warnings), tuple(unusable))


def _parameters(ssm: "SSMClient", token_path: str) -> Iterator[Any]:
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path=token_path, Recursive=True, WithDecryption=False
    )
    for page in pages:
        yield from page["Parameters"]


def first_document(
    request: Request,
    run_id: str,
    project: str,
    settings: RunSettings,
    earlier: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The execution's input: as deployed, or as in the run that is resumed, and what is asked.

    The same for the same request, so that a repeat starts nothing.
    """
    run = Run(
        id=run_id,
        project=project,
        owner=settings.owner,
        retention=settings.retention,
        on_locked=settings.on_locked,
        dry_run=False,
        prune_only=False,
        max_deletions=settings.max_deletions,
        servers_at_a_time=settings.servers_at_a_time,
        lock_wait_minutes=settings.lock_wait_minutes,
        snapshot_minutes=settings.snapshot_minutes,
        rate_limit_floor=settings.rate_limit_floor,
    )
    selection = Selection((), settings.label_selector)
    if earlier:
        known = {k: v for k, v in earlier["run"].items() if hasattr(run, k)}
        run = replace(run, **known | {"others": (), "began": None, "fleet": None})
        selection = Selection(
            tuple(earlier["selection"]["servers"]), earlier["selection"]["label_selector"]
        )
    fields = ("retention", "on_locked", "dry_run", "prune_only", "max_deletions")
    asked = {name: getattr(request, name) for name in fields}
    run = replace(run, **{name: value for name, value in asked.items() if value is not None})
    if request.servers:
        selection = replace(selection, servers=request.servers)
    if request.label_selector is not None:
        selection = replace(selection, label_selector=request.label_selector)
    return RunDocument(run=run, selection=selection, status="new").to_dict()


def execution_name(document: dict[str, Any], request_id: str | None) -> str:
    """Run id, project and a hash of what is asked; a resume adds its own request."""
    canonical = json.dumps(document, sort_keys=True).encode()
    parts = [document["run"]["id"], document["run"]["project"]]
    parts += [hashlib.sha256(canonical).hexdigest()[:8]]
    parts += [_short(request_id)] if request_id else []
    return "_".join(parts)


def _short(request_id: str) -> str:
    """The end of a resume's execution name: tells whose it is when Lambda tries again."""
    return request_id.replace("-", "")[:8]


def earlier_execution(
    step_functions: "SFNClient", state_machine_arn: str, run_id: str, project: str, request_id: str
) -> str | None:
    """The newest execution of this run, by ARN; Step Functions knows those of the last 90 days.

    Raises EventRefused if it is still going on.
    """
    pages = step_functions.get_paginator("list_executions").paginate(
        stateMachineArn=state_machine_arn
    )
    ours = "_" + _short(request_id)
    found = None
    for page in pages:
        for execution in page["executions"]:
            # Lambda tries a failed delivery again: what this request started itself may run.
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
    """Per project the ids of the runs that are going on; empty where that cannot be known."""
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
        # Only a rare overlap needs it: no night is given up for that.
        logger.warning(f"Which runs are going on is not known: {error}")
    return found


def execution_input(step_functions: "SFNClient", execution_arn: str) -> dict[str, Any]:
    execution = step_functions.describe_execution(executionArn=execution_arn)
    document: dict[str, Any] = json.loads(execution["input"])
    return document


def start_execution(
    step_functions: "SFNClient",
    state_machine_arn: str,
    name: str,
    document: dict[str, Any],
    log_group: str,
) -> dict[str, Any]:
    try:
        step_functions.start_execution(
            stateMachineArn=state_machine_arn, name=name, input=json.dumps(document)
        )
        fresh = True
    except step_functions.exceptions.ExecutionAlreadyExists:
        # A delivery that came twice; the first one has it.
        fresh = False
    project, arn = document["run"]["project"], document["execution"]
    now = datetime.now(UTC)
    link = execution_link(arn)
    logger.info(
        f"{project}: {'started' if fresh else 'had been started'}, {plan_of(document)}: {link}",
        extra={"project": project, "execution": arn, "input": document},
    )
    return {
        "project": project,
        "execution_arn": arn,
        "console": link,
        "logs": log_link(
            arn, log_group, document["run"]["id"], project, now, now + LONGEST_READING
        ),
        "started": fresh,
    }


def plan_of(document: dict[str, Any]) -> str:
    """What the run will do, in words."""
    run, selection = document["run"], document["selection"]
    names = ", ".join(str(named) for named in selection["servers"])
    which = f"servers {names}" if names else "all servers"
    if selection["label_selector"]:
        which += f" that match {selection['label_selector']}"
    if run["prune_only"]:
        what = f"only pruning, keeps {run['retention']}"
    else:
        what = f"keeps {run['retention']}"
    locked = f"waits up to {run['lock_wait_minutes']} min for locked ones"
    parts = [
        *(["dry run: nothing is made or deleted"] if run["dry_run"] else []),
        which,
        f"{what}, deletes at most {run['max_deletions']} of each",
        locked if run["on_locked"] == "wait" else "skips locked ones",
    ]
    return "; ".join(parts)
