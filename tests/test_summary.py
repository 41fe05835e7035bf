"""What a person reads of a run: the line, the table, the notification. Golden."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from handler.decisions.findings import Findings
from handler.documents.document import Run
from handler.documents.run import MOST_ATTENTION, Concern, RunDocument, Selection, Totals
from handler.report import notification
from handler.report.advice import Advice
from handler.report.conclusion import conclude
from handler.report.summary import cause, rows, summary_line, verdict_of
from tests.documents import RUN

NIGHT = replace(RUN, id="20261121T020000Z")
CONCERNS = (
    Concern("failed", "db-1", "no snapshot made after 60 min: locked by rebuild_server"),
    Concern("made, not pruned", "web-12", "made, not pruned: its label hetzner-snapshots/x"),
    Concern("overdue", "sg5", "its newest good snapshot is 2.0 days old"),
    Concern("note", "git-1", "1 kept only by delete protection"),
)


@pytest.mark.parametrize(
    ("totals", "unlisted", "took_s", "verdict", "line"),
    [
        (
            Totals(available=41, left_out=1, deleted=17, longest="sg5", longest_s=690,
                   longest_lock_s=540, longest_lock="change_type"),
            "", 720, "Completed",
            "Completed: 41 of 42 servers, 1 left out by label; 41 made in 12 min, "
            "longest sg5 (9 min locked by change_type); 17 deleted",
        ),
        (
            Totals(available=3, adopted=2, longest="sg5", longest_s=690),
            "", 90, "Completed",
            "Completed: 3 of 3 servers; 3 made in 90 s, 2 of them taken over from an earlier "
            "attempt, longest sg5 (12 min); 0 deleted",
        ),
        (
            Totals(available=1, longest="sg5", longest_s=690, longest_lock_s=60),
            "", None, "Completed",
            "Completed: 1 of 1 server; 1 made, longest sg5 (60 s locked); 0 deleted",
        ),
        (
            Totals(available=2, failed=1, not_pruned=1, skipped=3, deleted=1),
            "", None, "PartiallyFailed",
            "PartiallyFailed: 2 of 6 servers, 3 skipped, 1 failed, 1 of those made not pruned; "
            "2 made; 1 deleted",
        ),
        (Totals(failed=2), "", 60, "Failed", "Failed: 0 of 2 servers, 2 failed; 0 deleted"),
        (Totals(pruned=2, deleted=7), "", 60, "Completed", "Completed: 2 of 2 servers; 7 deleted"),
        (Totals(skipped=1), "", 60, "Completed",
         "Completed: 0 of 1 server, 1 skipped; 0 deleted"),
        (
            Totals(available=4, not_due=3, left_out=2, deleted=1), "", 60, "Completed",
            "Completed: 4 of 9 servers, 3 not due, 2 left out by label; 4 made in 60 s; 1 deleted",
        ),
        (
            Totals(not_due=3, left_out=1), "", 60, "Completed",
            "Completed: nothing was due, 0 of 4 servers, 3 not due, 1 left out by label; 0 deleted",
        ),
        (Totals(failed=1, not_due=3), "", 60, "Failed",
         "Failed: 0 of 4 servers, 3 not due, 1 failed; 0 deleted"),
        (Totals(left_out=2), "", 60, "Completed",
         "Completed: 0 of 2 servers, 2 left out by label; 0 deleted"),
        (Totals(available=1, deleted=2, at_least=True), "", 60, "Completed",
         "Completed: 1 of 1 server; 1 made in 60 s; at least 2 deleted"),
        (Totals(available=1, gone_not_pruned=1), "", 60, "PartiallyFailed",
         "PartiallyFailed: 1 of 1 server; 1 made in 60 s; 0 deleted; "
         "snapshots of 1 gone server not pruned"),
        (Totals(available=1, gone_not_pruned=2), "", 60, "PartiallyFailed",
         "PartiallyFailed: 1 of 1 server; 1 made in 60 s; 0 deleted; "
         "snapshots of 2 gone servers not pruned"),
        (Totals(), "", None, "Completed", "Completed: the project default has no servers"),
        (Totals(), "no server nobody", None, "Failed", "Failed: no server nobody"),
        (Totals(available=400, failed=9), "API down", None, "PartiallyFailed",
         "PartiallyFailed: 400 of 409 servers, 9 failed; 400 made; 0 deleted"),
        (Totals(available=1), "API down", 119, "PartiallyFailed",
         "PartiallyFailed: 1 of 1 server; 1 made in 119 s; 0 deleted"),
        (Totals(available=1, failed=1), "", 120, "PartiallyFailed",
         "PartiallyFailed: 1 of 2 servers, 1 failed; 1 made in 2 min; 0 deleted"),
        (Totals(available=1, not_pruned=1), "", 3600, "PartiallyFailed",
         "PartiallyFailed: 1 of 1 server, 1 of those made not pruned; 1 made in 60 min; 0 deleted"),
    ],
)  # fmt: skip
def test_a_verdict_and_its_line(
    totals: Totals, unlisted: str, took_s: int | None, verdict: str, line: str
) -> None:
    run: Run = RUN
    assert verdict_of(totals, unlisted) == verdict
    assert summary_line(verdict, totals, run, unlisted, took_s) == line


def test_a_dry_runs_line_says_that_nothing_was_done() -> None:
    run = replace(RUN, dry_run=True)
    totals = Totals(planned=2, left_out=1, deleted=3)
    assert summary_line("Completed", totals, run, by_label=False) == (
        "Completed: 2 of 3 servers, 1 left out; "
        "dry run: nothing made or deleted, 3 would be deleted"
    )


def test_a_dry_run_of_pruning_speaks_of_deletions_only() -> None:
    run = replace(RUN, dry_run=True, prune_only=True)
    assert summary_line("Completed", Totals(planned=2, deleted=3), run) == (
        "Completed: 2 of 2 servers; dry run: nothing deleted, 3 would be deleted"
    )


def test_what_needs_attention_is_a_table_worst_first() -> None:
    totals = Totals().noting(*reversed(CONCERNS))
    assert rows(totals.attention) == [
        "  failed            db-1    no snapshot made after 60 min: locked by rebuild_server",
        "  made, not pruned  web-12  its label hetzner-snapshots/x",
        "  overdue           sg5     its newest good snapshot is 2.0 days old",
        "  note              git-1   1 kept only by delete protection",
    ]


def test_the_cause_of_a_red_execution_is_as_long_as_one_may_be() -> None:
    whole = f"Failed: 0 of 1 server\n{CONCERNS[0]}"
    assert cause("Failed: 0 of 1 server", CONCERNS[:1], 1000) == whole
    # Whole rows, so that none loses the advice at its end.
    most = len(whole) + len("and more: the log has all") + 1
    assert cause("Failed: 0 of 1 server", CONCERNS[:2], most) == (
        f"{whole}\nand more: the log has all"
    )
    assert cause("Failed: 0 of 1 server", CONCERNS[:1], 50) == (
        "Failed: 0 of 1 server\nand more: the log has all"
    )
    assert cause("Failed: 0 of 1 server", CONCERNS[:1], 8) == "Failed: "
    assert cause("Failed: 0 of 1 server", (), 8) == "Failed: "


def test_the_cause_has_all_rows_that_fit_with_the_hint_that_there_are_more() -> None:
    line, hint = "Failed: 0 of 1 server", "and more: the log has all"
    texts = [line, *map(str, CONCERNS)]
    for count in range(1, len(texts)):
        cut = "\n".join([*texts[:count], hint])
        room = len("\n".join([*texts[: count + 1], hint]))
        for characters in (len(cut), room - 1):
            assert cause(line, CONCERNS, characters) == cut
    assert cause(line, CONCERNS, room) == "\n".join(texts)


def test_a_failure_is_named_however_many_notes_there_are() -> None:
    notes = [Concern("note", f"server-{n}", "a note") for n in range(MOST_ATTENTION)]
    totals = Totals().noting(*notes).noting(CONCERNS[0])
    assert len(totals.attention) == MOST_ATTENTION
    assert totals.attention[0] == CONCERNS[0]


def test_a_notification_says_what_to_do_and_where_to_look() -> None:
    line = "PartiallyFailed: 7 of 8 servers, 1 failed; 7 made in 12 min; 3 deleted"
    advice = [Advice("To make only what is missing", {"run_id": NIGHT.id, "project": "default"})]
    text = notification.text(
        line, CONCERNS[:2], advice, {"The execution": "https://console.example/1"}
    )
    assert text == (
        "PartiallyFailed: 7 of 8 servers, 1 failed; 7 made in 12 min; 3 deleted\n"
        "\n"
        "Needs attention, worst first:\n"
        "  failed            db-1    no snapshot made after 60 min: locked by rebuild_server\n"
        "  made, not pruned  web-12  its label hetzner-snapshots/x\n"
        "\n"
        "To make only what is missing, start StartRun with\n"
        '  {"run_id": "20261121T020000Z", "project": "default"}\n'
        "\n"
        "The execution:\n"
        "  https://console.example/1\n"
    )


def test_a_notification_of_a_good_run_asks_for_nothing() -> None:
    line = "Completed: 8 of 8 servers"
    text = notification.text(line, (), (), {"The execution": "https://x"})
    assert text == "Completed: 8 of 8 servers\n\nThe execution:\n  https://x\n"


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("snapshots", "snapshots: PartiallyFailed, 1 of 8 failed, default, run 20261121T020000Z"),
        ("x" * 128, "x" * 100),
        ("naïve\n", "na?ve"),
    ],
)
def test_a_subject_is_what_sns_takes(stack: str, expected: str) -> None:
    subject = notification.subject("PartiallyFailed", Totals(available=7, failed=1), NIGHT, stack)
    assert subject.startswith(expected)
    assert len(subject) <= 100 and subject.isascii() and subject.isprintable()


@pytest.mark.parametrize(
    ("began", "said"),
    [
        ("2026-11-21T02:00:00Z", "1 made in 9 min"),
        # The answer that told when it began had a clock four hours off.
        ("2026-11-21T06:00:00Z", "1 made, longest"),
        ("2026-11-21T02:04:00Z", "1 made, longest"),
    ],
)
def test_a_time_that_is_shorter_than_its_longest_server_is_not_told(began: str, said: str) -> None:
    document = RunDocument(
        run=replace(NIGHT, began=began),
        status="done",
        selection=Selection(),
        totals=Totals(available=1, longest="sg5", longest_s=528),
    )
    now = datetime(2026, 11, 21, 2, 9, tzinfo=UTC)
    line = conclude(document, "", Findings([], None, now, None, True), 26).line
    assert line.startswith(f"Completed: 1 of 1 server; {said}")
