"""CreateServer: have exactly one copy of this restore, switched off behind our firewall.

Each attempt sends one create at most. Where nothing is in the way that is five requests: the
server of the copy's name (an earlier create may have made it), the SSH keys, the firewall, its
rules read back, the create. After a candidate that could not be had it also looks for the
snapshot.
"""

import random
from dataclasses import replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import log_restore, logger, restore_output
from handler.aws.runtime import hetzner_for
from handler.decisions import isolating, restoring
from handler.decisions.restoring import Seen
from handler.documents.copies import Copy
from handler.documents.errors import HetznerError, NotFound
from handler.documents.restore import Restore
from handler.hetzner.api import Hetzner
from handler.hetzner.copies import Copies
from handler.hetzner.isolation import ensured


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    restore = Restore.from_dict(event)
    log_restore(restore, event)
    hetzner = hetzner_for(restore.run.project, context)
    return restore_output(create_server(restore, hetzner, random.random()))


def create_server(restore: Restore, hetzner: Hetzner, jitter: float) -> Restore:
    """The restore with its copy creating, or waiting, or with its outcome."""
    copies = Copies(hetzner)
    seen = gather(restore, copies)
    looked = restoring.begun(restore.observed(hetzner))
    step = restoring.decide(looked, seen, jitter)
    if step.kind == "create":
        seen = replace(seen, created=create(step.restore, seen, copies))
        # The create's answer is not observed once more: it belongs to the same look.
        step = restoring.decide(step.restore, seen, jitter)
    return step.restore


def gather(restore: Restore, copies: Copies) -> Seen:
    """What is there already, and what a create needs. Never raises Hetzner's errors."""
    owner = restore.run.owner
    seen = Seen()
    try:
        if copy := copies.find_copy(restore.copy_name):
            return replace(seen, copy=copy)
        if restore.tried and _is_gone(restore, copies):
            return replace(seen, snapshot_gone=True)
        seen = replace(seen, ssh_keys=copies.ssh_keys())
        firewall = ensured(
            copies,
            isolating.firewall_name(owner),
            owner,
            isolating.rules(restore.server.port),
            lambda found: not isolating.of_another(found, owner),
        )
        return replace(seen, firewall=firewall)
    except HetznerError as error:
        return replace(seen, error=error)


def _is_gone(restore: Restore, copies: Copies) -> bool:
    """Whether the snapshot was deleted meanwhile. Hetzner refuses a create without it in the same
    way as one whose type does not take it. Raises HetznerError."""
    try:
        copies.hetzner.snapshot(restore.source.image_id)
        return False
    except NotFound:
        return True


def create(restore: Restore, seen: Seen, copies: Copies) -> tuple[Copy, int | None] | HetznerError:
    """The answer to the one create that this attempt sends."""
    candidate = restore.candidate
    price = f"{candidate.price} per hour" if candidate and candidate.price else "price not told"
    logger.info(
        f"{restore.server.name}: to make {restore.copy_name} from snapshot "
        f"{restore.source.image_id}: {candidate}, {price}",
        extra={"copy_name": restore.copy_name, "price_per_hour": candidate and candidate.price},
    )
    try:
        return copies.create_copy(restoring.wanted(restore, seen))
    except HetznerError as error:
        return error
