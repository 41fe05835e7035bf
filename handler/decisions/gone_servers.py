"""Servers of which only snapshots are left: whether they are gone, and what is due. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime

from handler.decisions import pacing
from handler.decisions.planning import decisions_of
from handler.documents.document import Run
from handler.documents.errors import HetznerError, TransientError, Unauthorized
from handler.documents.job import NAME_BYTES, Job, ServerItem, cut
from handler.documents.labels import LABEL_SERVER_NAME
from handler.documents.resources import Server, Snapshot
from handler.documents.run import BATCH, RunDocument

MOST_GONE = 100  # in one run
MOST_DIGITS = 18  # of a server's id
GONE = " (gone)"  # no server's name can end so


def due(
    run: Run, listed: Iterable[Server], snapshots: Iterable[Snapshot], now: datetime
) -> list[ServerItem]:
    """The servers that are in no complete listing and of which a snapshot is to be deleted.

    Only a first opinion: PruneSnapshots asks for each server and decides by its own listing.
    """
    there = {server.id for server in listed}
    left: dict[int, list[Snapshot]] = {}
    for snapshot in snapshots:
        id_ = snapshot.server_id
        if id_ and id_ not in there and id_ < 10**MOST_DIGITS and not snapshot.is_of_another:
            left.setdefault(id_, []).append(snapshot)
    items = [(_item(id_, found), found) for id_, found in sorted(left.items())]
    return [item for item, found in items if _is_due(run, item, found, now)]


def _item(server_id: int, snapshots: Sequence[Snapshot]) -> ServerItem:
    newest = max(snapshots, key=lambda snapshot: (snapshot.created, snapshot.id))
    name = newest.labels.get(LABEL_SERVER_NAME) or f"server {server_id}"
    return ServerItem(server_id, cut(name, NAME_BYTES - len(GONE)) + GONE, gone=True)


def _is_due(run: Run, item: ServerItem, snapshots: Sequence[Snapshot], now: datetime) -> bool:
    job = Job(run=run, status="new", server=item)
    return any(not decision.keep for decision in decisions_of(job, snapshots, now))


def handed_out(document: RunDocument, items: Sequence[ServerItem]) -> RunDocument:
    """The document whose batch holds these as well; servers that have no room come next."""
    gone = items[:MOST_GONE]
    batch = document.batch[: BATCH - len(gone)]
    more = tuple(
        asdict(replace(item, start_s=pacing.start_s(position, document.run.servers_at_a_time)))
        for position, item in enumerate(gone, start=len(batch))
    )
    with_gone = replace(
        document,
        batch=(*batch, *more),
        handed_out=tuple(item["id"] for item in (*batch, *more)),
        gone=tuple(item.id for item in gone),
        after_id=batch[-1]["id"] if batch else document.after_id,
        remaining=document.remaining + len(document.batch) - len(batch),
    )
    return with_gone.moved_to("ready")


def doubt(job: Job, listed: Collection[int]) -> HetznerError | None:
    """Why it is not certain that the server, which was not found, does not exist; None: it is.

    It is if this token still sees its project: another server that the run has listed.
    """
    if job.server.id in listed:
        return TransientError("Hetzner does not find the server, and lists it")
    if set(listed).isdisjoint(job.run.witnesses):
        return Unauthorized(
            f"the token of {job.run.project} sees neither the server nor another one of this run: "
            "all were deleted, or it is another project's"
        )
    return None


def told(job: Job) -> str:
    """How many snapshots of a server that is gone were or would be deleted, and their size."""
    if not (job.server.gone and job.deleted):
        return ""
    at_least = "at least " if job.at_least else ""
    what = f"{at_least}{job.deleted} snapshot{'' if job.deleted == 1 else 's'}"
    size = "their size is not told" if job.deleted_gb is None else f"{job.deleted_gb:.1f} GB"
    return f"{what} {'would be ' if job.run.dry_run else ''}deleted, {size}"


def with_deleted(job: Job, sizes: Sequence[float | None]) -> Job:
    """The job with the sizes (GB; None: not told) of what was or would be deleted added."""
    total = job.deleted_gb if job.deleted else 0.0
    for size_gb in sizes:
        total = None if total is None or size_gb is None else total + size_gb
    return replace(job, deleted=job.deleted + len(sizes), deleted_gb=total)
