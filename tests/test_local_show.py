"""What a person reads of a run."""

import io

import pytest
from rich.console import Console

from local.board import Board
from local.commands import readable
from local.show import Show, duration, plain_console

LINES = [
    {"server": "web[1]", "status": "waiting", "reason": "[red]:x: locked", "waited_s": 90},
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
    shown.summary(board)
    return board


def test_without_a_terminal_each_change_is_a_line_and_nothing_is_taken_for_markup() -> None:
    text = io.StringIO()
    show(plain_console(text))
    assert text.getvalue().splitlines() == [
        "    0:00  web[1]           waiting: [red]:x: locked (waited 1:30)",
        "    0:00  old              left out: its label says so",
        "    0:00  web[1]           available (waited 1:30)",
        "",
        "web[1]           available  image 9001, took 1:00",
        "old              left out   its label says so",
        "",
        "Completed: 1 of 2 servers, 1 left out",
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
    Show(plain_console(text), clock_speed=60).summary(board)
    assert text.getvalue().splitlines()[1:4] == [
        "web              planned    would delete 1, keep 1",
        "                 keep       the new one  2026-11-21T02:00:00Z  daily 1",
        "                 delete     9001         2026-11-01T02:00:00Z  none",
    ]
    assert board.record()["servers"][0]["plan"] == [made, gone]


def test_on_a_terminal_there_is_one_table_with_a_row_for_each_server() -> None:
    text = io.StringIO()
    show(Console(file=text, force_terminal=True, width=100, height=30, color_system=None))
    assert "2 of 2 servers done" in text.getvalue()
    assert "left out" in text.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (312, "5:12"), (3725, "1:02:05")]
)
def test_durations_are_read_like_a_clock(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_log_lines_are_shown_short_and_the_platforms_as_they_are() -> None:
    line = '{"timestamp": "02:00", "level": "INFO", "project": "p", "server": "s", "message": "m"}'
    assert readable(line) == "02:00 INFO p/s m"
    assert readable("END RequestId: 1\n") == "END RequestId: 1"
