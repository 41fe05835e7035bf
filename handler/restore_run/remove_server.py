"""RemoveServer: the one place that deletes a server, and only this restore's own copy.

What may be deleted is decided by an answer just read. It is removed when it is seen to be gone, by
a token that still sees its project.
"""

import random
from contextlib import suppress
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import log_restore, logger, restore_output
from handler.aws.runtime import hetzner_for
from handler.decisions import clearing, marking
from handler.decisions.clearing import Seen
from handler.documents.copies import Copy
from handler.documents.errors import HetznerError, NotFound
from handler.documents.restore import Restore
from handler.hetzner.api import Hetzner
from handler.hetzner.copies import Copies


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    restore = Restore.from_dict(event)
    log_restore(restore, event)
    hetzner = hetzner_for(restore.run.project, context)
    return restore_output(remove_server(restore, hetzner, random.random()))


def remove_server(restore: Restore, hetzner: Hetzner, jitter: float) -> Restore:
    """The restore at its end, or removing: it goes on after a wait."""
    assert not restore.keep, "what a person asked to keep is never removed"
    copies = Copies(hetzner)
    seen = gather(restore, copies)
    step = clearing.decide(clearing.begun(restore.observed(hetzner)), seen, jitter)
    if step.kind == "delete":
        step = clearing.after_delete(step.restore, delete(step.restore, copies), jitter)
    if step.kind == "end":
        mark(step.restore, copies)
    return step.restore


def mark(restore: Restore, copies: Copies) -> None:
    """Writes on the snapshot that its server was drilled, if that is not there yet, and hands it to
    a newer one. Never raises Hetzner's errors: the drill has ended all the same."""
    now = restore.stopwatch.now
    if now is None or restore.run.sweep:  # a sweep drills nothing
        return
    if ours := marking.marks_at_end(restore, now):
        write(restore.source.image_id, ours, copies)
    try:
        listed = copies.hetzner.snapshots(restore.run.owner, restore.server.id)
    except HetznerError as error:
        logger.warning(f"Whether there is a newer snapshot is not known: {error}")
        return
    if newest := marking.for_newest(restore, now, listed):
        write(*newest, copies)


def write(image_id: int, ours: dict[str, str], copies: Copies) -> None:
    try:
        copies.change_labels(image_id, lambda labels: marking.marked(labels, ours))
    except HetznerError as error:
        logger.warning(f"That it was drilled could not be written on snapshot {image_id}: {error}")


def gather(restore: Restore, copies: Copies) -> Seen:
    """The copy, or that there is none. Never raises Hetzner's errors."""
    try:
        if copy := _copy(restore, copies):
            return Seen(copy)
        return Seen(sees_project=_sees_project(restore, copies))
    except HetznerError as error:
        return Seen(error=error)


def _copy(restore: Restore, copies: Copies) -> Copy | None:
    if restore.copy_id is None:
        return copies.find_copy(restore.copy_name)
    try:
        return copies.copy(restore.copy_id)
    except NotFound:
        return None


def _sees_project(restore: Restore, copies: Copies) -> bool:
    """Whether the token still sees this project: our firewall there, the delete, or a snapshot.

    Their ids are no other project's; their names may be.
    """
    if restore.remove_action is not None:
        with suppress(NotFound):
            copies.hetzner.action(restore.remove_action)
            return True
    if restore.firewall_id is not None:
        with suppress(NotFound):
            copies.firewall(restore.firewall_id)
            return True
    with suppress(NotFound):
        copies.hetzner.snapshot(restore.source.image_id)
        return True
    return bool(copies.hetzner.snapshots(restore.run.owner, restore.server.id))


def delete(restore: Restore, copies: Copies) -> int | HetznerError | None:
    """The action, if it is told: Hetzner has begun to delete it."""
    assert restore.copy_id
    try:
        action_id = copies.delete_copy(restore.copy_id)
    except HetznerError as error:
        return error
    logger.info(
        f"{restore.server.name}: server {restore.copy_id} ({restore.copy_name}) deleted",
        extra={"deleted_server": restore.copy_id},
    )
    return action_id
