"""Whole runs: the real definition and functions against the simulated Hetzner, in virtual time."""

import json
import re
from datetime import timedelta
from typing import Any

import boto3
import pytest

from handler.documents.labels import LABEL_MANAGED_BY, LABEL_RUN_ID, LABEL_SERVER_NAME
from local.simulator import Fault, Project, World
from local.simulator.faults import drop, hook, html, status
from local.virtual.template import REGION, Stack
from tests.aws import Aws, LambdaDied
from tests.conftest import TOKEN
from tests.leaks import a_token, piece_of
from tests.snapshots import available, ours, writes

CREATE = r"/servers/\d+/actions/create_image"


def test_every_server_gets_one_snapshot(aws: Aws, project: Project) -> None:
    for name in ("sg5", "web-1", "db-1"):
        project.add_server(name)
    project.add_server("no-ipv4", ipv4=False)
    project.add_server("no-ipv6", ipv6=False)
    night = aws.run({"scheduled_time": "2026-11-21T02:00:00Z"})
    assert night.verdict() == "Completed"
    assert night.run_id == "20261121T020000Z"
    assert available(project) == dict.fromkeys(("sg5", "web-1", "db-1", "no-ipv4", "no-ipv6"), 1)
    assert night.summary().startswith("Completed: 5 of 5 servers; 5 made in ")
    image = next(i for i in project.images.values() if i.labels[LABEL_SERVER_NAME] == "sg5")
    assert image.description == "sg5-snapshot 20261121T020000Z"
    assert night.results["sg5"]["image_id"] == image.id
    assert night.results["sg5"]["kept"] == 1


def test_a_locked_server_is_waited_for_while_the_others_go_on(
    aws: Aws, world: World, project: Project
) -> None:
    locked, free = project.add_server("locked"), project.add_server("free")
    project.lock(locked, command="change_type", seconds=600)
    project.snapshot_seconds |= {locked.id: 60, free.id: 60}
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project) == {"locked": 1, "free": 1}
    created = {i.labels[LABEL_SERVER_NAME]: i.created for i in project.images.values()}
    assert created["free"] < created["locked"] - timedelta(minutes=9)
    assert night.results["free"]["waited_s"] < 30
    assert 600 <= night.results["locked"]["waited_s"] < 800
    assert "locked: waiting" in aws.messages()
    assert "locked by change_type (action " in aws.messages()


def test_a_server_locked_past_the_deadline_fails_alone_and_says_who_holds_it(
    aws: Aws, project: Project
) -> None:
    locked, free = project.add_server("locked"), project.add_server("free")
    action = project.lock(locked, command="rebuild_server", seconds=None)
    project.snapshot_seconds[free.id] = 60
    night = aws.run({})
    assert night.verdict() == "PartiallyFailed"
    assert available(project) == {"free": 1}
    reason = night.results["locked"]["reason"]
    assert reason.startswith("no snapshot made after 60 min: locked by rebuild_server")
    assert f"action {action.id}" in reason
    assert f'run again with {{"run_id": "{night.run_id}", "project": "default"}}' in reason
    assert "locked: no snapshot made" in night.executions["default"]["cause"]


def test_a_locked_server_is_skipped_if_asked(aws: Aws, project: Project) -> None:
    project.lock(project.add_server("locked"), seconds=600)
    project.add_server("free")
    night = aws.run({"on_locked": "skip"})
    assert night.verdict() == "Completed"
    assert available(project) == {"free": 1}
    assert night.results["locked"]["status"] == "skipped"
    assert "locked by change_type" in night.results["locked"]["reason"]
    assert night.summary().startswith("Completed: 1 of 2 servers, 1 skipped;")


