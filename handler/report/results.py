"""A batch's results: one for each server handed out. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from handler.documents.document import Run, parse_time
from handler.documents.job import STATUSES, Result, run_again
from handler.documents.reading import known
from handler.documents.resources import Snapshot
from handler.documents.run import RunDocument

CAUSE_CHARACTERS = 60  # of Step Functions' error: a result has little room
# A function that broke off in one of these may have been pruning, and have deleted something.
MAY_HAVE_DELETED = ("available", "due", "pruning")


def results_of(
    document: RunDocument, error: str, made: Mapping[int, Snapshot] | None = None
) -> Iterator[Result]:
    """One result for each server handed out, whatever the Map has given back.

    `made`: this run's available snapshots by server, looked up because some have no result.
    """
    run, made = document.run, made or {}
    missing: dict[int, dict[str, Any]] = {server_id: {} for server_id in document.handed_out}
    batch: tuple[Any, ...] = document.batch
    for position, item in enumerate(batch):
        if not isinstance(item, dict):
            continue
        if "id" not in item:  # what Step Functions gives for a child that has failed
            server_id = _whose(item, position, document)
            if server_id in missing:
                missing[server_id] = item
            continue
        if item["id"] not in missing:
            continue
        del missing[item["id"]]
        if item["id"] in document.gone:
            yield _gone(item["id"], item, run, error)
        elif _is_result(item):
            yield _own(item, run, made.get(item["id"]))
        else:
            yield _broken_off(item, error, run, made.get(item["id"]))
    for server_id, item in missing.items():
        if server_id in document.gone:
            yield _gone(server_id, item, run, error)
            continue
        yield _without_result(server_id, item, run, made.get(server_id))


def made_by_run(run: Run, snapshots: Iterable[Snapshot]) -> dict[int, Snapshot]:
    """The available snapshots of a run, by server."""
    return {
        snapshot.server_id: snapshot
        for snapshot in snapshots
        if snapshot.is_available and snapshot.server_id and run.made(snapshot)
    }


def some_unknown(document: RunDocument) -> bool:
    """Whether a server handed out has no result of its own: Hetzner knows what it has."""
    own = {
        item.get("id")
        for item in document.batch
        if isinstance(item, dict) and _is_result(item) and item.get("status") in STATUSES
    }
    run = document.run
    unknown = set(document.handed_out) - own - set(document.gone)
    return bool(unknown) and not (run.dry_run or run.prune_only)


def _is_result(item: dict[str, Any]) -> bool:
    """A server's own result; not the item that it began as, nor what ServerFailed gives."""
    return ("status" in item or "server" in item) and "was" not in item


def _whose(item: dict[str, Any], position: int, document: RunDocument) -> int | None:
    """The server of a failed child: by its input, or by its place, which is its item's."""
    server_id = _input_of(item).get("id")
    if isinstance(server_id, int):
        return server_id
    in_place = len(document.batch) == len(document.handed_out)
    return document.handed_out[position] if in_place else None


def _input_of(item: dict[str, Any]) -> dict[str, Any]:
    try:
        child: Any = item.get("Input")
        server = (json.loads(child) if isinstance(child, str) else child)["server"]
        return server if isinstance(server, dict) else {}
    except (ValueError, KeyError, TypeError):
        return {}


def _own(item: dict[str, Any], run: Run, made: Snapshot | None) -> Result:
    """A server's result as its child gave it, perhaps one of another version of ours."""
    # What is not told may be bad.
    least = {"server": f"server {item['id']}", "status": "?"}
    result = Result(**known(Result, {**least, **item}))
    if item.get("pruned") is None:
        result = replace(
            result, pruned=False, reason=result.reason or "perhaps not pruned"
        ).fitted()
    result = replace(result, at_least=result.at_least or item.get("deleted") is None)
    if result.status in STATUSES:
        return result
    ended = f"it ended as {result.status}, which this version does not know."
    if made:
        reason = f"made, not pruned: {ended}"
        there = replace(result, status="available", reason=reason, image_id=made.id, pruned=False)
        return there.fitted()
    failed = Result(result.server, result.id, "failed", ended, at_least=True)
    return failed.fitted(_retry(run, result.id))


