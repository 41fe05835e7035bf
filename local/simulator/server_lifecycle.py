"""What servers go through when the API is asked: made, powered, rebuilt, deleted."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from local.simulator.durations import server_seconds
from local.simulator.firewalls import Firewall
from local.simulator.model import Action, Failure, Image, Server
from local.simulator.plain_server import plain_server
from local.simulator.project import Project
from local.simulator.views import note

START_SECONDS = 5.0
STOP_SECONDS = 5.0
SHUTDOWN_SECONDS = 20.0
REBUILD_SECONDS = 60.0
DELETE_SECONDS = 3.0


@dataclass(frozen=True)
class Wanted:
    """A POST /servers that was found valid."""

    name: str
    server_type: str
    location: str
    image: Image
    labels: dict[str, str]
    firewalls: Sequence[Firewall]
    start: bool
    ipv4: bool
    ipv6: bool
    ssh_keys: bool
    networks: list[int]
    volumes: list[int]
    placement_group: int | None


def create(project: Project, wanted: Wanted) -> tuple[Server, Action, list[Action]]:
    """Begins to make it; the server, the action, and those that follow."""
    id_ = project.world.next_id("server")
    server = plain_server(
        id_, wanted.name, wanted.server_type, wanted.location, ipv4=wanted.ipv4, ipv6=wanted.ipv6
    )
    server.status = "initializing"
    server.created = project.world.clock.now()
    server.labels = dict(wanted.labels)
    server.ipv4 = project.world.next_address() if wanted.ipv4 else None
    server.image_id = wanted.image.id
    server.source_id = (wanted.image.created_from or {}).get("id")
    server.networks, server.volumes = wanted.networks, wanted.volumes
    server.placement_group = wanted.placement_group
    # Of its own generator, as all that is random.
    password = random.Random(f"password of {id_}").randbytes(15).hex()
    server.root_password = None if wanted.ssh_keys else password
    project.servers[id_] = server

    failure = project.server_failures.pop(0) if project.server_failures else None
    seconds = (
        failure.after_seconds
        if failure
        else server_seconds(project.server_seconds, wanted.image.id, id_)
    )
    start: list[Action] = []
    action = project.start_action(
        id_, "create_server", seconds, locks=True, then=lambda a: _made(project, server, a, start)
    )
    action.failure = failure
    for firewall in wanted.firewalls:
        project.firewalls.attach(firewall, server, after=seconds)
    if wanted.start or project.world.starts_after_each_create:
        start.append(_start(project, server, "start_server", seconds + START_SECONDS))
    note(project, "created", server)
    return server, action, start


def power_on(project: Project, server: Server) -> Action:
    note(project, "on", server)
    if server.status != "running":
        server.status = "starting"
    return _start(project, server, "start_server", START_SECONDS)


def power_off(project: Project, server: Server, command: str = "stop_server") -> Action:
    """By force, or (shutdown_server) with the system's help: its action's end says little."""
    note(project, "off", server)
    seconds = STOP_SECONDS if command == "stop_server" else SHUTDOWN_SECONDS
    if server.status != "off":
        server.status = "stopping"
    return project.start_action(
        server.id, command, seconds, locks=True, then=lambda a: _stopped(project, server, a)
    )


def reboot(project: Project, server: Server, command: str) -> Action:
    """Of a server that runs; else the action fails."""
    if server.status == "running":
        note(project, "on", server)
        return _start(project, server, command, START_SECONDS)
    action = project.start_action(server.id, command, 0, locks=True)
    action.failure = Failure("action_failed", "server is not running", 0, "vanishes")
    return action


def rebuild(project: Project, server: Server, image: Image) -> Action:
    """The image's disk in place of its own; then it is started."""
    note(project, "rebuilt", server)
    server.status = "rebuilding"
    server.image_id = image.id
    server.source_id = (image.created_from or {}).get("id")
    return _start(project, server, "rebuild_server", REBUILD_SECONDS)


def delete(project: Project, server: Server) -> Action:
    """Gone when the action has ended, with its IPv4 address unless the world keeps that."""
    note(project, "deleted", server)
    server.status = "deleting"

    def gone(action: Action) -> None:
        if server.id not in project._servers:
            return
        if project.world.address_kept_after_delete and server.ipv4:
            project.kept_addresses[server.id * 10 + 4] = server.ipv4
        project.firewalls.forget(server.id)
        del project._servers[server.id]

    return project.start_action(server.id, "delete_server", DELETE_SECONDS, locks=True, then=gone)


def fail(project: Project, actions: list[Action]) -> None:
    """These end in an error, now."""
    for action in actions:
        action.ends_at = project.world.clock.now()
        action.failure = Failure("action_failed", "Action failed", 0, "vanishes")


def running_creates(project: Project, image: Image) -> list[Action]:
    return [
        action
        for action in project._running.values()
        if action.command == "create_server"
        and (server := project._servers.get(action.server_id))
        and server.image_id == image.id
    ]


def _made(project: Project, server: Server, action: Action, start: list[Action]) -> None:
    if action.status == "error":
        note(project, "not_made", server, action.finished)
        project.firewalls.forget(server.id)
        project._servers.pop(server.id, None)
        for following in start:
            following.ends_at, following.failure = action.finished, action.failure
        return
    server.status = "starting" if start else "off"
    note(project, "made", server, action.finished)


def _start(project: Project, server: Server, command: str, seconds: float) -> Action:
    return project.start_action(
        server.id, command, seconds, locks=True, then=lambda a: _runs(project, server, a)
    )


def _runs(project: Project, server: Server, action: Action) -> None:
    if action.status == "error" or server.id not in project._servers:
        return
    at = action.finished or project.world.clock.now()
    if server.status != "running" or action.command != "start_server":
        server.status = "running"
        server.powered_at = at
        # It is for one start.
        server.rescue = "runs" if server.rescue == "enabled" else ""
    project.firewalls.boots(server.id, at)
    note(project, "runs", server, at)


def _stopped(project: Project, server: Server, action: Action) -> None:
    if action.status == "success" and server.id in project._servers:
        server.status = "off"
        server.powered_at = None
        note(project, "stopped", server, action.finished)
