"""build/run.html and report.html: a page about a run, from its log lines, complete in itself."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from local.common.attention import advice, attention
from local.common.board import Board
from local.common.console import duration
from local.common.picture import KIND_WORDS, picture, words
from local.common.timeline import Timeline, timeline

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["duration"] = duration


def page(
    board: Board,
    clock_speed: float = 1,
    *,
    where: str = "",
    notes: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
) -> str:
    """The HTML. It loads no other file, and has no scripts.

    `clock_speed`: how many of Hetzner's seconds passed in one of the functions' own.
    `where`: SAM's options for the stack on AWS; empty if the run was on the local cloud.
    `notes`: what the reader must know first. `links`: address by text.
    """
    night = timeline(board.lines)
    record = board.record()
    concerns = attention(board)
    return TEMPLATES.get_template("page.html").render(
        record=record,
        several=len(board.projects) > 1,
        dry_run=board.dry_run,
        when=_when(night),
        clock_speed=clock_speed,
        where=where,
        notes=notes,
        links=links or {},
        totals=list(_totals(board, night)),
        attention=concerns,
        concerned={(each.project, each.server) for each in concerns},
        advice=list(advice(board)),
        kinds=_kinds(night),
        failed_actions=any(bar.failed_actions_s for bar in night.bars),
        # A dry run has no time to show.
        picture=picture(night) if night.bars and not board.dry_run else "",
        servers=sorted(record["servers"], key=_worst_first),
        left_out=[row for row in board.rows.values() if row.status == "left_out"],
    )


def _when(night: Timeline) -> str:
    if not night.began:
        return ""
    end = night.began + timedelta(seconds=night.end_s)
    until = f"{end:%H:%M:%S}" if end.date() == night.began.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"{night.began:%Y-%m-%d %H:%M:%S} to {until} UTC"


def _totals(board: Board, night: Timeline) -> list[tuple[str, str, str]]:
    """The figures at a glance: number, what it counts, how bad that is."""
    results = board.results.values()
    statuses = [result.get("status") for result in results]
    made = "planned" if board.dry_run else "pruned" if "pruned" in statuses else "made"
    good = sum(status in ("available", "planned", "pruned") for status in statuses)
    unpruned = sum(not r.get("pruned", True) and r.get("status") != "failed" for r in results)
    deleted = sum(result.get("deleted") or 0 for result in results)
    # As the summary counts it, if the results say.
    told = [result["lock_s"] for result in results if "lock_s" in result]
    locked = sum(told) if told else sum(bar.seconds("locked") for bar in night.bars)
    left_out = sum(row.status == "left_out" for row in board.rows.values())
    found = [
        (str(good), {"made": "snapshots made", "planned": "planned", "pruned": "pruned"}[made], ""),
        (str(statuses.count("failed")), "failed", "bad"),
        (str(unpruned), "made, not pruned", "bad"),
        (str(statuses.count("skipped")), "skipped", ""),
        (str(left_out), "left out", ""),
        (str(deleted), "would be deleted" if board.dry_run else "deleted", ""),
        (words(locked), "spent locked", ""),
    ]
    found += [tile for name in board.projects for tile in _stock(board.summaries.get(name, {}))]
    nothing = ("0", "0 s")
    return [tile for number, tile in enumerate(found) if number == 0 or tile[0] not in nothing]


def _stock(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Number, size and cost of a project's snapshots, if the summary has them."""
    stock = (summary.get("inventory") or {}).get("all") or {}
    if not stock.get("count"):
        return []
    cost = f", {stock['monthly']:.2f} {stock.get('currency')} a month" if "monthly" in stock else ""
    snapshots = f"in {stock['count']} snapshot{'' if stock['count'] == 1 else 's'}"
    return [(f"{stock.get('size_gb', 0):.0f} GB", snapshots + cost, "")]


def _kinds(night: Timeline) -> list[tuple[str, str]]:
    """For the legend: the kinds of time in this run."""
    there = {phase.kind for bar in night.bars for phase in bar.phases}
    return [(kind, text) for kind, text in KIND_WORDS.items() if kind in there]


def _worst_first(server: Mapping[str, Any]) -> tuple[Any, ...]:
    took = (server["waited_s"] or 0) + (server["snapshot_s"] or 0)
    return server["project"], server["status"] != "failed", -took, server["server"]
