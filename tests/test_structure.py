"""What keeps the tree, the template and the definition in step."""

import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from document import REASON_CHARACTERS, Run, Watch
from job import RESULT_BYTES, Result, Server, StartedSnapshot
from list_servers import NAME_BYTES, PROBLEM_BYTES
from local.virtual.functions import FUNCTIONS, module_of
from local.virtual.template import ROOT, Stack
from request import MOST_SELECTION_CHARACTERS
from run import BATCH, MOST_ATTENTION, Concern, RunDocument, Selection, Totals
from start_run import MOST_OTHERS, MOST_PROJECTS

HANDLER = ROOT / "handler"
STATE_BYTES = 262_144
PURE = {
    "document": {"pacing"},
    "job": {"document", "pacing"},
    "pacing": set(),
    "request": {"document", "retention"},
    "retention": set(),
    "run": {"document", "job"},
    "settings": {"document", "retention"},
    "hetzner": {"document", "inventory", "job"},
    "links": {"document"},
    "results": {"document", "job", "run"},
    "summary": {"document", "run"},
    "notification": {"document", "job", "run", "summary"},
    "freshness": {"job"},
    "metrics": {"document", "job", "run"},
    "afterwards": {"document", "freshness", "hetzner", "inventory", "run", "runtime", "settings"},
    "inventory": set(),
    "runtime": {"document", "hetzner", "job", "settings"},
}
NO_CLOCK_OR_ENVIRONMENT = (
    "document",
    "freshness",
    "inventory",
    "job",
    "links",
    "notification",
    "pacing",
    "request",
    "results",
    "retention",
    "run",
    "settings",
    "summary",
)
LIBRARIES = {
    "hetzner": {"hcloud", "requests"},
    "metrics": {"aws_lambda_powertools"},
    "runtime": {"boto3", "botocore", "aws_lambda_powertools", "mypy_boto3_ssm",
                "mypy_boto3_stepfunctions"},
}  # fmt: skip


def modules() -> dict[str, ast.Module]:
    return {path.stem: ast.parse(path.read_text()) for path in HANDLER.glob("*.py")}


def imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def all_states(machine: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each level of the definition (the machine, the Map's processor) with each of its states."""
    for state in machine["States"].values():
        yield machine, state
        if "ItemProcessor" in state:
            yield from all_states(state["ItemProcessor"])


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    machine: dict[str, Any] = json.loads(Stack().definition())
    return machine


def test_state_function_and_file_have_one_name(definition: dict[str, Any]) -> None:
    resources = Stack().template["Resources"]
    deployed = [n for n, r in resources.items() if r["Type"] == "AWS::Serverless::Function"]
    assert sorted(deployed) == sorted(FUNCTIONS)
    for name in deployed:
        assert resources[name]["Properties"]["Handler"] == f"{module_of(name)}.handler"
        assert (HANDLER / f"{module_of(name)}.py").exists()
    tasks = {
        name: state["Resource"].rsplit(":", 1)[1]
        for level, _ in all_states(definition)
        for name, state in level["States"].items()
        if state["Type"] == "Task"
    }
    assert tasks == {name: name for name in FUNCTIONS if name != "StartRun"}


def test_only_hetzner_imports_hcloud_and_only_the_edges_import_libraries() -> None:
    own = modules().keys()
    for name, tree in modules().items():
        libraries = {
            module
            for module in imports(tree)
            if module not in own and module not in sys.stdlib_module_names
        }
        if name in PURE:
            assert libraries <= LIBRARIES.get(name, set()), name
        else:
            allowed = {
                "aws_lambda_powertools",
                "botocore",
                "mypy_boto3_ssm",
                "mypy_boto3_stepfunctions",
            }
            assert libraries <= allowed, name


def test_the_arrows_between_our_modules_point_one_way() -> None:
    trees = modules()
    lambdas = {module_of(function) for function in FUNCTIONS}
    assert trees.keys() == PURE.keys() | lambdas
    for name, tree in trees.items():
        ours = imports(tree) & trees.keys()
        if name in PURE:
            assert ours <= PURE[name], name
        else:
            assert not ours & lambdas, f"{name} imports another Lambda"


def test_decisions_have_neither_clock_nor_environment_nor_chance() -> None:
    for name in NO_CLOCK_OR_ENVIRONMENT:
        tree = modules()[name]
        assert not imports(tree) & {"os", "time", "random", "socket", "urllib"}, name
        now_calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("now", "utcnow", "today")
        ]
        assert not now_calls, name


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


def test_a_create_is_tried_again_only_when_the_lost_one_can_be_seen(
    definition: dict[str, Any],
) -> None:
    children = definition["States"]["SnapshotServers"]["ItemProcessor"]["States"]
    _, retry = children["CreateSnapshot"]["Retry"]
    # The function may still be running when Step Functions has lost it.
    assert retry["IntervalSeconds"] > Stack().template["Globals"]["Function"]["Timeout"]
    # Full jitter starts at zero seconds.
    assert "JitterStrategy" not in retry


def test_the_map_never_starts_over_and_tolerates_every_failure(definition: dict[str, Any]) -> None:
    step = definition["States"]["SnapshotServers"]
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


def test_every_wait_takes_its_seconds_from_a_function(definition: dict[str, Any]) -> None:
    waits = [state for _, state in all_states(definition) if state["Type"] == "Wait"]
    paths = sorted(state["SecondsPath"] for state in waits)
    assert paths == ["$.server.start_s"] + 4 * ["$.wait_seconds"]


def test_a_choice_state_is_a_question(definition: dict[str, Any]) -> None:
    for level, _ in all_states(definition):
        for name, state in level["States"].items():
            assert name.endswith("?") == (state["Type"] == "Choice"), name


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "\u00e4" * 100_000, "\U0001f4be" * 100_000, '"\n' * 9999]
)
def test_five_hundred_results_of_the_worst_kind_fit_a_state(text: str) -> None:
    worst = Result(
        server=text,
        id=10**12,
        status="available",
        reason=text,
        image_id=10**12,
        waited_s=10**9,
        snapshot_s=10**9,
        deleted=10**6,
        kept=10**6,
        pruned=False,
    )
    fitted = worst.fitted()
    assert fitted.image_id == worst.image_id
    assert len(json.dumps(asdict(fitted))) <= RESULT_BYTES
    concern = Concern("made, not pruned", fitted.server, fitted.reason)
    totals = Totals(attention=(concern,) * MOST_ATTENTION)
    assert size_of_a_run(asdict(fitted), totals) < STATE_BYTES


