"""The servers a simulator process starts with."""

import re
from datetime import timedelta

from local.simulator.boot import Boot
from local.simulator.faults import Fault, status
from local.simulator.model import Server
from local.simulator.project import Project
from local.simulator.world import World

LABEL = "hetzner-snapshots"
OWNER = "hetzner-snapshots"
NAMES = "default, trouble, a number of plain servers such as 30, or random:30"
MOST_SERVERS = 1000
PROBE_PORT = 2222  # to listen below 1024 needs root


def problem_of(fleet: str) -> str | None:
    """What is wrong with the name of a fleet; None if there is such a fleet."""
    if fleet in ("default", "trouble"):
        return None
    number = re.fullmatch(r"(?:random:)?([0-9]{1,5})", fleet, re.ASCII)
    if number and 1 <= int(number[1]) <= MOST_SERVERS:
        return None
    if number:
        return f"a fleet has 1 to {MOST_SERVERS} servers"
    return f"there are {NAMES}"


def add_default_fleet(world: World) -> Project:
    """Eight servers that show most of what can happen in a night."""
    project = world.project("default")
    add = project.add_server

    web = add("web-1", {"env": "production", "role": "web"})
    database = add("db-1", {"env": "production", "role": "db"}, server_type="ccx13", volumes=2)
    add("mail-1", {"env": "production", "role": "mail"}, ipv6=False, location="nbg1", backups=True)
    add("worker-1", {"env": "production", "role": "worker"}, ipv4=False, server_type="cax11")
    resized = add("sg5", {"env": "production", "role": "web"}, server_type="cx43")
    copied = add("git-1", {"env": "production", "role": "git"}, location="hel1")
    flaky = add("build-1", {"env": "staging", "role": "build"}, location="hel1")
    add("scratch-1", {"env": "staging", f"{LABEL}/enabled": "false"}, status="off")

    project.lock(resized, command="change_type", seconds=900)
    project.snapshot_seconds[copied.id] = [120.0]
    project.create_image(copied, description="by hand, before the upgrade")
    project.next_action_fails(flaky)

    for days in (4, 3, 2, 1):
        _add_nightly(project, web, days)
    _add_nightly(project, database, 30, protected=True)
    for days in (2, 1):
        _add_nightly(project, database, days)
    project.add_snapshot(
        database,
        created=world.clock.now() - timedelta(days=90),
        labels={"keep": "yes"},
        description="db-1 before the migration",
        size_gb=11.4,
    )
    return project


def add_trouble_fleet(world: World) -> Project:
    """Six servers, of which three meet what only people can repair; `World.repair` does it."""
    project = world.project("default")
    add = project.add_server
    mistyped = add("web-1", {"env": "production", f"{LABEL}/retention": "3daily"})
    database = add("db-1", {"env": "production"}, server_type="ccx13")
    add("mail-1", {"env": "production"}, location="nbg1")
    resized = add("sg5", {"env": "production"}, server_type="cx43")
    refused = add("git-1", {"env": "production"}, location="hel1")
    add("worker-1", {"env": "production"}, server_type="cax11")

    for server in (mistyped, database, resized, refused):
        for days in (2, 1):
            _add_nightly(project, server, days)
    project.lock(resized, command="change_type", seconds=None)
    # By its path: a limit for all would hit whoever comes last.
    path = f"/servers/{refused.id}/actions/create_image"
    quota = status(403, "resource_limit_exceeded", "snapshot limit exceeded")
    world.faults.add(Fault(quota, method="POST", path=path, times=None))

    world.repairs += [
        ("sg5: the resize is over, the server is no longer locked.", lambda: _free(project)),
        ("git-1: Hetzner has raised the project's limit of snapshots.", world.faults.clear),
        (f"web-1: its label {LABEL}/retention is now daily3.",
         lambda: mistyped.labels.update({f"{LABEL}/retention": "daily3"})),
    ]  # fmt: skip
    return project


def greets_on_sockets(project: Project) -> None:
    """What is restored from its servers greets where this process may listen; they say so."""
    project.boot = Boot(port=PROBE_PORT)
    # Without a key Hetzner mails the owner a root password for each copy.
    project.ssh_keys.setdefault(project.world.next_id("ssh_key"), "admin")
    for server in project.servers.values():
        server.labels.setdefault(f"{LABEL}/probe", f"ssh.{PROBE_PORT}")


def _free(project: Project) -> None:
    now = project.world.clock.now()
    for action in project.actions.values():
        if action.status == "running" and action.ends_at is None:
            action.ends_at = now


def add_plain_fleet(world: World, servers: int) -> Project:
    """So many servers with nothing special about them."""
    project = world.project("default")
    width = max(3, len(str(servers)))
    for number in range(1, servers + 1):
        project.add_server(f"server-{number:0{width}}", {"env": "load"})
    return project


def _add_nightly(
    project: Project, server: Server, days_ago: int, *, protected: bool = False
) -> None:
    """A snapshot as an earlier run of ours would have left it."""
    created = (project.world.clock.now() - timedelta(days=days_ago)).replace(
        hour=2, minute=0, second=30, microsecond=0
    )
    run_id = created.strftime("%Y%m%dT020000Z")
    project.add_snapshot(
        server,
        created=created,
        labels={
            f"{LABEL}/managed-by": OWNER,
            f"{LABEL}/run-id": run_id,
            f"{LABEL}/server-id": str(server.id),
            f"{LABEL}/server-name": server.name,
        },
        description=f"{server.name}-snapshot {run_id}",
        protected=protected,
    )
