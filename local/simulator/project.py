"""A project: its servers, images and actions, and what happens to them as time passes."""

from __future__ import annotations

import math
import random
import threading
from datetime import datetime, timedelta
from typing import Any, Protocol

from local.simulator.budget import Budget
from local.simulator.catalog import LOCATIONS, SERVER_TYPES, SYSTEM_IMAGES
from local.simulator.clock import Clock
from local.simulator.model import (
    Action,
    FailedImage,
    Failure,
    Image,
    ImageStatus,
    ImageType,
    ProgressStyle,
    Server,
)

MEDIAN_SNAPSHOT_SECONDS = 150.0
P95_SNAPSHOT_SECONDS = 600.0
# 1.645 standard deviations from the median to the 95th percentile.
_SIGMA = math.log(P95_SNAPSHOT_SECONDS / MEDIAN_SNAPSHOT_SECONDS) / 1.645


class Surroundings(Protocol):
    """What projects and faults need from the world; world.py implements it."""

    clock: Clock
    rng: random.Random
    lock: threading.RLock
    closing: threading.Event
    create_image_locks: bool
    image_visible_after_seconds: float
    budget_per_token: bool
    creates_at_once: int | None
    progress: ProgressStyle

    def next_id(self, kind: str) -> int: ...

    def settle(self) -> None: ...

    def add_token(self, token: str, project: Project, *, read_only: bool) -> None: ...

    def revoke_token(self, token: str) -> None: ...


