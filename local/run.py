"""One run on a cloud that is up: started, watched, recorded."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from handler.documents.request import EventRefused, parse_event
from local.aws import LogTail, connection
from local.cloud import Cloud
from local.common.board import Board, Verdict, parse
from local.common.variables import Unusable
from local.show import Show

POLL_SECONDS = 0.25
# The longest time of a run by the API's clock: its longest waits one after the other.
LONGEST_RUN_SECONDS = 24 * 3600
# For the work itself, which is not scaled.
LONGEST_WORK_SECONDS = 900
# A summary is logged before its execution ends; its line may come later.
LATE_LINES_SECONDS = 10
# Step Functions takes no larger input.
MOST_BYTES = 262_144
MOST_SHOWN = 200
NO_JSON = object()


class Refused(Exception):
    """StartRun or StartRestore refuses the event, or cannot start anything; the text is theirs."""


class Interrupted(BaseException):
    """A signal that asks us to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def load_event(source: str) -> dict[str, Any]:
    """The event in that file, or that JSON itself.

    Raises Unusable if it is no JSON, Refused if StartRun would refuse it.
    """
    event = read_event(source)
    try:
        parse_event(event)
    except EventRefused as refusal:
        raise Refused(str(refusal)) from None
    return dict(event)


def read_event(source: str) -> Any:
    """The JSON in that file, or this text as JSON. Raises Unusable."""
    if not source.strip():
        raise Unusable("EVENT is empty. Say a file of events/, or {} for all servers.")
    try:
        name, text = "EVENT", source
        event = _inline(source)
        if event is NO_JSON:
            name, text = f"EVENT={source[:MOST_SHOWN]}", _read(source)
            event = json.loads(text)
    except ValueError as error:
        raise Unusable(f"{name} is not JSON: {error}.") from None
    except RecursionError:
        raise Unusable(f"{name} is not JSON that anybody could mean: nested too deeply.") from None
    return event


def _inline(source: str) -> Any:
    """What this JSON means; NO_JSON if it is the name of a file."""
    # What begins like this is meant as JSON, and an error in it is to be told.
    if source.lstrip().startswith(("{", "[", '"')):
        return json.loads(source)
    try:
        return NO_JSON if Path(source).exists() else json.loads(source)
    except (OSError, ValueError):
        return NO_JSON


def _read(source: str) -> str:
    """A file's text. Raises Unusable if it cannot be the file of an event."""
    name, path = f"EVENT={source[:MOST_SHOWN]}", Path(source)
    here = " ".join(sorted(str(each) for each in Path("events").glob("*.json")))
    try:
        if not path.is_file() and path.exists():
            what = "a folder" if path.is_dir() else "no regular file"
            raise Unusable(f"{name} is {what}, and a file is needed. In events/: {here}")
        if path.stat().st_size > MOST_BYTES:
            raise Unusable(f"{name} is too large: an event has at most {MOST_BYTES} bytes.")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Unusable(f"{name}: {error.strerror}. In events/: {here}") from None
    except UnicodeDecodeError:
        raise Unusable(f"{name} is not text in UTF-8, so it holds no event.") from None
    except ValueError as error:
        raise Unusable(f"{name} cannot be read: {error}.") from None
    if not text.strip():
        raise Unusable(f"{name} is empty. {{}} in it would mean all servers.")
    return text


def start(cloud: Cloud, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of StartRun or StartRestore. Raises Refused."""
    answer = boto3.client("lambda", **connection(cloud.aws)).invoke(
        FunctionName=function, Payload=json.dumps(event)
    )
    payload = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise Refused(str(payload.get("errorMessage", payload)))
    return dict(payload)


def watch(
    cloud: Cloud,
    answer: Mapping[str, Any],
    tail: LogTail,
    show: Show,
    check: Callable[[], None] = lambda: None,
) -> Board:
    """Follows what StartRun started until it has ended, or is overdue.

    `tail` begins before the start, and not earlier: a resumed run has older lines.
    `check` is called between the looks and may raise.
    """
    running = {item["execution_arn"] for item in answer["executions"]}
    board = Board(answer["run_id"], [item["project"] for item in answer["executions"]])
    step_functions = boto3.client("stepfunctions", **connection(cloud.aws))
    deadline = time.monotonic() + LONGEST_RUN_SECONDS * cloud.wait_scale + LONGEST_WORK_SECONDS
    with show.run(board):
        while time.monotonic() < deadline:
            check()
            for line in filter(None, map(parse, tail.lines())):
                if row := board.add(line, time.monotonic()):
                    show.changed(row)
            if running:
                running -= {arn for arn in running if _ended(step_functions, arn)}
                if not running:
                    deadline = min(deadline, time.monotonic() + LATE_LINES_SECONDS)
            elif board.complete():
                break
            time.sleep(POLL_SECONDS)
    return board


def _ended(step_functions: Any, arn: str) -> bool:
    try:
        return bool(step_functions.describe_execution(executionArn=arn)["status"] != "RUNNING")
    except ClientError as error:
        if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
            return True
        raise


def write_record(board: Board, path: Path) -> Verdict:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(board.record(), indent=2) + "\n")
    return board.verdict()
