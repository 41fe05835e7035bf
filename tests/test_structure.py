"""That the source tree, the template and the definition agree."""

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.decisions.selecting import PROBLEM_BYTES
from handler.documents.document import REASON_CHARACTERS, Run, Stopwatch
from handler.documents.job import (
    NAME_BYTES,
    RESULT_BYTES,
    Job,
    Result,
    ServerItem,
    StartedSnapshot,
    cut,
)
from handler.documents.memory import LastLook
from handler.documents.request import MOST_SELECTION_CHARACTERS
from handler.documents.restore import Restore
from handler.documents.restore_run import MOST_RESTORES
from handler.documents.run import (
    BATCH,
    MOST_ATTENTION,
    MOST_CONCURRENT_RUNS,
    Concern,
    RunDocument,
    Selection,
    Totals,
)
from handler.report.results import results_of
from local.virtual.functions import APART, FUNCTIONS, RESTORING
from local.virtual.template import ROOT, Stack

HANDLER = ROOT / "handler"
STATE_BYTES = 262_144
# Each state machine, and the room of its states.
MACHINES = {"SnapshotRun": "snapshot_run", "RestoreRun": "restore_run"}
STARTED = ("StartRun", "WatchServers", "StartRestore")  # by a schedule or a person
PURE = ("documents", "decisions", "report")
NOT_PURE = {"os", "time", "random", "socket", "urllib", "subprocess", "threading"}


@dataclass(frozen=True)
class Room:
    """A row of CONTRIBUTING's table: which rooms and which libraries its files may import."""

    imports: frozenset[str]
    libraries: frozenset[str]


@cache
def rooms() -> dict[str, Room]:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| `(\w+)/` \|[^|]*\|([^|]*)\|([^|]*)\|$", text, re.MULTILINE)
    return {
        name: Room(*(frozenset(re.findall(r"`(\w+)/?`", cell)) for cell in cells))
        for name, *cells in rows
    }


@cache
def modules() -> dict[str, ast.Module]:
    """Each file of the functions, as room.module."""
    return {
        f"{path.parent.name}.{path.stem}": ast.parse(path.read_text())
        for path in HANDLER.glob("*/*.py")
    }


def imports(tree: ast.Module) -> set[str]:
    """What it imports: `room.module` if it is ours, else the library."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.count(".") == 1 and node.module.startswith("handler."):
                room = node.module.removeprefix("handler.")
                found |= {f"{room}.{alias.name}" for alias in node.names}
            elif node.module.startswith("handler."):
                found.add(node.module.removeprefix("handler."))
            else:
                found.add(node.module.split(".")[0])
    return found


def all_states(machine: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each level of the definition (the machine, the Map's processor) with each of its states."""
    for state in machine["States"].values():
        yield machine, state
        if "ItemProcessor" in state:
            yield from all_states(state["ItemProcessor"])


def machine(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Stack().definition(name))
    return found


