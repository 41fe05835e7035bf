"""CreateSnapshot: have exactly one snapshot of this server for this run.

Three requests where nothing is in the way: the server's actions (who holds its lock, what earlier
snapshots took), our snapshots of it, the create. While an action is running, whether it holds the
server is asked, too; if it does these two are enough.
"""

import random
from dataclasses import replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import log_input, logger, output_of
from handler.aws.runtime import hetzner_for
from handler.decisions import creating, gone_servers
from handler.decisions.creating import Seen
from handler.decisions.proof import handed_on
from handler.documents.errors import HetznerError, NotFound, RateLimited
from handler.documents.job import Job, StartedSnapshot
from handler.hetzner.api import Hetzner


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = Job.from_dict(event)
    log_input(job, event)
    return output_of(create_snapshot(job, hetzner_for(job.run.project, context), random.random()))


def create_snapshot(job: Job, hetzner: Hetzner, jitter: float) -> Job:
    """The job with this run's snapshot creating or available, or waiting, or at its end."""
    if job.run.prune_only or job.server.gone:
        return job.moved_to("pruning")
    seen = believed(job, gather(job, hetzner), hetzner)
    before = tuple(snapshot.id for snapshot in seen.listed if snapshot.is_available)
    job = replace(job, before=before or job.before)
    for snapshot in seen.unused:
        logger.warning(
            f"{job.server.name}: snapshot {snapshot.id} of this run is {snapshot.status} and "
            "not used; look at it in the Hetzner console and delete it if nobody needs it",
            extra={"image_id": snapshot.id},
        )
    step = creating.decide(creating.observed(job, hetzner, seen), seen, jitter)
    if step.kind == "create":
        seen = believed(job, replace(seen, created=create(job, seen, hetzner)), hetzner)
        step = creating.decide(creating.observed(job, hetzner, seen), seen, jitter)
    return step.job


def gather(job: Job, hetzner: Hetzner) -> Seen:
    """What Hetzner answers about the server and our snapshots. Never raises Hetzner's errors.

    Actions come first: while the server is locked, often nothing else is needed.
    """
    seen = Seen()
    try:
        seen = replace(seen, actions=tuple(hetzner.recent_actions(job.server.id)))
        if creating.lock_is_doubtful(job, seen):
            seen = replace(seen, locked=hetzner.is_locked(job.server.id))
    except RateLimited as error:
        return replace(seen, error=error)
    except HetznerError as error:
        seen = replace(seen, actions_error=error)
    looked = creating.observed(job, hetzner, seen)
    if creating.lock_is_all(looked, seen):
        return seen
    try:
        # An earlier create may have succeeded although its answer was lost.
        listed = hetzner.snapshots(job.run.owner, job.server.id)
        mine = creating.of_this_run(job, listed)
        seen = replace(seen, snapshots=mine, listed=tuple(listed))
        return seen if seen.usable else _with_unlisted(looked, seen, hetzner)
    except HetznerError as error:
        return replace(seen, error=error)


def believed(job: Job, seen: Seen, hetzner: Hetzner) -> Seen:
    """What was seen; that the server does not exist only if this token still sees its project.

    It does if it lists a snapshot of the server, or another server that the run has listed.
    """
    told = isinstance(seen.actions_error, NotFound) or isinstance(seen.created, NotFound)
    if not told or seen.error or seen.listed or seen.snapshots:
        return seen
    try:
        doubt = gone_servers.doubt(job, {server.id for server in hetzner.servers()})
    except HetznerError as error:
        doubt = error
    return replace(seen, error=doubt, created=None) if doubt else seen


def _with_unlisted(job: Job, seen: Seen, hetzner: Hetzner) -> Seen:
    """With this run's snapshot even if the listing does not show it yet."""
    for image_id in creating.unlisted_images(job, seen):
        try:
            snapshot = hetzner.snapshot(image_id)
        except NotFound:
            continue
        if creating.is_ours(job, snapshot):
            return replace(seen, snapshots=creating.of_this_run(job, [snapshot]))
    return seen


def create(job: Job, seen: Seen, hetzner: Hetzner) -> StartedSnapshot | HetznerError:
    """The answer to the one create that this attempt sends.

    The server's last proof and drill are handed on: their snapshots are pruned one day.
    """
    labels = handed_on(seen.listed, job.server.id, hetzner.answered_at)
    try:
        return StartedSnapshot(*hetzner.create_snapshot(job.server, job.run, labels))
    except HetznerError as error:
        return error
