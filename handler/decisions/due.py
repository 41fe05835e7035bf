"""Which servers a run leaves out because it is not time for them yet: pure.

Decided as of the beginning of the run's first execution, so that the same servers are due in every
batch and in a resume. Ages are by the later one of two clocks, Hetzner's and ours: a wrong one may
cost a snapshot more, never one less.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from handler.documents.resources import Server, Snapshot
from handler.documents.rhythm import rhythm_in
from handler.documents.run import RunDocument

# What is created so much later than now says nothing about how old anything is; so far apart are
# no two clocks.
AHEAD = timedelta(hours=1)


def heeds_rhythms(document: RunDocument) -> bool:
    """Whether the run asks who is due: not if it names its servers, or only prunes."""
    return not (document.selection.servers or document.run.prune_only)


def newest_good(
    snapshots: Iterable[Snapshot], before: datetime | None = None
) -> dict[int, Snapshot]:
    """Per server's id its newest snapshot that is available and really of it.

    Of those older than `before`, if that is given.
    """
    newest: dict[int, Snapshot] = {}
    for snapshot in snapshots:
        is_good = snapshot.is_available and not snapshot.is_of_another
        counts = is_good and (before is None or snapshot.created < before)
        if not counts or snapshot.server_id is None:
            continue
        known = newest.get(snapshot.server_id)
        if known is None or known.created < snapshot.created:
            newest[snapshot.server_id] = snapshot
    return newest


def why_not_due(
    document: RunDocument, servers: Sequence[Server], snapshots: Sequence[Snapshot]
) -> dict[int, str]:
    """Why these are not due, by id; the others are, and all if no clock tells when the run began.

    `snapshots` are all of ours in the project.
    """
    beginnings = document.beginnings()
    if not beginnings:
        return {}
    by_hetzner, latest = beginnings
    newest = newest_good(snapshots, by_hetzner)
    # A run goes on with what it has begun, whatever has become available meanwhile.
    mine = {snapshot.server_id for snapshot in snapshots if document.run.made(snapshot)}
    found = {}
    for server in servers:
        rhythm, last = rhythm_in(server.labels), newest.get(server.id)
        if not rhythm or not last or server.id in mine:
            continue
        if (age := latest - last.created) < rhythm.due_after:
            found[server.id] = f"not due: newest good snapshot {_age(age)} old, every {rhythm.text}"
    return found


def _age(age: timedelta) -> str:
    hours = int(age / timedelta(hours=1))
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"