def test_a_lock_between_look_and_create_is_waited_for(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    world.faults.add(
        Fault(hook(lambda *_: project.lock(server, seconds=120)), method="POST", path=CREATE)
    )
    assert aws.run({}).verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert writes(world) == [f"POST /servers/{server.id}/actions/create_image"] * 2


def test_one_server_that_fails_leaves_the_others_alone(aws: Aws, project: Project) -> None:
    bad, good = project.add_server("bad"), project.add_server("good")
    old = [ours(project, bad, days) for days in range(1, 6)]
    project.next_action_fails(bad, times=99, after_seconds=20)
    night = aws.run({})
    assert night.verdict() == "PartiallyFailed"
    assert available(project, night.run_id) == {"good": 1}
    assert "failed 5 times" in night.results["bad"]["reason"]
    assert good.name in night.results
    # Without a new snapshot nothing old goes.
    assert {image.id for image in old} <= project.images.keys()


@pytest.mark.parametrize("image", ["vanishes", "unavailable"])
def test_a_failed_action_is_tried_again(aws: Aws, project: Project, image: Any) -> None:
    server = project.add_server("sg5")
    project.next_action_fails(server, image=image)
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project, night.run_id) == {"sg5": 1}


@pytest.mark.parametrize("effect", [drop(), html(502), status(503, "unavailable")])
def test_a_create_whose_answer_is_lost_is_adopted(
    aws: Aws, world: World, project: Project, effect: Any
) -> None:
    server = project.add_server("sg5")
    world.faults.add(Fault(effect, method="POST", path=CREATE, when="after"))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert writes(world) == [f"POST /servers/{server.id}/actions/create_image"]
    assert night.results["sg5"]["image_id"] in project.images


def test_a_lost_answer_is_adopted_even_when_locked_servers_are_skipped(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 600
    # The image is slow to be listed: the running create_image looks like somebody else's.
    world.image_visible_after_seconds = 100
    world.faults.add(Fault(drop(), method="POST", path=CREATE, when="after"))
    night = aws.run({"on_locked": "skip"})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}


def test_a_lambda_that_dies_after_the_create_is_adopted_by_its_retry(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    died = []

    def die_once(function: str, _: Any, output: Any) -> None:
        if function == "CreateSnapshot" and output["status"] == "creating" and not died:
            died.append(world.clock.now())
            raise LambdaDied

    aws.after = die_once
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert died
    assert available(project) == {"sg5": 1}
    assert writes(world) == [f"POST /servers/{server.id}/actions/create_image"]
    adopting = [i for i in aws.invocations if i.function == "CreateSnapshot"]
    assert adopting[0].output["snapshot"] == adopting[1].output["snapshot"]


@pytest.mark.parametrize("effect", [drop(), html(503), status(503, "unavailable")])
def test_an_api_that_is_down_when_the_run_starts_delays_it(
    aws: Aws, world: World, project: Project, effect: Any
) -> None:
    project.add_server("sg5")
    up_again = world.clock.now() + timedelta(minutes=20)
    end = hook(lambda *_: world.faults.clear() if world.clock.now() >= up_again else None)
    world.faults.add(Fault(end, times=None))
    down = world.faults.add(Fault(effect, times=None))
    night = aws.run({})
    assert down.hits > 3
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}


def test_an_api_that_stays_down_ends_the_run_with_the_reason(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    world.faults.add(Fault(status(503, "unavailable"), times=None))
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert "could not be listed for 60 min" in night.summary()
    assert "unavailable" in night.summary()


def test_an_outage_in_the_middle_and_while_pruning_is_survived(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days) for days in (4, 3, 2, 1)]
    project.snapshot_seconds[server.id] = 120
    world.faults.add(Fault(status(503, "unavailable"), path=r"/actions/\d+", times=5))
    world.faults.add(Fault(drop(), method="GET", path="/images", nth=2, times=5))
    world.faults.add(Fault(html(502), method="DELETE", times=2, when="after"))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert {i.id for i in old} & project.images.keys() == {i.id for i in old[2:]}


