"""Servers, snapshots and actions in the answers of Hetzner's API."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import DecimalException
from typing import Any

from handler.documents.errors import MESSAGE_CHARACTERS, OutcomeUnknown
from handler.documents.resources import Action, Server, Snapshot
from handler.hetzner.redaction import redacted


@contextmanager
def well_formed() -> Iterator[None]:
    """Turns an answer of the wrong shape into OutcomeUnknown: it is not Hetzner's."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, DecimalException) as error:
        raise OutcomeUnknown(f"an answer that is not Hetzner's: {redacted(repr(error))}") from None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def server_in(item: dict[str, Any]) -> Server:
    net = item.get("public_net") or {}
    location = item.get("location") or (item.get("datacenter") or {}).get("location") or {}
    return Server(
        id=int(item["id"]),
        name=str(item["name"]),
        status=str(item["status"]),
        ipv4=(net.get("ipv4") or {}).get("ip"),
        ipv6=(net.get("ipv6") or {}).get("ip"),
        type=(item.get("server_type") or {}).get("name"),
        location=location.get("name"),
        labels=dict(item["labels"]),
        created=_time(item["created"]),
    )


def snapshot_in(item: dict[str, Any]) -> Snapshot:
    return Snapshot(
        id=int(item["id"]),
        status=str(item["status"]),
        description=str(item["description"]),
        created=_time(item["created"]),
        size_gb=None if item["image_size"] is None else float(item["image_size"]),
        protected=bool(item["protection"]["delete"]),
        labels=dict(item["labels"]),
    )


def action_in(item: dict[str, Any]) -> Action:
    return Action(
        id=int(item["id"]),
        command=str(item["command"]),
        status=str(item["status"]),
        progress=int(item["progress"]),
        started=_time(item["started"]),
        finished=_time(item["finished"]) if item.get("finished") else None,
        error=_why(item),
        image_ids=frozenset(r["id"] for r in item["resources"] if r["type"] == "image"),
    )


def _why(action: dict[str, Any]) -> str:
    """Why it failed; Hetzner's text may be empty."""
    error = action.get("error")
    if not error:
        return "Hetzner gives no reason" if action["status"] == "error" else ""
    why = error.get("message") or "Hetzner gives no reason"
    return redacted(f"{why} ({error.get('code') or 'no code'})")[:MESSAGE_CHARACTERS]
