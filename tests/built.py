"""What `make build` made: the package of each function, as the built template names it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name

from local.virtual.template import ROOT, Tags

BUILD = ROOT / ".aws-sam" / "build"


@dataclass(frozen=True, slots=True)
class Function:
    package: Path
    handler: str


def locked(name: str) -> set[str]:
    """The distributions that requirements/NAME.txt has for Lambda."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    here = [line for line in lines if "==" in line and "sys_platform == 'win32'" not in line]
    return {canonicalize_name(line.split("==")[0]) for line in here}


def make_build() -> dict[str, Function]:
    """Builds what is not up to date; gives the functions by logical id."""
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    subprocess.run(["make", "build"], cwd=ROOT, env=plain, check=True, timeout=200)
    return functions(BUILD)


def functions(build: Path) -> dict[str, Function]:
    # The loader is SafeLoader with tags that build plain dictionaries.
    template: dict[str, Any] = yaml.load((build / "template.yaml").read_text(), Loader=Tags)
    return {
        name: Function(
            build / resource["Properties"]["CodeUri"], str(resource["Properties"]["Handler"])
        )
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
