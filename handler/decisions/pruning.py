"""What PruneSnapshots does with one complete listing of a server's snapshots, and why: pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from handler.decisions import gone_servers, heeding, other_versions, pacing, shrinking
from handler.decisions.pacing import Budget
from handler.decisions.planning import decisions_of
from handler.decisions.retention import Decision
from handler.documents.document import Wait
from handler.documents.errors import (
    HetznerError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    TransientError,
)
from handler.documents.job import Job
from handler.documents.resources import Server, Snapshot

PRUNE_MINUTES = 60
MISSING_MINUTES = 10
MORE_WENT = "more are gone than it saw deleted: its answer was lost, or somebody else did it"


@dataclass(frozen=True, slots=True)
class Seen:
    """What Hetzner listed of the server's snapshots, or why it is not known."""

    snapshots: tuple[Snapshot, ...] = ()
    error: HetznerError | None = None
    # This run's snapshot, requested by its id if it was missing from listings for long.
    unlisted: Snapshot | None = None
    vanished: bool = False  # it was asked for, and is gone
    # The server as it is now, asked for only before something is deleted; or why that is not known.
    server: Server | HetznerError | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a listing tells about this run's own snapshot."""

    kind: Literal["arrived", "early", "missing", "broken"]
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class Step:
    """The job on its way; or, with `delete`, what to delete first; or a question."""

    job: Job
    asks_labels: bool = False  # decide again once `Seen.server` is known
    decisions: tuple[Decision, ...] = ()  # made just now
    delete: tuple[int, ...] | None = None
    sizes: dict[int, float | None] = field(default_factory=dict)  # of these, in GB
    kept: int = 0
    notes: str = ""


@dataclass(slots=True)
class Deleted:
    """What became of the deletes: which went, which were gone already, which somebody has
    protected, what to try again and why, what was refused."""

    went: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    protected: list[int] = field(default_factory=list)
    failed: dict[int, HetznerError] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def begun(job: Job) -> Job:
    """The job with the deadline of its pruning, or of its snapshot if that is still to come."""
    job = other_versions.before_pruning(job)
    if job.status in ("due", "pruning") and job.deadline_s is not None:
        return job
    return job.with_deadline(job.run.snapshot_minutes if job.status == "due" else PRUNE_MINUTES)


def arrival_of(job: Job, snapshots: Sequence[Snapshot]) -> Arrival:
    """Whether this run's snapshot is available (arrived), still creating (early), not listed
    (missing), or in a state in which it will never be available (broken)."""
    image_id = job.snapshot.image_id if job.snapshot else None
    new = next((snapshot for snapshot in snapshots if snapshot.id == image_id), None)
    if new is None:
        return Arrival("missing", None)
    if new.is_available:
        return Arrival("arrived", new)
    return Arrival("early" if new.is_pending else "broken", new)


def missing_for_long(job: Job, snapshots: Sequence[Snapshot]) -> bool:
    """Whether this run's snapshot was missing for so long that it is requested by its id."""
    if job.status == "due" or job.run.dry_run or job.snapshot is None:
        return False
    is_missing = arrival_of(job, snapshots).kind == "missing"
    return is_missing and job.left_s <= 60 * (PRUNE_MINUTES - MISSING_MINUTES)


def twins(job: Job, snapshots: Sequence[Snapshot]) -> list[str]:
    """Other snapshots of this run. There should be none; if there are, none is deleted."""
    mine = job.snapshot.image_id if job.snapshot else None
    return [
        str(snapshot.id)
        for snapshot in snapshots
        if mine and job.run.made(snapshot) and snapshot.id != mine
    ]


