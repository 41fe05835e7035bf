"""CheckSnapshot: one look whether this run's snapshot of the server is available.

When that look says when it is done, no other follows: PruneSnapshots' listing is the next one.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import pacing
from hetzner import Action, Busy, Hetzner, HetznerError, NotFound, Snapshot, Trouble
from job import Job, StartedSnapshot
from pacing import Look, Wait
from runtime import hetzner_for, job_from, logger, output_of

MOST_FAILED_ACTIONS = 5
MOST_LOOKS = 6


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = job_from(event)
    return output_of(check_snapshot(job, hetzner_for(job.run.project, context), random.random))


def check_snapshot(job: Job, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    """The job still creating, with its snapshot available, waiting for another try, or failed."""
    if job.snapshot is None:
        raise ValueError("CheckSnapshot needs the snapshot that CreateSnapshot started")
    try:
        return _look(job, job.snapshot, hetzner, spread)
    except Trouble as trouble:
        job = job.after(hetzner)
        return _wait(job, str(trouble), job.again(isinstance(trouble, Busy), spread()))
    except HetznerError as error:
        return _give_up(job.after(hetzner), f"{error}.")


def _look(
    job: Job, snapshot: StartedSnapshot, hetzner: Hetzner, spread: Callable[[], float]
) -> Job:
    """One look at the action; at the image where the action is unknown or has vanished."""
    if snapshot.action_id is not None:
        with suppress(NotFound):
            action = hetzner.action(snapshot.action_id)
            job = job.after(hetzner)
            match action.status:
                case "success":
                    return _available(job, snapshot, action)
                case "error":
                    failed = f"action {action.id} failed: {action.error}"
                    return _try_again(job, failed, spread)
                case _:
                    return _creating(job, action, action.progress, spread)
    try:
        image = hetzner.snapshot(snapshot.image_id)
    except NotFound:
        return _try_again(job.after(hetzner), f"snapshot {snapshot.image_id} vanished", spread)
    job = job.after(hetzner)
    match image.status:
        case "available":
            return _available(job, snapshot, None)
        case "creating":
            return _creating(job, image, 0, spread)
        case _:
            return _try_again(job, f"snapshot {image.id} turned {image.status}", spread)


def _available(job: Job, snapshot: StartedSnapshot, action: Action | None) -> Job:
    seconds = job.watch.elapsed_s - (job.waited_s or 0)
    if action and action.took_s is not None:
        seconds = action.took_s
    job = replace(job, snapshot=replace(snapshot, available=True), snapshot_s=max(0, seconds))
    return job.going("available", f"snapshot {snapshot.image_id}, after {job.snapshot_s} s")


def _creating(
    job: Job, since: Action | Snapshot, progress: int, spread: Callable[[], float]
) -> Job:
    elapsed_s = job.watch.elapsed_s - (job.waited_s or 0)
    if job.watch.now:
        elapsed_s = since.age_s(job.watch.now)
    looks = (*job.looks, Look(elapsed_s, progress))[-MOST_LOOKS:]
    wait = pacing.while_creating(elapsed_s, looks, job.earlier_s, job.budget, spread())
    return _wait(replace(job, looks=looks), f"{progress} % after {elapsed_s} s", wait)


def _try_again(job: Job, reason: str, spread: Callable[[], float]) -> Job:
    """Back to CreateSnapshot, which looks before it creates again; or the end."""
    job = replace(job, failed_actions=job.failed_actions + 1)
    if job.overdue or job.failed_actions >= MOST_FAILED_ACTIONS:
        times = f"failed {job.failed_actions} times"
        # What a failed action leaves behind is no snapshot.
        job = replace(job, snapshot=None, maybe_posted=False)
        return job.done("failed", f"{reason} ({times}). To retry, {job.run_again}.")
    job = replace(job, snapshot=None)
    wait = pacing.in_trouble(job.failed_actions, spread())
    return job.going("waiting", reason, wait.seconds)


def _wait(job: Job, reason: str, wait: Wait) -> Job:
    if job.overdue:
        minutes = job.run.snapshot_minutes
        return _give_up(job, f"not available after {minutes} min: {reason}.")
    return job.creating(reason, wait)


def _give_up(job: Job, reason: str) -> Job:
    image_id = job.snapshot.image_id if job.snapshot else 0
    may = f"snapshot {image_id} may still become available; to take it over, {job.run_again}"
    # First, because a long reason is cut at its end.
    return job.done("failed", f"{may}: {reason}")
