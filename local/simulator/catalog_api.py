"""What can be had and what is there beside servers: types, locations, prices, keys, addresses."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from flask import Blueprint, g

from local.simulator.catalog import LOCATIONS, PRICING, SERVER_TYPES
from local.simulator.errors import not_found
from local.simulator.params import PAGING, Query
from local.simulator.project import Project

blueprint = Blueprint("catalog", __name__)

SORTS = ("id", "id:asc", "id:desc", "name", "name:asc", "name:desc")


@blueprint.get("/server_types")
def list_server_types() -> dict[str, Any]:
    return _list("server_types", _server_types())


@blueprint.get("/server_types/<int:id_>")
def get_server_type(id_: int) -> dict[str, Any]:
    return _one("server_type", _server_types(), id_)


@blueprint.get("/locations")
def list_locations() -> dict[str, Any]:
    return _list("locations", {place["id"]: place for place in LOCATIONS.values()})


@blueprint.get("/locations/<int:id_>")
def get_location(id_: int) -> dict[str, Any]:
    return _one("location", {place["id"]: place for place in LOCATIONS.values()}, id_)


@blueprint.get("/ssh_keys")
def list_ssh_keys() -> dict[str, Any]:
    return _list("ssh_keys", _ssh_keys())


@blueprint.get("/ssh_keys/<int:id_>")
def get_ssh_key(id_: int) -> dict[str, Any]:
    return _one("ssh_key", _ssh_keys(), id_)


@blueprint.get("/primary_ips")
def list_primary_ips() -> dict[str, Any]:
    return _list("primary_ips", _primary_ips())


@blueprint.delete("/primary_ips/<int:id_>")
def delete_primary_ip(id_: int) -> tuple[str, int]:
    project: Project = g.project
    Query()
    if project.kept_addresses.pop(id_, None) is None:
        raise not_found("primary_ip", id_)
    return "", 204


@blueprint.get("/load_balancers")
def list_load_balancers() -> dict[str, Any]:
    return _list("load_balancers", _load_balancers())


@blueprint.get("/load_balancers/<int:id_>")
def get_load_balancer(id_: int) -> dict[str, Any]:
    return _one("load_balancer", _load_balancers(), id_)


@blueprint.get("/pricing")
def get_pricing() -> dict[str, Any]:
    Query()
    return {"pricing": PRICING}


def _server_types() -> dict[int, dict[str, Any]]:
    world = g.project.world
    types = deepcopy(list(SERVER_TYPES.values()))
    for type_ in types:
        for place in type_["locations"]:
            if (type_["name"], place["name"]) in world.no_stock:
                place["available"] = place["recommended"] = False
    return {type_["id"]: type_ for type_ in types}


def _ssh_keys() -> dict[int, dict[str, Any]]:
    return {
        id_: {
            "id": id_,
            "name": name,
            "fingerprint": ":".join(["b7"] * 16),
            "public_key": f"ssh-ed25519 AAAA {name}",
            "labels": {},
            "created": "2026-01-01T00:00:00Z",
        }
        for id_, name in g.project.ssh_keys.items()
    }


def _primary_ips() -> dict[int, dict[str, Any]]:
    """The IPv4 addresses: of servers, and those kept when their server was deleted."""
    project: Project = g.project
    held = {s.id * 10 + 4: (s.ipv4, s.id) for s in project.servers.values() if s.ipv4}
    kept = {id_: (address, None) for id_, address in project.kept_addresses.items()}
    return {
        id_: {
            "id": id_,
            "name": f"primary_ip-{id_}",
            "ip": address,
            "type": "ipv4",
            "assignee_id": server_id,
            "assignee_type": "server",
            "auto_delete": True,
            "blocked": False,
            "dns_ptr": [],
            "labels": {},
            "created": "2026-01-01T00:00:00Z",
            "location": LOCATIONS["fsn1"],
            "protection": {"delete": False},
        }
        for id_, (address, server_id) in {**held, **kept}.items()
    }


def _load_balancers() -> dict[int, dict[str, Any]]:
    project: Project = g.project
    servers = list(project.servers.values())
    return {id_: balancer.to_json(servers) for id_, balancer in project.load_balancers.items()}


def _list(key: str, items: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    query = Query({"name", "sort", *PAGING})
    name = query.one("name")
    found = [item for _, item in sorted(items.items()) if name in (None, item["name"])]
    if sort := query.one("sort", SORTS):
        field, _, order = sort.partition(":")
        found.sort(key=lambda item: item[field], reverse=order == "desc")
    return query.page(key, found, dict)


def _one(key: str, items: Mapping[int, dict[str, Any]], id_: int) -> dict[str, Any]:
    Query()
    if id_ not in items:
        raise not_found(key, id_)
    return {key: items[id_]}
