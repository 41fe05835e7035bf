"""PUT and DELETE /servers/{id}, and what is done to a server: power, rebuild, protection."""

from typing import Any

from flask import Blueprint, g

from local.simulator.errors import ApiError, invalid_input
from local.simulator.labels import parse_labels
from local.simulator.model import Action, Server
from local.simulator.params import Query, read_body
from local.simulator.project import Project
from local.simulator.server_create import check_image, check_name
from local.simulator.server_lifecycle import delete, power_off, power_on, reboot, rebuild
from local.simulator.servers import check_free, find_server
from local.simulator.views import show

blueprint = Blueprint("server_actions", __name__)


@blueprint.put("/servers/<int:server_id>")
def update_server(server_id: int) -> dict[str, Any]:
    """New labels replace all the old ones."""
    Query()
    project: Project = g.project
    server = find_server(project, server_id)
    body = read_body({"name": str, "labels": dict}, required=True)
    labels = parse_labels(body.get("labels", server.labels))
    if "name" in body:
        check_name(project, body["name"], server.id)
        server.name = body["name"]
    server.labels = labels
    return {"server": show(project, server)}


@blueprint.delete("/servers/<int:server_id>")
def delete_server(server_id: int) -> dict[str, Any]:
    Query()
    project: Project = g.project
    server = find_server(project, server_id)
    if server.protected:
        raise ApiError("protected", "server deletion is protected")
    check_free(project, server)
    return {"action": delete(project, server).to_json()}


@blueprint.post("/servers/<int:server_id>/actions/<any(poweron,poweroff,shutdown):command>")
def power(server_id: int, command: str) -> tuple[dict[str, Any], int]:
    server = _free_server(server_id)
    read_body({}, required=False)
    if command == "poweron":
        return _created(power_on(g.project, server))
    by_force = command == "poweroff"
    return _created(power_off(g.project, server, "stop_server" if by_force else "shutdown_server"))


@blueprint.post("/servers/<int:server_id>/actions/<any(reboot,reset):command>")
def restart(server_id: int, command: str) -> tuple[dict[str, Any], int]:
    server = _free_server(server_id)
    read_body({}, required=False)
    return _created(reboot(g.project, server, f"{command}_server"))


@blueprint.post("/servers/<int:server_id>/actions/rebuild")
def rebuild_server(server_id: int) -> tuple[dict[str, Any], int]:
    server = _free_server(server_id)
    body = read_body({"image": (str, int)}, required=True)
    if server.protected:
        raise ApiError("protected", "server rebuild is protected")
    image = check_image(g.project, body.get("image"), server.server_type)
    answer, status = _created(rebuild(g.project, server, image))
    return answer | {"root_password": None}, status


@blueprint.post("/servers/<int:server_id>/actions/enable_rescue")
def enable_rescue(server_id: int) -> tuple[dict[str, Any], int]:
    """The next start is one of the rescue system, which greets whatever is on the disk."""
    server = _free_server(server_id)
    read_body({"type": str, "ssh_keys": list}, required=False)
    project: Project = g.project
    server.rescue = "enabled"
    answer, status = _created(project.start_action(server.id, "enable_rescue", 5, locks=True))
    return answer | {"root_password": None}, status


@blueprint.post("/servers/<int:server_id>/actions/change_protection")
def change_protection(server_id: int) -> tuple[dict[str, Any], int]:
    Query()
    project: Project = g.project
    server = find_server(project, server_id)
    body = read_body({"delete": bool, "rebuild": bool}, required=True)
    if body.get("delete") != body.get("rebuild") or not body:
        raise invalid_input("rebuild", "must have the same value as delete")
    server.protected = body["delete"]
    return _created(project.start_action(server.id, "change_protection", 0, locks=False))


def _free_server(server_id: int) -> Server:
    Query()
    server = find_server(g.project, server_id)
    check_free(g.project, server)
    return server


def _created(action: Action) -> tuple[dict[str, Any], int]:
    return {"action": action.to_json()}, 201
