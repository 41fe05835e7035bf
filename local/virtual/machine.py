"""Walks a Step Functions definition in virtual time.

It knows the fields that our definition uses, with Step Functions' meaning, and raises on any other
field, so that none is ignored.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local.virtual.loop import Loop, Task

PAYLOAD_BYTES = 262_144
HISTORY = 25_000  # Events of one execution, or of one child.
EVENTS = {"Task": 5, "Map": 5}  # Other states: 2.
CAUSE_CHARACTERS = 32_768
NOT_IN_STATES_ALL = ("States.DataLimitExceeded", "States.Runtime")

COMMON = {"Type", "Comment", "Next", "End"}
FIELDS = {
    "Task": COMMON | {"Resource", "TimeoutSeconds", "Retry", "Catch", "ResultPath"},
    "Choice": {"Type", "Comment", "Choices", "Default"},
    "Wait": COMMON | {"SecondsPath"},
    "Pass": COMMON | {"OutputPath", "Parameters"},
    "Map": COMMON
    | {"Label", "ItemsPath", "MaxConcurrencyPath", "ToleratedFailurePercentage", "ItemSelector"}
    | {"ItemProcessor", "ResultPath", "Catch", "MaxConcurrency"},
    "Succeed": {"Type", "Comment"},
    "Fail": {"Type", "Comment", "ErrorPath", "CausePath"},
}
RETRIER = {"ErrorEquals", "IntervalSeconds", "BackoffRate", "MaxAttempts", "MaxDelaySeconds"}
RETRIER |= {"JitterStrategy"}
CATCHER = {"ErrorEquals", "ResultPath", "Next"}
MACHINE = {"Comment", "StartAt", "TimeoutSeconds", "States", "ProcessorConfig"}


class Failed(Exception):
    """A state's error, in Step Functions' words."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause[:CAUSE_CHARACTERS]


class Stopped(BaseException):
    """The execution was stopped by hand: none of its states goes on."""


@dataclass
class Walk:
    """One execution's way through a definition, or one child's."""

    loop: Loop
    rng: random.Random
    # (function, input, timeout) -> output; raises Failed.
    invoke: Callable[[str, Any, float], Any]
    is_stopped: Callable[[], bool] = lambda: False
    on_item: Callable[[Any, Any], None] = lambda item, result: None
    # What stands in place of the result of an item's child: "null", "object" or "32 kB", an object
    # with the longest Cause; empty: nothing.
    loses: Callable[[Any], str] = lambda item: ""

    def run(self, machine: dict[str, Any], document: Any) -> Any:
        """The machine's output. Raises Failed."""
        _only(machine, MACHINE)
        until = self.loop.now + machine.get("TimeoutSeconds", 10**9)
        name = machine["StartAt"]
        events = 0
        while True:
            if self.is_stopped():
                raise Stopped
            if self.loop.now > until:
                raise Failed("States.Timeout")
            state = machine["States"][name]
            _only(state, FIELDS[state["Type"]])
            events += EVENTS.get(state["Type"], 2)
            assert events < HISTORY, "more events than an execution's history holds"
            document, then = self._step(state, _fitting(document))
            if then is None:
                return _fitting(document)
            name = then

    def _step(self, state: dict[str, Any], document: Any) -> tuple[Any, str | None]:
        match state["Type"]:
            case "Task" | "Map":
                return self._caught(state, document)
            case "Choice":
                return document, _chosen(state, document)
            case "Wait":
                seconds = at(document, state["SecondsPath"])
                whole = isinstance(seconds, int) and not isinstance(seconds, bool)
                if not whole or seconds < 0:
                    raise Failed("States.Runtime", f"cannot wait {seconds!r} seconds")
                self.loop.sleep(seconds)
            case "Pass":
                if "Parameters" in state:
                    document = _filled(state["Parameters"], document, {})
                document = at(document, state.get("OutputPath", "$"))
            case "Succeed":
                return document, None
            case "Fail":
                raise Failed(at(document, state["ErrorPath"]), at(document, state["CausePath"]))
        return document, None if state.get("End") else state["Next"]

    def _caught(self, state: dict[str, Any], document: Any) -> tuple[Any, str | None]:
        try:
            done = self._map if state["Type"] == "Map" else self._task
            result = _fitting(done(state, document))
        except Failed as failed:
            for catcher in state.get("Catch", []):
                _only(catcher, CATCHER)
                if _equals(catcher, failed.error):
                    said = {"Error": failed.error, "Cause": failed.cause}
                    return _put(document, catcher["ResultPath"], said), catcher["Next"]
            raise
        then = None if state.get("End") else state["Next"]
        return _put(document, state.get("ResultPath", "$"), result), then

    def _task(self, state: dict[str, Any], document: Any) -> Any:
        tries = [0] * len(state.get("Retry", []))
        while True:
            try:
                function = state["Resource"].rsplit(":", 1)[-1]
                return _fitting(self.invoke(function, document, state["TimeoutSeconds"]))
            except Failed as failed:
                position = _retrier(state, failed.error)
                if position is None or tries[position] >= state["Retry"][position]["MaxAttempts"]:
                    raise
                self.loop.sleep(self._delay(state["Retry"][position], tries[position]))
                tries[position] += 1
                if self.is_stopped():
                    raise Stopped from None

    def _delay(self, retrier: dict[str, Any], retries: int) -> float:
        _only(retrier, RETRIER)
        seconds: float = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** retries
        seconds = min(seconds, retrier["MaxDelaySeconds"])
        match retrier.get("JitterStrategy", "NONE"):
            case "FULL":
                return self.rng.uniform(0, seconds)
            case "NONE":
                return seconds
        raise NotImplementedError(retrier["JitterStrategy"])

    def _map(self, state: dict[str, Any], document: Any) -> list[Any]:
        # In an inline Map nothing may fail: each of its Tasks has a Catch.
        is_inline = state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "INLINE"
        if not is_inline and state["ToleratedFailurePercentage"] != 100:
            raise NotImplementedError("a Map that tolerates less than everything")
        items = list(at(document, state["ItemsPath"]))
        results: list[Any] = [None] * len(items)
        path = state.get("MaxConcurrencyPath")
        most = (at(document, path) if path else state["MaxConcurrency"]) or 10_000
        left = list(enumerate(items))

        def work() -> None:
            while left and not self.is_stopped():
                position, item = left.pop(0)
                context = {"Map": {"Item": {"Index": position, "Value": item}}}
                selector = state.get("ItemSelector")
                child = _filled(selector, document, context) if selector else item
                result = self.run(state["ItemProcessor"], child)
                form = self.loses(item)
                results[position] = lost_child(child, form) if form else result
                self.on_item(item, results[position])

        workers = [self.loop.spawn(work, after=0.01 * n) for n in range(min(most, len(items)))]
        for worker in workers:
            self.loop.wait(worker)
        _raise_any(workers)
        return results


