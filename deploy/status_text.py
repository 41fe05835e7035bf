"""A stack's status in lines for a terminal: pure."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.alarms import Alarm
from deploy.last_runs import LastRun
from handler.documents.printable import printable

LONGEST_NAME = 40
# The width of all columns but the server's name, with what is between them.
OTHER_COLUMNS = 2 + 2 + 16 + 2 + 7 + 2 + 6 + 2 + 10 + 2 + 8
VOLUMES = 2 + 3
MOST_OF_A_REASON = 10
ABOUT_VOLUMES = (
    "vol: a server's volumes are in no snapshot of it; what is on them needs a backup of its own."
)


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a stack; `watch` is the answer of WatchServers."""

    stack: str
    region: str
    schedule: str
    enabled: bool
    retention: str
    dashboard: str
    watch: Mapping[str, Any]
    runs: Mapping[str, LastRun]
    alarms: Sequence[Alarm]
    give_token: str  # the command that stores one
    reach: str = ""  # whom messages reach, in sentences
    runs_known: bool = True  # else that a project has no last run says nothing
    unknown: Sequence[str] = field(default_factory=list)  # what nobody can call well
    missing: Sequence[str] = field(default_factory=list)  # what else could not be learned

    @property
    def projects(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.watch.get("projects") or []
        return found


def verdict(status: Status) -> list[str]:
    """What is not well, in words; nothing if all is."""
    overdue, unseen = int(status.watch.get("overdue") or 0), [
        str(each.get("project")) for each in status.projects if not each.get("seen")
    ]  # fmt: skip
    red = sum(alarm.red for alarm in status.alarms)
    return [
        *(["no project has a token"] if not status.projects else []),
        *([f"{overdue} overdue"] if overdue else []),
        *([f"not seen whole: {', '.join(unseen)}"] if unseen else []),
        *(["the watch's memory"] if status.watch.get("memory") else []),
        *([f"{red} alarm{'s are' if red > 1 else ' is'} red"] if red else []),
        *(["something is not known"] if status.unknown else []),
    ]


def lines(status: Status, width: int) -> list[str]:
    """All there is to say, no line wider than that but for addresses, which stay whole."""
    return [printable(line) for line in _lines(status, width)]


def _lines(status: Status, width: int) -> Iterator[str]:
    yield ""
    about = f"{status.schedule}, keeps {status.retention}"
    yield from _wrapped(f"Stack {status.stack} in {status.region}: {about}", width)
    if not status.enabled:
        text = "Its schedule is DISABLED: no night starts by itself (ScheduleState)."
        yield from _wrapped(text, width)
    for project in status.projects:
        yield ""
        yield from _project(status, project, width)
    if not status.projects:
        text = f"There is no project with a token yet: {status.give_token} stores one."
        yield from _wrapped(text, width)
    yield ""
    if any(s.get("volumes") for project in status.projects for s in project.get("servers") or ()):
        yield from _wrapped(ABOUT_VOLUMES, width)
    if problem := status.watch.get("memory"):
        yield from _wrapped(f"The watch's memory: {problem}", width)
    yield from _advice(status.watch, "", width)
    yield from _alarms(status.alarms, width)
    for text in (*status.unknown, *status.missing, status.reach):
        yield from _wrapped(text, width) if text else ()
    if status.dashboard:
        yield f"The dashboard: {status.dashboard}"
    bad = verdict(status)
    good = "All is well: nothing is overdue, no alarm is red."
    yield from _wrapped(f"Not all is well: {'; '.join(bad)}." if bad else good, width)


def _project(status: Status, project: Mapping[str, Any], width: int) -> Iterator[str]:
    name = str(project.get("project"))
    run = status.runs.get(name)
    servers: Sequence[Mapping[str, Any]] = project.get("servers") or []
    yield from _wrapped(f"{name}: {_stock(project, servers, run)}", width)
    if name in (status.watch.get("running") or ()):
        yield "  A run is going on."
    if run:
        yield from _wrapped(f"Last run {run.run_id}: {run.line}", width, "  ")
        yield f"  {run.link}"
    elif status.runs_known:
        yield "  No run is known of the last 90 days, dry runs aside."
    told = {(s.get("name"), s.get("overdue")) for s in servers if s.get("overdue")}
    for each in status.watch.get("overdue_now") or ():
        if each.get("project") == name and (each.get("server"), each.get("reason")) not in told:
            server = f"{each['server']}: " if each.get("server") else ""
            text = f"OVERDUE: {server}{each.get('reason')} (since {_minute(each.get('since'))})"
            yield from _wrapped(text, width, "  ")
    yield from _table(servers, run, _moment(status.watch.get("looked_at")), width)
    yield from _left_out(servers, width)
    yield from _advice(status.watch, name, width)


def _stock(
    project: Mapping[str, Any], servers: Sequence[Mapping[str, Any]], run: LastRun | None
) -> str:
    if not project.get("seen"):
        last = project.get("last_seen")
        seen = f"last seen {_minute(last)}" if last else "never seen yet"
        return f"could not be seen whole: {project.get('why')} ({seen})"
    parts = [
        _count(len(servers), "server"),
        _count(int(project.get("snapshots") or 0), "snapshot"),
        f"{project.get('stored_gb') or 0:,.1f} GB",
    ]
    stock = run.stock if run else {}
    if "monthly" in stock:
        parts.append(
            f"{stock['monthly']:.2f} {stock.get('currency', '')}/month net at the last run"
        )
    proven = project.get("proven")
    return ", ".join(parts) + (f"; {proven}" if proven else "")


def _table(
    servers: Sequence[Mapping[str, Any]], run: LastRun | None, now: datetime | None, width: int
) -> Iterator[str]:
    shown = sorted(
        (server for server in servers if server.get("included")),
        key=lambda server: (not server.get("overdue"), str(server.get("name"))),
    )
    if not shown:
        return
    volumes = any(server.get("volumes") for server in shown)
    room = width - OTHER_COLUMNS - (VOLUMES if volumes else 0)
    longest = max(len(printable(str(server.get("name")))) for server in shown)
    room = max(len("server"), min(room, LONGEST_NAME, longest))
    head = ("server", "newest good, UTC", "age", "limit", "overdue in", "GB")
    yield ""
    yield _row(head, "vol" if volumes else None, room)
    for server in shown:
        count = str(server.get("volumes") or "") if volumes else None
        yield _row(_cells(server, now), count, room)
        for note in _notes(server, run):
            yield from _wrapped(note, width, "      ")


def _cells(server: Mapping[str, Any], now: datetime | None) -> tuple[str, ...]:
    newest, due = _moment(server.get("newest")), _moment(server.get("due_at"))
    in_time = f"{_time((due - now).total_seconds())}" if due and now else ""
    size, limit = server.get("size_gb"), server.get("limit_hours")
    return (
        str(server.get("name")),
        f"{newest:%Y-%m-%d %H:%M}" if newest else "none",
        _time((now - newest).total_seconds()) if newest and now else "",
        _time(limit * 3600) if limit else "",
        "OVERDUE" if server.get("overdue") else in_time,
        f"{size:,.1f}" if isinstance(size, int | float) else "",
    )


def _row(cells: tuple[str, ...], volumes: str | None, room: int) -> str:
    name, newest, age, limit, due, size = cells
    name = printable(name)
    name = name if len(name) <= room else f"{name[: room - 1]}…"
    row = f"  {name:<{room}}  {newest:<16}  {age:>7}  {limit:>6}  {due:>10}  {size:>8}"
    return (row if volumes is None else f"{row}  {volumes:>3}").rstrip()


def _notes(server: Mapping[str, Any], run: LastRun | None) -> Iterator[str]:
    if server.get("overdue"):
        yield f"overdue: {server['overdue']}"
    result = run.results.get(int(server.get("id") or 0), {}) if run else {}
    outcome, reason = str(result.get("status") or ""), str(result.get("reason") or "")
    if outcome in ("failed", "skipped") or reason:
        known = outcome in ("available", "pruned")
        # A reason may begin with what it is about.
        said = [*([] if known else [outcome]), *([reason] if reason else [])]
        yield f"last run: {': '.join(said)}"


def _left_out(servers: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for server in servers:
        if not server.get("included"):
            why = str(server.get("why_left_out"))
            by_reason.setdefault(why, []).append(str(server.get("name")))
    for why, names in by_reason.items():
        more = len(names) - MOST_OF_A_REASON
        some = ", ".join(names[:MOST_OF_A_REASON]) + (f" and {more} more" if more > 0 else "")
        yield from _wrapped(f"Left out, {why}: {some}", width, "  ")


def _advice(watch: Mapping[str, Any], project: str, width: int) -> Iterator[str]:
    """What to do about what is overdue there; each advice once."""
    mine = [each for each in watch.get("overdue_now") or () if each.get("project") == project]
    for advice in dict.fromkeys(str(each.get("advice") or "") for each in mine):
        yield from _wrapped(f"What to do: {advice}", width, "  ") if advice else ()


def _alarms(alarms: Sequence[Alarm], width: int) -> Iterator[str]:
    red = [alarm for alarm in alarms if alarm.red]
    if alarms and not red:
        yield f"Alarms: none of {len(alarms)} is red."
    for alarm in red:
        since = f" since {alarm.since:%Y-%m-%d %H:%M}Z" if alarm.since else ""
        yield from _wrapped(f"Alarm {alarm.name}, {alarm.state}{since}: {alarm.about}", width)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        printable(text),
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _minute(text: Any) -> str:
    moment = _moment(text)
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else "an unknown time"


def _time(seconds: float) -> str:
    """Rounded down: `50 min`, `26 h`, `8 d`."""
    minutes = int(max(0, seconds) // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 72 else f"{hours // 24} d"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
