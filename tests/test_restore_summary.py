"""What people are told of restores: the verdict, one line each, the message."""

from dataclasses import replace
from typing import Any

import pytest

from handler.aws import telling
from handler.aws.settings import TellSettings
from handler.documents.restore import Restore, RestoreDocument, RestoreResult
from handler.documents.restore_run import RestoreRun
from handler.report.restore import conclude, sentence, subject, text
from handler.restore_run import summarise_restore
from tests.test_restore_documents import RESTORE

RUN = RestoreRun("drill-1", "default", "me")
PROVEN = RestoreResult(
    "sg5", 1, "proven", 90016, "", 94, "cx23", "fsn1", "0.01 EUR", "0.0068 EUR", "drill-drill-1-1",
    probe="ssh", snapshot_created="2026-11-20T02:00:00Z",
)  # fmt: skip
UNPROVEN = replace(PROVEN, server="db-1", id=2, status="unproven", reason="it never greeted.")
SETTINGS = TellSettings(
    "stack", "/log", "arn:aws:sns:eu-central-1:123456789012:topic", False, "/tell"
)
ARN = "arn:aws:states:eu-central-1:123456789012:execution:RestoreRun:drill-1_default_0"


def document(*results: Any, status: str = "ready", **run: Any) -> RestoreDocument:
    said = tuple(r.to_dict() if isinstance(r, RestoreResult | Restore) else r for r in results)
    return RestoreDocument(
        run=replace(RUN, **run), status=status, restores=said, execution=ARN,
        started="2026-11-21T09:00:00Z",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("result", "run", "line"),
    [
        (PROVEN, RUN,
         "Proven: sg5, snapshot 90016 of 2026-11-20, greets on ssh 94 s after its start, "
         "cx23 in fsn1, removed, 0.01 EUR"),
        (replace(PROVEN, probe="ssh.2222"), RUN,
         "Proven: sg5, snapshot 90016 of 2026-11-20, greets on ssh port 2222 94 s after its start, "
         "cx23 in fsn1, removed, 0.01 EUR"),
        (replace(PROVEN, status="restored", probe="none"), RUN,
         "Restored: sg5, snapshot 90016 of 2026-11-20, runs 94 s after its start, not probed, "
         "cx23 in fsn1, removed, 0.01 EUR"),
        (UNPROVEN, RUN,
         "Unproven: db-1, snapshot 90016 of 2026-11-20, cx23 in fsn1, 0.01 EUR: it never greeted."),
        (replace(PROVEN, status="planned", cost=""), replace(RUN, dry_run=True),
         "Planned: sg5, snapshot 90016 of 2026-11-20, cx23 in fsn1, would be called "
         "drill-drill-1-1, 0.0068 EUR per hour net"),
        (replace(PROVEN, copy_id=70, address="127.0.0.9", cost=""), replace(RUN, keep=True),
         "Proven: sg5, snapshot 90016 of 2026-11-20, greets on ssh 94 s after its start, "
         "cx23 in fsn1, server 70 (drill-drill-1-1) at 127.0.0.9, 0.0068 EUR per hour net"),
        (RestoreResult("web", 3, "failed", reason="it has no good snapshot"), RUN,
         "Failed: web: it has no good snapshot"),
    ],
)  # fmt: skip
def test_one_line_for_each_restore(result: RestoreResult, run: RestoreRun, line: str) -> None:
    assert sentence(result, run) == line


@pytest.mark.parametrize(
    ("of", "error", "verdict", "line"),
    [
        (document(PROVEN), "", "Completed", "Completed: Proven: sg5"),
        (document(UNPROVEN), "", "Failed", "Failed: Unproven: db-1"),
        (document(PROVEN, UNPROVEN), "", "PartiallyFailed",
         "PartiallyFailed: 1 proven, 1 unproven"),
        (document(replace(PROVEN, status="skipped", reason="r")), "", "Failed", "Failed: Skipped"),
        (document(status="done"), "", "Completed", "Completed: nothing to do"),
        (document(status="failed"), "", "Failed", "Failed"),
        (document(status="new"), "States.Timeout", "Failed",
         "Failed: PlanRestore broke off (States.Timeout)"),
        # The Map broke off: nothing is known of what it had at hand.
        (document(RESTORE), "States.Timeout", "Failed",
         "Failed: sg5, snapshot 10: it broke off (States.Timeout)"),
    ],
)  # fmt: skip
def test_the_verdict(of: RestoreDocument, error: str, verdict: str, line: str) -> None:
    conclusion = conclude(of, error)
    assert conclusion.verdict == verdict
    assert conclusion.line.startswith(line)


