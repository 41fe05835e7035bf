"""Which server types in which locations a copy may have, the first to try first: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from handler.documents.copies import AddressPrices, Offer, ServerType
from handler.documents.resources import Server, Snapshot
from handler.documents.restore_run import Candidate

MOST_CANDIDATES = 12
UNKNOWN_PRICE = Decimal("Infinity")  # is tried last
# Where, whether it is another type than the original, price, and names to be sure.
Rank = tuple[int, bool, Decimal, str, str]
SAME_LOCATION, SAME_ZONE, ANYWHERE = range(3)


@dataclass(frozen=True, slots=True)
class Market:
    """What Hetzner has to offer: types, each location's network zone, what an address costs."""

    types: Sequence[ServerType] = ()
    zones: Mapping[str, str] | None = None
    addresses: AddressPrices | None = None

    def type_named(self, name: str | None) -> ServerType | None:
        return next((each for each in self.types if each.name == name), None)

    def priced(self, server_type: str, location: str) -> Candidate:
        """The type there with its price, which is empty if it is not known."""
        offers = (o for each in self.types if each.name == server_type for o in each.offers)
        offer = next((offer for offer in offers if offer.location == location), None)
        per_hour = self._per_hour(offer) if offer else None
        currency = self.addresses.currency if self.addresses else ""
        return Candidate(server_type, location, _plain(per_hour), currency)

    def _per_hour(self, offer: Offer) -> Decimal | None:
        """With an IPv4 address, which every copy has."""
        if offer.per_hour is None or self.addresses is None:
            return None
        address = self.addresses.per_hour.get(offer.location)
        return None if address is None else offer.per_hour + address


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a copy of this snapshot needs. `server` is None if it is gone."""

    snapshot: Snapshot
    server: Server | None
    keep: bool = False
    server_type: str = ""  # what a person has said
    location: str = ""


def candidates(market: Market, wanted: Wanted) -> tuple[tuple[Candidate, ...], str]:
    """The candidates in order; without any, why there is none and what to do."""
    original = market.type_named(wanted.server.type if wanted.server else None)
    why: dict[str, str] = {}
    found: list[tuple[Rank, Candidate]] = []
    for each in market.types:
        if unfit := _why_unfit(each, wanted, original):
            why[each.name] = unfit
            continue
        for offer in each.offers:
            if (wanted.location or offer.location) != offer.location:
                continue
            if offer.deprecated or not offer.in_stock:
                why.setdefault(each.name, f"there is no {each.name} at the moment")
                continue
            found.append(
                (_rank(market, each, offer, wanted), market.priced(each.name, offer.location))
            )
    if found:
        first = sorted(found, key=lambda ranked: ranked[0])[:MOST_CANDIDATES]
        return tuple(candidate for _, candidate in first), ""
    return (), _why_none(market, wanted, why)


def _why_unfit(each: ServerType, wanted: Wanted, original: ServerType | None) -> str:
    """Why the snapshot does not come back on that type; empty if it may."""
    architecture = wanted.snapshot.architecture or (original.architecture if original else "")
    disk_gb = wanted.snapshot.disk_gb or (original.disk_gb if original else 0)
    if wanted.server_type and each.name != wanted.server_type:
        return "another type was asked for"
    if each.deprecated:
        return f"{each.name} is deprecated"
    if architecture and each.architecture != architecture:
        return f"{each.name} is {each.architecture}, the snapshot {architecture}"
    if each.disk_gb < disk_gb:
        return f"{each.name} has a disk of {each.disk_gb} GB, the snapshot needs {disk_gb} GB"
    if original and not wanted.server_type and each.memory_gb < original.memory_gb:
        return f"{each.name} has less memory than {original.name}"
    return ""


def _rank(market: Market, each: ServerType, offer: Offer, wanted: Wanted) -> Rank:
    server, zones = wanted.server, market.zones or {}
    place = ANYWHERE
    if server and offer.location == server.location:
        place = SAME_LOCATION
    elif server and server.location and zones.get(offer.location) == zones.get(server.location):
        place = SAME_ZONE
    is_other = wanted.keep and server is not None and each.name != server.type
    price = UNKNOWN_PRICE if offer.per_hour is None else offer.per_hour
    return place, is_other, price, each.name, offer.location


def _why_none(market: Market, wanted: Wanted, why: Mapping[str, str]) -> str:
    if wanted.server_type and not market.type_named(wanted.server_type):
        return f"Hetzner has no server type {wanted.server_type}. Correct server_type."
    if wanted.server_type:
        there = f" in {wanted.location}" if wanted.location else ""
        said = why.get(wanted.server_type) or f"there is no {wanted.server_type}{there}"
        return f"{said}. Name another server_type or location, or none."
    if wanted.location:
        return f"no server type that fits is in {wanted.location}. Name another location, or none."
    needs = [f"a disk of {wanted.snapshot.disk_gb} GB"] if wanted.snapshot.disk_gb else []
    needs += [wanted.snapshot.architecture] if wanted.snapshot.architecture else []
    return (
        f"no server type with what the snapshot needs ({', '.join(needs) or 'not told'}) is to be "
        "had at the moment. Try again later, or restore it by hand on a type of your choice."
    )


def _plain(price: Decimal | None) -> str:
    return "" if price is None else f"{price.normalize():f}"
