"""SummariseRun: fold a batch's results into the run's totals; after the last, give the verdict."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from document import Run
from job import Result
from run import RunDocument, Totals
from runtime import logger

CAUSE_CHARACTERS = 4000


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    document = RunDocument.from_dict(event)
    logger.append_keys(run_id=document.run.id, project=document.run.project)
    error = event.get("error") or {}
    return summarise_run(document, str(error.get("Error", "")))


def summarise_run(document: RunDocument, error: str) -> dict[str, Any]:
    """The document without the batch: status more, or the verdict with summary and error.

    `error` is the name of what the listing or the Map ended with, if it did not end by itself.
    """
    results = list(_results(document, error))
    for result in results:
        _log(result)
    document = replace(document, totals=document.totals.plus(results), batch=())
    unlisted = _why_unlisted(document, error, had_batch=bool(results))
    if document.remaining and not unlisted:
        return document.going("more").to_dict()
    return _end(document, unlisted)


def _results(document: RunDocument, error: str) -> Iterator[Result]:
    again = f'Run again with {{"run_id": "{document.run.id}"}}.'
    for item in document.batch:
        if "name" in item:  # a server that the broken-off Map left without a result
            reason = f"the run broke off ({error}). {again}"
            yield Result(item["name"], item["id"], "failed", reason).fitted()
        elif "was" in item:
            yield _broken_off(item, document.run, again).fitted()
        else:
            yield Result(**item)


def _broken_off(item: dict[str, Any], run: Run, again: str) -> Result:
    """A child that ended in ServerFailed: a bug or a broken configuration, not Hetzner."""
    server, server_id, error = item["server"], item["id"], item["error"]
    image_id = item["snapshot"]["image_id"] if item["snapshot"] else None
    if image_id and item["was"] in ("available", "pruning") and not run.dry_run:
        reason = f"made, not pruned: a function broke off ({error}), see its log lines"
        return Result(server, server_id, "available", reason, image_id, pruned=False)
    started = f"; snapshot {image_id} was started" if image_id else ""
    reason = f"a function broke off ({error}), see its log lines{started}. {again}"
    return Result(server, server_id, "failed", reason, image_id)


def _why_unlisted(document: RunDocument, error: str, had_batch: bool) -> str:
    if document.status == "failed":
        return document.reason
    return f"ListServers broke off ({error}), see its log lines" if error and not had_batch else ""


def _end(document: RunDocument, unlisted: str) -> dict[str, Any]:
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
    document = replace(document, totals=totals, remaining=0).going(verdict, unlisted)
    log = logger.info if verdict == "Completed" else logger.error
    log(line, extra={"summary": {"verdict": verdict, "line": line, **asdict(totals)}})
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
        *_some(totals.failed, "failed"),
        *_some(totals.not_pruned, "made but not pruned"),
        *_some(totals.skipped, "skipped"),
        *_some(totals.left_out, "left out"),
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
