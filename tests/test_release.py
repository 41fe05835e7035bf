"""A release: its notes, its tag, and that its folder alone can be deployed."""

import hashlib
import json
import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from checks.release import NotReady, fill, main, notes, packaged
from local.access import Access
from local.aws import connection
from local.cloud import running
from local.environment import clean
from local.options import Options
from local.package import write_zip
from local.simulator import Clock, Simulator, World
from local.virtual.template import ROOT
from tests.built import make_build
from tests.conftest import TOKEN

SCALE = 60
CHANGELOG = """# Changelog

## Unreleased

## 1.10.0 - 2026-11-22

### Added
- Ten.

## 1.1.0 - 2026-11-21

### Fixed
- One.
"""


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    assert notes(CHANGELOG, "1.1.0") == "### Fixed\n- One.\n"
    assert notes(CHANGELOG, "1.10.0") == "### Added\n- Ten.\n"


@pytest.mark.parametrize("version", ["1.1", "1.0.0", "Unreleased"])
def test_a_version_without_a_section_is_not_ready(version: str) -> None:
    with pytest.raises(NotReady, match=r"CHANGELOG\.md has no section"):
        notes(CHANGELOG, version)


@pytest.mark.parametrize("tag", ["", "0.1.0", "v0.1.0-rc1", "v99.0.0", "v0.1.0\n", "v$(sh)"])
def test_a_tag_that_is_not_the_version_is_refused(tag: str, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"pyproject\.toml says"):
        main(tag, tmp_path / "release")
    assert not (tmp_path / "release").exists()


def test_a_tag_that_is_no_version_is_shown_as_text_without_control_characters() -> None:
    with pytest.raises(NotReady, match=r"^The tag is 'v1\\x1b\[2J', which is no version"):
        main("v1\x1b[2J", Path("nowhere"))


def test_a_template_that_names_its_code_otherwise_is_not_ready() -> None:
    with pytest.raises(NotReady, match="CodeUri"):
        packaged("Resources: {}\n")


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    packages = make_build()
    write_zip(packages["StartRun"].package, tmp_path / "hetzner-snapshots.zip")
    write_zip(packages["Tell"].package, tmp_path / "tell.zip")
    (tmp_path / "sbom.json").write_text("{}")
    (tmp_path / "sbom-tell.json").write_text("{}")
    built = ("hetzner-snapshots.zip", "tell.zip", "sbom.json", "sbom-tell.json")
    monkeypatch.setattr("checks.release.BUILT", [str(tmp_path / name) for name in built])
    fill(tmp_path / "release")
    return tmp_path / "release"


@pytest.mark.timeout(240)
def test_every_file_of_a_release_has_its_checksum(release: Path) -> None:
    files = {path.name for path in release.iterdir()}
    assert {"hetzner-snapshots.zip", "tell.zip", "template.yaml", "sbom.json", "LICENSE"} <= files
    sums = dict(
        line.split("  ")[::-1] for line in (release / "SHA256SUMS").read_text().splitlines()
    )
    assert sums.keys() == files - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == digest


@pytest.mark.stack
@pytest.mark.timeout(240)
def test_a_release_is_deployed_from_its_folder_alone(release: Path) -> None:
    world = World(Clock(datetime.now(UTC), SCALE), seed=1)
    project = world.project("default")
    project.add_token(TOKEN)
    project.add_server("sg5")
    with Simulator(world) as simulator:
        options = Options("given", "unused", simulator.url, wait_scale=1 / SCALE)
        with running(options) as (cloud, _):
            s3 = boto3.client("s3", **connection(cloud.aws))
            s3.create_bucket(Bucket="releases")
            boto3.client("ssm", **connection(cloud.aws)).put_parameter(
                Name="/hetzner-snapshots/tokens/default", Value=TOKEN, Type="SecureString"
            )
            sam_deploy(release, cloud.aws, simulator.url)
            stored = s3.list_objects_v2(Bucket="releases")["Contents"]
            bodies = [s3.get_object(Bucket="releases", Key=o["Key"])["Body"].read() for o in stored]
            assert (release / "hetzner-snapshots.zip").read_bytes() in bodies
            assert (release / "tell.zip").read_bytes() in bodies
            assert dry_run(cloud.aws) == "SUCCEEDED"
    assert not project.images


def sam_deploy(folder: Path, aws: Access, endpoint: str) -> None:
    done = subprocess.run(
        [
            *(ROOT / ".venv-sam" / "bin" / "sam", "deploy", "--template-file", "template.yaml"),
            *("--stack-name", "released", "--region", "us-east-1", "--s3-bucket", "releases"),
            *("--capabilities", "CAPABILITY_IAM", "--no-progressbar", "--no-confirm-changeset"),
            # MiniStack cannot deploy the queries.
            *("--parameter-overrides", 'SavedQueries="false"', f'HetznerEndpoint="{endpoint}"'),
        ],
        cwd=folder,
        env={
            **clean(os.environ),
            **aws.environment(),
            "HOME": str(folder.parent),
            "SAM_CLI_TELEMETRY": "0",
        },
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def dry_run(aws: Access) -> str:
    """How it ended."""
    answer = boto3.client("lambda", **connection(aws)).invoke(
        FunctionName=outputs(aws)["StartRunFunction"], Payload=b'{"dry_run": true}'
    )
    [started] = json.loads(answer["Payload"].read())["executions"]
    step_functions = boto3.client("stepfunctions", **connection(aws))
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        execution = step_functions.describe_execution(executionArn=started["execution_arn"])
        if execution["status"] != "RUNNING":
            return execution["status"]
        time.sleep(0.2)
    raise AssertionError("the dry run has not ended")


def outputs(aws: Access) -> dict[str, str]:
    answer = boto3.client("cloudformation", **connection(aws)).describe_stacks(StackName="released")
    return {item["OutputKey"]: item["OutputValue"] for item in answer["Stacks"][0]["Outputs"]}
