"""WatchServers: look at all projects each hour, and tell by name what has become overdue.

Apart from runs, because the proof that all is saved must not come from what it is about.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from handler.aws.clients import functions, sns, ssm, step_functions
from handler.aws.logs import logger
from handler.aws.memory import MemoryUnknown, read_memory, write_memory
from handler.aws.reach import why_unreached
from handler.aws.runtime import hetzner_for, put_metrics, watch_settings
from handler.aws.settings import WatchSettings
from handler.decisions.copies_left import is_time_to_sweep
from handler.decisions.overdue import Limits, Look, judged, left_of
from handler.decisions.watching import (
    View,
    concluded,
    in_order,
    in_turns,
    late,
    unheard,
    without,
    worth_a_look,
)
from handler.documents.errors import HetznerError, IncompleteListing
from handler.documents.memory import Memory
from handler.documents.printable import printable
from handler.documents.request import EventRefused
from handler.documents.survey import Survey
from handler.documents.watch_request import WatchRequest, parse_watch_event
from handler.hetzner.api import Hetzner
from handler.hetzner.survey import take_look
from handler.report import metrics, watch
from handler.triggers.executions import running_projects
from handler.triggers.projects import find_projects

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

# Left for telling and remembering, and for a request that was sent before.
RESERVE_MS = 60_000
MOST_TRIES = 4  # to list a project that changes meanwhile
SWEEP = json.dumps({"sweep": True})

Connect = Callable[[str, int], Hetzner]  # a project, and the milliseconds to leave to others


class NotTold(Exception):
    """People could not be told, or it could not be remembered; the next look tries again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """All projects as they were seen, and the memory, if SSM gives it."""

    looks: tuple[Look, ...]
    running: frozenset[str]
    memory: Memory
    unknown: str = ""  # why the memory is not known


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    request, settings = parse_watch_event(event), watch_settings()
    if request.forget:
        return forget(request.forget, settings, ssm())
    return watch_servers(
        request,
        datetime.now(UTC),
        settings,
        ssm(),
        step_functions(),
        lambda project, leave_ms: hetzner_for(
            project, context, leave_ms, settings.rate_limit_floor
        ),
        context.get_remaining_time_in_millis,
    )


def forget(project: str, settings: WatchSettings, ssm: "SSMClient") -> dict[str, Any]:
    """Takes the project out of the memory. Raises EventRefused, MemoryUnknown."""
    memory = read_memory(ssm, settings.memory)
    if project not in memory.projects:
        known = ", ".join(sorted(memory.projects)) or "none"
        raise EventRefused(
            f"The field forget is {project!r}, which is not remembered; remembered are: {known}. "
            "Nothing was done."
        )
    after = without(memory, project)
    write_memory(ssm, settings.memory, after)
    logger.info(f"{project} is forgotten: if it has a token, the next look learns it anew")
    return {"forgotten": project, "remembered": sorted(after.projects)}


def watch_servers(
    request: WatchRequest,
    now: datetime,
    settings: WatchSettings,
    ssm: "SSMClient",
    step_functions: "SFNClient",
    connect: Connect,
    remaining_ms: Callable[[], int],
) -> dict[str, Any]:
    """Looks, tells and remembers; gives what it saw.

    Raises NotTold after all that could be done.
    """
    seen = gather(now, settings, ssm, step_functions, connect, remaining_ms)
    limits = Limits(
        settings.freshness_hours,
        settings.run_minutes,
        settings.label_selector,
        settings.with_backups,
        settings.copy_minutes,
    )
    states = judged(seen.looks, seen.memory.projects, now, limits)
    view = concluded(states, seen.memory, now, has_limit=bool(limits.freshness_hours))
    _log(view)
    if not request.only_look:
        put_metrics(metrics.of_watch(len(view.overdue)))
        not_swept = sweep(seen.looks, limits, now, settings)
        act(view, seen, not_swept, settings, ssm)
    return watch.answer_of(
        view,
        settings.token_path,
        seen.running,
        has_restores=settings.has_restores,
        stack=settings.stack,
    )


def gather(
    now: datetime,
    settings: WatchSettings,
    ssm: "SSMClient",
    step_functions: "SFNClient",
    connect: Connect,
    remaining_ms: Callable[[], int],
) -> Seen:
    """A look at every project that has a token or is remembered, those not seen of late first."""
    memory, unknown = Memory(), ""
    try:
        memory = read_memory(ssm, settings.memory)
    except MemoryUnknown as error:
        logger.error(str(error))
        memory, unknown = Memory(problem=str(error)), str(error)
    running = running_projects(step_functions, settings.state_machine_arn)
    names: frozenset[str] | None = None
    try:
        names = frozenset(find_projects(ssm, settings.token_path).names)
    except (BotoCoreError, ClientError) as error:
        logger.error(f"Which projects have a token is not known: {printable(str(error))}")
    looks, unseen = [], late(memory)
    waiting = in_turns(in_order(names or (), memory), unseen, now)
    # Those that could not be seen come first. While others wait all of them have half of the time,
    # so that many that take long, or never end, cost no other its look.
    for_others_ms = RESERVE_MS
    if not unseen.issuperset(waiting):
        for_others_ms += max(0, remaining_ms() - RESERVE_MS) // 2
    while waiting:
        project = waiting.pop(0)
        is_running = running is None or project in running
        if names is not None and project not in names:
            looks.append(Look(project, None, "it has no token", False, is_running))
            continue
        leave_ms = for_others_ms if project in unseen else RESERVE_MS
        more = bool(unseen.intersection(waiting)) if project in unseen else bool(waiting)
        leave_ms += max(0, remaining_ms() - leave_ms) // 2 if more else 0
        looks.append(look_at(project, connect(project, leave_ms), settings, is_running))
    return Seen(tuple(worth_a_look(looks, memory)), running or frozenset(), memory, unknown)


