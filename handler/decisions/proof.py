"""When a server's backups were last proven, by the labels of its snapshots: pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handler.documents.job import short_name
from handler.documents.labels import (
    LABEL_DRILL,
    LABEL_PROBE,
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_SERVER_DRILLED_AT,
    LABEL_SERVER_PROVEN_AT,
    LABEL_UNPROVEN_AT,
)
from handler.documents.resources import Server, Snapshot

# RFC 3339 has colons, which no label's value may have.
LABEL_TIME = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
SSH = "ssh"


@dataclass(frozen=True, slots=True)
class Proven:
    """How many servers are proven to come back, and the oldest of their proofs."""

    servers: int
    proven: int
    now: datetime
    oldest: str = ""  # the server whose proof is oldest
    since: datetime | None = None  # its proof
    # Of the servers that drills are for, the one unproven for longest; one that was never proven
    # counts from its creation. None: there is none.
    longest_days: float | None = None

    def __str__(self) -> str:
        """For people: `proven: 9 of 10 servers, oldest db-1 41 days ago`."""
        all_of = f"{self.servers} server{'' if self.servers == 1 else 's'}"
        if self.since is None:
            return f"proven: {self.proven} of {all_of}"
        days = max(0, (self.now - self.since).days)
        ago = "today" if not days else f"{days} day{'' if days == 1 else 's'} ago"
        return f"proven: {self.proven} of {all_of}, oldest {self.oldest} {ago}"


def proven_of(servers: Sequence[Server], snapshots: Iterable[Snapshot], now: datetime) -> Proven:
    """The proofs of these servers, by the labels of their snapshots."""
    last = last_proofs(snapshots, now)
    proofs = sorted((last[s.id], short_name(s.name, s.id)) for s in servers if s.id in last)
    since, oldest = proofs[0] if proofs else (None, "")
    ages = [now - last.get(s.id, s.created) for s in servers if _is_drilled(s)]
    days = max(0.0, round(max(ages) / timedelta(days=1), 2)) if ages else None
    return Proven(len(servers), len(proofs), now, oldest, since, days)


def _is_drilled(server: Server) -> bool:
    """Whether a drill can prove it: no label of its own says that none will."""
    return server.labels.get(LABEL_DRILL) != "false" and server.labels.get(LABEL_PROBE) != "none"


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
    return _latest(snapshots, _proofs, now)


def looked_at(snapshots: Iterable[Snapshot], now: datetime | None = None) -> dict[int, datetime]:
    """Per server's id when a restore of it ended last, whatever came of it, as far as its
    snapshots tell. A time after `now` says nothing: that server would never have its turn."""
    return _latest(snapshots, _looks, now)


def _latest(
    snapshots: Iterable[Snapshot],
    told: Callable[[Mapping[str, str]], list[datetime]],
    now: datetime | None,
) -> dict[int, datetime]:
    """Per server's id the latest time, up to `now`, that the labels of its snapshots tell."""
    found: dict[int, datetime] = {}
    for snapshot in snapshots:
        if snapshot.server_id is None or snapshot.is_of_another:
            continue
        for moment in told(snapshot.labels):
            if not (now and now < moment):
                found[snapshot.server_id] = max(moment, found.get(snapshot.server_id, moment))
    return found


def _proofs(labels: Mapping[str, str]) -> list[datetime]:
    if labels.get(LABEL_PROVEN_BY) == SSH:
        return _times(labels, LABEL_SERVER_PROVEN_AT, LABEL_PROVEN_AT)
    return _times(labels, LABEL_SERVER_PROVEN_AT)


def _looks(labels: Mapping[str, str]) -> list[datetime]:
    return _times(
        labels, LABEL_PROVEN_AT, LABEL_UNPROVEN_AT, LABEL_SERVER_PROVEN_AT, LABEL_SERVER_DRILLED_AT
    )


def _times(labels: Mapping[str, str], *names: str) -> list[datetime]:
    said = [labels.get(name, "") for name in names]
    return [moment for moment in map(time_in_label, said) if moment]


def handed_on(
    snapshots: Sequence[Snapshot], server_id: int, now: datetime | None
) -> dict[str, str]:
    """The labels of the server's next snapshot: its last proof and its last drill.

    Those that they stand on are pruned one day. Without its last drill a server that never comes
    back would be the first one in each drill.
    """
    moments = {
        LABEL_SERVER_PROVEN_AT: last_proofs(snapshots, now).get(server_id),
        LABEL_SERVER_DRILLED_AT: looked_at(snapshots, now).get(server_id),
    }
    return {label: label_time(moment) for label, moment in moments.items() if moment}
