"""handler/hetzner/api.py: each error takes exactly one request and becomes one exception."""

import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Response

from handler.documents.errors import (
    IncompleteListing,
    Locked,
    NotFound,
    OutcomeUnknown,
    Protected,
    QuotaReached,
    RateLimited,
    Refused,
    TransientError,
    Unauthorized,
)
from handler.documents.job import Job, ServerItem
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_SERVER_ID
from handler.hetzner import api as edge
from handler.hetzner.api import Hetzner, client_for, label_value
from local.simulator import Fault, Project, Simulator, World, faults
from tests.conftest import TOKEN
from tests.documents import RUN
from tests.leaks import piece_of


@pytest.fixture
def hetzner(project: Project, simulator: Simulator) -> Iterator[Hetzner]:
    client = client_for(TOKEN, simulator.url)
    yield Hetzner(lambda: client, "/tokens/default")
    client._client._session.close()


@pytest.fixture(autouse=True)
def nothing_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(seconds: float) -> None:
        raise AssertionError(f"slept {seconds} s in-process")

    monkeypatch.setattr("hcloud._client.time.sleep", refuse)


def create(hetzner: Hetzner, project: Project) -> tuple[int, int]:
    server = next(iter(project.servers.values()))
    return hetzner.create_snapshot(ServerItem(server.id, server.name), RUN)


@pytest.mark.parametrize(
    "effect",
    [
        faults.status(429, "rate_limit_exceeded"),
        faults.status(409, "conflict"),
        faults.status(403, "maintenance"),
        faults.status(500, "server_error"),
        faults.status(502, "bad_gateway"),
        faults.status(503, "unavailable"),
        faults.status(504, "timeout"),
        faults.html(500),
        faults.html(502),
        faults.html(404),
        faults.drop(),
        faults.malformed(),
        faults.truncated(),
        faults.error_without_code(500),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_passing_trouble_is_one_request_and_said_so(
    hetzner: Hetzner, world: World, project: Project, effect: Any, when: Any
) -> None:
    project.add_server("sg5")
    world.faults.add(Fault(effect, times=None, when=when))
    with pytest.raises(TransientError):
        create(hetzner, project)
    assert len(world.requests) == 1
    assert len(project.images) == (when == "after")


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_slower_than_our_timeout_is_one_request(
    hetzner: Hetzner, world: World, project: Project, when: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hetzner._connect()._client, "_timeout", (1, 0.2))
    project.add_server("sg5")
    gave_up = threading.Event()
    too_slow = faults.hook(lambda *_: gave_up.wait(30))
    world.faults.add(Fault(too_slow, times=None, when=when))
    with pytest.raises(TransientError, match="ReadTimeout"):
        create(hetzner, project)
    gave_up.set()
    give_up = time.monotonic() + 30
    while not world.requests and time.monotonic() < give_up:
        time.sleep(0.02)
    assert len(world.requests) == 1


def test_every_client_has_a_timeout(hetzner: Hetzner) -> None:
    assert hetzner._connect()._client._timeout == edge.TIMEOUT_SECONDS


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (423, "locked", Locked),
        (423, "protected", Protected),
        (404, "not_found", NotFound),
        (403, "resource_limit_exceeded", QuotaReached),
        (401, "unauthorized", Unauthorized),
        (401, "token_readonly", Unauthorized),
        (403, "forbidden", Unauthorized),
        (422, "invalid_input", Refused),
        (405, "method_not_allowed", Refused),
        (423, "resource_locked", Refused),
        (500, "internal_error", OutcomeUnknown),
        (418, "never_heard_of", OutcomeUnknown),
    ],
)
def test_an_error_is_told_by_its_code_in_one_request(
    hetzner: Hetzner, world: World, project: Project, status: int, code: str, kind: type[Exception]
) -> None:
    project.add_server("sg5")
    world.faults.add(Fault(faults.status(status, code, "what Hetzner says"), times=None))
    with pytest.raises(kind) as error:
        create(hetzner, project)
    assert type(error.value) is kind
    assert "what Hetzner says" in str(error.value)
    assert f"({code}, for Hetzner support: " in str(error.value)
    assert len(world.requests) == 1


