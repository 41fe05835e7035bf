"""ListServers: hand out the next batch of servers, only from a complete listing."""

import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import logger
from handler.aws.runtime import hetzner_for
from handler.decisions import due, gone_servers, listed, pacing, selecting
from handler.decisions.listed import Refusal, Seen
from handler.decisions.pacing import Budget
from handler.documents.document import Wait, format_time, shortened
from handler.documents.errors import HetznerError, TransientError, Unauthorized
from handler.documents.resources import Server
from handler.documents.run import BATCH, Concern, RunDocument
from handler.hetzner.api import Hetzner
from handler.hetzner.survey import is_found_again, no_copies

SELECTOR_CHARACTERS = 200  # of a label selector in a reason


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    document = RunDocument.from_dict(event)
    logger.append_keys(run_id=document.run.id, project=document.run.project)
    hetzner = hetzner_for(document.run.project, context)
    return list_servers(document, hetzner, random.random(), datetime.now(UTC)).to_dict()


def list_servers(
    document: RunDocument, hetzner: Hetzner, jitter: float, now: datetime
) -> RunDocument:
    """The document with the next batch (ready), a wait (waiting), or the end (failed, done)."""
    seen = gather(document, hetzner)
    document = document.observed(hetzner)
    if seen.error:
        return _not_listed(document, seen.error, jitter)
    if document.run.began is None:
        began = document.began(now)
        run = replace(
            document.run,
            began=format_time(began),
            first_began=format_time(document.first_began(began)),
            earliest_began=format_time(document.earliest_began(began)),
        )
        document = replace(document, run=run)
    selected = _select(document, seen, jitter)
    is_first = document.after_id == 0 and selected.status in ("ready", "done")
    if is_first and selected.run.orphan_days:
        return _with_gone(selected, seen.everything, hetzner, selected.stopwatch.now or now)
    return selected


def gather(document: RunDocument, hetzner: Hetzner) -> Seen:
    """Complete listings; of our snapshots where there are no servers, or one has a rhythm of its
    own. Never raises Hetzner's errors."""
    label_selector, owner = document.selection.label_selector, document.run.owner
    try:
        everything = hetzner.servers()
        servers = tuple(no_copies(everything))
        copies = tuple(server for server in everything if server.is_copy)
        if not servers:
            return Seen(left=len(hetzner.snapshots(owner)), copies=copies)
        matching = tuple(hetzner.servers(label_selector)) if label_selector else servers
        last = document.last_look if document.after_id == 0 else None
        is_known = is_found_again(hetzner, last, servers, owner)
        seen = Seen(servers, matching, is_known=is_known, copies=copies)
    except HetznerError as error:
        return Seen(error=error)
    if not listed.asks_who_is_due(document, seen):
        return seen
    try:
        return replace(seen, snapshots=tuple(hetzner.snapshots(owner)))
    except HetznerError as error:
        return replace(seen, snapshots_error=error)


def _not_listed(document: RunDocument, error: HetznerError, jitter: float) -> RunDocument:
    if isinstance(error, TransientError):
        document = _with_deadline(document)
        if document.overdue:
            minutes = document.run.lock_wait_minutes
            return _failed(document, f"the servers could not be listed for {minutes} min: {error}")
        return _wait(document, str(error), pacing.after_error(error, document, jitter))
    if isinstance(error, Unauthorized):
        return _failed(document, f"{error}.", "Check or replace that token.")
    if selector := document.selection.label_selector:
        shown = shortened(selector, SELECTOR_CHARACTERS)
        advice = (
            f"Check the label selector {shown!r} and correct it where it comes from, the event or "
            "the parameter LabelSelector. Then start a new run: a resume uses this one again."
        )
        return _refused(document, Refusal(f"{error}.", advice, resumable=False))
    return _failed(document, f"{error}.")


def _select(document: RunDocument, seen: Seen, jitter: float) -> RunDocument:
    first, error = document.after_id == 0, seen.snapshots_error
    if refusal := listed.refused(document, seen):
        return _refused(document, refusal)
    if isinstance(error, TransientError):
        document = _with_deadline(document)
        if not document.overdue:
            return _wait(document, str(error), pacing.after_error(error, document, jitter))
    why_left_out = selecting.left_out(document, seen.listed, seen.matching)
    taken = [server for server in seen.listed if not why_left_out[server.id]]
    not_due = {}
    if due.heeds_rhythms(document):
        not_due = due.why_not_due(document, taken, seen.snapshots)
    selected = [s for s in taken if s.id not in not_due and s.id > document.after_id]
    document = replace(document, run=replace(document.run, server_count=len(selected)))
    if selected and (needed := pacing.before_start(Budget.of(document), jitter)):
        document = _with_deadline(document)
        if not document.overdue:
            return _wait(document, "too few requests left to start", needed)
        logger.warning(f"starting with too few requests left: {needed.why}")
    if first:
        for server in seen.listed:
            _log(server, why_left_out[server.id] or not_due.get(server.id, ""))
        for copy in seen.copies:
            _log(copy, selecting.A_COPY)
        if seen.listed and not taken:
            return _refused(document, listed.none_taken(seen))
        document, gone = listed.begun(document, seen, taken, len(not_due))
        _log_notes(taken, gone)
    elif (fewer := document.remaining - len(selected)) > 0:
        logger.warning(
            f"{fewer} servers were deleted, unselected or not due any more before their turn: "
            "skipped"
        )
        skipped = document.totals.skipped + fewer
        document = replace(document, totals=replace(document.totals, skipped=skipped))
    if note := listed.why_all_are_taken(document, seen):
        logger.warning(note)
        document = replace(document, totals=document.totals.noting(Concern("note", "", note)))
    return _handed_out(document, selected)