def test_a_doubled_delivery_of_the_schedule_makes_one_snapshot(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    event = {"scheduled_time": "2026-11-21T02:00:00Z"}
    first = aws.invoke("StartRun", event)
    second = aws.invoke("StartRun", event)
    assert first["executions"][0]["execution_arn"] == second["executions"][0]["execution_arn"]
    aws.finish(first)
    third = aws.invoke("StartRun", event)
    assert third["executions"][0]["started"] is False
    aws.finish(third)
    assert available(project) == {"sg5": 1}
    assert len(writes(world)) == 1


def test_resuming_makes_only_what_is_missing(aws: Aws, world: World, project: Project) -> None:
    bad, _ = project.add_server("bad"), project.add_server("good")
    action = project.lock(bad, seconds=None)
    first = aws.run({"scheduled_time": "2026-11-21T02:00:00Z"})
    assert first.verdict() == "PartiallyFailed"
    action.ends_at = world.clock.now()
    again = aws.run({"run_id": first.run_id})
    assert again.verdict() == "Completed"
    assert available(project, first.run_id) == {"bad": 1, "good": 1}
    assert again.results["good"]["image_id"] == first.results["good"]["image_id"]


def test_resuming_a_run_that_is_running_is_refused_with_a_link(aws: Aws, project: Project) -> None:
    project.lock(project.add_server("sg5"), seconds=900)
    first = aws.invoke("StartRun", {})
    with pytest.raises(Exception, match="still running: https://") as refusal:
        aws.invoke("StartRun", {"run_id": first["run_id"]})
    assert type(refusal.value).__name__ == "EventRefused"
    aws.finish(first)
    assert available(project) == {"sg5": 1}


def test_a_dry_run_writes_nothing_and_plans_as_if_the_new_snapshot_were_there(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days) for days in (4, 3, 2, 1)]
    project.lock(project.add_server("locked"), seconds=600)
    before = world.snapshot()["projects"]
    night = aws.run({"dry_run": True})
    assert night.verdict() == "Completed"
    assert world.snapshot()["projects"] == before
    assert writes(world) == []
    assert night.results["sg5"]["status"] == "planned"
    assert (night.results["sg5"]["deleted"], night.results["sg5"]["kept"]) == (2, 3)
    assert f"sg5: would delete snapshot {old[0].id} of 2026-11-17 02:00Z" in aws.messages()
    assert "sg5: would keep the new snapshot" in aws.messages()
    assert "a run would wait for it" in night.results["locked"]["reason"]
    assert "; dry run: nothing made or deleted, 2 would be deleted; " in night.summary()


def test_a_dry_run_needs_no_more_than_a_read_only_token(
    aws: Aws, world: World, project: Project
) -> None:
    project.revoke_token(TOKEN)
    project.add_token(TOKEN, read_only=True)
    project.add_server("sg5")
    assert aws.run({"dry_run": True}).verdict() == "Completed"
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert "/hetzner-snapshots/tokens/default" in night.results["sg5"]["reason"]


def test_two_halves_of_one_owner_leave_each_others_snapshots_alone(
    aws: Aws, project: Project
) -> None:
    pair = [project.add_server(name) for name in ("node-a", "node-b")]
    pair[1].labels["second-half"] = "true"
    for server in pair:
        for days in range(1, 5):
            ours(project, server, days)
    aws.run({"label_selector": "!second-half", "retention": "last1"})
    assert available(project) == {"node-a": 1, "node-b": 4}
    aws.run({"label_selector": "second-half", "retention": "last2"})
    assert available(project) == {"node-a": 1, "node-b": 2}


def test_two_projects_and_one_bad_token(aws: Aws, world: World, project: Project) -> None:
    project.add_server("sg5")
    wrong = a_token("of nobody")
    aws.store_token("second", wrong)
    world.project("second").add_server("never")
    night = aws.run({})
    assert night.verdict("default") == "Completed"
    assert night.verdict("second") == "Failed"
    assert "/hetzner-snapshots/tokens/second" in night.summary("second")
    assert not piece_of(wrong, json.dumps([aws.logs, night.executions], default=str))
    assert available(project) == {"sg5": 1}


def test_one_project_can_be_chosen(aws: Aws, world: World, project: Project) -> None:
    project.add_server("sg5")
    second = world.project("second")
    second.add_token("s" * 64)
    second.add_server("other")
    aws.store_token("second", "s" * 64)
    night = aws.run({"project": "second"})
    assert list(night.executions) == ["second"]
    assert available(second) == {"other": 1}
    assert not project.images


