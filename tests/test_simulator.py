"""The simulator behaves like the API it stands in for, and a sloppy client fails on it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hcloud
import pytest
import requests
from hcloud.servers import Server as HcloudServer

from local.simulator import Clock, Fault, Project, Simulator, World, faults
from local.simulator.fleet import add_default_fleet, add_plain_fleet
from local.simulator.random_fleet import add_random_fleet

START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
CREATE_IMAGE = r"/servers/\d+/actions/create_image"
MANAGED_BY = "hetzner-snapshots/managed-by"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def world() -> World:
    return World(Clock(START), seed=1)


@pytest.fixture
def project(world: World) -> Project:
    project = world.project("default")
    project.add_token("rw-token")
    project.add_token("ro-token", read_only=True)
    return project


@pytest.fixture
def simulator(world: World, project: Project) -> Iterator[Simulator]:
    with Simulator(world) as simulator:
        yield simulator


class Api:
    """Plain HTTP, as a client without any SDK sends it."""

    def __init__(self, simulator: Simulator, token: str | None = "rw-token") -> None:
        self.url = simulator.url
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("headers", self.headers)
        options.setdefault("timeout", (2, 5))
        with requests.Session() as session:
            return session.request(method, self.url + path, **options)

    def create_image(self, server_id: int, **body: object) -> requests.Response:
        return self("POST", f"/servers/{server_id}/actions/create_image", json=body)


@pytest.fixture
def api(simulator: Simulator) -> Api:
    return Api(simulator)


@pytest.fixture
def client(simulator: Simulator) -> Iterator[hcloud.Client]:
    yield from sdk(simulator, "rw-token")


@pytest.fixture
def reader(simulator: Simulator) -> Iterator[hcloud.Client]:
    yield from sdk(simulator, "ro-token")


def sdk(simulator: Simulator, token: str) -> Iterator[hcloud.Client]:
    client = hcloud.Client(token=token, api_endpoint=simulator.url, timeout=(2, 5))
    client._client._retry_max_retries = 0
    yield client
    client._client._session.close()
    client._client_hetzner._session.close()


def code_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# Servers


def test_the_sdk_reads_a_server_with_all_its_parts(client: hcloud.Client, project: Project) -> None:
    added = project.add_server("sg5", labels={"env": "production"}, location="hel1")

    server = client.servers.get_by_id(added.id)

    assert (server.name, server.status, server.locked) == ("sg5", "running", False)
    assert server.labels == {"env": "production"}
    assert server.public_net.ipv4.ip == added.ipv4
    assert server.public_net.ipv6.ip == added.ipv6
    assert server.location.name == "hel1"
    assert server.server_type.name == "cx23"
    assert server.image.name == "debian-13"
    assert server.created < START
    assert server.primary_disk_size == 40


def test_a_server_tells_whether_its_backups_are_on_and_which_volumes_it_has(
    api: Api, project: Project
) -> None:
    project.add_server("bare")
    project.add_server("saved", backups=True, volumes=2)
    bare, saved = api("GET", "/servers?sort=id").json()["servers"]
    assert (bare["backup_window"], bare["volumes"]) == (None, [])
    assert saved["backup_window"] == "22-02"
    assert len(set(saved["volumes"])) == 2


def test_some_servers_of_a_random_fleet_have_backups_or_volumes(project: Project) -> None:
    add_random_fleet(project, 1, 200)
    servers = list(project.servers.values())
    assert 20 < sum(bool(server.backup_window) for server in servers) < 60
    assert 15 < sum(bool(server.volumes) for server in servers) < 50


@pytest.mark.parametrize(("ipv4", "ipv6"), [(False, True), (True, False), (False, False)])
def test_a_server_may_lack_either_address(
    client: hcloud.Client, project: Project, ipv4: bool, ipv6: bool
) -> None:
    project.add_server("sg5", ipv4=ipv4, ipv6=ipv6)
    [server] = client.servers.get_all()
    assert (server.public_net.ipv4 is not None) is ipv4
    assert (server.public_net.ipv6 is not None) is ipv6


def test_servers_come_in_pages_of_25_unless_asked_and_of_50_at_most(
    api: Api, client: hcloud.Client, project: Project
) -> None:
    for number in range(60):
        project.add_server(f"server-{number}")

    first = api("GET", "/servers").json()
    last = api("GET", "/servers?page=2&per_page=50").json()
    beyond = api("GET", "/servers?page=9").json()

    assert len(first["servers"]) == 25
    assert first["meta"]["pagination"] == {
        "page": 1,
        "per_page": 25,
        "previous_page": None,
        "next_page": 2,
        "last_page": 3,
        "total_entries": 60,
    }
    assert len(last["servers"]) == 10
    assert last["meta"]["pagination"]["next_page"] is None
    assert beyond["servers"] == []
    assert len(client.servers.get_all()) == 60


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=x",
        "page=-1",
        "page=1&page=2",
        "per_page=51",
        "per_page=0",
        "colour=red",
        "sort=size",
        "sort=name:up",
        "status=asleep",
        "label_selector=",
        "label_selector=k%20in%20(",
    ],
)
def test_a_query_that_is_not_in_the_documentation_is_refused(api: Api, query: str) -> None:
    response = api("GET", f"/servers?{query}")
    assert code_of(response) == (422, "invalid_input")
    [field] = response.json()["error"]["details"]["fields"]
    assert field["name"] == query.partition("=")[0]


def test_servers_are_filtered_and_sorted(api: Api, project: Project) -> None:
    for name in ("b", "c", "a"):
        project.add_server(name, labels={"name": name}, status="off" if name == "c" else "running")

    def names(query: str) -> list[str]:
        return [server["name"] for server in api("GET", f"/servers?{query}").json()["servers"]]

    assert names("") == ["b", "c", "a"]
    assert names("sort=name:desc") == ["c", "b", "a"]
    assert names("name=a") == ["a"]
    assert names("status=off") == ["c"]
    assert names("status=off&status=running&sort=name") == ["a", "b", "c"]
    assert names("label_selector=name!=b") == ["c", "a"]


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("env", ["db", "web"]),
        ("!env", ["bare"]),
        ("env=production", ["db"]),
        ("env==production", ["db"]),
        ("env = production", ["db"]),
        ("env!=production", ["bare", "web"]),
        ("env in (production,staging)", ["db", "web"]),
        ("env in (production, staging),!public", ["db"]),
        ("env notin (production)", ["bare", "web"]),
        ("public=", ["web"]),
        ("hetzner-snapshots/enabled!=false", ["bare", "web"]),
        ("hetzner-snapshots/enabled=false,env=production", ["db"]),
        ("env=production,env=staging", []),
    ],
)
def test_the_label_selector_speaks_its_whole_language(
    client: hcloud.Client, project: Project, selector: str, selected: list[str]
) -> None:
    project.add_server("bare")
    project.add_server("db", {"env": "production", "hetzner-snapshots/enabled": "false"})
    project.add_server("web", {"env": "staging", "public": ""})
    servers = client.servers.get_all(label_selector=selector)
    assert sorted(server.name or "" for server in servers) == selected


@pytest.mark.parametrize(
    "selector",
    [
        "=",
        ",",
        "env,",
        "env=a b",
        "env in production",
        "env in (a",
        "!env=a",
        "env=a,,b",
        "a/b/c",
        "-env",
        "env=a:b",
        "env>1",
        "Env!/x",
        "e" * 64,
    ],
)
def test_a_broken_label_selector_is_refused(client: hcloud.Client, selector: str) -> None:
    with pytest.raises(hcloud.APIException) as caught:
        client.servers.get_all(label_selector=selector)
    assert caught.value.code == "invalid_input"


# Who asks


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nobody"},
        {"Authorization": "rw-token"},
        {"Authorization": "Basic rw-token"},
    ],
)
def test_a_request_without_a_valid_token_is_refused(api: Api, headers: dict[str, str]) -> None:
    response = api("GET", "/servers", headers=headers)
    assert code_of(response) == (401, "unauthorized")
    assert response.json()["error"]["message"] == "the token you have provided is invalid"


def test_a_revoked_token_is_refused(api: Api, project: Project) -> None:
    assert api("GET", "/servers").ok
    project.revoke_token("rw-token")
    assert code_of(api("GET", "/servers")) == (401, "unauthorized")


def test_a_read_only_token_reads_and_does_not_write(
    reader: hcloud.Client, project: Project
) -> None:
    server = project.add_server("sg5")
    image = project.add_snapshot(server)
    assert reader.images.get_by_id(image.id).id == image.id
    for write in (
        lambda: reader.servers.create_image(HcloudServer(id=server.id)),
        lambda: reader.images.get_by_id(image.id).delete(),
        lambda: reader.images.get_by_id(image.id).update(labels={}),
    ):
        with pytest.raises(hcloud.APIException) as caught:
            write()
        assert caught.value.code == "token_readonly"
    assert list(project.images) == [image.id]


def test_projects_do_not_see_each_other(
    api: Api, simulator: Simulator, world: World, project: Project
) -> None:
    other = world.project("other")
    other.add_token("other-token")
    theirs = other.add_server("sg5")
    mine = project.add_server("sg5")
    image = other.add_snapshot(theirs)
    action = other.lock(theirs)

    assert [s["id"] for s in api("GET", "/servers").json()["servers"]] == [mine.id]
    assert code_of(api("GET", f"/servers/{theirs.id}")) == (404, "not_found")
    assert code_of(api("GET", f"/images/{image.id}")) == (404, "not_found")
    assert code_of(api("GET", f"/actions/{action.id}")) == (404, "not_found")
    assert code_of(api.create_image(theirs.id)) == (404, "not_found")
    assert api("GET", f"/actions?id={action.id}").json() == {"actions": []}
    assert Api(simulator, "other-token")("GET", f"/servers/{theirs.id}").ok


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", (404, "not_found")),
        ("GET", "/volumes", (404, "not_found")),
        ("GET", "/servers/", (404, "not_found")),
        ("GET", "/servers/one", (404, "not_found")),
        ("GET", "/servers/1", (404, "not_found")),
        ("GET", "/servers/1/actions", (404, "not_found")),
        ("GET", "/images/1", (404, "not_found")),
        ("DELETE", "/images/1", (404, "not_found")),
        ("GET", "/actions/1", (404, "not_found")),
        ("PATCH", "/servers", (405, "method_not_allowed")),
        ("OPTIONS", "/servers", (405, "method_not_allowed")),
        ("PATCH", "/images/1", (405, "method_not_allowed")),
        ("DELETE", "/images/801", (403, "forbidden")),
    ],
)
def test_what_does_not_exist_is_said_so(
    api: Api, method: str, path: str, expected: tuple[int, str]
) -> None:
    assert code_of(api(method, path)) == expected


# Every answer


@pytest.mark.parametrize("path", ["/servers", "/servers/1", "/nowhere", "/servers?page=0"])
def test_every_answer_carries_its_correlation_id_the_simulated_date_and_the_budget(
    api: Api, world: World, path: str
) -> None:
    world.clock.advance(3600)
    response = api("GET", path)
    assert response.headers["Date"] == "Sat, 21 Nov 2026 03:00:00 GMT"
    assert len(response.headers["X-Correlation-Id"]) == 16
    assert response.headers["X-Correlation-Id"] == world.requests[-1].correlation_id
    assert response.headers["RateLimit-Limit"] == "3600"
    assert response.headers["RateLimit-Remaining"] == "3599"
    assert int(response.headers["RateLimit-Reset"]) == world.clock.now().timestamp() + 1


def test_the_budget_runs_out_and_refills_with_simulated_time(
    client: hcloud.Client, world: World, project: Project
) -> None:
    project.spend_budget(3599)
    client.servers.get_all()
    with pytest.raises(hcloud.APIException) as caught:
        client.servers.get_all()
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.message == (
        "Limit of '3600' requests per hour for token 'rw-token...' reached."
    )
    assert world.requests[-1].status == 429
    assert len(world.requests) == 2

    world.clock.advance(1)
    client.servers.get_all()
    with pytest.raises(hcloud.APIException):
        client.servers.get_all()


def test_the_budget_is_one_per_project_whatever_the_token(
    api: Api, simulator: Simulator, world: World, project: Project
) -> None:
    world.project("other").add_token("other-token")
    project.rate_limit = 2
    assert api("GET", "/servers").ok
    assert Api(simulator, "ro-token")("GET", "/servers").headers["RateLimit-Remaining"] == "0"
    assert api("GET", "/servers").status_code == 429
    assert Api(simulator, "other-token")("GET", "/servers").ok


def test_the_budget_may_be_one_per_token(
    api: Api, simulator: Simulator, world: World, project: Project
) -> None:
    world.budget_per_token = True
    project.rate_limit = 1
    project.actions_limit = 1
    project.spend_budget(1)
    server = project.add_server("sg5")
    assert api("GET", "/servers").ok
    assert api("GET", f"/servers/{server.id}/actions").ok
    assert api("GET", "/servers").status_code == 429
    assert api("GET", f"/servers/{server.id}/actions").status_code == 429
    assert Api(simulator, "ro-token")("GET", "/servers").ok


def test_headers_may_be_missing(api: Api, world: World) -> None:
    assert "RateLimit-Remaining" in api("GET", "/servers").headers
    world.without_headers = {"RateLimit-Remaining"}
    headers = api("GET", "/servers").headers
    assert "RateLimit-Remaining" not in headers and "RateLimit-Limit" in headers


def test_of_too_many_creates_at_once_the_last_one_fails(world: World, project: Project) -> None:
    world.creates_at_once = 1
    first, second = (project.create_image(project.add_server(name))[0] for name in ("a", "b"))
    world.clock.advance(5)
    assert (project.actions[first.id].status, project.actions[second.id].status) == (
        "running",
        "error",
    )


def test_requests_are_kept_without_the_token(api: Api, world: World) -> None:
    api("GET", "/servers?status=off&status=running")
    api("GET", "/servers", headers={"Authorization": "Bearer stolen"})
    first, second = world.requests
    assert (first.method, first.path, first.project) == ("GET", "/servers", "default")
    assert (first.query, first.status) == ({"status": ["off", "running"]}, 200)
    assert first.at == START
    assert (second.project, second.status) == (None, 401)
    assert "token" not in repr(world.requests) + json.dumps(world.snapshot())


# Snapshots


def test_a_snapshot_is_created_and_becomes_available(
    client: hcloud.Client, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 200

    answer = client.servers.create_image(
        HcloudServer(id=server.id), description="sg5-snapshot", type="snapshot", labels={"a": "b"}
    )

    assert (answer.action.command, answer.action.status, answer.action.progress) == (
        "create_image",
        "running",
        0,
    )
    assert answer.action.resources == [
        {"id": server.id, "type": "server"},
        {"id": answer.image.id, "type": "image"},
    ]
    assert (answer.image.status, answer.image.image_size) == ("creating", None)
    assert (answer.image.description, answer.image.labels) == ("sg5-snapshot", {"a": "b"})
    assert answer.image.created == START
    assert answer.image.created_from.id == server.id
    assert client.servers.get_by_id(server.id).locked

    world.clock.advance(100)
    assert client.actions.get_by_id(answer.action.id).progress == 50
    [image] = client.images.get_all(type=["snapshot"], label_selector="a=b")
    assert image.status == "creating"

    world.clock.advance(100)
    action = client.actions.get_by_id(answer.action.id)
    assert (action.status, action.progress, action.error) == ("success", 100, None)
    assert action.finished == START + timedelta(seconds=200)
    image = client.images.get_by_id(answer.image.id)
    assert image.status == "available"
    assert image.image_size is not None
    assert not client.servers.get_by_id(server.id).locked


@pytest.mark.parametrize(
    ("style", "seen"), [("linear", [30, 60, 99]), ("stuck", [0, 0, 0]), ("steps", [25, 50, 75])]
)
def test_progress_moves_in_the_style_of_the_world(
    world: World, project: Project, style: Any, seen: list[int]
) -> None:
    world.progress = style
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 1000
    action, _ = project.create_image(server)
    progress = []
    for seconds in (300, 300, 399):
        world.clock.advance(seconds)
        progress.append(project.actions[action.id].progress)
    assert progress == seen
    world.clock.advance(1)
    assert project.actions[action.id].progress == 100


def test_snapshot_times_are_scripted_one_by_one_and_then_drawn(project: Project) -> None:
    server = project.add_server("sg5")
    project.world.create_image_locks = False
    project.snapshot_seconds[server.id] = [10, 20]
    took = []
    for _ in range(1000):
        action, _ = project.create_image(server)
        assert action.ends_at is not None
        took.append((action.ends_at - action.started).total_seconds())
    assert took[:2] == [10, 20]
    random_seconds = sorted(took[2:])
    assert 130 < random_seconds[len(random_seconds) // 2] < 170
    assert 480 < random_seconds[int(len(random_seconds) * 0.95)] < 750


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "sg5"}, "name"),
        ({"description": 5}, "description"),
        ({"description": None}, "description"),
        ({"type": "backup"}, "type"),
        ({"labels": ["a"]}, "labels"),
        ({"labels": {"a": 1}}, "labels"),
        ({"labels": {"a": "2026-11-21T02:00:00Z"}}, "labels"),
        ({"labels": {"a": "x" * 64}}, "labels"),
        ({"labels": {"a": "-x"}}, "labels"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"hetzner.cloud/a": "x"}}, "labels"),
        ({"labels": {"Upper/a": "x"}}, "labels"),
        ({"labels": {"a" * 64: "x"}}, "labels"),
    ],
)
def test_a_sloppy_create_image_makes_nothing(
    api: Api, project: Project, body: dict[str, object], field: str
) -> None:
    server = project.add_server("sg5")
    response = api.create_image(server.id, **body)
    assert code_of(response) == (422, "invalid_input")
    assert response.json()["error"]["details"]["fields"][0]["name"] == field
    assert not project.images
    assert not project.actions


@pytest.mark.parametrize("data", [b"{", b"[]", b'"text"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(api: Api, project: Project, data: bytes) -> None:
    server = project.add_server("sg5")
    path = f"/servers/{server.id}/actions/create_image"
    headers = {**api.headers, "Content-Type": "application/json"}
    assert code_of(api("POST", path, data=data, headers=headers)) == (400, "json_error")
    assert code_of(api("POST", path, data=b"{}")) == (400, "json_error")


def test_a_locked_server_takes_no_snapshot_until_the_lock_ends(
    client: hcloud.Client, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    holder = project.lock(server, command="change_type", seconds=300)

    with pytest.raises(hcloud.APIException) as caught:
        client.servers.create_image(HcloudServer(id=server.id))
    assert caught.value.code == "locked"
    assert caught.value.message == "cannot perform operation because server is locked"
    assert caught.value.correlation_id == world.requests[-1].correlation_id
    assert world.requests[-1].status == 423
    [running] = client.servers.get_actions(HcloudServer(id=server.id), status=["running"])
    assert (running.id, running.command) == (holder.id, "change_type")

    world.clock.advance(300)
    assert client.servers.get_actions(HcloudServer(id=server.id), status=["running"]) == []
    client.servers.create_image(HcloudServer(id=server.id))


def test_a_lock_may_last_for_ever_or_have_no_action_to_show(
    api: Api, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    action = project.lock(server, seconds=None)
    world.clock.advance(10**7)
    assert code_of(api.create_image(server.id)) == (423, "locked")
    del project.actions[action.id]
    server.hidden_lock = True
    assert code_of(api.create_image(server.id)) == (423, "locked")
    server.hidden_lock = False
    assert api.create_image(server.id).status_code == 201


def test_create_image_locks_its_server_unless_the_world_says_otherwise(
    api: Api, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    assert api.create_image(server.id).status_code == 201
    assert code_of(api.create_image(server.id)) == (423, "locked")

    other = project.add_server("sg6")
    world.create_image_locks = False
    assert api.create_image(other.id).status_code == 201
    assert api.create_image(other.id).status_code == 201
    assert len(project.images) == 3


def test_a_new_image_may_take_a_while_to_appear_in_listings(
    api: Api, world: World, project: Project
) -> None:
    world.image_visible_after_seconds = 20
    server = project.add_server("sg5")
    image_id = api.create_image(server.id).json()["image"]["id"]
    assert api("GET", "/images?type=snapshot").json()["images"] == []
    assert api("GET", f"/images/{image_id}").ok
    world.clock.advance(20)
    [image] = api("GET", "/images?type=snapshot").json()["images"]
    assert image["id"] == image_id


@pytest.mark.parametrize(("image", "left"), [("vanishes", []), ("unavailable", ["unavailable"])])
def test_the_next_action_fails_and_the_one_after_it_succeeds(
    api: Api, world: World, project: Project, image: Any, left: list[str]
) -> None:
    server = project.add_server("sg5")
    project.next_action_fails(server, after_seconds=40, image=image)
    failing = api.create_image(server.id).json()["action"]["id"]
    world.clock.advance(40)
    action = api("GET", f"/actions/{failing}").json()["action"]
    assert action["status"] == "error"
    assert action["error"] == {"code": "unknown_error", "message": "Unknown error"}
    assert action["finished"] == "2026-11-21T02:00:40Z"
    assert [image.status for image in project.images.values()] == left

    assert api.create_image(server.id).status_code == 201
    world.clock.advance(10**5)
    assert [image.status for image in project.images.values()] == [*left, "available"]


def test_the_quota_of_snapshots_is_kept(api: Api, project: Project) -> None:
    server = project.add_server("sg5")
    project.add_snapshot(server)
    project.add_snapshot(server, type="backup")
    project.image_limit = 1
    assert code_of(api.create_image(server.id)) == (403, "resource_limit_exceeded")
    project.image_limit = 2
    assert api.create_image(server.id).status_code == 201


def test_a_server_deleted_in_the_middle_takes_its_unfinished_snapshot_with_it(
    api: Api, project: Project
) -> None:
    server = project.add_server("sg5")
    kept = project.add_snapshot(server)
    action_id = api.create_image(server.id).json()["action"]["id"]
    project.delete_server(server)
    assert code_of(api("GET", f"/servers/{server.id}")) == (404, "not_found")
    assert code_of(api("GET", f"/servers/{server.id}/actions")) == (404, "not_found")
    assert api("GET", f"/actions/{action_id}").json()["action"]["status"] == "error"
    [image] = api("GET", "/images?type=snapshot").json()["images"]
    assert image["id"] == kept.id
    assert image["created_from"] == {"id": server.id, "name": "sg5"}


# Actions


def test_actions_of_one_server_and_of_all_are_filtered_and_sorted(
    api: Api, client: hcloud.Client, world: World, project: Project
) -> None:
    first, second = project.add_server("sg5"), project.add_server("sg6")
    project.lock(first, command="change_type", seconds=10)
    world.clock.advance(20)
    project.lock(first, command="rebuild", seconds=None)
    project.lock(second, command="start_server", seconds=None)

    history = client.servers.get_actions(HcloudServer(id=first.id), sort=["started:desc"])
    assert [action.command for action in history] == ["rebuild", "change_type"]
    everywhere = api("GET", "/servers/actions?status=running").json()["actions"]
    assert [action["command"] for action in everywhere] == ["rebuild", "start_server"]
    assert code_of(api("GET", "/servers/actions?status=done")) == (422, "invalid_input")
    assert code_of(api("GET", f"/servers/{first.id}/actions?sort=size")) == (422, "invalid_input")


def test_several_actions_are_fetched_by_their_ids(
    api: Api, client: hcloud.Client, project: Project
) -> None:
    server = project.add_server("sg5")
    ids = [project.lock(server).id for _ in range(26)]
    answer = client.request("GET", "/actions", params={"id": [ids[1], ids[0], 1]})
    assert [action["id"] for action in answer["actions"]] == ids[:2]
    assert code_of(api("GET", "/actions")) == (410, "deprecated_api_endpoint")
    assert code_of(api("GET", "/actions", params={"id": ids})) == (422, "invalid_input")
    assert code_of(api("GET", "/actions?id=x")) == (422, "invalid_input")
    assert code_of(api("GET", f"/actions?id={ids[0]}&status=running")) == (422, "invalid_input")


# Images


def test_a_listing_without_a_type_has_the_system_images_too(api: Api, project: Project) -> None:
    server = project.add_server("sg5")
    mine = project.add_snapshot(server)
    images = api("GET", "/images").json()["images"]
    assert {image["type"] for image in images} == {"system", "snapshot"}
    [image] = api("GET", "/images?type=snapshot&type=backup").json()["images"]
    assert image["id"] == mine.id
    assert image["name"] is None


def test_images_are_filtered_and_sorted(api: Api, client: hcloud.Client, project: Project) -> None:
    server = project.add_server("sg5", server_type="cax11")
    old = project.add_snapshot(server, created=START - timedelta(days=2), labels={"a": "b"})
    new = project.add_snapshot(server, created=START - timedelta(days=1), status="unavailable")

    def ids(query: str) -> list[int]:
        images = api("GET", f"/images?type=snapshot&{query}").json()["images"]
        return [image["id"] for image in images]

    assert ids("sort=created:desc") == [new.id, old.id]
    assert ids("status=available") == [old.id]
    assert ids("label_selector=!a") == [new.id]
    assert ids("architecture=arm") == [old.id, new.id]
    assert ids("architecture=x86") == []
    for query in ("status=50", "created_from=1", "architecture=arm64", "type=snapshots"):
        assert code_of(api("GET", f"/images?{query}")) == (422, "invalid_input")
    # What the SDK makes of status=.
    with pytest.raises(hcloud.APIException) as caught:
        client.images.get_all(status=["available"])
    assert caught.value.code == "invalid_input"


def test_new_labels_replace_the_whole_set(client: hcloud.Client, project: Project) -> None:
    image = project.add_snapshot(project.add_server("sg5"), labels={"a": "1", "b": "2"})
    updated = client.images.get_by_id(image.id).update(labels={"c": "3"})
    assert updated.labels == {"c": "3"}
    client.images.get_by_id(image.id).update(description="better")
    assert project.images[image.id].labels == {"c": "3"}
    assert project.images[image.id].description == "better"


def test_a_sloppy_update_changes_nothing(api: Api, project: Project) -> None:
    image = project.add_snapshot(project.add_server("sg5"), labels={"a": "1"})
    for body in ({"name": "x"}, {"labels": {"a": None}}, {"type": "system"}, {"labels": "a"}):
        assert code_of(api("PUT", f"/images/{image.id}", json=body)) == (422, "invalid_input")
    assert code_of(api("PUT", f"/images/{image.id}")) == (400, "json_error")
    assert project.images[image.id].labels == {"a": "1"}


def test_an_image_is_deleted_once_and_not_at_all_when_protected_or_unfinished(
    api: Api, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    image = project.add_snapshot(server)
    protected = project.add_snapshot(server, protected=True)
    _, creating = project.create_image(server)

    response = api("DELETE", f"/images/{image.id}")
    assert (response.status_code, response.content) == (204, b"")
    assert code_of(api("DELETE", f"/images/{image.id}")) == (404, "not_found")
    assert code_of(api("DELETE", f"/images/{protected.id}")) == (423, "protected")
    assert code_of(api("DELETE", f"/images/{creating.id}")) == (423, "locked")
    assert set(project.images) == {protected.id, creating.id}


def test_prices_are_decimal_strings(client: hcloud.Client) -> None:
    pricing = client.request("GET", "/pricing")["pricing"]
    assert pricing["currency"] == "EUR"
    assert float(pricing["image"]["price_per_gb_month"]["net"]) > 0
    assert isinstance(pricing["image"]["price_per_gb_month"]["gross"], str)


# Faults


def test_a_fault_hits_the_request_it_is_scripted_for(
    client: hcloud.Client, world: World, project: Project
) -> None:
    world.faults.add(
        Fault(path="/servers", nth=2, times=2, effect=faults.status(503, code="unavailable"))
    )
    codes: list[object] = []
    for _ in range(5):
        client.images.get_all(type=["snapshot"])
        try:
            client.servers.get_all()
            codes.append("ok")
        except hcloud.APIException as error:
            codes.append(error.code)
    assert codes == ["ok", "unavailable", "unavailable", "ok", "ok"]


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(
    ("effect", "error", "code"),
    [
        (faults.status(503, code="unavailable"), hcloud.APIException, "unavailable"),
        (faults.html(502), hcloud.APIException, 502),
        (faults.error_without_code(500), KeyError, None),
        (faults.malformed(), hcloud.APIException, None),
        (faults.truncated(), requests.exceptions.ChunkedEncodingError, None),
        (faults.drop(), requests.exceptions.ConnectionError, None),
    ],
)
def test_an_answer_is_lost_before_or_after_the_snapshot_is_made(
    client: hcloud.Client,
    world: World,
    project: Project,
    when: faults.When,
    made: int,
    effect: faults.Effect,
    error: type[Exception],
    code: object,
) -> None:
    server = project.add_server("sg5")
    world.faults.add(Fault(method="POST", path=CREATE_IMAGE, effect=effect, when=when))
    with pytest.raises(error) as caught:
        client.servers.create_image(HcloudServer(id=server.id))
    if code is not None:
        assert getattr(caught.value, "code") == code  # noqa: B009
    assert len(project.images) == made
    assert len(world.requests) == 1
    assert client.servers.get_by_id(server.id).locked is bool(made)


def test_a_dropped_request_has_no_status(api: Api, world: World) -> None:
    world.faults.add(Fault(effect=faults.drop()))
    with pytest.raises(requests.exceptions.ConnectionError):
        api("GET", "/servers")
    assert world.requests[0].status is None


def test_a_slow_answer_meets_the_timeout_of_the_client(
    client: hcloud.Client, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    client._client._timeout = (2, 0.05)
    world.faults.add(Fault(method="POST", path=CREATE_IMAGE, effect=faults.slow(30), when="after"))
    with pytest.raises(requests.exceptions.ReadTimeout):
        client.servers.create_image(HcloudServer(id=server.id))
    assert len(project.images) == 1


def test_a_hook_changes_the_world_between_two_requests(
    api: Api, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    world.faults.add(
        Fault(
            method="POST",
            path=CREATE_IMAGE,
            effect=faults.hook(lambda world, project, request: project and project.lock(server)),
        )
    )
    assert not api("GET", f"/servers/{server.id}").json()["server"]["locked"]
    assert code_of(api.create_image(server.id)) == (423, "locked")

    world.clock.advance(300)
    world.faults.add(
        Fault(
            path=rf"/servers/{server.id}",
            effect=faults.hook(lambda world, project, request: project.delete_server(server)),
            when="after",
        )
    )
    assert api("GET", f"/servers/{server.id}").ok
    assert code_of(api.create_image(server.id)) == (404, "not_found")


def test_random_faults_are_the_same_for_the_same_seed() -> None:
    def hits(seed: int) -> list[int]:
        world = World(Clock(START), seed)
        world.faults.add(Fault(effect=faults.drop(), times=None, probability=0.3))
        picked = [world.faults.pick("GET", "/servers", None) for _ in range(200)]
        return [number for number, faults_ in enumerate(picked) if faults_]

    assert hits(1) == hits(1)
    assert hits(1) != hits(2)
    assert 30 < len(hits(1)) < 90


def test_a_fault_can_be_for_one_project_only(api: Api, simulator: Simulator, world: World) -> None:
    world.project("other").add_token("other-token")
    world.faults.add(Fault(effect=faults.html(502), project="other", times=None))
    assert api("GET", "/servers").ok
    assert Api(simulator, "other-token")("GET", "/servers").status_code == 502


# The process


def test_the_state_is_there_for_other_processes(
    simulator: Simulator, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.create_image(server)
    root = simulator.url.removesuffix("/v1")
    with requests.Session() as session:
        state = session.get(f"{root}/_sim/state", timeout=5).json()
    assert state == world.snapshot()
    assert state["now"] == "2026-11-21T02:00:00Z"
    assert state["requests"] == 0
    assert state["projects"]["default"]["servers"][0]["locked"] is True
    assert state["projects"]["default"]["images"][0]["status"] == "creating"
    assert state["projects"]["default"]["actions"][0]["command"] == "create_image"


def test_the_default_fleet_has_what_a_night_can_bring(world: World) -> None:
    project = add_default_fleet(world)
    servers = {server.name: server for server in project.servers.values()}
    holders = {project.servers[id_].name: a.command for id_, a in project.lock_holders().items()}
    assert holders == {"sg5": "change_type", "git-1": "create_image"}

    action, _ = project.create_image(servers["build-1"])
    world.clock.advance(120)
    assert project.actions[action.id].status == "error"
    assert list(project.lock_holders()) == [servers["sg5"].id]
    world.clock.advance(780)
    assert project.lock_holders() == {}

    ours = [image for image in project.images.values() if image.labels.get(MANAGED_BY)]
    others = [image for image in project.images.values() if image not in ours]
    assert len(ours) == 7
    assert [image.protected for image in ours].count(True) == 1
    assert sorted(image.description for image in others) == [
        "by hand, before the upgrade",
        "db-1 before the migration",
    ]


def test_a_plain_fleet_is_as_large_as_asked_for(world: World) -> None:
    project = add_plain_fleet(world, 1200)
    names = [server.name for server in project.servers.values()]
    assert (names[0], names[-1], len(names)) == ("server-0001", "server-1200", 1200)


def test_a_scaled_clock_runs_by_itself() -> None:
    clock = Clock(START, scale=1e6)
    first = clock.now()
    assert clock.now() > first
    with pytest.raises(ValueError, match="time zone"):
        Clock(datetime(2026, 11, 21))  # noqa: DTZ001
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def start(ready: Path, *options: str, parent: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "local.simulator", "--ready-file", str(ready), *options]
    if parent:  # A shell in between, which ends on its own.
        command = ["sh", "-c", f"{shlex.join(command)} & {parent}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, f"{what} took too long"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody has waited for has ended, too.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_process_serves_the_default_fleet_and_ends_with_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMULATOR_TOKEN", "from-the-environment")
    ready = tmp_path / "ready.json"
    with start(ready, "--scale", "60") as process:
        wait_until(ready.exists, "the start")
        told = json.loads(ready.read_text())
        assert told["pid"] == process.pid
        headers = {"Authorization": "Bearer from-the-environment"}
        with requests.Session() as session:
            servers = session.get(f"{told['url']}/servers", headers=headers, timeout=5).json()
            state = session.get(f"{told['url'].removesuffix('/v1')}/_sim/state", timeout=5).json()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=40)
    assert (process.returncode, output) == (0, b"")
    assert not ready.exists()

    servers = servers["servers"]
    assert len(servers) == 8
    assert sum(server["locked"] for server in servers) == 2
    assert sum(server["public_net"]["ipv4"] is None for server in servers) == 1
    assert sum(server["public_net"]["ipv6"] is None for server in servers) == 1
    assert sum("hetzner-snapshots/enabled" in server["labels"] for server in servers) == 1
    commands = [action["command"] for action in state["projects"]["default"]["actions"]]
    assert commands == ["change_type", "create_image"]
    assert any(image["protection"]["delete"] for image in state["projects"]["default"]["images"])


@pytest.mark.parametrize(("options", "survives"), [((), False), (("--detached",), True)])
def test_the_process_ends_with_its_parent_unless_detached(
    tmp_path: Path, options: tuple[str, ...], survives: bool
) -> None:
    ready = tmp_path / "ready.json"
    go = tmp_path / "go"
    wait_for_go = f"while [ ! -e {go} ]; do sleep 0.05; done"
    with start(ready, "--fleet", "3", *options, parent=wait_for_go) as shell:
        wait_until(ready.exists, "the start")
        pid = json.loads(ready.read_text())["pid"]
        go.touch()
        shell.wait(timeout=40)
        if survives:
            time.sleep(0.8)
            assert is_alive(pid)
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid), "the end")


def test_a_busy_port_is_named(simulator: Simulator, tmp_path: Path) -> None:
    port = simulator.url.removesuffix("/v1").rpartition(":")[2]
    with start(tmp_path / "ready.json", "--port", port) as process:
        output, _ = process.communicate(timeout=40)
    assert process.returncode == 1
    assert output.decode() == f"simulator: port {port}: Address already in use\n"
    assert not (tmp_path / "ready.json").exists()
