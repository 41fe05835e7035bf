"""template.yaml as CloudFormation gets it, for the checks: `python -m checks.translate FILE`.

SAM's own translator expands the transform. The state machine's definition is put in as text, so
that tools that read the result check it, too.
"""

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
REGION = "us-east-1"
# In place of the address to which `sam package` would have uploaded.
PACKAGE = {"Bucket": "the-package", "Key": "hetzner-snapshots.zip"}
OWN_PACKAGE = {"Bucket": "the-package", "Key": "tell.zip"}
DEFINITION = {"Bucket": "the-package", "Key": "snapshot_run.asl.json"}


def translated(template: Path) -> dict[str, Any]:
    """The template without the transform. Raises InvalidDocumentException if SAM cannot take it."""
    source = yaml_parse(template.read_text())
    source["Globals"]["Function"]["CodeUri"] = PACKAGE
    definitions = {}
    for name, resource in source["Resources"].items():
        if resource["Type"] == "AWS::Serverless::StateMachine":
            properties = resource["Properties"]
            definitions[name] = (template.parent / properties["DefinitionUri"]).read_text()
            properties["DefinitionUri"] = DEFINITION
        elif "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = OWN_PACKAGE
    # None of our functions names a managed policy, which the first argument would resolve.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    result: dict[str, Any] = translator.translate(source, {})
    for name, definition in definitions.items():
        properties = result["Resources"][name]["Properties"]
        del properties["DefinitionS3Location"]
        properties["DefinitionString"] = definition
    return result


def main(target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(translated(ROOT / "template.yaml"), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
