"""The servers a simulator process starts with."""

from datetime import timedelta

from local.simulator.model import Server
from local.simulator.project import Project
from local.simulator.world import World

LABEL = "hetzner-snapshots"
OWNER = "hetzner-snapshots"


def add_default_fleet(world: World) -> Project:
    """Eight servers that show most of what can happen in a night."""
    project = world.project("default")
    add = project.add_server

    web = add("web-1", {"env": "production", "role": "web"})
    database = add("db-1", {"env": "production", "role": "db"}, server_type="ccx13")
    add("mail-1", {"env": "production", "role": "mail"}, ipv6=False, location="nbg1")
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
