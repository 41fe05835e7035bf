"""Whole runs beside servers that are gone: what goes after OrphanDays, and that no more does."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.aws import runtime
from handler.documents.labels import LABEL_ENABLED, LABEL_EVERY, LABEL_MANAGED_BY, LABEL_SERVER_ID
from local.simulator import Fault, Image, Project, World
from local.simulator.faults import dated, edited, hook, html, status
from local.virtual.template import Stack
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.eventful import Inbox
from tests.snapshots import available, ours, writes

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)


def deploy(aws: Aws, **parameters: str) -> None:
    endpoint = aws.stack.parameters["HetznerEndpoint"]
    aws.stack = Stack(HetznerEndpoint=endpoint, **parameters)
    runtime.run_settings.cache_clear()
    runtime.summary_settings.cache_clear()


@pytest.fixture
def after_ten_days(aws: Aws) -> Iterator[Aws]:
    deploy(aws, OrphanDays="10")
    yield aws
    runtime.summary_settings.cache_clear()


def left_of(project: Project, name: str, *days: int, **more: Any) -> tuple[Any, dict[int, int]]:
    """A server that is gone, and by their age in days the ids of its snapshots."""
    server = project.add_server(name)
    ids = {age: ours(project, server, age, **more).id for age in days}
    project.delete_server(server)
    return server, ids


def test_snapshots_of_servers_that_are_gone_go_after_orphan_days(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    aws, sg5 = after_ten_days, project.add_server("sg5")
    living = [ours(project, sg5, days).id for days in (400, 300)]
    _, old = left_of(project, "old-db", 40, 30, 15, size_gb=20.6)
    _, older = left_of(project, "older", 366, 25, size_gb=3.0)
    _, only = left_of(project, "only", 400)
    _, young = left_of(project, "young", 40, 2)
    night = aws.run({"retention": "last9"})
    assert night.verdict() == "Completed"
    assert old[15] in project.images and not {old[40], old[30]} & project.images.keys()
    assert older[366] not in project.images
    assert {*young.values(), *only.values(), older[25], *living} <= project.images.keys()
    assert night.summary().startswith("Completed: 1 of 1 server; 1 made in ")
    assert "; 3 deleted; " in night.summary()
    told = {c["server"]: c["reason"] for line in aws.logs for c in [line.get("attention")] if c}
    assert told == {
        "old-db (gone)": "2 snapshots deleted, 41.2 GB",
        "older (gone)": "1 snapshot deleted, 3.0 GB",
    }
    # The newest one may be all that is left of a server: it never goes.
    world.clock.advance(400 * 86_400)
    assert aws.run({"retention": "last9"}).verdict() == "Completed"
    assert {old[15], older[25], only[400]} <= project.images.keys()


def test_without_orphan_days_or_all_servers_nothing_of_one_that_is_gone_goes(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5", labels={"env": "prod"})
    _, old = left_of(project, "old-db", 400, 300)
    aws.run({"retention": "last9"})
    deploy(aws, OrphanDays="10")
    aws.run({"servers": ["sg5"], "retention": "last9"})
    aws.run({"label_selector": "env=prod", "retention": "last9"})
    assert nothing_deleted(world, project, old)


def test_at_most_max_deletions_of_a_gone_server_go_in_a_run_and_its_resumes(
    aws: Aws, project: Project
) -> None:
    deploy(aws, OrphanDays="10", MaxDeletions="2")
    project.add_server("sg5")
    _, old = left_of(project, "old-db", 50, 45, 40, 35, 12)
    night = aws.run({})
    assert set(old.values()) - project.images.keys() == {old[50], old[45]}
    assert "2 more to delete next time (at most 2 in one run)" in reason_of(aws, "old-db (gone)")
    assert aws.run({"run_id": night.run_id}).verdict() == "Completed"
    assert len(set(old.values()) & project.images.keys()) == 3
    aws.run({})
    assert set(old.values()) & project.images.keys() == {old[12]}


def reason_of(aws: Aws, server: str) -> str:
    results = [line["result"] for line in aws.logs if "result" in line]
    return str([r for r in results if r["server"] == server][-1]["reason"])


def test_a_dry_run_tells_what_would_go_and_deletes_nothing(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    _, old = left_of(project, "old-db", 40, 30, 15, size_gb=2.5)
    night = after_ten_days.run({"dry_run": True})
    assert night.verdict() == "Completed"
    assert "nothing made or deleted, 2 would be deleted" in night.summary()
    assert "1 of 1 server" in night.summary()
    assert reason_of(after_ten_days, "old-db (gone)") == "2 snapshots would be deleted, 5.0 GB"
    assert set(old.values()) <= project.images.keys() and writes(world) == []


def test_all_servers_and_some_that_are_gone_have_their_turn_in_batches(
    after_ten_days: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handler.snapshot_run.list_servers.BATCH", 3)
    monkeypatch.setattr("handler.decisions.gone_servers.BATCH", 3)
    monkeypatch.setattr("handler.decisions.gone_servers.MOST_GONE", 1)
    gone = [left_of(project, f"old-{number}", 40, 30)[1] for number in range(2)]
    names = [project.add_server(f"sg{number}").name for number in range(5)]
    night = after_ten_days.run({})
    assert night.verdict() == "Completed"
    assert night.summary().startswith("Completed: 5 of 5 servers; 5 made")
    assert available(project, night.run_id) == dict.fromkeys(names, 1)
    assert [ids[40] in project.images for ids in gone] == [False, True]
    assert "1 more servers that are gone are left for the next run" in after_ten_days.messages()
    after_ten_days.run({})
    assert gone[1][40] not in project.images
    assert {ids[30] for ids in gone} <= project.images.keys()


def test_a_night_in_which_no_server_is_due_takes_them_too(
    after_ten_days: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Now(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return project.world.clock.now()

    monkeypatch.setattr("handler.triggers.start_run.datetime", Now)
    monkeypatch.setattr("handler.snapshot_run.list_servers.datetime", Now)
    weekly = project.add_server("weekly", labels={LABEL_EVERY: "1w"})
    kept = ours(project, weekly, 1)
    _, old = left_of(project, "old-db", 40, 30, 15)
    night = after_ten_days.run({})
    assert night.verdict() == "Completed"
    assert "nothing was due, 0 of 1 server, 1 not due; 2 deleted" in night.summary()
    assert project.images.keys() == {kept.id, old[15]}


def test_a_run_that_only_prunes_takes_them_too(after_ten_days: Aws, project: Project) -> None:
    project.add_server("sg5")
    _, old = left_of(project, "old-db", 40, 30, 15)
    night = after_ten_days.run({"prune_only": True})
    assert night.verdict() == "Completed"
    assert set(old.values()) & project.images.keys() == {old[15]}


def test_what_is_not_ours_protected_or_unfinished_stays(
    after_ten_days: Aws, project: Project
) -> None:
    project.add_server("sg5")
    server = project.add_server("old-db")
    kept: list[Image] = [
        ours(project, server, 90, protected=True),
        ours(project, server, 80, status="creating"),
        ours(project, server, 70, status="unavailable"),
        project.add_snapshot(server, created=NOW - timedelta(days=60)),
    ]
    foreign = ours(project, server, 50)
    foreign.labels[LABEL_MANAGED_BY] = "another-stack"
    other = project.add_server("other")
    copied = ours(project, other, 45)
    copied.labels[LABEL_SERVER_ID] = str(server.id)
    gone, last = ours(project, server, 40).id, ours(project, server, 35)
    kept.append(last)
    project.delete_server(server)
    after_ten_days.run({})
    assert {image.id for image in [*kept, foreign, copied]} <= project.images.keys()
    assert gone not in project.images
    assert "1 kept only by delete protection" in reason_of(after_ten_days, "old-db (gone)")


def nothing_deleted(world: World, project: Project, ids: dict[int, int]) -> bool:
    tried = any(write.startswith("DELETE") for write in writes(world))
    return not tried and set(ids.values()) <= project.images.keys()


def unlisted(name: str) -> Callable[[Any], None]:
    """The listing of servers lacks this one, and its total agrees."""

    def lose(body: Any) -> None:
        kept = [server for server in body["servers"] if server["name"] != name]
        body["meta"]["pagination"]["total_entries"] -= len(body["servers"]) - len(kept)
        body["servers"] = kept

    return lose


def test_a_server_that_the_listing_lacks_loses_nothing(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    hidden = project.add_server("hidden", labels={LABEL_ENABLED: "false"})
    old = {days: ours(project, hidden, days).id for days in (40, 30)}
    fault = Fault(edited(unlisted("hidden")), "GET", "/servers", times=None, when="after")
    world.faults.add(fault)
    night = after_ten_days.run({})
    assert nothing_deleted(world, project, old)
    assert night.verdict() == "Completed"
    assert "the server is there after all" in reason_of(after_ten_days, "hidden (gone)")
    dry = after_ten_days.run({"dry_run": True})
    assert "; dry run: nothing made or deleted, 0 would be deleted" in dry.summary()


def test_a_404_of_a_server_that_is_listed_again_deletes_nothing(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    hidden = project.add_server("hidden", labels={LABEL_ENABLED: "false"})
    old = {days: ours(project, hidden, days).id for days in (40, 30)}
    once = Fault(edited(unlisted("hidden")), "GET", "/servers", when="after")
    never = Fault(status(404, "not_found"), "GET", f"/servers/{hidden.id}", times=None)
    world.faults.add(once)
    world.faults.add(never)
    night = after_ten_days.run({})
    assert nothing_deleted(world, project, old)
    assert night.verdict() == "PartiallyFailed"
    assert "does not find the server, and lists it" in night.summary()
    assert "snapshots of 1 gone server not pruned" in night.summary()


def test_an_incomplete_listing_of_servers_or_snapshots_deletes_nothing(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    _, old = left_of(project, "old-db", 40, 30)

    def wrong(body: Any) -> None:
        body["meta"]["pagination"]["total_entries"] += 1

    # The run's look for snapshots of servers that are gone; the night goes on without them.
    world.faults.add(Fault(edited(wrong), "GET", "/images", when="after"))
    night = after_ten_days.run({})
    assert night.verdict() == "Completed"
    assert "were not looked for: the listing of images does not add up" in after_ten_days.messages()
    assert nothing_deleted(world, project, old)
    # The listing of all servers: it is asked for again, until the run is given up.
    world.faults.add(Fault(edited(wrong), "GET", "/servers", times=None, when="after"))
    assert after_ten_days.run({}).verdict() == "Failed"
    assert nothing_deleted(world, project, old)


@pytest.mark.parametrize("path", ["/servers", "/images"])
def test_a_token_that_has_become_another_projects_deletes_nothing_in_either(
    after_ten_days: Aws, world: World, project: Project, path: str
) -> None:
    """After the first listing of servers, or of the snapshots that are left."""
    project.add_server("sg5")
    _, old = left_of(project, "old-db", 40, 30)
    another = world.project("another")
    their = another.add_server("their-db", labels={LABEL_ENABLED: "false"})
    theirs = {days: ours(another, their, days).id for days in (40, 30)}
    _, gone = left_of(another, "their-gone", 40, 30)

    def turn(*_: object) -> None:
        world.revoke_token(TOKEN)
        another.add_token(TOKEN)

    world.faults.add(Fault(hook(turn), "GET", path, when="after"))
    night = after_ten_days.run({})
    assert night.verdict() in ("Failed", "PartiallyFailed")
    assert nothing_deleted(world, project, old)
    assert nothing_deleted(world, another, theirs)
    assert nothing_deleted(world, another, gone)


def test_a_project_without_servers_deletes_nothing(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    _, old = left_of(project, "old-db", 40, 30)
    assert after_ten_days.run({}).verdict() == "Failed"
    assert after_ten_days.run({"prune_only": True}).verdict() == "Failed"
    assert nothing_deleted(world, project, old)


def test_a_server_that_comes_back_before_the_pruning_keeps_all(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    """Moved to another project, and back in the middle of the run."""
    project.add_server("sg5")
    server, old = left_of(project, "old-db", 40, 30)
    back = hook(lambda *_: project._servers.update({server.id: server}))
    world.faults.add(Fault(back, "GET", f"/servers/{server.id}"))
    night = after_ten_days.run({})
    assert nothing_deleted(world, project, old)
    assert night.verdict() == "Completed"
    assert "the server is there after all" in reason_of(after_ten_days, "old-db (gone)")


def test_a_server_that_is_gone_during_the_run_is_not_pruned_by_it(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    project.add_server("other")
    server = project.add_server("sg5")
    old = {days: ours(project, server, days).id for days in (40, 30, 20)}
    deletion = hook(lambda *_: project.delete_server(server))
    world.faults.add(Fault(deletion, "GET", f"/servers/{server.id}"))
    night = after_ten_days.run({"retention": "last1"})
    assert nothing_deleted(world, project, old)
    assert "the server was deleted during the run" in night.results["sg5"]["reason"]
    # Its newest good snapshot is this run's: the next ones wait for OrphanDays.
    world.clock.advance(86_400)
    after_ten_days.run({})
    assert nothing_deleted(world, project, old)


def test_deletes_that_fail_are_tried_again_and_then_people_are_told(
    after_ten_days: Aws, world: World, project: Project, inbox: Inbox
) -> None:
    project.add_server("sg5")
    _, old = left_of(project, "old-db", 40, 30, 12, size_gb=2.0)
    world.faults.add(Fault(html(502), "DELETE", times=2))
    assert after_ten_days.run({"dry_run": False}).verdict() == "Completed"
    assert set(old.values()) & project.images.keys() == {old[12]}
    _, more = left_of(project, "older-db", 40, 30, size_gb=2.0)
    world.faults.add(Fault(html(502), "DELETE", times=None))
    night = after_ten_days.run({})
    assert night.verdict() == "PartiallyFailed"
    assert "1 of 1 server; 1 made" in night.summary()
    assert "snapshots of 1 gone server not pruned" in night.summary()
    [message] = inbox.messages()
    assert re.search(r"not pruned +older-db \(gone\) +snapshot \d+ not deleted", message["Message"])
    [text] = re.findall(r'\{.*"prune_only".*\}', message["Message"])
    world.faults.clear()
    assert after_ten_days.run(json.loads(text)).verdict() == "Completed"
    assert set(more.values()) & project.images.keys() == {more[30]}


def test_a_branch_that_breaks_off_while_it_deletes_is_told_and_made_good(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    _, old = left_of(project, "old-db", 40, 30)

    def bug(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("handler.decisions.gone_servers.told", bug)
        night = after_ten_days.run({})
    assert night.verdict() == "PartiallyFailed"
    assert "at least 0 deleted" in night.summary()
    assert reason_of(after_ten_days, "old-db (gone)").startswith("not pruned: its branch broke off")
    assert after_ten_days.run({}).verdict() == "Completed"
    assert set(old.values()) & project.images.keys() == {old[30]}


def test_a_server_that_is_not_selected_is_not_gone(
    aws: Aws, world: World, project: Project
) -> None:
    deploy(aws, OrphanDays="10", LabelSelector="env=prod")
    project.add_server("sg5", labels={"env": "prod"})
    server = project.add_server("other")
    old = {days: ours(project, server, days).id for days in (40, 30)}
    aws.run({})
    assert nothing_deleted(world, project, old)
    assert "other (gone)" not in aws.messages()


@pytest.mark.parametrize("path", ["/servers", "/images"])
def test_one_clock_that_is_ahead_lets_nothing_go_too_early(
    after_ten_days: Aws, world: World, project: Project, path: str
) -> None:
    """That of the run's beginning, or each one of the pruning."""
    project.add_server("sg5")
    _, old = left_of(project, "old-db", 40, 15)
    _, young = left_of(project, "young", 40, 9)
    ahead = dated(lambda call: None, timedelta(days=30))
    if path == "/servers":
        world.faults.add(Fault(ahead, "GET", path, when="after"))
    else:
        for each in (path, r"/servers/\d+", "/servers"):
            world.faults.add(Fault(ahead, "GET", each, nth=2, times=None, when="after"))
    night = after_ten_days.run({})
    assert night.verdict() == "Completed"
    assert {*old.values(), *young.values()} - project.images.keys() == {old[40]}


