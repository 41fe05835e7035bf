"""How old every server's newest good snapshot is: pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from handler.documents.job import short_name
from handler.documents.labels import LABEL_ENABLED
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
    newest: dict[int, datetime] = {}
    for snapshot in survey.snapshots:
        is_good = snapshot.is_available and not snapshot.is_of_another
        if is_good and snapshot.server_id is not None:
            earlier = newest.get(snapshot.server_id, snapshot.created)
            newest[snapshot.server_id] = max(earlier, snapshot.created)
    found = [
        LastGood(
            short_name(server.name, server.id),
            newest.get(server.id, server.created),
            server.id in newest,
        )
        for server in survey.servers
        if server.id in survey.matching and server.labels.get(LABEL_ENABLED) != "false"
    ]
    return sorted(found, key=lambda last: (last.since, last.server))
