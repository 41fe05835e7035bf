"""Whole restores: the real definition and functions on moto and the simulator, in virtual time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_SERVER_ID,
    LABEL_UNPROVEN_AT,
)
from local.simulator import Clock, Image, Project, Server, Simulator, World
from local.simulator.boot import Boot
from local.virtual.template import REGION, Stack
from tests.aws import Aws, deployed
from tests.conftest import TOKEN

OWNER = "hetzner-snapshots"


@pytest.fixture
def world() -> World:
    """Moto's executions start by the real clock, and a sweep compares Hetzner's with that one."""
    return World(Clock(start=datetime.now(UTC).replace(microsecond=0)), seed=1)


@pytest.fixture
def aws(world: World, project: Project, simulator: Simulator) -> Iterator[Aws]:
    with deployed(world.clock, Stack(HetznerEndpoint=simulator.url, Restores="true")) as aws:
        aws.store_token("default", TOKEN)
        aws.probe = lambda address, port: (
            (world.greeting(address, port).text or "").strip() or "no connection"
        )
        project.ssh_keys[3001] = "a key"
        yield aws


def saved(project: Project, name: str, **boot: Any) -> tuple[Server, Image]:
    """A server and a snapshot of it from a day ago, which boots like that."""
    server = project.add_server(name)
    labels = {LABEL_MANAGED_BY: OWNER, LABEL_SERVER_ID: str(server.id)}
    created = project.world.clock.now() - timedelta(days=1)
    image = project.add_snapshot(server, created=created, labels=labels)
    project.boot = Boot(**boot)
    return server, image


def executions(machine: str) -> list[Any]:
    client = boto3.client("stepfunctions", region_name=REGION)
    [arn] = [
        m["stateMachineArn"] for m in client.list_state_machines()["stateMachines"]
        if m["name"] == machine
    ]  # fmt: skip
    return list(client.list_executions(stateMachineArn=arn)["executions"])


def test_a_drill_proves_a_snapshot_and_leaves_nothing_but_the_proof(
    aws: Aws, project: Project, world: World
) -> None:
    server, image = saved(project, "sg5", after_s=60)
    drill = aws.restore({})
    assert drill.verdict() == "Completed"
    assert drill.summary().startswith(f"Completed: Proven: sg5, snapshot {image.id} of 20")
    assert "removed, 0.01 EUR" in drill.summary()
    assert list(project.servers) == [server.id]
    assert image.labels[LABEL_PROVEN_BY] == "ssh" and LABEL_PROVEN_AT in image.labels
    assert image.labels[LABEL_MANAGED_BY] == OWNER


def test_the_next_drill_is_the_next_servers(aws: Aws, project: Project) -> None:
    images = [saved(project, name, after_s=60)[1] for name in ("a", "b")]
    for day in (22, 29):
        assert aws.restore({"scheduled_time": f"2026-11-{day}T09:00:00Z"}).verdict() == "Completed"
    assert all(LABEL_PROVEN_AT in image.labels for image in images)


def test_one_that_never_greets_is_unproven_removed_and_told(aws: Aws, project: Project) -> None:
    server, image = saved(project, "sg5", says=None)
    drill = aws.restore({"servers": ["sg5"]})
    assert drill.verdict() == "Failed"
    assert drill.summary().startswith("Failed: Unproven: sg5")
    assert list(project.servers) == [server.id]
    assert LABEL_UNPROVEN_AT in image.labels


def test_a_restore_is_kept_behind_its_firewall_and_no_sweep_takes_it(
    aws: Aws, project: Project
) -> None:
    server, _ = saved(project, "sg5", after_s=60)
    restore = aws.restore({"servers": ["sg5"], "keep": True, "name": "sg5-again"})
    assert restore.verdict() == "Completed"
    [copy] = [each for each in project.servers.values() if each.id != server.id]
    assert copy.name == "sg5-again" and copy.status == "running"
    assert f"server {copy.id} (sg5-again) at {copy.ipv4}" in restore.summary()
    sweep = aws.restore({"sweep": True})
    assert sweep.summary() == "Completed: nothing is left of drills that are no longer running"
    assert copy.id in project.servers


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(aws: Aws, project: Project) -> None:
    server, image = saved(project, "sg5")
    drill = aws.restore({"servers": ["sg5"], "dry_run": True})
    assert drill.verdict() == "Completed"
    assert f"Planned: sg5, snapshot {image.id}" in drill.summary()
    assert "per hour net" in drill.summary()
    assert list(project.servers) == [server.id] and not project.firewalls


@pytest.mark.parametrize("function", ["CreateServer", "CheckServer"])
def test_a_drill_whose_function_dies_for_good_is_removed_all_the_same(
    aws: Aws, project: Project, function: str
) -> None:
    server, _ = saved(project, "sg5", after_s=60)

    def dies(name: str, event: Any, output: Any) -> None:
        if name == function:
            raise ValueError("a bug")

    aws.after = dies
    drill = aws.restore({"servers": ["sg5"]})
    assert drill.verdict() == "Failed"
    assert "it broke off" in drill.summary()
    assert list(project.servers) == [server.id]


def test_what_a_stopped_drill_has_left_is_swept_by_its_own_name(aws: Aws, project: Project) -> None:
    server, _ = saved(project, "sg5", says=None)

    def dies(name: str, event: Any, output: Any) -> None:
        if name in ("CheckServer", "RemoveServer"):
            raise ValueError("a bug")

    aws.after, aws.before = None, lambda name, event: dies(name, event, None)
    drill = aws.restore({"servers": ["sg5"]})
    assert drill.verdict() == "Failed"
    assert "is still there the watch tells" in drill.summary()
    [copy] = [each for each in project.servers.values() if each.id != server.id]
    aws.before = None
    sweep = aws.restore({"sweep": True})
    assert sweep.verdict() == "Completed"
    assert sweep.summary().startswith("Completed: Removed: sg5")
    assert copy.id not in project.servers and server.id in project.servers
