"""Actions: of a server, a firewall or an image, of all of them, by their ids."""

from collections.abc import Iterable
from typing import Any

from flask import Blueprint, g

from local.simulator.errors import ApiError, invalid_input, not_found
from local.simulator.firewall_api import find_firewall
from local.simulator.model import Action
from local.simulator.params import PAGING, Query
from local.simulator.project import Project
from local.simulator.servers import find_server

blueprint = Blueprint("actions", __name__)

MAX_IDS = 25
REMOVED = (
    "https://docs.hetzner.cloud/changelog"
    "#2025-01-30-listing-arbitrary-actions-in-the-actions-list-endpoint-is-removed"
)


@blueprint.get("/servers/<int:server_id>/actions")
def list_actions_of_server(server_id: int) -> dict[str, Any]:
    project: Project = g.project
    server = find_server(project, server_id)
    return _list(a for a in project.actions.values() if a.server_id == server.id)


@blueprint.get("/servers/actions")
def list_actions_of_servers() -> dict[str, Any]:
    project: Project = g.project
    return _list(a for a in project.actions.values() if a.server_id)


@blueprint.get("/servers/<int:server_id>/actions/<int:action_id>")
@blueprint.get("/firewalls/<int:firewall_id>/actions/<int:action_id>")
@blueprint.get("/images/<int:image_id>/actions/<int:action_id>")
@blueprint.get("/<any(servers,firewalls,images):kind>/actions/<int:action_id>")
def get_action_of(
    action_id: int,
    server_id: int | None = None,
    firewall_id: int | None = None,
    image_id: int | None = None,
    kind: str = "",
) -> dict[str, Any]:
    Query()
    project: Project = g.project
    action = project.actions.get(action_id)
    if (
        action is None
        or server_id not in (None, action.server_id)
        or firewall_id not in (None, action.firewall_id)
        or image_id not in (None, action.image_id)
    ):
        raise not_found("action", action_id)
    return {"action": action.to_json()}


@blueprint.get("/firewalls/<int:firewall_id>/actions")
def list_actions_of_firewall(firewall_id: int) -> dict[str, Any]:
    project: Project = g.project
    find_firewall(firewall_id)
    return _list(a for a in project.actions.values() if a.firewall_id == firewall_id)


@blueprint.get("/firewalls/actions")
def list_actions_of_firewalls() -> dict[str, Any]:
    project: Project = g.project
    return _list(a for a in project.actions.values() if a.firewall_id is not None)


@blueprint.get("/actions")
def get_actions() -> dict[str, Any]:
    """The actions that exist among these ids; the other ids are ignored."""
    project: Project = g.project
    # Hetzner's own command sends these, too.
    query = Query({"id", "page", "sort"})
    query.integer("page", 1, 1)
    query.many("sort", ("id", "status"))
    ids = query.ids("id")
    if ids is None:
        # Listing all actions was removed from the API on 2025-01-30.
        raise ApiError(
            "deprecated_api_endpoint", "API functionality was removed", {"announcement": REMOVED}
        )
    if len(ids) > MAX_IDS:
        raise invalid_input("id", f"at most {MAX_IDS} ids")
    found = [project.actions[id_] for id_ in sorted(set(ids)) if id_ in project.actions]
    return {"actions": [action.to_json() for action in found]}


@blueprint.get("/actions/<int:action_id>")
def get_action(action_id: int) -> dict[str, Any]:
    Query()
    project: Project = g.project
    if action_id not in project.actions:
        raise not_found("action", action_id)
    return {"action": project.actions[action_id].to_json()}


def _list(candidates: Iterable[Action]) -> dict[str, Any]:
    query = Query({"id", "status", "sort", *PAGING})
    actions = list(candidates)
    if (ids := query.ids("id")) is not None:
        actions = [action for action in actions if action.id in ids]
    if (statuses := query.many("status", ("running", "success", "error"))) is not None:
        actions = [action for action in actions if action.status in statuses]
    actions = query.sort(actions, ("id", "command", "status", "progress", "started", "finished"))
    return query.page("actions", actions, Action.to_json)
