"""CheckSnapshot: one look whether this run's snapshot of the server is available."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import pacing
from hetzner import Action, Hetzner, HetznerError, NotFound, Trouble
from job import Job, StartedSnapshot
from runtime import hetzner_for, job_from, logger, output_of

MOST_FAILED_ACTIONS = 5


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = job_from(event)
    return output_of(check_snapshot(job, hetzner_for(job.run.project), random.random))


def check_snapshot(job: Job, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    """The job still creating, with its snapshot available, waiting for another try, or failed."""
    if job.snapshot is None:
        raise ValueError("CheckSnapshot needs the snapshot that CreateSnapshot started")
    try:
        return _look(job, job.snapshot, hetzner, spread)
    except Trouble as trouble:
        job = job.after(hetzner)
        return _wait(job, str(trouble), pacing.in_trouble(job.attempts, spread()))
    except HetznerError as error:
        return job.after(hetzner).done("failed", f"{error}. {job.run_again}.")


def _look(
    job: Job, snapshot: StartedSnapshot, hetzner: Hetzner, spread: Callable[[], float]
) -> Job:
    action = _action(hetzner, snapshot)
    if action is None:
        return _look_at_image(job, snapshot, hetzner, spread)
    job = job.after(hetzner)
    match action.status:
        case "success":
            return _available(job, action.started, action.finished)
        case "error":
            return _failed_action(job, f"action {action.id} failed: {action.error}", spread)
        case _:
            return _creating(job, action.progress, spread)


def _action(hetzner: Hetzner, snapshot: StartedSnapshot) -> Action | None:
    """The action, None where it is unknown or has vanished."""
    if snapshot.action_id is None:
        return None
    try:
        return hetzner.action(snapshot.action_id)
    except NotFound:
        return None


def _look_at_image(
    job: Job, snapshot: StartedSnapshot, hetzner: Hetzner, spread: Callable[[], float]
) -> Job:
    try:
        image = hetzner.snapshot(snapshot.image_id)
    except NotFound:
        return _failed_action(job.after(hetzner), f"snapshot {snapshot.image_id} vanished", spread)
    job = job.after(hetzner)
    match image.status:
        case "available":
            return _available(job, None, None)
        case "creating":
            return _creating(job, 0, spread)
        case _:
            return _failed_action(job, f"snapshot {image.id} turned {image.status}", spread)


def _available(job: Job, started: datetime | None, finished: datetime | None) -> Job:
    seconds = job.watch.elapsed_s - (job.waited_s or 0)
    if started and finished:
        seconds = int((finished - started).total_seconds())
    job = replace(job, snapshot_s=max(0, seconds))
    image = job.snapshot.image_id if job.snapshot else "?"
    return job.going("available", f"snapshot {image}, after {job.snapshot_s} s")


def _creating(job: Job, progress: int, spread: Callable[[], float]) -> Job:
    elapsed_s = job.watch.elapsed_s - (job.waited_s or 0)
    return _wait(job, f"{progress} %", pacing.while_creating(elapsed_s, progress, spread()))


def _failed_action(job: Job, reason: str, spread: Callable[[], float]) -> Job:
    """Back to CreateSnapshot, which looks before it creates again; or the end."""
    job = replace(job, failed_actions=job.failed_actions + 1)
    if job.overdue or job.failed_actions >= MOST_FAILED_ACTIONS:
        return job.done("failed", f"{reason} (failed {job.failed_actions} times). {job.run_again}.")
    job = replace(job, snapshot=None)
    return job.going("waiting", reason, pacing.in_trouble(job.failed_actions, spread()))


def _wait(job: Job, reason: str, seconds: int) -> Job:
    if job.overdue:
        image = job.snapshot.image_id if job.snapshot else "?"
        return job.done(
            "failed",
            f"snapshot {image} is not available after {job.run.snapshot_minutes} min: {reason}. "
            f"It may still become so: {job.run_again} to take it over.",
        )
    return job.going("creating", reason, min(seconds, job.left_s))
