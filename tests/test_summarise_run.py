"""SummariseRun when something is missing: no lost verdict."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest

from handler.aws.settings import SummarySettings
from handler.documents.document import Stopwatch
from handler.documents.errors import TransientError
from handler.documents.run import RunDocument, Selection, Totals
from handler.hetzner.api import Hetzner
from handler.report import metrics
from handler.snapshot_run import summarise_run
from tests.documents import RUN

SETTINGS = SummarySettings(
    "stack", "/log/group", "arn:aws:sns:eu-central-1:123456789012:topic", False, "", 26, 0, "/tell"
)
NIGHT = RunDocument(
    run=replace(RUN, began="2026-11-21T02:00:00Z", server_count=600),
    selection=Selection(),
    status="done",
    execution="arn:aws:states:eu-central-1:123456789012:execution:machine:night_default_1",
    totals=Totals(available=500),
    stopwatch=Stopwatch(datetime(2026, 11, 21, 4, 0, tzinfo=UTC), 7200),
)
# The servers of the first batch are all made; then the listing of the second failed.
HALF = replace(NIGHT, status="failed", reason="the API stays down", remaining=100)


class Topic:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def publish(self, TopicArn: str, Subject: str, Message: str) -> None:
        self.messages.append(Message)


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    topic = Topic()
    monkeypatch.setattr("handler.aws.telling.sns", lambda: topic)
    return topic


def ended(
    monkeypatch: pytest.MonkeyPatch, document: RunDocument
) -> tuple[dict[str, Any], list[str]]:
    """What SummariseRun answers with Hetzner down, and the metrics it writes."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(summarise_run, "put_metrics", lines.extend)

    def down(project: str) -> Hetzner:
        def connect() -> NoReturn:
            raise TransientError("the API stays down")

        return Hetzner(connect, "/tokens/default")

    answer = summarise_run.summarise_run(document, "", down, SETTINGS)
    return answer, [name for line in lines for name in line]


def test_servers_that_were_never_handed_out_are_not_taken_for_saved(
    monkeypatch: pytest.MonkeyPatch, topic: Topic
) -> None:
    answer, _ = ended(monkeypatch, HALF)
    assert answer["verdict"] == "PartiallyFailed"
    answer, written = ended(monkeypatch, NIGHT)
    assert answer["verdict"] == "Completed"
    # How old the snapshots are is not known.
    assert metrics.COMPLETED in written and metrics.OLDEST not in written


def test_a_run_begun_before_an_update_keeps_its_verdict_and_is_told(
    monkeypatch: pytest.MonkeyPatch, topic: Topic
) -> None:
    answer, _ = ended(monkeypatch, replace(HALF, execution=""))
    assert answer["verdict"] == "PartiallyFailed"
    assert answer["error"]["Error"] == "PartiallyFailed"
    assert "100 more servers" in topic.messages[0]


def test_a_notification_that_cannot_be_written_changes_no_verdict(
    monkeypatch: pytest.MonkeyPatch, topic: Topic
) -> None:
    answer, _ = ended(monkeypatch, replace(HALF, execution="not an ARN"))
    assert answer["verdict"] == "PartiallyFailed"
    assert answer["error"]["Error"] == "PartiallyFailed.NotificationFailed"
    assert not topic.messages
