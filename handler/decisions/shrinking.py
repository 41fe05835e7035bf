"""Whether a server's snapshots have become much smaller, as when its disk was emptied. Pure.

Retention takes the newest for as good as the oldest: a disk emptied by mistake or malice makes
small snapshots, and a few nights later nothing else would be left. Sizes vary, so only less than
half counts, only where the larger one has more than 1 GB, and only sizes that Hetzner tells.
"""

from collections.abc import Iterable, Sequence

from handler.documents.job import Job
from handler.documents.labels import LABEL_RUN_ID
from handler.documents.resources import Snapshot

SMALL_GB = 1.0


def newest_larger(stay: Iterable[Snapshot], go: Sequence[Snapshot]) -> Snapshot | None:
    """Of those that would go, newest first, the one to keep because all that stay are less than
    half as large as the largest of them. It is itself at least half as large as that."""
    staying_gb, going = [gb for _, gb in _sized(stay)], _sized(go)
    if not staying_gb or not going:
        return None
    largest_gb = max(gb for _, gb in going)
    # One that is not larger than this the next run would let go.
    enough_gb = max(SMALL_GB, 2 * max(staying_gb))
    larger = (each for each, gb in going if gb > enough_gb and 2 * gb >= largest_gb)
    return next(larger, None)


def warning(job: Job, snapshots: Sequence[Snapshot]) -> str:
    """What people must know of this run's own snapshot if it has less than half the size of the
    newest one before it; empty if it has more. The next run compares with this one: told once."""
    mine = job.snapshot.image_id if job.snapshot else None
    good = (each for each in snapshots if each.is_available and not each.is_of_another)
    known = _sized(good)
    new, now_gb = next((pair for pair in known if pair[0].id == mine), (None, 0.0))
    if new is None:
        return ""
    # A second snapshot of this run, which should not be, is as small.
    earlier = [
        (snapshot.created, snapshot.id, gb)
        for snapshot, gb in known
        if (snapshot.created, snapshot.id) < (new.created, new.id)
        and snapshot.labels.get(LABEL_RUN_ID) != job.run.id
    ]
    if not earlier:
        return ""
    _, before, then_gb = max(earlier)
    if then_gb <= max(SMALL_GB, 2 * now_gb):
        return ""
    return (
        f"{now_gb:g} GB after {then_gb:g} GB (snapshot {before}): was the disk emptied? "
        "A larger one stays"
    )


def note(larger: Snapshot) -> str:
    """That it stays, why, and the event's field that lets it go: a result has room for no more."""
    return (
        f"snapshot {larger.id} ({larger.size_gb:g} GB) is kept, the rest is less than half as "
        "large; to let it go: accept_smaller"
    )


def _sized(snapshots: Iterable[Snapshot]) -> list[tuple[Snapshot, float]]:
    """Those whose sizes are known, with these."""
    return [(each, each.size_gb) for each in snapshots if each.size_gb is not None]
