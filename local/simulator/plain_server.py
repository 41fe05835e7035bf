"""Servers and images that are there already, as tests and fleets add them."""

import random
from datetime import UTC, datetime

from local.simulator.catalog import LOCATIONS, SERVER_TYPES, SYSTEM_IMAGES
from local.simulator.model import Image, ImageStatus, ImageType, Server

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def plain_server(
    id_: int, name: str, server_type: str, location: str, *, ipv4: bool, ipv6: bool
) -> Server:
    type_ = SERVER_TYPES[server_type]
    # Its own generator: how many servers there are changes nothing else that is random.
    used = random.Random(f"used by {id_}").uniform(0.02, 0.4)
    system = 801 if type_["architecture"] == "x86" else 802
    return Server(
        id=id_,
        name=name,
        status="running",
        created=LONG_AGO,
        labels={},
        ipv4=f"198.18.{id_ // 256 % 256}.{id_ % 256}" if ipv4 else None,
        ipv6=f"2001:db8:{id_:x}::/64" if ipv6 else None,
        server_type=type_,
        location=LOCATIONS[location],
        used_gb=round(used * type_["disk"], 2),
        image=SYSTEM_IMAGES[system].to_json(),
    )


def plain_image(
    id_: int, server: Server, type_: ImageType, status: ImageStatus, size_gb: float | None
) -> Image:
    """An image of the server; without a size as large as its others."""
    size_gb = server.used_gb if size_gb is None else size_gb
    return Image(
        id=id_,
        type=type_,
        status=status,
        description=f"{server.name} snapshot",
        image_size=size_gb if status == "available" else None,
        disk_size=server.server_type["disk"],
        created=LONG_AGO,
        created_from={"id": server.id, "name": server.name},
        bound_to=server.id if type_ == "backup" else None,
        architecture=server.server_type["architecture"],
    )
