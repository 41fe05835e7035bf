"""A random fleet for measuring: times of snapshots, locked servers, servers without history.

Each server has a random generator of its own, so the first ten servers of a fleet of a hundred are
the same as a fleet of ten.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from local.simulator.durations import MEDIAN_SNAPSHOT_SECONDS, P95_SNAPSHOT_SECONDS
from local.simulator.fleet import LABEL, OWNER
from local.simulator.model import Action, ProgressStyle, Server
from local.simulator.project import Project

# 1.645 standard deviations from the median to the 95th percentile.
SIGMA_BETWEEN_SERVERS = math.log(P95_SNAPSHOT_SECONDS / MEDIAN_SNAPSHOT_SECONDS) / 1.645
SIGMA_BETWEEN_NIGHTS = 0.15
SHARE_LOCKED, MEDIAN_LOCK_SECONDS, SIGMA_LOCK = 0.15, 60.0, 1.0
SHARE_WITH_HISTORY, NIGHTS, KEPT = 0.5, 7, 3
SHARE_WITH_BACKUPS, SHARE_WITH_VOLUMES = 0.2, 0.15
STYLES: tuple[ProgressStyle, ...] = ("linear", "stuck", "steps")


@dataclass(frozen=True, slots=True)
class Traits:
    """The random values of one server."""

    has_history: bool
    style: ProgressStyle
    nights_s: tuple[float, ...]  # how long its snapshots took in the last nights, newest first
    snapshot_s: float  # how long the next one will take
    locked_s: float  # 0: not locked
    backups: bool
    volumes: int


def draw(seed: int, count: int) -> Iterator[Traits]:
    for number in range(count):
        rng = random.Random(f"{seed} drawn {number}")
        typical = MEDIAN_SNAPSHOT_SECONDS * rng.lognormvariate(0, SIGMA_BETWEEN_SERVERS)
        tonight, *nights = (
            typical * rng.lognormvariate(0, SIGMA_BETWEEN_NIGHTS) for _ in range(1 + NIGHTS)
        )
        # Of its own: what was drawn before stays the same.
        beside = random.Random(f"{seed} beside {number}")
        lock = MEDIAN_LOCK_SECONDS * rng.lognormvariate(0, SIGMA_LOCK)
        yield Traits(
            has_history=rng.random() < SHARE_WITH_HISTORY,
            style=rng.choice(STYLES),
            nights_s=tuple(nights),
            snapshot_s=tonight,
            locked_s=lock if rng.random() < SHARE_LOCKED else 0.0,
            backups=beside.random() < SHARE_WITH_BACKUPS,
            volumes=beside.choice([1, 2]) if beside.random() < SHARE_WITH_VOLUMES else 0,
        )


def add_random_fleet(project: Project, seed: int, count: int) -> dict[int, Traits]:
    """So many servers, by id; those with a history have its actions and its last snapshots."""
    width = max(3, len(str(count)))
    fleet = {}
    for number, traits in enumerate(draw(seed, count), 1):
        server = project.add_server(
            f"server-{number:0{width}}",
            {"env": "drawn"},
            backups=traits.backups,
            volumes=traits.volumes,
        )
        fleet[server.id] = traits
        project.snapshot_seconds[server.id] = traits.snapshot_s
        project.progress_styles[server.id] = traits.style
        if traits.has_history:
            for days in range(NIGHTS, 0, -1):
                _add_night(project, server, traits, days)
        if traits.locked_s:
            project.lock(server, "change_type", traits.locked_s)
    return fleet


def _add_night(project: Project, server: Server, traits: Traits, days: int) -> None:
    """The action of that night, and its snapshot if retention would have kept it."""
    began = project.world.clock.now() - timedelta(days=days)
    seconds = traits.nights_s[days - 1]
    image_id = _add_snapshot(project, server, began) if days <= KEPT else None
    action = Action(
        id=project.world.next_id("action"),
        command="create_image",
        server_id=server.id,
        clock=project.world.clock,
        started=began,
        ends_at=began + timedelta(seconds=seconds),
        image_id=image_id or project.world.next_id("image"),
        status="success",
        finished=began + timedelta(seconds=seconds),
    )
    project.actions[action.id] = action


def _add_snapshot(project: Project, server: Server, created: datetime) -> int:
    run_id = created.strftime("%Y%m%dT%H%M%SZ")
    labels = {
        f"{LABEL}/managed-by": OWNER,
        f"{LABEL}/run-id": run_id,
        f"{LABEL}/server-id": str(server.id),
        f"{LABEL}/server-name": server.name,
    }
    text = f"{server.name}-snapshot {run_id}"
    return project.add_snapshot(server, created=created, labels=labels, description=text).id
