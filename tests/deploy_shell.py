"""A person's shell for the deploy commands, and an AWS in which their stack may be."""

import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import mock_aws

from deploy.__main__ import main
from local.environment import clean
from local.simulator import Simulator
from local.virtual.template import read_template
from tests.aws import Aws

REGION = "eu-central-1"
Stacks = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A user's shell: a region and credentials, and nothing saved by an earlier deployment."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in clean({"PATH": os.environ.get("PATH", "")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setattr("deploy.settings.ROOT", tmp_path)  # where samconfig.toml is
    monkeypatch.setenv("REGION", REGION)
    monkeypatch.setenv("SERVER", "sg5")  # without one `make restore` asks AWS nothing
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return monkeypatch


@pytest.fixture
def stacks(shell: pytest.MonkeyPatch) -> Stacks:
    """What CloudFormation answers, by region and name; moto's own needs more libraries."""
    stacks: Stacks = {}
    to_aws = BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: Any) -> Any:
        if operation not in ("DescribeStacks", "GetTemplateSummary"):
            return to_aws(client, operation, arguments)
        if not (name := arguments.get("StackName")):
            here = [
                found for (region, _), found in stacks.items() if region == client.meta.region_name
            ]
            return {"Stacks": here}
        if found := stacks.get((client.meta.region_name, name)):
            if operation == "GetTemplateSummary":
                return {"Description": found["Description"]}
            return {"Stacks": [{"StackName": name, **found}]}
        missing = {"Code": "ValidationError", "Message": f"Stack with id {name} does not exist"}
        raise ClientError({"Error": missing}, operation)

    shell.setattr(BaseClient, "_make_api_call", call)
    return stacks


@pytest.fixture
def account(shell: pytest.MonkeyPatch) -> Iterator[None]:
    with mock_aws():
        yield


LOG_GROUP = "/hetzner-snapshots/hetzner-snapshots"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:Notifications"


def a_stack(status: str = "CREATE_COMPLETE", **parameters: str) -> dict[str, Any]:
    """As the template makes it."""
    given = {"TokenPath": "/hetzner-snapshots/tokens", "Owner": "", **parameters}
    return {
        "StackName": "hetzner-snapshots",
        "StackStatus": status,
        "Description": read_template()["Description"],
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
        "Outputs": [
            {"OutputKey": "StartRunFunction", "OutputValue": "StartRun"},
            {"OutputKey": "LogGroupName", "OutputValue": LOG_GROUP},
            {"OutputKey": "NotificationsTopicArn", "OutputValue": TOPIC},
            {"OutputKey": "TellFunction", "OutputValue": "Tell"},
        ],
    }


@pytest.fixture
def stack(stacks: Stacks, account: None, simulator: Simulator) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack(HetznerEndpoint=simulator.url)


def said(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a command that refuses with exit code 2."""
    assert main(command, os.environ) == 2
    return capsys.readouterr().err


def at_a_terminal(shell: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Somebody who types these answers; the questions they were asked."""
    asked: list[str] = []
    left = list(answers)

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return left.pop(0)

    for module in ("bring", "destroy", "elsewhere", "forget", "restore"):
        shell.setattr(f"deploy.{module}.has_terminal", lambda: True)
    shell.setattr("builtins.input", answer)
    return asked


@pytest.fixture
def nights(stacks: Stacks, aws: Aws, simulator: Simulator) -> Aws:
    """A stack whose functions run, and whose log group is empty."""
    found = a_stack(HetznerEndpoint=simulator.url, LogRetentionDays="30", LogLevel="INFO")
    [machine] = boto3.client("stepfunctions", region_name=REGION).list_state_machines()[
        "stateMachines"
    ]
    found["Outputs"].append(
        {"OutputKey": "SnapshotRunArn", "OutputValue": machine["stateMachineArn"]}
    )
    stacks[REGION, "hetzner-snapshots"] = found
    logs = boto3.client("logs", region_name=REGION)
    logs.create_log_group(logGroupName=LOG_GROUP)
    logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName="all")
    return aws


def keep(lines: list[dict[str, Any]]) -> None:
    """The log group has these lines, and some that are not ours."""
    now_ms = int(time.time() * 1000)
    messages = ["START RequestId: 1", *map(json.dumps, lines)]
    boto3.client("logs", region_name=REGION).put_log_events(
        logGroupName=LOG_GROUP,
        logStreamName="all",
        logEvents=[{"timestamp": now_ms, "message": message} for message in messages],
    )