@pytest.fixture(scope="module", params=MACHINES)
def definition(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each machine's, one after the other."""
    return machine(request.param)


@pytest.fixture(scope="module")
def night() -> dict[str, Any]:
    return machine("SnapshotRun")


@pytest.fixture(scope="module")
def restoring() -> dict[str, Any]:
    return machine("RestoreRun")


def module_name(function: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function).lower()


def test_state_function_and_file_have_one_name() -> None:
    resources = Stack().template["Resources"]
    deployed = [n for n, r in resources.items() if r["Type"] == "AWS::Serverless::Function"]
    assert sorted(deployed) == sorted((*FUNCTIONS, *RESTORING, APART))
    assert Stack().module(APART) == f"tell.{module_name(APART)}"
    for name in (*FUNCTIONS, *RESTORING):
        package, _, module = Stack().module(name).rpartition(".")
        assert package in ("handler.triggers", *(f"handler.{room}" for room in MACHINES.values()))
        assert module == module_name(name)
    found = []
    for name, room in MACHINES.items():
        tasks = {
            name: state["Resource"].rsplit(":", 1)[1]
            for level, _ in all_states(machine(name))
            for name, state in level["States"].items()
            if state["Type"] == "Task"
        }
        assert all(name == function for name, function in tasks.items())
        files = {path.stem for path in (HANDLER / room).glob("*.py")} - {"__init__"}
        assert files == {module_name(name) for name in tasks}
        found += tasks
    assert sorted(found) == sorted({*FUNCTIONS, *RESTORING} - {*STARTED})


def test_every_room_is_in_contributing_and_says_what_it_is_for() -> None:
    assert rooms().keys() == {path.parent.name for path in HANDLER.glob("*/__init__.py")}
    assert not [path for path in HANDLER.glob("*.py") if path.stem != "__init__"]
    for name, tree in modules().items():
        assert ast.get_docstring(tree), name


def test_a_room_imports_what_contributing_allows_it() -> None:
    known, table = modules(), rooms()
    for name, tree in known.items():
        room, found = name.partition(".")[0], imports(tree)
        others = {one.partition(".")[0] for one in found & known.keys()} - {room}
        assert others <= table[room].imports, name
        libraries = {f for f in found if "." not in f and f not in sys.stdlib_module_names}
        assert libraries <= table[room].libraries, name


def test_only_the_api_imports_hcloud() -> None:
    assert [name for name, tree in modules().items() if "hcloud" in imports(tree)] == [
        "hetzner.api"
    ]


def test_no_state_imports_another() -> None:
    for name, tree in modules().items():
        rooms_of_states = tuple(f"{room}." for room in MACHINES.values())
        assert not {f for f in imports(tree) if f.startswith(rooms_of_states)}, name


def test_documents_decisions_and_reports_have_neither_clock_nor_environment_nor_chance() -> None:
    for name, tree in modules().items():
        if name.partition(".")[0] not in PURE:
            continue
        assert not imports(tree) & NOT_PURE, name
        now_calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("now", "utcnow", "today")
        ]
        assert not now_calls, name


def test_no_function_of_the_functions_is_long() -> None:
    for path in [*HANDLER.glob("*/*.py"), *(ROOT / "tell").glob("*.py")]:
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 45, f"{path}: {node.name}"
        assert len(text.splitlines()) <= 300, path


def test_nothing_in_the_functions_sleeps() -> None:
    for path in HANDLER.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert "sleep" not in path.read_text(), path
            assert "wait_until_finished" not in path.read_text(), path


def test_every_transition_has_a_target_and_every_state_is_reached(
    definition: dict[str, Any],
) -> None:
    levels = {id(level): level for level, _ in all_states(definition)}.values()
    assert len(levels) == 2
    for level in levels:
        states = level["States"]
        reached, to_visit = set(), [level["StartAt"]]
        while to_visit:
            name = to_visit.pop()
            if name not in reached:
                reached.add(name)
                to_visit += targets(states[name])
        assert reached == states.keys()
        ends = [n for n, s in states.items() if s["Type"] in ("Succeed", "Fail") or s.get("End")]
        assert ends


def targets(state: dict[str, Any]) -> list[str]:
    rules = [*state.get("Choices", []), *state.get("Catch", [])]
    named = [rule["Next"] for rule in rules]
    return named + [state[key] for key in ("Next", "Default") if key in state]


def test_every_task_has_a_timeout_longer_than_its_functions(definition: dict[str, Any]) -> None:
    stack = Stack()
    shared = stack.template["Globals"]["Function"]["Timeout"]
    for _, state in all_states(definition):
        if state["Type"] == "Task":
            function = state["Resource"].rsplit(":", 1)[1]
            own = stack.resource(function)["Properties"].get("Timeout", shared)
            assert state["TimeoutSeconds"] > own


def test_every_task_retries_lambdas_own_failures_and_catches_all(
    definition: dict[str, Any],
) -> None:
    for _, state in all_states(definition):
        if state["Type"] != "Task":
            continue
        throttled, retry = state["Retry"]
        # A throttled call has not begun: it is tried again soon, often and out of step.
        assert throttled["ErrorEquals"] == ["Lambda.TooManyRequestsException"]
        assert throttled["JitterStrategy"] == "FULL"
        assert throttled["MaxAttempts"] == 20
        assert "States.ALL" not in retry["ErrorEquals"]
        assert {"Lambda.Unknown", "States.Timeout"} <= set(retry["ErrorEquals"])
        assert retry["MaxAttempts"] <= 5
        assert [catch["ErrorEquals"] for catch in state["Catch"]] == [["States.ALL"]]


