"""What a restore writes on its snapshot: whether and when it came back. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from handler.decisions.proof import SSH, label_time
from handler.documents.document import parse_time
from handler.documents.labels import (
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_SERVER_DRILLED_AT,
    LABEL_SERVER_PROVEN_AT,
    LABEL_UNPROVEN_AT,
)
from handler.documents.resources import Snapshot
from handler.documents.restore import Restore


def marks(restore: Restore, now: datetime) -> dict[str, str]:
    """Our labels for the outcome of a copy that was looked at."""
    time = label_time(now)
    if restore.outcome == "proven":
        return {LABEL_PROVEN_AT: time, LABEL_PROVEN_BY: SSH}
    if restore.outcome == "restored" and not restore.server.port:
        return {LABEL_PROVEN_AT: time, LABEL_PROVEN_BY: "running"}
    return {LABEL_UNPROVEN_AT: time}


def marks_at_end(restore: Restore, now: datetime) -> dict[str, str]:
    """Our labels at the end of a drill; none if its outcome is on the snapshot already.

    Whatever it was that went wrong, the server has had its turn.
    """
    if restore.marked:
        return {}
    if restore.outcome in ("proven", "restored"):
        return marks(restore, now)
    return {LABEL_SERVER_DRILLED_AT: label_time(now)}


def for_newest(
    restore: Restore, now: datetime, snapshots: Iterable[Snapshot]
) -> tuple[int, dict[str, str]] | None:
    """The server's newest snapshot, if it was made while this drill went on or before, and our
    labels for it; None: the drilled one is the newest.

    That one could not inherit what was not written yet, and a night may prune the drilled one
    before the next is made.
    """
    made = parse_time(restore.source.created)
    newer = [
        (snapshot.created, snapshot.id)
        for snapshot in snapshots
        if made
        and snapshot.server_id == restore.server.id
        and not snapshot.is_of_another
        and snapshot.created > made
    ]
    if not newer:
        return None
    time = label_time(now)
    proof = {LABEL_SERVER_PROVEN_AT: time} if restore.outcome == "proven" else {}
    return max(newer)[1], {LABEL_SERVER_DRILLED_AT: time, **proof}


def marked(labels: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """All labels of the snapshot with ours among them: no other is lost.

    A proof takes the place of an earlier failure, not the other way round: what was proven once has
    come back once.
    """
    past = {LABEL_UNPROVEN_AT} if LABEL_PROVEN_AT in ours else set()
    return {name: value for name, value in labels.items() if name not in past} | dict(ours)
