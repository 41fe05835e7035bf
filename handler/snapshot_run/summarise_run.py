"""SummariseRun: add a batch's results to the run's totals; after the last, give the verdict.

Whatever else it tells people (figures, freshness, the notification) may fail and changes neither
verdict nor summary.

What is sent (metrics, the message) is sent last, when all that takes time is done, and a container
remembers it: an attempt that dies before has sent nothing, one whose answer is lost sends nothing
again. Only a new container after such a loss sends it twice, with the same words.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import logger
from handler.aws.runtime import hetzner_for, put_metrics, summary_settings
from handler.aws.settings import SummarySettings
from handler.aws.telling import sent, tell_if_unreached, told_once
from handler.decisions.findings import Findings, fallbacks, findings_of, sentences
from handler.decisions.inventory import fate_of
from handler.documents.document import parse_time
from handler.documents.errors import HetznerError
from handler.documents.job import Result
from handler.documents.resources import Snapshot
from handler.documents.run import RunDocument
from handler.documents.survey import Survey
from handler.hetzner.api import Hetzner
from handler.hetzner.survey import take_survey
from handler.report import metrics, notification
from handler.report.conclusion import Conclusion, conclude
from handler.report.links import execution_link, log_link
from handler.report.results import made_by_run, results_of, some_unknown, why_unlisted
from handler.report.summary import cause, rows

CAUSE_CHARACTERS = 4000

Connect = Callable[[str], Hetzner]


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    document = RunDocument.from_dict(event)
    logger.append_keys(run_id=document.run.id, project=document.run.project)
    error = str((event.get("error") or {}).get("Error", ""))
    settings = summary_settings()
    return told_once(
        event,
        lambda: summarise_run(
            document, error, lambda project: hetzner_for(project, context), settings
        ),
        lambda: tell_if_unreached(settings.topic_arn, settings.tell_parameter),
    )


def summarise_run(
    document: RunDocument, error: str, connect: Connect, settings: SummarySettings
) -> dict[str, Any]:
    """The document without the batch: status more, or the verdict with summary and error.

    `error` is the name of the error with which the listing or the Map ended, if any.
    """
    made = _made(document, connect) if some_unknown(document) else {}
    results = list(results_of(document, error, made))
    unlisted = why_unlisted(document, error)
    document = replace(document, totals=document.totals.plus(results), batch=(), handed_out=())
    if document.remaining and not unlisted:
        _tell_servers(document, results)
        return document.moved_to("more").to_dict()
    findings = None if unlisted else _findings(document, settings, connect)
    conclusion = conclude(
        document, unlisted, findings, settings.freshness_hours, settings.has_restores
    )
    _tell_servers(document, results, findings)
    if not document.run.dry_run:
        _put_metrics(document, conclusion)
    _log_conclusion(conclusion)
    name: str = conclusion.verdict
    if not _notified(document, conclusion, settings):
        # The EventBridge rule on failed executions ignores our own verdicts, but not this one.
        name = f"{conclusion.verdict}.NotificationFailed"
    document = replace(document, totals=conclusion.totals, remaining=0)
    return document.moved_to(conclusion.verdict, unlisted).to_dict() | {
        "verdict": conclusion.verdict,
        "summary": conclusion.line,
        "error": {
            "Error": name,
            "Cause": cause(conclusion.line, conclusion.below, CAUSE_CHARACTERS),
        },
    }


def _made(document: RunDocument, connect: Connect) -> dict[int, Snapshot]:
    """This run's available snapshots. None if that is not to be learned now."""
    run = document.run
    try:
        return made_by_run(run, connect(run.project).snapshots(run.owner))
    except HetznerError as error:
        logger.warning(f"What the broken-off branches have made is not known: {error}")
    except Exception:  # whatever it is, the verdict stands
        logger.exception("What the broken-off branches have made is not known")
    return {}


def _tell_servers(
    document: RunDocument, results: list[Result], findings: Findings | None = None
) -> None:
    said = fallbacks(findings)
    for result in results:
        _log_result(result, said.get(result.id, "") if result.status == "failed" else "")
    if not document.run.dry_run:
        put_metrics(metrics.of_servers(document.run, results))