def test_a_call_that_lambdas_api_throttles_is_tried_again_for_a_quarter_of_an_hour(
    definition: dict[str, Any],
) -> None:
    for _, state in all_states(definition):
        if state["Type"] != "Task":
            continue
        throttled, retry = state["Retry"]
        first, factor = throttled["IntervalSeconds"], throttled["BackoffRate"]
        waits = [first * factor**n for n in range(throttled["MaxAttempts"])]
        assert sum(min(wait, throttled["MaxDelaySeconds"]) for wait in waits) >= 15 * 60
        # Emulators say Exception when a call is throttled. On AWS that is an error of our code: the
        # function had begun, and may have done something.
        assert not {"Exception", "States.TaskFailed"} & set(retry["ErrorEquals"])


def test_a_child_that_step_functions_ended_counts_for_its_server_in_either_form() -> None:
    run = Run("night", "p", "o", "last1", False, False, "wait", 5, 200, 60, 180)
    arn = "arn:aws:states:eu-central-1:123456789012:execution:SnapshotRun/Server:0b1c"
    # Emulators put a null in its place; AWS documents an object of the execution.
    ended = {"ExecutionArn": arn, "Status": "FAILED", "Error": "States.Runtime", "Cause": "c" * 99}
    for form in (None, ended):
        document = RunDocument(
            run=run,
            selection=Selection(),
            status="ready",
            handed_out=(1, 2),
            batch=(form, {"server": "b", "id": 2, "status": "available", "reason": ""}),  # type: ignore[arg-type]
        )
        results = {result.id: result.status for result in results_of(document, "")}
        assert results == {1: "failed", 2: "available"}


def test_a_create_is_tried_again_only_when_the_lost_one_can_be_seen(
    night: dict[str, Any],
) -> None:
    children = night["States"]["SnapshotServers"]["ItemProcessor"]["States"]
    _, retry = children["CreateSnapshot"]["Retry"]
    # The function may still be running when Step Functions has lost it.
    assert retry["IntervalSeconds"] > Stack().template["Globals"]["Function"]["Timeout"]
    # Full jitter starts at zero seconds.
    assert "JitterStrategy" not in retry


def test_the_map_never_starts_over_and_tolerates_every_failure(night: dict[str, Any]) -> None:
    step = night["States"]["SnapshotServers"]
    assert "Retry" not in step
    assert step["ToleratedFailurePercentage"] == 100.0
    assert step["Label"] == "Server"
    caught = [error for catch in step["Catch"] for error in catch["ErrorEquals"]]
    # States.ALL does not catch the data limit.
    assert caught == ["States.DataLimitExceeded", "States.ALL"]
    assert step["ItemProcessor"]["ProcessorConfig"] == {
        "Mode": "DISTRIBUTED",
        "ExecutionType": "STANDARD",
    }


def test_restores_are_one_at_a_time_and_never_start_over(restoring: dict[str, Any]) -> None:
    step = restoring["States"]["RestoreServers"]
    assert "Retry" not in step
    assert step["MaxConcurrency"] == 1
    assert step["ItemProcessor"]["ProcessorConfig"] == {"Mode": "INLINE"}
    caught = [error for catch in step["Catch"] for error in catch["ErrorEquals"]]
    assert caught == ["States.DataLimitExceeded", "States.ALL"]
    # A history has 25,000 events. A look is ten of them, and there is one a minute for two hours
    # of making and starting, and one of removing.
    assert MOST_RESTORES * 10 * (60 + 15 + 60) <= 25_000 * 1.1
    states = step["ItemProcessor"]["States"]
    for name in ("CreateServer", "RemoveServer"):
        # What it has sent can be seen by then.
        assert states[name]["Retry"][1]["IntervalSeconds"] > 120
        assert "JitterStrategy" not in states[name]["Retry"][1]


