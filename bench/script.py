"""The plain script: one process, one server after the other, asking every five seconds."""

from collections.abc import Iterator
from typing import Any

from hcloud import APIException

from bench.world import MeasuredWorld
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_RUN_ID, LABEL_SERVER_ID
from handler.hetzner.api import client_for
from local.virtual.truth import OWNER
from local.virtual.wire import ENDPOINT

SECONDS_BETWEEN = 5
KEPT = 3
MOST_TRIES = 10_000
MOST_PAGES = 100


class Script:
    """Lists, waits until the server is free, creates, waits for the action, lists, deletes."""

    def __init__(self, world: MeasuredWorld, run_id: str) -> None:
        self.loop, self.run_id = world.loop, run_id
        self.client = client_for(world.token, ENDPOINT)
        self.client._client._session.mount(ENDPOINT, world.wire)
        self.polls: dict[int, int] = dict.fromkeys(world.fleet, 0)
        self.noticed: dict[int, float] = {}

    def work(self) -> None:
        for server in list(self._all("/servers", "servers", {})):
            self._one(server["id"])

    def _one(self, server_id: int) -> None:
        actions = f"/servers/{server_id}/actions"
        self._until(lambda: not self._ask("GET", actions, params={"status": "running"})["actions"])
        labels = {LABEL_MANAGED_BY: OWNER, LABEL_SERVER_ID: str(server_id)}
        body = {"type": "snapshot", "labels": {**labels, LABEL_RUN_ID: self.run_id}}
        action = self._ask("POST", f"{actions}/create_image", json=body)["action"]

        def is_done() -> bool:
            self.polls[server_id] += 1
            found = self._ask("GET", f"/actions/{action['id']}")["action"]
            return bool(found["status"] == "success")

        self.loop.sleep(SECONDS_BETWEEN)
        self._until(is_done)
        self.noticed[server_id] = self.loop.now
        selector = ",".join(f"{name}=={value}" for name, value in labels.items())
        images = self._all("/images", "images", {"type": "snapshot", "label_selector": selector})
        newest_first = sorted(images, key=lambda image: image["created"], reverse=True)
        for image in newest_first[KEPT:]:
            self._ask("DELETE", f"/images/{image['id']}")

    def _until(self, is_done: Any) -> None:
        for _ in range(MOST_TRIES):
            if is_done():
                return
            self.loop.sleep(SECONDS_BETWEEN)
        raise TimeoutError(f"not done after {MOST_TRIES} looks")

    def _all(self, path: str, key: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for page in range(1, MOST_PAGES + 1):
            answer = self._ask("GET", path, params={**params, "page": page, "per_page": 50})
            yield from answer[key]
            if answer["meta"]["pagination"]["next_page"] is None:
                return

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        for _ in range(MOST_TRIES):
            try:
                return self.client.request(method, path, **more)
            except APIException as error:
                if error.code not in ("rate_limit_exceeded", "locked"):
                    raise
                self.loop.sleep(SECONDS_BETWEEN)
        raise TimeoutError(f"{method} {path}: refused {MOST_TRIES} times")