def _findings(
    document: RunDocument, settings: SummarySettings, connect: Connect
) -> Findings | None:
    """None if the listings fail; without an inventory if only the price is not known.

    Never raises, never waits: the verdict does not depend on it.
    """
    run, selector = document.run, settings.label_selector
    try:
        survey = take_survey(connect(run.project), run.owner, selector, with_price=True)
    except HetznerError as error:
        logger.warning(f"The snapshots could not be counted: {run.project}: {error}")
        return None
    except Exception:  # whatever it is, the verdict stands
        logger.exception(f"The snapshots could not be counted: {run.project}")
        return None
    if survey.now is None:
        logger.warning("The snapshots could not be counted: no answer of Hetzner has a date")
        return None
    _log_orphans(survey, settings.orphan_days)
    if survey.price_error:
        logger.warning(
            "The snapshots could not be counted: what they cost is not known: " + survey.price_error
        )
    return findings_of(document, survey, selector, settings.orphan_days)


def _put_metrics(document: RunDocument, conclusion: Conclusion) -> None:
    run = document.run
    put_metrics(metrics.of_run(run, conclusion.verdict, conclusion.totals))
    put_metrics(metrics.of_project(run, conclusion.figures))


def _log_conclusion(conclusion: Conclusion) -> None:
    """Logs what needs attention, one line each, worst first; then the run's line."""
    concerns = conclusion.concerns
    for rank, (row, concern) in enumerate(zip(rows(concerns), concerns, strict=True), start=1):
        log = logger.info if concern.what == "note" else logger.warning
        about = {"server": concern.server} if concern.server else {}
        log(row, extra={**about, "attention": {"rank": rank, **asdict(concern)}})
    if not concerns:
        # For the dashboard.
        nothing = {"rank": 0, "what": "nothing", "server": "", "reason": ""}
        logger.info("Nothing needs attention.", extra={"attention": nothing})
    inventory = conclusion.findings.inventory if conclusion.findings else None
    facts = {"verdict": conclusion.verdict, "line": conclusion.line, **asdict(conclusion.totals)}
    facts["inventory"] = inventory and asdict(inventory)
    facts["advice"] = [asdict(each) for each in conclusion.advice]
    log = logger.info if conclusion.verdict == "Completed" else logger.error
    log(conclusion.line, extra={"summary": facts})


def _notified(document: RunDocument, conclusion: Conclusion, settings: SummarySettings) -> bool:
    """Whether SNS has accepted the notification, or none was due."""
    run, verdict = document.run, conclusion.verdict
    if verdict == "Completed" and not settings.notify_always:
        return True
    return sent(
        settings.topic_arn,
        lambda: (
            notification.subject(verdict, conclusion.totals, run, settings.stack),
            notification.text(
                conclusion.line,
                conclusion.below,
                conclusion.advice,
                _links(document, settings),
            ),
        ),
    )


def _links(document: RunDocument, settings: SummarySettings) -> dict[str, str]:
    run, arn = document.run, document.execution
    if not arn:  # of a run that was started before an update
        return {}
    began = parse_time(run.began) or document.stopwatch.now or datetime.now(UTC)
    return {
        "The execution, and in it the Map run with a child for each server": execution_link(arn),
        "The log of this run": log_link(
            arn, settings.log_group, run.id, run.project, began, datetime.now(UTC)
        ),
    }


def _log_orphans(survey: Survey, orphan_days: int) -> None:
    server_ids = {server.id for server in survey.servers}
    for snapshot in survey.snapshots:
        if snapshot.server_id not in server_ids:
            logger.info(
                f"snapshot {snapshot.id} of {snapshot.created:%Y-%m-%d} ({snapshot.description}) "
                f"is of a server that no longer exists; it is {fate_of(snapshot, orphan_days)}",
                extra={"orphan": snapshot.id},
            )


def _log_result(result: Result, last_good: str) -> None:
    bad = result.status == "failed" or not result.pruned
    log = logger.warning if bad else logger.info
    log(
        sentences(str(result), last_good) if last_good else str(result),
        extra={
            "server": result.server,
            "server_id": result.id,
            "result": asdict(result),
            "last_good": last_good,
        },
    )
