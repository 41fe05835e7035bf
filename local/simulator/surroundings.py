"""What projects, firewalls and faults need from the world; world.py implements it."""

from __future__ import annotations

import random
import threading
from typing import Any, Literal, Protocol

from local.simulator.clock import Clock
from local.simulator.deeds import Deeds
from local.simulator.model import ProgressStyle

ImageDeletedInCreate = Literal["create_goes_on", "create_fails", "delete_refused"]


class Surroundings(Protocol):
    clock: Clock
    rng: random.Random
    lock: threading.RLock
    closing: threading.Event
    create_image_locks: bool
    image_visible_after_seconds: float
    budget_per_token: bool
    creates_at_once: int | None
    progress: ProgressStyle
    image_deleted_in_create: ImageDeletedInCreate
    firewall_applied_after_boot: bool
    firewall_stays_applied: bool
    starts_after_each_create: bool
    address_kept_after_delete: bool
    no_stock: set[tuple[str, str]]
    no_placement: set[tuple[str, str]]
    disabled_locations: set[str]
    record: Deeds

    def next_id(self, kind: str) -> int: ...

    def next_address(self) -> str: ...

    def settle(self) -> None: ...

    def add_token(self, token: str, project: Any, *, read_only: bool) -> None: ...

    def revoke_token(self, token: str) -> None: ...
