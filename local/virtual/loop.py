"""Virtual time: tasks that take turns, always the same turns for the same seed.

Handlers are plain blocking code that cannot be suspended half-way by a generator. So each task has
a thread; exactly one of them runs at any time, the one whose turn it is.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any

from local.simulator import Clock

MOST_TURNS = 100_000


class Task:
    """A piece of work with its own place in time; `result` or `error` once it is done."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.turn = threading.Semaphore(0)
        self.started = False
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.waiting: list[Task] = []
        self.ticket = 0  # Counts its places in the queue; only the latest one is valid.
        self.context: Any = None  # Set by its user; tasks that it spawns get the same.


class Loop:
    """Runs tasks in the order of virtual time and advances the simulator's clock with them."""

    def __init__(self, clock: Clock, now: float = 0.0) -> None:
        self.clock = clock
        self.start = clock.now()
        self.turns = 0
        self.errors: list[Exception] = []
        # Exceptions that a task may raise: they are left to the task that waits for it.
        self.harmless: tuple[type[Exception], ...] = ()
        # Called when a task pauses: saves what in the process belongs to it, and returns the
        # function that restores that when the task goes on.
        self.keep: Callable[[], Callable[[], None]] = lambda: lambda: None
        self._queue: list[tuple[float, int, Task, int]] = []
        self._order = itertools.count()
        self._over = threading.Semaphore(0)
        self._now = now
        self._current: Task | None = None

    @property
    def now(self) -> float:
        """Seconds; those before the first night begins are negative."""
        return self._now

    @property
    def current(self) -> Task:
        assert self._current is not None, "nothing runs"
        return self._current

    def spawn(self, work: Callable[[], Any], after: float = 0.0) -> Task:
        task = Task(work)
        task.context = self._current.context if self._current else None
        self._enqueue(task, after)
        return task

    def sleep(self, seconds: float) -> None:
        """Lets that much time pass; other tasks run meanwhile."""
        task = self.current
        if not self._queue or self._queue[0][0] > self._now + seconds:
            self._advance(self._now + seconds)  # No other task is due before.
            return
        self._enqueue(task, seconds)
        self._yield(task)

    def wait(self, other: Task, timeout: float | None = None) -> bool:
        """Whether the other is done, after waiting for it at most so long."""
        task = self.current
        if not other.done:
            other.waiting.append(task)
            task.ticket += 1
            if timeout is not None:
                self._enqueue(task, timeout)
            self._yield(task)
        if not other.done:
            other.waiting.remove(task)  # its end must not cut a later wait of this task short
        return other.done

    def run(self) -> None:
        """Until nothing is left to do; raises the first error of a task that was not harmless."""
        if self._queue:
            self._pass_on()
            self._over.acquire()
        if self.errors:
            raise self.errors[0]

    def _enqueue(self, task: Task, seconds: float) -> None:
        task.ticket += 1
        heapq.heappush(self._queue, (self._now + seconds, next(self._order), task, task.ticket))

    def _yield(self, task: Task) -> None:
        restore = self.keep()
        self._pass_on()
        task.turn.acquire()
        restore()

    def _pass_on(self) -> None:
        """Give the turn to the earliest in the queue; when there is none, it is over."""
        while self._queue:
            at, _, task, ticket = heapq.heappop(self._queue)
            if task.done or ticket != task.ticket:
                continue
            self.turns += 1
            assert self.turns < MOST_TURNS, "the night does not end"
            self._advance(at)
            self._current = task
            if task.started:
                task.turn.release()
            else:
                task.started = True
                threading.Thread(target=self._work, args=(task,), daemon=True).start()
            return
        self._over.release()

    def _work(self, task: Task) -> None:
        try:
            task.result = task.work()
        except BaseException as error:
            task.error = error
            if isinstance(error, Exception) and not isinstance(error, self.harmless):
                self.errors.append(error)
        task.done = True
        for waiting in task.waiting:
            self._enqueue(waiting, 0)
        try:
            self._pass_on()
        except AssertionError as error:
            self.errors.append(error)
            self._over.release()

    def _advance(self, at: float) -> None:
        if at > self._now:
            self.clock.advance(at - self._now)
            self._now = at
