"""What CreateSnapshot does next for a server, and why: pure.

This is what makes exactly one snapshot for each server and run: only a snapshot with this run's
label counts as this run's, and a create is sent only when none was seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from handler.decisions import locking, pacing
from handler.decisions.pacing import Budget
from handler.decisions.tracing import (
    CREATE_IMAGE,
    LISTED_WITHIN,
    action_of,
    made_within,
    unlisted_action,
)
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
from handler.documents.labels import LABEL_MANAGED_BY
from handler.documents.resources import Action, Snapshot

# While a server is locked, an older create_image is not taken for this run's. If the run is resumed
# so late, its snapshot is found when the lock is over.
NOT_THIS_RUN = timedelta(hours=12)
EARLIER = 5  # snapshots whose time tells what the next one takes

Kind = Literal["adopt", "watch", "wait", "skip", "fail", "plan", "create"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What Hetzner answered about a server, as far as it was asked; errors are part of it."""

    actions: tuple[Action, ...] = ()  # newest first
    actions_error: HetznerError | None = None  # why these are not known
    locked: bool | None = None  # whether Hetzner says so; None: not asked, or not told
    snapshots: tuple[Snapshot, ...] | None = None  # this run's; None: not looked for
    listed: tuple[Snapshot, ...] = ()  # all of ours of this server, this run's or not
    error: HetznerError | None = None  # why the rest is not known
    created: StartedSnapshot | HetznerError | None = None  # the answer to the create, once sent

    @property
    def makes_image(self) -> bool:
        """Whether a snapshot of it is being made, by whoever: beside it none is created."""
        return any(a.is_running and a.command == CREATE_IMAGE for a in self.actions)

    @property
    def held(self) -> bool:
        """Whether it is known without a create that none is possible now."""
        return self.makes_image or self.locked is True

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


def observed(job: Job, api: Api, seen: Seen) -> Job:
    """The state's input after this look. The first look sets the deadline for locks and outages."""
    looked = job.observed(api)
    if seen.actions:
        looked = replace(looked, earlier_s=_earlier(seen.actions))
    if seen.locked is False:
        running = {action.id for action in seen.actions if action.is_running}
        looked = replace(looked, harmless=tuple(sorted({*job.harmless, *running})))
    found = locking.holders(job, seen.actions) if seen.held else ()
    looked = locking.timed(job, looked, found, ours=bool(seen.usable))
    first = looked.deadline_s is None
    return looked.with_deadline(job.run.lock_wait_minutes) if first else looked


def of_this_run(job: Job, snapshots: list[Snapshot]) -> tuple[Snapshot, ...]:
    """This run's snapshots. There should never be more than one."""
    return tuple(snapshot for snapshot in snapshots if job.run.made(snapshot))


def is_ours(job: Job, snapshot: Snapshot) -> bool:
    """Whether we made this snapshot of this server, in any run."""
    made_by_us = snapshot.labels.get(LABEL_MANAGED_BY) == job.run.owner
    return made_by_us and snapshot.server_id == job.server.id


def lock_is_doubtful(job: Job, seen: Seen) -> bool:
    """Whether Hetzner is asked if the server is locked: the actions do not tell.

    Not where none is running: then the create tells, but for a dry run, which sends none. While
    an image is made it is waited for in any case, but not skipped.
    """
    if job.run.dry_run:
        return True
    if seen.makes_image:
        return job.run.on_locked == "skip"
    return any(action.is_running for action in seen.actions)


def lock_is_all(job: Job, seen: Seen) -> bool:
    """Whether the server is locked and no snapshot of this run can be there yet.

    If so, the server only waits and the snapshots are not listed. Before a create, a skip or the
    end they are always listed.
    """
    run = job.run
    if not seen.held or run.on_locked == "skip" or run.dry_run:
        return False
    if job.maybe_posted or job.overdue:
        return False
    return not any(made_within(action, job.stopwatch.now, NOT_THIS_RUN) for action in seen.actions)


def unlisted_images(job: Job, seen: Seen) -> Iterator[int]:
    """The ids of images that may be this run's snapshot although the listing lacks them."""
    for action in seen.actions:
        if made_within(action, job.stopwatch.now, LISTED_WITHIN):
            yield from action.image_ids


