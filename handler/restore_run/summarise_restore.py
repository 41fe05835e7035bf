"""SummariseRestore: the verdict on an execution's restores, logged and sent.

Whatever else it tells people may fail and changes no verdict. What is sent is sent last, and a
container remembers it, as in SummariseRun.
"""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import logger
from handler.aws.runtime import put_metrics, tell_settings
from handler.aws.settings import TellSettings
from handler.aws.telling import sent, tell_if_unreached, told_once
from handler.documents.document import parse_time
from handler.documents.restore import GOOD_ENDS, RestoreDocument
from handler.report import metrics, restore
from handler.report.links import execution_link, log_link
from handler.report.restore import Conclusion
from handler.report.summary import cause, rows

CAUSE_CHARACTERS = 4000


@logger.inject_lambda_context(clear_state=True, flush_buffer_on_uncaught_error=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    document = RestoreDocument.from_dict(event)
    logger.append_keys(run_id=document.run.id, project=document.run.project)
    error = str((event.get("error") or {}).get("Error", ""))
    settings = tell_settings()
    return told_once(
        event,
        lambda: summarise_restore(document, error, settings),
        lambda: tell_if_unreached(settings.topic_arn, settings.tell_parameter),
    )


def summarise_restore(
    document: RestoreDocument, error: str, settings: TellSettings
) -> dict[str, Any]:
    """The document with the verdict, its summary and the results.

    `error` is the name of the error with which PlanRestore or the Map ended, if any.
    """
    conclusion = restore.conclude(document, error)
    _log(document, conclusion)
    if not (document.run.dry_run or document.run.sweep):
        put_metrics(metrics.of_restore(document.run, conclusion.verdict))
    name: str = conclusion.verdict
    if not _notified(document, conclusion, settings):
        # The EventBridge rule on failed executions ignores our own verdicts, but not this one.
        name = f"{conclusion.verdict}.NotificationFailed"
    ended = replace(document, restores=()).moved_to(conclusion.verdict, document.reason)
    return ended.to_dict() | {
        "verdict": conclusion.verdict,
        "summary": conclusion.line,
        "results": [result.to_dict() for result in conclusion.results],
        "error": {
            "Error": name,
            "Cause": cause(conclusion.line, conclusion.below, CAUSE_CHARACTERS),
        },
    }


def _log(document: RestoreDocument, conclusion: Conclusion) -> None:
    """One line for each restore, the table of what needs attention, then the execution's line."""
    for result in conclusion.results:
        log = logger.info if result.status in GOOD_ENDS else logger.warning
        log(
            restore.sentence(result, document.run),
            extra={"server": result.server, "server_id": result.id, "restored": asdict(result)},
        )
    concerns = conclusion.below
    for rank, (row, concern) in enumerate(zip(rows(concerns), concerns, strict=True), start=1):
        log = logger.info if concern.what == "note" else logger.warning
        about = {"server": concern.server} if concern.server else {}
        log(row, extra={**about, "attention": {"rank": rank, **asdict(concern)}})
    log = logger.info if conclusion.verdict == "Completed" else logger.error
    facts = {"verdict": conclusion.verdict, "line": conclusion.line, "proven": conclusion.proven}
    log(conclusion.line, extra={"summary": facts})


def _notified(document: RestoreDocument, conclusion: Conclusion, settings: TellSettings) -> bool:
    """Whether SNS has accepted the notification, or none was due.

    What a sweep has removed was told as left: that it is gone is told, too. Of a server that is
    kept the message has its address and what is left to do: who asked in the console has no other.
    """
    run = document.run
    is_kept = run.keep and not run.dry_run
    is_news = run.sweep or is_kept or any(result.problem for result in conclusion.results)
    is_quiet = conclusion.verdict == "Completed" and not (is_news and conclusion.results)
    if is_quiet and not settings.notify_always:
        return True
    return sent(
        settings.topic_arn,
        lambda: (
            restore.subject(conclusion, run, settings.stack),
            restore.text(conclusion, run, _links(document, settings)),
        ),
    )


def _links(document: RestoreDocument, settings: TellSettings) -> dict[str, str]:
    run, arn, now = document.run, document.execution, datetime.now(UTC)
    began = parse_time(document.started) or now
    return {
        "The execution": execution_link(arn),
        "The log of it": log_link(arn, settings.log_group, run.id, run.project, began, now),
    }
