"""What is the same for every project: server types, locations, system images, prices."""

from datetime import UTC, datetime
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
        "network_zone": "eu-central",
    }
    for id_, name, city, country, latitude, longitude in [
        (1, "fsn1", "Falkenstein", "DE", 50.47612, 12.370071),
        (2, "nbg1", "Nuremberg", "DE", 49.452102, 11.076665),
        (3, "hel1", "Helsinki", "FI", 60.169855, 24.938379),
    ]
}

SERVER_TYPES: dict[str, dict[str, Any]] = {
    name: {
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
        "prices": [],
        "locations": [
            {
                "id": location["id"],
                "name": location["name"],
                "deprecation": None,
                "available": True,
                "recommended": True,
            }
            for location in LOCATIONS.values()
        ],
        "deprecated": False,
        "deprecation": None,
    }
    for id_, name, category, cores, memory, disk, architecture in [
        (45, "cax11", "cost_optimized", 2, 4, 40, "arm"),
        (96, "ccx13", "general_purpose", 2, 8, 80, "x86"),
        (114, "cx23", "cost_optimized", 2, 4, 40, "x86"),
        (116, "cx43", "cost_optimized", 8, 16, 160, "x86"),
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


def _price(net: str, gross: str) -> dict[str, str]:
    return {"net": net, "gross": gross}


PRICING: dict[str, Any] = {
    "currency": "EUR",
    "vat_rate": "19.000000",
    "image": {"price_per_gb_month": _price("0.0110000000", "0.0130900000000000")},
    "volume": {"price_per_gb_month": _price("0.0440000000", "0.0523600000000000")},
    "server_backup": {"percentage": "20.0000000000"},
    "floating_ips": [],
    "primary_ips": [],
    "server_types": [],
    "load_balancer_types": [],
}
