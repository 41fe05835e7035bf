"""PruneSnapshots: delete this server's snapshots that no retention rule keeps."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import pacing
from hetzner import Hetzner, HetznerError, NotFound, Protected, Snapshot, Trouble
from job import Job
from retention import Decision, parse_policy, plan
from runtime import hetzner_for, job_from, logger, output_of

PRUNE_MINUTES = 60
MISSING_MINUTES = 10
DELETES_AT_A_TIME = 4  # with the listing, all timing out, they fit the function's timeout


@dataclass(frozen=True, slots=True)
class PlannedSnapshot:
    """The snapshot a dry run would make, for planning as if it were there."""

    created: datetime
    id: int = 0
    status: str = "available"
    protected: bool = False


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = job_from(event)
    return output_of(prune_snapshots(job, hetzner_for(job.run.project), random.random))


def prune_snapshots(job: Job, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    """The job at its end, or pruning: still at it, after a wait."""
    if job.status != "pruning" or job.give_up_s is None:
        job = job.allow(PRUNE_MINUTES)
    try:
        return _prune(job, hetzner, spread)
    except Trouble as trouble:
        job = job.after(hetzner)
        return _wait(job, str(trouble), pacing.in_trouble(job.attempts, spread()))
    except HetznerError as error:
        return _not_pruned(job.after(hetzner), f"{error}")


def _prune(job: Job, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    snapshots = hetzner.snapshots(job.run.owner, job.server.id)
    job = job.after(hetzner)
    if job.snapshot and not job.run.dry_run:
        new = next((s for s in snapshots if s.id == job.snapshot.image_id), None)
        if new is None:
            return _missing(job, job.snapshot.image_id, hetzner, spread)
        if new.status == "creating":
            reason = f"snapshot {new.id} is still creating, though its action is done"
            return _wait(job, reason, pacing.in_trouble(job.attempts, spread()))
        if new.status != "available":
            return job.done("failed", f"snapshot {new.id} turned {new.status}. {job.run_again}.")
    if job.server.problem:
        return _not_pruned(job, job.server.problem)
    decisions = _decide(job, snapshots)
    for decision in decisions:
        _log(job, decision)
    kept = sum(d.keep and d.snapshot.status == "available" for d in decisions)
    doomed = [decision.snapshot.id for decision in decisions if not decision.keep]
    if job.run.dry_run:
        return replace(job, deleted=len(doomed)).done("planned", job.reason, kept=kept)
    return _delete(job, doomed, kept, hetzner, spread)


def _missing(job: Job, image_id: int, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    """This run's snapshot is not in the listing: nothing is deleted, whatever the reason."""
    started_s = (job.give_up_s or 0) - 60 * PRUNE_MINUTES
    reason = f"snapshot {image_id} is not among the server's labelled snapshots"
    if job.watch.elapsed_s < started_s + 60 * MISSING_MINUTES:
        return _wait(job, reason, pacing.in_trouble(job.attempts, spread()))
    try:
        image = hetzner.snapshot(image_id)
    except NotFound:
        return job.done("failed", f"snapshot {image_id} vanished. {job.run_again}.")
    if image.status != "available":
        return job.done("failed", f"snapshot {image_id} is {image.status}. {job.run_again}.")
    return _not_pruned(job, f"{reason}; were its labels taken off?")


def _decide(job: Job, snapshots: list[Snapshot]) -> list[Decision]:
    policy = parse_policy(job.server.retention or job.run.retention)
    planned = job.run.dry_run and not job.run.prune_only and job.snapshot is None
    # A dry run plans as if the new snapshot were there.
    new = [PlannedSnapshot(created=job.watch.now or datetime.now(UTC))] if planned else []
    return plan(policy, [*snapshots, *new])


def _delete(
    job: Job, doomed: list[int], kept: int, hetzner: Hetzner, spread: Callable[[], float]
) -> Job:
    troubles, refusals = [], []
    for image_id in doomed[:DELETES_AT_A_TIME]:
        try:
            hetzner.delete_snapshot(image_id)
            job = replace(job, deleted=job.deleted + 1)
        except NotFound:
            logger.info(f"{job.server.name}: snapshot {image_id} was gone already")
        except Trouble as trouble:
            troubles.append(f"snapshot {image_id} not deleted: {trouble}")
        except Protected:
            logger.info(f"{job.server.name}: snapshot {image_id} is protected now and stays")
            kept += 1
        except HetznerError as error:
            refusals.append(f"snapshot {image_id} not deleted: {error}")
    if troubles:
        return _wait(job, "; ".join(troubles), pacing.in_trouble(job.attempts, spread()))
    if refusals:
        return _not_pruned(job, "; ".join(refusals))
    if len(doomed) > DELETES_AT_A_TIME:
        return job.going("pruning", f"{len(doomed) - DELETES_AT_A_TIME} more to delete")
    return job.done("pruned" if job.run.prune_only else "available", kept=kept)


def _wait(job: Job, reason: str, seconds: int) -> Job:
    if job.overdue:
        return _not_pruned(job, f"{reason} (tried for {PRUNE_MINUTES} min)")
    return job.going("pruning", reason, min(seconds, job.left_s))


def _not_pruned(job: Job, reason: str) -> Job:
    """The end without pruning: the snapshot is there, what it was to replace stays."""
    if job.run.dry_run or job.run.prune_only:
        return job.done("failed", f"not pruned: {reason}")
    return job.done("available", f"made, not pruned: {reason}", pruned=False)


def _log(job: Job, decision: Decision) -> None:
    snapshot = decision.snapshot
    what = f"snapshot {snapshot.id}" if snapshot.id else "the new snapshot"
    would = "would " if job.run.dry_run else ""
    logger.info(
        f"{job.server.name}: {would}{'keep' if decision.keep else 'delete'} {what} "
        f"of {snapshot.created:%Y-%m-%d %H:%MZ}: {decision.reason}",
        extra={
            "decision": {
                "image_id": snapshot.id or None,
                "keep": decision.keep,
                "reason": decision.reason,
            }
        },
    )
