"""/firewalls: make, change and delete them, and attach them to servers."""

from typing import Any

from flask import Blueprint, g

from local.simulator.errors import ApiError, invalid_input, not_found
from local.simulator.firewall_rules import parse_rules
from local.simulator.firewalls import LIMIT, LIMIT_PER_SERVER, Firewall
from local.simulator.labels import parse_labels, parse_selector
from local.simulator.model import Action, Server
from local.simulator.params import PAGING, Query, read_body
from local.simulator.project import Project

blueprint = Blueprint("firewalls", __name__)


@blueprint.get("/firewalls")
def list_firewalls() -> dict[str, Any]:
    project: Project = g.project
    query = Query({"name", "label_selector", "sort", *PAGING})
    firewalls = list(project.firewalls.values())
    if (name := query.one("name")) is not None:
        firewalls = [firewall for firewall in firewalls if firewall.name == name]
    if (selector := query.one("label_selector")) is not None:
        selects = parse_selector(selector)
        firewalls = [firewall for firewall in firewalls if selects(firewall.labels)]
    firewalls = query.sort(firewalls, ("id", "name", "created"))
    return query.page("firewalls", firewalls, Firewall.to_json)


@blueprint.get("/firewalls/<int:firewall_id>")
def get_firewall(firewall_id: int) -> dict[str, Any]:
    Query()
    return {"firewall": find_firewall(firewall_id).to_json()}


@blueprint.post("/firewalls")
def create_firewall() -> tuple[dict[str, Any], int]:
    Query()
    project: Project = g.project
    body = read_body({"name": str, "labels": dict, "rules": list, "apply_to": list}, required=True)
    rules = parse_rules(body.get("rules", []))
    labels = parse_labels(body.get("labels", {}))
    targets = _targets(project, body.get("apply_to", []), "apply_to")
    _check_name(project, body.get("name", ""))
    if len(project.firewalls) >= LIMIT:
        limits = {"limits": [{"name": "firewall_limit"}]}
        raise ApiError("resource_limit_exceeded", "firewall limit exceeded", limits)
    firewall = project.firewalls.add(body["name"], rules, labels)
    actions = _attach(project, firewall, targets)
    return {"firewall": firewall.to_json(), "actions": [a.to_json() for a in actions]}, 201


@blueprint.put("/firewalls/<int:firewall_id>")
def update_firewall(firewall_id: int) -> dict[str, Any]:
    """New labels replace all the old ones."""
    Query()
    firewall = find_firewall(firewall_id)
    body = read_body({"name": str, "labels": dict}, required=True)
    labels = parse_labels(body.get("labels", firewall.labels))
    if "name" in body:
        _check_name(g.project, body["name"], firewall.id)
        firewall.name = body["name"]
    firewall.labels = labels
    return {"firewall": firewall.to_json()}


@blueprint.delete("/firewalls/<int:firewall_id>")
def delete_firewall(firewall_id: int) -> tuple[str, int]:
    Query()
    firewall = find_firewall(firewall_id)
    if firewall.servers or firewall.selectors:
        message = f"firewall with ID '{firewall.id}' is still in use"
        raise ApiError("resource_in_use", message)
    del g.project.firewalls[firewall.id]
    return "", 204


@blueprint.post("/firewalls/<int:firewall_id>/actions/set_rules")
def set_rules(firewall_id: int) -> tuple[dict[str, Any], int]:
    Query()
    project: Project = g.project
    firewall = find_firewall(firewall_id)
    body = read_body({"rules": list}, required=True)
    if "rules" not in body:
        raise invalid_input("rules", "is required")
    return _created(project.firewalls.set_rules(firewall, parse_rules(body["rules"])))


@blueprint.post("/firewalls/<int:firewall_id>/actions/apply_to_resources")
def apply_to_resources(firewall_id: int) -> tuple[dict[str, Any], int]:
    Query()
    project: Project = g.project
    firewall = find_firewall(firewall_id)
    body = read_body({"apply_to": list}, required=True)
    targets = _targets(project, body.get("apply_to", []), "apply_to")
    for target in targets:
        if _has(firewall, target):
            raise ApiError("firewall_already_applied", "firewall is already applied to resource")
        if isinstance(target, Server) and len(project.firewalls.of(target.id)) >= LIMIT_PER_SERVER:
            raise invalid_input("apply_to", f"a server has at most {LIMIT_PER_SERVER} firewalls")
    return _created(_attach(project, firewall, targets))


@blueprint.post("/firewalls/<int:firewall_id>/actions/remove_from_resources")
def remove_from_resources(firewall_id: int) -> tuple[dict[str, Any], int]:
    Query()
    project: Project = g.project
    firewall = find_firewall(firewall_id)
    body = read_body({"remove_from": list}, required=True)
    targets = _targets(project, body.get("remove_from", []), "remove_from")
    actions: list[Action | None] = []
    for target in targets:
        if not _has(firewall, target):
            raise ApiError("firewall_already_removed", "firewall is not applied to resource")
    for target in targets:
        if isinstance(target, Server):
            actions.append(project.firewalls.detach(firewall, target.id))
            continue
        firewall.selectors.remove(target)
        for server_id, attachment in list(firewall.servers.items()):
            if target in attachment.selectors:
                actions.append(project.firewalls.detach(firewall, server_id, target))
    return _created([action for action in actions if action])


def find_firewall(firewall_id: int) -> Firewall:
    project: Project = g.project
    try:
        return project.firewalls[firewall_id]
    except KeyError:
        raise not_found("firewall", firewall_id) from None


def _check_name(project: Project, name: str, own_id: int = 0) -> None:
    if not 1 <= len(name) <= 128:
        raise invalid_input("name", "must have 1 to 128 characters")
    if any(other.name == name and other.id != own_id for other in project.firewalls.values()):
        raise ApiError("uniqueness_error", "firewall name is already used")


def _targets(project: Project, resources: list[Any], field: str) -> list[Server | str]:
    """Servers and label selectors."""
    found: list[Server | str] = []
    for resource in resources:
        match resource:
            case {"type": "server", "server": {"id": int(id_)}}:
                if id_ not in project.servers:
                    message = f"server with ID '{id_}' not found"
                    raise ApiError("firewall_resource_not_found", message)
                found.append(project.servers[id_])
            case {"type": "label_selector", "label_selector": {"selector": str(selector)}}:
                parse_selector(selector)
                found.append(selector)
            case _:
                raise invalid_input(field, "must be servers or label selectors")
    return found


def _attach(project: Project, firewall: Firewall, targets: list[Server | str]) -> list[Action]:
    actions = []
    for target in targets:
        if isinstance(target, Server):
            actions.append(project.firewalls.attach(firewall, target))
        else:
            firewall.selectors.append(target)
            actions += project.firewalls.follow_labels()
    return [action for action in actions if action]


def _has(firewall: Firewall, target: Server | str) -> bool:
    if isinstance(target, str):
        return target in firewall.selectors
    attachment = firewall.servers.get(target.id)
    return attachment is not None and attachment.direct


def _created(actions: list[Action]) -> tuple[dict[str, Any], int]:
    return {"actions": [action.to_json() for action in actions]}, 201
