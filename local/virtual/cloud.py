"""The parts of AWS that a run uses: Lambda, StartExecution and SSM, and what can go wrong there."""

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, NoReturn

from botocore.exceptions import ClientError

from handler.aws import runtime, tokens
from local.virtual.functions import Context, handler_of
from local.virtual.loop import Loop, Task
from local.virtual.machine import Failed, Stopped, Walk
from local.virtual.template import Stack
from local.virtual.wire import ENDPOINT, Wire

# What functions may raise: refusals of StartRun, and the bug that a fate put there.
EXPECTED = (
    "EventRefused", "NoProjects", "NotAllStarted", "ExecutionsUnknown", "ClientError",
    "ZeroDivisionError", "NotTold", "MemoryUnknown",
)  # fmt: skip


START = datetime(2026, 11, 21, 2, tzinfo=UTC)  # virtual time 0, by AWS's clock


class Killed(BaseException):
    """The function's process ends at this point and gives no answer."""


class ExecutionAlreadyExists(Exception):
    """A standard execution of that name has been started with another input, or has ended."""


@dataclass
class Fate:
    """The fault of one invocation: `what` happens at its `pause`-th pause, or at its end.

    throttled (does not begin), dies, hangs (until its timeout), unheard (Step Functions gives up at
    once while it runs on), lost (its answer is lost), bug (it raises).
    """

    what: str
    function: str
    nth: int
    pause: int = 1


@dataclass
class Invocation:
    function: str
    event: Any
    execution: "Execution | None"
    started: float
    deadline: float
    fate: Fate | None
    output: Any = None
    heard: bool = False  # Step Functions got the output.
    logs: list[str] = field(default_factory=list)
    requests: int = 0
    methods: set[str] = field(default_factory=set)  # of its requests
    pauses: int = 0
    container: int = 0
    metrics: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    # Per server, its images as they truly were when this invocation listed them.
    seen: dict[int, list[Any]] = field(default_factory=dict)

    @property
    def server_id(self) -> int | None:
        return self.event["server"]["id"] if "server" in self.event else None

    @property
    def run_id(self) -> str | None:
        return self.event["run"]["id"] if "run" in self.event else None


@dataclass
class Execution:
    name: str
    input: dict[str, Any]
    started: float
    event: dict[str, Any] = field(default_factory=dict)  # StartRun's
    status: str = "RUNNING"
    output: Any = None
    error: str = ""
    cause: str = ""
    ended: float = 0.0
    # Per server id: its result when its child ended, and this run's true images then.
    results: dict[int, Any] = field(default_factory=dict)
    truths: dict[int, dict[int, str]] = field(default_factory=dict)
    child_ended: dict[int, float] = field(default_factory=dict)


@cache
def stack(restores: bool = False) -> Stack:
    return Stack(HetznerEndpoint=ENDPOINT, Restores=str(restores).lower())


@cache
def definition(machine: str = "SnapshotRun") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(stack(restores=True).definition(machine))
    return document


