"""The executions that Step Functions knows: those of the last 90 days; and how one is started."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws.logs import logger
from handler.documents.printable import printable
from handler.documents.request import EventRefused, Request
from handler.documents.restore import RestoreDocument
from handler.documents.run import MOST_CONCURRENT_RUNS, RunDocument
from handler.report.links import execution_link, log_link

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

PER_PAGE, MOST_PAGES = 1000, 200
# ListExecutions allows 100 requests at once and 2 more each second, so a throttled request may
# succeed a moment later. If not, Lambda tries a schedule's request again a minute later.
TRIES = 3
THROTTLED = ("ThrottlingException", "TooManyRequestsException", "ServiceUnavailable")


# Where the link to an execution's log lines ends, seen from its start.
LONGEST_READING = timedelta(days=1)


class ExecutionsUnknown(Exception):
    """Step Functions does not tell which executions there are; nothing was started."""


class NotAllStarted(Exception):
    """Some projects could not be started; the others were. The message names both."""


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as its name tells it: `<run id>_<project>_<hash>`, a request's end behind."""

    name: str
    arn: str
    is_running: bool
    started: datetime

    @property
    def run_id(self) -> str:
        return self.name.split("_")[0]

    @property
    def project(self) -> str:
        return self.name.split("_")[1]

    def is_of(self, request_id: str) -> bool:
        """Whether that request has started it: Lambda tries a failed delivery again."""
        return self.name.endswith("_" + short(request_id))


def new_run_id(
    scheduled_time: datetime | None,
    request_id: str,
    now: datetime,
    known: Sequence[Execution] = (),
) -> str:
    """The schedule's time; by hand the day and the request.

    When Lambda tries an invocation again it is the same, though midnight has passed.
    """
    if scheduled_time:
        return scheduled_time.strftime("%Y%m%dT%H%M%SZ")
    end = f"-{re.sub('[^A-Za-z0-9]', '', request_id)[:12]}"
    started = (execution.run_id for execution in known if execution.run_id.endswith(end))
    return next(started, f"{now:%Y%m%d}{end}")


def execution_name(document: RunDocument | RestoreDocument, request_id: str | None = None) -> str:
    """Id, project and a hash of what is asked; a resume adds its own request."""
    canonical = json.dumps(document.to_dict(), sort_keys=True).encode()
    parts = [document.run.id, document.run.project, hashlib.sha256(canonical).hexdigest()[:8]]
    return "_".join([*parts, short(request_id)] if request_id else parts)


def execution_arn(state_machine_arn: str, name: str) -> str:
    return state_machine_arn.replace(":stateMachine:", ":execution:") + f":{name}"


def start_execution(
    step_functions: "SFNClient",
    state_machine_arn: str,
    document: RunDocument | RestoreDocument,
    plan: str,
    log_group: str,
) -> dict[str, Any]:
    """Starts it, unless it has been; gives where to look. `plan` says what it will do."""
    text, name = json.dumps(document.to_dict()), document.execution.rpartition(":")[2]
    try:
        step_functions.start_execution(stateMachineArn=state_machine_arn, name=name, input=text)
        fresh = True
    except step_functions.exceptions.ExecutionAlreadyExists:
        # The event was delivered twice; the first delivery has started it.
        fresh = False
    run, arn = document.run, document.execution
    now, link = datetime.now(UTC), execution_link(arn)
    logger.info(
        f"{run.project}: {'started' if fresh else 'had been started'}, {plan}: {link}",
        extra={"project": run.project, "execution": arn, "input": json.loads(text)},
    )
    return {
        "project": run.project,
        "execution_arn": arn,
        "console": link,
        "logs": log_link(arn, log_group, run.id, run.project, now, now + LONGEST_READING),
        "started": fresh,
    }


def short(request_id: str) -> str:
    """The end of an execution's name: tells whose it is when Lambda tries again."""
    return request_id.replace("-", "")[:8]


def known_executions(
    step_functions: "SFNClient", state_machine_arn: str, request: Request
) -> tuple[Execution, ...] | None:
    """All executions, oldest first; for the schedule those that are running; None: not known.

    Raises ExecutionsUnknown if a run is to be resumed and they are not known.
    """
    try:
        return listed(step_functions, state_machine_arn, only_running=request.by_schedule)
    except (BotoCoreError, ClientError) as error:
        said = printable(str(error))
        if request.run_id:
            raise ExecutionsUnknown(
                f"Which executions the run {request.run_id} has is not known: {said}. "
                "Nothing was started. Try again in a minute."
            ) from error
        # It is needed only where runs overlap, which is rare: the run starts without it.
        logger.warning(f"Which runs are going on is not known: {said}")
        return None


