"""SummariseRun: fold a batch's results into the run's totals; after the last, give the verdict.

Whatever else it tells people (figures, freshness, the notification) may fail and changes neither
verdict nor summary.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

import metrics
import notification
from afterwards import Findings, concerns_of, everywhere_since, look, with_last_good
from document import parse_time
from hetzner import Hetzner
from job import Result
from links import execution_link, log_link
from results import results_of, why_unlisted
from run import Concern, RunDocument, Totals
from runtime import hetzner_for, logger, put_metrics, sns, summary_settings
from settings import SummarySettings
from summary import cause, rows, summary_line, verdict_of

CAUSE_CHARACTERS = 4000


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    document = RunDocument.from_dict(event)
    logger.append_keys(run_id=document.run.id, project=document.run.project)
    error = str((event.get("error") or {}).get("Error", ""))
    return summarise_run(
        document, error, lambda project: hetzner_for(project, context), summary_settings()
    )


def summarise_run(
    document: RunDocument,
    error: str,
    connect: Callable[[str], Hetzner],
    settings: SummarySettings,
) -> dict[str, Any]:
    """The document without the batch: status more, or the verdict with summary and error.

    `error` is the name of what the listing or the Map ended with, if it did not end by itself.
    """
    results = list(results_of(document, error))
    for result in results:
        _log(result)
    if not document.run.dry_run:
        put_metrics(metrics.of_servers(document.run, results))
    unlisted = why_unlisted(document, error)
    totals = document.totals.plus(results)
    document = replace(document, totals=totals, batch=(), handed_out=())
    if document.remaining and not unlisted:
        return document.going("more").to_dict()
    findings = None if unlisted else look(document, settings, connect)
    since = everywhere_since(document, findings, settings, connect)
    return _end(document, unlisted, findings, since, settings)


def _end(
    document: RunDocument,
    unlisted: str,
    findings: Findings | None,
    since: datetime | None,
    settings: SummarySettings,
) -> dict[str, Any]:
    run, totals = document.run, document.totals
    if unlisted and document.remaining:
        reason = f"{document.remaining} more servers: {unlisted}"
        totals = replace(totals, failed=totals.failed + document.remaining)
        totals = totals.noting(Concern("failed", "", reason))
    elif unlisted:
        totals = totals.noting(Concern("failed", "", unlisted))
    totals = totals.noting(*concerns_of(document, findings, settings))
    concerns = with_last_good(list(totals.attention), findings)
    concerns += _unnamed(totals, document.remaining if unlisted else 0)
    verdict = verdict_of(totals, unlisted)
    inventory = findings.inventory if findings else None
    began, now = parse_time(run.began), findings.now if findings else None
    took_s = int((now - began).total_seconds()) if now and began else None
    by_label = not document.selection.servers
    line = summary_line(verdict, totals, run, unlisted, took_s, by_label)
    line += f"; {inventory}" if inventory else ""
    if not run.dry_run:
        put_metrics(metrics.of_run(run, verdict, totals))
        if findings:
            put_metrics(metrics.of_project(run, _figures(findings)))
        if since:
            put_metrics(
                metrics.all_saved(run, since, now or document.watch.now or datetime.now(UTC))
            )
    _log_attention(concerns)
    # What the line says already is not said again below it.
    below = [concern for concern in concerns if concern.reason not in line]
    facts = {"verdict": verdict, "line": line, **asdict(totals)}
    facts["inventory"] = inventory and asdict(inventory)
    log = logger.info if verdict == "Completed" else logger.error
    log(line, extra={"summary": facts})
    name: str = verdict
    if (verdict != "Completed" or settings.notify_always) and not _told(
        document, verdict, line, totals, below, settings
    ):
        # The rule on the execution's status passes over our own verdicts, but not over this one.
        name = f"{verdict}.NobodyWasTold"
    document = replace(document, totals=totals, remaining=0).going(verdict, unlisted)
    return document.to_dict() | {
        "verdict": verdict,
        "summary": line,
        "error": {"Error": name, "Cause": cause(line, below, CAUSE_CHARACTERS)},
    }


def _figures(findings: Findings) -> dict[str, float | None]:
    inventory = findings.inventory
    return {
        metrics.STORED: inventory.all.size_gb if inventory else None,
        metrics.COST: inventory.all.monthly if inventory else None,
        metrics.ORPHANS: inventory.orphans.count if inventory else None,
        metrics.OLDEST: findings.oldest_hours if findings.of_all else None,
        metrics.REQUESTS_LEFT: findings.requests_left,
    }


def _unnamed(totals: Totals, remaining: int) -> list[Concern]:
    """How many more there were than the table has room for."""
    named = sum(
        c.what in ("failed", "made, not pruned") and bool(c.server) for c in totals.attention
    )
    count = totals.failed + totals.not_pruned - remaining - named
    reason = f"{count} more failed or were not pruned: each has a line of its own in the log"
    return [Concern("note", "", reason)] if count > 0 else []


def _told(
    document: RunDocument,
    verdict: str,
    line: str,
    totals: Totals,
    concerns: list[Concern],
    settings: SummarySettings,
) -> bool:
    """Whether the notification has been taken."""
    run = document.run
    try:
        sns().publish(
            TopicArn=settings.topic_arn,
            Subject=notification.subject(verdict, totals, run, settings.stack),
            Message=notification.text(verdict, line, concerns, run, _links(document, settings)),
        )
    except (BotoCoreError, ClientError) as error:
        logger.error(f"The notification could not be sent to {settings.topic_arn}: {error}")
        return False
    except Exception:  # whatever it is, the verdict stands
        logger.exception("The notification could not be written")
        return False
    return True


def _links(document: RunDocument, settings: SummarySettings) -> dict[str, str]:
    run, arn = document.run, document.execution
    if not arn:  # of a run that was started before an update
        return {}
    began = parse_time(run.began) or document.watch.now or datetime.now(UTC)
    return {
        "The execution, and in it the Map run with a child for each server": execution_link(arn),
        "The log of this run": log_link(
            arn, settings.log_group, run.id, run.project, began, datetime.now(UTC)
        ),
    }


def _log_attention(concerns: list[Concern]) -> None:
    """One line each, worst first; if there is nothing one that says so, for the dashboard."""
    for rank, (row, concern) in enumerate(zip(rows(concerns), concerns, strict=True), start=1):
        log = logger.info if concern.what == "note" else logger.warning
        about = {"server": concern.server} if concern.server else {}
        log(row, extra={**about, "attention": {"rank": rank, **asdict(concern)}})
    if not concerns:
        nothing = {"rank": 0, "what": "nothing", "server": "", "reason": ""}
        logger.info("Nothing needs attention.", extra={"attention": nothing})


def _log(result: Result) -> None:
    bad = result.status == "failed" or not result.pruned
    log = logger.warning if bad else logger.info
    log(
        str(result),
        extra={"server": result.server, "server_id": result.id, "result": asdict(result)},
    )
