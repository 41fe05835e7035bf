"""Disks that were emptied: a snapshot from before stays, and who has to be told is, nobody else."""

from collections.abc import Iterable, Iterator
from typing import Any

from handler.documents.labels import LABEL_RUN_ID
from local.simulator import Image
from local.virtual.cloud import Execution, Invocation
from local.virtual.stage import Stage
from local.virtual.truth import Deletion
from tests.chaos.gone import is_of_another

TOLD = " GB after "  # the end of a reason may be cut


def lost_to_small_ones(night: Stage) -> Iterator[str]:
    """Of all that a run deletes of a server at least half of the largest is still there."""
    if "image_size" in night.missing:
        return
    for execution in night.cloud.executions.values():
        run = execution.input["run"]
        mine = [d for d in night.truth.deletions if d.by and d.by.execution is execution]
        for server_id in {d.by.server_id for d in mine if d.by}:
            deletions = [d for d in mine if d.by and d.by.server_id == server_id]
            gone = {deletion.image.id for deletion in deletions}
            largest = max(deletion.image.image_size or 0.0 for deletion in deletions)
            accepted = run["prune_only"] and run["accept_smaller"]
            if accepted or largest <= 1:
                continue
            if not any(_is_large(i, largest) for i in _left(deletions[-1], gone)):
                yield f"{execution.name}: {sorted(gone)} deleted, nothing of {largest} GB left"


def _left(last: Deletion, gone: set[int]) -> Iterable[Image]:
    """What was left after the last deletion, or what the function saw just before: other people
    may have deleted it meanwhile."""
    seen = last.by.seen.get(last.by.server_id or 0, []) if last.by else []
    return [i for i in [*last.state, *seen] if i.id not in gone and i.status == "available"]


def _is_large(image: Image, largest: float) -> bool:
    # One that a trouble has made available has no size: nothing can be said of it.
    return image.image_size is None or 2 * image.image_size >= largest


def wrongly_told(night: Stage, execution: Execution) -> Iterator[str]:
    """The night a server's snapshot is less than half of the one before it, and only then."""
    for server_id, result in execution.results.items():
        made = isinstance(result, dict) and result.get("status") == "available"
        last = _last_look(night, execution, server_id)
        if not made or last is None or "image_size" in night.missing:
            continue
        told = TOLD in result.get("reason", "")
        small = _is_small(last.seen[server_id], result, execution)
        if told and not small:
            yield f"told to be emptied, and is not: {result}"
        # A look that failed, or found something else wrong, has said that.
        if small and result.get("pruned", True):
            yield f"emptied, and nobody is told: {result}"
        if told and result.get("deleted"):
            yield f"deleted in the night a disk was emptied: {result}"


def _last_look(night: Stage, execution: Execution, server_id: int) -> Invocation | None:
    looks = [
        invocation
        for invocation in night.cloud.invocations
        if invocation.execution is execution
        and invocation.function == "PruneSnapshots"
        and invocation.server_id == server_id
        and invocation.heard
        and server_id in invocation.seen
    ]
    return looks[-1] if looks else None


def _is_small(seen: list[Image], result: dict[str, Any], execution: Execution) -> bool:
    """By the true sizes, as they were when it listed them; those of others say nothing."""
    good = [i for i in seen if i.status == "available" and not is_of_another(i)]
    known = [i for i in good if i.image_size is not None]
    mine = [i for i in known if i.id == result.get("image_id")]
    run_id = execution.input["run"]["id"]
    earlier = [
        (i.created.replace(microsecond=0), i.id, i.image_size or 0.0)
        for i in known
        if i.labels.get(LABEL_RUN_ID) != run_id
        and mine
        and (i.created.replace(microsecond=0), i.id)
        < (mine[0].created.replace(microsecond=0), mine[0].id)
    ]
    size_gb = max(earlier)[2] if earlier else 0.0
    return size_gb > 1 and size_gb > 2 * (mine[0].image_size or 0.0)
