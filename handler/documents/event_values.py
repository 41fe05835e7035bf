"""What the fields of events hold, whichever function the event is for."""

import json
from datetime import UTC, datetime
from typing import Any

from handler.documents.printable import printable

UNFILLED_TIME = "<aws.scheduler.scheduled-time>"
MOST_SHOWN = 100


def servers_in(value: Any) -> tuple[str | int, ...]:
    """The names and ids in a list of at least one; empty if it is none."""
    if not (isinstance(value, list) and all(map(_is_name_or_id, value))):
        return ()
    # As the names of Hetzner's servers are read.
    read = (printable(each) if isinstance(each, str) else each for each in value)
    return tuple(dict.fromkeys(read))


def is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def time_in(value: Any) -> datetime | None:
    """The moment, if the text says its time zone, too."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def shown(value: Any) -> str:
    """The value for a message, printable and cut."""
    text = printable(json.dumps(value, ensure_ascii=False, default=repr))
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "..."


def _is_name_or_id(value: Any) -> bool:
    return bool(value.strip()) if isinstance(value, str) else is_id(value)
