"""A project: its servers, images and actions, and what happens to them as time passes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from local.simulator.boot import Boot
from local.simulator.budget import Budgets
from local.simulator.durations import snapshot_seconds
from local.simulator.firewalls import Firewalls
from local.simulator.load_balancers import LoadBalancers
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
from local.simulator.plain_server import plain_image, plain_server
from local.simulator.surroundings import Surroundings


class Project:
    """Made by `World.project`. `servers`, `images` and `actions` may be changed at will."""

    def __init__(self, world: Surroundings, name: str) -> None:
        self.world = world
        self.name = name
        self.budgets = Budgets(world.clock)
        self.image_limit: int | None = None
        # Seconds, or a list from which each create takes the first element. None: random.
        self.snapshot_seconds: dict[int, float | list[float]] = {}
        # How the progress of a server's actions grows, where it differs from the world's setting.
        self.progress_styles: dict[int, ProgressStyle] = {}
        self.server_limit: int | None = None
        self.primary_ip_limit: int | None = None  # Of IPv4 addresses.
        self.ssh_keys: dict[int, str] = {}  # Names by id.
        # How servers greet that were made through the API; by the id of the server, of its image,
        # or of the server that the image is of, where it differs.
        self.boot = Boot()
        self.boots: dict[int, Boot] = {}
        # As `snapshot_seconds`, by the id of the image.
        self.server_seconds: dict[int, float | list[float]] = {}
        # Of the next servers: how making them ends in an error.
        self.server_failures: list[Failure] = []
        self.firewall_seconds = 4.0
        self.kept_addresses: dict[int, str] = {}  # Of servers that are gone; by their own ids.
        self._servers: dict[int, Server] = {}
        self._images: dict[int, Image] = {}
        self._actions: dict[int, Action] = {}
        self._running: dict[int, Action] = {}
        self._failures: dict[int, list[Failure]] = {}
        self._firewalls = Firewalls(self)
        self.load_balancers = LoadBalancers()

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
    def firewalls(self) -> Firewalls:
        self.world.settle()
        return self._firewalls

    @property
    def rate_limit(self) -> int:
        """Requests per hour. Setting it gives a full budget of that many."""
        return self.budgets.shared.limit

    @rate_limit.setter
    def rate_limit(self, requests_per_hour: int) -> None:
        with self.world.lock:
            self.budgets.limit(requests_per_hour)

    @property
    def actions_limit(self) -> int:
        """Requests per hour under /actions; set, these have a budget of their own."""
        return (self.budgets.actions or self.budgets.shared).limit

    @actions_limit.setter
    def actions_limit(self, requests_per_hour: int) -> None:
        with self.world.lock:
            self.budgets.limit(requests_per_hour, of_actions=True)

    def spend_budget(self, requests: int) -> None:
        """Requests that other clients of the project make now, with tokens of their own."""
        with self.world.lock:
            self.budgets.shared.spend(requests)

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
            server = plain_server(id_, name, server_type, location, ipv4=ipv4, ipv6=ipv6)
            server.status = status
            server.created = created or self.world.clock.now() - timedelta(days=100)
            server.labels = dict(labels or {})
            server.backup_window = "22-02" if backups else None
            server.volumes = [10 * id_ + number for number in range(volumes)]
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
            self._firewalls.forget(server.id)
            self._servers.pop(server.id, None)

    def lock(
        self, server: Server, command: str = "change_type", seconds: float | None = 300
    ) -> Action:
        """An action of another client locks the server, for simulated seconds; None: for ever."""
        with self.world.lock:
            return self.start_action(server.id, command, seconds, locks=True)

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
        with self.world.lock:
            image = plain_image(self.world.next_id("image"), server, type, status, size_gb)
            image.created = created or self.world.clock.now()
            image.labels = dict(labels or {})
            image.protected = protected
            if description is not None:
                image.description = description
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
            if failure:
                seconds = failure.after_seconds
            else:
                seconds = snapshot_seconds(self.world.rng, self.snapshot_seconds, server.id)
            action = self.start_action(
                server.id, "create_image", seconds, locks=self.world.create_image_locks
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
            elif action.then is None and action.is_due(now):
                del self._running[action.id]
                self._finish(action)
        self._firewalls.follow_labels()
        # One after the other, as they end: one may bring about another.
        while due := [(a.ends_at, a.id) for a in list(self._running.values()) if a.is_due(now)]:
            self._finish(self._running.pop(min(due)[1]))

    def start_action(
        self,
        server_id: int,
        command: str,
        seconds: float | None,
        *,
        locks: bool,
        firewall_id: int | None = None,
        then: Callable[[Action], None] | None = None,
    ) -> Action:
        """An action of so many seconds; None: it runs for ever."""
        now = self.world.clock.now()
        action = Action(
            id=self.world.next_id("action"),
            command=command,
            server_id=server_id,
            clock=self.world.clock,
            progress_style=self.progress_styles.get(server_id, self.world.progress),
            started=now,
            ends_at=None if seconds is None else now + timedelta(seconds=seconds),
            locks=locks,
            firewall_id=firewall_id,
            then=then,
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
        else:
            self._fail(action, action.failure, image)
        if action.then is not None:
            action.then(action)

    def _fail(self, action: Action, failure: Failure, image: Image | None) -> None:
        action.status = "error"
        action.error = {"code": failure.code, "message": failure.message}
        if image is not None and failure.image == "vanishes":
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