def decide(job: Job, seen: Seen, jitter: float) -> Step:
    """The next step of a job that has observed what was seen."""
    if isinstance(seen.created, StartedSnapshot):
        # Not adopted: if it was adopted once, that snapshot has failed since.
        return _watch(replace(job, adopted=False), seen.created, "", jitter)
    if seen.created:
        return _not_created(job, seen, seen.created, jitter)
    if seen.error:
        return _after_error(job, seen.error, jitter)
    usable = seen.usable
    # An existing snapshot remains when its server is deleted, and needs none of its actions.
    settled = usable and (usable[0].is_available or isinstance(seen.actions_error, NotFound))
    if seen.actions_error and not settled:
        return _after_error(job, seen.actions_error, jitter)
    for snapshot in usable:
        if snapshot.is_available:
            return _adopt(job, snapshot.id)
        action = action_of(snapshot, seen.actions)
        # An image that its failed action has left behind will never be available.
        if not (action and action.status == "error"):
            return _watch_adopted(job, snapshot.id, action, jitter)
    if seen.held:
        return _locked(job, seen, jitter)
    if job.run.dry_run:
        return Step("plan", job.moved_to("planned", "would be made now"))
    if job.maybe_posted and (action := unlisted_action(job, seen.actions, seen.listed)):
        reason = f"the snapshot of {action} is not listed yet"
        return _wait(job, reason, pacing.in_trouble(job.attempts, jitter))
    # After the deadline a server that is not locked still gets its snapshot, unless one may exist.
    if job.overdue and job.maybe_posted:
        return _give_up(job, job.reason or "no time left to create a snapshot")
    assert seen.snapshots is not None, "no create without a look before it"
    return Step("create", job)


def _earlier(actions: tuple[Action, ...]) -> tuple[int, ...]:
    """How long the server's last snapshots took, ours and others."""
    made = [a for a in actions if a.command == "create_image" and a.status == "success"]
    return tuple(a.took_s for a in made[:EARLIER] if a.took_s is not None)


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
    budget = Budget.of(job, started.action_id is not None)
    wait = pacing.while_creating(elapsed_s, looks, job.earlier_s, budget, jitter)
    return Step("watch", job.waiting("creating", reason, wait))


def _locked(job: Job, seen: Seen, jitter: float, refused: str = "") -> Step:
    """Hetzner says that it is locked, by `refused` to a create, or a snapshot of it is made."""
    found = locking.holders(job, seen.actions)
    reason = refused if refused and not found else locking.reason(found)
    if job.run.dry_run and job.run.on_locked == "skip":
        return Step("plan", job.done("planned", f"{reason}; a run would skip it"))
    if job.run.dry_run:
        return Step("plan", job.moved_to("planned", f"{reason}; a run would wait for it"))
    if job.run.on_locked == "skip" and (seen.locked or refused) and not _may_be_ours(job, found):
        return Step("skip", job.done("skipped", reason))
    elapsed_s = job.stopwatch.elapsed_s
    look = _look_at(found[0], job) if len(found) == 1 else None
    wait = pacing.while_locked(elapsed_s, Budget.of_both(job), jitter, look, job.left_s)
    job = replace(job, lock_from_s=elapsed_s, lock=locking.commands(found))
    return _wait(job, reason, wait)


def _may_be_ours(job: Job, found: tuple[Action, ...]) -> bool:
    """Whether the holder may be a create_image of our own."""
    now = job.stopwatch.now
    unnamed = [a for a in found if not a.image_ids and made_within(a, now, LISTED_WITHIN)]
    return job.maybe_posted or bool(unnamed)


def _not_created(job: Job, seen: Seen, error: HetznerError, jitter: float) -> Step:
    match error:
        case Locked() if job.attempts == 1 and not locking.holders(job, seen.actions):
            # The lock came after the look; the next look tells who holds it.
            job = replace(job, lock_from_s=job.stopwatch.elapsed_s, lock="")
            return _wait(job, str(error), pacing.while_locked(0, Budget.of_both(job), jitter))
        case Locked():
            return _locked(job, seen, jitter, refused=str(error))
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
            reason, advice = f"{error}.", f"Check or replace that token, then {job.run_again}."
        case QuotaReached():
            reason = f"the account's limit of snapshots is reached: {error}."
            advice = (
                "Delete snapshots that nobody needs or ask for more on the console's Limits page, "
                f"then {job.run_again}."
            )
        case _:
            reason, advice = f"Hetzner refused: {error}.", f"To retry, {job.run_again}."
            if error.code == "resource_locked":
                advice = f"Ask Hetzner's support. {advice}"
    return Step("fail", job.done("failed", reason, advice))


def _wait(job: Job, reason: str, wait: Wait) -> Step:
    if job.overdue:
        return _give_up(job, reason)
    return Step("wait", job.waiting("waiting", reason, wait))


def _give_up(job: Job, reason: str, made: str = "no snapshot made") -> Step:
    made = "no snapshot confirmed" if job.maybe_posted else made
    minutes = job.stopwatch.elapsed_s // 60
    reason = f"{made} after {minutes} min: {reason}."
    return Step("fail", job.done("failed", reason, f"To retry, {job.run_again}."))