def test_a_branch_that_broke_off_says_what_may_be_left() -> None:
    lost = {
        "server": "sg5", "id": 1, "status": "failed", "image_id": 10, "name": "drill-drill-1-1",
        "copy_id": 70, "keep": False, "outcome": "proven", "was": "removing", "error": "Lambda.X",
    }  # fmt: skip
    [result] = conclude(document(lost), "").results
    assert result.status == "failed"
    assert "Lambda.X" in result.reason and "before that: proven" in result.reason
    assert "If the server drill-drill-1-1 is still there" in result.reason
    [kept] = conclude(document(lost | {"keep": True}), "").results
    assert "behind its firewall" in kept.reason and "removes" not in kept.reason


def test_the_message_has_all_that_is_to_be_known_and_done() -> None:
    kept = replace(PROVEN, copy_id=70, name="sg5-again")
    of = document(kept, UNPROVEN, keep=True)
    conclusion = conclude(replace(of, notes=("web: it has no good snapshot",)), "")
    message = text(conclusion, of.run, {"The execution": "https://console"})
    assert message.startswith("PartiallyFailed: 1 proven, 1 unproven\n\nProven: sg5")
    assert "unproven: it never greeted." in message and "web: it has no good snapshot" in message
    command = (
        "hcloud firewall remove-from-resource --type server --server sg5-again "
        "hetzner-snapshots-me-isolation"
    )
    assert command in message
    # Without a firewall of its own it would be open to all from then on.
    assert message.index("firewalls first") < message.index(command)
    assert subject(conclusion, of.run, "stack") == (
        "stack: PartiallyFailed, restore, default, run drill-1"
    )


def test_a_reason_is_said_once() -> None:
    of = document(UNPROVEN)
    message = text(conclude(of, ""), of.run, {})
    assert message.count("it never greeted") == 1 and "Needs attention" not in message


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    subjects: list[str] = []

    class Topic:
        def publish(self, TopicArn: str, Subject: str, Message: str) -> None:
            subjects.append(Subject)

    monkeypatch.setattr(telling, "sns", Topic)
    monkeypatch.setattr(summarise_restore, "put_metrics", lambda lines: list(lines))
    return subjects


@pytest.mark.parametrize(
    ("of", "count"),
    [
        (document(PROVEN), 0),
        (document(UNPROVEN), 1),
        (document(replace(PROVEN, status="removed"), sweep=True), 1),
        (document(status="done", sweep=True), 0),
        # A copy that a person has taken costs money, however its restore ended.
        (document(replace(PROVEN, problem="Server 70 was left.")), 1),
        # Where it is and what is left to do, also to who has asked in the console.
        (document(replace(PROVEN, copy_id=70), keep=True), 1),
        (document(replace(PROVEN, status="planned"), keep=True, dry_run=True), 0),
    ],
)
def test_people_are_told_of_what_is_not_completed_swept_or_kept(
    sent: list[str], of: RestoreDocument, count: int
) -> None:
    summarise_restore.summarise_restore(of, "", SETTINGS)
    assert len(sent) == count


def test_the_answer_has_the_verdict_for_the_machine_and_the_results_for_its_callers(
    sent: list[str],
) -> None:
    answer = summarise_restore.summarise_restore(document(PROVEN, UNPROVEN), "", SETTINGS)
    assert answer["status"] == answer["verdict"] == answer["error"]["Error"] == "PartiallyFailed"
    assert answer["error"]["Cause"].startswith(answer["summary"])
    assert [each["server"] for each in answer["results"]] == ["sg5", "db-1"]


def test_a_message_that_cannot_be_sent_is_told_by_the_rule(monkeypatch: Any) -> None:
    monkeypatch.setattr(summarise_restore, "put_metrics", lambda lines: list(lines))
    monkeypatch.setattr(telling, "sns", lambda: None)
    answer = summarise_restore.summarise_restore(document(UNPROVEN), "", SETTINGS)
    assert answer["error"]["Error"] == "Failed.NotificationFailed"
    assert answer["verdict"] == "Failed"


def test_what_must_be_told_beside_a_proof_is_in_its_line() -> None:
    left = replace(PROVEN, reason="greets; Server 7 was left.", problem="Server 7 was left.")
    assert sentence(left, RUN).endswith(": Server 7 was left.")
