"""What a run does with each snapshot of a server: the policy, and what other runs make. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from handler.decisions.orphans import plan_orphans
from handler.decisions.retention import Decision, plan
from handler.documents.document import parse_time
from handler.documents.job import Job
from handler.documents.labels import LABEL_RUN_ID
from handler.documents.policy import parse_policy
from handler.documents.resources import Snapshot

# An execution of the state machine ends after so long.
LONGEST_RUN = timedelta(days=7)
# Step Functions may list a run a little after its start.
LISTED_WITHIN = timedelta(minutes=1)


def decisions_of(job: Job, snapshots: Sequence[Snapshot], now: datetime) -> list[Decision]:
    """A decision for each of the server's snapshots, newest first."""
    decisions = (
        _of_gone(job, snapshots, now) if job.server.gone else _by_policy(job, snapshots, now)
    )
    return [decision if decision.keep else _spared(job, decision, now) for decision in decisions]


def _by_policy(job: Job, snapshots: Sequence[Snapshot], now: datetime) -> list[Decision]:
    mine = job.snapshot.image_id if job.snapshot else None
    # A dry run plans as if the new snapshot were there.
    planned = job.run.dry_run and not job.run.prune_only
    planned = planned and not any(s.id == mine and s.is_available for s in snapshots)
    new = [Snapshot(0, now)] if planned else []
    policy = parse_policy(job.server.retention or job.run.retention)
    most = job.run.most_deletions
    # A resume that makes snapshots may have been told to accept by the run that it resumes.
    accept = job.run.prune_only and job.run.accept_smaller
    return plan(policy, [*snapshots, *new], now=now, most_deletions=most, accept_smaller=accept)


def _of_gone(job: Job, snapshots: Sequence[Snapshot], now: datetime) -> list[Decision]:
    run, began = job.run, parse_time(job.run.began)
    # Ages decide here, so two looks must agree: one clock that is ahead deletes nothing too early.
    earlier = min(now, began) if began else now
    return plan_orphans(snapshots, run.orphan_days, earlier, run.most_deletions)


def _spared(job: Job, decision: Decision, now: datetime) -> Decision:
    """The decision to keep it after all if it is this run's, or one of another running run."""
    snapshot = decision.snapshot
    run_id = snapshot.labels.get(LABEL_RUN_ID)
    if run_id == job.run.id:
        return replace(decision, kind="exempt", reason="this run's")
    # By the earlier of two clocks: one that is ahead lets nothing go that is made beside this run.
    began = parse_time(job.run.earliest_began or job.run.began)
    others = job.run.concurrent_runs
    # If it is not known which runs are running, any run that is young enough may be.
    blind = began is None or others is None
    since = (began or now) - (LONGEST_RUN if blind else LISTED_WITHIN)
    if run_id in (others or ()):
        return replace(decision, kind="exempt", reason="of another run that is going on")
    if snapshot.created >= since:
        return replace(decision, kind="exempt", reason="of another run that may be going on")
    return decision
