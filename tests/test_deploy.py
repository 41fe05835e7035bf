"""What the deploy commands refuse, with which message; how a token is tried."""

import io
import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import deploy.bring
import deploy.destroy
from deploy.__main__ import main
from deploy.account import Failed
from deploy.bring import _quoted, sam
from deploy.give_token import NO_IMAGE, may_write, seen_with
from deploy.running import Run
from deploy.samconfig import LastDeploy, read_profile, read_samconfig
from handler.hetzner.api import client_for
from local.common.parameters import check, template_parameters
from local.common.variables import Unusable
from local.simulator import Fault, Project, Simulator, World
from local.simulator.faults import Effect, drop, html, status, without_totals
from local.virtual.template import ROOT, read_template
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.deploy_shell import LOG_GROUP, REGION, Stacks, a_stack, at_a_terminal, said
from tests.snapshots import ours

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
def tried(stacks: Stacks, aws: Aws, simulator: Simulator) -> Aws:
    """A stack whose functions run, for a dry run."""
    stacks[REGION, "hetzner-snapshots"] = a_stack(HetznerEndpoint=simulator.url)
    return aws


@pytest.mark.parametrize(
    "command",
    ["deploy", "token", "tell", "smoke", "status", "report", "restore", "events", "destroy"],
)
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
        ("Schedule='cron(0 2 * * *)'", "cron has six fields"),
        ("ScheduleTimezone=Berlin", "the nearest is Europe/Berlin"),
        (f"TokenPath=/{'a' * 200}", "has 201 characters; at most 200 are possible"),
        ("LabelSelector=env=bücher", "LabelSelector is 'env=bücher'; it must be a Hetzner label"),
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


@pytest.mark.parametrize(
    "command", ["token", "smoke", "status", "report", "restore", "events", "destroy"]
)
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


@pytest.mark.parametrize(
    "command", ["deploy", "token", "smoke", "status", "report", "restore", "events", "destroy"]
)
def test_a_stack_of_something_else_is_not_touched(
    stacks: Stacks,
    account: None,
    capsys: pytest.CaptureFixture[str],
    shell: pytest.MonkeyPatch,
    command: str,
) -> None:
    # With our parameters, and of another template.
    stacks[REGION, "shop"] = {**a_stack(), "StackName": "shop", "Description": "A shop"}
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
@pytest.mark.parametrize("command", ["deploy", "token", "smoke", "restore", "events"])
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


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"REGION": "us-east-1"}, "REGION=us-east-1"),
        ({"REGION": REGION, "SAMCONFIG": "second.toml"}, f"REGION={REGION} SAMCONFIG=second.toml"),
    ],
)
def test_a_remedy_is_for_the_stack_that_it_is_about_and_not_for_the_one_deployed_before(
    stacks: Stacks,
    account: None,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    variables: dict[str, str],
    place: str,
) -> None:
    """`make destroy` alone would remove the stack that works."""
    (tmp_path / "samconfig.toml").write_text(KEPT_HERE)
    for name, value in variables.items():
        shell.setenv(name, value)
    dead = a_stack("ROLLBACK_COMPLETE", TokenPath="/tokens")
    stacks[variables["REGION"], "hetzner-snapshots"] = dead
    assert f"Remove it with `make destroy {place}`, then `make deploy {place}`." in said(
        "deploy", capsys
    )


