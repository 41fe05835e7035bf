"""CreateSnapshot: have exactly one snapshot of this server for this run.

Three requests where nothing is in the way: our snapshots of the server, its actions (who holds its
lock, what earlier snapshots took), the create. While another action holds the server one is enough.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import pacing
from hetzner import (
    Action,
    Busy,
    Hetzner,
    HetznerError,
    Locked,
    NotFound,
    QuotaReached,
    Snapshot,
    Trouble,
    Unauthorized,
    Unclear,
)
from job import LABEL_MANAGED_BY, LABEL_RUN_ID, Job, StartedSnapshot
from pacing import Look, Wait
from runtime import hetzner_for, job_from, logger, output_of

# Longer than a snapshot could stay unlisted, shorter than the time between two nights.
LISTED_WITHIN = timedelta(hours=1)
# A run that is resumed later waits for the lock first, and finds its snapshot then.
NOT_THIS_RUN = timedelta(hours=12)
EARLIER = 5  # snapshots whose time tells what the next one takes


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = job_from(event)
    return output_of(create_snapshot(job, hetzner_for(job.run.project, context), random.random))


def create_snapshot(job: Job, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    """The job with this run's snapshot creating or available, or waiting, or at its end."""
    if job.run.prune_only:
        return job.going("pruning")
    try:
        return _look_and_create(job, hetzner, spread)
    except Trouble as trouble:
        job = _after_look(job, hetzner)
        if job.overdue:
            # Nothing was seen: an attempt that died may have made one.
            return _give_up(job, str(trouble), "no snapshot confirmed")
        return _wait(job, str(trouble), job.again(isinstance(trouble, Busy), spread()))
    except NotFound:
        return _after_look(job, hetzner).done("skipped", "the server was deleted during the run.")
    except Unauthorized as error:
        reason = f"{error}. Check or replace that token, then {job.run_again}."
        return _after_look(job, hetzner).done("failed", reason)
    except QuotaReached as error:
        reason = (
            f"the account's limit of snapshots is reached: {error}. Delete snapshots that are no "
            "longer needed (perhaps of servers that no longer exist) or ask for more on the "
            f"console's Limits page, then {job.run_again}."
        )
        return _after_look(job, hetzner).done("failed", reason)
    except HetznerError as error:
        return _after_look(job, hetzner).done(
            "failed", f"Hetzner refused: {error}. To retry, {job.run_again}."
        )


def _look_and_create(job: Job, hetzner: Hetzner, spread: Callable[[], float]) -> Job:
    actions, unknown = _actions(job, hetzner)
    holder = next((action for action in actions if action.status == "running"), None)
    looked = replace(_after_look(job, hetzner), earlier_s=_earlier(actions))
    if holder and _says_all(actions, looked, hetzner):
        return _locked(looked, f"locked by {holder}", spread, holder)
    # An earlier attempt may have succeeded without us hearing of it.
    mine = _of_this_run(job, hetzner.snapshots(job.run.owner, job.server.id))
    settled = mine and (mine[0].status == "available" or isinstance(unknown, NotFound))
    if unknown and not settled:
        raise unknown
    mine = mine or _not_listed_yet(job, hetzner, actions)
    looked = replace(_after_look(job, hetzner), earlier_s=looked.earlier_s)
    for snapshot in mine:
        if snapshot.status == "available":
            return _adopt_available(looked, snapshot.id)
        action = next((a for a in actions if snapshot.id in a.image_ids), None)
        # An image that its failed action has left behind will never be available.
        if not (action and action.status == "error"):
            return _adopt_creating(looked, snapshot.id, action, spread)
    if holder:
        return _locked(looked, f"locked by {holder}", spread, holder)
    if job.run.dry_run:
        return looked.going("planned", "would be made now")
    # Free at last: late is better than not at all, unless one may be there already.
    if looked.overdue and looked.maybe_posted:
        return _give_up(looked, looked.reason or "no time left to create a snapshot")
    try:
        image_id, action_id = hetzner.create_snapshot(job.server, job.run)
    except Locked as error:
        # It came between the look and the create: the create decides, the next look tells who.
        if looked.attempts == 1:
            return _wait(looked, str(error), pacing.while_locked(0, looked.budget, spread()))
        return _locked(_after_look(job, hetzner), str(error), spread)
    except Unclear as unclear:
        # Created or not, the next look will tell; that look must not fall to the deadline.
        looked = replace(_after_look(job, hetzner), maybe_posted=True)
        wait = pacing.in_trouble(looked.attempts, spread())
        return looked.going("waiting", f"no clear answer to the create: {unclear}", wait.seconds)
    started = StartedSnapshot(image_id, action_id)
    looked = replace(_after_look(job, hetzner), earlier_s=looked.earlier_s, adopted=False)
    return _creating(looked, started, "", spread)


def _actions(job: Job, hetzner: Hetzner) -> tuple[list[Action], HetznerError | None]:
    """The server's newest actions; none, and why: a snapshot that is there outlives its server."""
    try:
        return hetzner.recent_actions(job.server.id), None
    except Busy:
        raise
    except HetznerError as error:
        return [], error


def _says_all(actions: list[Action], looked: Job, hetzner: Hetzner) -> bool:
    """Whether a lock is all there is to know: no snapshot of this run can be there.

    Only to wait: before a create, a skip or the end the snapshots are looked at, too.
    """
    run = looked.run
    if run.on_locked == "skip" or run.dry_run or looked.maybe_posted or looked.overdue:
        return False
    return not any(_made_lately(action, hetzner, NOT_THIS_RUN) for action in actions)


