"""A deploy, or a rollback, while a run goes on: whole runs, and every document on its own.

The nights were recorded (tests/upgrades); each is played again up to a deploy, and from there with
today's functions, in the definition that the execution was started with.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from typing import Any

import pytest

from handler.documents.document import Look, Run, Stopwatch
from handler.documents.job import Job, Result, ServerItem, StartedSnapshot
from handler.documents.reading import FIRST_NAMES
from handler.documents.run import COUNTED, Concern, RunDocument, Selection, Totals
from local.virtual.functions import FUNCTIONS, handler_of
from local.virtual.template import read_template
from tests.chaos.verdicts import untrue
from tests.test_rollback import with_more
from tests.upgrades.stories import STORIES
from tests.upgrades.tape import STORED, Change, Handler, Played, Tape, definition_of, play, tapes_of

VERSIONS = sorted(folder.name for folder in STORED.iterdir())
NIGHTS = [story.__name__ for story in STORIES]
COUNTS = ("available", "planned", "pruned", "skipped", "failed", "not_pruned")
OF_A_JOB = ("CreateSnapshot", "CheckSnapshot", "PruneSnapshots")
NEXT = ".next"
# What was asked for and what has been counted: no default can be right.
REQUIRED = {
    "run", "run.id", "run.project", "run.owner", "run.retention", "run.dry_run", "run.prune_only",
    "selection", "selection.servers", "selection.label_selector", "server", "server.id",
    "totals", *(f"totals.{name}" for name in COUNTED), "after_id",
}  # fmt: skip


def test_every_status_is_stored() -> None:
    for version in VERSIONS:
        steps = [step for tape in tapes_of(version).values() for step in tape.steps]
        found = {(s.function in OF_A_JOB, s.output["status"]) for s in steps if s.output}
        assert {status for of_job, status in found if of_job} == {
            "waiting", "creating", "due", "available", "planned", "pruning", "pruned", "skipped",
            "failed",
        }  # fmt: skip
        assert {status for of_job, status in found if not of_job} == {
            "waiting", "ready", "failed", "done", "more", "Completed", "PartiallyFailed", "Failed",
        } - ({"PartiallyFailed"} if version == "cf22853" else set())  # fmt: skip


def test_what_is_stored_of_this_version_has_the_fields_of_today() -> None:
    """If not: python -m tests.upgrades."""
    found: dict[type, set[str]] = {}
    for tape in tapes_of("this").values():
        for step in tape.steps:
            output = step.output or {}
            kinds: list[tuple[type, Any]] = [
                (Job if step.function in OF_A_JOB else RunDocument, output or None),
                (Run, output.get("run")),
                (Stopwatch, output.get("stopwatch")),
                (Selection, output.get("selection")),
                (Totals, output.get("totals")),
                (ServerItem, output.get("server")),
                (StartedSnapshot, output.get("snapshot")),
                (Result, output.get("result")),
                *((Look, look) for look in output.get("looks", ())),
                *((Concern, c) for c in output.get("totals", {}).get("attention", ())),
            ]
            for kind, value in kinds:
                found[kind] = found.get(kind, set()) | set(value or ())
    # A result is stored without what is as usual.
    assert found.pop(Result) <= {field.name for field in fields(Result)}
    said = {"verdict", "summary", "error"}  # by SummariseRun, for the definition
    for kind, names in found.items():
        # A result leaves this out where it is as usual.
        usual = {"at_least"} if kind is Result else set()
        assert names - said | usual == {f.name for f in fields(kind)}, kind


def test_what_an_execution_of_then_calls_is_there() -> None:
    resources = read_template()["Resources"]
    for version in VERSIONS:
        text = (STORED / version / "definition.json").read_text()
        for function in FUNCTIONS:
            assert resources[function]["Type"] == "AWS::Serverless::Function"
            # A name would be another one's function.
            assert "FunctionName" not in resources[function]["Properties"]
            assert function in ("StartRun", "WatchServers") or f"${{{function}Arn}}" in text


@cache
def as_recorded(version: str, night: str) -> Played:
    return play(tapes_of(version)[night], 10_000)


def check(tape: Tape, played: Played, same: bool = True) -> None:
    """It ended truthfully: as it was recorded, or red; nothing was created or deleted wrongly."""
    recorded = as_recorded(tape.version, tape.night)
    assert played.stage.cloud.surprises == []
    assert list(untrue(played.stage, played.execution)) == []
    # At most the one snapshot of each server, and no delete that the night did not have.
    assert len(played.created) <= len(recorded.created)
    assert played.deleted <= recorded.deleted
    got, had = played.end["totals"], recorded.end["totals"]
    run = played.execution.input["run"]
    if not (run["dry_run"] or got["at_least"]):
        assert got["deleted"] == len(played.deleted)
    if not same and played.execution.status != "SUCCEEDED":
        assert played.end["summary"].startswith(("PartiallyFailed: ", "Failed: "))
        return
    assert played.verdict == recorded.verdict, played.execution.cause
    assert len(played.created) == len(recorded.created)
    assert [got[name] for name in COUNTS] == [had[name] for name in COUNTS]
    if not same:
        return
    assert played.deleted == recorded.deleted
    # Nobody's time begins anew.
    assert abs(got["longest_lock_s"] - had["longest_lock_s"]) < 60
    assert got["longest_s"] > had["longest_s"] - 60
    assert played.execution.ended < recorded.execution.ended + 300


def moments(tape: Tape) -> list[int]:
    """At which of its invocations a deploy is played; today's functions have no recorded bug."""
    steps = list(enumerate(tape.steps))
    broke_off = max((n for n, step in steps if step.output is None), default=-1)
    return [n for n, _ in steps if n > broke_off]


