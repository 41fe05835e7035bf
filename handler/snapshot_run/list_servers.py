"""ListServers: hand out the next batch of servers, only from a complete listing."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import logger
from handler.aws.runtime import hetzner_for
from handler.decisions import due, gone_servers, pacing, selecting
from handler.decisions.pacing import Budget
from handler.documents.document import Wait, format_time, shortened
from handler.documents.errors import HetznerError, TransientError, Unauthorized
from handler.documents.job import NAME_BYTES, cut
from handler.documents.resources import Server, Snapshot
from handler.documents.rhythm import rhythm_in
from handler.documents.run import BATCH, Concern, RunDocument
from handler.hetzner.api import Hetzner
from handler.hetzner.survey import is_found_again

SELECTOR_CHARACTERS = 200  # of a label selector in a reason


@dataclass(frozen=True, slots=True)
class Seen:
    """The project's servers and those that the selector matches, or why they are not known.

    Our snapshots only if they tell who is due.
    """

    listed: tuple[Server, ...] = ()
    matching: tuple[Server, ...] = ()
    error: HetznerError | None = None
    left: int = 0  # our snapshots in a project without servers
    is_known: bool = True  # by what the watch saw last in it
    snapshots: tuple[Snapshot, ...] = ()
    snapshots_error: HetznerError | None = None


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
    selected = _select(document, seen, jitter)
    is_first = document.after_id == 0 and selected.status in ("ready", "done")
    if is_first and selected.run.orphan_days:
        return _with_gone(selected, seen.listed, hetzner, selected.stopwatch.now or now)
    return selected


def gather(document: RunDocument, hetzner: Hetzner) -> Seen:
    """Complete listings; of our snapshots where there are no servers, or one has a rhythm of its
    own. Never raises Hetzner's errors."""
    label_selector, owner = document.selection.label_selector, document.run.owner
    try:
        listed = tuple(hetzner.servers())
        if not listed:
            return Seen(left=len(hetzner.snapshots(owner)))
        matching = tuple(hetzner.servers(label_selector)) if label_selector else listed
        last = document.last_look if document.after_id == 0 else None
        is_known = is_found_again(hetzner, last, listed, owner)
    except HetznerError as error:
        return Seen(error=error)
    seen = Seen(listed, matching, is_known=is_known)
    if not _asks_who_is_due(document, seen):
        return seen
    try:
        return replace(seen, snapshots=tuple(hetzner.snapshots(owner)))
    except HetznerError as error:
        return replace(seen, snapshots_error=error)


def _asks_who_is_due(document: RunDocument, seen: Seen) -> bool:
    why_not = selecting.left_out(document, seen.listed, seen.matching)
    return due.heeds_rhythms(document) and any(
        rhythm_in(s.labels) for s in seen.listed if not why_not[s.id] and s.id > document.after_id
    )


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
    first, error = document.after_id == 0, seen.snapshots_error
    if refused := _refused(document, seen, first):
        return refused
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
        if seen.listed and not taken:
            return _misselected(
                document,
                f"none of the {len(seen.listed)} servers is selected; the log says why for each.",
                "Check the event, the label selector and the servers' labels; then start a new "
                "run.",
            )
        document = _begun(document, seen, taken, len(not_due))
    elif (gone := document.remaining - len(selected)) > 0:
        logger.warning(
            f"{gone} servers were deleted, unselected or not due any more before their turn: "
            "skipped"
        )
        skipped = document.totals.skipped + gone
        document = replace(document, totals=replace(document.totals, skipped=skipped))
    return _handed_out(_without_rhythms(document, seen), selected)


def _refused(document: RunDocument, seen: Seen, first: bool) -> RunDocument | None:
    """The failed document if the selection is wrong, or the project is not what it was."""
    listed, selection = seen.listed, document.selection
    chosen, unknown = selecting.named(selection, listed)
    if first and unknown and not (selection.as_before and chosen):
        return _misselected(
            document,
            f"no server {selecting.some_of(unknown)} in this project, which has "
            f"{selecting.some_of([server.name for server in listed])}.",
            "Start it again with the right names in the event's field servers: with the run_id "
            "alone it looks for the same names.",
        )
    vanished = selecting.why_vanished(document, listed, seen.left, seen.is_known)
    return _failed(document, vanished) if vanished else None


def _begun(document: RunDocument, seen: Seen, taken: list[Server], not_due: int) -> RunDocument:
    """The document that tells, once in a run, of the whole project."""
    listed = seen.listed
    _, unknown = selecting.named(document.selection, listed)
    witnesses = tuple(server.id for server in listed[: selecting.MOST_WITNESSES])
    totals = replace(document.totals, left_out=len(listed) - len(taken), not_due=not_due)
    totals = totals.noting(*selecting.notes_on(taken, document.run.dry_run))
    for server in taken:
        if problem := selecting.problem_of_rhythm(server):
            logger.warning(f"{server.name}: {problem}", extra={"server": server.name})
        if without := selecting.without_volumes(server):
            logger.info(f"{server.name}: {without}", extra={"server": server.name})
    run = replace(document.run, witnesses=witnesses)
    return _without(replace(document, run=run, totals=totals), unknown)


def _without_rhythms(document: RunDocument, seen: Seen) -> RunDocument:
    """The document that tells that all are taken, because who is due could not be told."""
    why = str(seen.snapshots_error or "")
    if document.run.began is None and _asks_who_is_due(document, seen):
        why = why or "no answer of Hetzner has a date"
    if not why:
        return document
    note = f"all are taken, because which servers are due is not known: {why}"
    logger.warning(note)
    return replace(document, totals=document.totals.noting(Concern("note", "", note)))


def _without(document: RunDocument, gone: tuple[str, ...]) -> RunDocument:
    """The document that tells of these servers: the run that is resumed had them."""
    why = (
        "no server of this name or id in this project any more: skipped. If it was renamed, start "
        "a new run with its new name or id"
    )
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
        gone=(),
        after_id=batch[-1].id if batch else document.after_id,
        remaining=len(selected) - len(batch),
        attempts=0,
        deadline_s=None,
    )
    return document.moved_to("ready" if batch else "done")


def _with_gone(
    document: RunDocument, listed: Sequence[Server], hetzner: Hetzner, now: datetime
) -> RunDocument:
    """The document with the servers that are gone; an error costs these, not the night."""
    try:
        items = gone_servers.due(document.run, listed, hetzner.snapshots(document.run.owner), now)
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
