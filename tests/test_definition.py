"""The definition, checked by cfn-lint's schema of the language.

That schema knows the fields, their types and where they may be. It does not follow transitions:
test_structure.py does. Moto, in every story, and the local AWS read the same text, too.
(`make template` lints the whole template as CloudFormation gets it, with this definition in it.)
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks.translate import translated
from local.virtual.template import ROOT, Stack

RULE = "E3601"
OURS, RESTORE = "ours", "restore"


def children(machine: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = machine["States"]["SnapshotServers"]["ItemProcessor"]
    return found


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "start": (lambda m: m.update(StartAt="Begin"), "Missing 'Next' target 'Begin'"),
    "child-start": (lambda m: children(m).update(StartAt="Begin"), "target 'Begin'"),
    "nothing-to-do": (
        lambda m: m["States"]["ListServers"].pop("Resource"),
        "'Resource' is a required property",
    ),
    "unknown-field": (
        lambda m: m["States"]["ListServers"].update(TimeoutSecond=9),
        "'TimeoutSecond' was unexpected",
    ),
    "unknown-type": (
        lambda m: children(m)["States"]["WaitToPrune"].update(Type="Sleep"),
        "'Sleep' is not one of",
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What cfn-lint says about our machine and each broken one, in one call for all."""
    folder = tmp_path_factory.mktemp("templates")
    changes = {OURS: lambda m: None, RESTORE: lambda m: None} | {
        name: change for name, (change, _) in BROKEN.items()
    }
    for name, change in changes.items():
        machine = json.loads(Stack().definition("RestoreRun" if name == RESTORE else "SnapshotRun"))
        change(machine)
        role = "arn:aws:iam::123456789012:role/none"
        properties = {"DefinitionString": json.dumps(machine), "RoleArn": role}
        resource = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
        (folder / f"{name}.json").write_text(json.dumps({"Resources": {"Machine": resource}}))
    files = [str(folder / f"{name}.json") for name in changes]
    command = [str(ROOT / ".venv-sam/bin/cfn-lint"), "--format", "json", "--template", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    said: dict[str, list[str]] = {name: [] for name in changes}
    for finding in json.loads(done.stdout):
        text = f"{finding['Rule']['Id']}: {finding['Message']}"
        said[Path(finding["Filename"]).stem].append(text)
    return said


def test_nothing_is_found_in_our_definitions(found: dict[str, list[str]]) -> None:
    assert found[OURS] == [] and found[RESTORE] == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_definition_is_found(found: dict[str, list[str]], name: str) -> None:
    [text] = found[name]
    assert text.startswith(RULE) and BROKEN[name][1] in text


@pytest.mark.parametrize("machine_name", ["SnapshotRun", "RestoreRun"])
def test_each_substitution_is_used_and_each_placeholder_substituted(machine_name: str) -> None:
    machine = translated(ROOT / "template.yaml")["Resources"][machine_name]["Properties"]
    text = machine["DefinitionString"]
    for name in machine["DefinitionSubstitutions"]:
        assert text.count(f'"${{{name}}}"') == 1, name
        text = text.replace(f"${{{name}}}", "")
    assert "${" not in text
