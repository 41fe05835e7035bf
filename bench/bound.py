"""The lower bound: no way of making the snapshots can be faster."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from local.simulator.random_fleet import Traits

BURST, PER_SECOND = 3600, 1.0  # Hetzner's rate limit: a full budget, and its refill
PER_PAGE = 50
# Two to look (snapshots and actions), the create, one poll, the list that shows it available.
REQUESTS_PER_SERVER = 5


@dataclass(frozen=True, slots=True)
class Bound:
    """Seconds: with all servers at once, with so many at a time, and by the rate limit."""

    at_once_s: float
    capped_s: float
    by_rate_s: float

    @property
    def seconds(self) -> float:
        return max(self.capped_s, self.by_rate_s)


def bound(fleet: Collection[Traits], servers_at_a_time: int) -> Bound:
    """The bound. A locked server does not count among those worked on at a time."""
    at_once_s = max(traits.locked_s + traits.snapshot_s for traits in fleet)
    work_s = sum(traits.snapshot_s for traits in fleet)
    by_rate_s = max(0.0, (fewest_requests(fleet) - BURST) / PER_SECOND)
    return Bound(at_once_s, max(at_once_s, work_s / servers_at_a_time), by_rate_s)


def fewest_requests(fleet: Collection[Traits]) -> int:
    deletes = sum(traits.has_history for traits in fleet)
    return math.ceil(len(fleet) / PER_PAGE) + REQUESTS_PER_SERVER * len(fleet) + deletes
