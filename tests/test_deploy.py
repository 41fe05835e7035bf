"""What deploying refuses, and what it says then; what a token is tried with."""

import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from deploy.__main__ import main
from deploy.give_token import NO_IMAGE, may_write, seen_with
from deploy.parameters import check, template_parameters
from hetzner import client_for
from local.environment import clean
from local.options import Unusable
from local.simulator import Fault, Project, Simulator, World
from local.simulator.faults import Effect, drop, html, status
from tests.conftest import TOKEN
from tests.template import ROOT, read_template

REGION = "eu-central-1"
PARAMETER = "/hetzner-snapshots/tokens/default"
SAVED = f"""
[default.deploy.parameters]
stack_name = "hetzner-snapshots"
[default.deploy.parameters.parameter_overrides]
Retention = "daily5"
[default.global.parameters]
region = "{REGION}"
"""
# Looks like ours from outside, which is all that the commands see of it.
LIKE_OURS = {
    "Parameters": {
        "TokenPath": {"Type": "String", "Default": "/hetzner-snapshots/tokens"},
        "HetznerEndpoint": {"Type": "String"},
    },
    "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
    "Outputs": {"StartRunFunction": {"Value": "StartRun"}},
}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Somebody's shell: a region and credentials, and nothing kept of an earlier deployment."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in clean({"PATH": os.environ.get("PATH", "")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("SAMCONFIG", str(tmp_path / "samconfig.toml"))
    monkeypatch.setenv("REGION", REGION)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return monkeypatch


@pytest.fixture
def account(shell: pytest.MonkeyPatch) -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def stack(account: None, simulator: Simulator) -> None:
    boto3.client("cloudformation", region_name=REGION).create_stack(
        StackName="hetzner-snapshots",
        TemplateBody=json.dumps(LIKE_OURS),
        Parameters=[{"ParameterKey": "HetznerEndpoint", "ParameterValue": simulator.url}],
    )


