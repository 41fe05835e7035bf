"""What the project says about itself in several places agrees; its workflows may do little."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.release import version
from local.virtual.template import ROOT
from tests.held import HELD

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKED = sorted((ROOT / "requirements").glob("*.txt"))

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
each_lock = pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.stem)


def test_there_is_one_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", version())
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for released in re.findall(r"^## (\d\S+)", changelog, re.MULTILINE)[:1]:
        assert released == version()


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-zA-Z0-9_.-]+)(?:\[[\w,-]+\])?==(\S+)", path.read_text(), re.M))


@each_lock
def test_every_locked_requirement_has_hashes_and_no_address(path: Path) -> None:
    text = path.read_text()
    entries = re.split(r"\n(?=[a-zA-Z0-9])", text)
    assert len(entries) == len(re.findall(r"^[a-zA-Z0-9][^\n]*==", text, re.M))
    assert len(entries) >= (1 if path.stem == "lock" else 10)
    for entry in entries:
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text


@each_lock
def test_what_is_wanted_is_locked(path: Path) -> None:
    wanted = path.with_suffix(".in").read_text()
    names = re.findall(r"^([a-zA-Z0-9][\w.-]*)", wanted, re.M)
    # Lambda brings boto3.
    missing = {name.lower() for name in names} - {name.lower() for name in pins(path)}
    assert missing <= ({"boto3"} if path.stem in ("runtime", "tell") else set())


@pytest.mark.parametrize("path", ["Makefile", "handler/Makefile", "tell/Makefile"])
def test_make_installs_nothing_without_its_hash(path: str) -> None:
    text = (ROOT / path).read_text().replace("\\\n", "")
    installs = re.findall(r"^.*pip install.*$", text, re.MULTILINE)
    assert installs
    for line in installs:
        assert "--require-hashes" in line and "--only-binary=:all:" in line, line


@pytest.mark.parametrize("package", ["runtime", "tell"])
def test_what_is_deployed_is_what_is_tested(package: str) -> None:
    tested = pins(ROOT / "requirements" / "dev.txt")
    deployed = pins(ROOT / "requirements" / f"{package}.txt")
    assert deployed == {name: tested.get(name) for name in deployed}


def read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text())
    return workflow


@each_workflow
def test_every_action_is_named_by_its_commit_and_is_githubs_own(path: Path) -> None:
    used = re.findall(r"uses: (.+)$", path.read_text(), re.MULTILINE)
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_has_one_commit_everywhere() -> None:
    used = {
        action
        for path in WORKFLOWS
        for action in re.findall(r"uses: (.+)$", path.read_text(), re.MULTILINE)
    }
    names = [action.split("@")[0] for action in used]
    assert len(names) == len(set(names)), used


@each_workflow
def test_every_job_ends_and_nothing_may_write_unless_it_says_so(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for name, job in workflow["jobs"].items():
        assert 1 <= job["timeout-minutes"] <= 60, name
        permissions = job.get("permissions", workflow["permissions"])
        checkouts = [s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout@")]
        for step in checkouts:
            assert step["with"]["persist-credentials"] is False
        # Who may write runs nothing from the repository.
        if "write" in permissions.values():
            assert not checkouts, name
            assert not [s for s in job["steps"] if "make" in s.get("run", "").split()], name


@each_workflow
def test_what_a_workflow_makes_is_there(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    runs = [step.get("run", "") for job in read(path)["jobs"].values() for step in job["steps"]]
    named = [name for run in runs for name in re.findall(r"\bmake ([a-z-]+)", run)]
    assert named
    assert set(named) <= targets


@each_workflow
def test_no_shell_line_holds_text_that_somebody_else_may_write(path: Path) -> None:
    for job in read(path)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), step


def test_what_make_mutants_changes_and_the_tests_that_hold_it_are_there() -> None:
    for file, held in HELD.items():
        assert held.tests and all((ROOT / name).exists() for name in (file, *held.tests)), file
