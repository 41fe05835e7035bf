"""A server's own rhythm, as its label says: `12h`, `2d`, `1w`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from handler.documents.labels import LABEL_EVERY

HOURS = {"h": 1, "d": 24, "w": 7 * 24}
EVERY = re.compile(r"([0-9]{1,4})([hdw])", re.ASCII)
LONGEST = timedelta(weeks=52)
EARLIER = timedelta(hours=12)  # at most so much
EXAMPLE = "write for example 12h, 2d or 1w"


class BadRhythm(ValueError):
    """A rhythm that cannot be understood; the message says how to write one."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How old a server's newest good snapshot becomes before runs take the server again."""

    text: str  # as its label has it
    every: timedelta

    @property
    def due_after(self) -> timedelta:
        """From which age of the snapshot on; a little earlier, so that a night that begins early
        skips nothing."""
        return self.every - min(self.every / 2, EARLIER)


def parse_rhythm(text: str) -> Rhythm:
    """The rhythm in the text: 1h to 52w. Raises BadRhythm."""
    shown = repr(text[:40])
    match = EVERY.fullmatch(text)
    if not match:
        raise BadRhythm(f"{shown} is no whole number of h, d or w; {EXAMPLE}")
    every = timedelta(hours=int(match[1]) * HOURS[match[2]])
    if not every:
        raise BadRhythm(f"{shown} is less than 1h; {EXAMPLE}")
    if every > LONGEST:
        raise BadRhythm(f"{shown} is more than 52w; {EXAMPLE}")
    return Rhythm(text, every)


def rhythm_in(labels: Mapping[str, str]) -> Rhythm | None:
    """A server's rhythm by its labels; None without one, or with one that is wrong: every run
    takes it."""
    try:
        return parse_rhythm(labels[LABEL_EVERY]) if LABEL_EVERY in labels else None
    except BadRhythm:
        return None


def hours_added(labels: Mapping[str, str]) -> int:
    """How many hours older than others this server's newest good snapshot may be."""
    rhythm = rhythm_in(labels)
    return int(rhythm.every / timedelta(hours=1)) if rhythm else 0
