"""What in a run needs a person's attention, and what to do about it: pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from handler.decisions.findings import sentences
from handler.report.advice import MAKE_MISSING
from local.common.board import Board

NOT_PRUNED = "made, not pruned"
# In the summary's order, plus what a summary cannot hold.
WORST_FIRST = ("failed", "no result", NOT_PRUNED, "overdue", "note")


@dataclass(frozen=True, slots=True)
class Attention:
    """`server` is empty if it concerns several."""

    project: str
    server: str
    what: str
    reason: str


def attention(board: Board) -> list[Attention]:
    """Worst first. The summary names only some; the results name every server that failed."""
    found = list(_from_results(board))
    known = {(each.project, each.server, each.what) for each in found}
    for project, summary in board.summaries.items():
        for item in summary.get("attention") or ():
            each = _from_summary(project, item)
            # Why the whole run failed is in its verdict's line.
            told = not each.server and each.reason in str(summary.get("line"))
            if not told and (each.project, each.server, each.what) not in known:
                found.append(each)
    rank = {what: number for number, what in enumerate(WORST_FIRST)}
    return sorted(found, key=lambda each: rank.get(each.what, len(rank)))


def _from_results(board: Board) -> Iterator[Attention]:
    for (project, server), result in sorted(board.results.items()):
        reason = str(result.get("reason") or "")
        if result.get("status") == "failed":
            last_good = str(result.get("last_good") or "")
            told = sentences(reason, last_good) if last_good else reason
            yield Attention(project, server, "failed", told)
        elif not result.get("pruned", True):
            yield Attention(project, server, NOT_PRUNED, reason.removeprefix(f"{NOT_PRUNED}: "))
    for (project, server), row in sorted(board.rows.items()):
        without_result = (project, server) not in board.results and row.status != "left_out"
        if without_result and project not in board.summaries and not board.running(project):
            last = f"its last line: {row.status}" + (f", {row.reason}" if row.reason else "")
            yield Attention(project, server, "no result", last)


def _from_summary(project: str, item: Any) -> Attention:
    if not isinstance(item, Mapping):
        return Attention(project, "", "note", str(item))
    what, server, reason = (str(item.get(name) or "") for name in ("what", "server", "reason"))
    return Attention(project, server, what, reason.removeprefix(f"{NOT_PRUNED}: "))


def resuming(board: Board) -> list[str]:
    """The events that make what is missing, one for each project."""
    return [event for what, event in advice(board) if what == MAKE_MISSING]


def advice(board: Board) -> Iterator[tuple[str, str]]:
    """What for, and the event that does it: as the summaries say, in the projects' order.

    A run without a summary may be resumed, but for a dry run: it has nothing to resume.
    """
    for project in board.projects:
        summary = board.summaries.get(project)
        done = board.told.get(project, {}).get("verdict") in ("Running", "Completed")
        if summary is None and not board.dry_run and not done:
            yield MAKE_MISSING, json.dumps({"run_id": board.run_id, "project": project})
        for each in (summary or {}).get("advice") or ():
            yield str(each["what"]), json.dumps(each["event"])
