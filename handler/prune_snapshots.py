"""PruneSnapshots: delete this server's snapshots that no retention rule keeps.

One complete listing proves the new snapshot available and feeds the pruning. A snapshot that is
`due` is looked at by that listing alone, which saves every server a request and two transitions
(of about eight and fifteen); if it is not there yet, the look goes back to CheckSnapshot.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import pacing
from document import format_time, parse_time
from hetzner import Busy, Hetzner, HetznerError, Locked, NotFound, Protected, Snapshot, Trouble
from job import LABEL_RUN_ID, Job
from pacing import Wait
from retention import Decision, parse_policy, plan
from runtime import hetzner_for, job_from, logger, output_of

PRUNE_MINUTES = 60
MISSING_MINUTES = 10


@dataclass(frozen=True, slots=True)
class PlannedSnapshot:
    """The snapshot a dry run would make, for planning as if it were there."""

    created: datetime
    id: int = 0
    status: str = "available"
    protected: bool = False


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = job_from(event)
    return output_of(prune_snapshots(job, hetzner_for(job.run.project, context), random.random))


def prune_snapshots(job: Job, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    """The job at its end, pruning (still at it, after a wait), or creating (not there yet)."""
    due = job.status == "due"
    if not due and (job.status != "pruning" or job.give_up_s is None):
        job = job.allow(PRUNE_MINUTES)
    try:
        snapshots = hetzner.snapshots(job.run.owner, job.server.id)
        job = job.after(hetzner)
        if due:
            new = _new(job, snapshots)
            if not (new and new.is_available):
                return _early(job, new, spread)
            job, due = _arrived(job), False
        return _prune(job, snapshots, hetzner, spread)
    except Trouble as trouble:
        job = job.after(hetzner)
        wait = job.again(isinstance(trouble, Busy), spread())
        if not due:
            return _wait(job, str(trouble), wait)
        # CheckSnapshot knows what to say when time is up.
        status = "creating" if job.overdue else "due"
        return job.going(status, wait.because(str(trouble)), min(wait.seconds, job.left_s))
    except HetznerError as error:
        job = job.after(hetzner)
        return job.going("creating", str(error)) if due else _not_pruned(job, str(error))


def _new(job: Job, snapshots: list[Snapshot]) -> Snapshot | None:
    image_id = job.snapshot.image_id if job.snapshot else None
    return next((snapshot for snapshot in snapshots if snapshot.id == image_id), None)


def _early(job: Job, new: Snapshot | None, spread: Callable[[], float]) -> Job:
    """Due, but not available: waited for again; CheckSnapshot knows what became of a lost one."""
    if new is None or new.status != "creating" or not job.watch.now:
        return job.going("creating", "due, but not there")
    elapsed_s = new.age_s(job.watch.now)
    wait = pacing.while_creating(elapsed_s, job.looks, job.earlier_s, job.budget, spread())
    return job.creating(f"not done after {elapsed_s} s", wait)


def _arrived(job: Job) -> Job:
    job = replace(job, snapshot_s=job.watch.elapsed_s - (job.waited_s or 0))
    return job.allow(PRUNE_MINUTES)


def _prune(
    job: Job, snapshots: list[Snapshot], hetzner: Hetzner, spread: Callable[[], float]
) -> Job:
    for twin in _twins(job, snapshots):
        logger.warning(f"{job.server.name}: snapshot {twin} is of this run too; delete one by hand")
    if job.snapshot and not job.run.dry_run:
        image_id, new = job.snapshot.image_id, _new(job, snapshots)
        available = new is not None and new.is_available
        size_gb = new.size_gb if new else None
        job = replace(job, snapshot=replace(job.snapshot, available=available), gb=size_gb)
        if new is None:
            return _missing(job, image_id, hetzner, spread)
        if not new.is_available:
            return _not_available(job, new, spread)
    if job.server.problem:
        return _not_pruned(job, job.server.problem)
    decisions = _decide(job, snapshots)
    if not job.doomed:
        for decision in decisions:
            _log(job, decision)
        # Decided once: a delete whose answer was lost must not make room for another one.
        job = replace(job, doomed=tuple(d.snapshot.id for d in decisions if not d.keep))
        postponed = any(decision.kind == "postponed" for decision in decisions)
        if job.doomed and postponed and not job.run.dry_run:
            # Nor must a function that dies: what was decided is kept before anything is deleted.
            return job.going("pruning", f"deletes {len(job.doomed)} for now")
    notes = _notes(job, snapshots, decisions)
    kept = sum(d.keep and d.snapshot.status == "available" for d in decisions)
    if job.run.dry_run:
        return replace(job, deleted=len(job.doomed)).done("planned", notes, kept=kept)
    listed = {snapshot.id for snapshot in snapshots}
    doomed = [d.snapshot.id for d in decisions if not d.keep and d.snapshot.id in job.doomed]
    wait = pacing.before_deleting(len(doomed), job.budget, spread())
    if wait and not job.overdue:
        return _wait(job, f"{len(doomed)} to delete", wait)
    deleted, troubles, refusals = _delete(job, doomed, hetzner)
    job = replace(job, deleted=deleted + len(set(job.doomed) - listed))
    if troubles:
        said = "; ".join(f"snapshot {id_} not deleted: {troubles[id_]}" for id_ in troubles)
        job = job.after(hetzner)
        refused = any(isinstance(trouble, Busy) for trouble in troubles.values())
        return _wait(job, said, job.again(refused, spread()))
    if refusals:
        return _not_pruned(job, "; ".join(refusals))
    return job.done("pruned" if job.run.prune_only else "available", notes, kept=kept)


def _missing(job: Job, image_id: int, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    """This run's snapshot is not in the listing: nothing is deleted, whatever the reason."""
    started_s = (job.give_up_s or 0) - 60 * PRUNE_MINUTES
    reason = f"snapshot {image_id} is not among the server's labelled snapshots"
    if job.watch.elapsed_s < started_s + 60 * MISSING_MINUTES:
        return _wait(job, reason, pacing.in_trouble(job.attempts, spread()))
    try:
        image = hetzner.snapshot(image_id)
    except NotFound:
        return job.done("failed", f"snapshot {image_id} vanished. To retry, {job.run_again}.")
    if not image.is_available:
        return _not_available(job, image, spread)
    return _not_pruned(job, f"{reason}; were its labels taken off?")


