"""CheckSnapshot: one look whether this run's snapshot of the server is available.

If the look tells when it will be done, PruneSnapshots' listing is the next look.
"""

import random
from contextlib import suppress
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import log_input, logger, output_of
from handler.aws.runtime import hetzner_for
from handler.decisions import checking, other_versions
from handler.decisions.checking import Seen
from handler.documents.errors import HetznerError, NotFound
from handler.documents.job import Job, StartedSnapshot
from handler.hetzner.api import Hetzner


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = Job.from_dict(event)
    log_input(job, event)
    return output_of(check_snapshot(job, hetzner_for(job.run.project, context), random.random()))


def check_snapshot(job: Job, hetzner: Hetzner, jitter: float) -> Job:
    """The job: still creating, its snapshot available, waiting for another try, or failed."""
    if job.snapshot is None:
        return other_versions.without_snapshot(job, jitter)
    seen = gather(job.snapshot, hetzner)
    return checking.decide(checking.begun(job).observed(hetzner), seen, jitter)


def gather(snapshot: StartedSnapshot, hetzner: Hetzner) -> Seen:
    """The action, or the image if the action is unknown. Never raises Hetzner's errors."""
    try:
        if snapshot.action_id is not None:
            with suppress(NotFound):
                return Seen(action=hetzner.action(snapshot.action_id))
        with suppress(NotFound):
            return Seen(image=hetzner.snapshot(snapshot.image_id))
        return Seen()
    except HetznerError as error:
        return Seen(error=error)