@pytest.mark.parametrize("night", NIGHTS)
def test_a_run_of_the_first_version_goes_on_after_a_deploy_at_any_moment(night: str) -> None:
    tape = tapes_of("cf22853")[night]
    for deploy_at in moments(tape):
        # Its summary did not look up what a branch that broke off had made.
        check(tape, play(tape, deploy_at), same=night != "a_bug_in_the_pruning")


# Said a second time: a name that the code forgets is missed here.
NAMES = {
    "others": "concurrent_runs",
    "fleet": "server_count",
    "watch": "stopwatch",
    "give_up_s": "deadline_s",
    "doomed": "to_delete",
    "gb": "size_gb",
}


def test_what_the_first_version_has_written_is_read_by_its_names_of_today() -> None:
    assert NAMES == FIRST_NAMES
    for tape in tapes_of("cf22853").values():
        for invocation in as_recorded("cf22853", tape.night).calls:
            event = invocation.event
            kind = Job if "server" in event else RunDocument
            read = json.loads(json.dumps(kind.from_dict(event).to_dict()))
            for old, new in NAMES.items():
                if old in event and old != "watch":
                    assert read[new] == event[old], old
            if "watch" in event:  # StartRun's has none yet
                assert read["stopwatch"]["elapsed_s"] == event["watch"]["elapsed_s"]
            assert read["run"]["concurrent_runs"] == event["run"]["others"]
            assert read["run"]["server_count"] == event["run"]["fleet"]
            # Written by the names of today alone.
            assert not (NAMES.keys() & (read.keys() | read["run"].keys()))


def renamed(machine: Any) -> Any:
    """A next version's definition: each status has another name there; those of now are known."""
    if isinstance(machine, dict):
        found = {name: renamed(value) for name, value in machine.items()}
        if "Choices" in found:
            more = [
                rule | {"StringEquals": rule["StringEquals"] + NEXT} for rule in machine["Choices"]
            ]
            found["Choices"] = machine["Choices"] + more
        return found
    return [renamed(each) for each in machine] if isinstance(machine, list) else machine