def test_a_server_deleted_in_the_middle_is_skipped(
    aws: Aws, world: World, project: Project
) -> None:
    removed, _ = project.add_server("removed"), project.add_server("stays")
    deletion = hook(lambda *_: project.delete_server(removed))
    world.faults.add(Fault(deletion, path=f"/servers/{removed.id}/actions"))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert night.results["removed"]["status"] == "skipped"
    assert "deleted during the run" in night.results["removed"]["reason"]
    assert available(project) == {"stays": 1}


def test_a_project_without_servers_is_completed_and_says_so(aws: Aws, project: Project) -> None:
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert night.summary().startswith("Completed: the project default has no servers; ")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"label_selector": "env=nowhere"}, "none of the 1 servers is selected"),
        ({"label_selector": "env in ("}, "Check the label selector 'env in ('"),
        ({"servers": ["nobody"]}, "no server nobody in this project"),
        ({"servers": [4711]}, "no server 4711 in this project"),
    ],
)
def test_a_selection_that_matches_nothing_fails(
    aws: Aws, world: World, project: Project, event: Any, reason: str
) -> None:
    project.add_server("sg5")
    night = aws.run(event)
    assert night.verdict() == "Failed"
    assert reason in night.summary()
    assert writes(world) == []


def test_servers_are_chosen_by_name_id_selector_and_their_own_label(
    aws: Aws, project: Project
) -> None:
    by_id = project.add_server("by-id", labels={"env": "prod"})
    project.add_server("42", labels={"env": "prod"})
    project.add_server("elsewhere", labels={"env": "test"})
    project.add_server("opted-out", labels={"env": "prod", "hetzner-snapshots/enabled": "false"})
    project.add_server("not-named", labels={"env": "prod"})
    servers = ["42", by_id.id, "by-id", "opted-out", "elsewhere"]
    night = aws.run({"servers": servers, "label_selector": "env=prod"})
    assert night.verdict() == "Completed"
    assert available(project) == {"by-id": 1, "42": 1}
    assert "3 left out" in night.summary()
    assert "left out, its label hetzner-snapshots/enabled is false" in aws.messages()


def test_more_than_one_batch_is_run_to_the_last_server(
    aws: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handler.snapshot_run.list_servers.BATCH", 2)
    names = [f"server-{number}" for number in range(5)]
    for name in names:
        project.snapshot_seconds[project.add_server(name).id] = 30
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project) == dict.fromkeys(names, 1)
    assert night.summary().startswith("Completed: 5 of 5 servers")
    assert [len(i.event["batch"]) for i in aws.invocations if i.function == "SummariseRun"] == [
        2,
        2,
        1,
    ]


