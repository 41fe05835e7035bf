"""How old every server's newest good snapshot is: pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from handler.decisions.due import AHEAD, newest_good
from handler.decisions.selecting import why_not_taken
from handler.documents.document import WithBackups
from handler.documents.job import short_name
from handler.documents.resources import Server
from handler.documents.rhythm import hours_added
from handler.documents.survey import Survey


@dataclass(frozen=True, slots=True)
class LastGood:
    """A server and the time of its newest good snapshot; without one, of the server's creation."""

    server_id: int
    server: str
    since: datetime
    snapshot: bool
    hours_added: int = 0  # by its own rhythm

    @property
    def counts_from(self) -> datetime:
        """As old as this is a server without a rhythm of its own that is as fresh."""
        return self.since + timedelta(hours=self.hours_added)

    @property
    def said(self) -> str:
        if self.snapshot:
            return f"Its newest good snapshot is of {self.since:%Y-%m-%d %H:%MZ}."
        return "It has no good snapshot."

    def why_overdue(self, now: datetime, limit_hours: int) -> str:
        """Why the server is overdue; empty if its snapshot is no older than that, and than its
        rhythm adds."""
        if now - self.counts_from <= timedelta(hours=limit_hours):
            return ""
        days = f"{(now - self.since) / timedelta(days=1):.1f} days old"
        moment = f"{self.since:%Y-%m-%d %H:%MZ}"
        if self.snapshot:
            return f"its newest good snapshot is {days}, of {moment}"
        return f"it has no good snapshot and is {days} itself, created {moment}"


def taken(survey: Survey, with_backups: WithBackups) -> list[Server]:
    """The servers that runs take, each or in its own rhythm."""
    return [
        server
        for server in survey.servers
        if not why_not_taken(server, survey.matching, "", with_backups)
    ]


def last_good(survey: Survey, with_backups: WithBackups) -> list[LastGood]:
    """The servers that runs take, oldest snapshot first.

    For a server without a good snapshot its creation counts, so that a server made after last
    night's run raises no alarm.
    """
    # One that seems to be from the future says nothing about how old a server's snapshots are.
    newest = newest_good(survey.snapshots, survey.now and survey.now + AHEAD)
    found = [
        LastGood(
            server.id,
            short_name(server.name, server.id),
            newest[server.id].created if server.id in newest else server.created,
            server.id in newest,
            hours_added(server.labels),
        )
        for server in taken(survey, with_backups)
    ]
    return sorted(found, key=lambda last: (last.since, last.server))
