"""What a built package holds, and under which licences:
`python -m checks.contents PACKAGE REQUIREMENTS FILE`.

Lists the distributions with their licences, fails if a licence is not among those we accept, and
writes a CycloneDX bill of materials. Both are read from the package itself, not from a list of what
should be in it.
"""

import json
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".venv" / "bin"
REQUIREMENTS = ROOT / "requirements"
FROM_LAMBDA = {"boto3"}
# With the names of classifiers or SPDX: licences that may be distributed with MIT code and require
# only their text, which is in the package. MPL-2.0 (certifi) also requires the source of changed
# files; nothing is changed.
LICENCES = (
    "Apache Software License",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
    "MIT License",
    "MIT No Attribution License (MIT-0)",
    "Mozilla Public License 2.0 (MPL 2.0)",
    "PSF-2.0",
)


def environment(package: Path, folder: Path) -> Path:
    """A Python environment that holds only the package, as the tools need it."""
    venv.create(folder, clear=True, symlinks=True, with_pip=False)
    [site_packages] = folder.glob("lib/python3*/site-packages")
    (site_packages / "package.pth").write_text(f"{package.resolve()}\n")
    return folder / "bin" / "python"


def check_licences(python: Path, accepted: tuple[str, ...]) -> bool:
    """Prints the licences; False if one is not accepted, which is then named."""
    listed = subprocess.run(
        [
            *(TOOLS / "pip-licenses", "--python", python, "--with-system", "--from", "mixed"),
            *("--allow-only", ";".join(accepted)),
        ],
        timeout=60,
    )
    return listed.returncode == 0


def write_bill(python: Path, project: Path, target: Path) -> None:
    """A CycloneDX 1.6 document; the same package gives the same bytes."""
    subprocess.run(
        [
            *(TOOLS / "cyclonedx-py", "environment", python, "--pyproject", project),
            *("--output-reproducible", "--spec-version", "1.6", "--output-file", target),
        ],
        check=True,
        timeout=60,
    )


def described(requirements: str) -> str:
    """Our pyproject.toml with what requirements/REQUIREMENTS.in asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = (REQUIREMENTS / f"{requirements}.in").read_text()
    lines = [line.split("==")[0].strip() for line in wanted.splitlines()]
    needed = [line for line in lines if line and line[0] != "#" and line not in FROM_LAMBDA]
    keys = ("name", "version", "description", "license")
    texts = [f"{key} = {json.dumps(project[key])}" for key in keys]
    return "\n".join(["[project]", *texts, f"dependencies = {json.dumps(needed)}", ""])


def main(package: Path, requirements: str, target: Path) -> int:
    folder = target.parent / f"contents-{requirements}"
    python = environment(package, folder)
    if not check_licences(python, LICENCES):
        print("Leave it out, or add its licence to checks/contents.py if it may be passed on.")
        return 1
    project = folder / "pyproject.toml"
    project.write_text(described(requirements))
    write_bill(python, project, target)
    print(f"{target}: {len(json.loads(target.read_text())['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
