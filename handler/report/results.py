"""A batch's results: one for each server handed out. Pure."""

from collections.abc import Iterator
from typing import Any

from handler.documents.document import Run
from handler.documents.job import Result, run_again
from handler.documents.run import RunDocument


def results_of(document: RunDocument, error: str) -> Iterator[Result]:
    """One result for each server handed out, also where the Map returned none."""
    run = document.run
    may = "" if run.dry_run or run.prune_only else "; a snapshot may have been started"
    unheard = dict.fromkeys(document.handed_out)
    for item in document.batch:
        if not isinstance(item, dict) or item.get("id") not in unheard:
            continue
        del unheard[item["id"]]
        if "name" in item:  # a server without a result, because the Map was broken off
            reason = f"the run broke off ({error}){may}. To retry, {run_again(run)}."
            yield Result(item["name"], item["id"], "failed", reason).fitted()
        elif "was" in item:
            yield _broken_off(item, run, may).fitted()
        else:
            yield Result(**item)
    for server_id in unheard:
        reason = f"its branch ended without a result{may}. To retry, {run_again(run)}."
        yield Result(f"server {server_id}", server_id, "failed", reason).fitted()


def _broken_off(item: dict[str, Any], run: Run, may: str) -> Result:
    """A child that ended in ServerFailed: because of a bug or wrong settings, not Hetzner."""
    server, server_id, error = item["server"], item["id"], item["error"]
    snapshot = item["snapshot"] or {}
    image_id = snapshot.get("image_id")
    if snapshot.get("available") and not run.dry_run:
        reason = f"made, not pruned: a function broke off ({error}), see its log lines"
        return Result(server, server_id, "available", reason, image_id, pruned=False)
    started = f"; snapshot {image_id} was started" if image_id else may
    reason = f"a function broke off ({error}), see its log lines{started}. To retry, "
    return Result(server, server_id, "failed", f"{reason}{run_again(run)}.", image_id)


def why_unlisted(document: RunDocument, error: str) -> str:
    """Why no servers could be listed; empty if they were."""
    if document.status == "failed":
        return document.reason
    if error and not document.handed_out:
        return f"ListServers broke off ({error}), see its log lines"
    return ""