def test_before_there_is_a_token_the_trial_says_how_to_store_one(
    stack: None, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said("smoke", capsys)
    assert "There is no Hetzner API token under /hetzner-snapshots/tokens yet." in text
    assert "`make token PROJECT=default REGION=eu-central-1`" in text


def test_a_trial_that_is_not_completed_says_why_and_is_an_error(
    tried: Aws,
    project: Project,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    web = project.add_server("web-1")
    old = [ours(project, web, days).id for days in (1, 2, 3, 4)]
    tried.store_token("second", "of-nobody")
    logs = boto3.client("logs", region_name=REGION)
    logs.create_log_group(logGroupName=LOG_GROUP)
    logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName="all")

    def sleep(_: float) -> None:
        tried.time.pass_until(lambda: len(tried.time.ended) == 2)
        now_ms = int(time.time() * 1000)
        events = [{"timestamp": now_ms, "message": json.dumps(line)} for line in tried.logs]
        logs.put_log_events(logGroupName=LOG_GROUP, logStreamName="all", logEvents=events)

    clock = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=sleep)
    shell.setattr("deploy.smoke.time", clock)
    assert main("smoke", os.environ) == 1
    told = capsys.readouterr().out
    # The plan, server by server: the new one and two stay, two go.
    assert re.search(r"^web-1 +planned +2 +3", told, re.M)
    assert re.search(r"^ +keep +the new one +20", told, re.M)
    for image in old[2:]:
        assert re.search(rf"^ +delete +{image} .*, no rule keeps it$", told, re.M)
    assert "default: Completed: 1 of 1 server; dry run" in told
    assert "second: Failed: the token in /hetzner-snapshots/tokens/second" in told
    assert "`make smoke REGION=eu-central-1`" in told


def test_a_trial_whose_log_cannot_be_read_tells_its_verdict_all_the_same(
    tried: Aws,
    project: Project,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project.add_server("web-1")

    def sleep(_: float) -> None:
        tried.time.pass_until(lambda: len(tried.time.ended) == 1)

    clock = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=sleep)
    shell.setattr("deploy.smoke.time", clock)
    assert main("smoke", os.environ) == 0
    told = capsys.readouterr().out
    assert f"The log group {LOG_GROUP} cannot be read: " in told
    assert "default: Completed: 1 of 1 server; dry run" in told


def test_leaving_a_trial_says_that_it_goes_on_and_where(
    tried: Aws,
    project: Project,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project.add_server("web-1")

    def leave(_: float) -> None:
        # What still runs in a thread would put back its environment in the middle of a later test.
        tried.time.pass_until(lambda: len(tried.time.ended) == 1)
        raise KeyboardInterrupt

    clock = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=leave)
    shell.setattr("deploy.smoke.time", clock)
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


@pytest.mark.parametrize("restores", [False, True])
def test_events_go_to_the_stacks_region_each_under_its_files_name(
    stack: None,
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    restores: bool,
) -> None:
    passed: list[list[str]] = []
    shell.setattr("deploy.events.sam", lambda verb, words, seconds: passed.append([verb, *words]))
    if restores:
        stacks[REGION, "hetzner-snapshots"]["Outputs"].append(
            {"OutputKey": "StartRestoreFunction", "OutputValue": "StartRestore"}
        )
    assert main("events", os.environ) == 0
    functions = {words[words.index("--name") + 1]: words[3] for words in passed}
    of_restore = {"drill": "StartRestore", "restore": "StartRestore"}
    of_run = {path.stem: "StartRun" for path in (ROOT / "events").glob("*.json")}
    of_run = {name: function for name, function in of_run.items() if name not in of_restore}
    assert functions == (of_run | of_restore if restores else of_run)
    for words in passed:
        assert words[:3] == ["remote", "test-event", "put"]
        assert words[words.index("--region") + 1] == REGION
        assert words[words.index("--stack-name") + 1] == "hetzner-snapshots"


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
    shell.setenv("YES", "1")
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


