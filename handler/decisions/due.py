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


def heeds_rhythms(document: RunDocument) -> bool:
    """Whether the run asks who is due: not if it names its servers, or only prunes."""
    return not (document.selection.servers or document.run.prune_only)


def newest_good(
    snapshots: Iterable[Snapshot], before: datetime | None = None
) -> dict[int, Snapshot]:
    """The newest good snapshot of each server, of those older than `before`, by server id."""
    newest: dict[int, Snapshot] = {}
    for snapshot in snapshots:
        is_good = snapshot.is_available and not snapshot.is_of_another
        counts = is_good and (before is None or snapshot.created < before)
        if counts and snapshot.server_id is not None:
            earlier = newest.get(snapshot.server_id, snapshot)
            newest[snapshot.server_id] = max(earlier, snapshot, key=lambda each: each.created)
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
        rhythm, good = rhythm_in(server.labels), newest.get(server.id)
        if not (rhythm and good) or server.id in mine:
            continue
        if latest - good.created < rhythm.due_after:
            age = _age(latest - good.created)
            found[server.id] = f"not due: newest good snapshot {age} old, every {rhythm.text}"
    return found


def _age(age: timedelta) -> str:
    hours = int(age / timedelta(hours=1))
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"