def _not_available(job: Job, new: Snapshot, spread: Callable[[], float]) -> Job:
    """The action was done, the snapshot is not: nothing is deleted, and perhaps nothing made."""
    reason = f"snapshot {new.id} is {new.status}, though its action succeeded"
    if new.status == "creating" and not job.overdue:
        return _wait(job, reason, pacing.in_trouble(job.attempts, spread()))
    return job.done("failed", f"{reason}. To look again, {job.run_again}.")


def _decide(job: Job, snapshots: list[Snapshot]) -> list[Decision]:
    now = job.watch.now or datetime.now(UTC)
    mine = job.snapshot.image_id if job.snapshot else None
    # A dry run plans as if the new snapshot were there.
    planned = job.run.dry_run and not job.run.prune_only
    planned = planned and not any(s.id == mine and s.is_available for s in snapshots)
    new = [PlannedSnapshot(created=now)] if planned else []
    policy = parse_policy(job.server.retention or job.run.retention)
    most = job.run.max_deletions
    decisions = plan(policy, [*snapshots, *new], now=now, most_deletions=most)
    return [decision if decision.keep else _spared(job, decision, now) for decision in decisions]


def _spared(job: Job, decision: Decision, now: datetime) -> Decision:
    """Kept all the same: what runs that are going on have made, this one first of all."""
    snapshot = decision.snapshot
    run_id = snapshot.labels.get(LABEL_RUN_ID) if isinstance(snapshot, Snapshot) else None
    if run_id == job.run.id:
        return replace(decision, kind="exempt", reason="this run's")
    began = parse_time(job.run.began) or now - timedelta(seconds=job.watch.elapsed_s)
    if run_id in job.run.others or snapshot.created >= began:
        return replace(decision, kind="exempt", reason="of another run that is going on")
    return decision


