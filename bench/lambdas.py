"""Lambda in virtual time: containers, cold starts, and CPU time, which is really measured."""

import json
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import requests

from handler.aws import tokens
from local.simulator import World
from local.virtual.cloud import Cloud, Invocation
from local.virtual.functions import Context, handler_of
from local.virtual.loop import Loop
from local.virtual.wire import Wire

# In virtual time. The bill uses what cold.py measures, which is about the same.
COLD_START_SECONDS = 1.0
# From a function to Hetzner and back.
READ_SECONDS, WRITE_SECONDS = (0.05, 0.25), (0.1, 0.4)
# A container that was idle for this long is removed; AWS does not document the time.
CONTAINER_SECONDS = 600.0
TOKEN_SECONDS = 300.0  # as long as a container keeps the token it has read


@dataclass
class Container:
    idle_since: float
    token_read_at: float


@dataclass
class Meter:
    """What Lambda would bill."""

    invocations: int = 0
    cold_starts: int = 0
    waiting_s: float = 0.0  # virtual: for Hetzner's and SSM's answers
    computing_s: float = 0.0  # real, of one full CPU of this machine
    most_bytes: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class MeteredWire(Wire):
    """Adds time to reads and writes, and counts the simulator's own CPU time separately.

    The simulator runs in the thread of the function that sends the request.
    """

    served = threading.local()

    def __init__(self, world: World, loop: Loop, rng: random.Random) -> None:
        def one_way() -> float:
            times = READ_SECONDS if self.served.method == "GET" else WRITE_SECONDS
            return rng.uniform(*times) / 2

        super().__init__(world, loop, one_way, loop.sleep)
        self.least_left = 10**9  # requests left of the rate limit, when there were fewest

    def send(self, request: requests.PreparedRequest, *more: Any, **named: Any) -> Any:
        self.served.method = request.method
        answer = super().send(request, *more, **named)
        self.least_left = min(self.least_left, int(answer.headers["RateLimit-Remaining"]))
        if request.method == "GET":
            self.served.listed_at = self.loop.now
        return answer

    def _serve(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        began = time.thread_time()
        try:
            return super()._serve(request)
        finally:
            self.served.seconds = self.seconds() + time.thread_time() - began

    def seconds(self) -> float:
        return float(getattr(self.served, "seconds", 0.0))


class MeteredCloud(Cloud):
    """An AWS without faults that counts everything."""

    wire: MeteredWire

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.meter = Meter()
        self.containers: dict[str, list[Container]] = defaultdict(list)
        self.results: dict[int, dict[str, Any]] = {}
        self.polls: dict[int, int] = defaultdict(int)
        self.noticed: dict[int, float] = {}
        self.on_child = lambda execution, server, result: self.results.update(
            {server["id"]: result}
        )

    def get_parameter(self, Name: str, WithDecryption: bool = False) -> dict[str, Any]:
        self.pause(0.03)
        return super().get_parameter(Name, WithDecryption)

    def _handled(self, invocation: Invocation, request_id: str) -> Any:
        self.loop.sleep(self.rng.uniform(0.01, 0.05))  # Step Functions calls Lambda; not billed.
        container, began = self._container(invocation.function), self.loop.now
        invocation.deadline += began - invocation.started
        size = len(json.dumps(invocation.event))
        self.meter.most_bytes[invocation.function] = max(
            size, self.meter.most_bytes[invocation.function]
        )
        computing = time.thread_time() - self.wire.seconds()
        output = self._answer(invocation, request_id)
        computing = time.thread_time() - self.wire.seconds() - computing
        self.meter.invocations += 1
        self.meter.waiting_s += self.loop.now - began
        self.meter.computing_s += computing
        container.idle_since = self.loop.now
        self.containers[invocation.function].append(container)
        self._note(invocation, output)
        # Not kept: they would make the memory grow.
        self.invocations.clear()
        return output

    def _answer(self, invocation: Invocation, request_id: str) -> Any:
        cloud = self

        class Timed(Context):
            def get_remaining_time_in_millis(self) -> int:
                return int(1000 * (invocation.deadline - cloud.loop.now))

        event = json.loads(json.dumps(invocation.event))
        context = Timed(invocation.function, request_id)
        return json.loads(json.dumps(handler_of(invocation.function)(event, context)))

    def _container(self, function: str) -> Container:
        """The one used last, as Lambda does it, or a new one."""
        now, idle = self.loop.now, self.containers[function]
        idle[:] = [each for each in idle if now - each.idle_since < CONTAINER_SECONDS]
        if idle:
            container = idle.pop()
        else:
            self.meter.cold_starts += 1
            container = Container(now, token_read_at=-TOKEN_SECONDS)
            self.loop.sleep(COLD_START_SECONDS)
        if now - container.token_read_at >= TOKEN_SECONDS:
            container.token_read_at = now
            tokens.parameters.cache_clear()
        return container

    def _note(self, invocation: Invocation, output: Any) -> None:
        """Counts the looks at a snapshot. A listing counts only if it came too early: every way
        needs one when the snapshot is available.
        """
        server_id = invocation.server_id
        if server_id is None:
            return
        before, after = invocation.event["status"], output["status"]
        if invocation.function == "CheckSnapshot":
            self.polls[server_id] += 1
            if after == "available":
                self.noticed[server_id] = self.loop.now
        elif invocation.function == "PruneSnapshots" and before == "due":
            if after in ("due", "creating"):
                self.polls[server_id] += 1
            else:
                self.noticed[server_id] = self.wire.served.listed_at
