"""StartRun: start one run for each Hetzner project. Talks to AWS only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.clients import ssm, step_functions
from handler.aws.logs import logger
from handler.aws.memory import last_looks
from handler.aws.runtime import run_settings
from handler.aws.settings import RunSettings
from handler.documents.document import Run, format_time
from handler.documents.memory import LastLook
from handler.documents.printable import printable
from handler.documents.request import Request, parse_event
from handler.documents.run import RunDocument, Selection
from handler.triggers.executions import (
    Execution,
    NotAllStarted,
    concurrent_runs,
    earlier_documents,
    execution_arn,
    execution_name,
    known_executions,
    new_run_id,
    start_execution,
)
from handler.triggers.projects import choose, find_projects

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient


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
    field = "servers" if request.servers else ""
    chosen = choose(projects, settings.token_path, request.project, field)
    arn = settings.state_machine_arn
    known = known_executions(step_functions, arn, request)
    run_id = request.run_id or new_run_id(request.scheduled_time, request_id, now, known or ())
    logger.append_keys(run_id=run_id)
    earlier = earlier_documents(step_functions, known or (), run_id, chosen, request, request_id)
    planned = plan(request, run_id, chosen, settings, earlier)
    looks = last_looks(ssm, settings.watch_memory)
    started, unusable = [], list(() if request.project else projects.unusable)
    for document in planned.documents:
        # After the name is computed: an event that is delivered twice must give the same name,
        # though other runs are going on the second time.
        project, said = document.run.project, plan_of(document)
        name = execution_name(document, request_id if request.run_id else None)
        look = looks.get(project)
        document = with_surroundings(document, name, arn, now, look, known, earlier)
        try:
            begun = start_execution(step_functions, arn, document, said, settings.log_group)
            started.append(begun)
        except Exception as error:  # the other projects are started all the same
            logger.exception(f"{project}: not started", extra={"project": project})
            unusable.append(f"{project}: {type(error).__name__}: {printable(str(error))}")
    warnings = [*projects.warnings, *planned.warnings]
    for warning in warnings:
        logger.warning(warning)
    if unusable:
        names = ", ".join(s["project"] for s in started) or "none"
        raise NotAllStarted(f"{'; '.join(unusable)}. Started in run {run_id}: {names}.")
    return {"run_id": run_id, "executions": started, "warnings": warnings}


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
        execution=execution_arn(arn, name),
    )


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
