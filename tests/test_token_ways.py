"""Where a token goes on its way from a person to Hetzner, and where it does not."""

import getpass
import io
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.credentials import AssumeRoleProvider
from botocore.exceptions import ClientError
from botocore.utils import JSONFileCache

from deploy import give_token
from deploy.__main__ import main
from deploy.account import connect
from deploy.settings import Settings
from handler.aws.tokens import put_parameter_command
from handler.hetzner.api import client_for
from local.simulator import Project, Simulator
from local.virtual.template import ROOT, read_template
from tests.conftest import TOKEN
from tests.deploy_shell import REGION, Stacks, a_stack
from tests.leaks import piece_of
from tests.test_deploy import PARAMETER

AWS_COMMAND = """#!/bin/sh
tr '\\0' '\\n' </proc/$$/cmdline >"$SEEN/arguments"
for argument; do
  case $argument in file://*) cat "${argument#file://}" >"$SEEN/value" ;; esac
done
"""


def printed_commands() -> list[str]:
    [in_docs] = re.findall(
        r"^read -rs TOKEN && .*put-parameter.*$", (ROOT / "docs/operating.md").read_text(), re.M
    )
    return [put_parameter_command(PARAMETER), in_docs]


@pytest.mark.parametrize("which", [0, 1], ids=["in messages", "in operating.md"])
def test_the_printed_command_shows_the_token_in_no_process_list(tmp_path: Path, which: int) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("reads /proc")
    (tmp_path / "aws").write_text(AWS_COMMAND)
    (tmp_path / "aws").chmod(0o755)
    subprocess.run(
        ["bash", "-c", printed_commands()[which]],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "SEEN": str(tmp_path)},
        input=f"{TOKEN}\n",
        text=True,
        check=True,
        timeout=30,
    )
    arguments = (tmp_path / "arguments").read_text()
    assert "SecureString" in arguments and TOKEN not in arguments
    assert (tmp_path / "value").read_text() == TOKEN


def test_what_comes_from_a_file_is_the_token_and_no_answer_to_a_question(
    shell: pytest.MonkeyPatch,
    stacks: Stacks,
    account: None,
    project: Project,
    simulator: Simulator,
) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack(
        TokenPath="/hetzner-snapshots/tokens", HetznerEndpoint=simulator.url
    )
    shell.setattr("sys.stdin", io.StringIO(f"{TOKEN}\n"))
    connect, codes = give_token.connect, []

    def with_mfa(settings: Any) -> Any:
        # botocore asks for the code there, and without a terminal reads standard input.
        codes.append(give_token.sys.stdin.readline())
        return connect(settings)

    shell.setattr("deploy.give_token.connect", with_mfa)
    assert main("token", os.environ) == 0
    assert codes == [""]
    stored = boto3.client("ssm", region_name=REGION).get_parameter(
        Name=PARAMETER, WithDecryption=True
    )
    assert stored["Parameter"]["Value"] == TOKEN