def look_at(project: str, hetzner: Hetzner, settings: WatchSettings, is_running: bool) -> Look:
    """Never raises: an error in one project costs no other its look."""
    try:
        return Look(project, survey_of(project, hetzner, settings), is_running=is_running)
    except HetznerError as error:
        why = str(error)
        logger.warning(f"{project} could not be seen whole: {why}", extra={"project": project})
    except Exception as error:
        why = f"an error in this function: {type(error).__name__}"
        logger.exception(f"{project} could not be seen whole", extra={"project": project})
    return Look(project, None, why, is_running=is_running)


def survey_of(project: str, hetzner: Hetzner, settings: WatchSettings) -> Survey:
    """The project as it is. Raises HetznerError.

    Listings that changed while they were read are read again at once: a run that begins each hour
    when the watch looks would hide its project for ever.
    """
    owner, selector, restores = settings.owner, settings.label_selector, settings.has_restores
    for _ in range(MOST_TRIES - 1):
        try:
            return take_look(hetzner, owner, selector, has_restores=restores)
        except IncompleteListing as changed:
            logger.info(f"{project} is read again: {changed}", extra={"project": project})
    return take_look(hetzner, owner, selector, has_restores=restores)


def sweep(looks: Sequence[Look], limits: Limits, now: datetime, settings: WatchSettings) -> str:
    """Asks StartRestore to remove the copies that dead drills have left; gives why it could not.

    Never raises for AWS's errors.
    """
    left = (left_of(look, limits, now) for look in looks)
    is_time = any(is_time_to_sweep(copies, limits.longest_copy, now) for copies in left)
    if not (settings.has_restores and is_time):
        return ""
    try:
        functions().invoke(
            FunctionName=settings.restore_function, InvocationType="Event", Payload=SWEEP
        )
        logger.info("StartRestore is asked to remove what drills have left")
        return ""
    except (BotoCoreError, ClientError) as error:
        why = f"StartRestore could not be asked to sweep: {printable(str(error))}"
        logger.warning(why)
        return why


def act(view: View, seen: Seen, not_swept: str, settings: WatchSettings, ssm: "SSMClient") -> None:
    """Tells what is news, then remembers that. Raises NotTold."""
    if seen.unknown:
        # Who was told is not known: people would be told the same each hour. This error has an
        # alarm of its own.
        raise NotTold(f"{seen.unknown}. Nobody was told by name, nothing is remembered.")
    memory = view.memory
    try:
        if view.told:
            sns().publish(
                TopicArn=settings.topic_arn,
                Subject=watch.subject(view, settings.stack),
                Message=watch.text(
                    view,
                    settings.token_path,
                    has_restores=settings.has_restores,
                    not_swept=not_swept,
                    stack=settings.stack,
                ),
            )
            if not _is_heard(settings):
                memory = unheard(memory, seen.memory)
        # What a person had forgotten meanwhile stays forgotten; a text that cannot be read says
        # nothing of that.
        found = read_memory(ssm, settings.memory)
        forgotten = () if found.problem else seen.memory.projects.keys() - found.projects
        write_memory(ssm, settings.memory, without(memory, *forgotten))
    except (BotoCoreError, ClientError) as error:
        said = printable(str(error))
        raise NotTold(f"The message to {settings.topic_arn} could not be sent: {said}") from None
    except MemoryUnknown as error:
        raise NotTold(f"{error}. If something was told, it is told again in an hour.") from None


def _is_heard(settings: WatchSettings) -> bool:
    """Whether the topic reaches anybody, as far as that is known."""
    try:
        if why := why_unreached(settings.topic_arn, settings.tell_parameter):
            logger.warning(f"{why} It is told again in an hour.")
        return not why
    except (BotoCoreError, ClientError) as error:
        logger.info(f"Whether messages reach anybody is not known: {printable(str(error))}")
        return True


def _log(view: View) -> None:
    """One line for each thing overdue, then one for the look."""
    for overdue, line in watch.rows_of(view):
        about = {"server": overdue.server} if overdue.server else {}
        logger.warning(line, extra={"project": overdue.project, **about, "overdue": overdue.reason})
    seen = sum(state.look.survey is not None for state in view.projects)
    servers = sum(len(state.servers) for state in view.projects)
    logger.info(
        f"{seen} of {len(view.projects)} projects seen whole, {servers} servers, "
        f"{len(view.overdue)} overdue",
        extra={"watch": {"overdue": len(view.overdue), "told": view.told, "news": len(view.news)}},
    )
