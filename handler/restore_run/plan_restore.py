"""PlanRestore: which servers, from which snapshots, on what, at which price. Makes nothing."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import logger
from handler.aws.runtime import hetzner_for
from handler.decisions import pacing, planning_restore
from handler.decisions.candidates import Market
from handler.decisions.planning_restore import Seen
from handler.documents.errors import HetznerError, TransientError, Unauthorized
from handler.documents.restore import RestoreDocument
from handler.hetzner.api import Hetzner
from handler.hetzner.copies import Copies

PLAN_MINUTES = 60  # so long an API that is busy or down is asked again


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    document = RestoreDocument.from_dict(event)
    logger.append_keys(run_id=document.run.id, project=document.run.project)
    hetzner = hetzner_for(document.run.project, context)
    return plan_restore(document, hetzner, random.random(), datetime.now(UTC)).to_dict()


def plan_restore(
    document: RestoreDocument, hetzner: Hetzner, jitter: float, now: datetime
) -> RestoreDocument:
    """The document with its restores (ready), a wait (waiting), or the end (failed, done).

    `now` is by our own clock, and counts if no answer of Hetzner's has a date.
    """
    seen = gather(document, Copies(hetzner))
    document = document.observed(hetzner)
    if document.deadline_s is None:
        document = document.with_deadline(PLAN_MINUTES)
    if isinstance(seen.error, TransientError) and not document.overdue:
        wait = pacing.after_error(seen.error, document, jitter)
        waiting = document.waiting("waiting", str(seen.error), wait)
        logger.warning(f"asking again in {waiting.wait_seconds} s: {waiting.reason}")
        return waiting
    if seen.error:
        return _failed(document, seen.error)
    planned = planning_restore.planned(document, seen, document.stopwatch.now or now)
    for note in planned.notes:
        logger.warning(note)
    for row in planning_restore.rows(planned):
        logger.info(row)
    log = logger.error if planned.status == "failed" else logger.info
    log(f"{planned.status}: {planned.reason or f'{len(planned.restores)} at hand'}")
    return replace(planned, deadline_s=None, attempts=0)


def gather(document: RestoreDocument, copies: Copies) -> Seen:
    """Complete listings. Never raises Hetzner's errors.

    A sweep needs no prices: a copy that is left goes without them, too.
    """
    run, hetzner = document.run, copies.hetzner
    try:
        seen = Seen(tuple(hetzner.servers()), tuple(hetzner.snapshots(run.owner)))
        if run.sweep:
            seen = replace(seen, copies=tuple(copies.copies(run.owner)))
            return replace(seen, market=_market(copies)) if seen.copies else seen
        types, zones = copies.server_types(), copies.network_zones()
        return replace(seen, market=_priced(copies, Market(tuple(types), zones)))
    except HetznerError as error:
        return Seen(error=error)


def _market(copies: Copies) -> Market:
    """The prices as far as they are known."""
    try:
        return _priced(copies, Market(tuple(copies.server_types())))
    except HetznerError as error:
        logger.warning(f"What the copies cost is not known: {error}")
        return Market()


def _priced(copies: Copies, market: Market) -> Market:
    try:
        return replace(market, addresses=copies.address_prices())
    except HetznerError as error:
        logger.warning(f"What an address costs is not known: {error}")
        return market


def _failed(document: RestoreDocument, error: HetznerError) -> RestoreDocument:
    advice = "Check or replace that token." if isinstance(error, Unauthorized) else ""
    logger.error(f"Nothing planned: {error} {advice}".strip())
    return document.moved_to("failed", f"{error}.", 0, advice)