def test_nobody_there_to_give_a_code_is_said_so(
    shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asks(*_: Any, **__: Any) -> Any:
        raise EOFError

    shell.setattr("botocore.client.BaseClient._make_api_call", asks)
    assert main("token", os.environ) == 2
    assert "MFA code" in capsys.readouterr().err


def test_what_netrc_holds_never_goes_to_hetzner_in_the_tokens_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, project: Project, simulator: Simulator
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password theirs\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client = client_for(TOKEN, simulator.url)
    assert client.request("GET", "/servers")["servers"] == []


@pytest.mark.parametrize(
    "address",
    [
        "https://api.hetzner.cloud@elsewhere.example/v1",
        "https://somebody:secret@api.hetzner.cloud/v1",
        "https://elsewhere.example#@api.hetzner.cloud/v1",
        "https://elsewhere.example?@api.hetzner.cloud/v1",
        "https://elsewhere.example\\@api.hetzner.cloud/v1",
        "https://elsewhere.example/v1?to=api.hetzner.cloud",
    ],
)
def test_the_address_of_the_api_is_no_other_than_it_seems(address: str) -> None:
    pattern = read_template()["Parameters"]["HetznerEndpoint"]["AllowedPattern"]
    assert not re.search(pattern, address)
    assert re.search(pattern, "https://api.hetzner.cloud/v1")
    assert re.search(pattern, "https://proxy.example:8443/hetzner/v1")


def test_another_address_than_hetzners_is_named_before_the_token_goes_there(
    shell: pytest.MonkeyPatch,
    stacks: Stacks,
    account: None,
    project: Project,
    simulator: Simulator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stacks[REGION, "hetzner-snapshots"] = a_stack(
        TokenPath="/hetzner-snapshots/tokens", HetznerEndpoint=simulator.url
    )
    shell.setattr("sys.stdin", io.StringIO("no token at all\n"))
    assert main("token", os.environ) == 2
    assert f"to {simulator.url}, which is not Hetzner's address" in capsys.readouterr().out


def test_an_mfa_code_is_asked_for_once_however_many_processes_follow(
    account: None, shell: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "123456"

    (tmp_path / "config").write_text(
        f"[profile admin]\nregion = {REGION}\nrole_arn = arn:aws:iam::123456789012:role/admin\n"
        "source_profile = me\nmfa_serial = arn:aws:iam::123456789012:mfa/a\n"
        "[profile me]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    shell.delenv("AWS_ACCESS_KEY_ID")
    shell.delenv("AWS_SECRET_ACCESS_KEY")
    shell.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    shell.setenv("AWS_PROFILE", "admin")
    # SAM's cache, too, is in this folder.
    shell.setattr(JSONFileCache, "CACHE_DIR", str(tmp_path / "cache"))
    shell.setattr(JSONFileCache.__init__, "__defaults__", (str(tmp_path / "cache"), None))
    start = AssumeRoleProvider.__init__
    shell.setattr(
        start, "__defaults__",
        tuple(ask if d is getpass.getpass else d for d in start.__defaults__ or ()),
    )  # fmt: skip
    for _ in range(2):  # as two processes would
        connect(Settings.from_env(os.environ))
    assert len(asked) == 1


@pytest.fixture
def deployed(stacks: Stacks, account: None, project: Project, simulator: Simulator) -> Any:
    """The client of SSM beside a stack without tokens."""
    stacks[REGION, "hetzner-snapshots"] = a_stack(
        TokenPath="/hetzner-snapshots/tokens", HetznerEndpoint=simulator.url
    )
    return boto3.client("ssm", region_name=REGION)


def given(shell: pytest.MonkeyPatch, name: str, text: str = TOKEN) -> int:
    shell.setenv("PROJECT", name)
    shell.setattr("sys.stdin", io.StringIO(text))
    return main("token", os.environ)


def names_in(ssm: Any) -> set[str]:
    pages = ssm.get_paginator("describe_parameters").paginate()
    return {parameter["Name"] for page in pages for parameter in page["Parameters"]}


@pytest.mark.parametrize("stored", [TOKEN, f"{TOKEN}\n"], ids=["by make", "pasted"])
def test_one_token_is_not_stored_under_two_names(
    deployed: Any, shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stored: str
) -> None:
    deployed.put_parameter(Name=PARAMETER, Value=stored, Type="SecureString")
    for number in range(12):  # more than a page
        other = f"/hetzner-snapshots/tokens/another-{number}"
        deployed.put_parameter(Name=other, Value="x" * 64, Type="SecureString")
    before = names_in(deployed)
    assert given(shell, "shop") == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"This token is stored already, as the SSM parameter {PARAMETER}, ")
    advised = f"aws ssm delete-parameter --region {REGION} --name {PARAMETER}"
    assert f"`{advised}`" in said.err
    assert not piece_of(TOKEN, said.out + said.err)
    assert names_in(deployed) == before
    deployed.delete_parameter(Name=advised.split()[-1])
    assert given(shell, "shop") == 0
    assert "/hetzner-snapshots/tokens/shop" in names_in(deployed)


def test_a_token_is_stored_again_under_its_own_name(
    deployed: Any, shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [given(shell, "shop"), given(shell, "shop")] == [0, 0]
    assert "(SecureString, version 2)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("operation", "code", "named"),
    [
        ("GetParameter", "AccessDeniedException", PARAMETER),
        ("GetParameter", "InvalidKeyId", PARAMETER),
        ("GetParametersByPath", "AccessDeniedException", "their list"),
    ],
)
def test_others_that_may_not_be_read_are_said_and_hold_nothing_up(
    deployed: Any,
    shell: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    operation: str,
    code: str,
    named: str,
) -> None:
    deployed.put_parameter(Name=PARAMETER, Value=TOKEN, Type="SecureString")
    to_aws = BaseClient._make_api_call

    def refuses(client: Any, asked: str, arguments: Any) -> Any:
        if asked == operation:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)
        return to_aws(client, asked, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", refuses)
        assert given(shell, "shop") == 0
    said = capsys.readouterr().out
    assert f"could not be checked: with these credentials SSM does not give {named}." in said
    assert not piece_of(TOKEN, said)
    assert "/hetzner-snapshots/tokens/shop" in names_in(deployed)


def test_one_that_is_removed_while_it_is_looked_at_is_no_hindrance(
    deployed: Any, shell: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.put_parameter(Name=PARAMETER, Value=TOKEN, Type="SecureString")
    to_aws = BaseClient._make_api_call

    def removed(client: Any, asked: str, arguments: Any) -> Any:
        if asked == "GetParameter" and PARAMETER in names_in(deployed):
            deployed.delete_parameter(Name=PARAMETER)
        return to_aws(client, asked, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", removed)
        assert given(shell, "shop") == 0
    assert "could not be checked" not in capsys.readouterr().out
