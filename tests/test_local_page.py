"""The page about a run: all that its log lines say, and nothing loaded from elsewhere."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from local.common.board import Board
from local.common.page import page
from local.common.picture import ordered, words
from local.common.timeline import Timeline, timeline
from local.simulator import Clock, Fault, Simulator, World
from local.simulator.faults import status
from local.virtual.template import Stack
from tests.aws import deployed
from tests.conftest import TOKEN
from tests.snapshots import ours

VOID = {"meta", "br", "hr", "img", "link", "input"}
EVIL = '<script src="//evil.example">1</script>&$x$'


@pytest.fixture(scope="module")
def night() -> Iterator[list[dict[str, Any]]]:
    """The log of a night with every kind of event, written by the real functions."""
    world = World(Clock(start=datetime(2026, 11, 21, 2, 0, tzinfo=UTC)), seed=1)
    project = world.project("default")
    project.add_token(TOKEN)
    servers = {name: project.add_server(name) for name in ("web-1", "sg5", "flaky", "held", EVIL)}
    project.add_server("mislabelled", {"hetzner-snapshots/retention": "sometimes"})
    project.add_server("scratch", {"hetzner-snapshots/enabled": "false"})
    for days in range(1, 6):
        ours(project, servers["web-1"], days)
    project.lock(servers["sg5"], command="change_type", seconds=600)
    project.lock(servers["held"], command="rebuild_server", seconds=None)
    project.next_action_fails(servers["flaky"], after_seconds=50)
    path = f"/servers/{servers['web-1'].id}/actions.*"
    world.faults.add(Fault(status(503, "unavailable"), method="GET", path=path, times=2))
    with (
        Simulator(world) as simulator,
        deployed(world.clock, Stack(HetznerEndpoint=simulator.url)) as aws,
    ):
        aws.store_token("default", TOKEN)
        aws.run({"scheduled_time": "2026-11-21T02:00:00Z"})
        yield aws.logs


def board_of(lines: list[dict[str, Any]], *projects: str) -> Board:
    run_id = next(line["run_id"] for line in lines if line.get("run_id"))
    board = Board(run_id, list(projects or ("default",)))
    for line in lines:
        board.add(line)
    return board


class Elements(HTMLParser):
    """What there is in a page, which must open and close its elements in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())
        if "tr" in self.open and self.rows[-1]:
            self.rows[-1][-1] += data


def rows(elements: Elements, *cells: int) -> list[tuple[str, ...]]:
    return [tuple(" ".join(row[cell].split()) for cell in cells) for row in elements.rows]


def widths(html: str) -> dict[str, float]:
    """How long each phase's bar is drawn, by its id."""
    found = re.findall(
        r'<g id="(phase-\d+-\d+)"><title>[^<]*</title>\s*<path d="M ([\d.]+) \S+ \nL ([\d.]+)', html
    )
    return {name: float(end) - float(start) for name, start, end in found}


def timeline_of(night: list[dict[str, Any]]) -> Timeline:
    return timeline(board_of(night).lines)


def test_every_selected_server_has_a_bar_whose_phases_add_up(night: list[dict[str, Any]]) -> None:
    found = timeline_of(night)
    assert {bar.server for bar in found.bars} == {
        *("web-1", "sg5", "flaky", "held", "mislabelled"),
        EVIL,
    }
    assert found.began and f"{found.began:%Y-%m-%d %H:%M}" == "2026-11-21 02:00"
    last = {line["server"]: line["elapsed_s"] for line in night if "elapsed_s" in line}
    for bar in found.bars:
        assert sum(phase.seconds for phase in bar.phases) == bar.end_s - bar.start_s
        assert bar.end_s - bar.start_s == last[bar.server] > 0
        assert all(a.end_s == b.start_s for a, b in zip(bar.phases, bar.phases[1:], strict=False))


def test_a_bar_says_what_its_servers_time_went_into(night: list[dict[str, Any]]) -> None:
    bars = {bar.server: bar for bar in timeline_of(night).bars}
    results = {line["result"]["server"]: line["result"] for line in night if "result" in line}
    assert bars["sg5"].seconds("locked") == results["sg5"]["waited_s"] > 0
    assert bars["sg5"].seconds("snapshotting") == results["sg5"]["snapshot_s"]
    assert {phase.kind for phase in bars["held"].phases} == {"locked"}
    assert bars["held"].seconds("locked") >= 3600
    assert [phase.kind for phase in bars["flaky"].phases][:2] == ["failed", "waiting"]
    assert len(bars["flaky"].failed_actions_s) == 1
    assert bars["web-1"].phases[0].kind == "waiting"
    assert "unavailable" in bars["web-1"].phases[0].reason
    assert bars["web-1"].deleted == results["web-1"]["deleted"] > 0
    assert [bar.server for bar in bars.values() if bar.bad] == ["held", "mislabelled"]


