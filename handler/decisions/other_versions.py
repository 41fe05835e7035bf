"""What to do with a job that another version of ours has written: look again. Pure."""

from dataclasses import replace

from handler.decisions import pacing
from handler.documents.job import Job
from handler.documents.policy import BadPolicy, parse_policy

UNTOLD = "which snapshot was started is not told"


def without_snapshot(job: Job, jitter: float) -> Job:
    """The job for CreateSnapshot, which looks for the snapshot as after a create without an
    answer."""
    wait = pacing.in_trouble(job.attempts, jitter)
    return replace(job, maybe_posted=True).moved_to("waiting", UNTOLD, wait.seconds)


def before_pruning(job: Job) -> Job:
    """The job with a status that PruneSnapshots knows: by one that it does not know the snapshot
    may still be creating, and the listing tells."""
    if job.status in ("available", "due", "planned", "pruning"):
        return job
    status = "planned" if job.run.dry_run else "pruning" if job.run.prune_only else "due"
    return replace(job, status=status)


def policy_problem(job: Job) -> str:
    """Why the policy, which was checked when the run began, is not to be read; empty if it is."""
    try:
        parse_policy(job.server.retention or job.run.retention)
    except BadPolicy as error:
        return f"its retention policy: {error}"
    return ""