def test_without_a_terminal_an_existing_stack_is_not_changed_unasked(
    passed_to_sam: list[str],
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack()
    assert "nothing was changed. If you mean it: `make deploy YES=1" in said("deploy", capsys)
    assert passed_to_sam == []


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"ProofDays": "60"}, "Without effect: ProofDays=60. No drill starts"),
        ({"DrillScheduleState": "ENABLED", "Restores": "false"}, "DrillScheduleState=ENABLED. No"),
        ({"DrillScheduleState": "ENABLED", "ProofDays": "60", "Restores": "true"}, ""),
        ({"DrillScheduleState": "DISABLED", "ProofDays": "0", "Restores": "false"}, ""),
        ({}, ""),  # of an older version
    ],
)
def test_drills_and_their_alarm_that_are_switched_on_without_restores_are_said_to_do_nothing(
    shell: pytest.MonkeyPatch,
    stacks: Stacks,
    account: None,
    capsys: pytest.CaptureFixture[str],
    parameters: dict[str, str],
    said: str,
) -> None:
    def deployed(*given: Any) -> None:
        made = a_stack(**parameters)
        made["Outputs"].append({"OutputKey": "DashboardLink", "OutputValue": "https://d.example"})
        stacks[REGION, "hetzner-snapshots"] = made

    shell.setattr("deploy.bring.sam", deployed)
    assert main("deploy", os.environ) == 0
    told = capsys.readouterr().out
    assert said in told and ("Without effect" in told) == bool(said)
    assert ("`make deploy PARAMETERS=Restores=true" in told) == bool(said)


ACCOUNT, ANOTHER = "123456789012", "999999999999"
KEPT_HERE = f'{SAVED}[default.account]\nid = "{ACCOUNT}"\n'
KEPT_ELSEWHERE = f'{SAVED}[default.account]\nid = "{ANOTHER}"\n'


@pytest.mark.parametrize(
    ("kept", "region", "was"),
    [
        (KEPT_HERE, "us-east-1", f"was in {REGION} of the account {ACCOUNT}; this is us-east-1"),
        (KEPT_ELSEWHERE, REGION, f"was in {REGION} of the account {ANOTHER}; this is {REGION}"),
        (KEPT_ELSEWHERE, "us-east-1", f"was in {REGION} of the account {ANOTHER}"),
        # An earlier version kept no account.
        (SAVED, "us-east-1", f"was in {REGION}; this is us-east-1 of the account {ACCOUNT}"),
    ],
)
def test_a_second_stack_elsewhere_is_made_only_if_somebody_says_so(
    passed_to_sam: list[str],
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    kept: str,
    region: str,
    was: str,
) -> None:
    file = tmp_path / "samconfig.toml"
    file.write_text(kept)
    if kept == KEPT_HERE:
        stacks[REGION, "hetzner-snapshots"] = a_stack()
    shell.setenv("REGION", region)
    shell.setenv("YES", "1")
    text = said("deploy", capsys)
    assert was in text and "both have the owner hetzner-snapshots" in text
    assert "`make deploy STACK=name`" in text and "SAMCONFIG=name.toml" in text
    asked = at_a_terminal(shell, "n")
    assert "Nothing was done." in said("deploy", capsys)
    assert asked == ["Deploy there all the same? [y/N] "]
    assert passed_to_sam == [] and file.read_text() == kept


def test_a_second_stack_elsewhere_that_somebody_wants_is_made(
    passed_to_sam: list[str], stacks: Stacks, shell: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "samconfig.toml").write_text(KEPT_ELSEWHERE)
    at_a_terminal(shell, "y")
    assert main("deploy", os.environ) == 0
    assert passed_to_sam[0] == "deploy"
    assert f'[default.account]\nid = "{ACCOUNT}"' in (tmp_path / "samconfig.toml").read_text()


def test_a_stack_that_is_gone_can_be_made_in_another_region_unasked(
    passed_to_sam: list[str],
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "samconfig.toml").write_text(KEPT_HERE)
    shell.setenv("REGION", "eu-west-1")
    # The SAM of these tests makes its stack in REGION, where this command does not look.
    assert main("deploy", os.environ) == 1
    assert "is gone. This one takes its place." in capsys.readouterr().out
    assert "eu-west-1" in passed_to_sam


