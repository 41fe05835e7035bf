"""ListServers: hand out the next batch of servers, only from a complete listing."""

import json
import random
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import logger
from handler.aws.runtime import hetzner_for
from handler.decisions import pacing, selecting
from handler.decisions.overdue import why_not_itself
from handler.decisions.pacing import Budget
from handler.documents.document import Wait, format_time, shortened
from handler.documents.errors import HetznerError, NotFound, TransientError, Unauthorized
from handler.documents.job import NAME_BYTES, cut
from handler.documents.memory import LastLook
from handler.documents.resources import Server
from handler.documents.run import BATCH, Concern, RunDocument
from handler.hetzner.api import Hetzner

SELECTOR_CHARACTERS = 200  # of a label selector in a reason


@dataclass(frozen=True, slots=True)
class Seen:
    """The project's servers and those that the selector matches, or why they are not known."""

    listed: tuple[Server, ...] = ()
    matching: tuple[Server, ...] = ()
    error: HetznerError | None = None
    left: int = 0  # our snapshots in a project without servers
    is_known: bool = True  # by what the watch saw last in it


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
        first = format_time(document.first_began(began))
        run = replace(document.run, began=format_time(began), first_began=first)
        document = replace(document, run=run)
    return _select(document, seen, jitter)


def gather(document: RunDocument, hetzner: Hetzner) -> Seen:
    """Complete listings; where there are no servers, of our snapshots. Never raises Hetzner's
    errors."""
    label_selector, owner = document.selection.label_selector, document.run.owner
    try:
        listed = tuple(hetzner.servers())
        if not listed:
            return Seen(left=len(hetzner.snapshots(owner)))
        matching = tuple(hetzner.servers(label_selector)) if label_selector else listed
        last = document.last_look if document.after_id == 0 else None
        return Seen(listed, matching, is_known=_is_known(last, listed, owner, hetzner))
    except HetznerError as error:
        return Seen(error=error)


def _is_known(
    last: LastLook | None, listed: tuple[Server, ...], owner: str, hetzner: Hetzner
) -> bool:
    """Whether the server or the snapshot of the watch's last look is found, or one of that server.

    Without both of them it may be the same project. Raises HetznerError.
    """
    if last is None or last.server is None or last.snapshot is None:
        return True
    if any(server.id == last.server for server in listed):
        return True
    try:
        hetzner.snapshot(last.snapshot)
        return True
    except NotFound:
        return bool(hetzner.snapshots(owner, last.server))


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
        return _misselected(document, f"{error}.", advice)
    return _failed(document, f"{error}.")


def _select(document: RunDocument, seen: Seen, jitter: float) -> RunDocument:
    listed, selection = seen.listed, document.selection
    chosen, unknown = selecting.named(selection, listed)
    first = document.after_id == 0
    if first and unknown and not (selection.as_before and chosen):
        return _misselected(
            document,
            f"no server {selecting.some_of(unknown)} in this project, which has "
            f"{selecting.some_of([server.name for server in listed])}.",
            "Start it again with the right names in the event's field servers: with the run_id "
            "alone it looks for the same names.",
        )
    vanished, advice = _why_vanished(document, seen)
    if vanished:
        return _failed(document, vanished, advice)
    ids = {server.id for server in seen.matching}
    why_not = {s.id: selecting.why_left_out(s, chosen, ids, selection) for s in listed}
    selected = [s for s in listed if not why_not[s.id] and s.id > document.after_id]
    document = replace(document, run=replace(document.run, server_count=len(selected)))
    if selected and (needed := pacing.before_start(Budget.of(document), jitter)):
        document = _with_deadline(document)
        if not document.overdue:
            return _wait(document, "too few requests left to start", needed)
        logger.warning(f"starting with too few requests left: {needed.why}")
    for server in listed if first else ():
        _log(server, why_not[server.id])
    if first and listed and not selected:
        return _misselected(
            document,
            f"none of the {len(listed)} servers is selected; the log says why for each.",
            "Check the event, the label selector and the servers' labels; then start a new run.",
        )
    if first:
        witnesses = tuple(server.id for server in listed[: selecting.MOST_WITNESSES])
        document = replace(document, run=replace(document.run, witnesses=witnesses))
        totals = replace(document.totals, left_out=len(listed) - len(selected))
        document = _without(replace(document, totals=totals), unknown)
    elif (gone := document.remaining - len(selected)) > 0:
        logger.warning(f"{gone} servers were deleted or unselected before their turn: skipped")
        skipped = document.totals.skipped + gone
        document = replace(document, totals=replace(document.totals, skipped=skipped))
    return _handed_out(document, selected)


def _why_vanished(document: RunDocument, seen: Seen) -> tuple[str, str]:
    """Why this is not the project that it was, and what to do about it; empty if it may be."""
    if vanished := selecting.why_vanished(document, seen.listed, seen.left):
        return vanished, ""
    last_look = document.last_look if document.after_id == 0 else None
    if not_itself := why_not_itself(last_look, len(seen.listed), seen.is_known):
        event = json.dumps({"forget": document.run.project})
        advice = f"If it is, invoke WatchServers with {event}, then start this run again."
        return f"the project {not_itself}", advice
    return "", ""


def _without(document: RunDocument, gone: tuple[str, ...]) -> RunDocument:
    """The document that tells of these servers: the run that is resumed had them."""
    why = "there is no such server in this project any more: skipped"
    for name in gone:
        logger.warning(f"{name}: {why}", extra={"server": name})
    totals = replace(document.totals, skipped=document.totals.skipped + len(gone))
    concerns = [Concern("note", cut(name, NAME_BYTES), why) for name in gone]
    return replace(document, totals=totals.noting(*concerns))


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
        after_id=batch[-1].id if batch else document.after_id,
        remaining=len(selected) - len(batch),
        attempts=0,
        deadline_s=None,
    )
    return document.moved_to("ready" if batch else "done")


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


def _misselected(document: RunDocument, reason: str, advice: str) -> RunDocument:
    return replace(_failed(document, reason, advice), resumable=False)


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
