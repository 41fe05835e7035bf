"""Whether the watch tells who has to be told, nobody else, once: said a second time, from what was
truly there while it looked.

Where it depends on a moment (of a snapshot that becomes available, of a clock) nothing is said.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from handler.documents.job import short_name
from handler.documents.printable import printable
from local.virtual.cloud import stack
from local.virtual.stage import START, Stage
from tests.chaos.sights import AHEAD, OURS, Look, Saved
from tests.chaos.whole_projects import wrong_of_project

ALL_CLEAR = "all clear, nothing is overdue any more"
MARGIN = timedelta(seconds=70)  # the memory has whole minutes
MEMORY = "the memory"


def wrongly_watched(night: Stage) -> Iterator[str]:
    """What is wrong with the looks, their messages and answers."""
    yield from _writes(night)
    for number, look in enumerate(night.looks):
        if look.invocation is None:
            continue
        where = f"look at {look.started:.0f} s"
        for what in _of_look(night, number, look):
            yield f"{where}: {what}"


def _writes(night: Stage) -> Iterator[str]:
    for invocation in night.cloud.invocations:
        if invocation.function == "WatchServers" and invocation.methods - {"GET"}:
            yield f"the watch sent {sorted(invocation.methods)} to Hetzner"
        if invocation.event == {"only_look": True}:
            wrote = any(by is invocation for by, _ in night.cloud.written)
            if wrote or invocation.messages or invocation.metrics:
                yield f"asked only to look, it told or wrote: {invocation.messages}"


def _of_look(night: Stage, number: int, look: Look) -> Iterator[str]:
    assert look.invocation is not None
    rows = [row for message in look.invocation.messages for row in rows_of(message)]
    servers = {id_: saved for sight in look.sights for id_, saved in sight.servers.items()}
    named = {_called(id_, saved) for id_, saved in servers.items()}
    named |= {_called(id_, s) for sight in look.sights for id_, s in sight.servers.items()}
    opens = {sight.opens for sight in look.sights}
    for row in rows:
        about = [name for name in named if row.startswith(f"{name}: ")]
        if not about and row.startswith(f"{OURS}/") and opens == {OURS}:
            yield f"told of a server that is not there: {row}"
        if row.startswith(f"{MEMORY}: ") and not _is_lost(night, look):
            yield f"told of the memory, which is as it was written: {row}"
    for id_ in servers:
        yield from _of_server(night, number, look, id_, rows)
    failed = {what for at, what in night.cloud.refused if look.started <= at <= look.ended}
    if look.heard and failed & {"Publish", "PutParameter"}:
        yield f"it ended well, though it could not tell or remember: {sorted(failed)}"
    metrics = [value for each in look.invocation.metrics for value in each["ServersOverdue"]]
    if look.heard and metrics != [look.invocation.output["overdue"]]:
        yield f"{look.invocation.output['overdue']} overdue, the metric says {metrics}"
    yield from _once(night, number, look)
    yield from wrong_of_project(night, number, look, rows)


def _of_server(night: Stage, number: int, look: Look, id_: int, rows: list[str]) -> Iterator[str]:
    late = is_overdue(night, number, look, id_)
    opens = {sight.opens for sight in look.sights}
    name = {_called(id_, sight.servers[id_]) for sight in look.sights if id_ in sight.servers}
    told = any(row.startswith(f"{each}: ") for each in name for row in rows)
    twins = sum(_called(other, saved) in name for other, saved in look.sights[-1].servers.items())
    if late is False and told and twins < 2:
        yield f"rung for {name}, which is not overdue"
    if not look.whole or opens != {OURS} or twins > 1:
        return
    assert look.invocation is not None
    now = {f"{e['project']}/{e['server']}" for e in look.invocation.output["overdue_now"]}
    if late is False and now & name:
        yield f"{name} is said to be overdue, and is not"
    if late and not now & name:
        yield f"{name} is overdue, and is not said to be"
    if late and not told and not _told_before(night, number, name):
        yield f"{name} is overdue, and nobody was told by name"
    if told and _told_before(night, number, name) and _stays(night, number, id_):
        yield f"told again of {name}"


def _told_before(night: Stage, number: int, name: set[str]) -> bool:
    return any(
        row.startswith(f"{each}: ")
        for look in night.looks[:number]
        if look.invocation
        for message in look.invocation.messages
        for row in rows_of(message)
        for each in name
    )


def _stays(night: Stage, number: int, id_: int) -> bool:
    """Whether it was told by a look that got through, has certainly been overdue ever since, and
    what was told could be remembered."""
    for before in range(number - 1, -1, -1):
        look = night.looks[before]
        name = {_called(id_, s.servers[id_]) for s in look.sights if id_ in s.servers}
        if _lost(night, before + 1) or is_overdue(night, before, look, id_) is not True:
            return False
        if look.invocation and any(
            row.startswith(f"{each}: ")
            for m in look.invocation.messages for row in rows_of(m) for each in name
        ):  # fmt: skip
            return look.heard
    return False


def _once(night: Stage, number: int, look: Look) -> Iterator[str]:
    """The all-clear comes when nothing is overdue any more, once, and at once."""
    assert look.invocation is not None
    cleared = any(m["Subject"].endswith(ALL_CLEAR) for m in look.invocation.messages)
    late = [is_overdue(night, number, look, id_) for id_ in look.sights[0].servers]
    ours = all(sight.opens == OURS for sight in look.sights)
    if cleared and True in late and look.whole and ours:
        yield "all clear, though a server is overdue"
    # What was told since the last all-clear that was remembered.
    told = False
    for earlier in night.looks[:number]:
        if earlier.invocation is None:
            continue
        for message in earlier.invocation.messages:
            if not message["Subject"].endswith(ALL_CLEAR):
                told = True
            elif earlier.heard:
                told = False
    unclear = any(
        e.invocation and not e.heard and any(m["Subject"].endswith(ALL_CLEAR)
        for m in e.invocation.messages) for e in night.looks[:number]
    )  # fmt: skip
    if cleared and not told and not unclear:
        yield "all clear, though nobody was told of anything"
    ended = look.heard and look.invocation.output["overdue"] == 0
    if ended and _is_told(night, number) and not cleared:
        yield "nothing is overdue any more, and nobody is told"


def _is_told(night: Stage, number: int) -> bool:
    """Whether the look before this one got through, and left something told and not cleared."""
    if number == 0 or _lost(night, number) or not night.looks[number - 1].heard:
        return False
    return bool(night.looks[number - 1].invocation.output["overdue"])


@dataclass(frozen=True)
class Bounds:
    """What a server was at least and at most, while the look went on."""

    included: set[bool]
    since: tuple[datetime, datetime]
    hours: tuple[int, int]


def is_overdue(night: Stage, number: int, look: Look, id_: int) -> bool | None:
    """None: it depends on the moment."""
    seen = [sight.servers[id_] for sight in look.sights if id_ in sight.servers]
    if not seen or not any(saved.included for saved in seen):
        return False
    # Whether it may be called another project is judged in whole_projects.py; then no server is.
    if look.entry and any("is it the right token?" in why for why in look.entry["overdue"]):
        return None
    skew = night.cloud.skew
    wrong = timedelta(hours=24 if night.wrong_clocks else 0)
    if any(saved.ahead for saved in seen) and (wrong or skew):
        return None
    earliest = _at(look.sights[0].at) + min(skew, timedelta(0)) - MARGIN - wrong
    # With both clocks behind, what was made just now seems to be from the future.
    both = skew < timedelta(0) and bool(wrong or "Date" in night.world.without_headers)
    if both and any(saved.newest and saved.newest > earliest + AHEAD for saved in seen):
        return None
    latest = _at(look.sights[-1].at) + MARGIN
    # By both clocks, if nobody was told of it yet.
    names = {_called(id_, saved) for saved in seen}
    told_before = _told_before(night, number, names)
    if "Date" in night.world.without_headers or told_before:
        latest += max(skew, timedelta(0)) + wrong
    first, last = _first_seen(night, number)
    oldest = [saved.newest or max(saved.created, first) for saved in seen]
    youngest = [saved.newest or max(saved.created, last) for saved in seen]
    grace = timedelta(minutes=_minutes())
    running = [sight.running for sight in look.sights]
    unknown = any(what == "ListExecutions" and look.started <= at <= look.ended
                  for at, what in night.cloud.refused)  # fmt: skip
    most = max(youngest) + timedelta(hours=max(saved.hours for saved in seen))
    least = min(oldest) + timedelta(hours=min(saved.hours for saved in seen))
    if earliest > most + (grace if any(running) or unknown else timedelta(0)):
        everywhere = len(seen) == len(look.sights) and all(saved.included for saved in seen)
        return True if everywhere else None
    # A run that goes on is no end of what was told.
    longer = all(running) and not unknown and not told_before
    if latest <= least + (grace if longer else timedelta(0)):
        return False
    return None


def _first_seen(night: Stage, number: int) -> tuple[datetime, datetime]:
    """When the watch has first seen the project and remembered it, at least and at most."""
    skew = night.cloud.skew
    first = night.looks[number].started
    last = night.looks[number].sights[-1].at
    lost = max((at for at in night.lost_at if at <= last), default=-1e9)
    wrote = [i.started for i, text in night.cloud.written if i.started >= lost and OURS in text]
    if wrote and wrote[0] < first:
        first = last = wrote[0]
    if night.lost_at:
        # It may have been read before it was lost, and written after.
        first = min([first, *(i.started for i, _ in night.cloud.written)])
        last = night.looks[number].sights[-1].at
    zero = timedelta(0)
    return (
        _at(first) + min(skew, zero) - MARGIN,
        _at(last) + max(skew, zero) + MARGIN,
    )


def _lost(night: Stage, number: int) -> bool:
    """Whether the memory was lost between the look before this one and its end."""
    since = night.looks[number - 1].started if number else -1e9
    end = night.looks[number].ended if number < len(night.looks) else 1e9
    return any(since <= at <= end for at in night.lost_at)


def _is_lost(night: Stage, look: Look) -> bool:
    """Whether the memory was lost and, before this look, not written since."""
    wrote = max(
        (i.started for i, _ in night.cloud.written if i.started < look.started), default=-1e9
    )
    return any(at <= look.ended and (at >= wrote or at >= look.started) for at in night.lost_at)


def rows_of(message: dict[str, str]) -> list[str]:
    """What is told as overdue, a line each."""
    said = message["Message"]
    return [line.strip() for line in said.splitlines() if re.match("  [^ ]", line)]


def _called(id_: int, saved: Saved) -> str:
    return f"{OURS}/{short_name(printable(saved.name), id_)}"


def _minutes() -> int:
    values = stack().parameters
    return int(values["LockWaitMinutes"]) + int(values["SnapshotMinutes"])


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)
