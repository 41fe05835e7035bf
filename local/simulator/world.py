"""The world: projects, tokens, faults and the requests seen, on one clock under one lock."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.simulator.budget import Budget
from local.simulator.clock import Clock
from local.simulator.faults import Faults
from local.simulator.model import ProgressStyle, rfc3339
from local.simulator.project import Project


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
        # What a person would repair, and how; told in this order.
        self.repairs: list[tuple[str, Callable[[], None]]] = []
        self._frozen = False
        self._access: dict[str, Access] = {}
        self._ids = {
            "server": itertools.count(1001),
            "image": itertools.count(90001),
            "action": itertools.count(500001),
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

    def repair(self) -> list[str]:
        """Does what a person would have to do, once; says what that was."""
        with self.lock:
            done, self.repairs = self.repairs, []
            for _, mend in done:
                mend()
            return [what for what, _ in done]

    def settle(self) -> None:
        """Lets everything happen that is due by now."""
        with self.lock:
            if not self._frozen:
                for project in self.projects.values():
                    project.settle()

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
                "projects": {name: project.to_json() for name, project in self.projects.items()},
                "requests": len(self.requests),
            }
