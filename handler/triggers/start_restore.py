"""StartRestore: start one restore, drill or sweep for each Hetzner project. Talks to AWS only."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zlib import crc32

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from handler.aws.clients import ssm, step_functions
from handler.aws.logs import logger
from handler.aws.runtime import restore_settings
from handler.aws.settings import RestoreSettings
from handler.documents.document import format_time
from handler.documents.printable import printable
from handler.documents.request import EventRefused
from handler.documents.restore import RestoreDocument
from handler.documents.restore_request import RestoreRequest, parse_restore_event
from handler.documents.restore_run import KnownRestore, RestoreRun
from handler.report.links import execution_link
from handler.triggers.executions import (
    Execution,
    ExecutionsUnknown,
    NotAllStarted,
    execution_arn,
    execution_name,
    listed,
    new_run_id,
    start_execution,
)
from handler.triggers.projects import choose, find_projects

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

MOST_KNOWN = 300  # of a project's restores, the newest: they fit into a state's input


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    request, now = parse_restore_event(event), datetime.now(UTC)
    settings = restore_settings()
    return start_restore(request, context.aws_request_id, now, settings, ssm(), step_functions())


def start_restore(
    request: RestoreRequest,
    request_id: str,
    now: datetime,
    settings: RestoreSettings,
    ssm: "SSMClient",
    step_functions: "SFNClient",
) -> dict[str, Any]:
    """Starts the executions; gives the restore's id and per project its execution and links.

    Raises EventRefused, NoProjects and ExecutionsUnknown with nothing started, NotAllStarted when
    some were.
    """
    projects = find_projects(ssm, settings.token_path)
    field = "servers" if request.servers else "snapshot" if request.snapshot else ""
    chosen = choose(projects, settings.token_path, request.project, field)
    arn = settings.state_machine_arn
    known = known_restores(step_functions, arn)
    run_id = request.run_id or new_restore_id(request, request_id, now, arn, known)
    logger.append_keys(run_id=run_id)
    started, unusable = [], list(() if request.project else projects.unusable)
    planned = [_named(request, run_id, project, settings) for project in chosen]
    for name, document in planned:
        _refuse_another(known, name, document)
    for name, document in planned:
        document = with_surroundings(document, execution_arn(arn, name), now, known)
        project, said = document.run.project, plan_of(document.run)
        try:
            begun = start_execution(step_functions, arn, document, said, settings.log_group)
            started.append(begun)
        except Exception as error:  # the other projects are started all the same
            logger.exception(f"{project}: not started", extra={"project": project})
            unusable.append(f"{project}: {type(error).__name__}: {printable(str(error))}")
    for warning in projects.warnings:
        logger.warning(warning)
    if unusable:
        names = ", ".join(s["project"] for s in started) or "none"
        raise NotAllStarted(f"{'; '.join(unusable)}. Started as restore {run_id}: {names}.")
    return {"run_id": run_id, "executions": started, "warnings": list(projects.warnings)}


def new_restore_id(
    request: RestoreRequest,
    request_id: str,
    now: datetime,
    state_machine_arn: str,
    known: Sequence[Execution],
) -> str:
    """As a run's; by schedule with the stack's mark behind it.

    Copies are known by this id and by their owner. Two stacks of one owner that drill at the same
    time would take each other's copies for their own, and remove them.
    """
    run_id = new_run_id(request.scheduled_time, request_id, now, known)
    return f"{run_id}-{crc32(state_machine_arn.encode()):08x}" if request.scheduled_time else run_id


def known_restores(step_functions: "SFNClient", state_machine_arn: str) -> tuple[Execution, ...]:
    """All that Step Functions knows, oldest first. Raises ExecutionsUnknown.

    Without them nothing is started: two restores of one id would take each other's copy for their
    own, and a sweep would remove the copies of those that are running.
    """
    try:
        return listed(step_functions, state_machine_arn, only_running=False)
    except (BotoCoreError, ClientError) as error:
        raise ExecutionsUnknown(
            f"Which restores there are is not known: {printable(str(error))}. "
            "Nothing was started. Try again in a minute."
        ) from error


def first_document(
    request: RestoreRequest, run_id: str, project: str, settings: RestoreSettings
) -> RestoreDocument:
    """The execution's input; the same for the same request, so that a repeat starts nothing."""
    run = RestoreRun(
        id=run_id,
        project=project,
        owner=settings.owner,
        dry_run=request.dry_run,
        keep=request.keep,
        sweep=request.sweep,
        servers=request.servers,
        snapshot=request.snapshot,
        name=request.name,
        server_type=request.server_type,
        location=request.location,
        drill_servers=settings.drill_servers,
        restore_minutes=settings.restore_minutes,
        boot_minutes=settings.boot_minutes,
        rate_limit_floor=settings.rate_limit_floor,
    )
    return RestoreDocument(run=run, status="new")


def _named(
    request: RestoreRequest, run_id: str, project: str, settings: RestoreSettings
) -> tuple[str, RestoreDocument]:
    document = first_document(request, run_id, project, settings)
    return execution_name(document), document


def _refuse_another(known: Sequence[Execution], name: str, document: RestoreDocument) -> None:
    """Raises EventRefused if that id is another restore's: its copies would have these names."""
    run = document.run
    for execution in known:
        is_same_id = (execution.run_id, execution.project) == (run.id, run.project)
        if is_same_id and execution.name != name:
            raise EventRefused(
                f"The field run_id is {json.dumps(run.id)}, and there is a restore of that name: "
                f"{execution_link(execution.arn)}. Take another name. Nothing was started."
            )


def with_surroundings(
    document: RestoreDocument, arn: str, now: datetime, known: Sequence[Execution]
) -> RestoreDocument:
    """The document with its execution and, for a sweep, the project's other restores."""
    run = document.run
    others = [e for e in known if e.project == run.project and e.run_id != run.id]
    if run.sweep:
        restores = tuple(
            KnownRestore(e.run_id, format_time(e.started) or "", e.is_running)
            for e in [e for e in others if e.is_running] + others[-MOST_KNOWN:]
        )
        run = replace(run, restores=restores)
    return replace(document, run=run, execution=arn, started=format_time(now))


def plan_of(run: RestoreRun) -> str:
    """What the execution will do, in words."""
    if run.sweep:
        return "removes the copies that drills which are no longer running have left"
    names = ", ".join(str(name) for name in run.servers)
    which = f"servers {names}" if names else ""
    if run.snapshot:
        which = f"snapshot {run.snapshot}" + (f" of server {names}" if names else "")
    which = which or (
        f"the {run.drill_servers} servers whose last drills are longest ago"
        if run.drill_servers > 1
        else "the server whose last drill is longest ago"
    )
    what = f"restores {which}, kept" if run.keep else f"drills {which}, removed afterwards"
    return f"dry run: nothing is made; {what}" if run.dry_run else what
