"""Documents of other versions are read: a run may go on while its functions are changed.

What a version does not know is left out, what a document lacks has a default. No default can be
right for what a run was asked to do and what it has counted: without that a document is refused.
"""

from dataclasses import MISSING, fields
from typing import Any

# What these fields were called at first. They are read, and never written.
FIRST_NAMES = {
    "others": "concurrent_runs",
    "fleet": "server_count",
    "watch": "stopwatch",
    "give_up_s": "deadline_s",
    "doomed": "to_delete",
    "gb": "size_gb",
}


class Unreadable(ValueError):
    """A document of another version that lacks what has no default; nothing is done with it."""


def renamed(values: dict[str, Any]) -> dict[str, Any]:
    """The values by the names of today."""
    return {FIRST_NAMES[old]: values[old] for old in FIRST_NAMES if old in values} | values


def known(kind: Any, values: Any) -> dict[str, Any]:
    """The dataclass's fields among the values, without those that are null and must not be.

    Raises Unreadable if one is missing that has no default.
    """
    found = renamed(values if isinstance(values, dict) else {})
    known = {}
    for field in fields(kind):
        value = found.get(field.name)
        if value is not None or (field.name in found and field.default is None):
            known[field.name] = value
        elif field.default is MISSING and field.default_factory is MISSING:
            raise Unreadable(f"{kind.__name__} lacks {field.name}: another version has written it")
    return known


def demand(what: str, values: Any, names: tuple[str, ...]) -> None:
    """Raises Unreadable if one of these is missing, though others of its kind have defaults."""
    for name in names:
        if not isinstance(values, dict) or values.get(name) is None:
            raise Unreadable(f"{what} lacks {name}: another version has written it")


def is_whole(kind: Any, values: Any) -> bool:
    """Whether they have all that has no default."""
    try:
        known(kind, values)
    except Unreadable:
        return False
    return True