def test_a_drill_that_breaks_off_is_removed_and_what_is_kept_never_is(
    restoring: dict[str, Any],
) -> None:
    states = restoring["States"]["RestoreServers"]["ItemProcessor"]["States"]
    [question] = states["MayBeRemoved?"]["Choices"]
    assert question == {"Variable": "$.keep", "BooleanEquals": False, "Next": "RemoveServer"}
    assert states["MayBeRemoved?"]["Default"] == "RestoreBrokeOff"
    catches = {name: s["Catch"][0]["Next"] for name, s in states.items() if s["Type"] == "Task"}
    assert catches == {
        "CreateServer": "MayBeRemoved?",
        "CheckServer": "MayBeRemoved?",
        "RemoveServer": "RestoreBrokeOff",
    }
    # All other ways to it ask for the status that only a drill ever has: see Restore.ending.
    ways = {name for name in states if "RemoveServer" in targets(states[name])}
    assert ways == {
        "RestoreAtHand?", "ServerCreated?", "ServerChecked?", "MayBeRemoved?", "WaitToRemove"
    }  # fmt: skip
    for name in ways - {"MayBeRemoved?", "WaitToRemove"}:
        [rule] = [r for r in states[name]["Choices"] if r["Next"] == "RemoveServer"]
        assert (rule["Variable"], rule["StringEquals"]) == ("$.status", "removing")


def test_what_broke_off_is_described_by_fields_that_every_restore_has(
    restoring: dict[str, Any],
) -> None:
    states = restoring["States"]["RestoreServers"]["ItemProcessor"]["States"]
    paths = [v for k, v in states["RestoreBrokeOff"]["Parameters"].items() if k.endswith(".$")]
    names = {path.removeprefix("$.").partition(".")[0] for path in paths} - {"error"}
    assert names <= {field.name for field in fields(Restore)}


def test_no_wait_of_a_restore_is_reached_without_its_seconds(restoring: dict[str, Any]) -> None:
    inner = restoring["States"]["RestoreServers"]["ItemProcessor"]
    for level in (restoring, inner):
        states = level["States"]
        for name in (name for name, state in states.items() if state["Type"] == "Wait"):
            assert states[name]["SecondsPath"] == "$.wait_seconds"
            for choice in sources(states, name):
                for task in sources(states, choice):
                    assert states[task]["Type"] == "Task"
                    assert not {"ResultPath", "ResultSelector", "OutputPath"} & states[task].keys()


def test_every_wait_takes_its_seconds_from_a_function(night: dict[str, Any]) -> None:
    waits = [state for _, state in all_states(night) if state["Type"] == "Wait"]
    paths = sorted(state["SecondsPath"] for state in waits)
    assert paths == ["$.server.start_s"] + 4 * ["$.wait_seconds"]


def test_no_wait_is_reached_without_its_seconds(night: dict[str, Any]) -> None:
    """A Wait without its field is an error that nothing catches."""
    step = night["States"]["SnapshotServers"]
    child = step["ItemProcessor"]
    for document, level in ((RunDocument, night), (Job, child)):
        states = level["States"]
        assert "wait_seconds" in {field.name for field in fields(document)}
        for name, state in states.items():
            if state["Type"] != "Wait" or name == level["StartAt"]:
                continue
            assert state["SecondsPath"] == "$.wait_seconds"
            # What comes here is the whole document that a function has just answered.
            for choice in sources(states, name):
                assert states[choice]["Type"] == "Choice"
                for task in sources(states, choice):
                    assert (states[task]["Type"], states[task]["Next"]) == ("Task", choice)
                    assert not {"ResultPath", "ResultSelector", "OutputPath"} & states[task].keys()
    assert child["States"][child["StartAt"]]["SecondsPath"] == "$.server.start_s"
    assert step["ItemSelector"]["server.$"] == "$$.Map.Item.Value"
    assert "start_s" in {field.name for field in fields(ServerItem)}


def sources(states: dict[str, Any], name: str) -> list[str]:
    return [before for before, state in states.items() if name in targets(state)]