def _broken_off(item: dict[str, Any], error: str, run: Run, made: Snapshot | None) -> Result:
    """A child that ended in ServerFailed (a bug or a broken configuration, not Hetzner), or a
    server that the broken-off Map left without a result."""
    snapshot = item.get("snapshot") or {}
    image_id = snapshot.get("image_id")
    known_by_child = bool(snapshot.get("available")) and not run.dry_run
    name = str(item.get("server") or item.get("name") or f"server {item['id']}")
    facts: dict[str, Any] = {
        "deleted": item.get("deleted") or 0,
        "lock_s": item.get("lock_s") or 0,
        "lock": item.get("lock") or "",
        "at_least": not run.dry_run and item.get("was", "pruning") in MAY_HAVE_DELETED,
    }
    if "was" in item:
        broke_off = f"a function broke off ({item.get('error')}), see its log lines"
    else:
        broke_off = f"the run broke off ({error})"
    if made or known_by_child:
        reason = f"made, not pruned: {broke_off}"
        facts["adopted"] = bool(item.get("adopted")) or _is_older(made, run)
        image_id = made.id if made else image_id
        return Result(
            name, item["id"], "available", reason, image_id, pruned=False, **facts
        ).fitted()
    started = f"; snapshot {image_id} was started" if image_id else _may(run)
    failed = Result(name, item["id"], "failed", f"{broke_off}{started}.", image_id, **facts)
    return failed.fitted(_retry(run, item["id"]))


def _without_result(
    server_id: int, item: dict[str, Any], run: Run, made: Snapshot | None
) -> Result:
    """A child that Step Functions itself has ended; with the error it gives, if it gives one."""
    name = str(_input_of(item).get("name") or f"server {server_id}")
    said = ": ".join(str(item[part]) for part in ("Error", "Cause") if item.get(part))
    ended = "its branch ended without a result"
    why = f" ({said[:CAUSE_CHARACTERS]})" if said else ""
    at_least = not run.dry_run
    if made:
        reason, adopted = f"made, not pruned: {ended}{why}", _is_older(made, run)
        return Result(
            name, server_id, "available", reason, made.id,
            pruned=False, adopted=adopted, at_least=at_least,
        ).fitted()  # fmt: skip
    failed = Result(name, server_id, "failed", f"{ended}{_may(run)}{why}.", at_least=at_least)
    return failed.fitted(_retry(run, server_id))


def _gone(server_id: int, item: dict[str, Any], run: Run, error: str) -> Result:
    """A server that is gone: its own result, or that nobody knows how its pruning has ended. The
    next run looks again."""
    if _is_result(item) and item.get("status") in STATUSES:
        return replace(_own(item, run, None), gone=True)
    name = item.get("server") or item.get("name") or _input_of(item).get("name")
    said = str(item.get("error") or item.get("Error") or error or "without a result")
    return Result(
        str(name or f"server {server_id}"), server_id, "failed",
        f"not pruned: its branch broke off ({said[:CAUSE_CHARACTERS]}), see the log lines",
        deleted=item.get("deleted") or 0,
        at_least=not run.dry_run and item.get("was", "pruning") in MAY_HAVE_DELETED,
        gone=True,
    ).fitted()  # fmt: skip


def _retry(run: Run, server_id: int) -> str:
    return f"To retry, {run_again(run, server_id)}."


def _may(run: Run) -> str:
    return "" if run.dry_run or run.prune_only else "; a snapshot may have been started"


def _is_older(made: Snapshot | None, run: Run) -> bool:
    """Whether an earlier attempt has made it."""
    began: datetime | None = parse_time(run.began)
    return bool(made and began and made.created < began)


def why_unlisted(document: RunDocument, error: str) -> str:
    """Why no servers could be listed; empty if they were."""
    if document.status == "failed":
        return document.reason or "the servers could not be listed, and why is not told"
    if error and not document.handed_out:
        return f"ListServers broke off ({error}), see its log lines"
    if not document.handed_out and document.status != "done":
        return f"ListServers ended as {document.status or '?'}, which this version does not know"
    return ""
