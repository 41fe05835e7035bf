"""What a person or the schedule asks StartRun for. Checked strictly, before anything starts."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handler.documents.document import OnLocked
from handler.documents.event_values import UNFILLED_TIME, servers_in, shown, time_in
from handler.documents.policy import BadPolicy, parse_policy

# A selection of this size and a full batch fit together into a state's input.
MOST_SELECTION_CHARACTERS = 10_000
# It must be valid as a label's value at Hetzner.
RUN_ID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?", re.ASCII)
# With run id (32), hash (8), request id (8) and separators it fits an execution's name (80).
PROJECT = re.compile(r"[A-Za-z0-9-]{1,29}", re.ASCII)
EXAMPLE = '{"servers": ["sg5"], "dry_run": true}'


class EventRefused(ValueError):
    """The event is refused; nothing was started. Names field, value and what is accepted."""


@dataclass(frozen=True, slots=True)
class Request:
    """A checked event. None or empty: not given, so as in the resumed run or as deployed."""

    project: str | None = None
    servers: tuple[str | int, ...] = ()
    label_selector: str | None = None
    dry_run: bool | None = None
    prune_only: bool | None = None
    accept_smaller: bool | None = None
    on_locked: OnLocked | None = None
    retention: str | None = None
    max_deletions: int | None = None
    run_id: str | None = None
    new: bool = False
    scheduled_time: datetime | None = None

    @property
    def by_schedule(self) -> bool:
        """Whether it says no more than the schedule does."""
        return bool(self.scheduled_time) and self == Request(scheduled_time=self.scheduled_time)


FIELDS = {
    "project": "the name of one project",
    "servers": "a list of server names (strings) or ids (numbers) of one project, at least one",
    "label_selector": "a Hetzner label selector",
    "dry_run": "true or false",
    "prune_only": "true or false",
    "accept_smaller": "true or false",
    "on_locked": '"wait" or "skip"',
    "retention": 'a retention policy such as "daily7-weekly4"',
    "max_deletions": "a whole number from 1 to 1000",
    "run_id": "1 to 32 letters, digits and dashes, and begins and ends with a letter or digit",
    "new": "true or false",
    "scheduled_time": "a time such as 2026-11-21T02:00:00Z",
}


def parse_event(event: Any) -> Request:
    """The request in an event, its own or EventBridge's envelope. Raises EventRefused.

    `{}` asks for everything as deployed. A scheduled time that the scheduler did not fill in is
    ignored.
    """
    if not isinstance(event, dict):
        raise EventRefused(
            f"The event must be a JSON object, not {shown(event)}. {{}} takes all servers; "
            f"an example: {EXAMPLE}"
        )
    if event.get("source") == "aws.events" and event.get("detail-type") == "Scheduled Event":
        return Request(scheduled_time=_time(event.get("time")))
    for name in event:
        if name not in FIELDS:
            raise EventRefused(
                f"The event has an unknown field {shown(name)}. Accepted are: "
                f"{', '.join(FIELDS)}. {{}} takes all servers; an example: {EXAMPLE}"
            )
    request = Request(**{name: _field(name, value) for name, value in event.items()})
    if request.prune_only and request.scheduled_time:
        raise EventRefused("prune_only is for a run by hand; it cannot have a scheduled_time.")
    if request.accept_smaller and not (request.prune_only and request.servers):
        raise EventRefused(
            "accept_smaller needs the fields prune_only and servers beside it: it lets the larger "
            "snapshots of servers go that you have looked at. Nothing was started."
        )
    if request.new and not request.run_id:
        raise EventRefused("new needs the field run_id beside it. Nothing was started.")
    return request


def _field(name: str, value: Any) -> Any:
    match name:
        case "dry_run" | "prune_only" | "accept_smaller" | "new":
            ok = isinstance(value, bool)
        case "servers":
            servers = servers_in(value)
            if servers and len(json.dumps(value)) > MOST_SELECTION_CHARACTERS:
                raise _refused(name, value, "; so many are better chosen by a label_selector")
            ok, value = bool(servers), servers or value
        case "max_deletions":
            ok = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000
        case "on_locked":
            ok = value in ("wait", "skip")
        case "run_id":
            ok = isinstance(value, str) and bool(RUN_ID.fullmatch(value))
        case "retention":
            return _policy(value)
        case "scheduled_time":
            return None if value == UNFILLED_TIME else _time(value)
        case _:
            ok = isinstance(value, str) and 0 < len(value.strip()) <= 4096
    if not ok:
        raise _refused(name, value)
    return value


def _policy(value: Any) -> str:
    if not isinstance(value, str):
        raise _refused("retention", value)
    try:
        return str(parse_policy(value))
    except BadPolicy as error:
        raise _refused("retention", value, f" ({error})") from None


def _time(value: Any) -> datetime:
    if moment := time_in(value):
        return moment
    raise _refused("scheduled_time", value)


def _refused(name: str, value: Any, why: str = "") -> EventRefused:
    return EventRefused(
        f"The field {name} is {shown(value)}; it must be {FIELDS[name]}{why}. Nothing was started."
    )
