"""CreateSnapshot: have exactly one snapshot of this server for this run."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import pacing
from hetzner import (
    Action,
    Hetzner,
    HetznerError,
    Locked,
    NotFound,
    QuotaReached,
    Snapshot,
    Trouble,
    Unauthorized,
)
from job import LABEL_RUN_ID, Job, StartedSnapshot
from runtime import hetzner_for, job_from, logger, output_of


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = job_from(event)
    return output_of(create_snapshot(job, hetzner_for(job.run.project), random.random))


def create_snapshot(job: Job, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    """The job with this run's snapshot creating or available, or waiting, or at its end."""
    if job.run.prune_only:
        return job.going("pruning")
    try:
        return _look_and_create(job, hetzner, spread)
    except Trouble as trouble:
        job = _looked(job, hetzner)
        return _wait(job, str(trouble), pacing.in_trouble(job.attempts, spread()))
    except NotFound:
        return _looked(job, hetzner).done("skipped", "the server was deleted during the run")
    except Unauthorized as error:
        reason = f"{error}. Check or replace that token. {job.run_again}."
        return _looked(job, hetzner).done("failed", reason)
    except QuotaReached as error:
        reason = (
            f"the account's limit of snapshots is reached: {error}. Delete snapshots that are no "
            f"longer needed or ask for more on the console's Limits page. {job.run_again}."
        )
        return _looked(job, hetzner).done("failed", reason)
    except HetznerError as error:
        return _looked(job, hetzner).done("failed", f"Hetzner refused: {error}.")


def _look_and_create(job: Job, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    # An earlier attempt may have succeeded without us hearing of it.
    snapshots = hetzner.snapshots(job.run.owner, job.server.id)
    actions = hetzner.recent_actions(job.server.id)
    mine = [s for s in snapshots if s.labels.get(LABEL_RUN_ID) == job.run.id]
    looked = _looked(job, hetzner)
    if adopted := _adopt(looked, mine, actions, spread):
        return adopted
    holder = next((action for action in actions if action.status == "running"), None)
    if holder:
        return _locked(looked, f"locked by {holder}", spread)
    if job.run.dry_run:
        return looked.going("planned", "would be made now")
    if looked.overdue:
        return _give_up(looked, looked.reason or "no time left to create a snapshot")
    try:
        image_id, action_id = hetzner.create_snapshot(job.server, job.run)
    except Locked as error:
        # It came between the look and the create: the create decides.
        return _locked(_looked(job, hetzner), str(error), spread)
    except Trouble as trouble:
        # Created or not, the next look will tell; that look must not fall to the deadline.
        looked = replace(_looked(job, hetzner), posted=True)
        return looked.going(
            "waiting",
            f"no clear answer to the create, looking again: {trouble}",
            pacing.in_trouble(looked.attempts, spread()),
        )
    return _creating(_looked(job, hetzner), StartedSnapshot(image_id, action_id), "", 0, spread)


def _looked(job: Job, hetzner: Hetzner) -> Job:
    """The job after this look; the first one sets the deadline for locks and outages."""
    looked = job.after(hetzner)
    return looked if looked.give_up_s is not None else looked.allow(job.run.lock_wait_minutes)


def _adopt(
    job: Job, mine: list[Snapshot], actions: list[Action], spread: Callable[[], float]
) -> Job | None:
    """The job with the snapshot that this run has already, if it has one."""
    good = [snapshot for snapshot in mine if snapshot.status in ("available", "creating")]
    for snapshot in mine:
        if snapshot not in good[:1]:
            logger.warning(
                f"{job.server.name}: snapshot {snapshot.id} of this run is {snapshot.status} and "
                "not used; look at it in the Hetzner console and delete it if nobody needs it",
                extra={"image_id": snapshot.id},
            )
    if not good:
        return None
    snapshot = good[0]
    action_id = next((a.id for a in actions if snapshot.id in a.image_ids), None)
    started = StartedSnapshot(snapshot.id, action_id)
    if snapshot.status == "creating" and not job.run.dry_run:
        return _creating(job, started, "found, started by an earlier attempt", 0, spread)
    job = replace(job, snapshot=started, waited_s=job.watch.elapsed_s)
    status = "planned" if job.run.dry_run else "available"
    return job.going(status, f"snapshot {snapshot.id} of this run is there already")


def _creating(
    job: Job, started: StartedSnapshot, reason: str, progress: int, spread: Callable[[], float]
) -> Job:
    # Only the first create starts the clock: failed actions share one deadline.
    if not job.failed_actions:
        job = job.allow(job.run.snapshot_minutes)
    job = replace(job, snapshot=started, posted=True, waited_s=job.watch.elapsed_s)
    return job.going("creating", reason, pacing.while_creating(0, progress, spread()))


def _locked(job: Job, reason: str, spread: Callable[[], float]) -> Job:
    if job.run.dry_run:
        verb = "wait for it" if job.run.on_locked == "wait" else "skip it"
        return job.going("planned", f"{reason}; a run would {verb}")
    # After a create of our own the holder may be ourselves.
    if job.run.on_locked == "skip" and not job.posted:
        return job.done("skipped", reason)
    return _wait(job, reason, pacing.while_locked(job.watch.elapsed_s, spread()))


def _wait(job: Job, reason: str, seconds: int) -> Job:
    if job.overdue:
        return _give_up(job, reason)
    return job.going("waiting", reason, min(seconds, job.left_s))


def _give_up(job: Job, reason: str) -> Job:
    made = "no snapshot confirmed" if job.posted else "no snapshot made"
    minutes = job.watch.elapsed_s // 60
    return job.done("failed", f"{made} after {minutes} min: {reason}. {job.run_again}.")
