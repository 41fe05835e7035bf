"""What CreateSnapshot does next for a server, and why: pure.

This is what makes exactly one snapshot for each server and run: only a snapshot with this run's
label counts as this run's, and a create is sent only when none was seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from handler.decisions import pacing
from handler.decisions.pacing import Budget
from handler.documents.document import Api, Look, Wait
from handler.documents.errors import (
    HetznerError,
    Locked,
    NotFound,
    OutcomeUnknown,
    QuotaReached,
    TransientError,
    Unauthorized,
)
from handler.documents.job import Job, StartedSnapshot
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_RUN_ID
from handler.documents.resources import Action, Snapshot

# Longer than a snapshot could stay unlisted, shorter than the time between two nights.
LISTED_WITHIN = timedelta(hours=1)
# A run that is resumed later waits for the lock first, and then finds its snapshot.
NOT_THIS_RUN = timedelta(hours=12)
# What Hetzner does for one request begins within so much time.
AT_ONCE = timedelta(minutes=1)
EARLIER = 5  # snapshots whose time tells what the next one takes

Kind = Literal["adopt", "watch", "wait", "skip", "fail", "plan", "create"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What Hetzner answered about a server, as far as it was asked; errors are part of it."""

    actions: tuple[Action, ...] = ()  # newest first
    actions_error: HetznerError | None = None  # why these are not known
    snapshots: tuple[Snapshot, ...] | None = None  # this run's; None: not looked for
    before: tuple[int, ...] = ()  # all of ours that are available, this run's or not
    error: HetznerError | None = None  # why the rest is not known
    created: StartedSnapshot | HetznerError | None = None  # the answer to the create, once sent

    @property
    def holder(self) -> Action | None:
        """The action that holds the server."""
        return next((action for action in self.actions if action.is_running), None)

    @property
    def usable(self) -> list[Snapshot]:
        """This run's snapshots that are, or may become, good: the one to adopt first."""
        return [s for s in self.snapshots or () if s.is_available or s.is_pending]

    @property
    def unused(self) -> list[Snapshot]:
        """This run's other snapshots. There should be none."""
        adopted = self.usable[:1]
        return [snapshot for snapshot in self.snapshots or () if snapshot not in adopted]


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, and the job after it; the job's reason is the decision's reason."""

    kind: Kind
    job: Job

    @property
    def reason(self) -> str:
        return self.job.result.reason if self.job.result else self.job.reason


def observed(job: Job, api: Api, seen: Seen) -> Job:
    """The state's input after this look. The first look sets the deadline for locks and outages."""
    looked = job.observed(api)
    if seen.actions:
        looked = replace(looked, earlier_s=_earlier(seen.actions))
    if job.lock_from_s is not None:
        locked_s = looked.stopwatch.elapsed_s - job.lock_from_s
        looked = replace(looked, lock_s=job.lock_s + locked_s, lock_from_s=None)
    first = looked.deadline_s is None
    return looked.with_deadline(job.run.lock_wait_minutes) if first else looked


def of_this_run(job: Job, snapshots: list[Snapshot]) -> tuple[Snapshot, ...]:
    """This run's snapshots. There should never be more than one."""
    return tuple(s for s in snapshots if s.labels.get(LABEL_RUN_ID) == job.run.id)


def is_ours(job: Job, snapshot: Snapshot) -> bool:
    """Whether we made this snapshot of this server, in any run."""
    made_by_us = snapshot.labels.get(LABEL_MANAGED_BY) == job.run.owner
    return made_by_us and snapshot.server_id == job.server.id


def lock_is_all(job: Job, seen: Seen) -> bool:
    """Whether the server is locked and no snapshot of this run can be there yet.

    If so, the server only waits and the snapshots are not listed. Before a create, a skip or the
    end they are always listed.
    """
    run = job.run
    if not seen.holder or run.on_locked == "skip" or run.dry_run:
        return False
    if job.maybe_posted or job.overdue:
        return False
    return not any(_made_within(action, job.stopwatch.now, NOT_THIS_RUN) for action in seen.actions)


def unlisted_images(job: Job, seen: Seen) -> Iterator[int]:
    """The ids of images that may be this run's snapshot although the listing lacks them."""
    for action in seen.actions:
        if _made_within(action, job.stopwatch.now, LISTED_WITHIN):
            yield from action.image_ids


