"""What the stories share: a simulated Hetzner, and an AWS with our stack deployed."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from local.simulator import Clock, Project, Simulator, World
from local.virtual.template import Stack
from tests.aws import Aws, deployed
from tests.deploy_shell import account, nights, shell, stack, stacks
from tests.eventful import Inbox
from tests.leaks import a_token

TOKEN = a_token("of the tests")
# Fixtures of the deploy commands' tests.
__all__ = ("account", "nights", "shell", "stack", "stacks")


@pytest.fixture
def world() -> World:
    """A simulated Hetzner whose time stands still unless the run waits."""
    return World(Clock(start=datetime(2026, 11, 21, 2, 0, tzinfo=UTC)), seed=1)


@pytest.fixture
def project(world: World) -> Project:
    project = world.project("default")
    project.add_token(TOKEN)
    return project


@pytest.fixture
def simulator(world: World) -> Iterator[Simulator]:
    with Simulator(world) as simulator:
        yield simulator


@pytest.fixture
def aws(world: World, project: Project, simulator: Simulator) -> Iterator[Aws]:
    with deployed(world.clock, Stack(HetznerEndpoint=simulator.url)) as aws:
        aws.store_token("default", TOKEN)
        yield aws


@pytest.fixture
def inbox(aws: Aws) -> Inbox:
    return Inbox()
