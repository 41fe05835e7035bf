"""What a look at this run's snapshot of a server means: pure."""

from dataclasses import dataclass, replace

from handler.decisions import pacing
from handler.decisions.pacing import Budget
from handler.documents.document import Look, Wait
from handler.documents.errors import HetznerError, TransientError
from handler.documents.job import Job
from handler.documents.resources import Action, Snapshot

MOST_FAILED_ACTIONS = 5
MOST_LOOKS = 6


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look returned: the action; or the image if the action is unknown or gone."""

    action: Action | None = None
    image: Snapshot | None = None  # no image, no action and no error: the image is gone
    error: HetznerError | None = None


def begun(job: Job) -> Job:
    """The job with a deadline for its snapshot, which another version may not have set."""
    return job if job.deadline_s is not None else job.with_deadline(job.run.snapshot_minutes)


def decide(job: Job, seen: Seen, jitter: float) -> Job:
    """The job: still creating, available, waiting for another create, or failed."""
    if isinstance(seen.error, TransientError):
        return _wait(job, str(seen.error), pacing.after_error(seen.error, job, jitter))
    if seen.error:
        return _give_up(job, f"{seen.error}.")
    if seen.action:
        action = seen.action
        match action.status:
            case "success":
                return _available(job, action)
            case "error":
                return _try_again(job, f"action {action.id} failed: {action.error}", jitter)
        return _creating(job, action, action.progress, jitter)
    if seen.image is None:
        image_id = job.snapshot.image_id if job.snapshot else 0
        return _try_again(job, f"snapshot {image_id} vanished", jitter)
    match seen.image.status:
        case "available":
            return _available(job, None)
        case "unavailable":
            return _try_again(job, f"snapshot {seen.image.id} turned unavailable", jitter)
    return _creating(job, seen.image, 0, jitter)


def _available(job: Job, action: Action | None) -> Job:
    assert job.snapshot is not None
    seconds = job.stopwatch.elapsed_s - (job.waited_s or 0)
    if action and action.took_s is not None:
        seconds = action.took_s
    snapshot = replace(job.snapshot, available=True)
    job = replace(job, snapshot=snapshot, snapshot_s=max(0, seconds))
    return job.moved_to("available", f"snapshot {snapshot.image_id}, after {job.snapshot_s} s")


def _creating(job: Job, since: Action | Snapshot, progress: int, jitter: float) -> Job:
    elapsed_s = job.stopwatch.elapsed_s - (job.waited_s or 0)
    if job.stopwatch.now:
        elapsed_s = since.age_s(job.stopwatch.now)
    looks = (*job.looks, Look(elapsed_s, progress))[-MOST_LOOKS:]
    budget = Budget.of(job, bool(job.snapshot and job.snapshot.action_id))
    wait = pacing.while_creating(elapsed_s, looks, job.earlier_s, budget, jitter)
    return _wait(replace(job, looks=looks), f"{progress} % after {elapsed_s} s", wait)


def _try_again(job: Job, reason: str, jitter: float) -> Job:
    """Back to CreateSnapshot, which looks before it creates again; past the deadline, failed."""
    job = replace(job, failed_actions=job.failed_actions + 1)
    if job.overdue or job.failed_actions >= MOST_FAILED_ACTIONS:
        times = f"failed {job.failed_actions} times"
        # The image that a failed action has left is of no use.
        job = replace(job, snapshot=None, maybe_posted=False)
        return job.done("failed", f"{reason} ({times}).", f"To retry, {job.run_again}.")
    wait = pacing.in_trouble(job.failed_actions, jitter)
    return replace(job, snapshot=None).moved_to("waiting", reason, wait.seconds)


def _wait(job: Job, reason: str, wait: Wait) -> Job:
    if job.overdue:
        minutes = job.run.snapshot_minutes
        return _give_up(job, f"not available after {minutes} min: {reason}.")
    return job.creating(reason, wait)


def _give_up(job: Job, reason: str) -> Job:
    image_id = job.snapshot.image_id if job.snapshot else 0
    may = f"Snapshot {image_id} may still become available; to take it over, {job.run_again}."
    return job.done("failed", reason, may)