class Cloud:
    """One account with the stack deployed, its tokens, and the fates of coming invocations."""

    def __init__(self, loop: Loop, wire: Wire, rng: random.Random) -> None:
        self.loop, self.wire, self.rng = loop, wire, rng
        self.tokens: dict[str, str] = {}
        self.environment: dict[str, str] = {}  # Of the functions; what is not the default.
        self.memory = "{}"  # the watch's
        self.written: list[tuple[Invocation, str]] = []  # each of its texts, and who wrote it
        # Calls of the watch that fail, by operation: for each call an error code or nothing; with
        # "after " before it the call has its effect.
        self.watch_errors: dict[str, list[str]] = {}
        self.refused: list[tuple[float, str]] = []  # when such a call failed, and which
        self.asked: list[tuple[float, str, Any]] = []  # when which function was invoked with what
        self.has_restores = False
        self.restores: dict[str, Execution] = {}  # executions of RestoreRun
        # Functions that a deploy has deleted, and executions that went with their state machine.
        self.undeployed: frozenset[str] = frozenset()
        self.forgotten: set[str] = set()
        # What the probe hears at an address and port, and what it has heard.
        self.greeting: Callable[[str, int], str] = lambda address, port: "no connection"
        self.heard: list[tuple[str, str]] = []
        # Called at each request with which a project's servers are listed.
        self.on_listing: Callable[[Invocation], None] = lambda invocation: None
        self.on_request: Callable[[Invocation], None] = lambda invocation: None
        self.fates: list[Fate] = []
        self.ssm_errors: list[str] = []
        self.start_errors: dict[str, int] = {}  # Per project, so many StartExecutions fail.
        self.executions: dict[str, Execution] = {}
        # ListExecutions: what is left in its bucket, since when; so many calls are refused.
        self.list_tokens, self.list_at, self.list_errors = 100.0, loop.now, 0
        self.invocations: list[Invocation] = []
        self.answers: list[Any] = []
        self.refusals: list[str] = []
        # Unexpected exceptions that functions raised.
        self.surprises: list[str] = []
        self.skew = timedelta()
        self.on_child: Any = None
        self.containers = 0
        self.lost_children: dict[int, str] = {}  # Server id: how its child's result is lost, once.

    def deliver(
        self,
        event: Any,
        request_id: str,
        tries: int = 3,
        after: float = 0.0,
        function: str = "StartRun",
    ) -> Task:
        """An asynchronous invocation: Lambda tries it again, with the same id."""

        def work() -> None:
            for attempt in range(tries):
                try:
                    self.answers.append(self.invoke(function, event, 60, None, request_id))
                    return
                except Failed as failed:
                    self.refusals.append(f"{failed.error}: {failed.cause}")
                self.loop.sleep(60 * (attempt + 1))

        return self.loop.spawn(work, after)

    def invoke(
        self,
        function: str,
        event: Any,
        patience: float,
        execution: Execution | None,
        request_id: str = "",
    ) -> Any:
        """The function's answer. Raises Failed."""
        if function in self.undeployed:
            raise Failed("Lambda.ResourceNotFoundException", f"Function not found: {function}")
        fate = self._fate(function)
        if fate and fate.what == "throttled":
            raise Failed("Lambda.TooManyRequestsException", "Rate exceeded")
        timeout = stack().template["Resources"][function]["Properties"].get("Timeout", 120)
        now = self.loop.now
        invocation = Invocation(function, event, execution, now, now + timeout, fate)
        self.invocations.append(invocation)
        request_id = request_id or f"{len(self.invocations):08x}-0000-4000-8000-000000000000"
        task = self.loop.current
        outer, task.context = task.context, invocation
        try:
            if fate and fate.what == "unheard":
                self.loop.spawn(lambda: self._unheard(invocation, request_id))
                self.loop.sleep(max(0.31, self.rng.uniform(0.1, 3)))
                # That one may be busy: a container has one invocation at a time.
                self._new_container()
                raise Failed("Lambda.Unknown", "connection reset")
            output = self._handled(invocation, request_id)
            if fate and fate.what == "dies" and fate.pause > invocation.pauses:
                self._new_container()
                raise Failed("Runtime.ExitError", "Runtime exited")
            if fate and fate.what in ("lost", "hangs"):
                self.loop.sleep(max(0.0, now + patience - self.loop.now))
                raise Failed("States.Timeout")
            invocation.heard = True
            return output
        finally:
            task.context = outer

    def pause(self, seconds: float) -> None:
        """Time passes inside a function; raises Killed if the function ends meanwhile."""
        self.loop.sleep(seconds)
        invocation = self.loop.current.context
        invocation.pauses += 1
        fate = invocation.fate
        strikes = fate is not None and invocation.pauses == fate.pause
        if fate and strikes and fate.what == "hangs":
            self.loop.sleep(max(0.0, invocation.deadline - self.loop.now))
        if self.loop.now >= invocation.deadline:
            raise Killed("Sandbox.Timedout")
        if fate and strikes and fate.what == "dies":
            raise Killed("Runtime.ExitError")
        if fate and strikes and fate.what == "bug":
            raise ZeroDivisionError("x" * 100_000)

    def stop(self, execution: Execution) -> None:
        if execution.status == "RUNNING":
            execution.status, execution.ended = "ABORTED", self.loop.now

    def now(self) -> datetime:
        """Our own machines' clock."""
        return self.loop.clock.now() + self.skew

    def _unheard(self, invocation: Invocation, request_id: str) -> None:
        try:
            self._handled(invocation, request_id)
        except Failed:
            return  # Its error is lost, too.

    def _handled(self, invocation: Invocation, request_id: str) -> Any:
        self.loop.sleep(self.rng.uniform(0.01, 0.3))
        invocation.deadline += self.loop.now - invocation.started
        if self.rng.random() < 0.3:
            self._new_container()
        invocation.container = self.containers
        cloud = self

        class Timed(Context):
            def get_remaining_time_in_millis(self) -> int:
                return int(1000 * (invocation.deadline - cloud.loop.now))

        event = json.loads(json.dumps(invocation.event))
        try:
            output = handler_of(invocation.function)(event, Timed(invocation.function, request_id))
            invocation.output = json.loads(json.dumps(output))
        except Killed as killed:
            self._new_container()
            raise Failed(str(killed)) from None
        except Exception as error:
            said = {"errorMessage": str(error), "errorType": type(error).__name__}
            if type(error).__name__ not in EXPECTED:
                self.surprises.append(f"{invocation.function}: {error!r}")
            raise Failed(type(error).__name__, json.dumps(said)) from error
        return invocation.output

    def _new_container(self) -> None:
        self.containers += 1
        tokens.parameters.cache_clear()
        runtime.told.clear()

    def _fate(self, function: str) -> Fate | None:
        for fate in self.fates:
            if fate.function in (function, "any"):
                fate.nth -= 1
                if fate.nth == 0:
                    return fate
        return None

    # What StartRun and the reader of tokens get in place of boto3's clients.

    @property
    def exceptions(self) -> Any:
        return SimpleNamespace(ExecutionAlreadyExists=ExecutionAlreadyExists)

    def put_parameter(self, Name: str, Value: str, Type: str, Overwrite: bool) -> dict[str, Any]:
        self.pause(0.01)
        assert (Name, Type, Overwrite) == (stack().ref("WatchMemory"), "String", True)
        assert len(Value) <= 4096, "a standard parameter holds no more"
        with self._failing("PutParameter"):
            self.memory = Value
            self.written.append((self.loop.current.context, Value))
        return {}

    def get_parameter(self, Name: str, WithDecryption: bool = False) -> dict[str, Any]:
        self.pause(0.01)
        if Name == stack().ref("WatchMemory"):
            with self._failing("GetParameter"):
                return {"Parameter": {"Value": self.memory}}
        if self.ssm_errors and (code := self.ssm_errors.pop(0)):
            _aws_error("GetParameter", code)
        if Name not in self.tokens:
            _aws_error("GetParameter", "ParameterNotFound")
        return {"Parameter": {"Value": self.tokens[Name]}}

    def get_paginator(self, name: str) -> Any:
        self.pause(0.02)
        assert name == "get_parameters_by_path"
        with self._failing("GetParametersByPath"):
            pass
        found = [{"Name": n, "Type": "SecureString"} for n in sorted(self.tokens)]
        return SimpleNamespace(paginate=lambda **_: [{"Parameters": found}])

    def throttle(self, calls: int) -> None:
        """The bucket of ListExecutions is full, but for that so many calls are refused first."""
        self.list_tokens, self.list_at = 100.0, self.loop.now
        self.list_errors = calls

    def list_executions(
        self,
        stateMachineArn: str,
        statusFilter: str | None = None,
        maxResults: int = 100,
        nextToken: str | None = None,
    ) -> dict[str, Any]:
        """At most 1,000 on a page, newest first; a bucket of 100 requests, 2 more each second."""
        self.pause(0.02)
        filled = self.list_tokens + 2 * (self.loop.now - self.list_at)
        self.list_tokens, self.list_at = min(100.0, filled), self.loop.now
        if self.list_errors or self.list_tokens < 1:
            self.refused.append((self.loop.now, "ListExecutions"))
            self.list_errors = max(0, self.list_errors - 1)
            _aws_error("ListExecutions", "ThrottlingException")
        self.list_tokens -= 1
        listed = [
            {
                "name": e.name,
                "status": e.status,
                "executionArn": _arn(e.name, stateMachineArn),
                "startDate": START + timedelta(seconds=e.started),
            }
            for e in reversed(self._of(stateMachineArn).values())
            if statusFilter in (None, e.status) and e.name not in self.forgotten
        ]
        first = int(nextToken or 0)
        page: dict[str, Any] = {"executions": listed[first : first + maxResults]}
        if first + maxResults < len(listed):
            page["nextToken"] = str(first + maxResults)
        return page

    def describe_execution(self, executionArn: str) -> dict[str, Any]:
        execution = self.executions[executionArn.rsplit(":", 1)[-1]]
        return {"input": json.dumps(execution.input)}

    def invoke_later(self, FunctionName: str, InvocationType: str, Payload: str) -> dict[str, Any]:
        """An asynchronous invocation by another function."""
        self.pause(0.01)
        assert InvocationType == "Event"
        with self._failing("Invoke"):
            self.asked.append((self.loop.now, FunctionName, json.loads(Payload)))
            if self.has_restores:
                request_id = f"{len(self.asked):08x}-5555-4000-8000-000000000000"
                function = FunctionName.rpartition(":")[2]
                self.deliver(json.loads(Payload), request_id, function=function)
        return {}

    def probe(self, address: str, port: int, timeout_s: float) -> str:
        self.pause(0.05)
        heard = self.greeting(address, port)
        self.heard.append((address, heard))
        return heard

    def _of(self, state_machine_arn: str) -> dict[str, Execution]:
        return self.restores if state_machine_arn.endswith("RestoreRun") else self.executions

    def publish(self, **message: Any) -> dict[str, Any]:
        with self._failing("Publish"):
            self.loop.current.context.messages.append(message)
        self.pause(0.02)
        return {}

    @contextmanager
    def _failing(self, operation: str) -> Iterator[None]:
        """What is done in it fails, before or after, if this call is to fail: one of the watch, or
        one of StartRun for the memory."""
        of_watch = self.loop.current.context.function == "WatchServers"
        counts = of_watch or operation == "GetParameter"
        errors = self.watch_errors.get(operation) if counts else None
        when, _, code = (errors.pop(0) if errors else "").rpartition(" ")
        if when != "after" and code:
            self.refused.append((self.loop.now, operation))
            _aws_error(operation, code)
        yield
        if code:
            self.refused.append((self.loop.now, operation))
            _aws_error(operation, code)

    def put_metrics(self, lines: Iterable[dict[str, Any]]) -> None:
        self.loop.current.context.metrics += lines

    def start_execution(self, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:
        self.pause(0.02)
        assert re.fullmatch(r"[0-9A-Za-z_-]{1,80}", name), name
        document = json.loads(input)
        project = document["run"]["project"]
        if self.start_errors.get(project, 0) > 0:
            self.start_errors[project] -= 1
            _aws_error("StartExecution", "ThrottlingException")
        executions, arn = self._of(stateMachineArn), _arn(name, stateMachineArn)
        if earlier := executions.get(name):
            if earlier.status == "RUNNING" and earlier.input == document:
                return {"executionArn": arn}
            raise ExecutionAlreadyExists
        execution = executions[name] = Execution(
            name, document, self.loop.now, self.loop.current.context.event
        )
        machine = stateMachineArn.rpartition(":")[2]
        self.loop.spawn(lambda: self._run(execution, machine), after=0.05)
        return {"executionArn": arn}

    def _run(self, execution: Execution, machine: str) -> None:
        self.loop.current.context = None
        walk = Walk(
            self.loop,
            self.rng,
            invoke=lambda f, event, patience: self.invoke(f, event, patience, execution),
            is_stopped=lambda: execution.status == "ABORTED",
            loses=lambda item: self.lost_children.pop(item.get("id"), ""),
            on_item=lambda item, result: self._ended(execution, machine, item, result),
        )
        status = "ABORTED"
        try:
            execution.output = walk.run(definition(machine), execution.input)
            status = "SUCCEEDED"
        except Failed as failed:
            status, execution.error, execution.cause = "FAILED", failed.error, failed.cause
        except Stopped:
            return
        if execution.status == "RUNNING":
            execution.status, execution.ended = status, self.loop.now

    def _ended(self, execution: Execution, machine: str, item: Any, result: Any) -> None:
        if machine != "RestoreRun":
            self.on_child(execution, item, result)


def _aws_error(operation: str, code: str) -> NoReturn:
    raise ClientError({"Error": {"Code": code, "Message": code}}, operation)


def _arn(name: str, state_machine_arn: str) -> str:
    return f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
