"""The tests' AWS: moto, with the real definition, our functions behind it, and virtual time.

Only this file, `virtual_time.py` and `warm.py` use moto's private parts; this one where a Lambda
is invoked or a topic is made.
"""

import json
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.sns.models import sns_backends

from local.simulator import Clock
from local.virtual.functions import Context, handler_of
from local.virtual.template import ACCOUNT, REGION, Stack
from tests.virtual_time import VirtualTime, virtual
from tests.warm import warm


class LambdaDied(Exception):
    """Raised by a test's `after` hook: the function has done its work, but its answer is lost."""


@dataclass
class Invocation:
    function: str
    event: Any
    output: Any


@dataclass
class Aws:
    """The deployed functions and state machine, with a record of what they did."""

    time: VirtualTime
    stack: Stack
    waits: list[int] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    # In CloudWatch's embedded format, as written.
    metrics: list[dict[str, Any]] = field(default_factory=list)
    # Called after a function has returned, with its name, input and output.
    after: Callable[[str, Any, Any], None] | None = None
    before: Callable[[str, Any], None] | None = None
    # What CheckServer hears at an address and port.
    probe: Callable[[str, int], str] = lambda *_: "no connection: timed out"
    _one: threading.RLock = field(default_factory=threading.RLock)
    _requests: int = 0

    def invoke(self, function: str, event: Any, request_id: str = "") -> Any:
        """The function's answer; raises what the function raises."""
        # One at a time: each real function has a process and a logger of its own.
        with self._one, patch.dict("os.environ", self.stack.environment(function), clear=False):
            self._requests += 1
            if self.before:
                self.before(function, event)
            request = request_id or f"{self._requests:08x}-0000-4000-8000-000000000000"
            # Lambda sets a trace id for every invocation; the logger buffers its lines by that id.
            os.environ["_X_AMZN_TRACE_ID"] = f"Root=1-{self._requests:08x}-{'0' * 24}"
            output = handler_of(function)(event, Context(function, request))
            output = json.loads(json.dumps(output))
            self.invocations.append(Invocation(function, event, output))
            if self.after:
                self.after(function, event, output)
            return output

    def wait(self, seconds: float) -> None:
        """A Wait state or a Retry waits."""
        self.waits.append(int(seconds))
        self.time.sleep(seconds)

    def store_token(self, project: str, token: str, kind: str = "SecureString") -> None:
        name = f"{self.stack.parameters['TokenPath']}/{project}"
        boto3.client("ssm", region_name=REGION).put_parameter(Name=name, Value=token, Type=kind)

    def run(self, event: Any, request_id: str = "") -> "Night":
        """Invokes StartRun and waits for all its executions to end."""
        return self.finish(self.invoke("StartRun", event, request_id))

    def restore(self, event: Any) -> "Night":
        """Invokes StartRestore and waits for all its executions to end."""
        return self.finish(self.invoke("StartRestore", event))

    def finish(self, answer: dict[str, Any]) -> "Night":
        arns = {started["project"]: started["execution_arn"] for started in answer["executions"]}
        self.time.pass_until(lambda: self.time.ended.issuperset(arns.values()))
        client = boto3.client("stepfunctions", region_name=REGION)
        executions = {
            project: client.describe_execution(executionArn=arn) for project, arn in arns.items()
        }
        return Night(answer, executions, self.results(answer["run_id"]))

    def results(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Per server the result that SummariseRun logged."""
        lines = [line for line in self.logs if line.get("run_id") == run_id and "result" in line]
        return {line["result"]["server"]: line["result"] for line in lines}

    def messages(self) -> str:
        return "\n".join(str(line["message"]) for line in self.logs)


@dataclass
class Night:
    """A finished run."""

    answer: dict[str, Any]
    executions: dict[str, Any]
    results: dict[str, dict[str, Any]]

    @property
    def run_id(self) -> str:
        return str(self.answer["run_id"])

    def verdict(self, project: str = "default") -> str:
        execution = self.executions[project]
        if execution["status"] == "SUCCEEDED":
            return str(json.loads(execution["output"])["verdict"])
        return str(execution.get("error"))

    def summary(self, project: str = "default") -> str:
        execution = self.executions[project]
        if execution["status"] == "SUCCEEDED":
            return str(json.loads(execution["output"])["summary"])
        return str(execution.get("cause"))


class LogLines(logging.Handler):
    """Keeps each log line as the JSON that CloudWatch would get."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        assert self.formatter is not None
        self.lines.append(json.loads(self.formatter.format(record)))


@contextmanager
def deployed(clock: Clock, stack: Stack) -> Iterator[Aws]:
    """The stack's state machine and functions in moto, without a token yet."""
    aws = Aws(VirtualTime(clock), stack)

    def invoked(
        _: Any, name: str, __: Any, body: Any, ___: Any, response_headers: dict[str, str]
    ) -> bytes:
        function = name.rsplit(":", 1)[-1]
        aws.time.halt_if_over()
        try:
            return json.dumps(aws.invoke(function, json.loads(body))).encode()
        except Exception as error:
            response_headers["x-amz-function-error"] = "Unhandled"
            kind = "Lambda.Unknown" if isinstance(error, LambdaDied) else type(error).__name__
            return json.dumps({"errorMessage": str(error), "errorType": kind}).encode()

    environment = {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    config = {
        "stepfunctions": {"execute_state_machine": True},
        "lambda": {"use_docker": False},
    }
    with (
        patch.dict("os.environ", environment),
        mock_aws(config=config),  # type: ignore[arg-type]
        warm(),
        patch.object(LambdaSimpleBackend, "invoke", invoked),
        virtual(aws.time, aws.wait),
        patch.dict("handler.aws.runtime.told", clear=True),
        _logged(aws.logs),
        patch("handler.snapshot_run.summarise_run.put_metrics", aws.metrics.extend),
        patch("handler.triggers.watch_servers.put_metrics", aws.metrics.extend),
        patch("handler.restore_run.summarise_restore.put_metrics", aws.metrics.extend),
        patch("handler.restore_run.check_server.greeting", lambda ip, port, _: aws.probe(ip, port)),
        patch("handler.triggers.watch_servers.datetime", _clock_of(clock)),
        # The jitter of the waits, the same for every test.
        patch("random.random", random.Random(1).random),
    ):
        boto3.client("ssm", region_name=REGION).put_parameter(
            Name=stack.ref("WatchMemory"), Value="{}", Type="String"
        )
        topic = boto3.client("sns", region_name=REGION).create_topic(Name="Notifications")
        # moto counts no subscriptions. There is that of Tell.
        sns_backends[ACCOUNT][REGION].topics[topic["TopicArn"]].subscriptions_confimed = 1
        machines = ["SnapshotRun", *(["RestoreRun"] if stack.condition("HasRestores") else [])]
        for machine in machines:
            boto3.client("stepfunctions", region_name=REGION).create_state_machine(
                name=machine,
                definition=stack.definition(machine),
                roleArn=f"arn:aws:iam::{ACCOUNT}:role/{machine}Role",
            )
        try:
            yield aws
        finally:
            aws.time.close()


def _clock_of(clock: Clock) -> Any:
    """In place of the class datetime: the watch looks by the simulator's clock."""

    class Now(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return clock.now()

    return Now


@contextmanager
def _logged(lines: list[dict[str, Any]]) -> Iterator[None]:
    from handler.aws import clients, logs, runtime, tokens

    for cached in (
        runtime.run_settings,
        runtime.api_settings,
        runtime.summary_settings,
        runtime.watch_settings,
        runtime.restore_settings,
        runtime.tell_settings,
        runtime.hcloud_client,
        clients.sns,
        clients.ssm,
        clients.step_functions,
        tokens.parameters,
    ):
        cached.cache_clear()  # type: ignore[attr-defined]
    handler = LogLines(lines)
    handler.setFormatter(logs.logger.registered_formatter)
    underlying = logs.logger._logger
    underlying.addHandler(handler)
    try:
        yield
    finally:
        underlying.removeHandler(handler)