def said(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command refuses with: exit code 2 and a message, whatever is missing."""
    assert main(command, os.environ) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", ["deploy", "token", "smoke", "destroy"])
def test_without_credentials_every_command_says_how_to_get_some(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    shell.delenv("AWS_ACCESS_KEY_ID")
    shell.delenv("AWS_SECRET_ACCESS_KEY")
    text = said(command, capsys)
    assert text.startswith("There are no AWS credentials here.")
    assert "AWS_PROFILE=name" in text and "aws configure" in text


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"AWS_SECRET_ACCESS_KEY": ""}, "Half of the AWS credentials is missing"),
        ({"AWS_PROFILE": "nobody"}, "`aws configure list-profiles` lists those there are"),
        ({"REGION": ""}, "Which AWS region? Say REGION="),
        ({"REGION": "eu central"}, "whether the region is written as in REGION=eu-central-1"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS does not answer"),
        ({"STACK": "my_stack"}, "STACK=my_stack is no name for a stack"),
        ({"PROJECT": "a/b"}, "PROJECT=a/b is no name for a project: 1 to 29 letters"),
        ({"PARAMETERS": "Retention"}, "In PARAMETERS, Retention has no value."),
        ({"PARAMETERS": "Schedule='cron"}, "cannot be read"),
    ],
)
def test_what_is_missing_or_mistyped_is_said_with_the_remedy(
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    expected: str,
) -> None:
    for name, value in variables.items():
        shell.setenv(name, value)
    text = said("token", capsys)
    assert expected in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Retntion=daily3", "There is no parameter Retntion. There are: Schedule,"),
        ("Retention=dayly3", "Retention is 'dayly3'; it must be rules joined by dashes"),
        ("Notify=never", "Notify is 'never'; it must be one of problems, always."),
        ("NotificationEmail=me", "NotificationEmail is 'me'; it must be one e-mail address"),
        ("MaxDeletions=0", "MaxDeletions is '0'; it must be a number from 1 to 1000."),
        ("MaxDeletions=many", "MaxDeletions is 'many'; it must be a number from 1 to 1000."),
    ],
)
def test_a_parameter_cloudformation_would_refuse_is_refused_before_it_is_asked(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, expected: str
) -> None:
    shell.setenv("PARAMETERS", given)
    assert expected in said("deploy", capsys)


def test_every_parameters_own_default_passes() -> None:
    known = template_parameters()
    assert known.keys() == read_template()["Parameters"].keys()
    check({name: parameter.default for name, parameter in known.items()})


@pytest.mark.parametrize("command", ["token", "smoke", "destroy"])
def test_in_the_wrong_region_it_says_where_it_looked(
    stack: None, shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    shell.setenv("REGION", "eu-west-1")
    text = said(command, capsys)
    assert "There is no stack hetzner-snapshots in eu-west-1 of the account 123456789012" in text
    assert "say REGION=, STACK= or AWS_PROFILE=" in text


def test_another_region_around_than_the_one_deployed_to_is_asked_about(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "samconfig.toml").write_text(SAVED)
    shell.delenv("REGION")
    shell.setenv("AWS_REGION", "us-east-1")
    text = said("deploy", capsys)
    assert f"Say which one you mean: REGION={REGION} or REGION=us-east-1." in text


def test_the_region_of_the_first_deployment_is_used_afterwards(
    stack: None,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "samconfig.toml").write_text(SAVED)
    shell.delenv("REGION")
    assert "No token was given" in said("token", capsys)


def test_answers_that_cannot_be_read_are_not_passed_over(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "samconfig.toml").write_text("not toml at all")
    assert "Repair it, or remove it to be asked again." in said("deploy", capsys)


def test_a_stack_of_something_else_is_not_touched(
    account: None, capsys: pytest.CaptureFixture[str], shell: pytest.MonkeyPatch
) -> None:
    foreign = {**LIKE_OURS, "Outputs": {"Something": {"Value": "else"}}}
    cloudformation = boto3.client("cloudformation", region_name=REGION)
    cloudformation.create_stack(
        StackName="shop",
        TemplateBody=json.dumps(foreign),
        Parameters=[{"ParameterKey": "HetznerEndpoint", "ParameterValue": "https://x.example"}],
    )
    shell.setenv("STACK", "shop")
    shell.setenv("YES", "1")
    for command in ("deploy", "token", "smoke", "destroy"):
        assert "not one of hetzner-snapshots" in said(command, capsys)
    assert cloudformation.describe_stacks(StackName="shop")["Stacks"]


def test_a_token_is_not_stored_while_hetzner_does_not_answer(
    stack: None, shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], world: World
) -> None:
    world.faults.add(Fault(status(503, "unavailable"), times=None))
    shell.setattr("sys.stdin", io.StringIO(TOKEN))
    text = said("token", capsys)
    assert text.startswith("The token could not be tried, so nothing was stored")
    assert boto3.client("ssm", region_name=REGION).describe_parameters()["Parameters"] == []


def test_a_token_whose_right_to_write_is_unclear_is_stored_and_said_so(
    stack: None,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    world: World,
    project: Project,
) -> None:
    world.faults.add(Fault(status(503, "unavailable"), method="PUT", times=None))
    shell.setattr("sys.stdin", io.StringIO(f"{TOKEN}\n"))
    assert main("token", os.environ) == 0
    assert "Whether it may write could not be told" in capsys.readouterr().out
    stored = boto3.client("ssm", region_name=REGION).get_parameter(
        Name=PARAMETER, WithDecryption=True
    )["Parameter"]
    assert (stored["Type"], stored["Value"]) == ("SecureString", TOKEN)


def test_the_right_to_write_is_found_out_without_changing_anything(
    world: World, project: Project, simulator: Simulator
) -> None:
    project.add_token("r" * 64, read_only=True)
    image = project.add_snapshot(project.add_server("web-1"), labels={"mine": "yes"})
    assert may_write(client_for(TOKEN, simulator.url)) == "yes"
    assert may_write(client_for("r" * 64, simulator.url)) == "no"
    assert [r.path for r in world.requests] == [f"/images/{NO_IMAGE}"] * 2
    assert project.images == {image.id: image}
    assert image.labels == {"mine": "yes"}


@pytest.mark.parametrize(
    ("effect", "told"),
    [
        (status(403, "forbidden"), "no"),
        (status(401, "token_readonly"), "no"),
        (status(429, "rate_limit_exceeded"), "Hetzner said"),
        (html(502), "Hetzner said"),
        (drop(), "no clear answer from Hetzner"),
        (status(422, "invalid_input"), "Hetzner said"),
    ],
)
def test_what_does_not_tell_whether_it_may_write_is_not_taken_for_an_answer(
    world: World, project: Project, simulator: Simulator, effect: Effect, told: str
) -> None:
    world.faults.add(Fault(effect, method="PUT"))
    assert may_write(client_for(TOKEN, simulator.url)).startswith(told)
    assert len(world.requests) == 1


def test_a_token_is_tried_with_one_read_that_shows_the_project(
    world: World, project: Project, simulator: Simulator
) -> None:
    client = client_for(TOKEN, simulator.url)
    assert seen_with(client) == "0 servers"
    project.add_server("web-1")
    project.add_server("db-1")
    assert seen_with(client) == "2 servers, web-1 among them"
    with pytest.raises(Unusable, match="Hetzner does not take this token"):
        seen_with(client_for("x" * 64, simulator.url))


def test_no_parameter_can_replace_what_holds_state() -> None:
    """By CloudFormation's own schemas: properties that replace a resource are no parameter's."""
    script = (
        "import json, sys; from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER as schemas; "
        "print(json.dumps({t: schemas.get_resource_schema('us-east-1', t).schema"
        ".get('createOnlyProperties', []) for t in sys.argv[1:]}))"
    )
    template = read_template()
    holding = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] in KEPT_TYPES
    }
    types = sorted({KEPT_TYPES[resource["Type"]] for resource in holding.values()})
    answer = subprocess.run(
        [str(ROOT / ".venv-sam/bin/python"), "-c", script, *types],
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    )
    create_only = json.loads(answer.stdout)
    looked_at = 0
    for name, resource in holding.items():
        for path in create_only[KEPT_TYPES[resource["Type"]]]:
            value = resource.get("Properties", {}).get(path.rsplit("/", 1)[1])
            looked_at += value is not None
            for parameter in template["Parameters"]:
                assert f"${{{parameter}}}" not in json.dumps(value), (name, path)
                assert f'"Ref": "{parameter}"' not in json.dumps(value), (name, path)
    assert len(holding) == 6 and looked_at >= 2


KEPT_TYPES = {
    "AWS::Logs::LogGroup": "AWS::Logs::LogGroup",
    "AWS::SNS::Topic": "AWS::SNS::Topic",
    "AWS::SQS::Queue": "AWS::SQS::Queue",
    "AWS::Scheduler::ScheduleGroup": "AWS::Scheduler::ScheduleGroup",
    "AWS::Serverless::StateMachine": "AWS::StepFunctions::StateMachine",
}
