"""Whole runs: the real definition and functions against the simulated Hetzner, in virtual time."""

from local.simulator import Project, World
from tests.aws import Aws


def test_every_server_gets_one_snapshot(aws: Aws, world: World, project: Project) -> None:
    for name in ("sg5", "web-1", "db-1"):
        project.add_server(name)
    night = aws.run({})
    assert night.verdict() == "Completed", aws.messages()
    assert sorted(i.status for i in project.images.values()) == ["available"] * 3