def _made_lately(action: Action, hetzner: Hetzner, within: timedelta) -> bool:
    if action.command != "create_image" or action.status == "error":
        return False
    return bool(hetzner.answered_at and hetzner.answered_at - action.started < within)


def _earlier(actions: list[Action]) -> tuple[int, ...]:
    """What the server's last snapshots took, whoever made them."""
    made = [a for a in actions if a.command == "create_image" and a.status == "success"]
    return tuple(a.took_s for a in made[:EARLIER] if a.took_s is not None)


def _after_look(job: Job, hetzner: Hetzner) -> Job:
    """The state's input after this look; the first look sets the deadline for locks and outages."""
    looked = job.after(hetzner)
    if job.lock_from_s is not None:
        locked_s = looked.watch.elapsed_s - job.lock_from_s
        looked = replace(looked, lock_s=job.lock_s + locked_s, lock_from_s=None)
    return looked if looked.give_up_s is not None else looked.allow(job.run.lock_wait_minutes)


def _of_this_run(job: Job, snapshots: list[Snapshot]) -> list[Snapshot]:
    """This run's snapshots, the one to adopt first. More than one should never be."""
    mine = [s for s in snapshots if s.labels.get(LABEL_RUN_ID) == job.run.id]
    usable = [snapshot for snapshot in mine if snapshot.status in ("available", "creating")]
    for snapshot in mine:
        if snapshot not in usable[:1]:
            logger.warning(
                f"{job.server.name}: snapshot {snapshot.id} of this run is {snapshot.status} and "
                "not used; look at it in the Hetzner console and delete it if nobody needs it",
                extra={"image_id": snapshot.id},
            )
    return usable


def _not_listed_yet(job: Job, hetzner: Hetzner, actions: list[Action]) -> list[Snapshot]:
    """This run's snapshot where the listing lags behind: what the newest create_image made."""
    for action in actions:
        if _made_lately(action, hetzner, LISTED_WITHIN):
            for image_id in action.image_ids:
                with suppress(NotFound):
                    snapshot = hetzner.snapshot(image_id)
                    is_ours = snapshot.labels.get(LABEL_MANAGED_BY) == job.run.owner
                    if is_ours and snapshot.server_id == job.server.id:
                        return _of_this_run(job, [snapshot])
    return []


def _adopt_available(job: Job, image_id: int) -> Job:
    waited_s = job.watch.elapsed_s if job.waited_s is None else job.waited_s
    snapshot = StartedSnapshot(image_id, available=True)
    job = replace(job, snapshot=snapshot, waited_s=waited_s, adopted=True)
    status = "planned" if job.run.dry_run else "available"
    return job.going(status, f"snapshot {image_id} of this run is there already")


def _adopt_creating(
    job: Job, image_id: int, action: Action | None, spread: Callable[[], float]
) -> Job:
    started = StartedSnapshot(image_id, action.id if action else None)
    reason = f"snapshot {image_id} of this run was started by an earlier attempt"
    if job.run.dry_run:
        return replace(job, snapshot=started).going("planned", reason)
    look = Look(action.age_s(job.watch.now), action.progress) if action and job.watch.now else None
    return _creating(replace(job, adopted=True), started, reason, spread, look)


def _creating(
    job: Job,
    started: StartedSnapshot,
    reason: str,
    spread: Callable[[], float],
    look: Look | None = None,
) -> Job:
    # Only the first create starts the clock: failed actions share one deadline.
    if not job.failed_actions:
        job = job.allow(job.run.snapshot_minutes)
    looks = (look,) if look else ()
    job = replace(
        job, snapshot=started, maybe_posted=True, waited_s=job.watch.elapsed_s, looks=looks
    )
    elapsed_s = look.elapsed_s if look else 0
    wait = pacing.while_creating(elapsed_s, looks, job.earlier_s, job.budget, spread())
    return job.going("creating", wait.because(reason), min(wait.seconds, job.left_s) or 1)


def _locked(
    job: Job, reason: str, spread: Callable[[], float], holder: Action | None = None
) -> Job:
    if job.run.dry_run and job.run.on_locked == "skip":
        return job.done("planned", f"{reason}; a run would skip it")
    if job.run.dry_run:
        return job.going("planned", f"{reason}; a run would wait for it")
    # After a create of our own the holder may be ourselves.
    if job.run.on_locked == "skip" and not job.maybe_posted:
        return job.done("skipped", reason)
    look = None
    if holder and job.watch.now:
        look = Look(holder.age_s(job.watch.now), holder.progress)
    wait = pacing.while_locked(job.watch.elapsed_s, job.budget, spread(), look)
    job = replace(job, lock_from_s=job.watch.elapsed_s, lock=holder.command if holder else job.lock)
    return _wait(job, reason, wait)


def _wait(job: Job, reason: str, wait: Wait) -> Job:
    if job.overdue:
        return _give_up(job, reason)
    return job.going("waiting", wait.because(reason), min(wait.seconds, job.left_s))


def _give_up(job: Job, reason: str, made: str = "no snapshot made") -> Job:
    made = "no snapshot confirmed" if job.maybe_posted else made
    minutes = job.watch.elapsed_s // 60
    return job.done("failed", f"{made} after {minutes} min: {reason}. To retry, {job.run_again}.")