def decide(job: Job, seen: Seen, jitter: float) -> Step:
    """The next step of a job that has observed what was seen."""
    if isinstance(seen.created, StartedSnapshot):
        # A snapshot that was adopted earlier has failed since.
        return _watch(replace(job, adopted=False), seen.created, "", jitter)
    if seen.created:
        return _not_created(job, seen.created, jitter)
    if seen.error:
        return _after_error(job, seen.error, jitter)
    if seen.holder and seen.snapshots is None:
        return _locked(job, f"locked by {seen.holder}", jitter, seen.holder)
    usable = seen.usable
    # An existing snapshot remains when its server is deleted, and needs none of its actions.
    settled = usable and (usable[0].is_available or isinstance(seen.actions_error, NotFound))
    if seen.actions_error and not settled:
        return _after_error(job, seen.actions_error, jitter)
    for snapshot in usable:
        if snapshot.is_available:
            return _adopt(job, snapshot.id)
        action = _action_of(snapshot, seen.actions)
        # An image that its failed action has left behind will never be available.
        if not (action and action.status == "error"):
            return _watch_adopted(job, snapshot.id, action, jitter)
    if seen.holder:
        return _locked(job, f"locked by {seen.holder}", jitter, seen.holder)
    if job.run.dry_run:
        return Step("plan", job.moved_to("planned", "would be made now"))
    if job.maybe_posted and (action := _unlisted_action(job, seen)):
        reason = f"the snapshot of {action} is not listed yet"
        return _wait(job, reason, pacing.in_trouble(job.attempts, jitter))
    # A free server gets its snapshot late rather than not at all, unless one may be there already.
    if job.overdue and job.maybe_posted:
        return _give_up(job, job.reason or "no time left to create a snapshot")
    return Step("create", job)


def _earlier(actions: tuple[Action, ...]) -> tuple[int, ...]:
    """How long the server's last snapshots took, ours and others."""
    made = [a for a in actions if a.command == "create_image" and a.status == "success"]
    return tuple(a.took_s for a in made[:EARLIER] if a.took_s is not None)


def _made_within(action: Action, now: datetime | None, limit: timedelta) -> bool:
    if action.command != "create_image" or action.status == "error":
        return False
    return bool(now and now - (action.started or now) < limit)


def _action_of(snapshot: Snapshot, actions: tuple[Action, ...]) -> Action | None:
    """The action that makes it: the one that names it, else the only one that can be it."""
    for action in actions:
        if snapshot.id in action.image_ids:
            return action
    found = [
        action
        for action in actions
        if action.command == "create_image" and not action.image_ids and action.started
        and abs(action.started - snapshot.created) <= AT_ONCE
    ]  # fmt: skip
    return found[0] if len(found) == 1 else None


def _unlisted_action(job: Job, seen: Seen) -> Action | None:
    """A create_image since this job's first look whose image is neither named nor listed."""
    now = job.stopwatch.now
    began = now and now - timedelta(seconds=job.stopwatch.elapsed_s) - AT_ONCE
    listed = [_action_of(snapshot, seen.actions) for snapshot in seen.snapshots or ()]
    for action in seen.actions:
        may_be_ours = _made_within(action, now, LISTED_WITHIN) and action not in listed
        if may_be_ours and not action.image_ids and began and (action.started or began) >= began:
            return action
    return None


def _adopt(job: Job, image_id: int) -> Step:
    waited_s = job.stopwatch.elapsed_s if job.waited_s is None else job.waited_s
    snapshot = StartedSnapshot(image_id, available=True)
    job = replace(job, snapshot=snapshot, waited_s=waited_s, adopted=True)
    reason = f"snapshot {image_id} of this run is there already"
    if job.run.dry_run:
        return Step("plan", job.moved_to("planned", reason))
    return Step("adopt", job.moved_to("available", reason))


def _watch_adopted(job: Job, image_id: int, action: Action | None, jitter: float) -> Step:
    started = StartedSnapshot(image_id, action.id if action else None)
    reason = f"snapshot {image_id} of this run was started by an earlier attempt"
    if job.run.dry_run:
        return Step("plan", replace(job, snapshot=started).moved_to("planned", reason))
    return _watch(replace(job, adopted=True), started, reason, jitter, _look_at(action, job))


