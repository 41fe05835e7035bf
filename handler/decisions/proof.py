"""When a server's backups were last proven, by the labels of its snapshots: pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from handler.documents.labels import (
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_SERVER_PROVEN_AT,
    LABEL_UNPROVEN_AT,
)
from handler.documents.resources import Snapshot

# RFC 3339 has colons, which no label's value may have.
LABEL_TIME = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
SSH = "ssh"


def label_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def time_in_label(text: str) -> datetime | None:
    """The time; None if it is none."""
    if not LABEL_TIME.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def last_proofs(snapshots: Iterable[Snapshot], now: datetime | None = None) -> dict[int, datetime]:
    """Per server's id when it was proven last; who is not in it never was.

    What cannot be read is no proof, nor is one from after `now`, one that only came back running,
    or one on a snapshot whose labels somebody has copied from another server's.
    """
    found: dict[int, datetime] = {}
    for snapshot in snapshots:
        if snapshot.server_id is None or snapshot.is_of_another:
            continue
        for moment in _proofs(snapshot.labels):
            known = found.get(snapshot.server_id)
            if (known is None or known < moment) and not (now and now < moment):
                found[snapshot.server_id] = moment
    return found


def _proofs(labels: Mapping[str, str]) -> list[datetime]:
    said = [labels.get(LABEL_SERVER_PROVEN_AT, "")]
    if labels.get(LABEL_PROVEN_BY) == SSH:
        said.append(labels.get(LABEL_PROVEN_AT, ""))
    return [moment for moment in map(time_in_label, said) if moment]


def looked_at(snapshots: Iterable[Snapshot]) -> dict[int, datetime]:
    """Per server's id when a restore of it ended last, whatever came of it, as far as its
    snapshots tell."""
    found: dict[int, datetime] = {}
    for snapshot in snapshots:
        for label in (LABEL_PROVEN_AT, LABEL_UNPROVEN_AT):
            moment = time_in_label(snapshot.labels.get(label, ""))
            if moment and snapshot.server_id is not None:
                found[snapshot.server_id] = max(moment, found.get(snapshot.server_id, moment))
    return found
