"""What a person reads of a run."""

import io
import re

import pytest
from rich.console import Console

from local.common.board import Board
from local.common.console import duration, plain_console
from local.common.last_screen import print_summary
from local.common.page import page
from local.show import Show

LINES = [
    {"server": "web[1]", "status": "selected", "reason": ""},
    {
        **{"server": "web[1]", "status": "waiting", "reason": "[red]:x: locked"},
        **{"wait_seconds": 30, "now": "2026-11-21T02:01:30Z", "elapsed_s": 90},
    },
    {"server": "old", "status": "left_out", "reason": "its label says so"},
    {"result": {"server": "web[1]", "status": "available", "image_id": 9001, "snapshot_s": 60}},
    {"summary": {"verdict": "Completed", "line": "Completed: 1 of 2 servers, 1 left out"}},
]


def show(console: Console) -> Board:
    board = Board("r1", ["default"])
    shown = Show(console, clock_speed=60)
    with shown.run(board):
        for line in LINES:
            if row := board.add({"run_id": "r1", "project": "default", **line}):
                shown.changed(row)
    print_summary(console, board)
    return board


def test_without_a_terminal_each_change_is_a_line_and_nothing_is_taken_for_markup() -> None:
    text = io.StringIO()
    show(plain_console(text))
    assert text.getvalue().splitlines() == [
        "    1:30  web[1]           waiting until 02:02:00Z: [red]:x: locked",
        "    0:00  old              left out: its label says so",
        "    1:30  web[1]           available",
        "",
        "Completed: 1 of 2 servers, 1 left out",
        "",
        "server  status     waited  took  deleted  kept  snapshot  note",
        "web[1]  available          1:00                 9001",
        "old     left out                                          its label says so",
        "",
    ]


def test_a_dry_runs_plan_is_shown_snapshot_by_snapshot() -> None:
    made = {"image_id": None, "created": "2026-11-21T02:00:00Z", "keep": True, "reason": "daily 1"}
    gone = {"image_id": 9001, "created": "2026-11-01T02:00:00Z", "keep": False, "reason": "none"}
    board = Board("r1", ["default"])
    for line in (
        {"server": "web", "decision": made},
        {"server": "web", "decision": gone},
        {"result": {"server": "web", "status": "planned", "deleted": 1, "kept": 1}},
        {"summary": {"verdict": "Completed", "line": "Completed: 1 of 1 server"}},
    ):
        board.add({"run_id": "r1", "project": "default", **line})
    text = io.StringIO()
    print_summary(plain_console(text), board)
    assert text.getvalue().splitlines()[3:7] == [
        "server  status   waited  took  would delete  would keep  snapshot     note",
        "web     planned                           1           1",
        "        keep                                             the new one  "
        "2026-11-21T02:00:00Z, daily 1",
        "        delete                                           9001         "
        "2026-11-01T02:00:00Z, none",
    ]
    assert board.record()["servers"][0]["plan"] == [made, gone]


def test_on_a_terminal_there_is_one_table_with_a_row_for_each_server() -> None:
    text = io.StringIO()
    show(Console(file=text, force_terminal=True, width=100, height=30, color_system=None))
    assert "2 of 2 servers done" in text.getvalue()
    assert "left out" in text.getvalue()


