"""What really happened at Hetzner, even if its answers were wrong; recorded in the simulator."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flask import has_request_context, request

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RUN_ID,
    LABEL_SERVER_ID,
)
from local.simulator import Image, Project
from local.virtual.cloud import Cloud, Execution, Invocation
from local.virtual.loop import Loop

OWNER = "hetzner-snapshots"


@dataclass(frozen=True)
class Deletion:
    """An image deleted through the API, and its server's images just before."""

    image: Image
    at: float
    state: list[Image]
    by: Invocation | None
    there: bool = True  # The server by its label.


@dataclass
class Truth:
    """One project's history."""

    project: Project
    loop: Loop
    created: dict[int, Image] = field(default_factory=dict)  # In this night.
    makers: dict[int, Invocation | None] = field(default_factory=dict)  # Who sent the create.
    before: dict[int, Image] = field(default_factory=dict)  # As they were before it.
    deletions: list[Deletion] = field(default_factory=list)
    # Images that other people changed, and when last: no fault of ours.
    meddled: dict[int, float] = field(default_factory=dict)
    # Each server's labels since when, in this night.
    labels: dict[int, list[tuple[float, dict[str, str]]]] = field(default_factory=dict)
    # Servers that were locked when somebody asked, or tried a create.
    locked: set[int] = field(default_factory=set)
    # Images whose create was sent though another image of the server was being made.
    beside: list[int] = field(default_factory=list)

    def begin(self) -> None:
        self.before = {id_: copy(image) for id_, image in self.project.images.items()}
        self.project._images = Images(self, self.project.images)
        for server in self.project.servers.values():
            self.note_labels(server.id)

    def note_labels(self, server_id: int) -> None:
        now = dict(self.project.servers[server_id].labels)
        self.labels.setdefault(server_id, []).append((self.loop.now, now))

    def labels_between(self, server_id: int, begin: float, end: float) -> list[dict[str, str]]:
        """All that its labels were in this time."""
        noted = self.labels.get(server_id, [(0.0, {})])
        untils = [since for since, _ in noted[1:]] + [end + 1]
        return [
            labels
            for (since, labels), until in zip(noted, untils, strict=True)
            if since <= end and until > begin
        ]

    def note_lock(self, server_id: int) -> None:
        server = self.project._servers.get(server_id)
        if server and (server.hidden_lock or server_id in self.project.lock_holders()):
            self.locked.add(server_id)

    def meddle(self, image_id: int) -> None:
        self.meddled[image_id] = self.loop.now

    def ours(self, server_id: int) -> list[Image]:
        """The server's images of ours now, as copies."""
        return [copy(i) for i in self.project.images.values() if is_ours(i, server_id)]

    def of_run(self, run_id: str, server_id: int) -> dict[int, str]:
        return {
            image.id: image.status
            for image in self.project.images.values()
            if is_ours(image, server_id) and image.labels[LABEL_RUN_ID] == run_id
        }


class Images(dict[int, Image]):
    """A project's images; notes what comes and what the API deletes."""

    def __init__(self, truth: Truth, images: Mapping[int, Image]) -> None:
        super().__init__(images)
        self.truth = truth

    def __setitem__(self, id_: int, image: Image) -> None:
        super().__setitem__(id_, image)
        self.truth.created[id_] = image
        self.truth.makers[id_] = self.truth.loop.current.context
        if has_request_context() and request.method == "POST" and self._is_beside(image):
            self.truth.beside.append(id_)

    def _is_beside(self, image: Image) -> bool:
        """Whether another one is being made, since before whoever creates this one looked."""
        loop, project = self.truth.loop, self.truth.project
        looked_s = loop.now - loop.current.context.started
        since = project.world.clock.now() - timedelta(seconds=looked_s)
        return any(
            action.command == "create_image"
            and image.created_from
            and action.server_id == image.created_from["id"]
            and action.started < since
            for action in project._running.values()
        )

    def __delitem__(self, id_: int) -> None:
        image = self[id_]
        # Other images may be removed while a request is served; it deletes only the one it names.
        if has_request_context() and request.method == "DELETE" and _names(request.path, id_):
            server_id = int(image.labels.get(LABEL_SERVER_ID, "0"))
            state = [copy(i) for i in self.values() if is_ours(i, server_id)]
            loop = self.truth.loop
            by = loop.current.context
            there = server_id in self.truth.project._servers
            self.truth.deletions.append(Deletion(copy(image), loop.now, state, by, there))
        super().__delitem__(id_)


def _names(path: str, id_: int) -> bool:
    return path.endswith(f"/images/{id_}")


def is_ours(image: Image, server_id: int | None = None) -> bool:
    labels = image.labels
    return labels.get(LABEL_MANAGED_BY) == OWNER and server_id in (
        None,
        int(labels.get(LABEL_SERVER_ID, "0")),
    )


def watch(cloud: Cloud, truths: dict[str, Truth]) -> None:
    """Record what each listing should have shown, and what images there are as a child ends."""

    def observe(method: str, path: str) -> None:
        invocation = cloud.loop.current.context
        invocation.requests += 1
        invocation.methods.add(method)
        cloud.on_request(invocation)
        if invocation.function in ("WatchServers", "ListServers"):
            cloud.on_listing(invocation)
        server_id = invocation.server_id
        if server_id and path.startswith(f"/v1/servers/{server_id}"):
            truths[invocation.event["run"]["project"]].note_lock(server_id)
        if method == "GET" and path == "/v1/images" and server_id:
            truth = truths[invocation.event["run"]["project"]]
            invocation.seen[server_id] = truth.ours(server_id)

    def child_ended(execution: Execution, server: Any, result: Any) -> None:
        run = execution.input["run"]
        server_id = server["id"]
        execution.results[server_id] = result
        execution.child_ended[server_id] = cloud.loop.now
        execution.truths[server_id] = truths[run["project"]].of_run(run["id"], server_id)

    cloud.wire.observe = observe
    cloud.on_child = child_ended