def test_a_real_lock_is_one_request(hetzner: Hetzner, world: World, project: Project) -> None:
    project.lock(project.add_server("sg5"))
    with pytest.raises(Locked):
        create(hetzner, project)
    assert len(world.requests) == 1


def test_a_refused_token_is_named_by_its_place_and_never_quoted(
    hetzner: Hetzner, project: Project
) -> None:
    project.revoke_token(TOKEN)
    with pytest.raises(Unauthorized, match="the token in /tokens/default") as error:
        hetzner.servers()
    said = str(error.value) + repr(error.value) + repr(error.value.__context__)
    assert not piece_of(TOKEN, said)


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 150])
def test_all_pages_are_listed(hetzner: Hetzner, project: Project, count: int) -> None:
    for number in range(count):
        project.add_server(f"server-{number}")
    assert [server.id for server in hetzner.servers()] == sorted(project.servers)


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize(
    "effect", [faults.drop(), faults.html(502), faults.truncated(), faults.status(429, "x")]
)
def test_a_listing_of_which_a_page_fails_gives_nothing(
    hetzner: Hetzner, world: World, project: Project, page: int, effect: Any
) -> None:
    for number in range(120):
        project.add_server(f"server-{number}")
    world.faults.add(Fault(effect, nth=page, when="after"))
    with pytest.raises(edge.HetznerError):
        hetzner.servers()


def test_a_listing_that_changes_between_pages_is_incomplete(
    hetzner: Hetzner, world: World, project: Project
) -> None:
    servers = [project.add_server(f"server-{number}") for number in range(120)]
    delete_one = faults.hook(lambda *_: project.delete_server(servers[0]))
    world.faults.add(Fault(delete_one, nth=2))
    with pytest.raises(IncompleteListing, match="does not add up"):
        hetzner.servers()


@pytest.mark.parametrize("deleted", [0, 10, 60, 119])
@pytest.mark.parametrize("page", [2, 3])
def test_a_server_made_and_one_deleted_between_pages_hide_no_third_one(
    hetzner: Hetzner, world: World, project: Project, deleted: int, page: int
) -> None:
    """The total stays the same: with the oldest first, one would slip to a page already read."""
    servers = [project.add_server(f"server-{number}") for number in range(120)]

    def replaced(*_: Any) -> None:
        project.delete_server(servers[deleted])
        project.add_server("new")

    world.faults.add(Fault(faults.hook(replaced), nth=page))
    throughout = {server.id for server in servers} - {servers[deleted].id}
    try:
        assert throughout <= {server.id for server in hetzner.servers()}
    except IncompleteListing:
        assert throughout <= {server.id for server in hetzner.servers()}


def without_some_totals(pages: set[int]) -> faults.Effect:
    lose = faults.without_totals()
    return lambda call: lose(call) if int(call.request.args["page"]) in pages else None


@pytest.mark.parametrize("untold", [{1, 2, 3}, {1, 2}, {2, 3}, {3}], ids=str)
@pytest.mark.parametrize("page", [2, 3, 5, 6])
@pytest.mark.parametrize("kind", ["servers", "snapshots"])
def test_what_is_deleted_between_pages_without_totals_hides_nothing(
    hetzner: Hetzner, world: World, project: Project, kind: str, page: int, untold: set[int]
) -> None:
    """The newest goes, which was read, and all others move up."""
    server = project.add_server("sg5")
    labels = {LABEL_MANAGED_BY: "me"}
    for number in range(119):
        project.add_server(f"server-{number}")
        project.add_snapshot(server, labels=labels)
    items: dict[int, Any] = project.servers if kind == "servers" else project.images

    def goes(*_: Any) -> None:
        del items[max(items)]

    world.faults.add(Fault(without_some_totals(untold), times=None, when="after"))
    world.faults.add(Fault(faults.hook(goes), nth=page))
    try:
        found = hetzner.servers() if kind == "servers" else hetzner.snapshots("me")
    except IncompleteListing:
        return
    assert items.keys() <= {item.id for item in found}


