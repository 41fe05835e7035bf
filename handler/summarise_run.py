"""SummariseRun: fold a batch's results into the run's totals; after the last, give the verdict."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from document import Run
from hetzner import Hetzner, HetznerError
from inventory import Inventory, take_inventory
from job import Result, run_again
from run import RunDocument, Totals
from runtime import hetzner_for, logger

CAUSE_CHARACTERS = 4000


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    document = RunDocument.from_dict(event)
    logger.append_keys(run_id=document.run.id, project=document.run.project)
    error = str((event.get("error") or {}).get("Error", ""))
    return summarise_run(document, error, lambda: hetzner_for(document.run.project, context))


def summarise_run(
    document: RunDocument, error: str, connect: Callable[[], Hetzner]
) -> dict[str, Any]:
    """The document without the batch: status more, or the verdict with summary and error.

    `error` is the name of what the listing or the Map ended with, if it did not end by itself.
    """
    results = list(_results(document, error))
    for result in results:
        _log(result)
    unlisted = _why_unlisted(document, error)
    totals = document.totals.plus(results)
    document = replace(document, totals=totals, batch=(), handed_out=())
    if document.remaining and not unlisted:
        return document.going("more").to_dict()
    inventory = None if unlisted else _inventory(document.run, connect)
    return _end(document, unlisted, inventory)


def _results(document: RunDocument, error: str) -> Iterator[Result]:
    """One result for each server handed out, whatever the Map has given back."""
    run = document.run
    may = "" if run.dry_run or run.prune_only else "; a snapshot may have been started"
    unheard = dict.fromkeys(document.handed_out)
    for item in document.batch:
        if not isinstance(item, dict) or item.get("id") not in unheard:
            continue
        del unheard[item["id"]]
        if "name" in item:  # a server that the broken-off Map left without a result
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
    """A child that ended in ServerFailed: a bug or a broken configuration, not Hetzner."""
    server, server_id, error = item["server"], item["id"], item["error"]
    snapshot = item["snapshot"] or {}
    image_id = snapshot.get("image_id")
    if snapshot.get("available") and not run.dry_run:
        reason = f"made, not pruned: a function broke off ({error}), see its log lines"
        return Result(server, server_id, "available", reason, image_id, pruned=False)
    started = f"; snapshot {image_id} was started" if image_id else may
    reason = f"a function broke off ({error}), see its log lines{started}. To retry, "
    return Result(server, server_id, "failed", f"{reason}{run_again(run)}.", image_id)


def _why_unlisted(document: RunDocument, error: str) -> str:
    if document.status == "failed":
        return document.reason
    if error and not document.handed_out:
        return f"ListServers broke off ({error}), see its log lines"
    return ""


def _inventory(run: Run, connect: Callable[[], Hetzner]) -> Inventory | None:
    """What snapshots there are now; the verdict neither waits for it nor depends on it."""
    try:
        hetzner = connect()
        snapshots = hetzner.snapshots(run.owner)
        server_ids = {server.id for server in hetzner.servers()}
        inventory = take_inventory(snapshots, server_ids, hetzner.price())
    except HetznerError as error:
        logger.warning(f"The snapshots could not be counted: {error}")
        return None
    except Exception:
        logger.exception("The snapshots could not be counted")
        return None
    for snapshot in snapshots:
        if snapshot.server_id not in server_ids:
            logger.info(
                f"snapshot {snapshot.id} of {snapshot.created:%Y-%m-%d} ({snapshot.description}) "
                "is of a server that no longer exists; it is never deleted by itself",
                extra={"orphan": snapshot.id},
            )
    return inventory


def _end(document: RunDocument, unlisted: str, inventory: Inventory | None) -> dict[str, Any]:
    totals = document.totals
    if unlisted and document.remaining:
        unheard = f"{document.remaining} more servers: {unlisted}"
        totals = replace(
            totals,
            failed=totals.failed + document.remaining,
            attention=(unheard, *totals.attention),
        )
    verdict = verdict_of(totals, unlisted)
    line = summary_line(verdict, totals, document.run, unlisted)
    line += f"; {inventory}" if inventory else ""
    facts = {"verdict": verdict, "line": line, **asdict(totals)}
    facts["inventory"] = inventory and asdict(inventory)
    document = replace(document, totals=totals, remaining=0).going(verdict, unlisted)
    log = logger.info if verdict == "Completed" else logger.error
    log(line, extra={"summary": facts})
    return document.to_dict() | {
        "verdict": verdict,
        "summary": line,
        "error": {"Error": verdict, "Cause": _cause(line, totals)},
    }


def verdict_of(totals: Totals, unlisted: str = "") -> str:
    """Completed, PartiallyFailed or Failed, as Velero uses these words."""
    good = totals.servers - totals.failed
    if (unlisted or totals.failed) and not good:
        return "Failed"
    return "PartiallyFailed" if unlisted or totals.failed or totals.not_pruned else "Completed"


def summary_line(verdict: str, totals: Totals, run: Run, unlisted: str) -> str:
    """One line that a person can read, the same facts as in the summary's fields."""
    if unlisted and not totals.servers:
        return f"{verdict}: {unlisted}"
    everyone = totals.servers + totals.left_out
    if not everyone:
        return f"{verdict}: the project {run.project} has no servers"
    good = totals.available + totals.planned + totals.pruned
    counts = [
        f"{good} of {everyone} server{'s' if everyone > 1 else ''}",
        *_some(totals.skipped, "skipped"),
        *_some(totals.left_out, "left out"),
        *_some(totals.failed, "failed"),
        *_some(totals.not_pruned, "made but not pruned"),
    ]
    parts = [f"{verdict}: {', '.join(counts)}"]
    if run.dry_run:
        parts.append(f"dry run: nothing made or deleted, {totals.deleted} would be deleted")
    else:
        if totals.longest:
            waited = f", {_time(totals.longest_waited_s)} of it waiting"
            parts.append(f"longest {totals.longest} ({_time(totals.longest_s)}{waited})")
        parts.append(f"{totals.deleted} old snapshot{'' if totals.deleted == 1 else 's'} deleted")
    return "; ".join(parts)


def _some(count: int, word: str) -> list[str]:
    return [f"{count} {word}"] if count else []


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"


def _cause(line: str, totals: Totals) -> str:
    return "\n".join([line, *totals.attention])[:CAUSE_CHARACTERS]


def _log(result: Result) -> None:
    bad = result.status == "failed" or not result.pruned
    log = logger.warning if bad else logger.info
    log(
        str(result),
        extra={"server": result.server, "server_id": result.id, "result": asdict(result)},
    )
