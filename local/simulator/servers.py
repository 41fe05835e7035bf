"""GET /servers and the rest under it, create_image included."""

from typing import Any

from flask import Blueprint, g

from local.simulator.errors import ApiError, invalid_input, not_found
from local.simulator.labels import parse_labels, parse_selector
from local.simulator.model import Server
from local.simulator.params import PAGING, Query, read_body
from local.simulator.project import Project
from local.simulator.views import show

blueprint = Blueprint("servers", __name__)

STATUSES = (
    "running",
    "initializing",
    "starting",
    "stopping",
    "off",
    "deleting",
    "migrating",
    "rebuilding",
    "unknown",
)


@blueprint.get("/servers")
def list_servers() -> dict[str, Any]:
    project: Project = g.project
    query = Query({"name", "label_selector", "status", "sort", *PAGING})
    servers = list(project.servers.values())
    if (name := query.one("name")) is not None:
        servers = [server for server in servers if server.name == name]
    if (selector := query.one("label_selector")) is not None:
        selects = parse_selector(selector)
        servers = [server for server in servers if selects(server.labels)]
    if (statuses := query.many("status", STATUSES)) is not None:
        servers = [server for server in servers if server.status in statuses]
    servers = query.sort(servers, ("id", "name", "created"))
    holders = project.lock_holders()
    return query.page("servers", servers, lambda server: show(project, server, holders))


@blueprint.get("/servers/<int:server_id>")
def get_server(server_id: int) -> dict[str, Any]:
    Query()
    project: Project = g.project
    server = find_server(project, server_id)
    return {"server": show(project, server)}


@blueprint.post("/servers/<int:server_id>/actions/create_image")
def create_image(server_id: int) -> tuple[dict[str, Any], int]:
    Query()
    project: Project = g.project
    body = read_body({"description": str, "type": str, "labels": dict}, required=False)
    if body.get("type", "snapshot") != "snapshot":
        raise invalid_input("type", "only snapshots are supported, backups are not enabled")
    labels = parse_labels(body.get("labels", {}))
    server = find_server(project, server_id)
    check_free(project, server)
    if project.image_limit is not None and _count_snapshots(project) >= project.image_limit:
        raise ApiError(
            "resource_limit_exceeded",
            "snapshot limit exceeded",
            {"limits": [{"name": "snapshot_limit"}]},
        )
    action, image = project.create_image(server, description=body.get("description"), labels=labels)
    return {"action": action.to_json(), "image": image.to_json()}, 201


def find_server(project: Project, server_id: int) -> Server:
    try:
        return project.servers[server_id]
    except KeyError:
        raise not_found("server", server_id) from None


def check_free(project: Project, server: Server) -> None:
    if server.hidden_lock or server.id in project.lock_holders():
        raise ApiError("locked", "cannot perform operation because server is locked")


def _count_snapshots(project: Project) -> int:
    return sum(image.type == "snapshot" for image in project.images.values())
