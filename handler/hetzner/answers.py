"""Servers, snapshots and actions in the answers of Hetzner's API.

Only what a decision needs is demanded; what else is missing gets the meaning that is safe.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import DecimalException
from typing import Any

from handler.documents.errors import MESSAGE_CHARACTERS, OutcomeUnknown
from handler.documents.resources import UNAVAILABLE, Action, Server, Snapshot
from handler.hetzner.redaction import redacted

UNKNOWN = "unknown"
NUMBER = re.compile(r"[0-9]{1,6}\.[0-9]{1,20}", re.ASCII)
# What reading an answer of the wrong shape raises.
NOT_HETZNERS = (
    KeyError, TypeError, ValueError, AttributeError, DecimalException, OverflowError
)  # fmt: skip


@contextmanager
def well_formed() -> Iterator[None]:
    """Raises OutcomeUnknown for an answer of the wrong shape: it is not from Hetzner's API."""
    try:
        yield
    except NOT_HETZNERS as error:
        raise OutcomeUnknown(f"an answer that is not Hetzner's: {redacted(repr(error))}") from None


def server_in(item: dict[str, Any]) -> Server:
    """The server. Without labels it could not be told whether it wants a snapshot."""
    location = inner(item, "location") or inner(item, "datacenter", "location")
    created, volumes = item.get("created"), item.get("volumes")
    return Server(
        id=int(item["id"]),
        name=str(item["name"]),
        status=text_in(item, "status", UNKNOWN),
        ipv4=inner(item, "public_net", "ipv4").get("ip"),
        ipv6=inner(item, "public_net", "ipv6").get("ip"),
        type=inner(item, "server_type").get("name"),
        location=location.get("name"),
        labels=dict(item["labels"]),
        # Old enough to be missed by the freshness alarm.
        created=time_in(created) if created else datetime.fromtimestamp(0, UTC),
        # Without the field it is not left out for its backups.
        backups=bool(item.get("backup_window")),
        volumes=len(volumes) if isinstance(volumes, list) else 0,
        hourly_net=_hourly_net(item, location.get("name")),
    )


def _hourly_net(server: dict[str, Any], location: Any) -> str:
    """What the server costs there; empty if that is not told."""
    prices = inner(server, "server_type").get("prices")
    for price in prices if isinstance(prices, list) else ():
        if isinstance(price, dict) and price.get("location") == location:
            net = str(inner(price, "price_hourly").get("net") or "")
            return net.rstrip("0") if NUMBER.fullmatch(net) else ""
    return ""


def snapshot_in(item: dict[str, Any]) -> Snapshot:
    """The image. If it is protected and does not say so, Hetzner refuses to delete it.

    One that has been deleted and is still listed is of no use.
    """
    size = item.get("image_size")
    made_of = inner(item, "created_from").get("id")
    return Snapshot(
        id=int(item["id"]),
        status=UNAVAILABLE if item.get("deleted") else str(item["status"]),
        description=text_in(item, "description", ""),
        created=time_in(item["created"]),
        size_gb=None if size is None else float(size),
        protected=bool(inner(item, "protection").get("delete")),
        labels=dict(item["labels"]),
        made_of=int(made_of) if made_of else None,
        disk_gb=_disk(item.get("disk_size")),
        architecture=text_in(item, "architecture", ""),
    )


def action_in(item: dict[str, Any]) -> Action:
    started, finished = item.get("started"), item.get("finished")
    resources = item.get("resources") or []
    return Action(
        id=int(item["id"]),
        command=text_in(item, "command", UNKNOWN),
        status=text_in(item, "status", UNKNOWN),
        progress=int(item.get("progress") or 0),
        started=time_in(started) if started else None,
        finished=time_in(finished) if finished else None,
        error=_why(item),
        image_ids=_ids_of("image", resources),
        server_ids=_ids_of("server", resources),
    )


def _ids_of(kind: str, resources: list[dict[str, Any]]) -> frozenset[int]:
    return frozenset(int(r["id"]) for r in resources if r.get("type") == kind and "id" in r)


def locked_in(server: dict[str, Any]) -> bool | None:
    locked = server.get("locked")
    return locked if isinstance(locked, bool) else None


def started_in(answer: dict[str, Any]) -> tuple[int, int | None]:
    """The image's id in the answer to a create, and the action's; the image alone is enough."""
    action_id = inner(answer, "action").get("id")
    return int(answer["image"]["id"]), None if action_id is None else int(action_id)


def _disk(size: Any) -> int | None:
    """Only a restore needs it: an answer without it is still one about a snapshot."""
    try:
        return math.ceil(float(size)) or None
    except (TypeError, ValueError, OverflowError):
        return None


def _why(action: dict[str, Any]) -> str:
    """Why it failed; Hetzner's text may be empty."""
    error = action.get("error")
    if not error:
        return "Hetzner gives no reason" if action.get("status") == "error" else ""
    why = error.get("message") or "Hetzner gives no reason"
    return redacted(f"{why} ({error.get('code') or 'no code'})")[:MESSAGE_CHARACTERS]


def time_in(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def text_in(item: dict[str, Any], name: str, otherwise: str) -> str:
    value = item.get(name)
    return otherwise if value is None else str(value)


def inner(item: dict[str, Any], *path: str) -> dict[str, Any]:
    """The object at that path; empty if there is none."""
    for name in path:
        found = item.get(name)
        item = found if isinstance(found, dict) else {}
    return item
