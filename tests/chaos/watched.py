"""Nights in which the watch is at work: how long it looks, and what goes wrong for it."""

import random
from typing import TYPE_CHECKING

from tests.chaos import bad_watch
from tests.chaos.sights import HOUR, Looks
from tests.chaos.troubles import Mild

if TYPE_CHECKING:
    from local.virtual.stage import Stage

SHARE = 0.3
FIRST = 8  # its troubles' number, after those of the night itself
LIMITS = [1, 3, 5, 26]


def hours_before(seed: int) -> int | None:
    """How many hours before the night it begins to look; None: nobody looks in this night."""
    rng = random.Random(f"{seed} is watched")
    return rng.choice([0, 1, 2, 3]) if rng.random() < SHARE else None


def arrange(
    night: "Stage", before: int, has_next: bool, left_out: frozenset[int] = frozenset()
) -> list[str]:
    """Its limit, its looks and its own troubles but those; what was arranged."""
    rng = night.stream("watch")
    limit = rng.choice(LIMITS)
    night.cloud.environment["FRESHNESS_HOURS"] = str(limit)
    if rng.random() < 0.15:
        night.cloud.environment["LABEL_SELECTOR"] = "env=prod"
    minute = rng.choice([1, 600, 1800, 3300])
    after = 30 if has_next else rng.choice([6, 9, 12])
    looks = night.looks = Looks(night)
    for hour in range(-before, after):
        night.later(hour * HOUR + minute, looks.look)
    said = [f"looks from {-before} h to {after} h, {minute} s past, FreshnessHours {limit}"]
    for number in range(rng.choice([0, 1, 1, 2, 3])):
        which = rng.choice(bad_watch.TROUBLES)
        if FIRST + number in left_out:
            continue
        text = which(night, night.stream(f"watch's trouble {number}"))
        night.mild = night.mild and isinstance(text, Mild)
        said.append(f"w{number}. {which.__name__}: {text}")
    return said
