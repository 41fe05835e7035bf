"""ListServers: hand out the next batch of servers, from a complete listing or not at all."""

import random
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import pacing
from document import format_time
from hetzner import Busy, Hetzner, HetznerError, ServerDetails, Trouble, Unauthorized
from job import LABEL_ENABLED, LABEL_RETENTION, Server, cut
from pacing import Wait
from retention import BadPolicy, parse_policy
from run import BATCH, RunDocument, Selection
from runtime import hetzner_for, logger

ID = re.compile(r"[0-9]{1,18}", re.ASCII)
MOST_NAMED = 10
# Of each of a batch's servers; the log has them whole.
NAME_BYTES, PROBLEM_BYTES = 80, 190


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    document = RunDocument.from_dict(event)
    logger.append_keys(run_id=document.run.id, project=document.run.project)
    return list_servers(
        document, hetzner_for(document.run.project, context), random.random
    ).to_dict()


def list_servers(
    document: RunDocument, hetzner: Hetzner, spread: Callable[[], float]
) -> RunDocument:
    """The document with the next batch (ready), a wait (waiting), or the end (failed, done)."""
    try:
        listed = hetzner.servers()
        matching = listed
        if document.selection.label_selector:
            matching = hetzner.servers(document.selection.label_selector)
    except Trouble as trouble:
        document = document.after(hetzner)
        wait = pacing.in_trouble(document.attempts, spread())
        if isinstance(trouble, Busy):
            wait = pacing.when_refused(document.attempts, document.budget, spread())
        return _waiting(document, str(trouble), wait)
    except Unauthorized as error:
        return _failed(document.after(hetzner), f"{error}. Check or replace that token.")
    except HetznerError as error:
        selector = document.selection.label_selector
        hint = f" Check the label selector {selector!r}." if selector else ""
        return _failed(document.after(hetzner), f"{error}.{hint}")
    document = document.after(hetzner)
    chosen, unknown = _chosen(document.selection, listed)
    first = document.after_id == 0
    if first and unknown:
        return _failed(
            document,
            f"no server {', '.join(unknown)} in this project, which has {_some_of(listed)}. "
            "Check the event's field servers.",
        )
    ids = {server.id for server in matching}
    why_not = {s.id: _why_left_out(s, chosen, ids, document.selection) for s in listed}
    selected = [s for s in listed if not why_not[s.id] and s.id > document.after_id]
    document = replace(document, run=replace(document.run, fleet=len(selected)))
    if selected and (needed := pacing.before_start(document.budget, spread())):
        document = _with_deadline(document)
        if not document.overdue:
            return _wait(document, "too few requests left to start", needed)
        logger.warning(f"starting with too few requests left: {needed.why}")
    for server in listed if first else []:
        _log(server, why_not[server.id])
    if first and listed and not selected:
        return _failed(
            document,
            f"none of the {len(listed)} servers is selected; the log says why for each. "
            "Check the event, the label selector and the servers' labels.",
        )
    if first:
        run = replace(document.run, began=format_time(document.watch.now))
        document = replace(document, run=run)
        left_out = len(listed) - len(selected)
        document = replace(document, totals=replace(document.totals, left_out=left_out))
    elif (gone := document.remaining - len(selected)) > 0:
        logger.warning(f"{gone} servers were deleted or unselected before their turn: skipped")
        skipped = document.totals.skipped + gone
        document = replace(document, totals=replace(document.totals, skipped=skipped))
    return _handed_out(document, selected)


def _chosen(selection: Selection, listed: list[ServerDetails]) -> tuple[set[int], tuple[str, ...]]:
    """The ids that the event's servers mean, and those that mean none.

    A number is an id; a string is a name, and an id only if no server has that name.
    """
    ids = {server.id for server in listed}
    if not selection.servers:
        return ids, ()
    by_name = {server.name: server.id for server in listed}
    chosen, unknown = set(), []
    for named in selection.servers:
        is_number = isinstance(named, int) or bool(ID.fullmatch(named))
        server_id = by_name.get(str(named)) if isinstance(named, str) else None
        if server_id is None and is_number:
            server_id = int(named)
        if server_id in ids:
            chosen.add(server_id)
        else:
            unknown.append(str(named))
    return chosen, tuple(unknown)


def _some_of(listed: list[ServerDetails]) -> str:
    more = len(listed) - MOST_NAMED
    names = [server.name for server in listed[:MOST_NAMED]] or ["none"]
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _why_left_out(
    server: ServerDetails, chosen: set[int], matching: set[int], selection: Selection
) -> str:
    if server.id not in chosen:
        return "not named in the event"
    if server.id not in matching:
        return f"does not match the label selector {selection.label_selector!r}"
    if server.labels.get(LABEL_ENABLED) == "false":
        return f"its label {LABEL_ENABLED} is false"
    return ""


def _handed_out(document: RunDocument, selected: list[ServerDetails]) -> RunDocument:
    batch = selected[:BATCH]
    at_a_time = document.run.servers_at_a_time
    document = replace(
        document,
        batch=tuple(
            asdict(replace(_with_labels(server), start_s=pacing.start_s(position, at_a_time)))
            for position, server in enumerate(batch)
        ),
        handed_out=tuple(server.id for server in batch),
        after_id=batch[-1].id if batch else document.after_id,
        remaining=len(selected) - len(batch),
        attempts=0,
        give_up_s=None,
    )
    return document.going("ready" if batch else "done")


def _with_labels(server: ServerDetails) -> Server:
    enabled, retention = server.labels.get(LABEL_ENABLED), server.labels.get(LABEL_RETENTION)
    problem = None
    if enabled not in (None, "true", "false"):
        problem = f"its label {LABEL_ENABLED} is {enabled!r}; write true or false"
    if retention is not None:
        try:
            parse_policy(retention)
        except BadPolicy as error:
            problem = f"its label {LABEL_RETENTION}: {error}"
    name = cut(server.name, NAME_BYTES)
    if problem:
        logger.warning(f"{server.name}: {problem}", extra={"server": server.name})
        return Server(server.id, name, None, cut(problem, PROBLEM_BYTES))
    return Server(server.id, name, retention)


def _waiting(document: RunDocument, reason: str, wait: Wait) -> RunDocument:
    document = _with_deadline(document)
    if document.overdue:
        minutes = document.run.lock_wait_minutes
        return _failed(document, f"the servers could not be listed for {minutes} min: {reason}")
    return _wait(document, reason, wait)


def _wait(document: RunDocument, reason: str, wait: Wait) -> RunDocument:
    seconds = min(wait.seconds, document.left_s)
    reason = wait.because(reason)
    until = document.watch.now and document.watch.now + timedelta(seconds=seconds)
    at = f"at {until:%H:%M:%S}Z " if until else ""
    logger.warning(
        f"asking for the servers again {at}(in {seconds} s): {reason}",
        extra={"wait_seconds": seconds, "until": format_time(until)},
    )
    return document.going("waiting", reason, seconds)


def _with_deadline(document: RunDocument) -> RunDocument:
    if document.give_up_s is None:
        return document.allow(document.run.lock_wait_minutes)
    return document


def _failed(document: RunDocument, reason: str) -> RunDocument:
    logger.error(f"No servers listed: {reason}")
    return document.going("failed", reason)


def _log(server: ServerDetails, why_not: str) -> None:
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
