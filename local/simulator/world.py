"""The world: projects, tokens, faults and the requests seen, on one clock under one lock."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.simulator.boot import TIMEOUT, Greeting, greeting
from local.simulator.budget import Budget
from local.simulator.clock import Clock
from local.simulator.deeds import Deeds
from local.simulator.faults import Faults
from local.simulator.model import ProgressStyle, rfc3339
from local.simulator.project import Project
from local.simulator.surroundings import ImageDeletedInCreate
from local.simulator.views import boot_of, note_open, project_json


@dataclass
class RequestRecord:
    """A request as seen by the simulator; never holds the token."""

    method: str
    path: str  # Without the /v1.
    query: dict[str, list[str]]
    project: str | None  # None: no project has this token.
    at: datetime
    correlation_id: str
    status: int | None = None  # None: not answered yet, or never.


@dataclass(frozen=True)
class Access:
    project: Project
    read_only: bool


class World:
    def __init__(self, clock: Clock, seed: int = 1) -> None:
        self.clock = clock
        self.rng = random.Random(seed)
        self.lock = threading.RLock()
        # Set when the simulator stops, so that nothing waits any longer.
        self.closing = threading.Event()
        self.faults = Faults(seed)
        self.requests: list[RequestRecord] = []
        self.projects: dict[str, Project] = {}
        # Requests without a valid token are limited, too.
        self.anonymous_budget = Budget(clock)
        # What Hetzner does not document, and how the progress of new actions grows.
        self.create_image_locks = True
        self.image_visible_after_seconds: float = 0
        self.budget_per_token = False
        self.creates_at_once: int | None = None  # of a project; more of them fail
        self.without_headers: set[str] = set()  # that no answer has
        self.progress: ProgressStyle = "linear"
        self.image_deleted_in_create: ImageDeletedInCreate = "create_goes_on"
        self.firewall_applied_after_boot = False
        # A firewall's status at a server does not tell that other rules are being applied.
        self.firewall_stays_applied = False
        self.starts_after_each_create = False  # Also when it was asked not to.
        self.address_kept_after_delete = False  # And billed.
        # Of a server type, in a location: told as not available; available, but refused.
        self.no_stock: set[tuple[str, str]] = set()
        self.no_placement: set[tuple[str, str]] = set()
        self.disabled_locations: set[str] = set()
        # Called at the end of each settling, under the lock.
        self.after_settling: list[Callable[[], None]] = []
        self.source = "203.0.113.7"  # From where connections come to servers.
        # How the addresses of servers that are made begin. With three numbers there are 250.
        self.network = "127.64"
        # What a person would repair, and how; told in this order.
        self.repairs: list[tuple[str, Callable[[], None]]] = []
        self._frozen = False
        self.record = Deeds()
        self._open: dict[int, tuple[str, ...]] = {}  # By server: by what it could act.
        self._access: dict[str, Access] = {}
        self._ids = {
            "server": itertools.count(1001),
            "image": itertools.count(90001),
            "action": itertools.count(500001),
            "firewall": itertools.count(7001),
            "ssh_key": itertools.count(3001),
            "address": itertools.count(1),
        }

    def project(self, name: str) -> Project:
        """The project of that name, made on first use."""
        with self.lock:
            if name not in self.projects:
                self.projects[name] = Project(self, name)
            return self.projects[name]

    def add_token(self, token: str, project: Project, *, read_only: bool) -> None:
        with self.lock:
            if token in self._access:
                raise ValueError("this token is in use already")
            self._access[token] = Access(project, read_only)

    def revoke_token(self, token: str) -> None:
        with self.lock:
            del self._access[token]

    def access(self, token: str) -> Access | None:
        with self.lock:
            return self._access.get(token)

    def next_id(self, kind: str) -> int:
        return next(self._ids[kind])

    def next_address(self) -> str:
        """An address in 127/8 that no server of this world has."""
        number = self.next_id("address") % 60_000
        beside = f".{number // 250}" if self.network.count(".") == 1 else ""
        return f"{self.network}{beside}.{number % 250 + 2}"

    def greeting(self, address: str, port: int) -> Greeting:
        """What a connection to this address and port comes to now."""
        with self.frozen():
            for project in self.projects.values():
                for server in project.servers.values():
                    if server.ipv4 == address:
                        passes = project.firewalls.lets_in(server.id, port, self.source)
                        boot = boot_of(project, server)
                        return greeting(server, boot, port, self.clock.now(), passes=passes)
        return TIMEOUT

    def repair(self) -> list[str]:
        """Does what a person would have to do, once; says what that was."""
        with self.lock:
            done, self.repairs = self.repairs, []
            for _, mend in done:
                mend()
            return [what for what, _ in done]

    @property
    def deeds(self) -> Deeds:
        """What was done to servers, up to now."""
        self.settle()
        return self.record

    def settle(self) -> None:
        """Lets everything happen that is due by now."""
        with self.lock:
            if self._frozen:
                return
            self._frozen = True  # What happens meanwhile sees the world half settled.
            try:
                for project in list(self.projects.values()):
                    project.settle()
                    if self.record:  # Without it no server was made.
                        note_open(project, self._open)
                for call in self.after_settling:
                    call()
            finally:
                self._frozen = False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The world as it is now, locked for one look or one request."""
        with self.lock:
            self.settle()
            self._frozen = True
            try:
                yield
            finally:
                self._frozen = False

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready for JSON, without tokens."""
        with self.frozen():
            return {
                "now": rfc3339(self.clock.now()),
                "projects": {
                    name: project_json(project) for name, project in self.projects.items()
                },
                "requests": len(self.requests),
            }