def _log_notes(taken: Sequence[Server], gone: Sequence[str]) -> None:
    for server in taken:
        if problem := selecting.problem_of_rhythm(server):
            logger.warning(f"{server.name}: {problem}", extra={"server": server.name})
        if without := selecting.without_volumes(server):
            logger.info(f"{server.name}: {without}", extra={"server": server.name})
    for name in gone:
        logger.warning(f"{name}: {listed.NOT_THERE}", extra={"server": name})


def _handed_out(document: RunDocument, selected: list[Server]) -> RunDocument:
    batch, at_a_time = selected[:BATCH], document.run.servers_at_a_time
    for server in batch:
        if problem := selecting.problem_of(server):
            logger.warning(f"{server.name}: {problem}", extra={"server": server.name})
    document = replace(
        document,
        batch=tuple(
            asdict(selecting.item_of(server, pacing.start_s(position, at_a_time)))
            for position, server in enumerate(batch)
        ),
        handed_out=tuple(server.id for server in batch),
        gone=(),
        after_id=batch[-1].id if batch else document.after_id,
        remaining=len(selected) - len(batch),
        attempts=0,
        deadline_s=None,
    )
    return document.moved_to("ready" if batch else "done")


def _with_gone(
    document: RunDocument, servers: Sequence[Server], hetzner: Hetzner, now: datetime
) -> RunDocument:
    """The document with the servers that are gone; an error costs these, not the night."""
    try:
        items = gone_servers.due(document.run, servers, hetzner.snapshots(document.run.owner), now)
    except HetznerError as error:
        why = f"snapshots of servers that are gone were not looked for: {error}"
        logger.warning(why)
        return replace(document, totals=document.totals.noting(Concern("note", "", why)))
    for item in items[: gone_servers.MOST_GONE]:
        logger.info(
            f"{item.name}: server {item.id} is not in the project, and snapshots of it are older "
            f"than OrphanDays ({document.run.orphan_days})",
            extra={"server": item.name, "server_id": item.id, "status": "gone"},
        )
    if (more := len(items) - gone_servers.MOST_GONE) > 0:
        logger.warning(f"{more} more servers that are gone are left for the next run")
    return gone_servers.handed_out(document, items) if items else document


def _with_deadline(document: RunDocument) -> RunDocument:
    if document.deadline_s is None:
        return document.with_deadline(document.run.lock_wait_minutes)
    return document


def _wait(document: RunDocument, reason: str, wait: Wait) -> RunDocument:
    waiting = document.waiting("waiting", reason, wait)
    seconds, now = waiting.wait_seconds, document.stopwatch.now
    until = now and now + timedelta(seconds=seconds)
    at = f"at {until:%H:%M:%S}Z " if until else ""
    logger.warning(
        f"asking for the servers again {at}(in {seconds} s): {wait.because(reason)}",
        extra={"wait_seconds": seconds, "until": format_time(until)},
    )
    return waiting


def _refused(document: RunDocument, refusal: Refusal) -> RunDocument:
    failed = _failed(document, refusal.reason, refusal.advice)
    return failed if refusal.resumable else replace(failed, resumable=False)


def _failed(document: RunDocument, reason: str, advice: str = "") -> RunDocument:
    logger.error(f"No servers listed: {reason} {advice}".strip())
    return document.moved_to("failed", reason, 0, advice)


def _log(server: Server, why_not: str) -> None:
    known = (server.type, server.location, server.ipv4, server.ipv6, server.status)
    about = ", ".join(value for value in known if value)
    logger.info(
        f"{server.name} ({server.id}; {about}): "
        + (f"left out, {why_not}" if why_not else "selected"),
        extra={
            "server": server.name,
            "server_id": server.id,
            "status": "left_out" if why_not else "selected",
            "reason": why_not,
            "details": asdict(server),
        },
    )
