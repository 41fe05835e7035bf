"""The event with which `make restore` starts StartRestore, from what was said to make. Pure."""

from collections.abc import Mapping
from typing import Any

from handler.documents.request import EventRefused
from handler.documents.restore_request import parse_restore_event
from local.common.variables import Unusable

# The field of the event that each says.
FIELDS = {
    "SERVER": "servers",
    "SNAPSHOT": "snapshot",
    "NAME": "name",
    "TYPE": "server_type",
    "LOCATION": "location",
}


def restore_event(asked: Mapping[str, str], project: str | None) -> dict[str, Any]:
    """Raises Unusable if it says too little, or something that cannot be meant."""
    if not asked.get("SERVER") and not asked.get("SNAPSHOT"):
        raise Unusable(
            "Which server? Say its name or id, as in `make restore SERVER=sg5`, or the id of a "
            "snapshot, whose server may be gone: `make restore SNAPSHOT=90016`."
        )
    event: dict[str, Any] = {"keep": True, **({"project": project} if project else {})}
    for name, field in FIELDS.items():
        if text := asked.get(name):
            event[field] = _value(name, text)
            _check(name, text, event, field)
    return event


def _value(name: str, text: str) -> Any:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    match name:
        case "SERVER":
            return [text if number is None else number]
        case "SNAPSHOT":
            if number is None:
                raise Unusable(
                    f"SNAPSHOT={text} is no id of a snapshot, which is a number. `make report` and "
                    "the Hetzner console show them."
                )
            return number
    return text


def _check(name: str, text: str, event: dict[str, Any], field: str) -> None:
    """As StartRestore will, but in the words of the command."""
    alone = {"keep": True, "servers": ["any"], field: event[field]}
    try:
        parse_restore_event(alone)
    except EventRefused as refusal:
        why = str(refusal).partition("; it must be ")[2].partition(". Nothing was")[0]
        raise Unusable(f"{name}={text} cannot be used: it must be {why or refusal}.") from None