def decide(job: Job, seen: Seen, jitter: float, now: datetime) -> Step:
    """The next step of a job that has observed what was seen; `now` is for snapshots' ages."""
    if seen.error:
        return Step(_after_error(job, seen.error, jitter))
    job = replace(job, unclear=False)  # what is gone now is counted by this listing
    if job.status == "due":
        arrival = arrival_of(job, seen.snapshots)
        if arrival.kind != "arrived":
            return Step(_not_yet(job, arrival, jitter))
        snapshot_s = job.stopwatch.elapsed_s - (job.waited_s or 0)
        job = replace(job, status="pruning", snapshot_s=snapshot_s).with_deadline(PRUNE_MINUTES)
    if not (job.snapshot or job.run.dry_run or job.run.prune_only or job.server.gone):
        return Step(job.moved_to("creating", other_versions.UNTOLD))
    if job.snapshot and not job.run.dry_run:
        arrival = arrival_of(job, seen.snapshots)
        new, available = arrival.snapshot, arrival.kind == "arrived"
        size_gb = new.size_gb if new else None
        job = replace(job, snapshot=replace(job.snapshot, available=available), size_gb=size_gb)
        if new is None:
            return Step(_missing(job, seen, jitter))
        if not available:
            return Step(_not_available(job, new, jitter))
    job = heeding.heeded(job, seen.server)
    problem = job.server.problem or other_versions.policy_problem(job)
    smaller = shrinking.warning(job, seen.snapshots)
    if reason := "; ".join(filter(None, [smaller, problem])):
        return Step(not_pruned(job, reason))
    if stays := heeding.why_all_stay(job, seen.server):
        return Step(_done(job, stays))
    if isinstance(seen.server, TransientError):
        wait = pacing.after_error(seen.server, job, jitter)
        return Step(_wait(job, str(seen.server), wait))
    if isinstance(seen.server, HetznerError) and not isinstance(seen.server, NotFound):
        return Step(not_pruned(job, str(seen.server)))
    step = _to_delete(job, seen.snapshots, jitter, now)
    asks = step.delete or (job.server.gone and job.run.dry_run)
    return Step(job, asks_labels=True) if asks and seen.server is None else step


def after_deleting(job: Job, step: Step, deleted: Deleted, jitter: float) -> Job:
    """The job at its end, or waiting to delete again what could not be deleted."""
    job = gone_servers.with_deleted(job, [step.sizes.get(id_) for id_ in deleted.went])
    job = _counted(replace(job, went=(*job.went, *deleted.went)), deleted.gone)
    if deleted.failed:
        errors = deleted.failed.items()
        reason = "; ".join(f"snapshot {id_} not deleted: {error}" for id_, error in errors)
        if any(isinstance(e, OutcomeUnknown) for _, e in errors):
            job = replace(job, unclear=True)
        limited = next((e for _, e in errors if isinstance(e, RateLimited)), None)
        if limited:
            return _wait(job, reason, pacing.after_error(limited, job, jitter))
        return _wait(job, reason, pacing.in_trouble(job.attempts, jitter))
    if deleted.refused:
        return not_pruned(job, "; ".join(deleted.refused))
    return _done(job, step.notes, step.kept + len(deleted.protected))


def _done(job: Job, notes: str, kept: int | None = None) -> Job:
    more = MORE_WENT if job.at_least else ""
    notes = "; ".join(filter(None, [gone_servers.told(job), notes, more]))
    only_pruned = job.run.prune_only or job.server.gone
    return job.done("pruned" if only_pruned else "available", notes, kept=kept)


def not_pruned(job: Job, reason: str) -> Job:
    """The end without pruning: the snapshot is there, and no old one is deleted."""
    job = replace(job, at_least=job.at_least or job.unclear)
    reason = "; ".join(filter(None, [reason, gone_servers.told(job)]))
    if job.run.dry_run or job.run.prune_only or job.server.gone:
        return job.done("failed", f"not pruned: {reason}")
    return job.done("available", f"made, not pruned: {reason}", pruned=False)


def _after_error(job: Job, error: HetznerError, jitter: float) -> Job:
    due = job.status == "due"
    if isinstance(error, TransientError):
        wait = pacing.after_error(error, job, jitter)
        if not due:
            return _wait(job, str(error), wait)
        # Past the deadline CheckSnapshot decides.
        return job.waiting("creating" if job.overdue else "due", str(error), wait)
    return job.moved_to("creating", str(error)) if due else not_pruned(job, str(error))


def _not_yet(job: Job, arrival: Arrival, jitter: float) -> Job:
    """Due, but not available: wait again. If it is lost, CheckSnapshot decides what to do."""
    now = job.stopwatch.now
    if arrival.snapshot is None or arrival.kind != "early" or not now:
        return job.moved_to("creating", "due, but not there")
    elapsed_s = arrival.snapshot.age_s(now)
    wait = pacing.while_creating(elapsed_s, job.looks, job.earlier_s, Budget.of(job), jitter)
    return job.creating(f"not done after {elapsed_s} s", wait)


def _missing(job: Job, seen: Seen, jitter: float) -> Job:
    """This run's snapshot is not in the listing: nothing is deleted, whatever the reason."""
    assert job.snapshot is not None
    image_id = job.snapshot.image_id
    reason = f"snapshot {image_id} is not among the server's labelled snapshots"
    if seen.vanished:
        return job.done("failed", f"snapshot {image_id} vanished.", f"To retry, {job.run_again}.")
    if seen.unlisted is None:
        return _wait(job, reason, pacing.in_trouble(job.attempts, jitter))
    if not seen.unlisted.is_available:
        return _not_available(job, seen.unlisted, jitter)
    return not_pruned(job, f"{reason}; were its labels taken off?")


