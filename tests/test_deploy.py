"""What the deploy commands refuse, with which message; how a token is tried."""

import io
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import mock_aws

from deploy.__main__ import main
from deploy.bring import _quoted, sam
from deploy.give_token import NO_IMAGE, may_write, seen_with
from deploy.parameters import check, template_parameters
from handler.hetzner.api import client_for
from local.common.variables import Unusable
from local.environment import clean
from local.simulator import Fault, Project, Simulator, World
from local.simulator.faults import Effect, drop, html, status
from local.virtual.template import ROOT, read_template
from tests.aws import Aws
from tests.conftest import TOKEN

REGION = "eu-central-1"
Stacks = dict[tuple[str, str], dict[str, Any]]
PARAMETER = "/hetzner-snapshots/tokens/default"
SAVED = f"""
[default.deploy.parameters]
stack_name = "hetzner-snapshots"
[default.deploy.parameters.parameter_overrides]
Notify = "always"
Retention = "daily5"
[default.global.parameters]
region = "{REGION}"
"""


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A user's shell: a region and credentials, and nothing saved by an earlier deployment."""
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
def stacks(shell: pytest.MonkeyPatch) -> Stacks:
    """What CloudFormation answers, by region and name; moto's own needs more libraries."""
    stacks: Stacks = {}
    to_aws = BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: Any) -> Any:
        if operation != "DescribeStacks":
            return to_aws(client, operation, arguments)
        name = arguments["StackName"]
        if found := stacks.get((client.meta.region_name, name)):
            return {"Stacks": [found]}
        missing = {"Code": "ValidationError", "Message": f"Stack with id {name} does not exist"}
        raise ClientError({"Error": missing}, operation)

    shell.setattr(BaseClient, "_make_api_call", call)
    return stacks


@pytest.fixture
def account(shell: pytest.MonkeyPatch) -> Iterator[None]:
    with mock_aws():
        yield


def a_stack(status: str = "CREATE_COMPLETE", **parameters: str) -> dict[str, Any]:
    return {
        "StackStatus": status,
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        "Outputs": [{"OutputKey": "StartRunFunction", "OutputValue": "StartRun"}],
    }


@pytest.fixture
def stack(stacks: Stacks, account: None, simulator: Simulator) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack(
        TokenPath="/hetzner-snapshots/tokens", HetznerEndpoint=simulator.url
    )


