"""What a person or the schedule asks StartRestore for. Checked strictly, before anything starts."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handler.documents.event_values import UNFILLED_TIME, is_id, servers_in, shown, time_in
from handler.documents.request import RUN_ID, EventRefused
from handler.documents.restore_run import MOST_RESTORES

EXAMPLE = '{"servers": ["sg5"], "keep": true}'
# A host name's label (RFC 1123), as Hetzner takes it for a server.
SERVER_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
HETZNERS_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """A checked event. None or empty: not given, so as deployed."""

    project: str | None = None
    servers: tuple[str | int, ...] = ()
    snapshot: int | None = None
    keep: bool = False
    name: str = ""
    server_type: str = ""
    location: str = ""
    dry_run: bool = False
    run_id: str | None = None
    scheduled_time: datetime | None = None
    sweep: bool = False


FIELDS = {
    "project": "the name of one project",
    "servers": f"a list of 1 to {MOST_RESTORES} server names (strings) or ids (numbers) of one "
    "project",
    "snapshot": "the id of one of our snapshots, a number",
    "keep": "true or false",
    "name": "a server's name: 1 to 63 letters, digits and dashes, no dash at its ends",
    "server_type": "a Hetzner server type such as cx23",
    "location": "a Hetzner location such as fsn1",
    "dry_run": "true or false",
    "run_id": "1 to 32 letters, digits and dashes, and begins and ends with a letter or digit",
    "scheduled_time": "a time such as 2026-11-21T02:00:00Z",
    "sweep": "true or false",
}
OF_THE_COPY = ("name", "server_type", "location")


def parse_restore_event(event: Any) -> RestoreRequest:
    """The request in an event. Raises EventRefused.

    `{}` asks for a drill in each project, of the server whose last drill is longest ago. A
    scheduled time that the scheduler did not fill in is ignored.
    """
    if not isinstance(event, dict):
        raise EventRefused(
            f"The event must be a JSON object, not {shown(event)}. {{}} drills; "
            f"an example of a restore: {EXAMPLE}. Nothing was started."
        )
    for name in event:
        if name not in FIELDS:
            raise EventRefused(
                f"The event has an unknown field {shown(name)}. Accepted are: "
                f"{', '.join(FIELDS)}. {{}} drills; an example of a restore: {EXAMPLE}. "
                "Nothing was started."
            )
    request = RestoreRequest(**{name: _field(name, value) for name, value in event.items()})
    if why := _contradiction(request, event):
        raise EventRefused(f"{why} Nothing was started.")
    return request


def _contradiction(request: RestoreRequest, event: dict[str, Any]) -> str:
    """Why its fields do not fit together; empty if they do."""
    count = len(request.servers)
    if request.sweep and len(event) > 1:
        return "sweep stands alone: it removes what drills that are no longer running have left."
    if request.snapshot and count > 1:
        return "snapshot may have at most one server beside it."
    if request.keep and request.scheduled_time:
        return "keep is for a restore by hand; it cannot have a scheduled_time."
    if request.keep and not (count or request.snapshot):
        return "keep needs the field servers or snapshot beside it: what is to be restored?"
    given = [name for name in OF_THE_COPY if name in event]
    if given and not request.keep:
        return f"{given[0]} needs keep true beside it: a drill chooses by itself, and cheaply."
    if request.name and count > 1:
        return "name is for one server; several get names of their own."
    return ""


def _field(name: str, value: Any) -> Any:
    match name:
        case "dry_run" | "keep" | "sweep":
            ok = isinstance(value, bool)
        case "servers":
            servers = servers_in(value)
            ok, value = 0 < len(servers) <= MOST_RESTORES, servers or value
        case "snapshot":
            ok = is_id(value)
        case "name":
            ok = isinstance(value, str) and bool(SERVER_NAME.fullmatch(value))
        case "server_type" | "location":
            ok = isinstance(value, str) and bool(HETZNERS_NAME.fullmatch(value))
        case "run_id":
            ok = isinstance(value, str) and bool(RUN_ID.fullmatch(value))
        case "scheduled_time":
            if value == UNFILLED_TIME:
                return None
            moment = time_in(value)
            ok, value = bool(moment), moment or value
        case _:
            ok = isinstance(value, str) and 0 < len(value.strip()) <= 4096
    return _checked(name, value, ok)


def _checked(name: str, value: Any, ok: bool) -> Any:
    if ok:
        return value
    raise EventRefused(
        f"The field {name} is {shown(value)}; it must be {FIELDS[name]}. Nothing was started."
    )
