"""Servers with a rhythm of their own, with Hetzner's Backups or with volumes, in whole runs."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from unittest.mock import patch

import pytest

from handler.documents.labels import LABEL_ENABLED, LABEL_EVERY, LABEL_SERVER_NAME
from local.simulator import Fault, Project, World
from local.simulator.faults import html, status
from local.virtual.template import Stack
from tests.aws import Aws, Night
from tests.snapshots import available, ours

DAY = 86_400
SCHEDULED = {"scheduled_time": "2026-11-21T02:00:00Z"}
RUN_ID = "20261121T020000Z"
SNAPSHOTS = r"/images"


@pytest.fixture(autouse=True)
def one_clock(world: World) -> Iterator[None]:
    """Our clock is right: it is Hetzner's."""
    with (
        patch("handler.triggers.start_run.datetime", wraps=datetime) as starting,
        patch("handler.snapshot_run.list_servers.datetime", wraps=datetime) as listing,
    ):
        starting.now.side_effect = listing.now.side_effect = lambda _: world.clock.now()
        yield


def made(project: Project, night: Night) -> set[str]:
    return set(available(project, night.run_id))


def projects_listings(world: World) -> int:
    """How often all our snapshots of the project were listed."""
    return sum(r.path == "/images" and "server-id" not in str(r.query) for r in world.requests)


def attention(night: Night) -> list[tuple[str, str, str]]:
    [execution] = night.executions.values()
    document = json.loads(execution["output"])
    return [(c["what"], c["server"], c["reason"]) for c in document["totals"]["attention"]]


def test_over_eight_nights_of_whole_runs_each_server_has_its_rhythm(
    aws: Aws, world: World, project: Project
) -> None:
    rhythms = {"plain": None, "half": "12h", "two": "2d", "three": "3d", "week": "1w", "bad": "7"}
    for name, every in rhythms.items():
        server = project.add_server(name, {} if every is None else {LABEL_EVERY: every})
        project.snapshot_seconds[server.id] = 60
    begin = world.clock.now()
    taken: dict[int, set[str]] = {}
    # Hours early or late; the fourth night does not happen.
    for night, jitter_h in enumerate((0, 3, -3, None, 2, 9, -2, 0)):
        if jitter_h is None:
            continue
        at = begin.timestamp() + night * DAY + jitter_h * 3600
        world.clock.advance(at - world.clock.now().timestamp())
        ran = aws.run({"retention": "last2"})
        assert ran.verdict() == "Completed"
        taken[night] = made(project, ran)
        assert set(ran.results) == taken[night]
    always = {"plain", "half", "bad"}
    assert taken == {
        0: always | {"two", "three", "week"},
        1: always,
        2: always | {"two"},
        4: always | {"two", "three"},
        5: always,
        6: always | {"two"},
        7: always | {"three", "week"},
    }
    assert available(project) == dict.fromkeys(rhythms, 2)


def test_a_night_in_which_nobody_is_due_is_completed_and_says_so(
    aws: Aws, world: World, project: Project
) -> None:
    for name, days in (("db-1", 3), ("db-2", 1)):
        ours(project, project.add_server(name, {LABEL_EVERY: "1w"}), days)
    project.add_server("old", {LABEL_ENABLED: "false"})
    images = set(project.images)
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Completed"
    assert night.summary().startswith(
        "Completed: nothing was due, 0 of 3 servers, 2 not due, 1 left out by label; 0 deleted; "
    )
    assert set(project.images) == images
    assert "left out, not due: newest good snapshot 3 d old, every 1w" in aws.messages()
    assert "left out, not due: newest good snapshot 24 h old, every 1w" in aws.messages()
    assert {i.function for i in aws.invocations} == {"StartRun", "ListServers", "SummariseRun"}


def test_who_is_not_due_is_neither_pruned_nor_counted_as_made(
    aws: Aws, world: World, project: Project
) -> None:
    for name, every in (("db-1", "1w"), ("web-1", "1d")):
        server = project.add_server(name, {LABEL_EVERY: every})
        for days in (1, 2, 3):
            ours(project, server, days)
    night = aws.run({"retention": "last1"})
    assert night.summary().startswith("Completed: 1 of 2 servers, 1 not due; 1 made in ")
    assert available(project) == {"db-1": 3, "web-1": 1}
    assert set(night.results) == {"web-1"}


