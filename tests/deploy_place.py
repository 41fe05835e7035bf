"""A place to deploy to: a local AWS and a simulated Hetzner, used through make."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import boto3

from local.access import Access
from local.aws import ROOT, LogTail, connection
from local.cloud import running
from local.environment import clean
from local.options import Options
from local.simulator import Clock, Simulator, World

# `make` runs on a pseudo-terminal; these pipes are its other end.
ON_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
SCALE = 60


@dataclass
class Place:
    world: World
    hetzner: str
    aws: Access
    folder: Path
    said: list[str] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return boto3.client(service, **connection(self.aws))  # type: ignore[call-overload]

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **clean(os.environ),
            **self.aws.environment(),
            "SAMCONFIG": str(self.folder / "samconfig.toml"),
            **more,
        }

    def make(self, *targets: str, given: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """`make` without a terminal, with `given` as its standard input."""
        done = subprocess.run(
            ["make", "--silent", *targets],
            cwd=ROOT,
            env=self.environment(**more),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
        )
        self.said.append(done.stdout)
        return done

    def at_a_terminal(self, target: str, *answers: tuple[str, str], **more: str) -> tuple[int, str]:
        """`make` at a terminal, with answers to these prompts; its exit code and output."""
        with subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, "make", "--silent", target],
            cwd=ROOT,
            env=self.environment(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        ) as process:
            assert process.stdin and process.stdout
            shown = "".join(_answer(process.stdin, process.stdout, *pair) for pair in answers)
            rest, _ = process.communicate(timeout=200)
        shown += rest.decode()
        self.said.append(shown)
        return process.returncode, shown

    def lines(self, stack: str) -> list[dict[str, Any]]:
        """The log lines of a stack's functions."""
        found = LogTail(self.aws, f"/hetzner-snapshots/{stack}", since=0).all_lines()
        return [json.loads(line) for line in found if line.startswith("{")]

    def ids(self, stack: str) -> dict[str, str]:
        found = self.client("cloudformation").describe_stack_resources(StackName=stack)
        return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found["StackResources"]}

    def parameters(self, stack: str) -> dict[str, str]:
        [found] = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {p["ParameterKey"]: p["ParameterValue"] for p in found["Parameters"]}

    def everything(self) -> dict[str, set[str]]:
        """All resources in the account, by kind, without stacks and SAM's bucket."""
        return {
            kind: {str(item[name] if name else item) for item in _all(self.client(service), verb)}
            for kind, (service, verb, name) in KINDS.items()
        }


KINDS = {
    "functions": ("lambda", "list_functions", "FunctionName"),
    "roles": ("iam", "list_roles", "RoleName"),
    "log groups": ("logs", "describe_log_groups", "logGroupName"),
    "schedules": ("scheduler", "list_schedules", "Name"),
    "schedule groups": ("scheduler", "list_schedule_groups", "Name"),
    "topics": ("sns", "list_topics", "TopicArn"),
    "subscriptions": ("sns", "list_subscriptions", "SubscriptionArn"),
    "queues": ("sqs", "list_queues", ""),
    "rules": ("events", "list_rules", "Name"),
    "alarms": ("cloudwatch", "describe_alarms", "AlarmName"),
    "dashboards": ("cloudwatch", "list_dashboards", "DashboardName"),
    "state machines": ("stepfunctions", "list_state_machines", "name"),
}
KEYS = {
    "list_functions": "Functions",
    "list_roles": "Roles",
    "describe_log_groups": "logGroups",
    "list_schedules": "Schedules",
    "list_schedule_groups": "ScheduleGroups",
    "list_topics": "Topics",
    "list_subscriptions": "Subscriptions",
    "list_queues": "QueueUrls",
    "list_rules": "Rules",
    "describe_alarms": "MetricAlarms",
    "list_dashboards": "DashboardEntries",
    "list_state_machines": "stateMachines",
}


def _all(client: Any, verb: str) -> list[Any]:
    if not client.can_paginate(verb):
        return list(getattr(client, verb)().get(KEYS[verb], []))
    pages = client.get_paginator(verb).paginate()
    return [item for page in pages for item in page.get(KEYS[verb], [])]


def _answer(stdin: IO[bytes], stdout: IO[bytes], prompt: str, answer: str) -> str:
    shown = ""
    while prompt not in shown:
        some = stdout.read(4096)
        assert some, f"it ended without asking for {prompt!r}:\n{shown}"
        shown += some.decode()
    stdin.write(f"{answer}\n".encode())
    return shown


@contextmanager
def a_place(folder: Path) -> Iterator[Place]:
    """The place; nothing is left of it afterwards."""
    world = World(Clock(datetime.now(UTC), SCALE), seed=1)
    with Simulator(world) as simulator:
        options = Options("given", "unused", simulator.url, wait_scale=1 / SCALE)
        with running(options) as (cloud, _):
            yield Place(world, simulator.url, cloud.aws, folder)