def lost_child(child: Any, form: str) -> dict[str, Any] | None:
    """What AWS documents to stand in a failed child's place."""
    if form == "null":
        return None
    machine = "arn:aws:states:eu-central-1:123456789012:stateMachine:SnapshotRun/Server"
    short = (
        "The state's output does not fit its next state's path: 'wait_seconds' is not in it. " * 3
    )
    # Such a long one quotes a state's input, which is JSON.
    quoting = ('"reason": "locked by change_type (action 17, 40 %)", ' * 1000)[:CAUSE_CHARACTERS]
    return {
        "ExecutionArn": machine.replace("stateMachine:", "execution:") + ":" + "0" * 36,
        "Input": json.dumps(child),
        "InputDetails": {"Included": True},
        "Name": "0" * 36,
        "OutputDetails": {"Included": True},
        "RedriveCount": 0,
        "RedriveStatus": "REDRIVABLE_BY_MAP_RUN",
        "StartDate": "2026-11-21T02:00:00.000Z",
        "StateMachineArn": machine,
        "Status": "FAILED",
        "StopDate": "2026-11-21T02:00:00.000Z",
        "Error": "States.Runtime",
        "Cause": short if form == "object" else quoting,
    }


def _raise_any(workers: list[Task]) -> None:
    """The Map tolerates a failed child; ours must never fail, so its error is raised."""
    for worker in workers:
        if worker.error:
            raise worker.error


def at(document: Any, path: str, context: Any = None) -> Any:
    """What a reference path points to."""
    if path.startswith("$$"):
        document, path = context, path[1:]
    if path[:1] != "$" or any(sign in path for sign in "[]*@?()"):
        raise NotImplementedError(path)
    for name in path.split(".")[1:]:
        try:
            document = document[name]
        except (KeyError, TypeError):
            raise Failed("States.Runtime", f"{path} is not in the input") from None
    return document


def _put(document: Any, path: str, result: Any) -> Any:
    if path == "$":
        return result
    root, name = path.split(".")
    assert root == "$"
    return {**document, name: result}


def _filled(template: Any, document: Any, context: Any) -> Any:
    if isinstance(template, dict):
        return {
            name.removesuffix(".$"): at(document, value, context)
            if name.endswith(".$")
            else _filled(value, document, context)
            for name, value in template.items()
        }
    if isinstance(template, list):
        raise NotImplementedError("a list in a template")
    return template


def _chosen(state: dict[str, Any], document: Any) -> str:
    for choice in state["Choices"]:
        _only(choice, {"Variable", "StringEquals", "BooleanEquals", "Next"})
        value = at(document, choice["Variable"])
        # Of another type than is compared with it is not equal.
        wanted = choice["StringEquals"] if "StringEquals" in choice else choice["BooleanEquals"]
        if type(value) is type(wanted) and value == wanted:
            return str(choice["Next"])
    return str(state["Default"])


def _retrier(state: dict[str, Any], error: str) -> int | None:
    found = (n for n, retrier in enumerate(state.get("Retry", [])) if _equals(retrier, error))
    return next(found, None)


def _equals(handler: dict[str, Any], error: str) -> bool:
    names = handler["ErrorEquals"]
    return error in names or ("States.ALL" in names and error not in NOT_IN_STATES_ALL)


def _fitting(document: Any) -> Any:
    """A copy, as JSON carries it to the next state. Raises Failed if it is too large."""
    text = json.dumps(document)
    if len(text) > PAYLOAD_BYTES:
        raise Failed("States.DataLimitExceeded", f"{len(text)} bytes")
    return json.loads(text)


def _only(found: dict[str, Any], known: set[str]) -> None:
    if unknown := found.keys() - known:
        raise NotImplementedError(f"the driver does not know {sorted(unknown)}")
