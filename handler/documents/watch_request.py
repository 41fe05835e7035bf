"""What a person or the schedule asks WatchServers for: checked strictly, before it looks."""

from dataclasses import dataclass
from typing import Any

from handler.documents.event_values import shown
from handler.documents.request import PROJECT, EventRefused

ACCEPTED = (
    "Accepted are: {} (look, tell, remember), "
    '{"only_look": true} (tells nobody and remembers nothing), '
    '{"forget": "shop"} (that project is not missed any more). Nothing was done.'
)


@dataclass(frozen=True, slots=True)
class WatchRequest:
    only_look: bool = False
    forget: str = ""  # a project


def parse_watch_event(event: Any) -> WatchRequest:
    """Raises EventRefused."""
    if not isinstance(event, dict):
        raise _refused("must be a JSON object, not", event)
    if unknown := [name for name in event if name not in ("only_look", "forget")]:
        raise _refused("has an unknown field", unknown[0])
    if len(event) > 1:
        raise _refused("has two fields and may have one:", event)
    only_look, forget = event.get("only_look", False), event.get("forget", "")
    if not isinstance(only_look, bool):
        raise _refused("has in its field only_look no true or false but", only_look)
    if "forget" in event and not (isinstance(forget, str) and PROJECT.fullmatch(forget)):
        raise _refused("has in its field forget no project's name but", forget)
    return WatchRequest(only_look, forget)


def _refused(what: str, value: Any) -> EventRefused:
    return EventRefused(f"The event {what} {shown(value)}. {ACCEPTED}")
