"""The local AWS from outside: deploying, starting a run, reading what it logs."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.access import Access
from local.environment import ACCESS_KEY, REGION, clean

ROOT = Path(__file__).resolve().parent.parent
STACK = "hetzner-snapshots"
PROJECT = "default"
TOKEN_PATH = "/hetzner-snapshots/tokens"
BUCKET = "hetzner-snapshots-artifacts"
DEPLOY_SECONDS = 180


class DeployFailed(Exception):
    """`sam deploy` failed; the text is its output."""


def connection(aws: Access) -> dict[str, Any]:
    """The arguments with which a boto3 client talks to the local AWS and to no other."""
    return {
        "endpoint_url": aws.url,
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": aws.secret,
        # Longer than StartRun may take; a second attempt would start a second run.
        "config": Config(connect_timeout=5, read_timeout=90, retries={"total_max_attempts": 1}),
    }


def store_token(aws: Access, token: str, project: str = PROJECT) -> None:
    boto3.client("ssm", **connection(aws)).put_parameter(
        Name=f"{TOKEN_PATH}/{project}", Value=token, Type="SecureString", Overwrite=True
    )


def deploy(aws: Access, folder: Path, parameters: Mapping[str, str]) -> dict[str, str]:
    """Deploys what `sam build` built; returns the stack's outputs. Raises DeployFailed."""
    s3 = boto3.client("s3", **connection(aws))
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET)
    # An empty file: the project's samconfig.toml may name an AWS profile and a real stack.
    config = folder / "samconfig.toml"
    config.write_text("version = 0.1\n")
    command = [
        str(ROOT / ".venv-sam/bin/sam"),
        *("deploy", "--stack-name", STACK, "--region", REGION),
        *("--template-file", str(ROOT / ".aws-sam/build/template.yaml")),
        *("--config-file", str(config), "--s3-bucket", BUCKET, "--s3-prefix", STACK),
        *("--capabilities", "CAPABILITY_IAM", "--no-progressbar"),
        *("--no-confirm-changeset", "--no-fail-on-empty-changeset"),
        "--parameter-overrides",
        # MiniStack cannot deploy them.
        'SavedQueries="false"',
        *(f'{name}="{value}"' for name, value in parameters.items()),
    ]
    # As in the Makefile. Not the cloud's folder: SAM may still write after that is removed.
    home = str(ROOT / "build/home")
    run_quietly(command, **aws.environment(), HOME=home, SAM_CLI_TELEMETRY="0")
    return outputs(aws)


def run_quietly(command: list[str], **environ: str) -> None:
    """Raises DeployFailed with the output's end; always ends the processes it started."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**clean(os.environ), **environ},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=DEPLOY_SECONDS)
    except subprocess.TimeoutExpired:
        raise DeployFailed(f"sam deploy has not ended after {DEPLOY_SECONDS} s.") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=10)
    if process.returncode != 0:
        raise DeployFailed("\n".join(output.splitlines()[-25:]))


def outputs(aws: Access) -> dict[str, str]:
    """The stack's outputs; empty if it is not deployed."""
    try:
        answer = boto3.client("cloudformation", **connection(aws)).describe_stacks(StackName=STACK)
    except ClientError:
        return {}
    return {
        item["OutputKey"]: item["OutputValue"] for item in answer["Stacks"][0].get("Outputs", [])
    }


class LogTail:
    """The lines of a log group, each once."""

    # A line may become readable later than a newer one.
    OVERLAP_MS = 2_000
    # MiniStack gives no more in one answer, and no token for the rest.
    MOST_LINES = 10_000
    MOST_ANSWERS = 100

    def __init__(self, aws: Access, group: str, since: float) -> None:
        self._logs = boto3.client("logs", **connection(aws))
        self._group = group
        self._from_ms = int(since * 1000)
        self._read: set[tuple[str, int, str, int]] = set()

    def all_lines(self) -> list[str]:
        """Everything so far."""
        found: list[str] = []
        for _ in range(self.MOST_ANSWERS):
            if not (more := self.lines()):
                break
            found += more
        return found

    def lines(self) -> list[str]:
        """What came since the last call, oldest first."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._group, startTime=self._from_ms
        )
        events = [event for page in pages for event in page["events"]]
        if not events:
            return []
        # MiniStack gives its events no id.
        same: dict[tuple[str, int, str], int] = {}
        new = []
        for event in events:
            line = (event["logStreamName"], event["timestamp"], event["message"])
            same[line] = same.get(line, 0) + 1
            if (key := (*line, same[line])) not in self._read:
                self._read.add(key)
                new.append(event["message"])
        overlap = self.OVERLAP_MS if len(events) < self.MOST_LINES else 0
        self._from_ms = max(self._from_ms, events[-1]["timestamp"] - overlap)
        self._read = {key for key in self._read if key[1] >= self._from_ms}
        return new
