"""POST /servers: what it accepts, in the order in which it refuses."""

import re
from typing import Any

from flask import Blueprint, g

from local.simulator.catalog import LOCATIONS, SERVER_TYPES, SYSTEM_IMAGES
from local.simulator.errors import ApiError, invalid_input
from local.simulator.firewalls import LIMIT_PER_SERVER, Firewall
from local.simulator.labels import parse_labels
from local.simulator.model import Image
from local.simulator.params import Query, find_by_id_or_name, read_body
from local.simulator.project import Project
from local.simulator.server_lifecycle import Wanted, create
from local.simulator.views import show

blueprint = Blueprint("server_create", __name__)

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_TYPES = {type_["id"]: type_ for type_ in SERVER_TYPES.values()}
_PLACES = {location["id"]: location for location in LOCATIONS.values()}
FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "server_type": (str, int),
    "image": (str, int),
    "location": (str, int),
    "start_after_create": bool,
    "ssh_keys": list,
    "volumes": list,
    "networks": list,
    "firewalls": list,
    "labels": dict,
    "user_data": str,
    "automount": bool,
    "placement_group": int,
    "public_net": dict,
}


@blueprint.post("/servers")
def create_server() -> tuple[dict[str, Any], int]:
    Query()
    project: Project = g.project
    body = read_body(FIELDS, required=True)
    for name in ("name", "server_type", "image"):
        if name not in body:
            raise invalid_input(name, "is required")
    check_name(project, body["name"])
    type_ = find_by_id_or_name(_TYPES, body["server_type"], "server_type")
    image = check_image(project, body["image"], type_)
    location = find_by_id_or_name(_PLACES, body.get("location", "fsn1"), "location")
    keys = [find_by_id_or_name(_keys(project), key, "ssh_key") for key in body.get("ssh_keys", [])]
    net = _public_net(body.get("public_net", {}))
    wanted = Wanted(
        name=body["name"],
        server_type=type_["name"],
        location=location["name"],
        image=image,
        labels=parse_labels(body.get("labels", {})),
        firewalls=_firewalls(project, body.get("firewalls", [])),
        start=body.get("start_after_create", True),
        ipv4=net["enable_ipv4"],
        ipv6=net["enable_ipv6"],
        ssh_keys=bool(keys),
        networks=_ids("networks", body.get("networks", [])),
        volumes=_ids("volumes", body.get("volumes", [])),
        placement_group=body.get("placement_group"),
    )
    if wanted.firewalls and not (wanted.ipv4 or wanted.ipv6):
        raise invalid_input("firewalls", "the server has no public network")
    check_limits(project, ipv4=wanted.ipv4)
    _check_place(project, type_, location["name"])
    server, action, following = create(project, wanted)
    return {
        "server": show(project, server),
        "action": action.to_json(),
        "next_actions": [action.to_json() for action in following],
        "root_password": server.root_password,
    }, 201


def check_name(project: Project, name: str, own_id: int = 0) -> None:
    if not _HOST_NAME.fullmatch(name) or len(name) > 253:
        raise invalid_input("name", "must be a valid hostname as per RFC 1123")
    if any(server.name == name and server.id != own_id for server in project.servers.values()):
        raise ApiError("uniqueness_error", "server name is already used")


def check_image(project: Project, wanted: object, type_: dict[str, Any]) -> Image:
    """The image, if a server of this type can have it."""
    # A name is the system image of the type's architecture.
    system = {
        id_: image
        for id_, image in SYSTEM_IMAGES.items()
        if image.architecture == type_["architecture"] or str(wanted).isdecimal()
    }
    image = find_by_id_or_name({**system, **project.images}, wanted, "image")
    if image.status != "available":
        raise invalid_input("image", "image is not available")
    if image.architecture != type_["architecture"]:
        raise invalid_input("image", "image architecture does not match the server type's")
    if image.disk_size > type_["disk"]:
        raise ApiError("invalid_input", "image disk is bigger than server type disk")
    return image


def check_limits(project: Project, *, ipv4: bool) -> None:
    servers = project.servers.values()
    if project.server_limit is not None and len(servers) >= project.server_limit:
        raise _limit("server limit exceeded", "server_limit")
    addresses = sum(bool(server.ipv4) for server in servers) + len(project.kept_addresses)
    if ipv4 and project.primary_ip_limit is not None and addresses >= project.primary_ip_limit:
        raise _limit("Primary IP limit exceeded", "primary_ip_limit")


def _check_place(project: Project, type_: dict[str, Any], location: str) -> None:
    world = project.world
    if location in world.disabled_locations:
        raise ApiError("resource_unavailable", "server location disabled")
    sold = {place["name"]: place for place in type_["locations"]}
    if location not in sold or sold[location]["deprecation"]:
        raise ApiError("invalid_input", "unsupported location for server type")
    if (type_["name"], location) in world.no_stock:
        raise ApiError("resource_unavailable", "error during placement")
    if (type_["name"], location) in world.no_placement:
        raise ApiError("placement_error", "error during placement")


def _limit(message: str, name: str) -> ApiError:
    return ApiError("resource_limit_exceeded", message, {"limits": [{"name": name}]})


def _public_net(net: dict[str, Any]) -> dict[str, bool]:
    told = {"enable_ipv4": True, "enable_ipv6": True, **net}
    for name, value in told.items():
        if name not in ("enable_ipv4", "enable_ipv6") or not isinstance(value, bool):
            raise invalid_input(f"public_net.{name}", "is not supported here")
    return told


def _firewalls(project: Project, wanted: list[Any]) -> list[Firewall]:
    if len(wanted) > LIMIT_PER_SERVER:
        raise invalid_input("firewalls", f"a server has at most {LIMIT_PER_SERVER}")
    found = []
    for item in wanted:
        id_ = item.get("firewall") if isinstance(item, dict) and len(item) == 1 else None
        if not isinstance(id_, int) or id_ not in project.firewalls:
            raise invalid_input("firewalls", f"firewall '{id_}' not found")
        found.append(project.firewalls[id_])
    return found


def _ids(name: str, ids: list[Any]) -> list[int]:
    if not all(isinstance(id_, int) for id_ in ids):
        raise invalid_input(name, "must be ids")
    return ids


def _keys(project: Project) -> dict[int, dict[str, Any]]:
    return {id_: {"name": name} for id_, name in project.ssh_keys.items()}