def said(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a command that refuses with exit code 2."""
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
        ({"STACK": "default"}, "STACK=default cannot be used: samconfig.toml has something else"),
        ({"STACK": "version"}, "Choose another name for the stack."),
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


@pytest.mark.parametrize("command", ["deploy", "token", "smoke", "destroy"])
def test_a_stack_of_something_else_is_not_touched(
    stacks: Stacks,
    account: None,
    capsys: pytest.CaptureFixture[str],
    shell: pytest.MonkeyPatch,
    command: str,
) -> None:
    stacks[REGION, "shop"] = a_stack()
    shell.setenv("STACK", "shop")
    shell.setenv("YES", "1")
    assert "not one of hetzner-snapshots, so it is left alone" in said(command, capsys)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("ROLLBACK_COMPLETE", "Remove it with `make destroy REGION=eu-central-1`, then `make dep"),
        ("UPDATE_IN_PROGRESS", "Try again when that has ended"),
        (
            "UPDATE_ROLLBACK_FAILED",
            "`aws cloudformation continue-update-rollback --region eu-central-1 --stack-name "
            "hetzner-snapshots`, then `make deploy REGION=eu-central-1`.",
        ),
    ],
)
@pytest.mark.parametrize("command", ["deploy", "token", "smoke"])
def test_a_stack_that_cannot_be_used_is_said_with_the_remedy(
    stacks: Stacks,
    account: None,
    capsys: pytest.CaptureFixture[str],
    command: str,
    status: str,
    remedy: str,
) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack(status, TokenPath="/tokens")
    text = said(command, capsys)
    assert status in text and remedy in text


def test_before_there_is_a_token_the_trial_says_how_to_store_one(
    stack: None, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said("smoke", capsys)
    assert "There is no Hetzner API token under /hetzner-snapshots/tokens yet." in text
    assert "`make token PROJECT=default REGION=eu-central-1`" in text


def test_a_trial_that_is_not_completed_says_why_and_is_an_error(
    stacks: Stacks,
    aws: Aws,
    project: Project,
    simulator: Simulator,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack(
        TokenPath="/hetzner-snapshots/tokens", HetznerEndpoint=simulator.url
    )
    project.add_server("web-1")
    aws.store_token("second", "of-nobody")

    def sleep(_: float) -> None:
        aws.time.pass_until(lambda: len(aws.time.ended) == 2)

    shell.setattr("deploy.smoke.time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    assert main("smoke", os.environ) == 1
    told = capsys.readouterr().out
    assert "default: Completed: 1 of 1 server; dry run" in told
    assert "second: Failed: the token in /hetzner-snapshots/tokens/second" in told
    assert "`make smoke REGION=eu-central-1`" in told


def test_leaving_a_trial_says_that_it_goes_on_and_where(
    stacks: Stacks,
    aws: Aws,
    project: Project,
    simulator: Simulator,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack(
        TokenPath="/hetzner-snapshots/tokens", HetznerEndpoint=simulator.url
    )
    project.add_server("web-1")

    def leave(_: float) -> None:
        raise KeyboardInterrupt

    shell.setattr("deploy.smoke.time", SimpleNamespace(monotonic=time.monotonic, sleep=leave))
    assert main("smoke", os.environ) == 130
    text = capsys.readouterr().err
    assert "The dry run goes on at AWS, and changes nothing." in text
    assert "/states/home" in text and text.endswith("\nInterrupted.\n")


def test_a_profile_of_aws_login_says_what_it_needs(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shell.delenv("AWS_ACCESS_KEY_ID")
    shell.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-central-1\nlogin_session = arn:aws:iam::123456789012:user/a\n"
    )
    shell.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    text = said("smoke", capsys)
    assert "aws configure export-credentials --format env" in text
    assert text.count("\n") == 1


@pytest.fixture
def passed_to_sam(shell: pytest.MonkeyPatch, stacks: Stacks, account: None) -> list[str]:
    """What SAM would be called with; the stack is there afterwards."""
    passed: list[str] = []

    def deployed(verb: str, arguments: list[str], seconds: int) -> None:
        passed.extend([verb, *arguments])
        made = a_stack(TokenPath="/tokens")
        made["Outputs"].append({"OutputKey": "DashboardLink", "OutputValue": "https://d.example"})
        stacks[REGION, "hetzner-snapshots"] = made

    shell.setattr("deploy.bring.sam", deployed)
    return passed


def test_a_stack_deployed_from_elsewhere_keeps_its_parameters(
    passed_to_sam: list[str],
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack(TokenPath="/tokens", Retention="daily30")
    shell.setenv("PARAMETERS", "Notify=always")
    assert main("deploy", os.environ) == 0
    assert "deployed from elsewhere: its parameters stay" in capsys.readouterr().out
    overrides = passed_to_sam[passed_to_sam.index("--parameter-overrides") + 1 :]
    assert overrides == ['Notify="always"']


def test_the_answers_of_earlier_are_used_and_what_is_said_now_counts_more(
    passed_to_sam: list[str], shell: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "samconfig.toml").write_text(SAVED)
    shell.setenv("PARAMETERS", """Schedule='cron(0 3 * * ? *)' Retention=weekly4""")
    assert main("deploy", os.environ) == 0
    overrides = passed_to_sam[passed_to_sam.index("--parameter-overrides") + 1 :]
    assert sorted(overrides) == [
        'Notify="always"',
        'Retention="weekly4"',
        'Schedule="cron(0 3 * * ? *)"',
    ]


def test_without_a_terminal_the_first_deployment_takes_the_defaults(
    passed_to_sam: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("deploy", os.environ) == 0
    assert "Nobody is there to be asked: the defaults" in capsys.readouterr().out
    assert "--parameter-overrides" not in passed_to_sam


@pytest.mark.parametrize("ending", [EOFError, KeyboardInterrupt])
def test_leaving_at_a_question_deploys_nothing(
    passed_to_sam: list[str],
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ending: type[BaseException],
) -> None:
    def leave(prompt: str) -> str:
        raise ending

    shell.setattr("deploy.bring.has_terminal", lambda: True)
    shell.setattr("builtins.input", leave)
    assert main("deploy", os.environ) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"
    assert passed_to_sam == []


@pytest.mark.parametrize(("verb", "again"), [("deploy", "deploy"), ("delete", "destroy")])
def test_leaving_sam_says_that_cloudformation_goes_on(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str, again: str
) -> None:
    def leave(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    shell.setattr(subprocess, "run", leave)
    with pytest.raises(KeyboardInterrupt):
        sam(verb, [], 1)
    text = capsys.readouterr().err
    assert "What CloudFormation has begun goes on at AWS" in text
    assert f"Then `make {again}` again." in text


@pytest.mark.parametrize(
    "value", ["", "a b", 'say "no"', "it's", "a=b,c in (d,e)", '"', "''", '"a" "b"', "x, Y=z"]
)
def test_sam_reads_a_parameter_as_it_was_written(value: str) -> None:
    code = (
        "import json, sys; from samcli.cli.types import CfnParameterOverridesType as P;"
        "print(json.dumps(P().convert(tuple(sys.argv[1:]), None, None)))"
    )
    passed = f'LabelSelector="{_quoted(value)}"'
    read = subprocess.run(
        [ROOT / ".venv-sam/bin/python", "-c", code, passed, 'Notify="always"'],
        capture_output=True, check=True, text=True, timeout=60,
    )  # fmt: skip
    assert json.loads(read.stdout) == {"LabelSelector": value, "Notify": "always"}


def test_a_backslash_that_sam_would_lose_is_refused() -> None:
    with pytest.raises(Unusable, match="SAM would lose the backslash"):
        _quoted("a\\ b")


def test_sam_leaves_nothing_in_the_temporary_folder(
    shell: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "sam"
    program.write_text('#!/bin/sh\nls -d "$TMPDIR" >"$SEEN" && touch "$TMPDIR/left"\n')
    program.chmod(0o755)
    shell.setattr("deploy.bring.SAM", program)
    shell.setenv("SEEN", str(tmp_path / "seen"))
    shell.setenv("PATH", "/usr/bin:/bin")
    sam("deploy", [], 10)
    folder = Path((tmp_path / "seen").read_text().strip())
    assert folder.parent == ROOT / "build"
    assert not folder.exists()


def test_when_sam_fails_that_is_said(
    stacks: Stacks,
    account: None,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell.setattr("deploy.bring.SAM", Path("/bin/false"))
    assert main("deploy", os.environ) == 1
    assert "`sam deploy` failed; what it says is above." in capsys.readouterr().err


def test_removing_is_not_done_unasked(stack: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert "`make destroy YES=1 REGION=eu-central-1`" in said("destroy", capsys)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AccessDenied", "AWS does not allow GetCallerIdentity with these credentials: said so."),
        ("ExpiredToken", "The AWS credentials have expired (ExpiredToken). Log in again"),
        ("InvalidClientTokenId", "AWS does not take these credentials (InvalidClientTokenId)."),
        ("InternalFailure", "AWS refused GetCallerIdentity: said so. (InternalFailure)"),
    ],
)
def test_what_aws_refuses_is_said_in_words(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: str, expected: str
) -> None:
    def call(client: Any, operation: str, arguments: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "said so."}}, operation)

    shell.setattr(BaseClient, "_make_api_call", call)
    assert expected in said("smoke", capsys)


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
def test_an_unclear_answer_is_not_taken_for_permission_to_write(
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
    """By CloudFormation's schemas: no parameter sets a property that replaces a resource."""
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
