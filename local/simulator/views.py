"""A server and a project as the API, the record of deeds and whoever connects see them."""

from collections.abc import Container
from datetime import datetime
from typing import Any

from local.simulator.boot import RESCUE, Boot
from local.simulator.catalog import SYSTEM_IMAGES
from local.simulator.deeds import Deed, What
from local.simulator.model import Server
from local.simulator.project import Project


def show(project: Project, server: Server, holders: Container[int] | None = None) -> dict[str, Any]:
    """The server as the API shows it; `holders` are the project's, for whoever shows many."""
    if holders is None:
        holders = project.lock_holders()
    if server.image_id is not None:
        image = project._images.get(server.image_id) or SYSTEM_IMAGES.get(server.image_id)
        server.image = image.to_json() if image else None
    return server.to_json(
        locked=server.id in holders,
        firewalls=[{"id": f.id, "status": f.status} for f in project.firewalls.of(server.id)],
        load_balancers=project.load_balancers.of(server),
    )


def can_act_by(project: Project, server: Server) -> tuple[str, ...]:
    """By what it can reach anything, or be reached but by its firewalls; () if by nothing."""
    way_out = project.firewalls.way_out(server.id)
    attached = {
        "network": server.networks,
        "volume": server.volumes,
        "floating IP": server.floating_ips,
        "load balancer": project.load_balancers.of(server),
    }
    return (
        *([way_out] if way_out else []),
        *(f"{kind} {id_}" for kind, ids in attached.items() for id_ in ids),
    )


def boot_of(project: Project, server: Server) -> Boot:
    if server.rescue == "runs":
        return RESCUE
    for id_ in (server.id, server.image_id, server.source_id):
        if id_ in project.boots:
            return project.boots[id_]
    return project.boot


def note(project: Project, what: What, server: Server, at: datetime | None = None) -> None:
    deeds = project.world.record
    deeds.append(
        Deed(
            what=what,
            at=at or project.world.clock.now(),
            project=project.name,
            server_id=server.id,
            name=server.name,
            labels=dict(server.labels),
            image_id=server.image_id,
            by=deeds.who() if at is None else None,
            firewalls=project.firewalls.of(server.id),
            can_act_by=can_act_by(project, server),
        )
    )


def project_json(project: Project) -> dict[str, Any]:
    holders = project.lock_holders()
    return {
        "servers": [show(project, server, holders) for server in project._servers.values()],
        "images": [image.to_json() for image in project._images.values()],
        "actions": [action.to_json() for action in project._actions.values()],
    }


def note_open(project: Project, seen: dict[int, tuple[str, ...]]) -> None:
    """Notes which servers, made through the API, run and can act by something new since `seen`."""
    for server in list(project.servers.values()):
        runs = server.status == "running" and server.powered_at is not None
        reasons = can_act_by(project, server) if runs else ()
        if reasons and reasons != seen.get(server.id):
            note(project, "open", server, project.world.clock.now())
        seen[server.id] = reasons
