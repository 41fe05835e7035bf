"""The rate limit: a budget of requests that refills evenly."""

import math
from datetime import timedelta

from local.simulator.clock import Clock


class Budget:
    """`limit` requests per hour, in simulated time; a full budget may be spent in one burst."""

    def __init__(self, clock: Clock, limit: int = 3600) -> None:
        self._clock = clock
        self._left = float(limit)
        self._read_at = clock.now()
        self.limit = limit

    def take(self) -> bool:
        """Spend one request if there is one."""
        if self.remaining() < 1:
            return False
        self._left -= 1
        return True

    def spend(self, requests: int) -> None:
        """Requests of other clients; at most what is left."""
        self._left = max(0.0, self._refilled() - requests)

    def remaining(self) -> int:
        return math.floor(self._refilled())

    def headers(self) -> dict[str, str]:
        seconds_to_full = (self.limit - self._refilled()) * 3600 / self.limit if self.limit else 0
        reset = self._clock.now() + timedelta(seconds=seconds_to_full)
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining()),
            "RateLimit-Reset": str(math.ceil(reset.timestamp())),
        }

    def _refilled(self) -> float:
        now = self._clock.now()
        refill = (now - self._read_at).total_seconds() * self.limit / 3600
        self._left = min(float(self.limit), self._left + refill)
        self._read_at = now
        return self._left


class Budgets:
    """Of a project: one for all requests, or one for those under /actions beside it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.shared = Budget(clock)
        self.actions: Budget | None = None
        # By token and whether of actions, where the budgets are the tokens'.
        self._of_tokens: dict[tuple[str, bool], Budget] = {}

    def limit(self, requests_per_hour: int, *, of_actions: bool = False) -> None:
        """A full budget of that many."""
        budget = Budget(self._clock, requests_per_hour)
        if of_actions:
            self.actions = budget
        else:
            self.shared = budget
        self._of_tokens.clear()

    def of(self, token: str, *, of_actions: bool, per_token: bool) -> Budget:
        """What a request is counted on."""
        own = self.actions if of_actions else None
        budget = own or self.shared
        if not per_token:
            return budget
        new = Budget(self._clock, budget.limit)
        return self._of_tokens.setdefault((token, own is not None), new)
