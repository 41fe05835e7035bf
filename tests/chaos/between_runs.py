"""What must hold between the executions of a night: each yields what is wrong."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from handler.documents.labels import LABEL_RUN_ID, LABEL_SERVER_ID
from local.virtual.cloud import Execution
from local.virtual.stage import Stage

# Two that are started at once do not see each other.
SEEN_SECONDS = 5
TAKEN_OVER = ("dry_run", "prune_only", "on_locked", "retention", "max_deletions")


def wrong_between(night: Stage) -> Iterator[str]:
    yield from _overlapping(night)
    yield from _too_many(night)
    yield from _resumed(night)


def _overlapping(night: Stage) -> Iterator[str]:
    """No run deletes what one has made that was running while it was."""
    for deletion in night.truth.deletions:
        by, run_id = deletion.by and deletion.by.execution, deletion.image.labels.get(LABEL_RUN_ID)
        server_id = int(deletion.image.labels.get(LABEL_SERVER_ID, "0"))
        for other in _of_run(night, run_id):
            if not _may_have_taken(night, other, server_id):
                continue
            ended = other.ended if other.status != "RUNNING" else night.loop.now
            if by and other is not by and other.started < deletion.at and ended > by.started:
                yield f"{by.name} deleted {deletion.image.id}, which {other.name} has made"


def _may_have_taken(night: Stage, execution: Execution, server_id: int) -> bool:
    """Whether the execution was for this server, or never said for which it was."""
    listings = [
        i.output["handed_out"]
        for i in night.cloud.invocations
        if i.execution is execution and i.function == "ListServers" and i.heard
    ]
    return not any(listings) or any(server_id in each for each in listings)


def _too_many(night: Stage) -> Iterator[str]:
    """All executions of a run together delete no more than it may."""
    count = Counter(
        (deletion.by.run_id or "", deletion.by.server_id)
        for deletion in night.truth.deletions
        if deletion.by
    )
    for (run_id, server_id), deleted in count.items():
        executions = _of_run(night, run_id)
        starts = sorted(execution.started for execution in executions)
        if any(b - a < SEEN_SECONDS for a, b in pairwise(starts)):
            continue
        most = max(execution.input["run"]["max_deletions"] for execution in executions)
        if deleted > most:
            yield f"run {run_id}: {deleted} deletions of server {server_id}, {most} are allowed"


def _resumed(night: Stage) -> Iterator[str]:
    """A resume is the run's first execution and what its own event says."""
    for execution in night.cloud.executions.values():
        event = execution.event
        if not event.get("run_id") or event.get("new"):
            continue
        first = _of_run(night, event["run_id"])[0].input
        asked, document = first["run"] | event, execution.input
        for name in TAKEN_OVER:
            if document["run"][name] != asked[name]:
                yield f"{execution.name}: {name} is {document['run'][name]}, not {asked[name]}"
        for name in ("servers", "label_selector"):
            if document["selection"][name] != event.get(name, first["selection"][name]):
                yield f"{execution.name}: {name} is {document['selection'][name]}"


def _of_run(night: Stage, run_id: str) -> list[Execution]:
    """The run's executions, in their order."""
    executions = night.cloud.executions.values()
    return [e for e in executions if e.input and e.input["run"]["id"] == run_id]
