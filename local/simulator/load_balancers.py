"""Load balancers, as far as servers get attached to them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.simulator.labels import parse_selector
from local.simulator.model import Server, rfc3339


@dataclass
class LoadBalancer:
    id: int
    name: str
    servers: set[int] = field(default_factory=set)
    selectors: list[str] = field(default_factory=list)
    created: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def reaches(self, server: Server) -> bool:
        return server.id in self.servers or any(
            parse_selector(selector)(server.labels) for selector in self.selectors
        )

    def to_json(self, servers: list[Server]) -> dict[str, Any]:
        targets: list[dict[str, Any]] = [_target(id_) for id_ in sorted(self.servers)]
        for selector in self.selectors:
            matches = parse_selector(selector)
            targets.append(
                {
                    "type": "label_selector",
                    "label_selector": {"selector": selector},
                    "use_private_ip": False,
                    "targets": [_target(s.id) for s in servers if matches(s.labels)],
                }
            )
        return {
            "id": self.id,
            "name": self.name,
            "created": rfc3339(self.created),
            "labels": {},
            "protection": {"delete": False},
            "private_net": [],
            "services": [],
            "targets": targets,
        }


class LoadBalancers(dict[int, LoadBalancer]):
    """By id."""

    def add(self, id_: int, *, servers: set[int] | None = None, selector: str = "") -> LoadBalancer:
        selectors = [selector] if selector else []
        self[id_] = LoadBalancer(id_, f"balancer-{id_}", servers or set(), selectors)
        return self[id_]

    def of(self, server: Server) -> list[int]:
        """Those that send traffic to this server; a selector picks it up at once."""
        return [balancer.id for balancer in self.values() if balancer.reaches(server)]


def _target(server_id: int) -> dict[str, Any]:
    return {
        "type": "server",
        "server": {"id": server_id},
        "use_private_ip": False,
        "health_status": [],
    }
