"""Servers, images and actions as the simulator holds them, and as the API shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from local.simulator.clock import Clock

ActionStatus = Literal["running", "success", "error"]
ImageStatus = Literal["available", "creating", "unavailable"]
ImageType = Literal["system", "app", "snapshot", "backup"]
ProgressStyle = Literal["linear", "stuck", "steps"]
FailedImage = Literal["vanishes", "unavailable"]


@dataclass
class Server:
    id: int
    name: str
    status: str
    created: datetime
    labels: dict[str, str]
    ipv4: str | None
    ipv6: str | None
    server_type: dict[str, Any]
    location: dict[str, Any]
    used_gb: float  # About what its next snapshots have; less when its disk is emptied.
    image: dict[str, Any] | None = None
    hidden_lock: bool = False  # Locked, but no action is running.
    backup_window: str | None = None  # Hours (UTC) of Hetzner's own Backups; None: they are off.
    volumes: list[int] = field(default_factory=list)
    networks: list[int] = field(default_factory=list)
    floating_ips: list[int] = field(default_factory=list)
    placement_group: int | None = None
    protected: bool = False  # Against deleting and rebuilding: Hetzner wants both alike.
    # Of servers made through the API.
    image_id: int | None = None
    source_id: int | None = None  # The server whose snapshot it was made from.
    powered_at: datetime | None = None  # Since when it runs; None: it is off.
    root_password: str | None = field(default=None, repr=False)
    # The rescue system is what starts next; is what runs.
    rescue: Literal["", "enabled", "runs"] = ""

    def to_json(
        self,
        *,
        locked: bool,
        firewalls: Sequence[dict[str, Any]] = (),
        load_balancers: Sequence[int] = (),
    ) -> dict[str, Any]:
        ipv4 = ipv6 = None
        if self.ipv4:
            dns_ptr = f"static.{'.'.join(reversed(self.ipv4.split('.')))}.clients.example.com"
            ipv4 = {"id": self.id * 10 + 4, "ip": self.ipv4, "blocked": False, "dns_ptr": dns_ptr}
        if self.ipv6:
            ipv6 = {"id": self.id * 10 + 6, "ip": self.ipv6, "blocked": False, "dns_ptr": []}
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "created": rfc3339(self.created),
            "public_net": {
                "ipv4": ipv4,
                "ipv6": ipv6,
                "floating_ips": list(self.floating_ips),
                "firewalls": list(firewalls),
            },
            "private_net": [
                {
                    "network": network,
                    "ip": f"10.0.{number}.{self.id % 250 + 2}",
                    "alias_ips": [],
                    "mac_address": "86:00:ff:2a:7d:e1",
                }
                for number, network in enumerate(self.networks)
            ],
            "server_type": self.server_type,
            "location": self.location,
            "image": self.image,
            "iso": None,
            "rescue_enabled": self.rescue == "enabled",
            "locked": locked or self.hidden_lock,
            "backup_window": self.backup_window,
            "outgoing_traffic": 123456,
            "ingoing_traffic": 123456,
            "included_traffic": 21990232555520,
            "protection": {"delete": self.protected, "rebuild": self.protected},
            "labels": dict(self.labels),
            "volumes": list(self.volumes),
            "load_balancers": list(load_balancers),
            "primary_disk_size": self.server_type["disk"],
            "placement_group": self._placement_group_json(),
        }

    def _placement_group_json(self) -> dict[str, Any] | None:
        if self.placement_group is None:
            return None
        return {
            "id": self.placement_group,
            "name": f"group-{self.placement_group}",
            "type": "spread",
            "created": rfc3339(self.created),
            "labels": {},
            "servers": [self.id],
        }


@dataclass
class Image:
    id: int
    type: ImageType
    status: ImageStatus
    description: str
    image_size: float | None
    disk_size: int
    created: datetime
    created_from: dict[str, Any] | None
    labels: dict[str, str] = field(default_factory=dict)
    protected: bool = False
    name: str | None = None
    bound_to: int | None = None
    os_flavor: str = "debian"
    os_version: str | None = "13"
    architecture: str = "x86"
    rapid_deploy: bool = False
    visible_at: datetime | None = None  # Not in listings before; None: always.

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": self.type,
            "status": self.status,
            "name": self.name,
            "description": self.description,
            "image_size": self.image_size,
            "disk_size": self.disk_size,
            "created": rfc3339(self.created),
            "created_from": dict(self.created_from) if self.created_from else None,
            "bound_to": self.bound_to,
            "os_flavor": self.os_flavor,
            "os_version": self.os_version,
            "architecture": self.architecture,
            "rapid_deploy": self.rapid_deploy,
            "protection": {"delete": self.protected},
            "deprecation": None,
            "deleted": None,
            "labels": dict(self.labels),
        }


@dataclass(frozen=True)
class Failure:
    """How an action ends that does not succeed."""

    code: str
    message: str
    after_seconds: float
    image: FailedImage


@dataclass
class Action:
    id: int
    command: str
    server_id: int  # 0: of no server.
    clock: Clock = field(repr=False)
    started: datetime
    ends_at: datetime | None  # None: runs for ever.
    locks: bool = True
    image_id: int | None = None
    used_gb: float = 0.0  # Of the server's disk, when its snapshot was begun.
    failure: Failure | None = None
    status: ActionStatus = "running"
    finished: datetime | None = None
    error: dict[str, str] | None = None
    progress_style: ProgressStyle = "linear"
    fixed_progress: int | None = None  # A fixed progress, in place of one that grows.
    firewall_id: int | None = None
    # What its end brings about, success or error.
    then: Callable[["Action"], None] | None = field(default=None, repr=False)

    def is_due(self, now: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= now

    @property
    def progress(self) -> int:
        """In percent, as of now or of its end."""
        if self.status == "success":
            return 100
        if self.fixed_progress is not None:
            return self.fixed_progress
        if self.ends_at is None or self.progress_style == "stuck":
            return 0
        elapsed = (self.finished or self.clock.now()) - self.started
        whole = max(self.ends_at - self.started, timedelta(microseconds=1))
        percent = min(99, int(100 * (elapsed / whole)))
        return percent - percent % 25 if self.progress_style == "steps" else percent

    def to_json(self) -> dict[str, Any]:
        resources = [{"id": self.server_id, "type": "server"}] if self.server_id else []
        if self.image_id is not None:
            resources.append({"id": self.image_id, "type": "image"})
        if self.firewall_id is not None:
            resources.append({"id": self.firewall_id, "type": "firewall"})
        return {
            "id": self.id,
            "command": self.command,
            "status": self.status,
            "progress": self.progress,
            "started": rfc3339(self.started),
            "finished": rfc3339(self.finished) if self.finished else None,
            "resources": resources,
            "error": self.error,
        }


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