def test_without_totals_a_listing_that_never_holds_still_is_incomplete_and_ends(
    hetzner: Hetzner, world: World, project: Project
) -> None:
    for number in range(120):
        project.add_server(f"server-{number}")
    newest = sorted(project.servers, reverse=True)
    goes = faults.hook(lambda *_: project.servers.pop(newest.pop(0)))
    world.faults.add(Fault(faults.without_totals(), times=None, when="after"))
    world.faults.add(Fault(goes, times=None))
    with pytest.raises(IncompleteListing, match=r"does not add up: .+ then .+ then .+ of unkn"):
        hetzner.servers()
    assert len(world.requests) == 3 * 3


@pytest.mark.parametrize("untold", [True, False])
def test_a_server_that_comes_and_goes_again_while_pages_are_read_hides_no_other(
    hetzner: Hetzner, world: World, project: Project, untold: bool
) -> None:
    """In each listing alike, so that all of them hold the same ids, and all but one server."""
    for number in range(120):
        project.add_server(f"server-{number}")
    throughout = set(project.servers)

    def comes_and_goes(world: Any, _: Any, request: Any) -> None:
        if request.args["page"] == "2":
            project.add_server("new")
        if request.args["page"] == "3":
            project.delete_server(project.servers[max(project.servers)])

    if untold:
        world.faults.add(Fault(faults.without_totals(), times=None, when="after"))
    world.faults.add(Fault(faults.hook(comes_and_goes), times=None))
    try:
        assert throughout <= {server.id for server in hetzner.servers()}
    except IncompleteListing:
        assert set(project.servers) == throughout


def test_what_is_made_between_two_listings_proves_nothing_wrong(
    hetzner: Hetzner, world: World, project: Project
) -> None:
    """Other servers' snapshots come all the time."""
    for number in range(120):
        project.add_server(f"server-{number}")
    world.faults.add(Fault(faults.without_totals(), times=None, when="after"))
    world.faults.add(Fault(faults.hook(lambda *_: project.add_server("new")), nth=4))
    assert len(hetzner.servers()) == 121
    assert len(world.requests) == 2 * 3


def test_only_our_snapshots_of_that_server_are_listed(hetzner: Hetzner, project: Project) -> None:
    server, other = project.add_server("sg5"), project.add_server("other")
    labels = {LABEL_MANAGED_BY: "me", LABEL_SERVER_ID: str(server.id)}
    mine = project.add_snapshot(server, labels=labels)
    project.add_snapshot(server)
    project.add_snapshot(server, labels=labels | {LABEL_MANAGED_BY: "you"})
    project.add_snapshot(other, labels=labels | {LABEL_SERVER_ID: str(other.id)})
    assert [snapshot.id for snapshot in hetzner.snapshots("me", server.id)] == [mine.id]


def test_the_clock_and_the_budget_are_the_apis(
    hetzner: Hetzner, world: World, project: Project
) -> None:
    assert hetzner.answered_at is None
    project.spend_budget(100)
    hetzner.servers()
    assert hetzner.answered_at == world.clock.now()
    assert hetzner.requests_left == 3499


def test_a_server_without_addresses_is_read(hetzner: Hetzner, project: Project) -> None:
    project.add_server("bare", ipv4=False, ipv6=False)
    [server] = hetzner.servers()
    assert (server.ipv4, server.ipv6) == (None, None)
    assert (server.type, server.location) == ("cx23", "fsn1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sg5", "sg5"),
        ("my server!", "my-server"),
        ("-.x.-", "x"),
        ("a" * 62 + ".b", "a" * 62),
        ("!!!", ""),
    ],
)
def test_a_server_name_becomes_a_legal_label(name: str, value: str) -> None:
    assert label_value(name) == value


