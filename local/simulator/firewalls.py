"""A project's firewalls: which servers they are attached to, and what is in force there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from local.simulator.deeds import SeenFirewall
from local.simulator.firewall_rules import (
    Rule,
    allows_in,
    destinations,
    leads_nowhere,
    parse_rules,
)
from local.simulator.labels import parse_selector
from local.simulator.model import Action, Server, rfc3339
from local.simulator.surroundings import Surroundings

LIMIT = 50
LIMIT_PER_SERVER = 5


class Host(Protocol):
    """What firewalls need from their project; project.py implements it."""

    world: Surroundings
    firewall_seconds: float
    _servers: dict[int, Server]
    _running: dict[int, Action]

    def start_action(
        self,
        server_id: int,
        command: str,
        seconds: float | None,
        *,
        locks: bool,
        firewall_id: int | None = None,
        then: Callable[[Action], None] | None = None,
    ) -> Action: ...


@dataclass
class Attachment:
    status: Literal["pending", "applied"] = "pending"
    rules: list[Rule] | None = None  # In force on the server; None: nothing is yet.
    direct: bool = False
    selectors: set[str] = field(default_factory=set)
    leaving: bool = False


@dataclass
class Firewall:
    id: int
    name: str
    created: datetime
    labels: dict[str, str]
    rules: list[Rule]
    selectors: list[str] = field(default_factory=list)
    servers: dict[int, Attachment] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        applied_to: list[dict[str, Any]] = [
            _server(id_) for id_, attachment in self.servers.items() if attachment.direct
        ]
        for selector in self.selectors:
            reached = [id_ for id_, a in self.servers.items() if selector in a.selectors]
            applied_to.append(
                {
                    "type": "label_selector",
                    "label_selector": {"selector": selector},
                    "applied_to_resources": [_server(id_) for id_ in reached],
                }
            )
        return {
            "id": self.id,
            "name": self.name,
            "labels": dict(self.labels),
            "created": rfc3339(self.created),
            "rules": deepcopy(self.rules),
            "applied_to": applied_to,
        }


class Firewalls(dict[int, Firewall]):
    """By id."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    def add(
        self, name: str, rules: Sequence[Rule] = (), labels: dict[str, str] | None = None
    ) -> Firewall:
        world = self._host.world
        firewall = Firewall(
            world.next_id("firewall"),
            name,
            world.clock.now(),
            dict(labels or {}),
            parse_rules(list(rules)),
        )
        self[firewall.id] = firewall
        return firewall

    def attach(
        self, firewall: Firewall, server: Server, selector: str | None = None, after: float = 0
    ) -> Action | None:
        """Attach it, directly or by a selector; the action, if it is not attached already.

        `after` seconds from now the server is there.
        """
        attachment = firewall.servers.setdefault(server.id, Attachment())
        new = not (attachment.direct or attachment.selectors)
        if selector is None:
            attachment.direct = True
        else:
            attachment.selectors.add(selector)
        attachment.leaving = False
        return self._apply(firewall, server.id, after) if new else None

    def detach(
        self, firewall: Firewall, server_id: int, selector: str | None = None
    ) -> Action | None:
        """What is attached in another way as well stays."""
        attachment = firewall.servers[server_id]
        if selector is None:
            attachment.direct = False
        else:
            attachment.selectors.discard(selector)
        if attachment.direct or attachment.selectors:
            return None
        attachment.leaving = True

        def gone(action: Action) -> None:
            if attachment.leaving and firewall.servers.get(server_id) is attachment:
                del firewall.servers[server_id]

        return self._host.start_action(
            server_id,
            "remove_firewall",
            self._host.firewall_seconds,
            locks=False,
            firewall_id=firewall.id,
            then=gone,
        )

    def set_rules(self, firewall: Firewall, rules: list[Rule]) -> list[Action]:
        """The old rules stay in force on each server until its action has ended."""
        firewall.rules = rules
        own = self._host.start_action(
            0, "set_firewall_rules", self._host.firewall_seconds, locks=False,
            firewall_id=firewall.id,
        )  # fmt: skip
        return [own, *(self._apply(firewall, id_) for id_ in firewall.servers)]

    def forget(self, server_id: int) -> None:
        """The server is gone."""
        for firewall in self.values():
            firewall.servers.pop(server_id, None)

    def follow_labels(self) -> list[Action]:
        """Attach to the servers that match a selector now, detach from those that no longer do."""
        actions: list[Action | None] = []
        for firewall in list(self.values()):
            for selector in list(firewall.selectors):
                selects = parse_selector(selector)
                for server in list(self._host._servers.values()):
                    attachment = firewall.servers.get(server.id)
                    has_it = attachment is not None and selector in attachment.selectors
                    if selects(server.labels) and not has_it:
                        actions.append(self.attach(firewall, server, selector))
                    elif has_it and not selects(server.labels):
                        actions.append(self.detach(firewall, server.id, selector))
        return [action for action in actions if action]

    def of(self, server_id: int) -> tuple[SeenFirewall, ...]:
        return tuple(
            SeenFirewall(
                firewall.id,
                attachment.status,
                None if attachment.rules is None else tuple(deepcopy(attachment.rules)),
            )
            for firewall in self.values()
            if (attachment := firewall.servers.get(server_id))
        )

    def lets_in(self, server_id: int, port: int, source: str) -> bool:
        """Without a firewall in force everything passes; with several, what one of them allows."""
        in_force = [seen.rules for seen in self.of(server_id) if seen.rules is not None]
        return not in_force or any(allows_in(rules, port, source) for rules in in_force)

    def way_out(self, server_id: int) -> str | None:
        """What outbound traffic could do harm with, in words; None if there is none."""
        in_force = [rule for seen in self.of(server_id) for rule in seen.rules or ()]
        outbound = destinations(in_force)
        if not outbound:
            return "no outbound rule is in force"
        leading = [cidr for cidr in outbound if not leads_nowhere(cidr)]
        return f"outbound to {', '.join(leading)}" if leading else None

    def boots(self, server_id: int, at: datetime) -> None:
        """The server runs now: what is applied only then goes on."""
        for action in self._host._running.values():
            if action.command == "apply_firewall" and action.server_id == server_id:
                later = at + timedelta(seconds=self._host.firewall_seconds)
                action.ends_at = action.ends_at or later

    def _apply(self, firewall: Firewall, server_id: int, after: float = 0) -> Action:
        attachment = firewall.servers[server_id]
        world = self._host.world
        if not (world.firewall_stays_applied and attachment.status == "applied"):
            attachment.status = "pending"
        server = self._host._servers[server_id]
        waits = world.firewall_applied_after_boot and server.status != "running"

        def applied(action: Action) -> None:
            if firewall.servers.get(server_id) is attachment and not attachment.leaving:
                attachment.status = "applied"
                attachment.rules = deepcopy(firewall.rules)

        return self._host.start_action(
            server_id,
            "apply_firewall",
            None if waits else after + self._host.firewall_seconds,
            locks=False,
            firewall_id=firewall.id,
            then=applied,
        )


def _server(id_: int) -> dict[str, Any]:
    return {"type": "server", "server": {"id": id_}}