@pytest.mark.parametrize(
    ("event", "result"),
    [
        ({"servers": ["db-1"]}, "available"),
        ({"servers": ["db-1"], "dry_run": True}, "planned"),
        ({"prune_only": True}, "pruned"),
    ],
    ids=str,
)
def test_a_run_that_names_servers_or_only_prunes_takes_them_whether_due_or_not(
    aws: Aws, world: World, project: Project, event: dict[str, Any], result: str
) -> None:
    ours(project, project.add_server("db-1", {LABEL_EVERY: "1w"}), 1)
    night = aws.run(event)
    assert night.results["db-1"]["status"] == result
    # Once, for the summary.
    assert projects_listings(world) == 1


def test_the_snapshots_of_the_project_are_listed_only_if_a_selected_server_has_a_rhythm(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("plain")
    project.add_server("bad", {LABEL_EVERY: "weekly"})
    out = project.add_server("out", {LABEL_EVERY: "1w", LABEL_ENABLED: "false"})
    aws.run({})
    assert projects_listings(world) == 1  # for the summary
    out.labels[LABEL_ENABLED] = "true"
    aws.run({})
    assert projects_listings(world) == 3


def test_a_dry_run_says_who_is_not_due_and_why_and_which_volumes_are_in_no_snapshot(
    aws: Aws, world: World, project: Project
) -> None:
    ours(project, project.add_server("db-1", {LABEL_EVERY: "1w"}, volumes=1), 3)
    project.add_server("web-1", volumes=2)
    project.add_server("out", {LABEL_ENABLED: "false"}, volumes=2)
    night = aws.run({"dry_run": True})
    assert night.summary().startswith(
        "Completed: 1 of 3 servers, 1 not due, 1 left out by label; dry"
    )
    assert "left out, not due: newest good snapshot 3 d old, every 1w" in aws.messages()
    assert attention(night) == [
        ("note", "db-1", "its volume is in no snapshot"),
        ("note", "web-1", "its 2 volumes are in no snapshot"),
    ]
    real = aws.run({})
    assert attention(real) == []
    assert aws.messages().count("web-1: its 2 volumes are in no snapshot") == 2


def test_of_many_servers_with_volumes_some_are_named_and_the_rest_counted(
    aws: Aws, project: Project
) -> None:
    for number in range(30):
        project.add_server(f"s{number:02}", volumes=1)
    notes = attention(aws.run({"dry_run": True}))
    assert [server for _, server, _ in notes] == ["s00", *(f"s{n:02}" for n in range(1, 15)), ""]
    assert notes[-1][2] == "15 more on labels and volumes of servers: the log has all"


def test_a_rhythm_that_is_wrong_is_told_and_the_server_taken_and_pruned(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("db-1", {LABEL_EVERY: "weekly"})
    for days in (1, 2, 3):
        ours(project, server, days)
    night = aws.run({"retention": "last2"})
    assert night.verdict() == "Completed"
    assert (night.results["db-1"]["status"], night.results["db-1"]["deleted"]) == ("available", 2)
    assert attention(night) == [
        ("note", "db-1", f"its label {LABEL_EVERY}: 'weekly' is no whole number of h, d or w; "
         "write for example 12h, 2d or 1w. Until then every run takes it"),
    ]  # fmt: skip


def test_a_resume_finishes_what_the_run_has_begun_and_takes_nobody_who_was_not_due(
    aws: Aws, world: World, project: Project
) -> None:
    servers = {n: project.add_server(n, {LABEL_EVERY: "2d"}) for n in ("made", "locked", "young")}
    for name, days in (("made", 2), ("locked", 2), ("young", 1)):
        ours(project, servers[name], days)
        ours(project, servers[name], days + 1)
    lock = project.lock(servers["locked"], seconds=None)

    def die(function: str, event: Any) -> None:
        if function == "PruneSnapshots":
            raise ZeroDivisionError

    aws.before = die
    first = aws.run(SCHEDULED | {"retention": "last1"})
    assert first.verdict() == "PartiallyFailed"
    assert made(project, first) == {"made"}
    aws.before, lock.ends_at = None, world.clock.now()
    # By now the young one's is older than two days less twelve hours.
    world.clock.advance(14 * 3600)
    again = aws.run({"run_id": RUN_ID, "max_deletions": 50})
    assert again.verdict() == "Completed"
    assert made(project, again) == {"made", "locked"}
    assert again.results["made"]["adopted"]
    assert available(project)["young"] == 2
    assert "1 not due" in again.summary()


def test_who_is_due_is_the_same_in_every_batch(
    aws: Aws, world: World, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handler.snapshot_run.list_servers.BATCH", 1)
    for number, hours in enumerate((36, 35.9, 36, 35.9, 36)):
        server = project.add_server(f"s{number}", {LABEL_EVERY: "2d"})
        project.snapshot_seconds[server.id] = 1800
        ours(project, server, hours / 24)  # type: ignore[arg-type]
    night = aws.run({"retention": "last9"})
    # Three batches of half an hour: longer than what the others were short of.
    assert made(project, night) == {"s0", "s2", "s4"}
    assert night.summary().startswith("Completed: 3 of 5 servers, 2 not due; 3 made")


def test_while_our_snapshots_cannot_be_listed_the_run_waits_like_for_the_servers(
    aws: Aws, world: World, project: Project
) -> None:
    ours(project, project.add_server("db-1", {LABEL_EVERY: "1w"}), 1)
    project.add_server("web-1")
    world.faults.add(Fault(html(502), "GET", SNAPSHOTS, times=3))
    night = aws.run({})
    assert made(project, night) == {"web-1"}
    assert night.summary().startswith("Completed: 1 of 2 servers, 1 not due;")
    assert sum("asking for the servers again" in line["message"] for line in aws.logs) == 3
    assert attention(night) == []


@pytest.mark.parametrize(
    "effect", [html(502), status(422, "invalid_input"), status(403, "forbidden")]
)
def test_if_our_snapshots_can_never_be_listed_all_are_taken_and_that_is_told(
    aws: Aws, world: World, project: Project, effect: Any
) -> None:
    """A rhythm saves money; it must never cost the night."""
    ours(project, project.add_server("db-1", {LABEL_EVERY: "1w"}), 1)
    project.add_server("web-1")
    fault = Fault(effect, "GET", SNAPSHOTS, times=None)
    world.faults.add(fault)

    def listed(function: str, _: Any, output: Any) -> None:
        if function == "ListServers" and output["status"] == "ready":
            world.faults.clear()

    aws.after = listed
    night = aws.run({})
    assert made(project, night) == {"db-1", "web-1"}
    assert night.verdict() == "Completed"
    [(what, server, reason)] = attention(night)
    assert (what, server) == ("note", "")
    assert reason.startswith("all are taken, because which servers are due is not known: ")


@pytest.mark.parametrize("with_backups", ["include", "skip"])
def test_servers_with_backups_are_left_out_only_if_the_stack_says_so_and_no_event_names_them(
    aws: Aws, world: World, project: Project, with_backups: str
) -> None:
    from handler.aws import runtime

    address = aws.stack.parameters["HetznerEndpoint"]
    aws.stack = Stack(HetznerEndpoint=address, WithBackups=with_backups)
    runtime.run_settings.cache_clear()
    saved = project.add_server("saved", backups=True)
    project.add_server("bare")
    night = aws.run({})
    assert night.verdict() == "Completed"
    left_out = f"saved ({saved.id}; cx23, fsn1, {saved.ipv4}, {saved.ipv6}, running): left out, "
    said = left_out + "it has Hetzner's Backups, and WithBackups is skip"
    if with_backups == "skip":
        assert made(project, night) == {"bare"}
        assert night.summary().startswith("Completed: 1 of 2 servers, 1 left out; 1 made")
        assert said in aws.messages()
    else:
        assert made(project, night) == {"bare", "saved"}
        assert said not in aws.messages()
    named = aws.run({"servers": ["saved"]})
    assert made(project, named) == {"saved"}
    images = [i for i in project.images.values() if i.labels.get(LABEL_SERVER_NAME) == "saved"]
    assert len(images) == (1 if with_backups == "skip" else 2)
