"""Restores and drills on the deployed local stack: the built package, real sockets, one cloud.

A minute at Hetzner takes a third of a second. tests/test_drill_stories.py and its neighbours play
more of them, on the definition.
"""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_PROBE,
    LABEL_PROVEN_AT,
    LABEL_SERVER_ID,
    LABEL_UNPROVEN_AT,
)
from local.aws import connection, deploy, outputs, store_token
from local.cloud import Cloud, running
from local.common.following import follow
from local.common.restores import Told
from local.options import Options
from local.run import start
from local.simulator import Clock, Fault, Image, Project, Server, Simulator, World
from local.simulator.boot import SSH, Boot
from local.simulator.catalog import SERVER_TYPES
from local.simulator.faults import status
from local.virtual.template import ROOT
from tests.leaks import a_token

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
TOKEN = a_token("of the restores")
FASTER = 180
PORT = 2222  # below 1024 only root may listen
MOST_SECONDS = 150
FUNCTION = "StartRestoreFunction"


@dataclass
class Place:
    """The cloud with the stack, and what it restores from."""

    cloud: Cloud
    world: World
    project: Project

    def saved(self, name: str, *boot: Any) -> tuple[Server, Image]:
        """A server, and a snapshot of it of yesterday, whose copies boot like that."""
        server = self.project.add_server(name, {LABEL_PROBE: f"ssh.{PORT}"})
        self.project.boots[server.id] = Boot(*boot)
        labels = {LABEL_MANAGED_BY: "hetzner-snapshots", LABEL_SERVER_ID: str(server.id)}
        created = self.world.clock.now() - timedelta(days=1)
        image = self.project.add_snapshot(server, created=created, labels=labels)
        self.project.server_seconds[image.id] = 60
        return server, image

    def started(self, event: dict[str, Any]) -> str:
        """The execution's ARN."""
        answer = start(self.cloud, outputs(self.cloud.aws)[FUNCTION], event)
        return str(answer["executions"][0]["execution_arn"])

    def ended(self, arn: str) -> Told:
        until = time.monotonic() + MOST_SECONDS

        def pause() -> None:
            assert time.monotonic() < until, "it does not end"
            time.sleep(0.1)

        return follow(self.step_functions, arn, Told(), lambda _: None, pause)

    def restore(self, event: dict[str, Any]) -> str:
        """The line with which it ended."""
        return self.ended(self.started(event)).line

    @property
    def step_functions(self) -> Any:
        return boto3.client("stepfunctions", **connection(self.cloud.aws))

    def made(self, image: Image) -> list[Server]:
        """The servers that are there and were made of this snapshot."""
        return [
            s for s in self.project.servers.values() if s.image_id == image.id and s.root_password
        ]

    def acted(self) -> list[tuple[str, ...]]:
        """By what a copy could have acted while it ran."""
        return [
            d.can_act_by for d in self.world.deeds if d.what in ("runs", "open") and d.can_act_by
        ]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    subprocess.run(["make", "build"], cwd=ROOT, check=True, timeout=200, stdout=subprocess.DEVNULL)
    world = World(Clock(datetime.now(UTC), FASTER), seed=1)
    project = world.project("default")
    project.add_token(TOKEN)
    with Simulator(world) as simulator:
        options = Options("given", TOKEN, simulator.url, 1 / FASTER)
        with running(options) as (cloud, _):
            parameters = {"HetznerEndpoint": simulator.url, "Restores": "true"}
            deploy(cloud.aws, Path(cloud.folder), parameters)
            store_token(cloud.aws, TOKEN)
            yield Place(cloud, world, project)


def test_a_drill_is_proven_over_a_socket_and_leaves_the_proof_alone(place: Place) -> None:
    _, image = place.saved("proven", 30.0, SSH, PORT)
    line = place.restore({"servers": ["proven"]})
    assert line.startswith(f"Completed: Proven: proven, snapshot {image.id} of ")
    assert f"greets on ssh port {PORT} " in line and "removed, 0.0" in line
    assert LABEL_PROVEN_AT in image.labels
    assert place.made(image) == []


def test_a_drill_that_never_greets_is_unproven_and_removed(place: Place) -> None:
    _, image = place.saved("deaf", 30.0, None, PORT)
    line = place.restore({"servers": ["deaf"]})
    assert "Unproven: deaf" in line
    assert f"no greeting on port {PORT}: no connection: Connection refused" in line
    assert LABEL_UNPROVEN_AT in image.labels
    assert place.made(image) == []


def test_without_stock_anywhere_it_is_unproven_and_nothing_is_made(place: Place) -> None:
    _, image = place.saved("stockless", 30.0, SSH, PORT)
    everywhere = {(n, p["name"]) for n, type_ in SERVER_TYPES.items() for p in type_["locations"]}
    place.world.no_placement |= everywhere
    try:
        line = place.restore({"servers": ["stockless"]})
    finally:
        place.world.no_placement.clear()
    assert "Try again later." in line
    assert not [d for d in place.world.deeds if d.image_id == image.id]


def test_a_sweep_removes_what_a_drill_has_left_and_nothing_that_is_kept(place: Place) -> None:
    """A drill that is stopped goes on inside its Map in MiniStack: here its delete is refused."""
    _, image = place.saved("kept", 30.0, SSH, PORT)
    line = place.restore({"servers": ["kept"], "keep": True, "name": "again"})
    [again] = place.made(image)
    assert f"server {again.id} (again) at {again.ipv4}" in line
    refused = status(403, "forbidden")
    place.world.faults.add(Fault(refused, method="DELETE", path=r"/servers/\d+", times=None))
    try:
        line = place.restore({"servers": ["kept"]})
    finally:
        place.world.faults.clear()
    [left] = [server for server in place.made(image) if server is not again]
    assert f"server {left.id} ({left.name}) is still there and costs " in line
    line = place.restore({"sweep": True})
    assert line.startswith("Completed: Removed: kept")
    assert place.made(image) == [again]
    assert again.status == "running"
    assert place.acted() == []
