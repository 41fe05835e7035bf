"""StartRun: start one run for each Hetzner project. Talks to AWS only."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.clients import ssm, step_functions
from handler.aws.logs import logger
from handler.aws.memory import last_looks
from handler.aws.runtime import run_settings
from handler.aws.settings import RunSettings
from handler.aws.tokens import put_parameter_command
from handler.documents.document import Run, format_time
from handler.documents.memory import LastLook
from handler.documents.printable import printable
from handler.documents.request import EventRefused, Request, parse_event
from handler.documents.run import RunDocument, Selection
from handler.report.links import execution_link, log_link
from handler.triggers.executions import (
    Execution,
    concurrent_runs,
    earlier_documents,
    known_executions,
    short,
)
from handler.triggers.projects import NoProjects, Projects, find_projects

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

# Where the link to a run's log lines ends, seen from its start.
LONGEST_READING = timedelta(days=1)


class NotAllStarted(Exception):
    """Some projects could not be started; the others were. The message names both."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The executions to start, as their first documents, and what people should know about them."""

    documents: tuple[RunDocument, ...]
    warnings: tuple[str, ...]


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    now = datetime.now(UTC)
    return start_run(
        parse_event(event), context.aws_request_id, now, run_settings(), ssm(), step_functions()
    )


def start_run(
    request: Request,
    request_id: str,
    now: datetime,
    settings: RunSettings,
    ssm: "SSMClient",
    step_functions: "SFNClient",
) -> dict[str, Any]:
    """Starts the executions; gives the run id and per project its execution and console link.

    Raises EventRefused, NoProjects and ExecutionsUnknown with nothing started, NotAllStarted when
    some were.
    """
    projects = find_projects(ssm, settings.token_path)
    chosen = choose(request, projects, settings.token_path)
    arn = settings.state_machine_arn
    known = known_executions(step_functions, arn, request)
    run_id = request.run_id or new_run_id(request, request_id, now, known or ())
    logger.append_keys(run_id=run_id)
    earlier = earlier_documents(step_functions, known or (), run_id, chosen, request, request_id)
    planned = plan(request, run_id, chosen, settings, earlier)
    looks = last_looks(ssm, settings.watch_memory)
    started, unusable = [], list(() if request.project else projects.unusable)
    for document in planned.documents:
        # After the name is computed: an event that is delivered twice must give the same name,
        # though other runs are going on the second time.
        name = execution_name(document, request_id if request.run_id else None)
        look = looks.get(document.run.project)
        document = with_surroundings(document, name, arn, now, look, known, earlier)
        try:
            started.append(start_execution(step_functions, arn, name, document, settings.log_group))
        except Exception as error:  # the other projects are started all the same
            project = document.run.project
            logger.exception(f"{project}: not started", extra={"project": project})
            unusable.append(f"{project}: {type(error).__name__}: {printable(str(error))}")
    warnings = [*projects.warnings, *planned.warnings]
    for warning in warnings:
        logger.warning(warning)
    if unusable:
        names = ", ".join(s["project"] for s in started) or "none"
        raise NotAllStarted(f"{'; '.join(unusable)}. Started in run {run_id}: {names}.")
    return {"run_id": run_id, "executions": started, "warnings": warnings}


def new_run_id(
    request: Request, request_id: str, now: datetime, known: Sequence[Execution] = ()
) -> str:
    """The schedule's time; by hand the day and the request.

    When Lambda tries an invocation again it is the same, though midnight has passed.
    """
    if request.scheduled_time:
        return request.scheduled_time.strftime("%Y%m%dT%H%M%SZ")
    end = f"-{re.sub('[^A-Za-z0-9]', '', request_id)[:12]}"
    started = (execution.run_id for execution in known if execution.run_id.endswith(end))
    return next(started, f"{now:%Y%m%d}{end}")


def choose(request: Request, projects: Projects, token_path: str) -> tuple[str, ...]:
    """The projects that the request is for. Raises EventRefused or NoProjects."""
    if request.project is not None and request.project not in projects.names:
        raise EventRefused(
            f"The field project is {json.dumps(request.project)}; accepted are: "
            f"{', '.join(projects.names) or 'none, there is no token yet'}. Nothing was started."
        )
    chosen = (request.project,) if request.project else projects.names
    if not chosen and not projects.unusable:
        command = put_parameter_command(f"{token_path}/default")
        raise NoProjects(
            f"There is no Hetzner API token under {token_path}. Make one with read and "
            f"write permission in the Hetzner console and store it with: {command}"
        )
    if request.servers and len(chosen) > 1:
        raise EventRefused(
            f"The field servers needs the field project beside it, there are several: "
            f"{', '.join(chosen)}. Nothing was started."
        )
    return chosen


