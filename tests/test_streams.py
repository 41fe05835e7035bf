"""Whatever is closed, missing or in another coding: one clear line, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.give_token import usable
from local.common.variables import Unusable
from local.environment import clean
from local.virtual.template import ROOT

UTF_16 = "a-token".encode("utf-16")


def said(
    *words: str, given: bytes | None = b"", drop: tuple[str, ...] = (), **environ: str
) -> tuple[int, str]:
    """The exit code and the message of a tool, started as make starts it; None: closed stdin."""
    kept = {name: value for name, value in clean(os.environ).items() if name not in drop}
    command = [sys.executable, "-m", *words]
    if given is None:
        command = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **environ}, input=given or b"", timeout=100,
        check=False, capture_output=True,
    )  # fmt: skip
    text = (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
    assert "Traceback" not in text, text
    assert all(line.isprintable() for line in text.split("\n")), text
    return done.returncode, text


@pytest.mark.parametrize("command", ["deploy", "token", "smoke", "destroy"])
def test_a_closed_standard_input_is_none_to_read_from(command: str) -> None:
    code, text = said("deploy", command, given=None, REGION="eu-central-1", PROJECT="a/b")
    assert (code, text.count("\n")) == (2, 1)
    code, text = said("deploy", command, given=None, drop=("AWS_ACCESS_KEY_ID",), HOME="/nowhere")
    assert code == 2 and "AWS" in text


def test_a_token_in_utf_16_is_refused_in_words() -> None:
    code, text = said("deploy", "token", given=UTF_16, drop=("AWS_DEFAULT_REGION",))
    assert code == 2 and "Which AWS region?" in text
    with pytest.raises(Unusable, match="is not text in UTF-8, so nothing was stored"):
        usable(UTF_16.decode("utf-8", "replace"))


@pytest.mark.parametrize("content", [None, UTF_16, "a folder"])
def test_a_web_identity_token_that_cannot_be_read(
    tmp_path: Path, content: bytes | str | None
) -> None:
    path = tmp_path / "token"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    code, text = said(
        "deploy", "smoke", drop=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        AWS_WEB_IDENTITY_TOKEN_FILE=str(path), AWS_ROLE_ARN="arn:aws:iam::123456789012:role/r",
    )  # fmt: skip
    assert code == 2
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in text.splitlines()[-1]


@pytest.mark.parametrize("content", [UTF_16, "a folder", b"[default]\nx = \xff"])
def test_a_samconfig_that_cannot_be_read(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_bytes(content) if isinstance(content, bytes) else path.mkdir()
    code, text = said("deploy", "smoke", SAMCONFIG=str(path))
    assert code == 2 and f"{path} cannot be read" in text


def test_a_locale_without_the_characters_and_a_shell_without_a_home() -> None:
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    told = {"PARAMETERS": "Zürich\x1b[2J\u202e", "HOME": ""}
    for words in (("deploy", "deploy"), ("local.plan",)):
        for locale in (ascii_only, {}):
            code, text = said(
                *words, drop=("HOME", "LANG", "LC_ALL", "LC_CTYPE"), **told, **locale,
                POLICY="daily\x1b[2Jé",
            )  # fmt: skip
            assert code == 2 and "x1b[2J" in text


def test_the_local_clouds_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_bytes(b"{\xff")
    code, text = said("local", "invoke", EVENT=str(event), CLOUD_DIR=str(tmp_path))
    assert code == 2 and "is not text in UTF-8" in text
    deep = '{"a":' * 100_000
    assert said("local", "invoke", EVENT=deep[:100_000], CLOUD_DIR=str(tmp_path))[0] == 2
    for command in ("up", "invoke", "logs", "down"):
        code, text = said("local", command, given=None, CLOUD_DIR=f"{event}/build")
        assert code in (0, 2) and text.count("\n") <= 2, text
