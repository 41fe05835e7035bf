"""ListServers: hand out the next batch of servers, from a complete listing or not at all."""

import random
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import pacing
from hetzner import Hetzner, HetznerError, ServerDetails, Trouble, Unauthorized
from job import LABEL_ENABLED, LABEL_RETENTION, Server
from retention import BadPolicy, parse_policy
from run import BATCH, RunDocument, Selection
from runtime import hetzner_for, logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    document = RunDocument.from_dict(event)
    logger.append_keys(run_id=document.run.id, project=document.run.project)
    return list_servers(document, hetzner_for(document.run.project), random.random).to_dict()


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
        return _waiting(document.after(hetzner), str(trouble), spread())
    except Unauthorized as error:
        return _failed(document.after(hetzner), f"{error}. Check or replace that token.")
    except HetznerError as error:
        selector = document.selection.label_selector
        hint = f" Check the label selector {selector!r}." if selector else ""
        return _failed(document.after(hetzner), f"{error}.{hint}")
    document = document.after(hetzner)
    if unknown := _unknown(document.selection, listed):
        names = ", ".join(str(name) for name in unknown)
        return _failed(
            document, f"no server {names} in this project. Check the event's field servers."
        )
    return _next_batch(document, listed, {server.id for server in matching})


def _next_batch(
    document: RunDocument, listed: list[ServerDetails], matching: set[int]
) -> RunDocument:
    first = document.after_id == 0
    selected: list[ServerDetails] = []
    left_out = 0
    for server in sorted(listed, key=lambda s: s.id):
        if server.id <= document.after_id:
            continue
        why_not = _why_left_out(server, document.selection, matching)
        if why_not:
            left_out += 1
        else:
            selected.append(server)
        if first:
            _log(server, why_not)
    if first:
        document = replace(document, totals=replace(document.totals, left_out=left_out))
        if listed and not selected:
            return _failed(
                document,
                f"none of the {len(listed)} servers is selected; the log says why for each. "
                "Check the event, the label selector and the servers' labels.",
            )
    batch = selected[:BATCH]
    document = replace(
        document,
        batch=tuple(asdict(_handed_out(server)) for server in batch),
        after_id=batch[-1].id if batch else document.after_id,
        remaining=len(selected) - len(batch),
        attempts=0,
        give_up_s=None,
    )
    return document.going("ready" if batch else "done")


def _unknown(selection: Selection, listed: list[ServerDetails]) -> list[str | int]:
    names, ids = {server.name for server in listed}, {server.id for server in listed}
    return [s for s in selection.servers if s not in names and _as_id(s) not in ids]


def _why_left_out(server: ServerDetails, selection: Selection, matching: set[int]) -> str:
    # A string is a name first: a server may be named 42.
    if selection.servers and not any(s in (server.name, server.id) for s in selection.servers):
        by_digits = {_as_id(s) for s in selection.servers if isinstance(s, str)}
        if server.id not in by_digits:
            return "not named in the event"
    if server.id not in matching:
        return f"does not match the label selector {selection.label_selector!r}"
    if server.labels.get(LABEL_ENABLED) == "false":
        return f"its label {LABEL_ENABLED} is false"
    return ""


def _as_id(named: str | int) -> int | None:
    if isinstance(named, int):
        return named
    return int(named) if named.isascii() and named.isdecimal() else None


def _handed_out(server: ServerDetails) -> Server:
    enabled, retention = server.labels.get(LABEL_ENABLED), server.labels.get(LABEL_RETENTION)
    problem = None
    if enabled not in (None, "true", "false"):
        problem = f"its label {LABEL_ENABLED} is {enabled!r}; write true or false"
    if retention is not None:
        try:
            parse_policy(retention)
        except BadPolicy as error:
            problem = f"its label {LABEL_RETENTION}: {error}"
    return Server(server.id, server.name, retention, problem)


def _waiting(document: RunDocument, reason: str, spread: float) -> RunDocument:
    if document.give_up_s is None:
        document = document.allow(document.run.lock_wait_minutes)
    if document.overdue:
        minutes = document.run.lock_wait_minutes
        return _failed(document, f"the servers could not be listed for {minutes} min: {reason}")
    seconds = min(pacing.in_trouble(document.attempts, spread), document.left_s)
    logger.warning(f"asking again in {seconds} s: {reason}", extra={"wait_seconds": seconds})
    return document.going("waiting", reason, seconds)


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