def test_five_hundred_servers_of_the_worst_kind_fit_a_state() -> None:
    # One that is not understood is not handed on: what is wrong with it is.
    worst = Server(id=10**12, name="x" * NAME_BYTES, problem="p" * PROBLEM_BYTES, start_s=10**4)
    concern = Concern("made, not pruned", "s" * 63, "r" * 350)
    totals = Totals(attention=(concern,) * MOST_ATTENTION)
    assert size_of_a_run(asdict(worst), totals) < STATE_BYTES


def test_five_hundred_broken_off_children_fit_a_state(definition: dict[str, Any]) -> None:
    child = definition["States"]["SnapshotServers"]["ItemProcessor"]["States"]["ServerFailed"]
    assert child["Parameters"].keys() == {
        "server.$", "id.$", "status", "was.$", "snapshot.$", "error.$",
    }  # fmt: skip
    output = {
        "server": "x" * NAME_BYTES,
        "id": 10**12,
        "status": "failed",
        "was": "available",
        "snapshot": asdict(StartedSnapshot(10**12, 10**12)),
        "error": "E" * 80,
    }
    assert size_of_a_run(output, Totals()) < STATE_BYTES


def size_of_a_run(item: dict[str, Any], totals: Totals) -> int:
    """A whole run's document with a full batch of such items, as Lambda writes it."""
    run = Run(
        "r" * 32, "p" * 29, "o" * 63, "policy" * 30, "wait", False, False, 1000, 1000, 1440, 1440,
        others=("r" * 32,) * MOST_OTHERS, began="2026-11-21T02:00:00Z", fleet=10**4,
    )  # fmt: skip
    document = RunDocument(
        run=run,
        selection=Selection(("s" * MOST_SELECTION_CHARACTERS,), "label" * 200),
        status="waiting",
        reason="r" * REASON_CHARACTERS,
        watch=Watch(datetime(2026, 11, 21, 2, tzinfo=UTC), 10**6),
        execution="arn:aws:states:eu-central-1:123456789012:execution:" + "x" * 160,
        projects=("p" * 29,) * MOST_PROJECTS,
        handed_out=(10**12,) * BATCH,
        batch=(item,) * BATCH,
        totals=totals,
    )
    return len(json.dumps(document.to_dict()))
