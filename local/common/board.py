"""Folds log lines into what is known of a run: a row per server, results, verdicts. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from handler.documents.printable import printable_lines

# Running: only where somebody else than the log says that it is.
Verdict = Literal["Completed", "PartiallyFailed", "Failed", "Running"]
WORST_FIRST: tuple[Verdict, ...] = ("Failed", "PartiallyFailed", "Running", "Completed")
# Statuses after which a server has no more lines.
ENDED = {"planned", "pruned", "skipped", "failed", "left_out"}
RESULT_FIELDS = ("status", "reason", "waited_s", "snapshot_s", "image_id", "deleted", "kept")


@dataclass(slots=True)
class Row:
    project: str
    server: str
    status: str = ""
    reason: str = ""
    waited_s: float = 0
    elapsed_s: float = 0
    # When the line with these numbers came, in the watcher's own seconds.
    seen: float = 0
    ended: bool = False
    # The time of the next look, by Hetzner's clock; empty if it is not waiting.
    until: str = ""

    def change(self, status: str, reason: str, seen: float) -> bool:
        """True if anything of it is new."""
        # Available a second time, or after one of these: the pruning, the last step, is done.
        after_pruning = status == "available" and self.status in ("available", "due", "pruning")
        self.ended = status in ENDED or after_pruning
        new = (status, reason) != (self.status, self.reason)
        self.status, self.reason, self.seen = status, reason, seen
        return new


@dataclass(slots=True)
class Board:
    """`projects`: every project that was started, even if it never logs a line."""

    run_id: str
    projects: list[str]
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    results: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Of projects without a summary: verdict and line as Step Functions knows them.
    told: dict[str, dict[str, str]] = field(default_factory=dict)
    # By image; None is the snapshot that a dry run only plans.
    decisions: dict[tuple[str, str], dict[int | None, dict[str, Any]]] = field(default_factory=dict)
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    dry_run: bool = False

    def add(self, line: Mapping[str, Any], seen: float = 0) -> Row | None:
        """Takes one log line; returns the row it changed, None if it changed none."""
        project = line.get("project")
        if line.get("run_id") != self.run_id or not isinstance(project, str):
            return None
        self.lines.append(line)
        if isinstance(asked := line.get("input"), Mapping):
            self.dry_run = bool((asked.get("run") or {}).get("dry_run"))
        if isinstance(summary := line.get("summary"), Mapping):
            self.summaries[project] = dict(summary)
            return None
        decision = line.get("decision")
        if isinstance(decision, Mapping):
            decided = self.decisions.setdefault((project, str(line.get("server"))), {})
            decided[decision.get("image_id")] = dict(decision)
            return None
        result = line.get("result")
        if isinstance(result, Mapping):
            key = (project, str(result.get("server")))
            result = {**result, "reason": self._whole(key, str(result.get("reason") or ""))}
            result["last_good"] = str(line.get("last_good") or "")
            self.results[key] = result
            line = result
            self.dry_run = self.dry_run or result.get("status") == "planned"
        if not line.get("status") or not line.get("server"):
            return None
        key = (project, str(line["server"]))
        row = self.rows.setdefault(key, Row(*key))
        row.waited_s = line.get("waited_s") or row.waited_s
        row.until = until(line)
        row.elapsed_s = line.get("elapsed_s") or row.elapsed_s
        changed = row.change(str(line["status"]), str(line.get("reason") or ""), seen)
        row.ended = row.ended or line is result
        return row if changed else None

    def _whole(self, key: tuple[str, str], reason: str) -> str:
        """A result's reason is cut to fit the run's document; the server's last line has it all."""
        row = self.rows.get(key)
        begin, cut, end = reason.rpartition("...")
        whole = row and cut and row.reason.startswith(begin) and row.reason.endswith(end)
        return row.reason if row and whole else reason

    def complete(self) -> bool:
        return all(project in self.summaries for project in self.projects)

    def running(self, project: str) -> bool:
        return self._project(project)["verdict"] == "Running"

    def verdict(self) -> Verdict:
        """The worst over the projects; one of which nobody tells how it ended has failed."""
        found = {self._project(name)["verdict"] for name in self.projects}
        if not found or not found <= set(WORST_FIRST):
            return "Failed"
        return next(verdict for verdict in WORST_FIRST if verdict in found)

    def record(self) -> dict[str, Any]:
        """What build/run.json holds."""
        return {
            "run_id": self.run_id,
            "verdict": self.verdict(),
            "projects": {name: self._project(name) for name in self.projects},
            "servers": [self._server(key) for key in self._reported()],
        }

    def _project(self, name: str) -> dict[str, str]:
        summary = self.summaries.get(name, self.told.get(name))
        if summary is None:
            return {"verdict": "Failed", "line": "No summary of the run came; its log says more."}
        return {"verdict": str(summary.get("verdict")), "line": str(summary.get("line", ""))}

    def _reported(self) -> Iterable[tuple[str, str]]:
        unreported = (key for key, row in self.rows.items() if row.status != "left_out")
        return sorted({*self.results, *unreported})

    def _server(self, key: tuple[str, str]) -> dict[str, Any]:
        project, server = key
        found: Mapping[str, Any] = self.results.get(key) or {}
        if not found:
            row = self.rows[key]
            found = {"status": row.status, "reason": row.reason, "waited_s": row.waited_s}
        about = {
            "server": server,
            "project": project,
            **{name: found.get(name) for name in RESULT_FIELDS},
        }
        if found.get("last_good"):
            about["last_good"] = found["last_good"]
        # What a dry run is asked for.
        plan = {"plan": list(self.decisions.get(key, {}).values())}
        return about | plan if found.get("status") == "planned" else about


def until(line: Mapping[str, Any]) -> str:
    """`02:14:30Z`, the end of the wait that a log line announces; empty if it announces none."""
    seconds = line.get("wait_seconds")
    if not seconds or not isinstance(seconds, int):
        return ""
    try:
        end = datetime.fromisoformat(str(line.get("now"))) + timedelta(seconds=seconds)
    except ValueError:
        return ""
    return f"{end.astimezone(UTC):%H:%M:%S}Z"


def parse(message: str) -> dict[str, Any] | None:
    """A log line of ours; None for the platform's own and for anything else."""
    if not message.startswith("{"):
        return None
    try:
        line = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return _shown(line) if isinstance(line, dict) else None


def _shown(value: Any) -> Any:
    """A line's texts as a terminal and a page may show them; a traceback keeps its lines."""
    match value:
        case str():
            return printable_lines(value)
        case list():
            return [_shown(item) for item in value]
        case dict():
            return {_shown(name): _shown(item) for name, item in value.items()}
    return value
