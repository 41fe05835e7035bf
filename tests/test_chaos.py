"""Random nights, and the stories of an outage, of overlapping runs and of payloads too large.

`python -m tests.chaos` plays more of them, docs/reliability.md says what they are made of.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.documents.job import Result
from handler.documents.labels import LABEL_RUN_ID
from handler.documents.run import BATCH
from local.simulator import Clock, Fault, Project, Simulator, World
from local.simulator.faults import Call, drop, hook, html, status
from local.virtual.cloud import Execution, Fate
from local.virtual.loop import Loop
from local.virtual.machine import Failed, Walk
from local.virtual.stage import Stage
from local.virtual.template import ROOT, Stack
from tests.aws import deployed
from tests.chaos.bad_answers import CREATE
from tests.chaos.check import check
from tests.chaos.invariants import broken
from tests.conftest import TOKEN
from tests.mutants import MUTANTS, Mutant
from tests.snapshots import available, ours

NIGHTS, AT_ONCE, FIRST = 250, 25, 1
SCHEDULED = {"scheduled_time": "2026-11-21T02:00:00Z"}


@pytest.mark.parametrize("first", range(FIRST, FIRST + NIGHTS, AT_ONCE))
def test_random_nights_lose_nothing_double_nothing_and_hide_nothing(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        report = check(seed)
        again = f".venv/bin/python -m tests.chaos --only night --seed {seed} --runs 1 --verbose"
        assert not report.broken, f"{report.broken}; {again}"


def test_the_same_seed_is_the_same_night() -> None:
    def told(seed: int) -> list[Any]:
        stage = check(seed)
        return [stage.told, stage.verdicts, stage.requests]

    assert told(1234) == told(1234)


# The virtual AWS, compared with moto's interpreter and real sockets.


def _all_good(world: World, project: Project) -> None:
    for name in ("sg5", "web-1", "db-1"):
        server = project.add_server(name)
        for days in (1, 2, 3, 4, 5):
            ours(project, server, days)


def _locked(world: World, project: Project) -> None:
    locked, held, _ = (project.add_server(name) for name in ("locked", "held", "free"))
    project.lock(locked, seconds=600)
    project.lock(held, seconds=None)


def _failing(world: World, project: Project) -> None:
    bad, once, _ = (project.add_server(name) for name in ("bad", "once", "good"))
    project.next_action_fails(bad, times=99)
    project.next_action_fails(once, image="unavailable")


def _lost_answers(world: World, project: Project) -> None:
    for name in ("sg5", "web-1"):
        project.add_server(name)
    world.faults.add(Fault(drop(), "POST", CREATE, when="after"))
    world.faults.add(Fault(html(502), path=r"/actions/\d+", times=2))


def _nobody(world: World, project: Project) -> None:
    """A project without servers."""


def _no_api(world: World, project: Project) -> None:
    project.add_server("sg5")
    world.faults.add(Fault(status(503, "unavailable"), times=None))


def _revoked(world: World, project: Project) -> None:
    project.add_server("sg5")
    revoke = hook(lambda *_: world._access.clear())
    world.faults.add(Fault(revoke, path=r"/servers/\d+/actions"))


@pytest.mark.parametrize(
    ("arrange", "event"),
    [
        (_all_good, {}),
        (_all_good, {"dry_run": True}),
        (_all_good, {"prune_only": True, "retention": "last2"}),
        (_all_good, {"servers": ["nobody"]}),
        (_locked, {}),
        (_locked, {"on_locked": "skip"}),
        (_failing, {}),
        (_lost_answers, {}),
        (_nobody, {}),
        (_no_api, {}),
        (_revoked, {}),
    ],
)
def test_the_driver_and_moto_come_to_the_same(
    arrange: Callable[[World, Project], None], event: dict[str, Any], world: World, project: Project
) -> None:
    stage = Stage()
    arrange(stage.world, stage.project)
    arrange(world, project)
    _same_seconds(stage.project, project)
    stage.play(event)
    assert broken(stage) == []
    [execution] = stage.cloud.executions.values()
    with (
        Simulator(world) as simulator,
        deployed(world.clock, Stack(HetznerEndpoint=simulator.url)) as aws,
    ):
        aws.store_token("default", TOKEN)
        night = aws.run(event)
    told = {r["server"]: _essence(asdict(Result(**r))) for r in execution.results.values()}
    assert told == {name: _essence(result) for name, result in night.results.items()}
    assert (execution.error or "Completed") == night.verdict()
    assert available(stage.project) == available(project)
    assert execution.status == night.executions["default"]["status"]


def _same_seconds(*projects: Project) -> None:
    for project in projects:
        for server in project.servers.values():
            project.snapshot_seconds[server.id] = 60 + server.id % 7 * 20


def _essence(result: dict[str, Any]) -> tuple[Any, ...]:
    """The part of a run that depends neither on random waits nor on the order of branches."""
    whole = Result(**result)  # a child leaves out what is as usual
    return bool(whole.image_id), whole.status, whole.deleted, whole.kept, whole.pruned


@pytest.mark.parametrize(
    "change",
    [
        {"InputPath": "$.x"},
        {"ResultSelector": {}},
        {"HeartbeatSeconds": 5},
        {"Type": "Parallel"},
    ],
)
def test_the_driver_refuses_what_it_does_not_know(change: dict[str, Any]) -> None:
    stage = Stage()
    state = {"Type": "Task", "Resource": "a:b", "TimeoutSeconds": 1, "End": True} | change
    walk = Walk(stage.loop, stage.stream("walk"), lambda *_: {})
    with pytest.raises((NotImplementedError, KeyError)):
        walk.run({"StartAt": "A", "States": {"A": state}}, {})


# Outages.


@pytest.mark.parametrize("path", ["/servers", CREATE, r"/actions/\d+", "/images", r"/images/\d+"])
@pytest.mark.parametrize("minutes", [20])
def test_an_outage_of_20_minutes_wherever_it_begins_ends_completed(path: str, minutes: int) -> None:
    stage = Stage()
    for name in ("sg5", "web-1", "db-1"):
        server = stage.project.add_server(name)
        for days in (1, 2, 3, 4, 5):
            ours(stage.project, server, days)
    method = {CREATE: "POST", r"/images/\d+": "DELETE"}.get(path, "GET")
    began: list[datetime] = []

    def begin(world: World, *_: Any) -> None:
        began.append(world.clock.now())

    def down(call: Call) -> Any:
        if began and call.world.clock.now() < began[0] + timedelta(minutes=minutes):
            return status(503, "unavailable")(call)
        return None

    # The second listing of images is the pruning's.
    stage.world.faults.add(Fault(hook(begin), method, path, nth=4 if path == "/images" else 1))
    stage.world.faults.add(Fault(down, times=None))
    stage.play({})
    assert began
    assert broken(stage) == []
    [execution] = stage.cloud.executions.values()
    assert execution.status == "SUCCEEDED", execution.cause
    made = available(stage.project, execution.input["run"]["id"])
    assert made == {"sg5": 1, "web-1": 1, "db-1": 1}
    assert stage.truth.deletions


# Runs at the same time.


def _night_of(*events: dict[str, Any], arrange: Callable[[Stage], None] | None = None) -> Stage:
    stage = Stage()
    for number in range(3):
        server = stage.project.add_server(f"s{number}")
        ours(stage.project, server, 1)
    if arrange:
        arrange(stage)
    stage.play(*events)
    assert broken(stage) == []
    return stage


def test_overlapping_runs_of_the_same_id_make_one_snapshot_of_each_server() -> None:
    stage = _night_of(SCHEDULED, SCHEDULED | {"max_deletions": 3})
    assert len(stage.cloud.executions) == 2
    assert available(stage.project, "20261121T020000Z") == {"s0": 1, "s1": 1, "s2": 1}
    assert {e.status for e in stage.cloud.executions.values()} == {"SUCCEEDED"}


def test_overlapping_runs_of_different_ids_make_one_snapshot_each() -> None:
    wide = {"retention": "last9", "new": True}
    stage = _night_of({"run_id": "one"} | wide, {"run_id": "other"} | wide)
    for run_id in ("one", "other"):
        assert available(stage.project, run_id) == {"s0": 1, "s1": 1, "s2": 1}
    assert {e.status for e in stage.cloud.executions.values()} == {"SUCCEEDED"}


def test_a_schedule_delivered_three_times_runs_once() -> None:
    stage = _night_of(SCHEDULED, SCHEDULED, SCHEDULED)
    assert len(stage.cloud.executions) == 1
    assert available(stage.project) == {"s0": 2, "s1": 2, "s2": 2}


def test_a_start_that_fails_for_the_second_of_three_projects_is_made_up_for() -> None:
    stage = Stage()
    projects = [stage.project, stage.add_project("second"), stage.add_project("third")]
    for project in projects:
        project.add_server("sg5")
    stage.cloud.start_errors["second"] = 1
    stage.play(SCHEDULED)
    assert broken(stage) == []
    assert [refusal.partition(":")[0] for refusal in stage.cloud.refusals] == ["NotAllStarted"]
    assert [e.status for e in stage.cloud.executions.values()] == ["SUCCEEDED"] * 3
    assert [available(project) for project in projects] == [{"sg5": 1}] * 3


def test_a_stopped_run_is_resumed_by_its_id_and_makes_what_is_missing() -> None:
    def stop(stage: Stage) -> None:
        def act() -> None:
            [execution] = stage.cloud.executions.values()
            stage.cloud.stop(execution)
            stage.cloud.deliver({"run_id": "tonight"}, "bbbbbbbb-0000-4000-8000-000000000000")

        stage.later(60, act)

    stage = _night_of({"run_id": "tonight", "new": True}, arrange=stop)
    assert [e.status for e in stage.cloud.executions.values()] == ["ABORTED", "SUCCEEDED"]
    assert available(stage.project, "tonight") == {"s0": 1, "s1": 1, "s2": 1}


# AWS's own troubles.


@pytest.mark.parametrize("what", ["throttled", "dies", "hangs", "unheard", "lost"])
@pytest.mark.parametrize("function", ["ListServers", "CreateSnapshot", "CheckSnapshot",
                                      "PruneSnapshots", "SummariseRun", "StartRun"])  # fmt: skip
@pytest.mark.parametrize("pause", [2, 5, 99])
def test_a_function_in_trouble_once_costs_time_only(what: str, function: str, pause: int) -> None:
    def arrange(stage: Stage) -> None:
        stage.cloud.fates.append(Fate(what, function, 1, pause))

    stage = _night_of({"run_id": "tonight", "new": True}, arrange=arrange)
    assert available(stage.project, "tonight") == {"s0": 1, "s1": 1, "s2": 1}
    assert "SUCCEEDED" in {e.status for e in stage.cloud.executions.values()}


@pytest.mark.parametrize("what", ["dies", "hangs", "unheard", "lost"])
@pytest.mark.parametrize("pause", [3, 5, 6, 99])
def test_a_pruning_that_is_cut_off_deletes_no_more_than_allowed(what: str, pause: int) -> None:
    stage = Stage()
    server = stage.project.add_server("sg5")
    for days in range(1, 13):
        ours(stage.project, server, days)
    stage.cloud.fates += [Fate(what, "PruneSnapshots", nth, pause) for nth in (1, 1, 1)]
    stage.play({"retention": "last1", "max_deletions": 2})
    assert broken(stage) == []
    assert len(stage.truth.deletions) == 2


def test_a_summary_that_never_comes_leaves_the_execution_red() -> None:
    def arrange(stage: Stage) -> None:
        stage.cloud.fates += [Fate("dies", "SummariseRun", 1, 1) for _ in range(6)]

    stage = _night_of({"run_id": "tonight", "new": True}, arrange=arrange)
    [execution] = stage.cloud.executions.values()
    assert (execution.status, execution.error) == ("FAILED", "Runtime.ExitError")


def test_a_rotated_token_is_read_again_by_new_containers() -> None:
    def arrange(stage: Stage) -> None:
        def rotate() -> None:
            stage.project.add_token(stage.next_token)
            stage.cloud.tokens[stage.parameter] = stage.next_token

        stage.later(30, rotate)

    stage = _night_of({"run_id": "tonight", "new": True}, arrange=arrange)
    assert {e.status for e in stage.cloud.executions.values()} == {"SUCCEEDED"}


def test_an_image_of_this_run_that_is_of_no_use_is_not_adopted() -> None:
    def arrange(stage: Stage) -> None:
        server = stage.any_server(stage.stream("any"))
        labels = {LABEL_RUN_ID: "tonight"}
        stage.old_snapshot(server, days=0.01, status="unavailable", labels=labels)

    stage = _night_of({"run_id": "tonight", "new": True}, arrange=arrange)
    assert available(stage.project, "tonight") == {"s0": 1, "s1": 1, "s2": 1}


def test_what_is_spared_for_another_run_is_not_tried_again_and_again() -> None:
    """One may go, but that one is of a run that is going on: nothing to delete, and no more."""
    stage = Stage()
    server = stage.project.add_server("s0")
    stage.old_snapshot(server, 0.8, labels={LABEL_RUN_ID: "X"})
    stage.old_snapshot(server, 0.2, labels={LABEL_RUN_ID: "Y"})
    stage.cloud.executions["X_default_0"] = Execution("X_default_0", {}, 0.0)
    stage.play({"retention": "last1", "max_deletions": 1})
    assert not [deletion for deletion in stage.truth.deletions if deletion.by]
    pruned = [i.output for i in stage.cloud.invocations if i.function == "PruneSnapshots"]
    assert len(pruned) <= 2
    assert pruned[-1]["status"] == "available"
    assert "1 more to delete next time" in pruned[-1]["reason"]


# Payloads.


def test_names_and_errors_of_any_length_fit_the_states() -> None:
    stage = Stage()
    for number in range(BATCH):
        stage.project.add_server(f"s{number}-" + "é" * 250)
    long = status(403, "forbidden", "x" * 100_000)
    stage.world.faults.add(Fault(long, "POST", times=None))
    stage.play({"run_id": "tonight", "new": True})
    assert broken(stage) == []
    [execution] = stage.cloud.executions.values()
    assert len(execution.results) == BATCH
    assert execution.error == "Failed"


@pytest.mark.parametrize(("form", "count"), [("object", 10), ("32 kB", 1)])
def test_some_failed_children_fit_beside_a_full_batch_of_the_longest_results(
    form: str, count: int
) -> None:
    """What Step Functions puts in their place is large, and a state that is too large ends all."""
    stage = Stage()
    servers = [stage.project.add_server(f"s{number}-" + "é" * 250) for number in range(BATCH)]
    stage.world.faults.add(Fault(status(403, "forbidden", "x" * 100_000), "POST", times=None))
    stage.cloud.lost_children.update({server.id: form for server in servers[:count]})
    stage.play({"run_id": "tonight", "new": True})
    assert broken(stage) == []
    [execution] = stage.cloud.executions.values()
    assert execution.error == "Failed"
    told = [i for i in stage.cloud.invocations if i.function == "SummariseRun"][-1]
    results = [
        result for line in told.logs for result in [json.loads(line).get("result")] if result
    ]
    assert len(results) == BATCH
    assert sum("ended without a result" in r["reason"] for r in results) == count


def test_a_document_too_large_for_a_state_fails_as_on_aws() -> None:
    stage = Stage()
    walk = Walk(stage.loop, stage.stream("walk"), lambda *_: {"x": "y" * 300_000})
    task = {"Type": "Task", "Resource": "a:b", "TimeoutSeconds": 1, "End": True}
    task["Catch"] = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "A"}]
    with pytest.raises(Failed, match=r"States\.DataLimitExceeded"):
        walk.run({"StartAt": "A", "States": {"A": task}}, json.loads("{}"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_sabotage_fits_the_code(mutant: Mutant) -> None:
    """One that fits no longer would break nothing when `make mutants` plays it."""
    assert mutant.old in (ROOT / mutant.file).read_text()
    assert mutant.old != mutant.new


def test_a_wait_that_was_given_up_cuts_no_later_one_short() -> None:
    loop = Loop(Clock(datetime(2026, 11, 21, tzinfo=UTC)))
    ended: list[float] = []

    def work() -> None:
        slow = loop.spawn(lambda: loop.sleep(90))
        assert not loop.wait(slow, timeout=15)
        loop.sleep(300)
        ended.append(loop.now)

    loop.spawn(work)
    loop.run()
    assert ended == [315]
