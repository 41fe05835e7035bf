"""Only what a decision needs is demanded of an answer: what may be missing has a safe meaning."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Response

from handler.documents.errors import IncompleteListing, OutcomeUnknown
from handler.documents.job import ServerItem
from handler.documents.labels import LABEL_SERVER_ID
from handler.hetzner.answers import action_in, server_in, snapshot_in, well_formed
from handler.hetzner.api import Hetzner, client_for
from local.simulator import Fault, Project, Simulator, World
from local.simulator.faults import drop, edited, hook, without_totals
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.documents import RUN
from tests.snapshots import available, ours, writes

CREATE = r"/servers/\d+/actions/create_image"
TIME = "2026-11-21T02:00:00Z"
IMAGE = {"id": 7, "status": "available", "created": TIME, "labels": {"a": "b"}}
ACTION = {"id": 17, "command": "rebuild", "status": "running", "progress": 4, "started": TIME}
SERVER = {"id": 42, "name": "sg5", "labels": {}}


@pytest.fixture
def hetzner(project: Project, simulator: Simulator) -> Iterator[Hetzner]:
    client = client_for(TOKEN, simulator.url)
    yield Hetzner(lambda: client, "/tokens/default")
    client._client._session.close()


def everywhere(world: World, key: str, change: Callable[[dict[str, Any]], object]) -> None:
    """From now on each image, action or server is answered like that."""

    def change_all(body: Any) -> None:
        for name in (key, f"{key}s"):
            found = body.get(name) or []
            for item in found if isinstance(found, list) else [found]:
                change(item)

    world.faults.add(Fault(edited(change_all), times=None, when="after"))


def test_what_is_optional_may_be_missing() -> None:
    image = snapshot_in(IMAGE)
    assert (image.description, image.size_gb, image.protected) == ("", None, False)
    assert snapshot_in({**IMAGE, "protection": {}, "image_size": None}) == image
    assert snapshot_in({**IMAGE, "protection": None, "description": None, "new": 1}) == image
    assert snapshot_in({**IMAGE, "protection": {"delete": True}}).protected
    assert snapshot_in({**IMAGE, "created_from": None, "deleted": None}) == image
    assert snapshot_in({**IMAGE, "created_from": {"name": "sg5"}}) == image
    server = server_in(SERVER)
    assert (server.status, server.ipv4, server.type, server.location) == ("unknown",) + (None,) * 3
    assert server_in({**SERVER, "public_net": None, "server_type": "cx23", "new": []}) == server
    assert (server.backups, server.volumes) == (False, 0)
    assert server_in({**SERVER, "backup_window": None, "volumes": None}) == server
    assert server_in({**SERVER, "volumes": "4711"}) == server
    more = server_in({**SERVER, "backup_window": "22-02", "volumes": [4711, 4712]})
    assert (more.backups, more.volumes) == (True, 2)
    action = action_in(ACTION)
    assert (action.finished, action.error, action.image_ids) == (None, "", frozenset())
    assert action_in({**ACTION, "resources": [{"type": "image"}, {"id": 1}], "new": 0}) == action
    bare = action_in({"id": 17})
    assert (bare.status, bare.progress, bare.age_s(datetime.now(UTC))) == ("unknown", 0, 0)
    assert str(bare) == "unknown (action 17, 0 %, since unknown)"


def test_an_image_is_of_the_server_that_it_was_made_of_and_of_no_use_once_it_is_deleted() -> None:
    ours = {**IMAGE, "labels": {LABEL_SERVER_ID: "42"}}
    assert not snapshot_in(ours).is_of_another
    assert not snapshot_in({**ours, "created_from": {"id": 42}}).is_of_another
    assert snapshot_in({**ours, "created_from": {"id": 43}}).is_of_another
    deleted = snapshot_in({**ours, "deleted": TIME})
    assert not (deleted.is_available or deleted.is_pending)


def test_a_time_that_no_calendar_holds_is_not_hetzners() -> None:
    with pytest.raises(OutcomeUnknown), well_formed():
        snapshot_in({**IMAGE, "created": "0001-01-01T00:00:00+02:00"})


@pytest.mark.parametrize(
    ("read", "item", "needed"),
    [
        (snapshot_in, IMAGE, ["id", "status", "created", "labels"]),
        (server_in, SERVER, ["id", "name", "labels"]),
        (action_in, ACTION, ["id"]),
    ],
)
def test_what_a_decision_needs_is_demanded(read: Any, item: dict[str, Any], needed: Any) -> None:
    for field in needed:
        with pytest.raises(OutcomeUnknown, match="not Hetzner's"), well_formed():
            read({name: value for name, value in item.items() if name != field})


@pytest.mark.parametrize(
    ("status", "error", "why"),
    [
        ("error", {"code": "unknown_error", "message": ""}, "Hetzner gives no reason (unknown_err"),
        ("error", {"message": "Boom"}, "Boom (no code)"),
        ("error", None, "Hetzner gives no reason"),
        ("success", None, ""),
    ],
)
def test_an_action_without_a_text_says_so(status: str, error: Any, why: str) -> None:
    said = action_in({**ACTION, "status": status, "error": error}).error
    assert said.startswith(why) and bool(said) == bool(why)


@pytest.mark.parametrize("total", ["null", "absent"])
def test_a_listing_without_a_total_ends_with_its_last_page(
    hetzner: Hetzner, world: World, project: Project, total: str
) -> None:
    def without_total(body: Any) -> None:
        pagination = body["meta"]["pagination"]
        pagination |= {"total_entries": None, "last_page": None}
        if total == "absent":
            del pagination["total_entries"], pagination["last_page"]

    world.faults.add(Fault(edited(without_total), times=None, when="after"))
    for number in range(120):
        project.add_server(f"server-{number}")
    assert len(hetzner.servers()) == 120
    assert len(world.requests) == 2 * 3


def test_a_listing_of_one_page_needs_no_total_and_no_second_request(
    hetzner: Hetzner, world: World, project: Project
) -> None:
    world.faults.add(Fault(without_totals(), times=None, when="after"))
    for number in range(50):
        project.add_server(f"server-{number}")
    assert len(hetzner.servers()) == 50
    assert len(world.requests) == 1


def test_a_listing_without_a_total_that_skips_a_page_is_incomplete(
    hetzner: Hetzner, world: World, project: Project
) -> None:
    def skips(body: Any) -> None:
        body["meta"]["pagination"] |= {"total_entries": None, "next_page": 3}

    world.faults.add(Fault(edited(skips), when="after"))
    project.add_server("sg5")
    with pytest.raises(IncompleteListing):
        hetzner.servers()


@pytest.mark.parametrize(
    "answer",
    [
        Response(status=302, headers={"Location": "http://127.0.0.1/"}),
        Response("{}", 302, content_type="application/json"),
        Response("{}", 200, content_type="application/json"),
        Response("<html>", 200),
        Response(status=200),
        Response(status=202),
    ],
)
def test_only_a_204_deletes(
    hetzner: Hetzner, world: World, project: Project, answer: Response
) -> None:
    image = project.add_snapshot(project.add_server("sg5"))
    world.faults.add(Fault(lambda call: answer))
    with pytest.raises(OutcomeUnknown):
        hetzner.delete_snapshot(image.id)
    hetzner.delete_snapshot(image.id)
    assert not project.images


def test_a_create_that_names_no_action_is_watched_by_its_image(
    hetzner: Hetzner, world: World, project: Project
) -> None:
    server = ServerItem(project.add_server("sg5").id, "sg5")
    world.faults.add(Fault(edited(lambda body: body.pop("action")), when="after"))
    assert hetzner.create_snapshot(server, RUN) == (next(iter(project.images)), None)


def test_a_night_goes_well_on_answers_without_what_is_optional(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days) for days in (5, 4, 3, 2, 1)]
    everywhere(world, "image", lambda image: [image.pop(k) for k in ("protection", "image_size")])
    everywhere(world, "server", lambda item: [item.pop(k) for k in ("public_net", "created")])
    everywhere(world, "action", lambda action: [action.pop(k) for k in ("finished", "resources")])
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert night.results["sg5"]["deleted"] == 3
    assert not {image.id for image in old[:3]} & project.images.keys()


def test_deletes_that_were_answered_with_a_redirect_are_not_counted(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days) for days in (5, 4, 3, 2, 1)]
    world.faults.add(Fault(lambda call: Response(status=302), "DELETE", times=None))
    night = aws.run({})
    assert night.verdict() == "PartiallyFailed"
    assert (night.results["sg5"]["deleted"], night.results["sg5"]["pruned"]) == (0, False)
    assert {image.id for image in old} <= project.images.keys()


def test_an_image_in_an_unknown_status_is_waited_for_and_resuming_makes_no_twin(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")

    def finishing(image: dict[str, Any]) -> None:
        if image["status"] == "creating" or image["id"] not in done:
            image["status"] = "finalizing"

    done: set[int] = set()
    everywhere(world, "image", finishing)
    night = aws.run({})
    assert night.verdict() != "Completed"
    # Its time was used up: a snapshot that is not there in three hours.
    assert "is finalizing" in night.results["sg5"]["reason"]
    assert night.results["sg5"]["waited_s"] is not None
    assert aws.run({"run_id": night.run_id}).verdict() != "Completed"
    done |= project.images.keys()
    again = aws.run({"run_id": night.run_id})
    assert again.verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert writes(world) == [f"POST /servers/{server.id}/actions/create_image"]


def test_an_action_in_an_unknown_status_is_waited_for(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 400
    queued = lambda a: a.update(status="queued") if a["status"] == "running" else None  # noqa: E731
    everywhere(world, "action", queued)
    # Its answer is lost, and it is not listed for a while: it holds the server all the same.
    world.image_visible_after_seconds = 100
    world.faults.add(Fault(drop(), "POST", CREATE, when="after"))
    night = aws.run({"on_locked": "skip"})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert len(writes(world)) == 1


def nameless(action: dict[str, Any]) -> None:
    action["resources"] = [r for r in action["resources"] if r["type"] == "server"]


def test_an_action_that_names_only_its_server_is_ours_if_nothing_else_can_be(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 40
    everywhere(world, "action", nameless)
    world.create_image_locks = False
    world.image_visible_after_seconds = 300
    world.faults.add(Fault(drop(), "POST", CREATE, when="after"))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert writes(world) == [f"POST /servers/{server.id}/actions/create_image"]
    assert available(project) == {"sg5": 1}


def test_a_failed_action_that_names_only_its_server_ends_the_waiting_for_its_image(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    everywhere(world, "action", nameless)
    project.next_action_fails(server, after_seconds=20, image="unavailable")
    # What it left behind says that it is still creating.
    stays = hook(
        lambda *_: [
            setattr(image, "status", "creating")
            for image in project._images.values()
            if image.status == "unavailable"
        ]
    )
    world.faults.add(Fault(stays, times=None))
    world.faults.add(Fault(drop(), "POST", CREATE, when="after"))
    began = world.clock.now()
    night = aws.run({})
    assert available(project) == {"sg5": 1}
    assert night.results["sg5"]["status"] == "available"
    assert world.clock.now() - began < timedelta(minutes=60)