def test_on_a_narrow_terminal_a_note_is_below_its_row_and_no_word_is_cut() -> None:
    note = "1 kept only by delete protection and its label hetzner-snapshots/retention"
    board = Board("r1", ["default"])
    result = {"server": "a-server-with-a-name", "status": "available", "reason": note}
    line = "PartiallyFailed: 6 of 8 servers, " + "1 left out by label, " * 5
    advice = [{"what": "To go on", "event": {"run_id": "r1", "project": "default"}}]
    summary = {"verdict": "PartiallyFailed", "line": line, "advice": advice}
    for each in ({"result": result}, {"summary": summary}):
        board.add({"run_id": "r1", "project": "default", **each})
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80, color_system=None)
    print_summary(console, board)
    lines = text.getvalue().splitlines()
    assert f"    {note}" in [each.rstrip() for each in lines]
    assert '  {"run_id": "r1", "project": "default"}' in lines
    assert max(map(len, lines)) <= 80
    assert not [each for each in lines if each.startswith(("ft", "bel", "abel"))]
    wide = io.StringIO()
    print_summary(Console(file=wide, force_terminal=True, width=150, color_system=None), board)
    assert re.search(f"available .*{note}", wide.getvalue())


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (312, "5:12"), (3725, "1:02:05")]
)
def test_durations_are_read_like_a_clock(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_when_something_failed_the_worst_comes_first_and_the_end_says_how_to_go_on() -> None:
    board = Board("r1", ["default"])
    concerns = [{"what": "note", "server": "web", "reason": "1 protected"}]
    verdict = {"verdict": "PartiallyFailed", "line": "PartiallyFailed: 2", "attention": concerns}
    verdict["advice"] = [{"what": "To make what is missing", "event": {"run_id": "r1"}}]
    gone = "It has no good snapshot."
    for line in (
        {"result": {"server": "web", "status": "available", "reason": "1 protected", "kept": 3}},
        {"result": {"server": "db", "status": "available", "pruned": False, "reason": "odd"}},
        {
            "result": {
                "server": "sg5",
                "status": "failed",
                "reason": "still locked",
                "waited_s": 60,
            },
            "last_good": gone,
        },
        {"summary": verdict},
    ):
        board.add({"run_id": "r1", "project": "default", **line})
    text = io.StringIO()
    print_summary(plain_console(text), board)
    assert text.getvalue().splitlines() == [
        "",
        "PartiallyFailed: 2",
        "",
        "Needs attention:",
        "  sg5  failed            still locked. It has no good snapshot.",
        "  db   made, not pruned  odd",
        "  web  note              1 protected",
        "",
        "server  status     waited  took  deleted  kept  snapshot  note",
        "sg5     failed       1:00",
        "db      available",
        "web     available                            3",
        "",
        'To make what is missing, start StartRun with the event {"run_id": "r1"}',
        "",
    ]
    servers = {each["server"]: each for each in board.record()["servers"]}
    assert servers["sg5"]["last_good"] == gone and "last_good" not in servers["web"]
    assert page(board).count(f"still locked. {gone}") == 1


def test_the_error_of_a_whole_run_is_said_once_and_servers_left_out_are_counted() -> None:
    board = Board("r1", ["default"])
    concerns = [{"what": "failed", "server": "", "reason": "the token is wrong"}]
    verdict = {"verdict": "Failed", "line": "Failed: the token is wrong", "attention": concerns}
    for name in ("a", "b", "c", "d"):
        left_out = {"server": name, "status": "left_out", "reason": "not named in the event"}
        board.add({"run_id": "r1", "project": "default", **left_out})
    board.add({"run_id": "r1", "project": "default", "summary": verdict})
    text = io.StringIO()
    print_summary(plain_console(text), board)
    assert text.getvalue().count("the token is wrong") == 1
    assert "Needs attention" not in text.getvalue()
    assert re.search("^4 servers +left out +not named in the event$", text.getvalue(), re.M)


def test_of_a_big_fleet_the_screen_has_the_failed_and_some_of_the_others() -> None:
    board = Board("r1", ["default"])
    for number in range(100):
        status = "failed" if number == 99 else "available"
        result = {"server": f"server-{number:03}", "status": status}
        board.add({"run_id": "r1", "project": "default", "result": result})
    text = io.StringIO()
    print_summary(plain_console(text), board)
    assert "server-099  failed" in text.getvalue()
    assert "and 59 more that did not fail" in text.getvalue()
    assert len(text.getvalue().splitlines()) < 60