def test_a_choice_state_is_a_question(definition: dict[str, Any]) -> None:
    for level, _ in all_states(definition):
        for name, state in level["States"].items():
            assert name.endswith("?") == (state["Type"] == "Choice"), name


@given(st.text(), st.integers(10, 500))
def test_a_cut_text_fits(text: str, size: int) -> None:
    assert len(json.dumps(cut(text, size))) - 2 <= max(size, 0)


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "\u00e4" * 100_000, "\U0001f4be" * 100_000, '"\n' * 9999]
)
def test_five_hundred_results_of_the_worst_kind_fit_a_state(text: str) -> None:
    worst = Result(
        server=text,
        id=10**10,
        status="available",
        reason=text,
        image_id=10**10,
        waited_s=604_800,  # the run's own timeout
        snapshot_s=604_800,
        deleted=1000,
        kept=10**4,
        pruned=False,
        size_gb=1234.5,
        adopted=True,
        lock_s=604_800,
        lock=text,
        at_least=True,
    )
    fitted = worst.fitted()
    assert fitted.image_id == worst.image_id
    assert len(json.dumps(fitted.to_dict())) <= RESULT_BYTES
    assert Result(**fitted.to_dict()) == fitted
    concern = Concern("made, not pruned", fitted.server, "r" * RESULT_BYTES, fitted.id)
    totals = Totals(attention=(concern,) * MOST_ATTENTION)
    assert size_of_a_run(fitted.to_dict(), totals) < STATE_BYTES


def test_five_hundred_servers_of_the_worst_kind_fit_a_state() -> None:
    # One that is not understood is not handed on: what is wrong with it is.
    worst = ServerItem(id=10**12, name="x" * NAME_BYTES, problem="p" * PROBLEM_BYTES, start_s=10**4)
    concern = Concern("made, not pruned", "s" * 63, "r" * 350, 10**12)
    totals = Totals(attention=(concern,) * MOST_ATTENTION)
    assert size_of_a_run(asdict(worst), totals) < STATE_BYTES


def test_five_hundred_broken_off_children_fit_a_state(night: dict[str, Any]) -> None:
    child = night["States"]["SnapshotServers"]["ItemProcessor"]["States"]["ServerFailed"]
    assert child["Parameters"].keys() == {
        "server.$", "id.$", "status", "was.$", "snapshot.$", "error.$",
        "adopted.$", "deleted.$", "lock_s.$", "lock.$",
    }  # fmt: skip
    output = {
        "server": "x" * NAME_BYTES,
        "id": 10**12,
        "status": "failed",
        "was": "available",
        "snapshot": asdict(StartedSnapshot(10**12, 10**12)),
        "error": "E" * 80,
        "adopted": False,
        "deleted": 1000,
        "lock_s": 10**6,
        "lock": "l" * 40,
    }
    assert size_of_a_run(output, Totals()) < STATE_BYTES


def size_of_a_run(item: dict[str, Any], totals: Totals) -> int:
    """A whole run's document with a full batch of such items, as Lambda writes it."""
    run = Run(
        "r" * 32, "p" * 29, "o" * 63, "policy" * 30, "wait", False, False, 1000, 1000, 1440, 1440,
        concurrent_runs=("r" * 32,) * MOST_CONCURRENT_RUNS, began="2026-11-21T02:00:00Z",
        server_count=10**4,
    )  # fmt: skip
    document = RunDocument(
        run=run,
        selection=Selection(("s" * MOST_SELECTION_CHARACTERS,), "label" * 200),
        status="waiting",
        reason="r" * REASON_CHARACTERS,
        stopwatch=Stopwatch(datetime(2026, 11, 21, 2, tzinfo=UTC), 10**6),
        execution="arn:aws:states:eu-central-1:123456789012:execution:" + "x" * 160,
        last_look=LastLook("2026-11-21T02:00:00Z", 10**4, 10**12, 10**12),
        handed_out=(10**12,) * BATCH,
        batch=(item,) * BATCH,
        totals=totals,
    )
    return len(json.dumps(document.to_dict()))