def _not_available(job: Job, new: Snapshot, jitter: float) -> Job:
    """The action succeeded, but the snapshot is not available: nothing is deleted."""
    reason = f"snapshot {new.id} is {new.status}, though its action succeeded"
    if new.is_pending and not job.overdue:
        return _wait(job, reason, pacing.in_trouble(job.attempts, jitter))
    return job.done("failed", f"{reason}.", f"To look again, {job.run_again}.")


def _counted(job: Job, gone: Collection[int]) -> Job:
    """The job with what it has deleted for certain: what was answered so. Anything else that is
    gone may be a delete's whose answer was lost, or an attempt's that broke off, or somebody
    else's: then it is at least so many."""
    at_least = job.at_least or not set(gone) <= set(job.went)
    return replace(job, at_least=at_least)


def _to_delete(job: Job, snapshots: Sequence[Snapshot], jitter: float, now: datetime) -> Step:
    if not job.run.dry_run:
        known = {*job.before, *job.to_delete}
        job = _counted(job, known - {snapshot.id for snapshot in snapshots})
    decisions = decisions_of(job, snapshots, now)
    made: tuple[Decision, ...] = ()
    if not job.to_delete:
        # Decided once: if the answer to a delete is lost, a second decision could choose one more.
        made = tuple(decisions)
        job = replace(job, to_delete=tuple(d.snapshot.id for d in decisions if not d.keep))
        postponed = any(decision.kind == "postponed" for decision in decisions)
        stored = postponed or job.run.prune_only or job.server.gone
        if job.to_delete and stored and not job.run.dry_run:
            # A function that dies would decide again, too, so the decision is stored in the job
            # before anything is deleted. Where nothing is made what is gone is counted by it.
            reason = f"deletes {len(job.to_delete)} for now"
            return Step(job.moved_to("pruning", reason), decisions=made)
    notes = _notes(job, snapshots, decisions)
    kept = sum(d.keep and d.snapshot.status == "available" for d in decisions)
    sizes = {d.snapshot.id: d.snapshot.size_gb for d in decisions if d.snapshot.id in job.to_delete}
    if job.run.dry_run:
        planned = gone_servers.with_deleted(job, list(sizes.values()))
        notes = "; ".join(filter(None, [gone_servers.told(planned), notes]))
        return Step(planned.done("planned", notes, kept=kept), decisions=made)
    delete = [d.snapshot.id for d in decisions if not d.keep and d.snapshot.id in job.to_delete]
    wait = pacing.before_deleting(len(delete), Budget.of(job), jitter)
    if wait and not job.overdue:
        return Step(_wait(job, f"{len(delete)} to delete", wait), decisions=made)
    return Step(job, False, made, tuple(delete), sizes, kept, notes)


def _notes(job: Job, snapshots: Sequence[Snapshot], decisions: list[Decision]) -> str:
    """What people should know although nothing failed."""
    unavailable = [str(s.id) for s in snapshots if s.status == "unavailable"]
    also = twins(job, snapshots)
    protected = sum(decision.kind == "protected" for decision in decisions)
    postponed = sum(
        d.kind == "postponed" or not (d.keep or d.snapshot.id in job.to_delete) for d in decisions
    )
    larger = [d.snapshot for d in decisions if d.kind == "larger" and not job.server.gone]
    notes = [shrinking.note(snapshot) for snapshot in larger]
    notes += [job.reason] if job.run.dry_run and job.reason else []
    notes += [f"unavailable, of no use: snapshot {', '.join(unavailable)}"] if unavailable else []
    notes += [f"also of this run: snapshot {', '.join(also)}"] if also else []
    notes += [f"{protected} kept only by delete protection"] if protected else []
    if postponed:
        limit = f"at most {job.run.max_deletions} in one run"
        limit += ", its earlier executions included" if job.run.earlier_deletions else ""
        notes.append(f"{postponed} more to delete next time ({limit})")
    return "; ".join(notes)


def _wait(job: Job, reason: str, wait: Wait) -> Job:
    if job.overdue:
        return not_pruned(job, f"{reason} (tried for {PRUNE_MINUTES} min)")
    return job.waiting("pruning", reason, wait)
