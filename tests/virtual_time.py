"""Virtual time for moto's executions, which run in threads: it passes only when all of them wait.

Nothing here looks at the real clock. Every thread that has something to do is counted: the test
itself, each execution, each child of a Map. A thread that begins to wait is no longer counted; one
that wakes another counts it first. When the count is zero, time moves on to the next thread that
waits, and wakes it. So one branch goes on after the other, however busy the machine is.

Only this file, `aws.py` and `warm.py` use moto's private parts.
"""

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.inline_iteration_component import (  # noqa: E501
    InlineIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501
    DistributedItemProcessorWorker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.iteration_worker import (  # noqa: E501
    IterationWorker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import JobPool
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from local.simulator import Clock


class VirtualTime:
    """Stands still while any thread has something to do, the test included."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ended: set[str] = set()  # The ARNs of the executions that have.
        self._lock = threading.Lock()
        self._fewer = threading.Condition(self._lock)
        self._busy = 1  # The test.
        self._over = False
        self._order = itertools.count()
        self._sleeping: list[tuple[datetime, int, threading.Event]] = []
        self._awaited: Callable[[], bool] | None = None
        self._test_woken = threading.Event()

    def begin(self) -> None:
        """One more has something to do."""
        with self._lock:
            self._busy += 1

    def end(self) -> None:
        """One has nothing to do any more, or is woken by a `begin`."""
        with self._lock:
            self._one_less()

    def sleep(self, seconds: float) -> None:
        self.halt_if_over()
        woken = threading.Event()
        until = self.clock.now() + timedelta(seconds=seconds)
        with self._lock:
            heapq.heappush(self._sleeping, (until, next(self._order), woken))
            self._one_less()
        woken.wait()

    def close(self) -> None:
        """The test is over: what it has left going on halts, else it would count and act in the
        next one's time. Its threads stay where they are."""
        with self._lock:
            self._over = True
            assert self._fewer.wait_for(lambda: self._busy <= 1, timeout=60), "something goes on"

    def halt_if_over(self) -> None:
        """Never returns once the test is over."""
        if self._over:
            self.end()
            threading.Event().wait()

    def pass_until(self, holds: Callable[[], bool]) -> None:
        """Called by the test: lets time pass until this holds while all others wait."""
        self._test_woken.clear()
        with self._lock:
            self._awaited = holds
            self._one_less()
        self._test_woken.wait()
        assert holds(), "nobody is left who could bring it about"

    def _one_less(self) -> None:
        self._busy -= 1
        self._fewer.notify_all()
        self._go_on()

    def _go_on(self) -> None:
        """If no thread has anything to do, wakes the test if it can go on, else the next thread."""
        if self._busy or not self._awaited:
            return
        if self._awaited() or not self._sleeping:
            self._awaited = None
            woken = self._test_woken
        else:
            until, _, woken = heapq.heappop(self._sleeping)
            self.clock.advance(max(0.0, (until - self.clock.now()).total_seconds()))
        self._busy += 1
        woken.set()


@contextmanager
def virtual(time: VirtualTime, wait: Callable[[float], None]) -> Iterator[None]:
    """Has moto count in `time` what is going on; `wait` stands in for its Waits and Retries."""

    def waited(_: WaitFunction, env: Any, wait_seconds: int) -> None:
        wait(wait_seconds)

    class Waiting:
        @staticmethod
        def sleep(seconds: float) -> None:
            wait(seconds)

    with (
        patch.object(WaitFunction, "_wait_interval", waited),
        patch.object(retrier_decl, "time", Waiting),
        _executions_counted(time),
        _children_counted(time),
    ):
        yield


@contextmanager
def _executions_counted(time: VirtualTime) -> Iterator[None]:
    start, execute = ExecutionWorker.start, ExecutionWorker._execution_logic

    def started(worker: ExecutionWorker) -> None:
        time.begin()
        start(worker)

    def executed(worker: ExecutionWorker) -> None:
        try:
            execute(worker)
        finally:
            time.ended.add(str(worker._evaluation_details.execution_details.arn))
            time.end()

    with (
        patch.object(ExecutionWorker, "start", started),
        patch.object(ExecutionWorker, "_execution_logic", executed),
    ):
        yield


@contextmanager
def _children_counted(time: VirtualTime) -> Iterator[None]:
    launch = InlineIterationComponent._launch_worker
    work, work_inline = DistributedItemProcessorWorker.eval, IterationWorker.eval
    await_all, notify = JobPool.await_jobs, JobPool._notify_on_termination

    def launched(component: InlineIterationComponent, *arguments: Any, **named: Any) -> Any:
        time.begin()
        return launch(component, *arguments, **named)

    def worked(worker: DistributedItemProcessorWorker) -> None:
        try:
            work(worker)
        finally:
            time.end()

    def worked_inline(worker: IterationWorker) -> None:
        try:
            work_inline(worker)
        finally:
            time.end()

    def all_awaited(children: JobPool) -> None:
        if children._jobs_number:
            time.end()
        await_all(children)

    def notified(children: JobPool) -> None:
        # The Map goes on; the child that was the last of them is counted a moment longer.
        if children._is_terminated():
            time.begin()
        notify(children)

    with (
        patch.object(InlineIterationComponent, "_launch_worker", launched),
        patch.object(DistributedItemProcessorWorker, "eval", worked),
        patch.object(IterationWorker, "eval", worked_inline),
        patch.object(JobPool, "await_jobs", all_awaited),
        patch.object(JobPool, "_notify_on_termination", notified),
    ):
        yield
