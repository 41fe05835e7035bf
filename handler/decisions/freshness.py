"""How old every server's newest good snapshot is: pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from handler.documents.job import short_name
from handler.documents.labels import LABEL_ENABLED
from handler.documents.resources import Snapshot
from handler.documents.survey import Survey


@dataclass(frozen=True, slots=True)
class LastGood:
    """A server and the time of its newest good snapshot; without one, of the server's creation."""

    server: str
    since: datetime
    snapshot: bool

    @property
    def said(self) -> str:
        if self.snapshot:
            return f"Its newest good snapshot is of {self.since:%Y-%m-%d %H:%MZ}."
        return "It has no good snapshot."

    def why_overdue(self, now: datetime, limit_hours: int) -> str:
        """Why the server is overdue; empty if its snapshot is no older than that."""
        if now - self.since <= timedelta(hours=limit_hours):
            return ""
        days = f"{(now - self.since) / timedelta(days=1):.1f} days old"
        moment = f"{self.since:%Y-%m-%d %H:%MZ}"
        if self.snapshot:
            return f"its newest good snapshot is {days}, of {moment}"
        return f"it has no good snapshot and is {days} itself, created {moment}"


def last_good(survey: Survey) -> list[LastGood]:
    """The servers that the selector matches and no label leaves out, oldest snapshot first.

    For a server without a good snapshot its creation counts, so that a server made after last
    night's run raises no alarm.
    """
    newest = newest_good(survey.snapshots)
    found = [
        LastGood(
            short_name(server.name, server.id),
            newest[server.id].created if server.id in newest else server.created,
            server.id in newest,
        )
        for server in survey.servers
        if server.id in survey.matching and server.labels.get(LABEL_ENABLED) != "false"
    ]
    return sorted(found, key=lambda last: (last.since, last.server))


def newest_good(snapshots: Iterable[Snapshot]) -> dict[int, Snapshot]:
    """Per server id its newest snapshot that is available and really of it."""
    newest: dict[int, Snapshot] = {}
    for snapshot in snapshots:
        server_id = snapshot.server_id
        if server_id is None or snapshot.is_of_another or not snapshot.is_available:
            continue
        if server_id not in newest or newest[server_id].created < snapshot.created:
            newest[server_id] = snapshot
    return newest
