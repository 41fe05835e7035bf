"""Which actions may have made which snapshots: pure. Hetzner's actions may name only the server."""

from datetime import datetime, timedelta

from handler.documents.job import Job
from handler.documents.resources import Action, Snapshot

CREATE_IMAGE = "create_image"
# Longer than a snapshot could stay unlisted, shorter than the time between two nights.
LISTED_WITHIN = timedelta(hours=1)
# An action and its image, made by one request, have times that differ by no more than this.
AT_ONCE = timedelta(minutes=1)


def made_within(action: Action, now: datetime | None, limit: timedelta) -> bool:
    if action.command != CREATE_IMAGE or action.status == "error":
        return False
    return bool(now and now - (action.started or now) < limit)


def action_of(snapshot: Snapshot, actions: tuple[Action, ...]) -> Action | None:
    """The action that makes it: the one that names it, else the only one that can be it."""
    for action in actions:
        if snapshot.id in action.image_ids:
            return action
    found = [
        action
        for action in actions
        if action.command == CREATE_IMAGE and not action.image_ids and action.started
        and abs(action.started - snapshot.created) <= AT_ONCE
    ]  # fmt: skip
    return found[0] if len(found) == 1 else None


def unlisted_action(
    job: Job, actions: tuple[Action, ...], snapshots: tuple[Snapshot, ...]
) -> Action | None:
    """A create_image since this job's first look whose image is neither named nor listed."""
    now = job.stopwatch.now
    began = now and now - timedelta(seconds=job.stopwatch.elapsed_s) - AT_ONCE
    listed = [action_of(snapshot, actions) for snapshot in snapshots]
    for action in actions:
        may_be_ours = made_within(action, now, LISTED_WITHIN) and action not in listed
        if may_be_ours and not action.image_ids and began and (action.started or began) >= began:
            return action
    return None