@pytest.mark.parametrize("command", ["token", "smoke", "destroy"])
def test_what_acts_on_a_stack_of_another_account_than_the_last_asks_first(
    stack: None,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
) -> None:
    (tmp_path / "samconfig.toml").write_text(KEPT_ELSEWHERE)
    shell.setenv("YES", "1")
    shell.setattr("sys.stdin", io.StringIO(f"{TOKEN}\n"))
    text = said(command, capsys)
    assert f"was in the account {ANOTHER}; these credentials are of the account {ACCOUNT}" in text
    assert boto3.client("ssm", region_name=REGION).describe_parameters()["Parameters"] == []


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ("default = 1", "default is no table"),
        ("default.deploy = []", "default.deploy is no table"),
        ("[default.deploy]\nparameters = true", "default.deploy.parameters is no table"),
        (
            "[default.deploy.parameters]\nparameter_overrides = 'Notify=always'",
            "default.deploy.parameters.parameter_overrides is no table",
        ),
        ("[default.deploy.parameters]\nregion = ['eu']", 'Write it as in region = "…"'),
        ("[default.deploy.parameters.parameter_overrides]\nNotify = {}", "Notify is no text"),
        ("[default.deploy.parameters]\nregion='eu'\n[default]\naccount.id = []", "id is no text"),
        ("[default.global.parameters]\nprofile = {}", "profile is no text"),
        ("[default]\nglobal = 'me'", "default.global is no table"),
    ],
)
def test_what_a_person_wrote_into_samconfig_is_refused_in_one_line(
    tmp_path: Path, kept: str, said: str
) -> None:
    file = tmp_path / "samconfig.toml"
    file.write_text(kept)
    with pytest.raises(Unusable, match=re.escape(said)):
        read_samconfig(file, "default")
        read_profile(file, "default")


def test_numbers_and_truth_values_in_samconfig_are_texts(tmp_path: Path) -> None:
    file = tmp_path / "samconfig.toml"
    file.write_text(
        "[default.deploy.parameters]\nregion = 'eu'\n"
        "[default.deploy.parameters.parameter_overrides]\n"
        "FreshnessHours = 26\nSavedQueries = true\n"
    )
    last = read_samconfig(file, "default")
    assert last == LastDeploy("eu", None, {"FreshnessHours": "26", "SavedQueries": "true"})


def test_a_profile_in_samconfig_is_that_of_all_commands(
    passed_to_sam: list[str], shell: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        "[profile there]\naws_access_key_id = OF-THERE\naws_secret_access_key = x\n"
    )
    shell.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    kept = KEPT_HERE.replace("stack_name =", 'profile = "there"\nstack_name =')
    (tmp_path / "samconfig.toml").write_text(kept)
    used = set()
    to_aws = BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: Any) -> Any:
        used.add(client._get_credentials().access_key)
        return to_aws(client, operation, arguments)

    shell.setattr(BaseClient, "_make_api_call", call)
    assert main("deploy", os.environ) == 0
    assert used == {"OF-THERE"}
    assert passed_to_sam[passed_to_sam.index("--profile") + 1] == "there"


def test_two_profiles_are_one_too_many(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "samconfig.toml").write_text('[default.global.parameters]\nprofile = "there"\n')
    shell.setenv("AWS_PROFILE", "here")
    text = said("smoke", capsys)
    assert "samconfig.toml says profile = there, but AWS_PROFILE is here." in text


