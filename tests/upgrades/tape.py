"""Records a night, and plays it again up to a deploy in its middle.

A step is what one invocation did: the requests it sent and the document it answered with. A step
that is played again sends the same requests, so that Hetzner's project is as it was then; from the
deploy on today's functions go on. Waits and chance are the same in each playing.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests

from local.virtual.cloud import Cloud, Execution, Invocation, stack
from local.virtual.functions import handler_of
from local.virtual.process import in_place
from local.virtual.stage import Stage
from local.virtual.truth import watch
from local.virtual.wire import ENDPOINT
from tests.upgrades.stories import STORIES

STORED = Path(__file__).parent / "stored"
NAMES = {story.__name__: story for story in STORIES}

Handler = Callable[[Any, Any], Any]
# A version's handlers by the functions' names, in a cloud.
Functions = Callable[[Cloud], AbstractContextManager[Callable[[str], Handler]]]
# (function, number of the invocation, its input) -> what today's function gets.
Change = Callable[[str, int, Any], Any]


class Even(random.Random):
    """Chance that is the same in each playing."""

    def random(self) -> float:
        return 0.5


@dataclass(frozen=True)
class Step:
    function: str
    server: int | None
    requests: tuple[tuple[str, str, str], ...]  # method, path with query, body
    output: Any  # None: it broke off


@dataclass(frozen=True)
class Tape:
    """A night as a version played it."""

    version: str
    night: str
    name: str  # of its execution
    started: float
    input: Any
    steps: tuple[Step, ...] = ()

    @property
    def end(self) -> Any:
        """What SummariseRun answered at its end."""
        return self.steps[-1].output


@dataclass
class Played:
    """How a night ended; `deleted` are the images deleted through the API."""

    stage: Stage
    execution: Execution
    calls: list[Invocation] = field(default_factory=list)

    @property
    def deleted(self) -> set[int]:
        return {deletion.image.id for deletion in self.stage.truth.deletions}

    @property
    def created(self) -> list[int]:
        return sorted(set(self.stage.truth.created) - set(self.stage.truth.before))

    @property
    def end(self) -> Any:
        """SummariseRun's last answer that Step Functions got; None without one."""
        ends = [i.output for i in self.calls if i.function == "SummariseRun" and i.heard]
        return ends[-1] if ends else None

    @property
    def verdict(self) -> str:
        return self.execution.error or str(self.execution.output["verdict"])


def arranged(night: str) -> tuple[Stage, dict[str, Any]]:
    """The stage of that story, with chance that is the same each time, and StartRun's event."""
    stage = Stage()
    stage.cloud.rng = Even()
    stage.wire.latency = lambda: 0.1
    return stage, NAMES[night](stage)


def record(version: str, night: str, functions: Functions, machine: Any) -> Tape:
    """That story as it is played with these functions and this definition."""
    stage, event = arranged(night)
    sent: dict[int, list[tuple[str, str, str]]] = {}
    send = stage.wire.send

    def recording(request: requests.PreparedRequest, **more: Any) -> requests.Response:
        body = request.body or b""
        text = body if isinstance(body, str) else body.decode()
        path = str(request.url).removeprefix(ENDPOINT)
        invocation = stage.loop.current.context
        sent.setdefault(id(invocation), []).append((str(request.method), path, text))
        return send(request, **more)

    stage.wire.send = recording  # type: ignore[method-assign]
    with (
        functions(stage.cloud) as function,
        patch("local.virtual.cloud.handler_of", function),
        patch("local.virtual.cloud.definition", lambda *_: machine),
    ):
        stage.play(event)
    [execution] = stage.cloud.executions.values()
    steps = [
        Step(i.function, i.server_id, tuple(sent.get(id(i), ())), i.output if i.heard else None)
        for i in stage.cloud.invocations
        if i.function != "StartRun"
    ]
    name, at = execution.name, execution.started
    return Tape(version, night, name, at, execution.input, tuple(steps))


