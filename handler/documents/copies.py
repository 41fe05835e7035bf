"""Servers that are made from snapshots, what they are made of, and the firewall before them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Copy:
    """A server that was made from a snapshot, as far as it decides whether it may run or go.

    What is attached to it is None where the answer does not tell it.
    """

    id: int
    name: str
    status: str
    created: datetime
    labels: dict[str, str]
    image_id: int | None  # None: the image is gone
    ipv4: str | None = None
    type: str = ""
    location: str = ""
    locked: bool = False
    protected: bool = False
    ipv6: bool | None = None
    firewalls: tuple[tuple[int, str], ...] | None = None  # their ids and statuses
    networks: tuple[int, ...] | None = None
    volumes: tuple[int, ...] | None = None
    load_balancers: tuple[int, ...] | None = None
    floating_ips: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a firewall; of an inbound one the sources, of an outbound one the destinations."""

    direction: Direction
    protocol: str
    port: str | None
    ips: frozenset[str]


@dataclass(frozen=True, slots=True)
class Firewall:
    id: int
    name: str
    labels: dict[str, str]
    rules: frozenset[Rule]


@dataclass(frozen=True, slots=True)
class Offer:
    """A server type in one of its locations. `per_hour` is net, without an address; None: not told.

    `in_stock` is Hetzner's word; that it is so is known when the server was made.
    """

    location: str
    in_stock: bool
    deprecated: bool
    per_hour: Decimal | None


@dataclass(frozen=True, slots=True)
class ServerType:
    id: int
    name: str
    architecture: str
    disk_gb: int
    memory_gb: float
    deprecated: bool
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressPrices:
    """What an IPv4 address costs per hour, net, by location, in the project's currency."""

    currency: str
    per_hour: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class WantedCopy:
    """All that a copy is made with. It has nothing else: no network, volume or user data."""

    name: str
    server_type: str
    location: str
    image_id: int
    labels: dict[str, str]
    firewall_id: int
    ssh_keys: tuple[int, ...] = ()