def running_projects(step_functions: "SFNClient", state_machine_arn: str) -> frozenset[str] | None:
    """The projects of which a run is going on; None: not known."""
    try:
        found = listed(step_functions, state_machine_arn, only_running=True)
    except (BotoCoreError, ClientError) as error:
        logger.warning(f"Which runs are going on is not known: {printable(str(error))}")
        return None
    return frozenset(execution.project for execution in found)


def listed(
    step_functions: "SFNClient", state_machine_arn: str, only_running: bool
) -> tuple[Execution, ...]:
    """The machine's executions, oldest first. Raises BotoCoreError and ClientError."""
    arguments: dict[str, Any] = {"stateMachineArn": state_machine_arn, "maxResults": PER_PAGE}
    if only_running:
        arguments["statusFilter"] = "RUNNING"
    found: list[Execution] = []
    for _ in range(MOST_PAGES):
        page = _page(step_functions, arguments)
        found += [
            Execution(e["name"], e["executionArn"], e["status"] == "RUNNING", e["startDate"])
            for e in page["executions"]
            if e["name"].count("_") >= 2
        ]
        if not (token := page.get("nextToken")):
            break
        arguments["nextToken"] = token
    # Step Functions lists the newest first. Reversed before the sort, which is stable: so those of
    # the same second are in order, too.
    return tuple(sorted(reversed(found), key=lambda execution: execution.started))


def _page(step_functions: "SFNClient", arguments: dict[str, Any]) -> Any:
    for _ in range(TRIES - 1):
        try:
            return step_functions.list_executions(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in THROTTLED:
                raise
    return step_functions.list_executions(**arguments)


def earlier_documents(
    step_functions: "SFNClient",
    known: Sequence[Execution],
    run_id: str,
    chosen: Sequence[str],
    request: Request,
    request_id: str,
) -> dict[str, tuple[RunDocument, ...]]:
    """Per project what the run's executions were started with, the first one first.

    Raises EventRefused if the event says that there are some and there are none, or the reverse,
    or if one is still running.
    """
    of_run = [e for e in known if e.run_id == run_id and e.project in chosen]
    others = [e for e in of_run if not (request.run_id and e.is_of(request_id))]
    if request.run_id:
        _check(request, others, chosen)
    found: dict[str, tuple[RunDocument, ...]] = {}
    for execution in others:
        answer = step_functions.describe_execution(executionArn=execution.arn)
        document = RunDocument.from_dict(json.loads(answer["input"]))
        found[execution.project] = (*found.get(execution.project, ()), document)
    if request.run_id and any(documents[0].resumes for documents in found.values()):
        raise EventRefused(
            f"The field run_id is {json.dumps(request.run_id)}, and Step Functions has forgotten "
            "that run's first execution, which is more than 90 days old. Nothing was started."
        )
    return found


def _check(request: Request, others: Sequence[Execution], chosen: Sequence[str]) -> None:
    for execution in others:
        if execution.is_running:
            raise EventRefused(
                f"The field run_id is {json.dumps(request.run_id)}, and that run is still running: "
                f"{execution_link(execution.arn)}. Wait until it has ended, or stop it first. "
                "Nothing was started."
            )
    if others and request.new:
        raise EventRefused(
            f"The field run_id is {json.dumps(request.run_id)}, and there is a run of that name: "
            "leave the field new out to resume it, or take another name. Nothing was started."
        )
    if not (others or request.new):
        raise EventRefused(
            f"The field run_id is {json.dumps(request.run_id)}, and no execution of that run is "
            f"known in the last 90 days (project {', '.join(chosen)}). Correct it; to start a new "
            'run of that name say "new": true beside it. Nothing was started.'
        )


def concurrent_runs(
    known: Sequence[Execution] | None, project: str, run_id: str
) -> tuple[str, ...] | None:
    """The ids of the project's other runs that are running; None: not known, or too many."""
    if known is None:
        return None
    ids = {e.run_id for e in known if e.is_running and e.project == project} - {run_id}
    return tuple(sorted(ids)) if len(ids) <= MOST_CONCURRENT_RUNS else None