def test_bars_are_drawn_as_long_as_their_phases_lasted(night: list[dict[str, Any]]) -> None:
    board = board_of(night)
    bars = ordered(timeline(board.lines))
    lasted = {
        f"phase-{row}-{number}": phase.seconds
        for row, bar in enumerate(bars)
        for number, phase in enumerate(bar.phases)
    }
    found = widths(page(board))
    assert found.keys() == lasted.keys()
    scale = sum(found.values()) / sum(lasted.values())
    for name, width in found.items():
        assert width == pytest.approx(lasted[name] * scale, abs=0.01)


def test_the_page_has_verdict_attention_and_every_server(night: list[dict[str, Any]]) -> None:
    board = board_of(night)
    elements = Elements(page(board))
    text = " ".join(elements.texts)
    summary = board.summaries["default"]
    assert summary["verdict"] == "PartiallyFailed"
    assert summary["line"].partition(": ")[2] in text
    assert board.run_id in elements.texts
    head, held, mislabelled = rows(elements, 0, 1, 2)[:3]
    assert head == ("Server", "What", "Why, and what to do")
    assert held[:2] == ("held", "failed") and "locked by rebuild_server" in held[2]
    assert mislabelled[:2] == ("mislabelled", "made, not pruned") and "sometimes" in mislabelled[2]
    states = rows(elements, 0, 1)
    listed = dict(states[states.index(("Server", "Status")) + 1 :])
    made = dict.fromkeys(("web-1", "sg5", "flaky", "mislabelled", EVIL), "available")
    assert listed == made | {"held": "failed", "scratch": "left out"}
    assert f'{{"run_id": "{board.run_id}", "project": "default"}}' in elements.texts
    for name in ("web-1", "sg5", "flaky", "held", "mislabelled"):
        assert elements.texts.count(name) >= 2, "once in the picture, once in the table"


def test_the_page_loads_nothing_and_runs_nothing(night: list[dict[str, Any]]) -> None:
    html = page(board_of(night))
    elements = Elements(html)
    assert "script" not in {tag for tag, _, _ in elements.attributes}
    assert not {tag for tag, _, _ in elements.attributes} & {"link", "img", "iframe", "object"}
    for _, name, value in elements.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "srcset", "action", "data")
        if name.endswith("href"):
            assert value.startswith("#") and value[1:] in elements.ids
    style = "".join(re.findall(r"<style[^>]*>.*?</style>", html, re.DOTALL))
    assert "url(" not in style and "@import" not in style
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_names_are_shown_as_they_are_and_never_taken_for_html(night: list[dict[str, Any]]) -> None:
    html = page(board_of(night))
    assert "<script" not in html and "evil.example" in html
    elements = Elements(html)
    assert EVIL in elements.texts
    assert any(text.startswith('<script src="//evil') and text != EVIL for text in elements.texts)


def test_each_id_is_there_once_and_each_colour_is_one_of_the_pages(
    night: list[dict[str, Any]],
) -> None:
    html = page(board_of(night))
    elements = Elements(html)
    assert len(elements.ids) == len(set(elements.ids))
    svg = html[html.index("<svg") : html.index("</svg>")]
    defined = set(re.findall(r"(--[\w-]+):", html))
    assert set(re.findall(r"var\((--[\w-]+)\)", html)) <= defined
    # Any other colour would be unreadable in light or in dark mode.
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) == set()


def line(server: str, elapsed_s: int, state: str, reason: str = "", **more: Any) -> dict[str, Any]:
    now = datetime.fromtimestamp(1_795_226_400 + elapsed_s, UTC).isoformat()
    about = {"run_id": "r1", "project": "default", "server": server, "server_id": 1}
    return {**about, "status": state, "reason": reason, "elapsed_s": elapsed_s, "now": now, **more}


def test_a_resumed_run_shows_both_of_its_executions() -> None:
    later = "2026-11-21T05:00:00Z"
    [bar] = timeline(
        [
            line("web", 0, "waiting", "locked by change_type"),
            line("web", 60, "failed", "locked by change_type"),
            line("web", 0, "selected"),
            line("web", 0, "creating", now="2026-11-21T05:00:00Z"),
            line("web", 100, "available", now="2026-11-21T05:01:40Z"),
        ]
    ).bars
    first, second = bar.phases
    assert (first.kind, first.seconds) == ("locked", 60)
    assert (second.kind, second.seconds) == ("snapshotting", 100)
    began = datetime.fromtimestamp(1_795_226_400, UTC)
    assert second.start_s == (datetime.fromisoformat(later) - began).total_seconds()
    assert bar.status == "available"


def test_the_time_until_the_next_look_is_not_the_snapshots_own() -> None:
    result = {"server": "web", "id": 1, "status": "available", "snapshot_s": 74}
    about = {"run_id": "r1", "project": "default", "server": "web", "server_id": 1}
    [bar] = timeline(
        [
            line("web", 0, "waiting", "locked by change_type"),
            line("web", 30, "creating"),
            line("web", 220, "available"),
            line("web", 221, "available"),
            {**about, "result": result},
        ]
    ).bars
    assert [(phase.kind, phase.seconds) for phase in bar.phases] == [
        *(("locked", 30), ("snapshotting", 74)),
        *(("unseen", 116), ("pruning", 1)),
    ]