def _look_at(action: Action | None, job: Job) -> Look | None:
    now = job.stopwatch.now
    return Look(action.age_s(now), action.progress) if action and now else None


def _watch(
    job: Job, started: StartedSnapshot, reason: str, jitter: float, look: Look | None = None
) -> Step:
    # Only the first create sets the deadline: all attempts share it.
    if not job.failed_actions:
        job = job.with_deadline(job.run.snapshot_minutes)
    looks = (look,) if look else ()
    waited_s = job.stopwatch.elapsed_s
    job = replace(job, snapshot=started, maybe_posted=True, waited_s=waited_s, looks=looks)
    elapsed_s = look.elapsed_s if look else 0
    wait = pacing.while_creating(elapsed_s, looks, job.earlier_s, Budget.of(job), jitter)
    return Step("watch", job.waiting("creating", reason, wait))


def _locked(job: Job, reason: str, jitter: float, holder: Action | None = None) -> Step:
    if job.run.dry_run and job.run.on_locked == "skip":
        return Step("plan", job.done("planned", f"{reason}; a run would skip it"))
    if job.run.dry_run:
        return Step("plan", job.moved_to("planned", f"{reason}; a run would wait for it"))
    # After a create of our own the holder may be our own create_image.
    ours = job.maybe_posted or (holder and not holder.image_ids and _made_within(
        holder, job.stopwatch.now, LISTED_WITHIN))  # fmt: skip
    if job.run.on_locked == "skip" and not ours:
        return Step("skip", job.done("skipped", reason))
    elapsed_s = job.stopwatch.elapsed_s
    wait = pacing.while_locked(elapsed_s, Budget.of(job), jitter, _look_at(holder, job))
    job = replace(job, lock_from_s=elapsed_s, lock=holder.command if holder else job.lock)
    return _wait(job, reason, wait)


def _not_created(job: Job, error: HetznerError, jitter: float) -> Step:
    match error:
        case Locked() if job.attempts == 1:
            # The server was locked after the look; the next look tells by which action.
            return _wait(job, str(error), pacing.while_locked(0, Budget.of(job), jitter))
        case Locked():
            return _locked(job, str(error), jitter)
        case OutcomeUnknown():
            # The next look tells whether it was created; it is taken even after the deadline.
            reason = f"no clear answer to the create: {error}"
            wait = pacing.in_trouble(job.attempts, jitter)
            job = replace(job, maybe_posted=True)
            return Step("wait", job.moved_to("waiting", reason, wait.seconds))
    return _after_error(job, error, jitter)


def _after_error(job: Job, error: HetznerError, jitter: float) -> Step:
    match error:
        case TransientError() if job.overdue:
            # Nothing was seen: an earlier attempt that was killed may have made a snapshot.
            return _give_up(job, str(error), "no snapshot confirmed")
        case TransientError():
            return _wait(job, str(error), pacing.after_error(error, job, jitter))
        case NotFound():
            return Step("skip", job.done("skipped", "the server was deleted during the run."))
        case Unauthorized():
            reason = f"{error}. Check or replace that token, then {job.run_again}."
        case QuotaReached():
            reason = (
                f"the account's limit of snapshots is reached: {error}. Delete snapshots that are "
                "no longer needed (perhaps of servers that no longer exist) or ask for more on the "
                f"console's Limits page, then {job.run_again}."
            )
        case _:
            reason = f"Hetzner refused: {error}. To retry, {job.run_again}."
    return Step("fail", job.done("failed", reason))


def _wait(job: Job, reason: str, wait: Wait) -> Step:
    if job.overdue:
        return _give_up(job, reason)
    return Step("wait", job.waiting("waiting", reason, wait))


def _give_up(job: Job, reason: str, made: str = "no snapshot made") -> Step:
    made = "no snapshot confirmed" if job.maybe_posted else made
    minutes = job.stopwatch.elapsed_s // 60
    reason = f"{made} after {minutes} min: {reason}. To retry, {job.run_again}."
    return Step("fail", job.done("failed", reason))
