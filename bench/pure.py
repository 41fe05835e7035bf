"""The pacing alone, for more servers than whole nights can be played with: no HTTP, no handlers.

The requests, waits and transitions of the functions are written down here a second time, so they
are compared with the handlers' figures where both are known. Answers take no time.
"""

import heapq
import itertools
import math
import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bench.figures import MEMORY_GB, PER_GB_SECOND, PER_INVOCATION, PER_TRANSITION, p95
from handler.decisions import pacing
from handler.documents.document import Look, Wait
from local.simulator import Action, Clock
from local.simulator.budget import Budget
from local.simulator.random_fleet import KEPT, Traits, draw
from local.virtual.cloud import stack

START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
SERVERS_OF_A_PROJECT = 500
SIZES = (100, 500, 1000, 2000, 5000, 10_000)
PER_PAGE, EARLIER, MOST_LOOKS = 50, 5, 6
MOST_STEPS = 5_000_000


@dataclass(slots=True)
class Count:
    requests: int = 0
    refused: int = 0
    transitions: int = 0
    invocations: int = 0
    polls: list[int] = field(default_factory=list)
    overshoot_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scaled:
    servers: int
    projects: int
    makespan_s: float
    requests: float  # per server, as the next two
    transitions: float
    polls: float
    refused_share: float
    overshoot_p95_s: float
    all_requests: int
    all_transitions: int
    dollars: float  # of the whole night


def scaled(servers: int, seed: int, ms_per_invocation: float) -> Scaled:
    """One night of so many servers, at most 500 to a project."""
    clock, count = Clock(START), Count()
    fleet = list(draw(seed, servers))
    projects = [
        fleet[at : at + SERVERS_OF_A_PROJECT] for at in range(0, servers, SERVERS_OF_A_PROJECT)
    ]
    steps = [
        step
        for number, some in enumerate(projects)
        for step in Project(clock, count, some, random.Random(f"{seed} pure {number}")).steps()
    ]
    seconds = _play(clock, steps)
    lambda_s = count.invocations * ms_per_invocation / 1000
    dollars = (
        count.transitions * PER_TRANSITION
        + lambda_s * MEMORY_GB * PER_GB_SECOND
        + count.invocations * PER_INVOCATION
    )
    return Scaled(
        servers=servers,
        projects=len(projects),
        makespan_s=seconds,
        requests=count.requests / servers,
        transitions=count.transitions / servers,
        polls=sum(count.polls) / servers,
        refused_share=count.refused / count.requests,
        overshoot_p95_s=p95(count.overshoot_s),
        all_requests=count.requests,
        all_transitions=count.transitions,
        dollars=dollars,
    )


def _play(clock: Clock, steps: list[Iterator[float]]) -> float:
    """Plays the steps of all projects in the order of time; each yields the seconds to its next."""
    order = itertools.count()
    queue = [(0.01 * at, next(order), step) for at, step in enumerate(steps)]
    heapq.heapify(queue)
    now = 0.0
    for _ in range(MOST_STEPS):
        if not queue:
            return now
        at, _, step = heapq.heappop(queue)
        clock.advance(max(0.0, at - now))
        now = max(now, at)
        if (seconds := next(step, None)) is not None:
            heapq.heappush(queue, (now + seconds, next(order), step))
    raise TimeoutError(f"the night does not end within {MOST_STEPS} steps")


