"""Copies, firewalls and server types in the answers of Hetzner's API.

What an answer does not tell is never taken for "none": nothing is powered on by it.
"""

from decimal import Decimal, DecimalException
from typing import Any

from handler.documents.copies import AddressPrices, Copy, Firewall, Offer, Rule, ServerType
from handler.hetzner.answers import NOT_HETZNERS, inner, text_in, time_in

UNKNOWN = "unknown"


def copy_in(item: dict[str, Any]) -> Copy:
    """The server. Without its labels, creation or image nothing could be said of it."""
    net = item.get("public_net")
    net = net if isinstance(net, dict) else {}
    image = item["image"]
    location = inner(item, "location") or inner(item, "datacenter", "location")
    return Copy(
        id=int(item["id"]),
        name=str(item["name"]),
        status=text_in(item, "status", UNKNOWN),
        created=time_in(item["created"]),
        labels=dict(item["labels"]),
        image_id=None if image is None else int(image["id"]),
        ipv4=text_in(inner(net, "ipv4"), "ip", "") or None,
        type=text_in(inner(item, "server_type"), "name", ""),
        location=text_in(location, "name", ""),
        locked=bool(item.get("locked")),
        protected=bool(inner(item, "protection").get("delete")),
        ipv6=bool(net["ipv6"]) if "ipv6" in net else None,
        firewalls=_firewalls(net.get("firewalls")),
        networks=_ids(item.get("private_net"), "network"),
        volumes=_ids(item.get("volumes")),
        load_balancers=_ids(item.get("load_balancers")),
        floating_ips=_ids(net.get("floating_ips")),
    )


def firewall_in(item: dict[str, Any]) -> Firewall:
    return Firewall(
        id=int(item["id"]),
        name=str(item["name"]),
        labels=dict(item["labels"]),
        rules=frozenset(_rule(rule) for rule in item["rules"]),
    )


def rule_for(rule: Rule) -> dict[str, Any]:
    """The rule as Hetzner wants it."""
    ips = "source_ips" if rule.direction == "in" else "destination_ips"
    port = {} if rule.port is None else {"port": rule.port}
    return {
        "direction": rule.direction, "protocol": rule.protocol, ips: sorted(rule.ips)
    } | port  # fmt: skip


def server_type_or_none(item: dict[str, Any]) -> ServerType | None:
    """The type; None if it is told in another way than those that are known."""
    try:
        return server_type_in(item)
    except NOT_HETZNERS:
        return None


def server_type_in(item: dict[str, Any]) -> ServerType:
    """The type, with an offer for each location that it names."""
    prices = {str(price["location"]): price for price in item.get("prices") or []}
    return ServerType(
        id=int(item["id"]),
        name=str(item["name"]),
        architecture=text_in(item, "architecture", UNKNOWN),
        disk_gb=int(item["disk"]),
        memory_gb=float(item["memory"]),
        deprecated=bool(item.get("deprecation") or item.get("deprecated")),
        offers=tuple(_offer(place, prices) for place in item.get("locations") or []),
    )


def address_prices_in(pricing: dict[str, Any]) -> AddressPrices:
    """What an IPv4 costs, as far as it is told."""
    per_hour = {
        str(price["location"]): _price(price["price_hourly"]["net"])
        for kind in pricing.get("primary_ips") or []
        if kind.get("type") == "ipv4"
        for price in kind["prices"]
    }
    told = {place: price for place, price in per_hour.items() if price is not None}
    return AddressPrices(str(pricing["currency"]), told)


def _offer(place: dict[str, Any], prices: dict[str, dict[str, Any]]) -> Offer:
    net = inner(prices.get(str(place["name"]), {}), "price_hourly").get("net")
    return Offer(
        location=str(place["name"]),
        in_stock=place.get("available") is not False,  # if it is not told, the create tells
        deprecated=bool(place.get("deprecation")),
        per_hour=_price(net),
    )


def _price(net: Any) -> Decimal | None:
    """A price; None if it is none: NaN could not be compared with others."""
    try:
        price = Decimal(str(net))
    except DecimalException:
        return None
    return price if price.is_finite() and price >= 0 else None


def _rule(rule: dict[str, Any]) -> Rule:
    ips = rule.get("source_ips" if rule["direction"] == "in" else "destination_ips") or []
    return Rule(rule["direction"], str(rule["protocol"]), rule.get("port"), frozenset(ips))


def _firewalls(found: Any) -> tuple[tuple[int, str], ...] | None:
    if not isinstance(found, list):
        return None
    return tuple((int(each["id"]), text_in(each, "status", UNKNOWN)) for each in found)


def _ids(found: Any, key: str = "id") -> tuple[int, ...] | None:
    """The ids in a list of ids, or of objects that have them under `key`; None: there is none."""
    if not isinstance(found, list):
        return None
    return tuple(int(each[key] if isinstance(each, dict) else each) for each in found)
