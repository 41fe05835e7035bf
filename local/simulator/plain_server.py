"""A server that is there already, as tests and fleets add it."""

import random
from datetime import UTC, datetime

from local.simulator.catalog import LOCATIONS, SERVER_TYPES, SYSTEM_IMAGES
from local.simulator.model import Server


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
        created=datetime(2026, 1, 1, tzinfo=UTC),
        labels={},
        ipv4=f"198.18.{id_ // 256 % 256}.{id_ % 256}" if ipv4 else None,
        ipv6=f"2001:db8:{id_:x}::/64" if ipv6 else None,
        server_type=type_,
        location=LOCATIONS[location],
        used_gb=round(used * type_["disk"], 2),
        image=SYSTEM_IMAGES[system].to_json(),
    )