@pytest.mark.parametrize(
    ("snapshot_s", "adopted", "kinds"),
    [
        (100, False, [("locked", 30), ("snapshotting", 100), ("pruning", 1)]),
        (39, False, [("locked", 30), ("snapshotting", 39), ("unseen", 1), ("pruning", 1)]),
        (65, False, [("locked", 30), ("snapshotting", 40), ("pruning", 1)]),  # began meanwhile
        (100, True, [("locked", 30), ("snapshotting", 40), ("pruning", 1)]),
    ],
)
def test_a_snapshot_is_drawn_as_long_as_hetzner_says_though_the_clock_was_not_believed(
    snapshot_s: int, adopted: bool, kinds: list[tuple[str, int]]
) -> None:
    result = {"server": "web", "id": 1, "status": "available", "snapshot_s": snapshot_s}
    about = {"run_id": "r1", "project": "default", "server": "web", "server_id": 1}
    [bar] = timeline(
        [
            line("web", 0, "waiting", "locked by change_type"),
            line("web", 30, "creating"),
            line("web", 70, "available"),
            line("web", 71, "available"),
            {**about, "result": {**result, "adopted": adopted}},
        ]
    ).bars
    assert [(phase.kind, phase.seconds) for phase in bar.phases] == kinds
    assert bar.end_s == sum(seconds for _, seconds in kinds)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (162, "2 min 42 s"), (3604, "60 min 4 s"),
     (7200, "2 h"), (7325, "2 h 2 min 5 s")],
)  # fmt: skip
def test_times_in_the_picture_are_those_of_the_table(seconds: int, said: str) -> None:
    assert words(seconds) == said


def test_the_page_says_that_the_simulators_clock_counts_the_work_too(
    night: list[dict[str, Any]],
) -> None:
    told = " ".join(" ".join(Elements(page(board_of(night), 60)).texts).split())
    assert "that clock runs 60 times as fast" in told
    assert "looked at from 2026-11-21 02:00:00 to" in told
    assert "times as fast" not in page(board_of(night))


def test_a_run_that_saw_no_server_has_a_page_too() -> None:
    board = Board("r1", ["default"])
    verdict = {"verdict": "Failed", "line": "Failed: the token is wrong", "attention": []}
    board.add({"run_id": "r1", "project": "default", "summary": verdict})
    html = page(board)
    elements = Elements(html)
    assert "the token is wrong" in " ".join(elements.texts)
    assert "<svg" not in html
    # The summary says what would help: here nothing would.
    assert '{"run_id": "r1", "project": "default"}' not in elements.texts


def test_a_server_without_a_result_is_shown_with_what_was_last_known_of_it() -> None:
    board = Board("r1", ["default"])
    for each in (line("web", 0, "creating"), line("web", 40, "creating", "20 %")):
        board.add(each)
    elements = Elements(page(board))
    assert ("web", "no result", "its last line: creating, 20 %") in rows(elements, 0, 1, 2)
    assert widths(page(board)).keys() == {"phase-0-0"}


def test_a_dry_runs_page_says_what_would_be_and_offers_no_resuming() -> None:
    board = Board("r1", ["default"])
    decision = {"image_id": 7, "created": "2026-11-01T02:00:00Z", "keep": False, "reason": "old"}
    about = {"run_id": "r1", "project": "default"}
    result = {"server": "web", "id": 1, "status": "planned", "deleted": 1, "kept": 3}
    board.add(line("web", 0, "planned", "would be made now"))
    board.add({**about, "server": "web", "decision": decision})
    board.add({**about, "server": "web", "server_id": 1, "result": result})
    board.add({**about, "summary": {"verdict": "PartiallyFailed", "line": "PartiallyFailed: 1"}})
    assert "<svg" not in page(board)
    text = " ".join(" ".join(Elements(page(board)).texts).split())
    assert "nothing was made or deleted" in text
    assert "delete 7, 2026-11-01T02:00:00Z: old" in text
    assert "run_id" not in text


def test_what_the_summary_adds_is_taken_whatever_its_shape() -> None:
    without_result = {"what": "failed", "server": "", "reason": "40 more servers: the API is down"}
    items = [{"what": "odd", "server": "db"}, "a text", without_result]
    board = Board("r1", ["default"])
    summary = {"verdict": "Failed", "line": "Failed: x", "attention": items, "new": {"field": 1}}
    board.add({"run_id": "r1", "project": "default", "summary": summary})
    assert rows(Elements(page(board)), 0, 1, 2)[1:4] == [
        ("several", "failed", "40 more servers: the API is down"),
        ("", "note", "a text"),
        ("db", "odd", ""),
    ]


def test_a_hundred_servers_have_a_hundred_bars() -> None:
    board = Board("r1", ["one", "two"])
    for number in range(100):
        project = ("one", "two")[number % 2]
        about = {"project": project, "server_id": number}
        board.add(line(f"server-{number:03}", 0, "creating", **about))
        board.add(line(f"server-{number:03}", 60 + number, "available", **about))
    html = page(board)
    assert len(widths(html)) == 100
    assert "one/server-098" in Elements(html).texts
