"""What a server's labels say just before something of it is deleted: pure.

A run may have begun hours ago. What people have set since then counts.
"""

from dataclasses import replace

from handler.decisions.selecting import item_of
from handler.documents.errors import HetznerError, NotFound
from handler.documents.job import Job
from handler.documents.labels import LABEL_ENABLED, LABEL_THROW_AWAY
from handler.documents.resources import Server


def heeded(job: Job, server: Server | HetznerError | None) -> Job:
    """The job with the server's labels as they are now."""
    if not isinstance(server, Server):
        return job
    item = item_of(server)
    return replace(job, server=replace(job.server, retention=item.retention, problem=item.problem))


def why_all_stay(job: Job, server: Server | HetznerError | None) -> str:
    """Empty if older snapshots may go."""
    if job.server.gone:
        there = isinstance(server, Server)
        return "the server is there after all: nothing of it is deleted" if there else ""
    if isinstance(server, NotFound):
        # Only a run that finds it gone when it begins deletes its snapshots (orphans.py). That it
        # is deleted is certain: they were just listed, so the token is still the project's.
        return "the server was deleted during the run: its older snapshots stay"
    if isinstance(server, Server) and server.labels.get(LABEL_ENABLED) == "false":
        return f"its label {LABEL_ENABLED} is false now: its older snapshots stay"
    if isinstance(server, Server) and LABEL_THROW_AWAY in server.labels:
        return f"it has the label {LABEL_THROW_AWAY} now: its older snapshots stay"
    return ""
