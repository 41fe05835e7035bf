"""Hetzner's resources as far as we need them. Times are UTC."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RESTORE_ID,
    LABEL_SERVER_ID,
    LABEL_THROW_AWAY,
)

# All of them are on each copy that is thrown away, whichever stack has made it.
OF_COPIES = frozenset({LABEL_THROW_AWAY, LABEL_MANAGED_BY, LABEL_SERVER_ID, LABEL_RESTORE_ID})

UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Server:
    id: int
    name: str
    status: str
    ipv4: str | None
    ipv6: str | None
    type: str | None
    location: str | None
    labels: dict[str, str]
    created: datetime
    backups: bool = False  # whether Hetzner's own Backups are on
    volumes: int = 0  # so many are attached; no snapshot has what is on them
    hourly_net: str = ""  # what it costs, in the account's currency; empty: not told

    @property
    def is_copy(self) -> bool:
        """Whether a restore has made it to throw it away: it is none of the project's servers."""
        return self.labels.keys() >= OF_COPIES

    @property
    def is_called_copy(self) -> bool:
        """Whether somebody has put the label of such copies on a server that is none."""
        return LABEL_THROW_AWAY in self.labels and not self.is_copy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An image of type snapshot.

    `status` is available, creating or unavailable; one that is not known is waited for.
    """

    id: int
    created: datetime
    status: str = "available"
    description: str = ""
    size_gb: float | None = None
    protected: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    made_of: int | None = None  # a server, by Hetzner's word; None: not told
    disk_gb: int | None = None  # a server made from it needs a disk of this size at least
    architecture: str = ""  # empty: not told

    @property
    def is_available(self) -> bool:
        return self.status == "available"

    @property
    def is_pending(self) -> bool:
        """Whether it may still become available."""
        return self.status not in ("available", UNAVAILABLE)

    @property
    def is_of_another(self) -> bool:
        """Whether it is of another server than its label says: somebody has copied our labels."""
        return self.made_of not in (None, self.server_id)

    def age_s(self, now: datetime) -> int:
        return max(0, int((now - self.created).total_seconds()))

    @property
    def server_id(self) -> int | None:
        """The server it was made of, by our label: that remains when the server is deleted."""
        label = self.labels.get(LABEL_SERVER_ID, "")
        return int(label) if label.isascii() and label.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Action:
    """Something that Hetzner does or has done.

    `status` is running, success or error; one that is not known is waited for.
    """

    id: int
    command: str
    status: str
    progress: int  # per cent
    started: datetime | None = None
    finished: datetime | None = None
    error: str = ""
    image_ids: frozenset[int] = frozenset()
    server_ids: frozenset[int] = frozenset()

    @property
    def is_running(self) -> bool:
        return self.status not in ("success", "error")

    @property
    def took_s(self) -> int | None:
        """How long it took, if it has ended."""
        if not (self.started and self.finished):
            return None
        return int((self.finished - self.started).total_seconds())

    def age_s(self, now: datetime) -> int:
        return max(0, int((now - self.started).total_seconds())) if self.started else 0

    def __str__(self) -> str:
        since = self.started.strftime("%H:%MZ") if self.started else "unknown"
        return f"{self.command} (action {self.id}, {self.progress} %, since {since})"


@dataclass(frozen=True, slots=True)
class Price:
    """What a GB of snapshot costs each month, net, in the project's currency."""

    per_gb_month: Decimal
    currency: str