def plan(
    request: Request,
    run_id: str,
    chosen: Iterable[str],
    settings: RunSettings,
    earlier: Mapping[str, Sequence[RunDocument]],
) -> Planned:
    """What to start; `earlier` holds the inputs of this run's executions."""
    documents, warnings = [], []
    for project in chosen:
        if request.run_id and project not in earlier and earlier:
            # The run may have been for other projects only: resuming must not widen it.
            warnings.append(
                f"{project}: not started, it has no execution of run {run_id}; "
                f'name it with "project" and "new": true to start one'
            )
            continue
        # The first execution's request counts, not that of an earlier resume.
        first = earlier[project][0] if request.run_id and project in earlier else None
        documents.append(first_document(request, run_id, project, settings, first))
    return Planned(tuple(documents), tuple(warnings))


def first_document(
    request: Request,
    run_id: str,
    project: str,
    settings: RunSettings,
    resumed: RunDocument | None = None,
) -> RunDocument:
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
        orphan_days=settings.orphan_days,
        with_backups=settings.with_backups,
    )
    selection = Selection((), settings.label_selector)
    if resumed:
        # What an execution finds out by itself is not handed on.
        run = replace(
            resumed.run, concurrent_runs=(), earlier_deletions=0, began=None, first_began=None,
            earliest_began=None, server_count=None, witnesses=(),
        )  # fmt: skip
        selection = replace(resumed.selection, as_before=True)
    fields = ("retention", "on_locked", "dry_run", "prune_only", "accept_smaller", "max_deletions")
    asked = {name: getattr(request, name) for name in fields}
    run = replace(run, **{name: value for name, value in asked.items() if value is not None})
    if request.servers:
        selection = replace(selection, servers=request.servers, as_before=False)
    if request.label_selector is not None:
        selection = replace(selection, label_selector=request.label_selector)
    if request.servers or request.label_selector is not None:
        run = replace(run, orphan_days=0)  # it is for these servers, and for no others
    return RunDocument(run=run, selection=selection, status="new", resumes=resumed is not None)


def execution_name(document: RunDocument, request_id: str | None) -> str:
    """Run id, project and a hash of what is asked; a resume adds its own request."""
    canonical = json.dumps(document.to_dict(), sort_keys=True).encode()
    parts = [document.run.id, document.run.project, hashlib.sha256(canonical).hexdigest()[:8]]
    return "_".join([*parts, short(request_id)] if request_id else parts)


def with_surroundings(
    document: RunDocument,
    name: str,
    arn: str,
    now: datetime,
    last_look: LastLook | None,
    known: Sequence[Execution] | None,
    earlier: Mapping[str, Sequence[RunDocument]],
) -> RunDocument:
    """The document with its execution, the project's other ones, and the watch's last look.

    What an earlier execution of this run has deleted may be known to nobody: it counts with all
    that it was allowed.
    """
    run, before = document.run, earlier.get(document.run.project, ())
    runs = [each.run for each in before]
    return replace(
        document,
        run=replace(
            run,
            concurrent_runs=concurrent_runs(known, run.project, run.id),
            earlier_deletions=sum(each.most_deletions for each in runs if not each.dry_run),
        ),
        started=format_time(now),
        first_started=before[0].started if before else format_time(now),
        last_look=last_look,
        execution=arn.replace(":stateMachine:", ":execution:") + f":{name}",
    )


def start_execution(
    step_functions: "SFNClient",
    state_machine_arn: str,
    name: str,
    document: RunDocument,
    log_group: str,
) -> dict[str, Any]:
    text = json.dumps(document.to_dict())
    try:
        step_functions.start_execution(stateMachineArn=state_machine_arn, name=name, input=text)
        fresh = True
    except step_functions.exceptions.ExecutionAlreadyExists:
        # The event was delivered twice; the first delivery has started it.
        fresh = False
    run, arn = document.run, document.execution
    now, link = datetime.now(UTC), execution_link(arn)
    logger.info(
        f"{run.project}: {'started' if fresh else 'had been started'}, {plan_of(document)}: {link}",
        extra={"project": run.project, "execution": arn, "input": json.loads(text)},
    )
    return {
        "project": run.project,
        "execution_arn": arn,
        "console": link,
        "logs": log_link(arn, log_group, run.id, run.project, now, now + LONGEST_READING),
        "started": fresh,
    }


def plan_of(document: RunDocument) -> str:
    """What the run will do, in words."""
    run, selection = document.run, document.selection
    names = ", ".join(str(name) for name in selection.servers)
    which = f"servers {names}" if names else "all servers"
    if selection.label_selector:
        which += f" that match {selection.label_selector}"
    what = f"keeps {run.retention}"
    if run.prune_only:
        what = f"only pruning, {what}{' whatever the sizes' if run.accept_smaller else ''}"
    nothing = "deleted" if run.prune_only else "made or deleted"
    waits = run.on_locked == "wait"
    locked = f"waits up to {run.lock_wait_minutes} min for locked ones"
    parts = [
        *([f"dry run: nothing is {nothing}"] if run.dry_run else []),
        which,
        f"{what}, deletes at most {run.most_deletions} of each",
        *(() if run.prune_only else (locked if waits else "skips locked ones",)),
        *((f"those of servers gone for {run.orphan_days} days go",) if run.orphan_days else ()),
    ]
    return "; ".join(parts)