def test_a_bug_in_one_branch_is_a_result_and_not_a_crash(
    aws: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    sg5, other = project.add_server("sg5"), project.add_server("other")
    # SummariseRun looks before that of sg5 is done.
    project.snapshot_seconds.update({sg5.id: 9000, other.id: 60})

    def fail(function: str, event: Any) -> None:
        if function == "CheckSnapshot" and event["server"]["name"] == "sg5":
            raise ZeroDivisionError

    aws.before = fail
    night = aws.run({})
    assert night.verdict() == "PartiallyFailed"
    assert night.results["sg5"]["status"] == "failed"
    assert "a function broke off (ZeroDivisionError)" in night.results["sg5"]["reason"]
    assert night.results["other"]["status"] == "available"


@pytest.mark.parametrize(
    ("function", "verdict", "cause"),
    [
        ("ListServers", "Failed", "ListServers broke off (ZeroDivisionError)"),
        # SummariseRun looks at what is there.
        ("PruneSnapshots", "PartiallyFailed", "made, not pruned: a function broke off (ZeroDiv"),
        ("SummariseRun", "ZeroDivisionError", ""),
    ],
)
def test_an_execution_is_red_when_a_function_breaks_off(
    aws: Aws, project: Project, function: str, verdict: str, cause: str
) -> None:
    project.add_server("sg5")

    def fail(name: str, _: Any) -> None:
        if name == function:
            raise ZeroDivisionError

    aws.before = fail
    night = aws.run({})
    assert night.executions["default"]["status"] == "FAILED"
    assert night.verdict() == verdict
    assert cause in night.summary()


def test_the_quota_of_snapshots_is_named(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    project.image_limit = 0
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert "the account's limit of snapshots is reached" in night.results["sg5"]["reason"]


def test_deadlines_hold_in_hetzners_clock_whatever_ours_says(
    aws: Aws, world: World, project: Project
) -> None:
    world.clock.advance(365 * 86400)
    project.lock(project.add_server("sg5"), seconds=600)
    assert aws.run({}).verdict() == "Completed"
    assert available(project) == {"sg5": 1}


def test_a_snapshot_that_never_ends_fails_at_its_deadline(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 10 * 86400
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert "not available after 180 min" in night.results["sg5"]["reason"]
    assert sum(aws.waits) < 190 * 60


def test_requests_are_made_in_the_state_machine_only_as_often_as_it_waits(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 150
    aws.run({})
    # List, look (2), create, one look, the listing that finds it available; and for the summary
    # snapshots, servers and price.
    assert len(world.requests) == 9
    assert len(aws.waits) == 3


def test_what_was_deployed_reaches_the_run(world: World, project: Project, aws: Aws) -> None:
    aws.stack = Stack(
        HetznerEndpoint=aws.stack.parameters["HetznerEndpoint"],
        Owner="somebody",
        LabelSelector="env=prod",
        WithBackups="skip",
        Retention="last1",
        MaxDeletions="2",
        OnLocked="skip",
        LockWaitMinutes="7",
        SnapshotMinutes="8",
        ServersAtATime="9",
        RateLimitFloorPercent="0",
    )
    from handler.aws import runtime

    runtime.run_settings.cache_clear()
    project.add_server("sg5", labels={"env": "prod"})
    project.add_server("other")
    night = aws.run({})
    document = json.loads(night.executions["default"]["input"])
    assert document["selection"]["servers"] == []
    assert document["selection"]["label_selector"] == "env=prod"
    assert document["run"] == {
        "id": night.run_id,
        "project": "default",
        "owner": "somebody",
        "retention": "last1",
        "on_locked": "skip",
        "dry_run": False,
        "prune_only": False,
        "accept_smaller": False,
        "max_deletions": 2,
        "orphan_days": 0,
        "servers_at_a_time": 9,
        "lock_wait_minutes": 7,
        "snapshot_minutes": 8,
        "concurrent_runs": [],
        "began": None,
        "rate_limit_floor": 0,
        "server_count": None,
        "earlier_deletions": 0,
        "witnesses": [],
        "first_began": None,
        "earliest_began": None,
        "with_backups": "skip",
    }
    assert available(project) == {"sg5": 1}
    [image] = project.images.values()
    assert image.labels[LABEL_MANAGED_BY] == "somebody"


def test_no_state_machine_is_left_running(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.run({})
    client = boto3.client("stepfunctions", region_name=REGION)
    [machine] = client.list_state_machines()["stateMachines"]
    running = client.list_executions(
        stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING"
    )
    assert running["executions"] == []


def test_resuming_takes_the_servers_and_the_policy_of_the_run_it_resumes(
    aws: Aws, world: World, project: Project
) -> None:
    locked, other = project.add_server("locked"), project.add_server("other")
    old = {ours(project, other, days).id for days in range(1, 6)}
    action = project.lock(locked, seconds=None)
    first = aws.run({"servers": ["locked"], "retention": "last30"})
    action.ends_at = world.clock.now()
    again = aws.run({"run_id": first.run_id, "project": "default"})
    assert again.verdict() == "Completed"
    assert available(project, first.run_id) == {"locked": 1}
    assert old <= project.images.keys()
    assert again.answer["warnings"] == []


def test_resuming_a_dry_run_stays_dry_unless_asked_otherwise(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    first = aws.run({"dry_run": True})
    aws.run({"run_id": first.run_id})
    assert writes(world) == []
    aws.run({"run_id": first.run_id, "dry_run": False})
    assert available(project, first.run_id) == {"sg5": 1}


@pytest.mark.parametrize("lost", ["left out", None])
def test_a_branch_that_ends_without_a_result_is_a_failure(
    aws: Aws, project: Project, lost: str | None
) -> None:
    names = [project.add_server(name).name for name in ("sg5", "other")]

    def lose(function: str, event: Any) -> None:
        if function == "SummariseRun":
            kept = [result for result in event["batch"] if result["server"] != "sg5"]
            event["batch"] = kept if lost else [None, *kept]

    aws.before = lose
    night = aws.run({})
    assert night.verdict() == "PartiallyFailed"
    # SummariseRun looks at what is there.
    assert "2 made" in night.summary() and "1 of those made not pruned" in night.summary()
    assert (
        "made, not pruned: its branch ended without a result"
        in night.executions["default"]["cause"]
    )
    assert available(project) == dict.fromkeys(names, 1)


def test_a_snapshot_that_is_there_is_adopted_whatever_the_actions_say(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    first = aws.run({})
    world.faults.add(Fault(html(502), path=r"/servers/\d+/actions", times=None))
    assert aws.run({"run_id": first.run_id}).verdict() == "Completed"
    assert len(project.images) == 1


def test_a_snapshot_outlives_a_server_that_was_deleted_after_a_lost_answer(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 1
    world.faults.add(Fault(drop(), method="POST", path=CREATE, when="after"))

    def delete(*_: Any) -> None:
        if server.id in project.servers and project.images:
            project.delete_server(server)

    world.faults.add(Fault(hook(delete), path="/images", nth=2))
    night = aws.run({})
    assert night.results["sg5"]["status"] == "available"
    assert night.results["sg5"]["image_id"] in project.images


def test_a_snapshot_that_is_creating_is_not_given_up_because_its_server_is_gone(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5")
    image = ours(project, server, 0)
    image.labels[LABEL_RUN_ID] = "tonight"
    image.status = "creating"

    def delete(function: str, _: Any) -> None:
        if function == "CreateSnapshot" and server.id in project.servers:
            project.delete_server(server)
        if function == "CheckSnapshot":
            image.status = "available"

    aws.before = delete
    night = aws.run({"run_id": "tonight", "new": True})
    assert night.results["sg5"]["image_id"] == image.id
    assert night.results["sg5"]["status"] == "available"


def test_a_lock_that_ends_in_the_last_gap_before_the_deadline_costs_no_snapshot(
    aws: Aws, project: Project
) -> None:
    aws.stack = Stack(HetznerEndpoint=aws.stack.parameters["HetznerEndpoint"], LockWaitMinutes="5")
    from handler.aws import runtime

    runtime.run_settings.cache_clear()
    project.lock(project.add_server("sg5"), seconds=297)
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}


def test_a_failure_after_an_unclear_create_says_that_a_snapshot_may_be_there(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    revoke = hook(lambda *_: project.revoke_token(TOKEN))
    world.faults.add(Fault(revoke, method="POST", path=CREATE, when="after"))
    world.faults.add(Fault(drop(), method="POST", path=CREATE, when="after"))
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert "a snapshot may have been started all the same" in night.results["sg5"]["reason"]


def test_a_clear_no_to_the_create_leaves_skipping_as_it_was(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    limited = status(429, "rate_limit_exceeded")
    world.faults.add(Fault(hook(lambda *_: project.lock(server, seconds=None)), method="POST"))
    world.faults.add(Fault(limited, method="POST"))
    night = aws.run({"on_locked": "skip"})
    assert night.results["sg5"]["status"] == "skipped"
    assert night.results["sg5"]["reason"].startswith("locked by change_type")


def test_an_image_left_behind_by_its_failed_action_is_not_waited_for(
    aws: Aws, project: Project, world: World
) -> None:
    server = project.add_server("sg5")
    project.next_action_fails(server, image="unavailable")

    def linger(*_: Any) -> None:
        for image in project.images.values():
            if image.status == "unavailable":
                image.status = "creating"

    world.faults.add(Fault(hook(linger), method="GET", path="/images", times=None))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert "also of this run: snapshot" in night.results["sg5"]["reason"]


def test_a_server_that_leaves_the_selection_before_its_turn_is_counted(
    aws: Aws, world: World, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handler.snapshot_run.list_servers.BATCH", 1)
    project.add_server("first")
    second = project.add_server("second")
    relabel = hook(lambda *_: second.labels.update({"hetzner-snapshots/enabled": "false"}))
    world.faults.add(Fault(relabel, method="POST"))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert night.summary().startswith("Completed: 1 of 2 servers, 1 skipped;")


def test_servers_of_several_projects_must_say_which(aws: Aws, world: World) -> None:
    aws.store_token("second", "s" * 64)
    with pytest.raises(Exception, match="needs the field project beside it") as refusal:
        aws.invoke("StartRun", {"servers": ["sg5"]})
    assert type(refusal.value).__name__ == "EventRefused"
    assert world.requests == []


def test_a_throttled_function_costs_no_server_its_snapshot(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    throttled = []

    class TooMany(Exception):
        pass

    TooMany.__name__ = "Lambda.TooManyRequestsException"

    def throttle(function: str, _: Any) -> None:
        if function == "CreateSnapshot" and len(throttled) < 10:
            throttled.append(function)
            raise TooMany

    aws.before = throttle
    assert aws.run({}).verdict() == "Completed"
    assert available(project) == {"sg5": 1}


@pytest.mark.parametrize(
    "first",
    ["/servers", r"/servers/\d+/actions", CREATE, r"/actions/\d+", r"/images/\d+"],
    ids=["listing", "looking", "creating", "checking", "pruning"],
)
@pytest.mark.parametrize("effect", [drop(), html(503)], ids=["no answer", "503"])
def test_an_outage_of_twenty_minutes_ends_completed(
    aws: Aws, world: World, project: Project, first: str, effect: Any
) -> None:
    server = project.add_server("sg5")
    old = ours(project, server, 9)
    project.snapshot_seconds[server.id] = 120
    began: list[Any] = []

    def outage(call: Any) -> Any:
        if not began and re.fullmatch("/v1" + first, call.request.path):
            began.append(world.clock.now())
        if began and world.clock.now() < began[0] + timedelta(minutes=20):
            return effect(call)
        return None

    world.faults.add(Fault(outage, times=None))
    night = aws.run({"retention": "last1"})
    assert began
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert old.id not in project.images
    assert world.clock.now() >= began[0] + timedelta(minutes=20)


def test_a_token_that_is_replaced_in_the_middle_costs_nothing(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    new_token = "n" * 64

    def replace_token(function: str, _: Any, output: Any) -> None:
        if function == "CreateSnapshot" and output["status"] == "creating":
            project.add_token(new_token)
            project.revoke_token(TOKEN)
            boto3.client("ssm", region_name=REGION).put_parameter(
                Name="/hetzner-snapshots/tokens/default",
                Value=new_token,
                Type="SecureString",
                Overwrite=True,
            )

    aws.after = replace_token
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert "has been replaced" in aws.messages()
    assert new_token not in json.dumps([aws.logs, night.executions], default=str)


def test_only_who_has_looked_says_that_no_snapshot_was_made(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    died: list[str] = []

    def die_and_darken(function: str, _: Any, output: Any) -> None:
        if function == "CreateSnapshot" and output["status"] == "creating" and not died:
            died.append(function)
            world.faults.add(Fault(drop(), times=None))
            raise LambdaDied

    aws.after = die_and_darken
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert night.results["sg5"]["reason"].startswith("no snapshot confirmed after 60 min")
    assert available(project) == {"sg5": 1}


def test_resuming_a_run_of_one_project_leaves_the_others_alone(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    second = world.project("second")
    second.add_token("s" * 64)
    second.add_server("other")
    aws.store_token("second", "s" * 64)
    first = aws.run({"project": "default"})
    again = aws.run({"run_id": first.run_id})
    assert list(again.executions) == ["default"]
    assert "second: not started" in again.answer["warnings"][0]
    assert not second.images
