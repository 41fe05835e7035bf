"""A survey of a project: its servers and our snapshots in it, each list complete."""

from dataclasses import dataclass
from datetime import datetime

from handler.documents.resources import Price, Server, Snapshot


@dataclass(frozen=True, slots=True)
class Survey:
    servers: tuple[Server, ...]
    matching: frozenset[int]  # the ids of those that the label selector matches
    snapshots: tuple[Snapshot, ...]
    now: datetime | None  # by the API's clock; None if no answer had a date
    requests_left: int | None
    price: Price | None = None
    price_error: str = ""  # why it is not known, if it was asked for
    copies: tuple[Server, ...] = ()  # that this owner's restores made to throw away