def test_an_outage_does_not_stop_the_watch() -> None:
    class Silent:
        answered_at: datetime | None = None
        requests_left: int | None = None
        requests_per_hour: int | None = None
        actions_left: int | None = None
        actions_per_hour: int | None = None

    class Answering(Silent):
        answered_at = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)

    job = Job(run=RUN, server=ServerItem(1, "sg5"), status="new").with_deadline(10)
    for _ in range(9):
        job = replace(job.observed(Silent()), wait_seconds=60)
    assert job.stopwatch.elapsed_s == 8 * 60
    job = replace(job.observed(Answering()), wait_seconds=60)
    assert job.stopwatch.elapsed_s == 9 * 60
    assert not job.overdue
    job = job.observed(Silent())
    assert job.stopwatch.now == datetime(2026, 11, 21, 2, 1, tzinfo=UTC)
    assert job.overdue


def test_the_token_is_in_no_repr_and_no_exception(
    hetzner: Hetzner, world: World, project: Project
) -> None:
    project.add_server("sg5")
    shown = [repr(hetzner), repr(hetzner._connect()), str(vars(hetzner))]
    for effect in (faults.drop(), faults.html(502), faults.malformed(), faults.status(401, "x")):
        world.faults.clear()
        world.faults.add(Fault(effect))
        with pytest.raises(edge.HetznerError) as error:
            hetzner.servers()
        shown += ["".join(traceback.format_exception(error.value)), repr(error.value)]
    assert not piece_of(TOKEN, "".join(shown))


def test_what_one_invocation_sees_is_seen_with_one_token(
    world: World, project: Project, simulator: Simulator
) -> None:
    """What a container keeps of a token may end between two requests."""
    project.add_server("sg5")
    another = world.project("another")
    another.add_token(other := "another-token" * 5)
    clients = [client_for(token, simulator.url) for token in (TOKEN, other)]
    kept = iter([*clients, *clients])
    hetzner = Hetzner(lambda: next(kept), "/tokens/default")
    assert [server.name for server in hetzner.servers()] == ["sg5"]
    assert [server.name for server in hetzner.servers()] == ["sg5"]
    for client in clients:
        client._client._session.close()


def test_a_redirect_is_not_followed_with_the_token(
    hetzner: Hetzner, world: World, simulator: Simulator
) -> None:
    def redirect(call: Any) -> Any:
        return Response(status=302, headers={"Location": f"{simulator.url}/images"})

    world.faults.add(Fault(redirect, path="/servers"))
    with pytest.raises(OutcomeUnknown):
        hetzner.servers()
    assert [request.path for request in world.requests] == ["/servers"]


def test_what_is_left_is_kept_apart(hetzner: Hetzner, project: Project) -> None:
    server = project.add_server("sg5")
    project.actions_limit = 7200
    project.spend_budget(600)
    hetzner.servers()
    hetzner.recent_actions(server.id)
    assert (hetzner.requests_left, hetzner.requests_per_hour) == (2999, 3600)
    assert (hetzner.actions_left, hetzner.actions_per_hour) == (7199, 7200)


@pytest.mark.parametrize("of_actions", [True, False])
def test_a_429_is_of_what_was_asked(hetzner: Hetzner, project: Project, of_actions: bool) -> None:
    server = project.add_server("sg5")
    project.actions_limit = 0 if of_actions else 7200
    project.rate_limit = 3600 if of_actions else 0
    with pytest.raises(RateLimited) as caught:
        hetzner.recent_actions(server.id) if of_actions else hetzner.servers()
    assert caught.value.of_actions is of_actions
