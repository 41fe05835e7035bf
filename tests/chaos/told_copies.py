"""Whether what is told besides is true: what drills have left, how many servers are proven."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from handler.decisions.proof import time_in_label
from handler.documents.labels import (
    LABEL_DRILL,
    LABEL_PROBE,
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_SERVER_PROVEN_AT,
    LABEL_THROW_AWAY,
)
from local.virtual.cloud import Invocation
from local.virtual.truth import is_ours
from tests.chaos.copies import LEFT, Copied, Day, Look, price_of
from tests.chaos.watching import ALL_CLEAR, rows_of

# The longest that a restore needs its copy, as deployed: RestoreMinutes, BootMinutes, to remove it.
LONGEST = timedelta(minutes=60 + 15 + 180)
MARGIN = timedelta(minutes=2)
DAYS_OFF = 0.05


def wrongly_told_of_copies(day: Day) -> Iterator[str]:
    for number, look in enumerate(day.looked):
        for project in day.projects:
            for wrong in _of_look(day, number, look, project.name):
                yield f"look at {look.started:%d %H:%M}, {project.name}: {wrong}"
    yield from _all_clear(day)
    yield from day.proofs.wrong


def _overdue(day: Day, look: Look, project: str) -> list[Copied]:
    """What had been there for too long, by both clocks, for the whole look."""
    now = look.started + min(look.skew, timedelta())
    return [c for c in look.there if c.project == project and now - c.created > LONGEST + MARGIN]


def _rows(look: Look, project: str) -> list[str]:
    """What the look's messages say of what drills have left there."""
    messages = look.invocation.messages if look.invocation else []
    rows = [row for message in messages for row in rows_of(message)]
    return [row for row in rows if row.startswith(f"{project}/") or row.startswith(f"{project}: ")
            if any(words in row for words in LEFT)]  # fmt: skip


def _of_look(day: Day, number: int, look: Look, project: str) -> Iterator[str]:
    if not look.heard or not look.seen(project) or not look.is_itself(project):
        return
    assert look.invocation
    left, rows = _overdue(day, look, project), _rows(look, project)
    overdue = [each for each in look.invocation.output["overdue_now"] if each["project"] == project]
    said = [each["reason"] for each in overdue if any(words in each["reason"] for words in LEFT)]
    now = look.ended + max(look.skew, timedelta())
    old = [c for c in day.copies.values() if now - c.created > LONGEST - MARGIN]
    for each in left:
        if not any(f"({each.id}," in reason for reason in said):
            yield f"{each.name} is left, and is not said to be: {said}"
        so_far = (row for before in day.looked[: number + 1] for row in _rows(before, project))
        if not any(f"({each.id}," in row for row in so_far):
            yield f"{each.name} is left, and nobody was told"
    if rows and not any(f"({each.id}," in row for row in rows for each in old):
        yield f"told of what is not left: {rows}"
    for row in rows:
        yield from _price(day, row, left)
        ids = [each.id for each in left if f"({each.id}," in row]
        if ids and _told_before(day, number, project, ids[0]):
            yield f"told again: {row}"


def _price(day: Day, row: str, left: list[Copied]) -> Iterator[str]:
    for each in left:
        if each.id in day.person.rescaled or f"({each.id}, " not in row:
            continue
        found = re.search(rf"\({each.id}, [^)]*, ([0-9.]+) per hour net without", row)
        server, _ = price_of(each.server_type, each.location)
        if not found or Decimal(found[1]) != server:
            yield f"{each.name} costs {server} per hour: {row}"


def _told_before(day: Day, number: int, project: str, id_: int) -> bool:
    """Whether the same was told by a look that was heard, and seen to stay ever since."""
    for before in range(number - 1, -1, -1):
        look = day.looked[before]
        seen = look.heard and look.seen(project) and look.is_itself(project)
        if not (seen and any(each.id == id_ for each in _overdue(day, look, project))):
            return False
        if any(f"({id_}," in row for row in _rows(look, project)):
            return True
    return False


def _all_clear(day: Day) -> Iterator[str]:
    """When nothing is overdue any more people are told, if they were told that something is."""
    told, last = False, None
    for look in day.looked:
        for message in look.invocation.messages if look.invocation else ():
            told = not message["Subject"].endswith(ALL_CLEAR)
        if look.heard and look.invocation:
            last = look.invocation
    if told and last and last.output["overdue"] == 0:
        yield "what was told is over, and nobody is told"


class Proofs:
    """What SummariseRun and the watch tell of proofs, beside what the labels in the simulator say
    while they ask."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.seen: dict[int, list[tuple[str, float]]] = {}
        day.cloud.on_request = self._note

    def _note(self, by: Invocation) -> None:
        if by.function == "SummariseRun":
            found = self._proven(by.event["run"]["project"])
            self.seen.setdefault(id(by), []).append(found)

    def _proven(self, name: str) -> tuple[str, float]:
        """The line of the project, and the days for which one was not proven for longest; 0: drills
        are for none of them."""
        project, now = self.day.project_of(name), self.day.world.clock.now()
        servers = [s for s in project.servers.values() if LABEL_THROW_AWAY not in s.labels]
        last: dict[int, datetime] = {}
        for image in project.images.values():
            source = (image.created_from or {}).get("id", 0)
            if not is_ours(image, source):
                continue
            for at in _proofs_on(image.labels):
                if at <= now:
                    last[source] = max(at, last.get(source, at))
        proven = sorted((last[s.id], s.name) for s in servers if s.id in last)
        line = f"proven: {len(proven)} of {len(servers)} server{'s' * (len(servers) != 1)}"
        if proven:
            days = (now - proven[0][0]).days
            ago = f"{days} day{'s' * (days != 1)} ago" if days else "today"
            line += f", oldest {proven[0][1]} {ago}"
        ages = [
            (now - last.get(s.id, s.created)) / timedelta(days=1) for s in servers
            if s.labels.get(LABEL_DRILL) != "false" and s.labels.get(LABEL_PROBE) != "none"
        ]  # fmt: skip
        return line, max(ages, default=0.0)

    @property
    def wrong(self) -> Iterator[str]:
        if any("clock" in trouble for trouble in self.day.troubles):
            return
        for by in self.day.cloud.invocations:
            if (seen := self.seen.get(id(by))) and by.output and "summary" in by.output:
                yield from self._of(by, seen)

    def _of(self, by: Invocation, seen: list[tuple[str, float]]) -> Iterator[str]:
        told = re.search(r"proven: [^;]*", by.output["summary"])
        lines = {line for line, _ in seen}
        if told and told[0] not in lines:
            yield f"told {told[0]!r}, it was {sorted(lines)}"
        for metrics in by.metrics:
            for count in metrics.get("ServersProven", ()):
                if not any(line.startswith(f"proven: {count:g} of") for line in lines):
                    yield f"ServersProven is {count}, it was {sorted(lines)}"
            for days in metrics.get("OldestProofDays", ()):
                if not any(abs(each - days) < DAYS_OFF for _, each in seen):
                    yield f"OldestProofDays is {days}, it was {seen}"


def _proofs_on(labels: dict[str, str]) -> list[datetime]:
    said: list[Any] = [labels.get(LABEL_SERVER_PROVEN_AT)]
    if labels.get(LABEL_PROVEN_BY) == "ssh":
        said.append(labels.get(LABEL_PROVEN_AT))
    return [at for at in (time_in_label(text or "") for text in said) if at]