def _delete(
    job: Job, doomed: list[int], hetzner: Hetzner
) -> tuple[int, dict[int, HetznerError], list[str]]:
    """How many went, what to try again and why, what Hetzner refused.

    One that fails stops no other, unless there are no requests left.
    """
    deleted = 0
    troubles: dict[int, HetznerError] = {}
    refusals = []
    for image_id in doomed:
        try:
            hetzner.delete_snapshot(image_id)
            logger.info(
                f"{job.server.name}: snapshot {image_id} deleted", extra={"deleted": image_id}
            )
            deleted += 1
        except NotFound:
            logger.info(f"{job.server.name}: snapshot {image_id} was gone already")
            deleted += 1
        except Busy as busy:
            troubles[image_id] = busy
            break
        except (Trouble, Locked) as trouble:
            troubles[image_id] = trouble
        except Protected:
            logger.warning(f"{job.server.name}: snapshot {image_id} is protected now and stays")
        except HetznerError as error:
            refusals.append(f"snapshot {image_id} not deleted: {error}")
    return deleted, troubles, refusals


def _notes(job: Job, snapshots: list[Snapshot], decisions: list[Decision]) -> str:
    """What a person should know though nothing failed."""
    unavailable = [str(s.id) for s in snapshots if s.status == "unavailable"]
    twins = _twins(job, snapshots)
    protected = sum(decision.kind == "protected" for decision in decisions)
    postponed = sum(
        d.kind == "postponed" or not (d.keep or d.snapshot.id in job.doomed) for d in decisions
    )
    notes = [job.reason] if job.run.dry_run else []
    notes += [f"unavailable, of no use: snapshot {', '.join(unavailable)}"] if unavailable else []
    notes += [f"also of this run: snapshot {', '.join(twins)}"] if twins else []
    notes += [f"{protected} kept only by delete protection"] if protected else []
    if postponed:
        limit = f"at most {job.run.max_deletions} in one run"
        notes.append(f"{postponed} more to delete next time ({limit})")
    return "; ".join(notes)


def _twins(job: Job, snapshots: list[Snapshot]) -> list[str]:
    """Other snapshots of this run: there should be none, and none is deleted for it."""
    mine = job.snapshot.image_id if job.snapshot else None
    return [
        str(snapshot.id)
        for snapshot in snapshots
        if mine and snapshot.labels.get(LABEL_RUN_ID) == job.run.id and snapshot.id != mine
    ]


def _wait(job: Job, reason: str, wait: Wait) -> Job:
    if job.overdue:
        return _not_pruned(job, f"{reason} (tried for {PRUNE_MINUTES} min)")
    return job.going("pruning", wait.because(reason), min(wait.seconds, job.left_s))


def _not_pruned(job: Job, reason: str) -> Job:
    """The end without pruning: the snapshot is there, what it was to replace stays."""
    if job.run.dry_run or job.run.prune_only:
        return job.done("failed", f"not pruned: {reason}")
    return job.done("available", f"made, not pruned: {reason}", pruned=False)


def _log(job: Job, decision: Decision) -> None:
    snapshot = decision.snapshot
    what = f"snapshot {snapshot.id}" if snapshot.id else "the new snapshot"
    would = "would " if job.run.dry_run else "" if decision.keep else "to "
    logger.info(
        f"{job.server.name}: {would}{'keep' if decision.keep else 'delete'} {what} "
        f"of {snapshot.created:%Y-%m-%d %H:%MZ}: {decision.reason}",
        extra={
            "decision": {
                "image_id": snapshot.id or None,
                "created": format_time(snapshot.created),
                "keep": decision.keep,
                "reason": decision.reason,
            }
        },
    )
