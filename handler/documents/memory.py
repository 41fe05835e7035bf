"""What the watch remembers of the projects between its looks, as one short text.

Absence is only visible to who remembers. The text is an SSM parameter's value, which holds 4 kB: a
project is one string in it, its fields apart by spaces. Other versions may have written more fields
or lines: what is not known is left aside, what cannot be read is a problem and never an error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from handler.documents.document import format_time, parse_time
from handler.documents.printable import printable
from handler.documents.request import PROJECT

MOST_BYTES = 4096
MOST_SHOWN = 80  # characters of what cannot be read
MOST_NAMED = 10  # projects in a problem
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
# An older version reads a copy's mark as a number, and forgets it at its next look.
NOTHING, ALL, OF_PROJECT, OF_COPY = "-", "*", "!", "+"
MINUTE = timedelta(minutes=1)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LastLook:
    """What was in a project when it was last seen whole; by the ids it is known again."""

    at: str = ""
    servers: int = 0
    server: int | None = None  # one of its servers
    snapshot: int | None = None  # one of our snapshots in it


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of a project; times to the minute."""

    first_seen: datetime
    last_seen: datetime | None = None  # seen whole; None: never
    servers: int = 0  # it had then
    server: int | None = None
    snapshot: int | None = None
    told: frozenset[int] = frozenset()  # the servers that people were told are overdue
    all_told: bool = False  # all that are overdue: there was no room for their ids
    told_of_project: frozenset[str] = frozenset()  # one letter for each of its own troubles
    # The copies that people were told are left; none: all of them, if there is a letter for them.
    copies: frozenset[int] = frozenset()

    @property
    def is_told(self) -> bool:
        return bool(self.told or self.all_told or self.told_of_project)

    @property
    def last_look(self) -> LastLook:
        return LastLook(format_time(self.last_seen) or "", self.servers, self.server, self.snapshot)


@dataclass(frozen=True, slots=True)
class Memory:
    """All projects; `problem` says what of the text could not be read, or did not fit."""

    projects: Mapping[str, Remembered] = field(default_factory=dict)
    problem: str = ""
    problem_told: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Never raises."""
        try:
            values = json.loads(text)
            entries = values.get("projects") or {}
            found = [(str(name), entries[name]) for name in entries]
        except (ValueError, TypeError, AttributeError, RecursionError):
            shown = printable(text[:MOST_SHOWN])
            return cls(problem=f"what the watch remembered cannot be read: {shown!r}")
        newest = _time_in(values.get("at"))
        projects, unreadable = {}, []
        for name, entry in found:
            if (remembered := _remembered_in(entry, newest)) and PROJECT.fullmatch(name):
                projects[name] = remembered
            else:
                unreadable.append(printable(name[:MOST_SHOWN]))
        problem = f"what was remembered of {_some(unreadable)} cannot be read" if unreadable else ""
        return cls(projects, problem, values.get("problem_told") is True)

    def to_text(self) -> str:
        """The text; see `fitted`."""
        seen = [each.last_seen for each in self.projects.values() if each.last_seen]
        newest = max(seen, default=None)
        entries = {name: _entry_of(each, newest) for name, each in sorted(self.projects.items())}
        text: dict[str, Any] = {"at": format_time(newest), "projects": entries}
        if self.problem_told:
            text["problem_told"] = True
        return json.dumps(text, separators=(",", ":"))

    def fitted(self) -> "Memory":
        """The memory in at most MOST_BYTES; what had to be left out is its problem.

        First the ids of copies are left out, then those of told servers become the mark for all,
        of the longest list first; then the projects seen first stay.
        """
        memory, left_out = self, list[str]()
        while len(memory.to_text()) > MOST_BYTES:
            projects = dict(memory.projects)
            longest = max(projects, key=lambda name: (len(projects[name].told), name))
            copies = max(projects, key=lambda name: (len(projects[name].copies), name))
            if projects[copies].copies:
                projects[copies] = replace(projects[copies], copies=frozenset())
            elif len(projects[longest].told) > 1:
                projects[longest] = replace(projects[longest], told=frozenset(), all_told=True)
            else:
                latest = max(projects, key=lambda name: (projects[name].first_seen, name))
                left_out.append(latest)
                del projects[latest]
            memory = replace(memory, projects=projects)
        if not left_out:
            return memory
        return replace(memory, problem=f"there is no room to remember {_some(sorted(left_out))}")


def _entry_of(each: Remembered, newest: datetime | None) -> str:
    told = [OF_PROJECT + "".join(sorted(each.told_of_project))] if each.told_of_project else []
    told += [ALL] if each.all_told else []
    told += [_short(id_) for id_ in sorted(each.told)]
    told += [OF_COPY + _short(id_) for id_ in sorted(each.copies)]
    numbers = (
        (each.first_seen - EPOCH) // MINUTE,
        (newest - each.last_seen) // MINUTE if newest and each.last_seen else None,
        each.servers,
        each.server,
        each.snapshot,
    )
    return " ".join([*map(_short, numbers), *([",".join(told)] if told else [])])


def _remembered_in(entry: Any, newest: datetime | None) -> Remembered | None:
    """None if it cannot be read."""
    try:
        first, lag, servers, server, snapshot, *more = entry.split(" ")
        marks = more[0].split(",") if more and more[0] != NOTHING else []
        of_project = [mark[1:] for mark in marks if mark.startswith(OF_PROJECT)]
        ids = [mark for mark in marks if mark != ALL and mark[:1] not in (OF_PROJECT, OF_COPY)]
        copies = [mark[1:] for mark in marks if mark.startswith(OF_COPY)]
        late = _long(lag)
        if late is not None and newest is None:
            return None
        return Remembered(
            first_seen=EPOCH + MINUTE * int(first, 36),
            last_seen=newest - MINUTE * late if newest and late is not None else None,
            servers=_long(servers) or 0,
            server=_long(server),
            snapshot=_long(snapshot),
            told=frozenset(int(id_, 36) for id_ in ids),
            all_told=ALL in marks,
            told_of_project=frozenset("".join(of_project)),
            copies=frozenset(int(id_, 36) for id_ in copies),
        )
    except (ValueError, AttributeError, OverflowError):
        return None


def _short(number: int | None) -> str:
    """In base 36; nothing below 0."""
    if number is None:
        return NOTHING
    digits, number = "", max(0, number)
    while number or not digits:
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits


def _long(text: str) -> int | None:
    return None if text == NOTHING else int(text, len(DIGITS))


def _time_in(text: Any) -> datetime | None:
    try:
        return parse_time(text)
    except (ValueError, TypeError, OverflowError):
        return None


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
