"""`make drill`: what it makes of an execution's history, what it asks, and what it refuses."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handler.decisions.choosing import NO_SNAPSHOT
from local.access import Access
from local.cloud import Cloud
from local.common.console import plain_console
from local.common.following import follow
from local.common.restores import Told, grouped, planned, reasons, record, worst
from local.common.variables import Unusable
from local.drill import (
    Drill,
    as_planned,
    can_have_a_night,
    load_drill,
    question,
    refuse_undrilled,
    write_drill,
)
from local.options import NOT_HERE, Options
from local.run import Interrupted, Refused
from local.simulator import Clock, World
from local.simulator.fleet import add_default_fleet, greets_on_sockets
from local.virtual.template import ROOT
from tests.restore_histories import GOOD_LINE, document, drill, history, result, summarised

EVIL = "\x1b[2Jevil\nnext\u202e"


def told(events: list[dict[str, Any]], **described: Any) -> Told:
    found = Told()
    for event in events:
        found.add(event)
    found.end({"status": "SUCCEEDED", **described})
    return found


def test_its_steps_are_told_in_words_each_once() -> None:
    found = Told()
    steps = [step for event in [*drill(), *drill()[4:5]] if (step := found.add(event))]
    assert [(step.server, step.what, step.elapsed_s) for step in steps[:7]] == [
        ("sg5", "creating the copy", 2),
        ("sg5", "creating the copy", 30),
        ("sg5", "booting", 60),
        ("sg5", "probing", 120),
        ("sg5", "removing the copy", 154),
        ("sg5", "removing the copy", 156),
        ("sg5", "proven", 166),
    ]
    same = document("booting", "it is powered on", 60)
    again = Told()
    assert [bool(again.add(event)) for event in history(("CheckServer", same))] == [True]
    assert [again.add(event) for event in history(("CheckServer", same), first=9)] == [None]


def test_what_programs_read_is_the_verdict_and_each_restore() -> None:
    found = told(drill())
    assert (found.verdict, found.line) == ("Completed", GOOD_LINE)
    assert record([found]) == {
        "verdict": "Completed",
        "restores": [
            {
                "server": "sg5", "image_id": 90016, "status": "proven", "reason": "",
                "seconds": 94, "server_type": "cx23", "location": "fsn1", "cost": "0.01 EUR",
            }
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("described", "verdict", "line"),
    [
        ({"status": "FAILED", "error": "Failed", "cause": "Failed: why"}, "Failed", "Failed: why"),
        ({"status": "FAILED", "error": "PartiallyFailed", "cause": "x"}, "PartiallyFailed", "x"),
        (
            {"status": "FAILED", "error": "PartiallyFailed.NotificationFailed", "cause": "x"},
            "PartiallyFailed",
            "x",
        ),
        ({"status": "FAILED", "error": "States.Timeout", "cause": "late"}, "Failed", "late"),
        ({"status": "ABORTED"}, "Failed", "Failed: the execution is ABORTED"),
    ],
)
def test_what_did_not_complete_says_why(described: dict[str, str], verdict: str, line: str) -> None:
    found = told([], **described)
    assert (found.verdict, found.line) == (verdict, line)
    assert worst([told(drill()), found]) == verdict


def test_an_execution_that_never_ended_has_failed() -> None:
    assert worst([Told()]) == worst([]) == "Failed"


def test_results_that_no_summary_came_for_are_there_all_the_same() -> None:
    planned = {"status": "ready", "restores": [{"run": {}, "status": "new"}]}
    after = {"status": "ready", "restores": [result("unproven")]}
    found = told(history(("PlanRestore", planned), ("RestoreServers", after)), status="FAILED")
    assert [each.status for each in found.results] == ["unproven"]


def test_what_the_local_aws_tells_of_its_functions_is_understood_too() -> None:
    [event] = history(("CheckServer", document("booting", "it is powered on", 60)))
    output = event.pop("stateExitedEventDetails")["output"]
    for name in ("taskSucceededEventDetails", "lambdaFunctionSucceededEventDetails"):
        step = Told().add({**event, name: {"output": output}})
        assert step and step.what == "booting"


def test_waiting_for_an_api_that_is_down_is_told() -> None:
    waiting = {"status": "waiting", "reason": "Hetzner is down", "restores": []}
    step = Told().add(history(("PlanRestore", waiting))[0])
    assert step and (step.server, step.what, step.reason) == (
        "",
        "waiting to plan",
        waiting["reason"],
    )


def test_servers_of_which_the_same_is_to_say_stand_in_one_line() -> None:
    notes = ["a: no snapshot", "b: no snapshot", "c: its label is bad", "Two stacks"]
    assert list(grouped(notes)) == ["a, b: no snapshot", "c: its label is bad", "Two stacks"]


@pytest.mark.parametrize(
    ("status", "reason", "problem", "said"),
    [
        ("proven", "greets; removed", "", []),
        ("proven", "greets. There is no key.", "There is no key.", ["sg5: There is no key."]),
        ("unproven", "no greeting", "", ["sg5: unproven: no greeting"]),
        ("unproven", "cx23 in fsn1", "", []),  # it is in the line
        ("failed", "Busy. It is left.", "It is left.", ["sg5: failed: Busy. It is left."]),
    ],
)
def test_what_the_line_does_not_say_is_said_below_it(
    status: str, reason: str, problem: str, said: list[str]
) -> None:
    found = told(history(summarised(result(status, reason=reason, problem=problem))))
    assert list(reasons(found)) == said


def test_nothing_that_others_have_named_steers_the_terminal() -> None:
    events = history(
        ("CheckServer", document("booting", EVIL, server={"name": EVIL}, copy_id=1)),
        summarised(result(reason=EVIL, server=EVIL), line=EVIL),
    )
    found = Told()
    [step] = [step for event in events if (step := found.add(event))]
    found.end({"status": "FAILED", "error": EVIL, "cause": EVIL})
    texts = [step.server, step.reason, found.line, *planned(found), *found.copies]
    assert all(text.isprintable() and "evil" in text for text in texts)


class StepFunctions:
    """Gives one event more with each look, then has ended."""

    def __init__(self, events: list[dict[str, Any]], per_look: int = 1) -> None:
        self._events = events
        self._per_look = per_look
        self._looks = 0
        self.pages_read = 0

    def describe_execution(self, executionArn: str) -> dict[str, str]:
        self._looks += 1
        shown = self._looks * self._per_look
        return {"status": "RUNNING" if shown < len(self._events) else "SUCCEEDED"}

    def get_paginator(self, name: str) -> "StepFunctions":
        return self

    def paginate(self, **_: Any) -> Any:
        newest_first = self._events[: self._looks * self._per_look][::-1]
        for start in range(0, len(newest_first), 2):
            self.pages_read += 1
            yield {"events": newest_first[start : start + 2]}


@pytest.mark.parametrize("per_look", [1, 3, 100])
def test_every_event_is_read_once_in_its_order(per_look: int) -> None:
    aws = StepFunctions(drill(), per_look)
    shown: list[int] = []
    found = follow(aws, "arn", Told(), lambda step: shown.append(step.elapsed_s), lambda: None)
    assert shown == [2, 30, 60, 120, 154, 156, 166]
    assert found.verdict == "Completed" and found.line == GOOD_LINE
    assert aws.pages_read <= 12


@pytest.mark.parametrize("name", ["drill"])
def test_the_event_in_the_folder_is_a_drill(name: str) -> None:
    assert load_drill(str(ROOT / f"events/{name}.json")) == {"keep": False}


@pytest.mark.parametrize(
    ("event", "expected", "why"),
    [
        ('{"servers": ["sg5"], "keep": true}', Unusable, "A drill keeps nothing"),
        ('{"sweep": true}', Unusable, "leave keep and sweep out"),
        ('{"server": "sg5"}', Refused, 'unknown field "server"'),
        ("{", Unusable, "is not JSON"),
        ("", Unusable, "EVENT is empty"),
    ],
)
def test_what_is_no_drill_is_refused(event: str, expected: type[Exception], why: str) -> None:
    with pytest.raises(expected) as refusal:
        load_drill(event)
    assert why in str(refusal.value)


def test_on_the_real_api_nobody_is_taken_by_surprise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(Unusable) as refusal:
        refuse_undrilled("real", {}, yes=False)
    assert "make a server on the real Hetzner API, which costs money, and delete it" in str(
        refusal.value
    )
    refuse_undrilled("real", {}, yes=True)
    refuse_undrilled("real", {"dry_run": True}, yes=False)
    refuse_undrilled("simulator", {}, yes=False)


def test_the_question_says_what_is_made_and_deleted_and_what_it_costs() -> None:
    plan = [told(history(summarised(result("planned"))))]
    asked = question(plan, "https://api.example/v1")
    assert "a server is made at Hetzner" in asked and "deleted again" in asked
    assert "It costs 0.0074 EUR per hour" in asked
    assert asked.endswith("Do this on https://api.example/v1, for real?")
    assert list(planned(plan[0])) == [
        "sg5: snapshot 90016 of 2026-11-20 02:03 UTC, into a new server cx23 in fsn1, "
        "0.0074 EUR per hour"
    ]


def test_what_was_planned_is_what_is_done() -> None:
    skipped = result("skipped", id=43, reason="its label is bad")
    plan = [told(history(summarised(result("planned"), skipped)))]
    assert as_planned({"keep": False}, plan) == {"keep": False, "servers": [42, 43]}
    of_a_snapshot = {"snapshot": 90016}
    assert as_planned(of_a_snapshot, plan) == of_a_snapshot


def test_a_night_comes_first_only_on_the_simulator_and_where_nothing_is_saved() -> None:
    unsaved = result("failed", reason=NO_SNAPSHOT)
    nothing = [told(history(summarised(unsaved, verdict="Failed", line="no snapshot")))]
    unknown = [told(history(summarised(verdict="Failed", line="Failed: there is no server x")))]
    something = [told(history(summarised(result("planned"))))]
    assert can_have_a_night({}, nothing, "simulator")
    assert not can_have_a_night({}, something, "simulator")
    assert not can_have_a_night({"servers": ["x"]}, unknown, "simulator")
    assert not can_have_a_night({}, nothing, "real")
    assert not can_have_a_night({}, nothing, "given")
    assert not can_have_a_night({"snapshot": 90016}, nothing, "simulator")


def test_a_drill_that_failed_is_recorded_as_such(tmp_path: Path) -> None:
    path = tmp_path / "build" / "drill.json"
    failed = told([], status="FAILED", error="Failed", cause="Failed: why")
    assert write_drill([failed], path) == "Failed"
    assert json.loads(path.read_text()) == {"verdict": "Failed", "restores": []}


@pytest.mark.parametrize(("api", "said"), [("real", True), ("given", True), ("simulator", False)])
def test_a_drill_that_is_interrupted_names_what_it_may_leave_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Any, said: bool
) -> None:
    cloud = Cloud(Access("http://127.0.0.1:9", "secret"), api, "http://h/v1", 1.0, str(tmp_path))
    screen = io.StringIO()

    def interrupted() -> None:
        raise Interrupted(2)

    one = Drill(cloud, plain_console(screen), tmp_path / "drill.json", interrupted)
    monkeypatch.setattr(one, "_step_functions", StepFunctions(drill()))
    answer = {"run_id": "1", "executions": [{"execution_arn": "arn"}]}
    monkeypatch.setattr("local.drill.start", lambda *_: answer)
    monkeypatch.setattr("local.drill.outputs", lambda _: {"StartRestoreFunction": "f"})
    with pytest.raises(Interrupted):
        one.play({})
    assert ("hcloud server delete drill-1-42" in screen.getvalue()) is said


@pytest.mark.parametrize(
    ("status", "is_dry", "begins"),
    [
        ("planned", False, "The drill restores, looks whether it comes back"),
        ("planned", True, "A dry run: nothing is made. A drill would restore:"),
        ("failed", True, "  sg5: failed: why"),
    ],
)
def test_a_plan_says_whether_it_is_carried_out(
    tmp_path: Path, status: str, is_dry: bool, begins: str
) -> None:
    cloud = Cloud(Access("http://127.0.0.1:9", "secret"), "given", "http://h/v1", 1.0, "/")
    screen = io.StringIO()
    plan = told(history(summarised(result(status, reason="why"))))
    Drill(cloud, plain_console(screen), tmp_path / "drill.json").say_plan([plan], is_dry)
    assert screen.getvalue().startswith(begins)


def test_only_a_person_starts_drills_here() -> None:
    assert {"DrillSchedule", "DrillScheduleState"} <= NOT_HERE.keys()
    assert Options.from_env({"PARAMETERS": "BootMinutes=5"}).parameters == {"BootMinutes": "5"}


def test_a_fleet_that_greets_on_sockets_needs_no_root_and_says_where() -> None:
    world = World(Clock(datetime(2026, 11, 21, tzinfo=UTC)), seed=1)
    project = add_default_fleet(world)
    greets_on_sockets(project)
    assert project.boot.port >= 1024
    for server in project.servers.values():
        assert server.labels["hetzner-snapshots/probe"] == f"ssh.{project.boot.port}"