def test_answers_are_kept_only_by_a_deployment_that_succeeds(
    passed_to_sam: list[str],
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    deployed, fails = deploy.bring.sam, True

    def sam(verb: str, arguments: list[str], seconds: int) -> None:
        # SAM saves before it deploys.
        copy = Path(arguments[arguments.index("--config-file") + 1])
        assert "version = 0.1" in copy.read_text()
        copy.write_text(SAVED)
        if fails:
            raise Failed("`sam deploy` failed.")
        deployed(verb, arguments, seconds)

    shell.setattr("deploy.bring.sam", sam)
    assert main("deploy", os.environ) == 1
    assert "`sam deploy` failed. The answers were not kept." in capsys.readouterr().err
    assert not (tmp_path / "samconfig.toml").exists()
    fails = False
    assert main("deploy", os.environ) == 0
    kept = read_samconfig(tmp_path / "samconfig.toml", "default")
    assert kept == LastDeploy(REGION, ACCOUNT, {"Notify": "always", "Retention": "daily5"})


def test_a_kept_answer_that_will_not_do_is_asked_for_again(
    passed_to_sam: list[str],
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "samconfig.toml"
    file.write_text(KEPT_HERE.replace('Notify = "always"', 'Schedule = "cron(0 2 * * *)"'))
    assert "cron has six fields" in said("deploy", capsys)
    assert passed_to_sam == []
    asked = at_a_terminal(shell, "rate(1 days)", "cron(0 4 * * ? *)")
    assert main("deploy", os.environ) == 0
    assert asked == ["When to run [cron(0 2 * * ? *)]: "] * 2
    assert "one is written as rate(1 day)" in capsys.readouterr().out
    overrides = passed_to_sam[passed_to_sam.index("--parameter-overrides") + 1 :]
    assert sorted(overrides) == ['Retention="daily5"', 'Schedule="cron(0 4 * * ? *)"']


@pytest.mark.parametrize("name", ["s" * 64, "ends-in-a-dash-"])
def test_a_stack_whose_name_can_be_no_owner_is_not_made(
    passed_to_sam: list[str],
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    shell.setenv("STACK", name)
    assert "would be the owner in the snapshots' labels" in said("deploy", capsys)
    assert passed_to_sam == []


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


@pytest.mark.parametrize("verb", ["deploy", "delete"])
def test_leaving_sam_says_that_cloudformation_goes_on(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    def leave(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    shell.setattr(subprocess, "run", leave)
    with pytest.raises(KeyboardInterrupt):
        sam(verb, [], 1)
    text = capsys.readouterr().err
    assert "What CloudFormation has begun goes on at AWS" in text
    assert "Then give the same command again." in text


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


@pytest.fixture
def removal(stack: None, stacks: Stacks, shell: pytest.MonkeyPatch) -> list[str]:
    """What becomes of the runs, and that SAM then removes the stack; one run is going on."""
    done: list[str] = []
    step_functions = boto3.client("stepfunctions", region_name=REGION)
    machine = step_functions.create_state_machine(
        name="SnapshotRun",
        definition='{"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}',
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/of-the-machine",
    )["stateMachineArn"]
    stacks[REGION, "hetzner-snapshots"]["Outputs"].append(
        {"OutputKey": "SnapshotRunArn", "OutputValue": machine}
    )
    run = step_functions.start_execution(stateMachineArn=machine, name="tonight_default")

    def remove(verb: str, arguments: list[str], seconds: int) -> None:
        status = step_functions.describe_execution(executionArn=run["executionArn"])["status"]
        done.append(f"{verb} while the run is {status}")
        del stacks[REGION, "hetzner-snapshots"]

    shell.setattr("deploy.destroy.sam", remove)
    return done


def still_runs() -> bool:
    step_functions = boto3.client("stepfunctions", region_name=REGION)
    [machine] = step_functions.list_state_machines()["stateMachines"]
    [run] = step_functions.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    return bool(run["status"] == "RUNNING")


def test_a_run_that_goes_on_is_not_broken_off_by_a_removal_unasked(
    removal: list[str], shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.setenv("YES", "1")
    assert main("destroy", os.environ) == 2
    told = capsys.readouterr()
    assert "One run is going on: tonight_default." in told.out
    assert "`make destroy YES=1 STOP=1 REGION=eu-central-1`. To let the runs end" in told.err
    shell.delenv("YES")
    asked = at_a_terminal(shell, "y", "n")
    assert main("destroy", os.environ) == 1
    assert asked[1] == "Stop what is going on first? [y/N] "
    assert "Nothing was removed." in capsys.readouterr().out
    assert still_runs() and removal == []


@pytest.mark.parametrize("by", ["STOP=1", "a terminal"])
def test_a_run_is_stopped_before_its_machine_is_removed_if_somebody_says_so(
    removal: list[str],
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    by: str,
) -> None:
    if by == "STOP=1":
        shell.setenv("YES", "1")
        shell.setenv("STOP", "1")
    else:
        at_a_terminal(shell, "y", "y")
    assert main("destroy", os.environ) == 0
    assert removal == ["delete while the run is ABORTED"]
    assert "The run tonight_default is stopped." in capsys.readouterr().out


def with_restores(stacks: Stacks) -> None:
    """What goes on in the stack is a restore."""
    found = stacks[REGION, "hetzner-snapshots"]
    found["Outputs"][-1]["OutputKey"] = "RestoreRunArn"
    found["Parameters"].append({"ParameterKey": "Restores", "ParameterValue": "true"})


def test_a_drill_that_goes_on_is_told_with_what_it_would_leave_behind(
    removal: list[str],
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_restores(stacks)
    shell.setenv("YES", "1")
    assert main("destroy", os.environ) == 2
    told = capsys.readouterr().out
    assert "One restore is going on: tonight_default." in told
    assert "A drill that is stopped leaves its copy at Hetzner, which goes on costing." in told
    shell.setenv("STOP", "1")
    assert main("destroy", os.environ) == 0
    told = capsys.readouterr().out
    assert "The restore tonight_default is stopped." in told
    assert "hcloud server list -l hetzner-snapshots/managed-by=hetzner-snapshots" in told
    assert "the firewall hetzner-snapshots-hetzner-snapshots-isolation in each project" in told


def test_restores_are_not_switched_off_while_one_goes_on(
    removal: list[str],
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing would remove its copy, and the watch asks nobody any more."""
    with_restores(stacks)
    shell.setenv("YES", "1")
    shell.setenv("PARAMETERS", "Restores=false")
    told = said("deploy", capsys)
    assert "One restore is going on: tonight_default. Restores=false would take away" in told
    assert still_runs()


def begins_meanwhile(
    shell: pytest.MonkeyPatch, module: str, looked: Callable[..., list[Run]], *before: Run
) -> None:
    """At the first look only `before` goes on, at the second what truly does, too."""
    answers = [lambda *_: [*before], lambda *given: [*before, *looked(*given)]]
    shell.setattr(f"{module}.runs_going_on", lambda *given: answers.pop(0)(*given))


def test_a_run_that_begins_while_the_removal_is_asked_about_keeps_the_stack(
    removal: list[str], shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begins_meanwhile(shell, "deploy.destroy", deploy.destroy.runs_going_on)
    shell.setenv("YES", "1")
    assert "Begun meanwhile, so nothing was removed." in said("destroy", capsys)
    assert still_runs() and removal == []


def test_a_drill_that_begins_while_a_runs_end_was_agreed_to_is_not_stopped(
    removal: list[str],
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody was told that its copy stays and costs."""
    with_restores(stacks)
    night = Run("arn:of-the-night", "night_default")
    begins_meanwhile(shell, "deploy.destroy", deploy.destroy.runs_going_on, night)
    shell.setenv("YES", "1")
    shell.setenv("STOP", "1")
    told = said("destroy", capsys)
    assert told.startswith("One restore is going on: tonight_default. Begun meanwhile, so nothing")
    assert still_runs() and removal == []


def test_a_drill_that_begins_while_a_deployment_is_asked_about_keeps_restores(
    removal: list[str],
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_restores(stacks)
    begins_meanwhile(shell, "deploy.bring", deploy.bring.runs_going_on)
    shell.setattr("deploy.bring.sam", lambda *given: removal.append("deployed"))
    shell.setenv("YES", "1")
    shell.setenv("PARAMETERS", "Restores=false")
    assert "Restores=false would take away what goes on with it" in said("deploy", capsys)
    assert still_runs() and removal == []


@pytest.mark.parametrize(
    ("owner", "of_another"),
    [("", False), ("hetzner-snapshots", True), ("theirs", False)],
)
def test_the_command_that_deletes_snapshots_is_not_shown_if_they_are_another_stacks_too(
    removal: list[str],
    stacks: Stacks,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    owner: str,
    of_another: bool,
) -> None:
    stacks[REGION, "staging"] = {**a_stack(Owner=owner), "StackName": "staging"}
    shell.setenv("YES", "1")
    shell.setenv("STOP", "1")
    assert main("destroy", os.environ) == 0
    told = capsys.readouterr().out
    assert ("hcloud image delete" in told) != of_another
    assert ("They are also those of staging, which has the same owner" in told) == of_another
    assert "hetzner-snapshots/managed-by=hetzner-snapshots" in told


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClientError({"Error": {"Code": "Throttling"}}, "DescribeStacks"), 2),
        (KeyboardInterrupt(), 130),
        (Failed("The stack is DELETE_FAILED."), 1),
    ],
)
def test_what_stays_is_said_though_the_end_of_the_removal_is_not_seen(
    removal: list[str],
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    """The next `make destroy` would find no stack, and name neither token nor snapshots."""
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name=PARAMETER, Value="secret", Type="SecureString"
    )

    def removed(*given: Any) -> None:
        removal.append("delete")
        raise error

    shell.setattr("deploy.destroy._delete", removed)
    shell.setenv("YES", "1")
    shell.setenv("STOP", "1")
    assert main("destroy", os.environ) == code
    told = capsys.readouterr().out
    assert "What stays, whether the stack hetzner-snapshots is gone or not:\n" in told
    assert f"aws ssm delete-parameter --region {REGION} --name {PARAMETER}\n" in told
    assert "hcloud image list" in told and "is gone. What" not in told


def test_addresses_that_may_stay_are_named_though_nobody_may_look(
    removal: list[str], shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is a secret: who has it can write there."""
    to_aws = BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "DescribeParameters":
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, operation)
        return to_aws(client, operation, arguments)

    shell.setattr(BaseClient, "_make_api_call", call)
    shell.setenv("YES", "1")
    shell.setenv("STOP", "1")
    assert main("destroy", os.environ) == 0
    told = capsys.readouterr().out
    assert "the addresses of `make tell`, if stored, /hetzner-snapshots-tell/" in told
    assert "--name /hetzner-snapshots-tell/hetzner-snapshots\n" in told


def test_a_removal_that_misses_sams_bucket_says_how_to_go_on_without_it(
    removal: list[str], shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*given: Any) -> None:
        raise Failed("`sam delete` failed; what it says is above.")

    shell.setattr("deploy.destroy.sam", fails)
    shell.setenv("YES", "1")
    shell.setenv("STOP", "1")
    assert main("destroy", os.environ) == 1
    told = capsys.readouterr().err
    assert told.startswith("`sam delete` failed; what it says is above. If it says NoSuchBucket,")
    assert f"delete-stack --region {REGION} --stack-name hetzner-snapshots`" in told


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


@pytest.mark.parametrize("servers", [0, 2])
def test_a_token_is_tried_where_hetzner_tells_no_total(
    world: World, project: Project, simulator: Simulator, servers: int
) -> None:
    world.faults.add(Fault(without_totals(), times=None, when="after"))
    for number in range(servers):
        project.add_server(f"web-{number}")
    told = "some servers, web-0 among them" if servers else "0 servers"
    assert seen_with(client_for(TOKEN, simulator.url)) == told


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
    assert len(holding) == 8 and looked_at >= 2


KEPT_TYPES = {
    "AWS::Logs::LogGroup": "AWS::Logs::LogGroup",
    "AWS::SNS::Topic": "AWS::SNS::Topic",
    "AWS::SQS::Queue": "AWS::SQS::Queue",
    "AWS::Scheduler::ScheduleGroup": "AWS::Scheduler::ScheduleGroup",
    "AWS::Serverless::StateMachine": "AWS::StepFunctions::StateMachine",
}
