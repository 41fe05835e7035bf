"""A simulator with one project, and clients of it: plain HTTP and the SDK."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import hcloud
import requests

from local.simulator import Clock, Image, Project, Server, Simulator, World

START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
TOKEN = "rw-token"


class Api:
    """Plain HTTP, as a client without any SDK sends it."""

    def __init__(self, simulator: Simulator, token: str | None = TOKEN) -> None:
        self.url = simulator.url
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("headers", self.headers)
        options.setdefault("timeout", (2, 5))
        with requests.Session() as session:
            return session.request(method, self.url + path, **options)


@contextmanager
def sdk(simulator: Simulator, token: str = TOKEN) -> Iterator[hcloud.Client]:
    client = hcloud.Client(token=token, api_endpoint=simulator.url, timeout=(2, 5))
    client._client._retry_max_retries = 0
    yield client
    client._client._session.close()
    client._client_hetzner._session.close()


def code_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@dataclass
class Simulated:
    world: World
    project: Project
    simulator: Simulator
    api: Api
    client: hcloud.Client

    def pass_seconds(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    def create(self, image: Image, /, name: str = "copy", **body: Any) -> requests.Response:
        """POST /servers with what every server needs."""
        body = {"name": name, "server_type": "cx23", "image": image.id, **body}
        return self.api("POST", "/servers", json=body)

    def made(self, image: Image, /, name: str = "copy", **body: Any) -> Server:
        """A server from this image, made and off; what else is given goes into the POST."""
        body = {"start_after_create": False, **body}
        answer = self.create(image, name, **body)
        assert answer.status_code == 201, answer.text
        self.pass_seconds(3600)
        return self.project.servers[answer.json()["server"]["id"]]

    def act(self, server: Server, command: str, seconds: float = 5, **body: Any) -> None:
        """An action of the server that is accepted, and so many seconds."""
        answer = self.api("POST", f"/servers/{server.id}/actions/{command}", json=body)
        assert answer.status_code == 201, answer.text
        self.pass_seconds(seconds)

    def shown(self, server: Server) -> Any:
        return self.api("GET", f"/servers/{server.id}").json()["server"]

    def deeds(self, server: Server) -> list[str]:
        """What was done to it; what lets it act is apart."""
        deeds = [deed.what for deed in self.world.deeds if deed.server_id == server.id]
        return [what for what in deeds if what != "open"]


@contextmanager
def simulated() -> Iterator[Simulated]:
    world = World(Clock(START), seed=1)
    project = world.project("default")
    project.add_token(TOKEN)
    with Simulator(world) as simulator, sdk(simulator) as client:
        yield Simulated(world, project, simulator, Api(simulator), client)
