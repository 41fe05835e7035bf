"""PruneSnapshots: delete this server's snapshots that no retention rule keeps.

One complete listing proves the new snapshot available and feeds the pruning. A snapshot that is
`due` is looked at by that listing alone, which saves every server a request and two transitions
(of about eight and fifteen); if it is not there yet, the look goes back to CheckSnapshot. Only
where something is to be deleted the server is asked for as well: its labels may have changed. Of a
server that is gone nothing is made before, and only what orphans.py lets go is deleted.
"""

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import log_input, logger, output_of
from handler.aws.runtime import hetzner_for
from handler.decisions import gone_servers, pruning
from handler.decisions.pruning import Deleted, Seen, Step
from handler.decisions.retention import Decision
from handler.documents.document import format_time
from handler.documents.errors import (
    HetznerError,
    Locked,
    NotFound,
    Protected,
    RateLimited,
    TransientError,
)
from handler.documents.job import Job
from handler.documents.resources import Server
from handler.hetzner.api import Hetzner


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = Job.from_dict(event)
    log_input(job, event)
    return output_of(prune_snapshots(job, hetzner_for(job.run.project, context), random.random()))


def prune_snapshots(job: Job, hetzner: Hetzner, jitter: float) -> Job:
    """The job: at its end, pruning (goes on after a wait), or creating (not available yet)."""
    asked = pruning.begun(job)
    seen = gather(asked, hetzner)
    step = _decided(asked, seen, hetzner, jitter)
    if step.asks_labels:
        seen = replace(seen, server=server_now(asked, hetzner))
        step = _decided(asked, seen, hetzner, jitter)
    for decision in step.decisions:
        _log(step.job, decision)
    if step.delete is None:
        return step.job
    deleted = delete(step.job, step.delete, hetzner)
    # One answer is observed once: seen twice, it would agree with itself about a wrong clock.
    job = step.job.observed(hetzner) if step.delete else step.job
    return pruning.after_deleting(job, step, deleted, jitter)


def _decided(asked: Job, seen: Seen, hetzner: Hetzner, jitter: float) -> Step:
    job = asked.observed(hetzner)
    return pruning.decide(job, seen, jitter, job.stopwatch.now or datetime.now(UTC))


def gather(job: Job, hetzner: Hetzner) -> Seen:
    """All the server's snapshots, or none. Never raises Hetzner's errors."""
    try:
        snapshots = tuple(hetzner.snapshots(job.run.owner, job.server.id))
        for twin in pruning.twins(job, snapshots):
            logger.warning(
                f"{job.server.name}: snapshot {twin} is of this run too; delete one by hand"
            )
        if job.snapshot and pruning.missing_for_long(job.observed(hetzner), snapshots):
            try:
                return Seen(snapshots, unlisted=hetzner.snapshot(job.snapshot.image_id))
            except NotFound:
                return Seen(snapshots, vanished=True)
        return Seen(snapshots)
    except HetznerError as error:
        return Seen(error=error)


def server_now(job: Job, hetzner: Hetzner) -> Server | HetznerError:
    """The server with its labels, which people may have set since the run has listed it.

    Of one that is to be gone NotFound only if this token still sees its project.
    """
    try:
        return hetzner.server(job.server.id)
    except NotFound as error:
        return (_doubt(job, hetzner) or error) if job.server.gone else error
    except HetznerError as error:
        return error


def _doubt(job: Job, hetzner: Hetzner) -> HetznerError | None:
    try:
        return gone_servers.doubt(job, {server.id for server in hetzner.servers()})
    except HetznerError as error:
        return error


def delete(job: Job, image_ids: tuple[int, ...], hetzner: Hetzner) -> Deleted:
    """Deletes these. After one that fails the others are tried, unless no requests are left."""
    deleted = Deleted()
    for image_id in image_ids:
        try:
            hetzner.delete_snapshot(image_id)
            logger.info(
                f"{job.server.name}: snapshot {image_id} deleted", extra={"deleted": image_id}
            )
            deleted.went.append(image_id)
        except NotFound:
            logger.info(f"{job.server.name}: snapshot {image_id} was gone already")
            deleted.gone.append(image_id)
        except RateLimited as error:
            deleted.failed[image_id] = error
            break
        except (TransientError, Locked) as error:
            deleted.failed[image_id] = error
        except Protected:
            logger.warning(f"{job.server.name}: snapshot {image_id} is protected now and stays")
            deleted.protected.append(image_id)
        except HetznerError as error:
            deleted.refused.append(f"snapshot {image_id} not deleted: {error}")
    return deleted


def _log(job: Job, decision: Decision) -> None:
    snapshot = decision.snapshot
    what = f"snapshot {snapshot.id}" if snapshot.id else "the new snapshot"
    would = "would " if job.run.dry_run else "" if decision.keep else "to "
    logger.info(
        f"{job.server.name}: {would}{'keep' if decision.keep else 'delete'} {what} "
        f"of {snapshot.created:%Y-%m-%d %H:%MZ}: {decision.reason}",
        extra={
            "decision": {
                "image_id": snapshot.id or None,
                "created": format_time(snapshot.created),
                "keep": decision.keep,
                "reason": decision.reason,
            }
        },
    )