def test_two_stacks_delete_only_their_own(
    after_ten_days: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    server = project.add_server("old-db")
    theirs = {days: ours(project, server, days) for days in (40, 30)}
    for image in theirs.values():
        image.labels[LABEL_MANAGED_BY] = "another-stack"
    mine = [ours(project, server, days).id for days in (45, 35)]
    project.delete_server(server)
    after_ten_days.run({})
    assert set(mine) & project.images.keys() == {mine[1]}
    assert {image.id for image in theirs.values()} <= project.images.keys()


def test_what_is_said_about_orphans_is_so(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    server = project.add_server("old-db")
    ours(project, server, 5)
    ours(project, server, 4, protected=True)
    project.delete_server(server)
    assert ": never deleted by itself" in aws.run({}).summary()
    assert aws.messages().count("no longer exists; it is never deleted by itself") == 2
    deploy(aws, OrphanDays="30")
    said = "deleted when the server's newest good one is older than 30 days, that one never"
    # Of a run over some servers, too: the next one over all will do it.
    assert said in aws.run({"servers": ["sg5"]}).summary()
    assert aws.messages().count(f"no longer exists; it is {said}") == 1
    assert aws.messages().count("no longer exists; it is never deleted by itself") == 3
    assert available(project)["old-db"] == 2
