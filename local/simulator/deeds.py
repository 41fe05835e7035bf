"""What was done to servers: who has made, powered and deleted which, and what then stood open."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from flask import g, has_request_context

# on and off: it was asked for; runs and stopped: it is so now. open: a server made through the API
# runs, and something lets it act, from its start or since a change (seen as the world settles).
What = Literal[
    "created", "made", "not_made", "on", "runs", "open", "off", "stopped", "rebuilt", "deleted"
]


@dataclass(frozen=True)
class SeenFirewall:
    """A firewall of a server at one moment; the rules are those in force, None without any."""

    id: int
    status: str
    rules: tuple[dict[str, Any], ...] | None


@dataclass(frozen=True)
class Deed:
    what: What
    at: datetime
    project: str
    server_id: int
    name: str
    labels: dict[str, str]
    image_id: int | None
    by: object  # What `Deeds.who` said: without more, the request's correlation id.
    firewalls: tuple[SeenFirewall, ...]
    # Why it can act: "network 7", "no firewall that closes outbound traffic"; () if it cannot.
    can_act_by: tuple[str, ...]


class Deeds(list[Deed]):
    """In the order in which they happened; `who` says in whose name something is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.who: Callable[[], object] = _correlation_id


def _correlation_id() -> object:
    return g.record.correlation_id if has_request_context() and "record" in g else "test"
