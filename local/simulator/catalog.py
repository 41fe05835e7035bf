"""What is the same for every project: server types, locations, system images, prices."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from local.simulator.model import Image

LOCATIONS: dict[str, dict[str, Any]] = {
    name: {
        "id": id_,
        "name": name,
        "description": f"{city} DC Park 1",
        "country": country,
        "city": city,
        "latitude": latitude,
        "longitude": longitude,
        "network_zone": zone,
    }
    for id_, name, city, country, latitude, longitude, zone in [
        (1, "fsn1", "Falkenstein", "DE", 50.47612, 12.370071, "eu-central"),
        (2, "nbg1", "Nuremberg", "DE", 49.452102, 11.076665, "eu-central"),
        (3, "hel1", "Helsinki", "FI", 60.169855, 24.938379, "eu-central"),
        (4, "ash", "Ashburn", "US", 39.045821, -77.487073, "us-east"),
    ]
}

# No longer sold after `unavailable_after`; servers of it go on.
DEPRECATION = {
    "announced": "2026-02-01T00:00:00Z",
    "unavailable_after": "2026-05-01T00:00:00Z",
}
DEPRECATED = ("cx22",)
EUROPE, ALL = ("fsn1", "nbg1", "hel1"), ("fsn1", "nbg1", "hel1", "ash")
VAT = Decimal("1.19")
HOURS_OF_A_MONTH = 624  # What a month costs at most.
FACTORS = {"ash": Decimal("1.2")}


def _price(net: Decimal) -> dict[str, str]:
    return {"net": f"{net:.10f}", "gross": f"{net * VAT:.16f}"}


def _prices(net_per_hour: str, locations: tuple[str, ...]) -> list[dict[str, Any]]:
    prices = []
    for location in locations:
        net = Decimal(net_per_hour) * FACTORS.get(location, 1)
        prices.append(
            {
                "location": location,
                "price_hourly": _price(net),
                "price_monthly": _price(net * HOURS_OF_A_MONTH),
                "included_traffic": 21990232555520,
                "price_per_tb_traffic": _price(Decimal(1)),
            }
        )
    return prices


def _server_type(
    id_: int,
    name: str,
    category: str,
    cores: int,
    memory: int,
    disk: int,
    architecture: str,
    net_per_hour: str,
    locations: tuple[str, ...],
) -> dict[str, Any]:
    deprecation = DEPRECATION if name in DEPRECATED else None
    return {
        "id": id_,
        "name": name,
        "description": name.upper(),
        "category": category,
        "cores": cores,
        "memory": float(memory),
        "disk": disk,
        "storage_type": "local",
        "cpu_type": "dedicated" if name.startswith("ccx") else "shared",
        "architecture": architecture,
        "prices": _prices(net_per_hour, locations),
        "locations": [
            {
                "id": LOCATIONS[location]["id"],
                "name": location,
                "deprecation": deprecation,
                "available": deprecation is None,
                "recommended": deprecation is None,
            }
            for location in locations
        ],
        "deprecated": deprecation is not None,
        "deprecation": deprecation,
    }


SERVER_TYPES: dict[str, dict[str, Any]] = {
    str(row[1]): _server_type(*row)
    for row in [
        (45, "cax11", "cost_optimized", 2, 4, 40, "arm", "0.0053", EUROPE),
        (93, "cax21", "cost_optimized", 4, 8, 80, "arm", "0.0096", EUROPE),
        (96, "ccx13", "general_purpose", 2, 8, 80, "x86", "0.0192", ALL),
        (104, "cx22", "cost_optimized", 2, 4, 40, "x86", "0.0060", EUROPE),
        (109, "cpx22", "regular_purpose", 2, 4, 80, "x86", "0.0104", ALL),
        (114, "cx23", "cost_optimized", 2, 4, 40, "x86", "0.0056", EUROPE),
        (115, "cx33", "cost_optimized", 4, 8, 80, "x86", "0.0088", EUROPE),
        (116, "cx43", "cost_optimized", 8, 16, 160, "x86", "0.0152", EUROPE),
        (117, "cx53", "cost_optimized", 16, 32, 320, "x86", "0.0280", EUROPE),
    ]
}

# A client that forgets `type=snapshot` gets these in its listing.
SYSTEM_IMAGES: dict[int, Image] = {
    id_: Image(
        id=id_,
        type="system",
        status="available",
        name=name,
        description=description,
        image_size=None,
        disk_size=5,
        created=datetime(2026, 4, 23, 12, 0, tzinfo=UTC),
        created_from=None,
        os_flavor=name.partition("-")[0],
        os_version=description.rpartition(" ")[2],
        architecture=architecture,
        rapid_deploy=True,
    )
    for id_, name, description, architecture in [
        (801, "debian-13", "Debian 13", "x86"),
        (802, "debian-13", "Debian 13", "arm"),
        (803, "ubuntu-26.04", "Ubuntu 26.04", "x86"),
        (804, "ubuntu-26.04", "Ubuntu 26.04", "arm"),
    ]
}


def _address_price(location: str, net_per_hour: str) -> dict[str, Any]:
    net = Decimal(net_per_hour)
    return {
        "location": location,
        "price_hourly": _price(net),
        "price_monthly": _price(net * HOURS_OF_A_MONTH),
    }


PRICING: dict[str, Any] = {
    "currency": "EUR",
    "vat_rate": "19.000000",
    "image": {"price_per_gb_month": _price(Decimal("0.011"))},
    "volume": {"price_per_gb_month": _price(Decimal("0.044"))},
    "server_backup": {"percentage": "20.0000000000"},
    "floating_ips": [],
    "primary_ips": [
        {"type": kind, "prices": [_address_price(location, net) for location in ALL]}
        for kind, net in (("ipv4", "0.0008"), ("ipv6", "0"))
    ],
    "server_types": [
        {"id": type_["id"], "name": type_["name"], "prices": type_["prices"]}
        for type_ in SERVER_TYPES.values()
    ],
    "load_balancer_types": [],
}