def save(version: str, tapes: list[Tape], definition: str) -> None:
    folder = STORED / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "definition.json").write_text(definition)
    lines = []
    for tape in tapes:
        lines.append(asdict(tape) | {"steps": len(tape.steps)})
        lines += [asdict(step) for step in tape.steps]
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    (folder / "nights.jsonl").write_text(text + "\n")


@cache
def tapes_of(version: str) -> dict[str, Tape]:
    """The version's nights, by their names."""
    lines = [json.loads(x) for x in (STORED / version / "nights.jsonl").read_text().splitlines()]
    found = {}
    while lines:
        head = lines.pop(0)
        steps = [lines.pop(0) for _ in range(head.pop("steps"))]
        made = [Step(**step | {"requests": tuple(map(tuple, step["requests"]))}) for step in steps]
        found[head["night"]] = Tape(**head, steps=tuple(made))
    return found


@cache
def definition_of(version: str) -> Any:
    """What the executions that this version has started go by, whatever is deployed later."""
    return substituted((STORED / version / "definition.json").read_text())


def substituted(text: str) -> Any:
    substitutions = stack().resource("SnapshotRun")["Properties"]["DefinitionSubstitutions"]
    for name, value in substitutions.items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text
    return json.loads(text)


def play(
    tape: Tape,
    deploy_at: int,
    *,
    machine: Any = None,
    change: Change = lambda function, number, document: document,
    function: Callable[[str], Handler] = handler_of,
) -> Played:
    """The night with a deploy before the invocation of that number.

    `change`: what an invocation gets in place of its input, and what a step that is played again
    answers in place of its output (then the number is negative).
    """
    stage, _ = arranged(tape.night)
    stage.cloud.fates.clear()
    steps, begun = _by_key(tape), Counter[str]()

    def chosen(name: str) -> Handler:
        number = begun.total()
        begun[name] += 1
        if number >= deploy_at:
            return lambda event, context: function(name)(change(name, number, event), context)

        def again(event: Any, context: Any) -> Any:
            key = (name, event["server"]["id"] if "server" in event else None)
            return change(name, -1, _again(stage, steps[key].pop(0)))

        return again

    def start() -> None:
        stage.loop.current.context = Invocation("StartRun", {}, None, 0, 60, None)
        document = change("StartRun", -1, tape.input)
        stage.cloud.start_execution("", tape.name, json.dumps(document))

    stage.truth.begin()
    watch(stage.cloud, stage.truths)
    with _in_place(stage, chosen, machine or definition_of(tape.version)):
        stage.loop.spawn(start, after=max(0.0, tape.started - 0.02))
        stage.loop.run()
    [execution] = stage.cloud.executions.values()
    return Played(stage, execution, stage.cloud.invocations)


def _by_key(tape: Tape) -> dict[tuple[str, int | None], list[Step]]:
    found: dict[tuple[str, int | None], list[Step]] = {}
    for step in tape.steps:
        found.setdefault((step.function, step.server), []).append(step)
    return found


@contextmanager
def _in_place(stage: Stage, function: Callable[[str], Handler], machine: Any) -> Iterator[None]:
    with (
        in_place(stage.cloud),
        patch("local.virtual.cloud.handler_of", function),
        patch("local.virtual.cloud.definition", lambda *_: machine),
    ):
        yield


def _again(stage: Stage, step: Step) -> Any:
    """Sends the step's requests; its output. Hetzner's project is then as it was."""
    headers = {"Authorization": f"Bearer {stage.token}", "Content-Type": "application/json"}
    for method, path, body in step.requests:
        request = requests.Request(method, ENDPOINT + path, headers=headers, data=body or None)
        with suppress(requests.ConnectionError):
            answer = stage.wire.send(request.prepare(), timeout=(3, 10))
            if method == "POST" and answer.status_code == 201 and step.output["snapshot"]:
                assert answer.json()["image"]["id"] == step.output["snapshot"]["image_id"]
    if step.output is None:
        raise ZeroDivisionError("as it was recorded")
    return step.output
