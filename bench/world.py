"""A random fleet at a simulated Hetzner, an AWS that counts, and one virtual time for both."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Any
from unittest.mock import patch

from bench.lambdas import MeteredCloud, MeteredWire
from bench.machine import BilledWalk, Transitions
from local.simulator import Action
from local.simulator.random_fleet import add_random_fleet
from local.virtual import cloud as virtual_cloud
from local.virtual import loop as virtual_loop
from local.virtual.process import in_place
from local.virtual.stage import FIRST_REQUEST, Stage

MOST_TURNS = 20_000_000


class MeasuredWorld(Stage):
    """So many servers in one project; the same for a seed, for every way that is measured."""

    cloud: MeteredCloud
    wire: MeteredWire

    def __init__(self, seed: int, servers: int) -> None:
        super().__init__(seed)
        tokens = self.cloud.tokens
        self.wire = MeteredWire(self.world, self.loop, self.stream("answers"))
        self.cloud = MeteredCloud(self.loop, self.wire, self.stream("cloud"))
        self.cloud.tokens = tokens
        self.transitions = Transitions()
        self.fleet = add_random_fleet(self.project, seed, servers)
        self.made: dict[int, list[Action]] = {server_id: [] for server_id in self.fleet}
        self._watch_creates()

    def play_run(self, event: dict[str, Any]) -> None:
        """Plays one run of ours, until nothing is left to do."""
        with self._time(), in_place(self.cloud):
            walk = partial(BilledWalk, transitions=self.transitions)
            with patch.object(virtual_cloud, "Walk", walk):
                self.cloud.deliver(event, FIRST_REQUEST)
                self.loop.run()

    def play_work(self, work: Callable[[], None]) -> None:
        """Plays other work than our run in this world."""
        with self._time():
            self.loop.spawn(work)
            self.loop.run()

    @contextmanager
    def _time(self) -> Iterator[None]:
        # A long night at five seconds a turn takes more turns than a random night may. And
        # functions print their metrics, which are for CloudWatch.
        with patch.object(virtual_loop, "MOST_TURNS", MOST_TURNS), redirect_stdout(io.StringIO()):
            yield

    def _watch_creates(self) -> None:
        create = self.project.create_image

        def create_image(server: Any, **more: Any) -> Any:
            action, image = create(server, **more)
            self.made[server.id].append(action)
            return action, image

        self.project.create_image = create_image  # type: ignore[method-assign]
