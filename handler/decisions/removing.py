"""What makes a server this restore's own copy, which may be removed: pure.

Each clause answers with why not, by an answer about the server that has just been read. All of them
must hold before a delete; before a copy is switched on or off, all but the label of a throw-away
one.
"""

from dataclasses import dataclass
from datetime import datetime

from handler.documents.copies import Copy
from handler.documents.document import format_time
from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RESTORE_ID,
    LABEL_SERVER_ID,
    LABEL_THROW_AWAY,
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What this restore has made its copy with, or would have."""

    owner: str
    restore_id: str
    server_id: int  # of the original
    name: str
    image_id: int
    began: datetime | None  # of the restore, by Hetzner's clock; None: not known


def why_not_removed(copy: Copy, expected: Expected) -> str:
    """Why the server stays; empty if it may be deleted."""
    return _kept(copy) or why_not_ours(copy, expected)


def why_not_ours(copy: Copy, expected: Expected) -> str:
    """Why the server is not this restore's copy, thrown away or kept."""
    return (
        _of_another_owner(copy, expected)
        or _of_another_restore(copy, expected)
        or _of_another_server(copy, expected)
        or _of_another_name(copy, expected)
        or _older(copy, expected)
        or _of_another_image(copy, expected)
    )


def labels_of(expected: Expected, *, keep: bool) -> dict[str, str]:
    """All labels that a copy has: none of the original's, by which others might select it."""
    labels = {
        LABEL_MANAGED_BY: expected.owner,
        LABEL_SERVER_ID: str(expected.server_id),
        LABEL_RESTORE_ID: expected.restore_id,
    }
    return labels if keep else labels | {LABEL_THROW_AWAY: "true"}


def _kept(copy: Copy) -> str:
    if copy.labels.get(LABEL_THROW_AWAY) == "true":
        return ""
    return f"it has no label {LABEL_THROW_AWAY}=true"


def _of_another_owner(copy: Copy, expected: Expected) -> str:
    if copy.labels.get(LABEL_MANAGED_BY) == expected.owner:
        return ""
    return f"it has no label {LABEL_MANAGED_BY}={expected.owner}"


def _of_another_restore(copy: Copy, expected: Expected) -> str:
    if copy.labels.get(LABEL_RESTORE_ID) == expected.restore_id:
        return ""
    return f"it has no label {LABEL_RESTORE_ID}={expected.restore_id}"


def _of_another_server(copy: Copy, expected: Expected) -> str:
    if copy.labels.get(LABEL_SERVER_ID) == str(expected.server_id):
        return ""
    return f"it has no label {LABEL_SERVER_ID}={expected.server_id}"


def _of_another_name(copy: Copy, expected: Expected) -> str:
    return "" if copy.name == expected.name else f"it is not called {expected.name}"


def _older(copy: Copy, expected: Expected) -> str:
    if expected.began is None:
        return "it is not known when the restore began"
    if copy.created >= expected.began:
        return ""
    made, began = format_time(copy.created), format_time(expected.began)
    return f"it was created at {made}, before the restore began at {began}"


def _of_another_image(copy: Copy, expected: Expected) -> str:
    """Its image is null once the snapshot is pruned."""
    if copy.image_id in (None, expected.image_id):
        return ""
    return f"it was made of image {copy.image_id}, not of snapshot {expected.image_id}"