class Project:
    """Made by `World.project`. `servers`, `images` and `actions` may be changed at will."""

    def __init__(self, world: Surroundings, name: str) -> None:
        self.world = world
        self.name = name
        self.budget = Budget(world.clock)
        # Of requests under /actions, where they have one of their own.
        self.actions_budget: Budget | None = None
        # By token and whether of actions, where the budgets are the tokens'.
        self._token_budgets: dict[tuple[str, bool], Budget] = {}
        self.image_limit: int | None = None
        # Seconds, or a list from which each create takes the first element. None: random.
        self.snapshot_seconds: dict[int, float | list[float]] = {}
        # How the progress of a server's actions grows, where it differs from the world's setting.
        self.progress_styles: dict[int, ProgressStyle] = {}
        self._servers: dict[int, Server] = {}
        self._images: dict[int, Image] = {}
        self._actions: dict[int, Action] = {}
        self._running: dict[int, Action] = {}
        self._failures: dict[int, list[Failure]] = {}

    @property
    def servers(self) -> dict[int, Server]:
        self.world.settle()
        return self._servers

    @property
    def images(self) -> dict[int, Image]:
        self.world.settle()
        return self._images

    @property
    def actions(self) -> dict[int, Action]:
        self.world.settle()
        return self._actions

    @property
    def rate_limit(self) -> int:
        """Requests per hour. Setting it gives a full budget of that many."""
        return self.budget.limit

    @rate_limit.setter
    def rate_limit(self, requests_per_hour: int) -> None:
        with self.world.lock:
            self.budget = Budget(self.world.clock, requests_per_hour)
            self._token_budgets.clear()

    @property
    def actions_limit(self) -> int:
        """Requests per hour under /actions; set, these have a budget of their own."""
        return (self.actions_budget or self.budget).limit

    @actions_limit.setter
    def actions_limit(self, requests_per_hour: int) -> None:
        with self.world.lock:
            self.actions_budget = Budget(self.world.clock, requests_per_hour)
            self._token_budgets.clear()

    def budget_of(self, token: str, of_actions: bool) -> Budget:
        """What a request is counted on."""
        own = self.actions_budget if of_actions else None
        shared = own or self.budget
        if not self.world.budget_per_token:
            return shared
        new = Budget(self.world.clock, shared.limit)
        return self._token_budgets.setdefault((token, own is not None), new)

    def spend_budget(self, requests: int) -> None:
        """Requests that other clients of the project make now, with tokens of their own."""
        with self.world.lock:
            self.budget.spend(requests)

    def add_token(self, token: str, *, read_only: bool = False) -> None:
        self.world.add_token(token, self, read_only=read_only)

    def revoke_token(self, token: str) -> None:
        self.world.revoke_token(token)

    def add_server(
        self,
        name: str,
        labels: dict[str, str] | None = None,
        *,
        ipv4: bool = True,
        ipv6: bool = True,
        status: str = "running",
        server_type: str = "cx23",
        location: str = "fsn1",
        created: datetime | None = None,
        backups: bool = False,
        volumes: int = 0,
    ) -> Server:
        with self.world.lock:
            if any(server.name == name for server in self._servers.values()):
                raise ValueError(f"project {self.name} already has a server named {name}")
            id_ = self.world.next_id("server")
            type_ = SERVER_TYPES[server_type]
            # Its own generator: how many servers there are changes nothing else that is random.
            used = random.Random(f"used by {id_}").uniform(0.02, 0.4)
            system = 801 if type_["architecture"] == "x86" else 802
            server = Server(
                id=id_,
                name=name,
                status=status,
                created=created or self.world.clock.now() - timedelta(days=100),
                labels=dict(labels or {}),
                ipv4=f"198.18.{id_ // 256 % 256}.{id_ % 256}" if ipv4 else None,
                ipv6=f"2001:db8:{id_:x}::/64" if ipv6 else None,
                server_type=type_,
                location=LOCATIONS[location],
                used_gb=round(used * type_["disk"], 2),
                image=SYSTEM_IMAGES[system].to_json(),
                backup_window="22-02" if backups else None,
                volumes=[10 * id_ + number for number in range(volumes)],
            )
            self._servers[id_] = server
            return server

    def delete_server(self, server: Server) -> None:
        """Deletes the server; its snapshots stay, its running actions end in an error."""
        with self.world.lock:
            self.settle()
            for action in list(self._running.values()):
                if action.server_id == server.id:
                    action.ends_at = self.world.clock.now()
                    action.failure = Failure("action_failed", "Action failed", 0, "vanishes")
            self.settle()
            del self._servers[server.id]

    def lock(
        self, server: Server, command: str = "change_type", seconds: float | None = 300
    ) -> Action:
        """An action of another client locks the server, for simulated seconds; None: for ever."""
        with self.world.lock:
            return self._start(server, command, seconds, locks=True)

    def lock_holders(self) -> dict[int, Action]:
        """By the id of the server, the action that locks it."""
        with self.world.lock:
            self.world.settle()
            return {action.server_id: action for action in self._running.values() if action.locks}

    def add_snapshot(
        self,
        server: Server,
        created: datetime | None = None,
        labels: dict[str, str] | None = None,
        *,
        status: ImageStatus = "available",
        description: str | None = None,
        size_gb: float | None = None,
        protected: bool = False,
        type: ImageType = "snapshot",
    ) -> Image:
        """Adds an image of any type, without an action; as large as the server's others."""
        size_gb = server.used_gb if size_gb is None else size_gb
        with self.world.lock:
            image = Image(
                id=self.world.next_id("image"),
                type=type,
                status=status,
                description=f"{server.name} snapshot" if description is None else description,
                image_size=size_gb if status == "available" else None,
                disk_size=server.server_type["disk"],
                created=created or self.world.clock.now(),
                created_from={"id": server.id, "name": server.name},
                labels=dict(labels or {}),
                protected=protected,
                bound_to=server.id if type == "backup" else None,
                architecture=server.server_type["architecture"],
            )
            self._images[image.id] = image
            return image

    def create_image(
        self,
        server: Server,
        *,
        description: str | None = None,
        labels: dict[str, str] | None = None,
    ) -> tuple[Action, Image]:
        """Start a snapshot, as the API's create_image does once it has accepted the request."""
        with self.world.lock:
            image = self.add_snapshot(
                server, labels=labels, status="creating", description=description
            )
            image.visible_at = image.created + timedelta(
                seconds=self.world.image_visible_after_seconds
            )
            failures = self._failures.get(server.id)
            failure = failures.pop(0) if failures else self._too_many()
            seconds = failure.after_seconds if failure else self._draw_seconds(server)
            action = self._start(
                server, "create_image", seconds, locks=self.world.create_image_locks
            )
            action.image_id = image.id
            action.used_gb = server.used_gb
            action.failure = failure
            return action, image

    def next_action_fails(
        self,
        server: Server,
        times: int = 1,
        after_seconds: float = 40,
        code: str = "unknown_error",
        image: FailedImage = "vanishes",
        message: str = "Unknown error",
    ) -> None:
        """The server's next create_image actions end in an error."""
        with self.world.lock:
            failure = Failure(code, message, after_seconds, image)
            self._failures.setdefault(server.id, []).extend([failure] * times)

    def settle(self) -> None:
        """Bring actions and images up to now. The caller holds the world's lock."""
        now = self.world.clock.now()
        for action in list(self._running.values()):
            if action.status != "running" or action.id not in self._actions:
                del self._running[action.id]
            elif action.ends_at is not None and action.ends_at <= now:
                del self._running[action.id]
                self._finish(action)

    def to_json(self) -> dict[str, Any]:
        locked = self.lock_holders()
        return {
            "servers": [
                server.to_json(locked=server.id in locked) for server in self._servers.values()
            ],
            "images": [image.to_json() for image in self._images.values()],
            "actions": [action.to_json() for action in self._actions.values()],
        }

    def _start(self, server: Server, command: str, seconds: float | None, locks: bool) -> Action:
        now = self.world.clock.now()
        action = Action(
            id=self.world.next_id("action"),
            command=command,
            server_id=server.id,
            clock=self.world.clock,
            progress_style=self.progress_styles.get(server.id, self.world.progress),
            started=now,
            ends_at=None if seconds is None else now + timedelta(seconds=seconds),
            locks=locks,
        )
        self._actions[action.id] = self._running[action.id] = action
        return action

    def _finish(self, action: Action) -> None:
        action.finished = action.ends_at
        image = self._images.get(action.image_id or 0)
        if action.failure is None:
            action.status = "success"
            if image is not None:
                image.status = "available"
                image.image_size = round(action.used_gb * self.world.rng.uniform(0.95, 1.05), 2)
            return
        action.status = "error"
        action.error = {"code": action.failure.code, "message": action.failure.message}
        if image is not None and action.failure.image == "vanishes":
            del self._images[image.id]
        elif image is not None:
            image.status = "unavailable"

    def _too_many(self) -> Failure | None:
        """How one more create fails, if Hetzner takes only so many at once."""
        busy = sum(action.command == "create_image" for action in self._running.values())
        most = self.world.creates_at_once
        if most is None or busy < most:
            return None
        return Failure("action_failed", "Action failed", 5, "vanishes")

    def _draw_seconds(self, server: Server) -> float:
        scripted = self.snapshot_seconds.get(server.id)
        if isinstance(scripted, list):
            scripted = scripted.pop(0) if scripted else None
        if scripted is not None:
            return scripted
        return self.world.rng.lognormvariate(math.log(MEDIAN_SNAPSHOT_SECONDS), _SIGMA)
