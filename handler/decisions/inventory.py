"""Our snapshots in a project: how many, their cost, and those whose server is gone. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from handler.documents.resources import Price, Snapshot


@dataclass(frozen=True, slots=True)
class Stock:
    """Some snapshots: how many, their size (GB), the oldest one's creation, their monthly cost."""

    count: int
    size_gb: float
    oldest: str  # a day, empty if there is none
    monthly: float
    currency: str

    @classmethod
    def of(cls, snapshots: Iterable[Snapshot], price: Price) -> "Stock":
        found = list(snapshots)
        size_gb = sum((Decimal(str(s.size_gb or 0)) for s in found), Decimal(0))
        monthly = (size_gb * price.per_gb_month).quantize(Decimal("0.01"))
        oldest = min((f"{snapshot.created:%Y-%m-%d}" for snapshot in found), default="")
        return cls(len(found), float(size_gb), oldest, float(monthly), price.currency)

    def __str__(self) -> str:
        return f"{self.size_gb:.0f} GB, {self.monthly:.2f} {self.currency}/month net"


@dataclass(frozen=True, slots=True)
class Inventory:
    """All our snapshots in a project, and the orphans: those whose server no longer exists."""

    all: Stock
    orphans: Stock
    orphan_days: int = 0

    def __str__(self) -> str:
        text = f"{_count(self.all.count, 'snapshot')}, {self.all}"
        if self.orphans.count:
            text += (
                f", {self.orphans.count} of them of servers that no longer exist "
                f"({self.orphans}, oldest {self.orphans.oldest}): {when_deleted(self.orphan_days)}"
            )
        return text


NEVER = "never deleted by itself"


def when_deleted(orphan_days: int) -> str:
    """What becomes of the orphans that pruning may touch."""
    if not orphan_days:
        return NEVER
    return (
        f"deleted when the server's newest good one is older than {orphan_days} days, "
        "that one never"
    )


def fate_of(orphan: Snapshot, orphan_days: int) -> str:
    """What becomes of this one, as it is now."""
    stays = orphan.protected or orphan.is_of_another or not orphan.is_available
    return NEVER if stays or not orphan.server_id else when_deleted(orphan_days)


def take_inventory(
    snapshots: Sequence[Snapshot], server_ids: Collection[int], price: Price, orphan_days: int = 0
) -> Inventory:
    """The inventory, from complete listings of our snapshots and of all servers."""
    orphans = [snapshot for snapshot in snapshots if snapshot.server_id not in server_ids]
    return Inventory(Stock.of(snapshots, price), Stock.of(orphans, price), orphan_days)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