def by_the_next(function: str, number: int, document: Any) -> Any:
    """What a next version's function answers: more fields everywhere, other statuses."""
    if number >= 0 or function == "StartRun":
        return document
    status = document["status"]
    # A verdict is for people, and for the alarms.
    status += NEXT if status[0].islower() else ""
    return with_more(document) | {"status": status}


@pytest.mark.parametrize("night", NIGHTS)
def test_a_run_of_a_next_version_goes_on_after_a_rollback_at_any_moment(night: str) -> None:
    tape = tapes_of("this")[night]
    machine = renamed(definition_of("this"))
    for deploy_at in moments(tape):
        # That a listing has failed is said by the status alone: red, with another reason.
        played = play(tape, deploy_at, machine=machine, change=by_the_next)
        check(tape, played, same=night not in ("no_such_server", "no_servers"))


def test_a_listing_that_ended_in_an_unknown_way_is_no_success() -> None:
    """Nor is it one of a project without servers."""
    tape = tapes_of("this")["no_such_server"]
    machine = renamed(definition_of("this"))
    played = play(tape, 1, machine=machine, change=by_the_next)
    assert played.verdict == "Failed"
    assert "ListServers ended as failed.next, which this version does not know" in str(
        played.execution.cause
    )


def unlike() -> Iterator[tuple[Tape, int, str]]:
    """One invocation for each function and status, in the night where it comes about."""
    seen = set()
    for tape in tapes_of("this").values():
        for number, invocation in enumerate(as_recorded("this", tape.night).calls):
            event = invocation.event
            kind = (invocation.function, event["status"])
            if kind not in seen and number in moments(tape):
                seen.add(kind)
                yield tape, number, f"{invocation.function}, {event['status']}, {tape.night}"


def without(document: Any) -> Iterator[tuple[str, Any]]:
    """The document without each of its fields, and those of its objects, one at a time."""
    for name, value in document.items():
        rest = {other: each for other, each in document.items() if other != name}
        yield name, rest
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", rest | {name: less}) for inner, less in without(value))
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for inner, less in without(value[0]):
                yield f"{name}.0.{inner}", rest | {name: [less, *value[1:]]}


def at(number: int, new: Callable[[Any], Any]) -> Change:
    """The input of the invocation of that number, changed."""
    return lambda _, n, document: new(copy.deepcopy(document)) if n == number else document


@pytest.mark.parametrize(("tape", "number"), [pytest.param(*u[:2], id=u[2]) for u in unlike()])
def test_a_document_that_lacks_a_field_is_read_or_refused(tape: Tape, number: int) -> None:
    event = as_recorded("this", tape.night).calls[number].event
    for name, less in without(event):
        if name == "batch.0.image_id":
            continue  # The summary then names no snapshot.
        played = play(tape, number, change=at(number, lambda _, less=less: less))
        if name not in REQUIRED:
            check(tape, played, same=False)
        else:
            assert {s.partition("(")[0] for s in played.stage.cloud.surprises} <= {
                f"{event_of}: Unreadable" for event_of in FUNCTIONS
            }, name
            assert played.execution.status == "FAILED", name


@pytest.mark.parametrize(("tape", "number"), [pytest.param(*u[:2], id=u[2]) for u in unlike()])
def test_a_document_goes_through_every_function(tape: Tape, number: int) -> None:
    """Whichever gets it looks, and the function whose turn it was goes on with its answer."""
    function = as_recorded("this", tape.night).calls[number].function
    for other in OF_A_JOB if function in OF_A_JOB else ():

        def first(name: str, other: str = other) -> Handler:
            def call(event: Any, context: Any) -> Any:
                done = handler_of(other)(event, context)
                # What has ended is not handed on.
                return done if done["result"] else handler_of(name)(done, context)

            return call if name == function else handler_of(name)

        played = play(tape, number, function=first)
        check(tape, played, same=False)
