"""Several executions of one run, and runs that overlap: what is made, deleted and refused."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from handler.decisions.checking import MOST_FAILED_ACTIONS
from handler.documents.labels import LABEL_RUN_ID
from handler.documents.request import EventRefused
from local.simulator import Fault, Project, World
from local.simulator.faults import dated, drop, status
from local.virtual.cloud import Execution
from local.virtual.stage import Stage
from tests.aws import Aws
from tests.chaos.invariants import broken
from tests.snapshots import available, ours

SCHEDULED = {"scheduled_time": "2026-11-21T02:00:00Z"}
RUN_ID = "20261121T020000Z"
RESUME = {"run_id": RUN_ID}


@pytest.mark.parametrize(
    "override",
    [{"servers": ["sg5"]}, {"dry_run": True}, {"prune_only": True}, {"label_selector": "env=sg5"}],
    ids=str,
)
def test_a_resume_takes_nothing_over_from_an_earlier_resume(
    aws: Aws, world: World, project: Project, override: dict[str, Any]
) -> None:
    servers = [project.add_server(name, {"env": name}) for name in ("sg5", "db-1")]
    locks = [project.lock(server, seconds=None) for server in servers]
    assert aws.run(SCHEDULED).verdict() == "Failed"
    for lock in locks:
        lock.ends_at = world.clock.now()
    aws.run(RESUME | override)
    assert aws.run(RESUME).verdict() == "Completed"
    assert available(project, RUN_ID) == {"sg5": 1, "db-1": 1}


def test_a_resume_is_refused_when_only_resumes_are_known() -> None:
    """Step Functions has forgotten the first execution: what that was asked nobody can tell."""
    stage = Stage()
    stage.project.add_server("sg5")
    stage.play(SCHEDULED)
    stage.cloud.deliver(RESUME | {"dry_run": True}, "bbbbbbbb-0000-4000-8000-000000000000")
    replay(stage)
    del stage.cloud.executions[next(iter(stage.cloud.executions))]
    stage.cloud.deliver(RESUME, "cccccccc-0000-4000-8000-000000000000", tries=1)
    replay(stage)
    [refusal] = stage.cloud.refusals
    assert refusal.startswith("EventRefused") and "has forgotten" in refusal
    assert len(stage.cloud.executions) == 1


def test_a_resumed_run_of_named_servers_goes_on_without_one_that_is_deleted(
    aws: Aws, world: World, project: Project
) -> None:
    gone, stays = project.add_server("gone"), project.add_server("stays")
    locks = [project.lock(server, seconds=None) for server in (gone, stays)]
    aws.run(SCHEDULED | {"servers": ["gone", "stays"]})
    project.delete_server(gone)
    locks[1].ends_at = world.clock.now()
    again = aws.run(RESUME)
    assert again.verdict() == "Completed"
    assert available(project, RUN_ID) == {"stays": 1}
    assert again.summary().startswith("Completed: 1 of 2 servers, 1 skipped;")
    assert "gone: no server of this name or id in this project any more" in aws.messages()


def test_a_name_that_the_resume_itself_gives_must_be_a_server(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.run(SCHEDULED)
    again = aws.run(RESUME | {"servers": ["sg5", "sg6"]})
    assert again.verdict() == "Failed"
    assert "no server sg6 in this project" in again.summary()


def test_a_run_deletes_no_more_when_it_is_resumed(aws: Aws, world: World, project: Project) -> None:
    server = project.add_server("sg5")
    lock = project.lock(project.add_server("locked"), seconds=None)
    old = [ours(project, server, days) for days in range(1, 12)]
    aws.run(SCHEDULED)
    left = {image.id for image in old} & project.images.keys()
    assert len(left) == 6
    lock.ends_at = world.clock.now()
    again = aws.run(RESUME)
    assert again.verdict() == "Completed"
    assert left <= project.images.keys()
    limit = "at most 5 in one run, its earlier executions included"
    assert again.results["sg5"]["reason"] == f"4 more to delete next time ({limit})"
    aws.run(RESUME | {"max_deletions": 7})
    assert len(left & project.images.keys()) == 4
    aws.run(RESUME | {"max_deletions": 7})
    assert len(left & project.images.keys()) == 4


def test_a_dry_run_uses_up_no_deletions(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    for days in range(1, 12):
        ours(project, server, days)
    aws.run(SCHEDULED | {"dry_run": True})
    assert aws.run(RESUME | {"dry_run": False}).results["sg5"]["deleted"] == 5


def test_a_stopped_execution_counts_with_all_it_may_have_deleted() -> None:
    stage = Stage()
    server = stage.project.add_server("sg5")
    for days in range(1, 13):
        ours(stage.project, server, days)

    def stop() -> None:
        for execution in stage.cloud.executions.values():
            stage.cloud.stop(execution)
        stage.cloud.deliver(RESUME, "bbbbbbbb-0000-4000-8000-000000000000")

    def stop_when_deleted() -> None:
        while not stage.truth.deletions:
            stage.loop.sleep(1)
        stop()

    stage.loop.spawn(stop_when_deleted)
    stage.play(SCHEDULED | {"retention": "last1", "max_deletions": 3})
    assert [e.status for e in stage.cloud.executions.values()] == ["ABORTED", "SUCCEEDED"]
    assert len(stage.truth.deletions) <= 3


def test_the_same_id_asked_differently_deletes_no_more_in_all() -> None:
    stage = Stage()
    server = stage.project.add_server("sg5")
    for days in range(1, 13):
        ours(stage.project, server, days)
    policy = {"retention": "last1", "max_deletions": 3}
    second, third = {"on_locked": "skip"}, {"label_selector": "!other"}
    for seconds, more in ((40, second), (4000, third)):
        event = SCHEDULED | policy | more
        deliver = partial(stage.cloud.deliver, event, "bbbbbbbb-0000-4000-8000-000000000000")
        stage.later(seconds, deliver)
    stage.play(SCHEDULED | policy)
    assert broken(stage) == []
    assert len(stage.truth.deletions) == 3


def test_a_run_is_resumed_after_a_month_of_many_projects() -> None:
    stage = Stage()
    projects = [f"p{number}" for number in range(12)]
    for name in projects:
        stage.add_project(name).add_server("sg5")
    stage.project.add_server("sg5")
    month(stage, ["default", *projects], nights=90)
    stage.play(SCHEDULED)
    before = len(stage.cloud.executions)
    stage.cloud.throttle(0)
    stage.cloud.deliver(RESUME, "bbbbbbbb-0000-4000-8000-000000000000", tries=1)
    replay(stage)
    assert stage.cloud.refusals == []
    assert len(stage.cloud.executions) == before + 13


def test_a_resume_that_is_throttled_says_so_and_lambda_tries_it_again() -> None:
    stage = Stage()
    stage.project.add_server("sg5")
    stage.play(SCHEDULED)
    stage.cloud.throttle(3)
    stage.cloud.deliver(RESUME, "bbbbbbbb-0000-4000-8000-000000000000")
    replay(stage)
    [refusal] = stage.cloud.refusals
    assert refusal.startswith("ExecutionsUnknown")
    assert "Try again in a minute" in refusal
    assert [e.status for e in stage.cloud.executions.values()] == ["SUCCEEDED"] * 2


# Runs that overlap.


@pytest.mark.parametrize("skew_minutes", [-90, 0, 90])
@pytest.mark.parametrize("effect", [drop(), status(503, "unavailable")], ids=["drop", "503"])
def test_a_run_that_starts_while_another_cannot_list_keeps_its_snapshot(
    skew_minutes: int, effect: Any
) -> None:
    stage = delayed_and_other(effect, skew_minutes)
    assert broken(stage) == []
    assert available(stage.project, "other") == {"sg5": 1}
    assert available(stage.project, RUN_ID) == {"sg5": 1}


def test_one_wrong_clock_at_the_beginning_gives_no_other_runs_snapshot_away() -> None:
    """By the answer to its first listing the run began four hours later than it did."""
    ahead = Fault(dated(lambda call: None, timedelta(hours=4)), "GET", "/servers", when="after")
    path = r"/servers/\d+/actions/create_image"
    stage = delayed_and_other(status(503, "unavailable"), path=path, first=(ahead,))
    assert broken(stage) == []
    assert available(stage.project, "other") == {"sg5": 1}
    assert available(stage.project, RUN_ID) == {"sg5": 1}


def test_a_snapshot_of_last_night_is_not_taken_for_one_of_an_overlapping_run() -> None:
    stage = Stage()
    server = stage.project.add_server("sg5")
    old = stage.old_snapshot(server, 0.02)
    stage.play(SCHEDULED | {"retention": "last1"})
    assert old.id not in stage.project.images


def test_nothing_recent_is_deleted_when_it_is_not_known_which_runs_are_going_on() -> None:
    stage = Stage()
    server = stage.project.add_server("sg5")
    of_another = stage.old_snapshot(server, 0.8, labels={LABEL_RUN_ID: "X"})
    old = stage.old_snapshot(server, 9)
    stage.cloud.executions["X_default_0"] = Execution("X_default_0", {}, 0.0)
    stage.cloud.throttle(10)
    stage.play(SCHEDULED | {"retention": "last1"})
    assert of_another.id in stage.project.images
    assert old.id not in stage.project.images


def test_all_runs_that_are_going_on_are_spared_however_many() -> None:
    stage = Stage()
    server = stage.project.add_server("sg5")
    made = []
    for number in range(30):
        run_id = f"X{number:02}"
        made.append(stage.old_snapshot(server, 0.8, labels={LABEL_RUN_ID: run_id}).id)
        stage.cloud.executions[f"{run_id}_default_0"] = Execution(f"{run_id}_default_0", {}, 0.0)
    stage.play(SCHEDULED | {"retention": "last1", "max_deletions": 50})
    assert set(made) <= stage.project.images.keys()


# The run's id.


def test_a_run_id_that_nobody_knows_is_refused(aws: Aws, world: World, project: Project) -> None:
    project.add_server("sg5")
    aws.run(SCHEDULED)
    with pytest.raises(EventRefused) as refusal:
        aws.invoke("StartRun", {"run_id": "20261121T02000Z"})
    assert '"20261121T02000Z"' in str(refusal.value)
    assert '"new": true' in str(refusal.value)
    assert available(project) == {"sg5": 1}


def test_a_new_name_is_taken_once(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    event = {"run_id": "before-upgrade", "new": True}
    first = aws.run(event, request_id="bbbbbbbb-0000-4000-8000-000000000000")
    assert first.verdict() == "Completed"
    assert available(project, "before-upgrade") == {"sg5": 1}
    # Lambda tries again what it could not tell the end of.
    aws.run(event, request_id="bbbbbbbb-0000-4000-8000-000000000000")
    with pytest.raises(EventRefused, match="there is a run of that name"):
        aws.invoke("StartRun", event)
    assert available(project) == {"sg5": 1}


def test_a_name_of_long_ago_is_a_new_run_and_takes_no_old_snapshot_over(
    aws: Aws, project: Project
) -> None:
    # Step Functions forgets a name after 90 days, or with its stack; the snapshots stay.
    servers = [project.add_server(name) for name in ("sg5", "web-1")]
    for server in servers:
        ours(project, server, 100).labels[LABEL_RUN_ID] = "before-upgrade"
    project.next_action_fails(servers[1], times=MOST_FAILED_ACTIONS, after_seconds=20)
    night = aws.run({"run_id": "before-upgrade", "new": True})
    assert (night.results["sg5"]["adopted"], night.results["sg5"]["reason"]) == (False, "")
    assert available(project) == {"sg5": 2, "web-1": 1}
    assert night.verdict() == "PartiallyFailed"
    # Nor does its resume, which takes over what the new run has made.
    again = aws.run({"run_id": "before-upgrade"})
    assert again.verdict() == "Completed"
    assert [again.results[name]["adopted"] for name in ("sg5", "web-1")] == [True, False]
    assert again.results["sg5"]["image_id"] == night.results["sg5"]["image_id"]
    assert available(project) == {"sg5": 2, "web-1": 2}


def test_what_another_region_has_made_in_this_run_is_taken_over(
    aws: Aws, world: World, project: Project
) -> None:
    made = ours(project, project.add_server("sg5"), 0)
    made.labels[LABEL_RUN_ID] = "20261121T020000Z"
    made.created = world.clock.now() - timedelta(hours=2)
    night = aws.run(SCHEDULED)
    assert night.results["sg5"]["adopted"]
    assert available(project) == {"sg5": 1}


@pytest.mark.parametrize("run_id", ["nightly-", "-nightly", "-"])
def test_a_run_id_that_is_no_label_is_refused(aws: Aws, project: Project, run_id: str) -> None:
    project.add_server("sg5")
    with pytest.raises(EventRefused, match="begins and ends with a letter or digit"):
        aws.invoke("StartRun", {"run_id": run_id, "new": True})


def test_an_event_that_is_delivered_again_after_midnight_starts_nothing_twice(
    aws: Aws, project: Project
) -> None:
    project.add_server("sg5")
    request = "3f9c2a1b-7777-4000-8000-000000000000"
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    for minutes in (-1, 1):
        with patch("handler.triggers.start_run.datetime", wraps=datetime) as clock:
            clock.now.return_value = midnight + timedelta(minutes=minutes)
            night = aws.run({}, request_id=request)
        assert night.run_id == "20261121-3f9c2a1b7777"
    assert available(project) == {"sg5": 1}


# Names.


def test_servers_whose_long_names_begin_alike_are_told_apart(
    aws: Aws, world: World, project: Project
) -> None:
    begins = "a-host-with-a-very-long-name-of-which-more-than-sixty-three-characters-are-the-same"
    bad, good = project.add_server(begins + "-1"), project.add_server(begins + "-2")
    created = world.clock.now() - timedelta(days=9)
    bad.created = good.created = created
    ours(project, bad, 5)
    project.next_action_fails(bad, times=99, after_seconds=20)
    night = aws.run({})
    assert night.verdict() == "PartiallyFailed"
    assert len(night.results) == 2
    cause = night.executions["default"]["cause"]
    assert cause.count(f"({bad.id})") == 1
    assert "Needs attention" not in cause and "days old" not in cause
    assert "Its newest good snapshot is of 2026-11-16" in cause
    assert len({image.description for image in project.images.values()} - {""}) >= 2


def delayed_and_other(
    effect: Any, skew_minutes: int = 0, path: str = "/servers", first: Iterable[Fault] = ()
) -> Stage:
    """A run that cannot list at first, or what `path` says; another one makes its snapshot."""
    stage = Stage()
    server = stage.project.add_server("sg5")
    stage.old_snapshot(server, 1)
    stage.cloud.skew = timedelta(minutes=skew_minutes)

    def break_listing() -> None:
        stage.world.faults.add(Fault(effect, path=path, times=None))

    def other() -> None:
        stage.world.faults.clear()
        stage.cloud.deliver(
            {"run_id": "other", "new": True}, "bbbbbbbb-0000-4000-8000-000000000000"
        )

    break_listing()
    for fault in first:
        stage.world.faults.add(fault)
    stage.later(2, other)
    # The first run meets it again and again, while the other one makes its snapshot.
    stage.later(5, break_listing)
    stage.later(600, stage.world.faults.clear)
    stage.play(SCHEDULED)
    return stage


def month(stage: Stage, projects: list[str], nights: int) -> None:
    """The executions of so many nights, ended long ago."""
    for night in range(nights):
        for project in projects:
            name = f"202608{night:02}T020000Z_{project}_0"
            ended = Execution(name, {}, 0.0, status="SUCCEEDED")
            stage.cloud.executions = {name: ended, **stage.cloud.executions}


def replay(stage: Stage) -> None:
    """Goes on with what has been delivered since the night was played."""
    from local.virtual.process import in_place

    with in_place(stage.cloud):
        stage.loop.run()
