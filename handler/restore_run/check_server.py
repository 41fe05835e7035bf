"""CheckServer: one look at the copy, and what follows from it.

It is powered on only by an answer just read that shows nothing but our firewall at it, and switched
off when something has attached itself. Then it is listened to, once for each look. How it ended is
written on the snapshot. Three requests a look: the copy, the firewall, and while it is off the
action that makes it or powers it on; another before the power on, what is done to the firewall,
and after a greeting, what was done to the copy.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import log_restore, logger, restore_output
from handler.aws.runtime import hetzner_for
from handler.decisions import booting, isolating, listening, marking
from handler.decisions.looking import Seen
from handler.documents.copies import Firewall
from handler.documents.errors import HetznerError, NotFound
from handler.documents.resources import Action
from handler.documents.restore import Restore
from handler.hetzner.api import Hetzner
from handler.hetzner.copies import Copies
from handler.hetzner.greeting import greeting
from handler.hetzner.isolation import firewall_now

PROBE_SECONDS = 10.0

Probe = Callable[[str, int, float], str]


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    restore = Restore.from_dict(event)
    log_restore(restore, event)
    hetzner = hetzner_for(restore.run.project, context)
    return restore_output(check_server(restore, hetzner, random.random(), greeting))


def check_server(restore: Restore, hetzner: Hetzner, jitter: float, probe: Probe) -> Restore:
    """The restore: its copy creating or booting, or with its outcome."""
    copies = Copies(hetzner)
    seen = gather(restore, copies)
    step = booting.decide(restore.observed(hetzner), seen, jitter)
    match step.kind:
        case "power_on":
            step = booting.after_power_on(step.restore, power_on(step.restore, copies), jitter)
        case "power_off":
            step = booting.after_power_off(step.restore, power_off(step.restore, copies), jitter)
        case "probe":
            heard = probe(step.restore.address, step.restore.server.port, PROBE_SECONDS)
            since = done_to(step.restore, copies) if listening.is_greeting(heard) else ()
            step = booting.after_probe(step.restore, heard, since, jitter)
    if step.kind == "mark":
        step = booting.after_mark(step.restore, mark(step.restore, copies), jitter)
    return step.restore


def gather(restore: Restore, copies: Copies) -> Seen:
    """The copy, its firewall and the action it waits for. Never raises Hetzner's errors."""
    if restore.copy_id is None:
        return Seen(error=NotFound("no copy is known"))
    seen = Seen()
    try:
        # The firewall first: what is powered on by these answers was read last.
        firewall = firewall_of(restore, copies)
        seen = replace(seen, firewall=firewall, action=_action(restore, copies))
        if firewall and booting.may_be_powered_on(restore, seen.action):
            seen = replace(seen, applying=_applying(firewall, copies))
        return replace(seen, copy=copies.copy(restore.copy_id))
    except HetznerError as error:
        return replace(seen, error=error)


def firewall_of(restore: Restore, copies: Copies) -> Firewall | None:
    """Our firewall as it is read, then set right if somebody has changed it: the next look finds it
    right. None: it is gone. Raises HetznerError.

    Once the copy is on, one that lets something out is left as it is: the copy is switched off.
    So is one that somebody has made theirs: others may depend on it.
    """
    if restore.firewall_id is None:
        firewall = copies.find_firewall(isolating.firewall_name(restore.run.owner))
    else:
        firewall = firewall_now(copies, restore.firewall_id)
    if firewall is None or isolating.of_another(firewall, restore.run.owner):
        return firewall
    if restore.powered_on and isolating.lets_out(firewall):
        return firewall
    if firewall.rules != (right := isolating.rules(restore.server.port)):
        copies.set_rules(firewall.id, right)
    return firewall


def _applying(firewall: Firewall, copies: Copies) -> tuple[Action, ...]:
    try:
        return copies.applying(firewall.id)
    except NotFound:  # if it is gone, the copy, which is read after it, has it no more
        return ()


def _action(restore: Restore, copies: Copies) -> Action | None:
    """The action that creates it, or powers it on; None: there is none, or no longer."""
    action_id = restore.power_action if restore.powered_on else restore.create_action
    if action_id is None:
        return None
    try:
        return copies.hetzner.action(action_id)
    except NotFound:
        return None


def power_on(restore: Restore, copies: Copies) -> Action | HetznerError:
    assert restore.copy_id
    logger.info(f"{restore.server.name}: to power on server {restore.copy_id}")
    try:
        return copies.power_on(restore.copy_id)
    except HetznerError as error:
        return error


def power_off(restore: Restore, copies: Copies) -> HetznerError | None:
    """Switches off what this restore has made, at once; None: Hetzner has begun."""
    assert restore.copy_id
    logger.warning(
        f"{restore.server.name}: to switch off server {restore.copy_id}: {restore.off_reason}"
    )
    try:
        copies.power_off(restore.copy_id)
        return None
    except HetznerError as error:
        return error


def done_to(restore: Restore, copies: Copies) -> Sequence[Action] | HetznerError:
    """The newest actions of the copy: by them it is known what has greeted."""
    assert restore.copy_id
    try:
        return copies.hetzner.recent_actions(restore.copy_id)
    except HetznerError as error:
        return error


def mark(restore: Restore, copies: Copies) -> HetznerError | None:
    """Writes the outcome on the snapshot: read, changed, written, read back."""
    image_id = restore.source.image_id
    ours = marking.marks(restore, restore.stopwatch.now or datetime.now(UTC))
    try:
        copies.change_labels(image_id, lambda labels: marking.marked(labels, ours))
    except HetznerError as error:
        return error
    logger.info(f"{restore.server.name}: {restore.outcome}, written on snapshot {image_id}")
    return None