class Project:
    """One project's run: so many servers at a time, one rate limit."""

    def __init__(self, clock: Clock, count: Count, fleet: list[Traits], rng: random.Random) -> None:
        self.clock, self.count, self.rng = clock, count, rng
        self.left = list(fleet)
        self.rate = Budget(clock)
        self.kept = int(stack().parameters["RateLimitFloorPercent"])
        at_a_time = int(stack().parameters["ServersAtATime"])
        self.sharing = min(at_a_time, len(fleet))
        # The listing at the start; snapshots and prices at the end.
        snapshots = sum(KEPT for traits in fleet if traits.has_history) + len(fleet)
        self._ask(math.ceil(len(fleet) / PER_PAGE) + math.ceil(snapshots / PER_PAGE) + 1)
        self.count.transitions += 6
        self.count.invocations += 3

    def steps(self) -> list[Iterator[float]]:
        return [self._worker(position) for position in range(self.sharing)]

    def _worker(self, position: int) -> Iterator[float]:
        yield pacing.start_s(position, self.sharing)
        while self.left:
            yield from self._server(self.left.pop(0))

    def _server(self, traits: Traits) -> Iterator[float]:
        self.count.transitions += 3  # the child, WaitToStart, ServerDone
        yield from self._until_free(traits)
        ends_at = self.clock.now() + timedelta(seconds=traits.snapshot_s)
        polls = yield from self._until_listed(traits, self._action(traits, traits.snapshot_s))
        self.count.polls.append(polls)
        self.count.overshoot_s.append((self.clock.now() - ends_at).total_seconds())
        if traits.has_history:
            self._ask()

    def _until_free(self, traits: Traits) -> Iterator[float]:
        """CreateSnapshot until it has created: two looks and the create."""
        free_at = START + timedelta(seconds=traits.locked_s)
        first = self.clock.now()
        for attempt in itertools.count(1):
            self._function()
            now = self.clock.now()
            locked = now < free_at
            if not self._ask(1 if locked else 3):
                yield self._wait(pacing.when_rate_limited(attempt, self._budget(), self._jitter()))
            elif locked:
                lock = self._action(traits, traits.locked_s, since=START)
                look = Look(int((now - START).total_seconds()), lock.progress)
                elapsed_s = int((now - first).total_seconds())
                wait = pacing.while_locked(elapsed_s, self._budget(), self._jitter(), look)
                yield self._wait(wait)
            else:
                return

    def _until_listed(self, traits: Traits, action: Action) -> Generator[float, None, int]:
        """CheckSnapshot and PruneSnapshots' listing; returns how many looks came too early."""
        earlier_s = tuple(int(s) for s in traits.nights_s[:EARLIER]) if traits.has_history else ()
        looks: tuple[Look, ...] = ()
        polls = 0
        wait = pacing.while_creating(0, looks, earlier_s, self._budget(), self._jitter())
        while True:
            yield self._wait(wait)
            self._function()
            if not self._ask():
                wait = pacing.when_rate_limited(1, self._budget(), self._jitter())
                continue
            done = action.ends_at is not None and self.clock.now() >= action.ends_at
            if wait.due and done:
                return polls
            polls += 1
            if wait.due:  # too early: CheckSnapshot at once
                self._function()
                self._ask()
                polls += 1
            if done:
                self._function()
                self._ask()
                return polls
            elapsed_s = int((self.clock.now() - action.started).total_seconds())
            looks = (*looks, Look(elapsed_s, action.progress))[-MOST_LOOKS:]
            budget = self._budget()
            wait = pacing.while_creating(elapsed_s, looks, earlier_s, budget, self._jitter())

    def _action(self, traits: Traits, seconds: float, since: datetime | None = None) -> Action:
        started = since or self.clock.now()
        ends_at = started + timedelta(seconds=seconds)
        return Action(
            0, "", 0, self.clock, started=started, ends_at=ends_at, progress_style=traits.style
        )

    def _function(self) -> None:
        """A task and the choice after it."""
        self.count.invocations += 1
        self.count.transitions += 2

    def _wait(self, wait: Wait) -> float:
        self.count.transitions += 1
        return wait.seconds

    def _ask(self, times: int = 1) -> bool:
        for _ in range(times):
            self.count.requests += 1
            if not self.rate.take():
                self.count.refused += 1
                return False
        return True

    def _budget(self) -> pacing.Budget:
        left = self.rate.remaining()
        return pacing.Budget(left=left, kept_percent=self.kept, sharing=self.sharing)

    def _jitter(self) -> float:
        return self.rng.random()
