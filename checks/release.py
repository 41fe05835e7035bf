"""What a release holds: `python -m checks.release TAG FOLDER`, after `make package sbom`.

The files can be deployed from one folder, by SAM and without this repository:
`sam deploy --guided --template-file template.yaml --capabilities CAPABILITY_IAM`.
"""

import hashlib
import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILT = (
    *("build/hetzner-snapshots.zip", "build/tell.zip"),
    *("build/sbom.json", "build/sbom-tell.json"),
)
AS_THEY_ARE = (
    *("README.md", "LICENSE", "CHANGELOG.md"),
    *("statemachine/snapshot_run.asl.json", "statemachine/restore_run.asl.json"),
)
# Files that the template finds in other places in the repository, and their place in that folder.
MOVED = {
    "    CodeUri: handler/\n": "    CodeUri: hetzner-snapshots.zip\n",
    "    CodeUri: tell/\n": "    CodeUri: tell.zip\n",
    "DefinitionUri: statemachine/snapshot_run.asl.json\n": "DefinitionUri: snapshot_run.asl.json\n",
    "DefinitionUri: statemachine/restore_run.asl.json\n": "DefinitionUri: restore_run.asl.json\n",
}


class NotReady(Exception):
    """This commit cannot be released; the message says what to change."""


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def notes(changelog: str, version: str) -> str:
    """What the changelog says of a version. Raises NotReady."""
    for section in changelog.split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        if re.fullmatch(rf"\[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d", heading):
            return text.strip() + "\n"
    raise NotReady(
        f"CHANGELOG.md has no section `## {version} - YYYY-MM-DD`. "
        f"Rename Unreleased to that, and begin a new Unreleased above it."
    )


def packaged(template: str) -> str:
    """template.yaml, beside the files of the release. Raises NotReady."""
    for before, after in MOVED.items():
        if template.count(before) != 1:
            raise NotReady(f"template.yaml has not just one line {before.strip()!r}")
        template = template.replace(before, after)
    return template


def fill(folder: Path) -> None:
    """Puts everything into the folder, new; with SHA-256 sums as `sha256sum -c` reads them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (*BUILT, *AS_THEY_ARE):
        shutil.copy(ROOT / name, folder)
    template = packaged((ROOT / "template.yaml").read_text())
    (folder / "template.yaml").write_text(template)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))


def main(tag: str, folder: Path) -> None:
    if tag != f"v{version()}":
        form = "" if re.fullmatch(r"v[0-9]+(\.[0-9]+){2}", tag) else "which is no version; "
        raise NotReady(
            f"The tag is {tag!r}, {form}pyproject.toml says {version()}: tag v{version()}."
        )
    text = notes((ROOT / "CHANGELOG.md").read_text(), version())
    fill(folder)
    folder.with_name("release-notes.md").write_text(text)
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except NotReady as error:
        sys.exit(str(error))
