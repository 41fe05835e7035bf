"""What `make check` does besides the tests."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from checks import audit
from checks.audit import Audit
from checks.contents import described, environment
from checks.translate import translated
from local.virtual.functions import APART, FUNCTIONS, RESTORING
from local.virtual.template import ROOT
from tests.built import locked, make_build


def package(**more: Any) -> dict[str, Any]:
    return {"name": "requests", "version": "2.0", **more}


HOLE = {"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": [], "description": ""}
CLEAN, HOLED = package(vulns=[]), package(vulns=[HOLE])
UNKNOWN = package(skip_reason="Dependency not found and could not be audited")


def test_a_mistyped_demand_for_an_audit_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["Required"]) == 2
    assert "There is AUDIT=required." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("packages", "required", "said", "good"),
    [
        ([CLEAN], True, "1 packages audited, no known hole.", True),
        ([CLEAN, HOLED], False, "requests 2.0: PYSEC-1, repaired in 2.1", False),
        ([UNKNOWN, HOLED], False, "requests 2.0: PYSEC-1, repaired in 2.1", False),
        ([CLEAN, UNKNOWN], False, "NOT AUDITED: the package index tells nothing about req", True),
        ([CLEAN, UNKNOWN], True, "NOT AUDITED: the package index tells nothing about req", False),
        ([], False, "NOT AUDITED: the package index tells nothing about anything", True),
        ([], True, "NOT AUDITED: the package index tells nothing about anything", False),
        ([CLEAN, CLEAN], True, "1 packages audited, no known hole.", True),
    ],
)
def test_what_could_not_be_audited_is_never_called_clean(
    packages: list[dict[str, Any]], required: bool, said: str, good: bool
) -> None:
    text, verdict = Audit.from_report({"dependencies": packages}).verdict(required)
    assert said in text
    assert verdict == good


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("function", "lock"), [("StartRun", "runtime"), ("Tell", "tell")])
def test_the_bill_of_materials_is_of_the_package_and_nothing_else(
    function: str, lock: str, tmp_path: Path
) -> None:
    python = environment(make_build()[function].package, tmp_path / "contents")
    seen = subprocess.run(
        [
            python,
            "-c",
            "import importlib.metadata as m; print(*{d.name for d in m.distributions()})",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.split()
    assert {canonicalize_name(name) for name in seen} == locked(lock)


def test_the_bill_of_materials_begins_with_us() -> None:
    ours = tomllib.loads(described("runtime"))["project"]
    true = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (ours["name"], ours["version"]) == (true["name"], true["version"])
    assert ours["license"] == true["license"]
    assert ours["dependencies"] == ["hcloud", "aws-lambda-powertools"]
    apart = tomllib.loads(described("tell"))["project"]
    assert apart["dependencies"] == ["apprise", "aws-lambda-powertools"]


def test_what_is_checked_is_what_cloudformation_gets() -> None:
    template = translated(ROOT / "template.yaml")
    assert "Transform" not in template
    kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}
    assert not [kind for kind in kinds.values() if kind.startswith("AWS::Serverless")]
    functions = {name for name, kind in kinds.items() if kind == "AWS::Lambda::Function"}
    assert functions == {*FUNCTIONS, *RESTORING, APART}
    code = {name: template["Resources"][name]["Properties"]["Code"] for name in functions}
    assert [name for name in functions if code[name] != code["StartRun"]] == [APART]
    assert "AWS::Scheduler::Schedule" in kinds.values()
    machine = template["Resources"]["SnapshotRun"]["Properties"]
    definition = (ROOT / "statemachine" / "snapshot_run.asl.json").read_text()
    assert json.loads(machine["DefinitionString"]) == json.loads(definition)
