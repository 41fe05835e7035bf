"""What the stories ask the simulated Hetzner: the snapshots there are, the requests sent."""

from collections import Counter
from datetime import timedelta
from typing import Any

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RUN_ID,
    LABEL_SERVER_ID,
    LABEL_SERVER_NAME,
)
from local.simulator import Image, Project, Server, World


def available(project: Project, run_id: str | None = None) -> Counter[str]:
    """How many available snapshots of ours each server has, by name, of one run or all."""
    return Counter(
        image.labels[LABEL_SERVER_NAME]
        for image in project.images.values()
        if image.status == "available"
        and LABEL_MANAGED_BY in image.labels
        and run_id in (None, image.labels[LABEL_RUN_ID])
    )


def ours(project: Project, server: Server, days_ago: int, **more: Any) -> Image:
    """A snapshot as an earlier night left it."""
    created = project.world.clock.now() - timedelta(days=days_ago)
    labels = {
        LABEL_MANAGED_BY: "hetzner-snapshots",
        LABEL_RUN_ID: f"{created:%Y%m%dT%H%M%SZ}",
        LABEL_SERVER_ID: str(server.id),
        LABEL_SERVER_NAME: server.name,
    }
    return project.add_snapshot(server, created=created, labels=labels, **more)


def writes(world: World) -> list[str]:
    return [f"{r.method} {r.path}" for r in world.requests if r.method != "GET"]
