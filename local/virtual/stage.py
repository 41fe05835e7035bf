"""A simulated Hetzner, an AWS beside it, and one virtual time for both."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from string import ascii_letters, digits
from typing import Any

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RUN_ID,
    LABEL_SERVER_ID,
    LABEL_SERVER_NAME,
)
from local.simulator import Clock, Image, Project, Server, World
from local.virtual.cloud import Cloud, stack
from local.virtual.loop import Loop
from local.virtual.machine import Failed
from local.virtual.process import in_place
from local.virtual.truth import OWNER, Truth, watch
from local.virtual.wire import Wire

START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
FIRST_REQUEST = "aaaaaaaa-0000-4000-8000-000000000000"


class Stage:
    """One project, its token stored, the stack deployed; nothing happens yet."""

    def __init__(self, seed: int = 1, before: float = 0.0) -> None:
        """Time begins so many seconds before START."""
        self.seed = seed
        self.world = World(Clock(START - timedelta(seconds=before)), seed)
        self.loop = Loop(self.world.clock, -before)
        self.loop.harmless = (Failed,)
        latency = self.stream("latency")
        self.wire = Wire(
            self.world,
            self.loop,
            lambda: latency.uniform(0.01, 0.25),
            lambda seconds: self.cloud.pause(seconds),
        )
        self.cloud = Cloud(self.loop, self.wire, self.stream("cloud"))
        # Assumptions about Hetzner that this world breaks.
        self.beliefs: set[str] = set()
        # Fields of Hetzner's answers that some of them lack.
        self.missing: set[str] = set()
        # So many answers with a wrong clock.
        self.wrong_clocks = 0
        # Whether the list of a server's actions lacks the newest ones.
        self.lagging = False
        # As it is deployed.
        self.orphan_days = 0
        # What goes wrong, in words: for all, and for the watch.
        self.troubles: list[str] = []
        self.watch: list[str] = []
        # The watch's looks, in nights in which it is at work.
        self.looks: Any = ()
        # Images of a project whose token is stored under our project's name for some time.
        self.theirs: set[int] = set()
        # Servers that came meanwhile.
        self.newcomers: set[int] = set()
        # When what the watch remembered was lost.
        self.lost_at: list[float] = []
        # Whether every server must get its snapshot in this night.
        self.mild = False
        self.token, self.next_token = self._token("old token"), self._token("new token")
        self.tokens = [self.token, self.next_token]
        self.parameter = f"{stack().parameters['TokenPath']}/default"
        self.project = self.world.project("default")
        self.project.add_token(self.token)
        self.cloud.tokens[self.parameter] = self.token
        self.truth = Truth(self.project, self.loop)
        self.truths = {"default": self.truth}

    def stream(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")

    def _token(self, name: str) -> str:
        """As Hetzner's are: a piece of it is in no other text by chance."""
        return "".join(self.stream(name).choices(ascii_letters + digits, k=64))

    def add_project(self, name: str) -> Project:
        """Another project, with a token of its own."""
        project = self.world.project(name)
        token = self._token(f"token of {name}")
        self.tokens.append(token)
        project.add_token(token)
        self.cloud.tokens[self.parameter.replace("default", name)] = token
        self.truths[name] = Truth(project, self.loop)
        return project

    def play(self, *events: dict[str, Any]) -> None:
        """Deliver these events at once; play them and all that is arranged, to the end."""
        for truth in self.truths.values():
            truth.begin()
        watch(self.cloud, self.truths)
        with in_place(self.cloud):
            for number, event in enumerate(events):
                self.cloud.deliver(event, FIRST_REQUEST.replace("aaaaaaaa", f"{number:08x}"))
            self.loop.run()

    # What troubles use.

    def any_server(self, rng: random.Random) -> Server:
        return rng.choice(list(self.project._servers.values()))

    def later(self, seconds: float, act: Callable[[], Any], server: Server | None = None) -> None:
        """Calls a function so long after now, or after START if nothing has begun; with a server
        only if it still exists."""

        def work() -> None:
            if server is None or server.id in self.project._servers:
                act()

        begun = self.loop.turns > 0
        self.loop.spawn(work, after=seconds if begun else seconds - self.loop.now)

    def vanish(self, image_id: int) -> None:
        """A person deletes an image in the console."""
        self.truth.meddle(image_id)
        dict.pop(self.project._images, image_id)

    def old_snapshot(
        self, server: Server, days: float, project: Project | None = None, **more: Any
    ) -> Image:
        created = START - timedelta(days=days)
        labels = {
            LABEL_MANAGED_BY: OWNER,
            LABEL_RUN_ID: f"{created:%Y%m%dT%H%M%SZ}",
            LABEL_SERVER_ID: str(server.id),
            LABEL_SERVER_NAME: "sg",
        } | more.pop("labels", {})
        of = project or self.project
        return of.add_snapshot(server, created=created, labels=labels, **more)
