"""`make forget`: the token goes first, then the watch forgets; nothing unasked."""

import io
import json
import os
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

from deploy.__main__ import main
from deploy.running import Run
from tests.deploy_shell import REGION, Stacks, a_stack, at_a_terminal, said

Capsys = pytest.CaptureFixture[str]
TOKENS = "/hetzner-snapshots/tokens"
REFUSAL = (
    "The field forget is 'shop', which is not remembered; remembered are: default. Nothing was "
    "done."
)


class Memory:
    """What WatchServers remembers; what was there when it was asked."""

    def __init__(self, *projects: str) -> None:
        self.projects = set(projects)
        self.asked: list[tuple[Any, list[str]]] = []
        self.error = ""

    def forget(self, arguments: Any) -> Any:
        event = json.loads(arguments["Payload"])
        self.asked.append((event, tokens()))
        error = self.error or ("" if event["forget"] in self.projects else "EventRefused")
        answer: Any = {"forgotten": event["forget"]}
        if error:
            said = REFUSAL if error == "EventRefused" else "the memory cannot be written"
            answer = {"errorType": error, "errorMessage": said}
        self.projects -= {event["forget"]} if not error else set()
        failed = {"FunctionError": "Unhandled"} if error else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}


def tokens() -> list[str]:
    ssm = boto3.client("ssm", region_name=REGION)
    return sorted(
        p["Name"].removeprefix(f"{TOKENS}/")
        for p in ssm.get_parameters_by_path(Path=TOKENS)["Parameters"]
    )


@pytest.fixture
def memory(stack: None, stacks: Stacks, shell: pytest.MonkeyPatch) -> Memory:
    """A stack with the tokens of two projects, whose watch remembers both."""
    stacks[REGION, "hetzner-snapshots"]["Outputs"].append(
        {"OutputKey": "WatchServersFunction", "OutputValue": "WatchServers"}
    )
    for name in ("default", "shop"):
        boto3.client("ssm", region_name=REGION).put_parameter(
            Name=f"{TOKENS}/{name}", Value="secret", Type="SecureString"
        )
    memory = Memory("default", "shop")
    to_aws = BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "Invoke" and arguments["FunctionName"] == "WatchServers":
            return memory.forget(arguments)
        return to_aws(client, operation, arguments)

    shell.setattr(BaseClient, "_make_api_call", call)
    shell.setenv("PROJECT", "shop")
    return memory


@pytest.mark.parametrize("by", ["YES=1", "a terminal"])
def test_the_token_is_gone_when_the_watch_is_told_to_forget(
    memory: Memory, shell: pytest.MonkeyPatch, capsys: Capsys, by: str
) -> None:
    if by == "YES=1":
        shell.setenv("YES", "1")
    else:
        assert at_a_terminal(shell, "y") == []
    assert main("forget", os.environ) == 0
    assert memory.asked == [({"forget": "shop"}, ["default"])]
    told = capsys.readouterr().out
    assert f"The SSM parameter {TOKENS}/shop is removed.\nThe project shop is forgotten.\n" in told
    assert "delete it in the Hetzner console" in told
    assert "hetzner-snapshots/managed-by=hetzner-snapshots" in told


def test_nothing_is_forgotten_unasked(
    memory: Memory, shell: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    assert "`make forget PROJECT=shop YES=1 REGION=eu-central-1`." in said("forget", capsys)
    at_a_terminal(shell, "n")
    assert main("forget", os.environ) == 1
    assert "Nothing was changed." in capsys.readouterr().out
    shell.delenv("PROJECT")
    assert "Which project? Say PROJECT=name." in said("forget", capsys)
    assert tokens() == ["default", "shop"] and memory.asked == []


def test_a_token_may_stay(memory: Memory, shell: pytest.MonkeyPatch, capsys: Capsys) -> None:
    shell.setenv("YES", "1")
    shell.setenv("KEEP_TOKEN", "1")
    assert main("forget", os.environ) == 0
    assert memory.asked == [({"forget": "shop"}, ["default", "shop"])]
    assert tokens() == ["default", "shop"]
    assert "learns it anew at its next look" in capsys.readouterr().out


def test_a_project_whose_token_is_gone_already_is_forgotten(
    memory: Memory, shell: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    boto3.client("ssm", region_name=REGION).delete_parameter(Name=f"{TOKENS}/shop")
    shell.setenv("YES", "1")
    assert main("forget", os.environ) == 0
    assert memory.projects == {"default"}
    assert "is removed" not in capsys.readouterr().out


def test_a_project_that_nobody_knows_is_refused_with_those_that_are_known(
    memory: Memory, shell: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    boto3.client("ssm", region_name=REGION).delete_parameter(Name=f"{TOKENS}/shop")
    memory.projects = {"default"}
    shell.setenv("YES", "1")
    assert said("forget", capsys) == f"{REFUSAL}\n"
    assert tokens() == ["default"]


def test_a_project_that_the_watch_has_not_seen_yet_goes_all_the_same(
    memory: Memory, shell: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    memory.projects = {"default"}
    shell.setenv("YES", "1")
    assert main("forget", os.environ) == 0
    assert tokens() == ["default"]
    assert "The watch had not seen the project yet" in capsys.readouterr().out


def test_what_is_left_to_do_is_said_if_the_watch_cannot_forget(
    memory: Memory, shell: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    memory.error = "MemoryUnknown"
    shell.setenv("YES", "1")
    assert main("forget", os.environ) == 1
    text = capsys.readouterr().err
    assert "the memory cannot be written" in text
    assert "The token is removed, but the project is not forgotten" in text
    assert "`make forget PROJECT=shop REGION=eu-central-1` once more." in text
    memory.error = ""
    assert main("forget", os.environ) == 0
    assert memory.projects == {"default"}


@pytest.mark.parametrize(("project", "refused"), [("shop", True), ("default", False)])
def test_a_run_of_the_project_is_not_broken_off(
    memory: Memory,
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: Capsys,
    project: str,
    refused: bool,
) -> None:
    step_functions = boto3.client("stepfunctions", region_name=REGION)
    machine = step_functions.create_state_machine(
        name="SnapshotRun",
        definition='{"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}',
        roleArn="arn:aws:iam::123456789012:role/of-the-machine",
    )["stateMachineArn"]
    stacks[REGION, "hetzner-snapshots"]["Outputs"].append(
        {"OutputKey": "SnapshotRunArn", "OutputValue": machine}
    )
    step_functions.start_execution(stateMachineArn=machine, name=f"tonight_{project}_12345678")
    shell.setenv("YES", "1")
    assert main("forget", os.environ) == (2 if refused else 0)
    assert (
        f"One run is going on: tonight_{project}_12345678." in capsys.readouterr().err
    ) is refused
    assert ("shop" in tokens()) is refused
    assert bool(memory.asked) is not refused


def test_a_run_that_begins_while_the_question_stands_is_not_broken_off(
    memory: Memory, shell: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    answers: list[list[Run]] = [[], [Run("arn:of-the-night", "tonight_shop_12345678")]]
    shell.setattr("deploy.forget.runs_going_on", lambda *_: answers.pop(0))
    shell.setenv("YES", "1")
    assert "One run is going on: tonight_shop_12345678." in said("forget", capsys)
    assert tokens() == ["default", "shop"] and not memory.asked


def test_a_stack_without_the_watch_keeps_its_token(
    memory: Memory, stacks: Stacks, shell: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack()
    shell.setenv("YES", "1")
    assert "is of an older version, which has no function WatchServers" in said("forget", capsys)
    assert tokens() == ["default", "shop"]
