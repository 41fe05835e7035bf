"""From a run's log lines to how each server's time was spent: pure.

Seconds are those of Hetzner's clock, counted from the run's first look at any server.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["locked", "waiting", "snapshotting", "failed", "unseen", "pruning"]
# The phase that begins after a step with this status; an unknown status is a wait.
KIND_OF_STATUS: dict[str, Kind] = {
    "creating": "snapshotting",
    "due": "snapshotting",
    "available": "pruning",
    "pruning": "pruning",
}
# The log has the cause of a wait in no other field.
LOCKED = re.compile(r"\blocked\b")


@dataclass(frozen=True, slots=True)
class Phase:
    """`failed` is a snapshot attempt that failed, `unseen` the time from a snapshot being done
    to the next look.
    """

    kind: Kind
    start_s: int
    end_s: int
    reason: str = ""

    @property
    def seconds(self) -> int:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Bar:
    """One server's night. Without a result (it never came) the status is the last one logged."""

    project: str
    server: str
    phases: tuple[Phase, ...]
    failed_actions_s: tuple[int, ...]
    start_s: int
    end_s: int
    status: str
    pruned: bool
    deleted: int

    @property
    def bad(self) -> bool:
        return self.status == "failed" or not self.pruned

    def seconds(self, kind: Kind) -> int:
        return sum(phase.seconds for phase in self.phases if phase.kind == kind)


@dataclass(frozen=True, slots=True)
class Timeline:
    """`began` is None if no line told the time."""

    began: datetime | None
    bars: tuple[Bar, ...]

    @property
    def end_s(self) -> int:
        return max((bar.end_s for bar in self.bars), default=0)


@dataclass(slots=True)
class _Server:
    project: str
    name: str
    # One for each execution that it was part of: a run that was resumed has several.
    legs: list[list[Mapping[str, Any]]] = field(default_factory=list)
    result: Mapping[str, Any] | None = None
    result_legs: int = 0

    def add(self, line: Mapping[str, Any]) -> None:
        result = line.get("result")
        if isinstance(result, Mapping):
            self.result, self.result_legs = result, len(self.legs)
        elif line.get("status") == "selected":
            self.legs.append([])
        elif isinstance(line.get("status"), str) and _number(line, "elapsed_s") is not None:
            if not self.legs:
                self.legs.append([])
            self.legs[-1].append(line)


def timeline(lines: Iterable[Mapping[str, Any]]) -> Timeline:
    """A bar for each server that the lines of one run, oldest first, name as part of it."""
    servers: dict[tuple[str, Any], _Server] = {}
    for line in lines:
        project, name = line.get("project"), line.get("server")
        known = any(key in line for key in ("status", "result"))
        if not isinstance(project, str) or not name or not known:
            continue
        if line.get("status") == "left_out":
            continue
        # By id, since a result's name may be cut.
        key = (project, line.get("server_id") or name)
        servers.setdefault(key, _Server(project, str(name))).add(line)
    bases = [base for server in servers.values() for leg in server.legs if (base := _base(leg))]
    origin = min(bases, default=0.0)
    bars = tuple(_bar(server, origin) for server in servers.values())
    return Timeline(datetime.fromtimestamp(origin, UTC) if bases else None, bars)


def _base(leg: Iterable[Mapping[str, Any]]) -> float | None:
    """When the server was first looked at: the watch counts from there."""
    for step in leg:
        try:
            now = datetime.fromisoformat(str(step.get("now")))
        except ValueError:
            continue
        return now.timestamp() - (_number(step, "elapsed_s") or 0)
    return None


def _bar(server: _Server, origin: float) -> Bar:
    phases: list[Phase] = []
    failed_actions: list[int] = []
    ends: list[int] = []
    starts: list[int] = []
    # What came before the last result was told with it; a leg after it has none yet.
    result = server.result if server.result_legs == len(server.legs) else None
    for number, leg in enumerate(server.legs, 1):
        begin = round((_base(leg) or origin) - origin)
        moments = [begin + (_number(step, "elapsed_s") or 0) for step in leg]
        starts.append(begin)
        own = number == len(server.legs) and not (result or {}).get("adopted")
        taken = _number(result or {}, "snapshot_s") if number == len(server.legs) else None
        found, failures = _phases(leg, moments, taken)
        found = _stretched(found, begin, taken) if own and taken else found
        ends.append(max([moments[-1] if moments else begin, *(each.end_s for each in found)]))
        phases += found
        failed_actions += failures
    last: Mapping[str, Any] = next((leg[-1] for leg in reversed(server.legs) if leg), {})
    known: Mapping[str, Any] = result or last
    return Bar(
        project=server.project,
        server=server.name,
        phases=tuple(phases),
        failed_actions_s=tuple(failed_actions),
        start_s=min(starts, default=0),
        end_s=max(ends, default=0),
        status=str(known.get("status") or "selected"),
        pruned=bool(known.get("pruned", True)),
        deleted=_number(known, "deleted") or 0,
    )


def _phases(
    leg: list[Mapping[str, Any]], moments: list[int], taken_s: int | None
) -> tuple[list[Phase], list[int]]:
    """The phases of one execution without a gap between them, and when attempts had failed."""
    phases: list[Phase] = []
    failures: list[int] = []
    for index, step in enumerate(leg[:-1]):
        kind = KIND_OF_STATUS.get(str(step["status"]), "waiting")
        reason = str(step.get("reason") or "")
        start, end = moments[index], moments[index + 1]
        following = leg[index + 1]["status"]
        if kind == "waiting" and LOCKED.search(reason):
            kind = "locked"
        if end > start:
            if phases and phases[-1].kind == kind and phases[-1].end_s == start:
                start = phases.pop().start_s
            phases.append(Phase(kind, start, end, reason))
        if kind == "snapshotting" and following in ("waiting", "failed"):
            if following == "waiting":
                failures.append(end)
            if phases and phases[-1].kind == kind:
                lost = phases.pop()
                why = str(leg[index + 1].get("reason") or "")
                phases.append(Phase("failed", lost.start_s, lost.end_s, why))
    return _with_unseen(phases, taken_s), failures


def _with_unseen(phases: list[Phase], taken_s: int | None) -> list[Phase]:
    """Splits the snapshot's own time from the time until the next look."""
    parted: list[Phase] = []
    for phase in phases:
        done = phase.start_s + (taken_s or 0)
        if phase.kind == "snapshotting" and taken_s and done < phase.end_s:
            parted.append(Phase("snapshotting", phase.start_s, done, phase.reason))
            parted.append(Phase("unseen", done, phase.end_s))
        else:
            parted.append(phase)
    return parted


def _stretched(phases: list[Phase], begin_s: int, taken_s: int) -> list[Phase]:
    """With the snapshot as long as Hetzner says, if that is longer than its server was watched.

    On a slow machine the simulator's clock jumps ahead while a function works, and the functions
    do not believe a jump at once: their times are then too short.
    """
    last = max((n for n, p in enumerate(phases) if p.kind == "snapshotting"), default=None)
    if last is None or taken_s <= phases[last].end_s - begin_s:
        return phases
    more = phases[last].start_s + taken_s - phases[last].end_s
    return [
        *phases[:last],
        replace(phases[last], end_s=phases[last].end_s + more),
        *(replace(p, start_s=p.start_s + more, end_s=p.end_s + more) for p in phases[last + 1 :]),
    ]


def _number(line: Mapping[str, Any], name: str) -> int | None:
    value = line.get(name)
    return round(value) if isinstance(value, int | float) else None
