"""The documents: their links work, the commands and files they name exist, make agrees."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.virtual.template import ROOT

DOCUMENTS = sorted(
    path
    for folder in (ROOT, ROOT / "docs", ROOT / ".github")
    for path in folder.glob("*.md")
)  # fmt: skip
FOLDERS = "bench|checks|deploy|docs|events|handler|local|requirements|statemachine|tests"
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
MAKEFILE = (ROOT / "Makefile").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def prose(text: str) -> str:
    return FENCE.sub("", text)


def code(text: str) -> Iterator[str]:
    """Every line of every block, and every span."""
    for block in FENCE.finditer(text):
        yield from block[3].splitlines()
    yield from re.findall(r"`([^`]+)`", prose(text))


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(slug if slug not in found else f"{slug}-1")
    return found


def links(text: str) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(text))
    return found + re.findall(r'(?:src|srcset|href)="([^"]+)"', prose(text))


@each_document
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for link in links(document.read_text()):
        if re.match(r"(https|mailto):", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def test_links_of_every_kind_are_seen() -> None:
    text = 'a [b](c.md#d) and <img src="e.svg">\n```\n[no](f.md)\n```\n'
    assert links(text) == ["c.md#d", "e.svg"]
    assert anchors("# What happens when …\n## `make` it, now\n## A\n## A\n") == {
        "what-happens-when-",
        "make-it-now",
        "a",
        "a-1",
    }


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def make_help() -> str:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        ["make", "help"],
        cwd=ROOT,
        env=plain,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


@each_document
def test_every_make_command_named_is_there_with_its_settings(document: Path) -> None:
    explained = make_help()
    for line in code(document.read_text()):
        command = re.match(r"(?:\$ )?make(?= |$)((?: [A-Z_]+=\S+| [a-z-]+)*)", line)
        for word in command[1].split() if command else []:
            setting, equals, _ = word.partition("=")
            if equals:
                assert re.search(rf"\b{setting}=", explained), f"{line}: {setting} is not in help"
            else:
                assert word in targets(), line


def test_help_has_every_target_with_a_description_and_each_has_one_or_is_a_step_of_check() -> None:
    described = set(re.findall(r"^([a-z][a-z-]*):.* ## ", MAKEFILE, re.MULTILINE))
    shown = set(re.findall(r"^  make ([a-z-]+) ", make_help(), re.MULTILINE))
    assert shown == described
    [steps] = re.findall(r"^check: (.+?) ##", MAKEFILE, re.MULTILINE)
    assert targets() - described <= {*steps.split(), "help", "setup", "venv"}


def test_every_target_is_phony() -> None:
    [phony] = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.replace("\\", "").split()) == targets()


def test_help_fits_a_terminal() -> None:
    assert max(len(line) for line in make_help().splitlines()) <= 80


@each_document
def test_every_file_named_is_there(document: Path) -> None:
    for text in code(document.read_text()):
        for name in re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./*-]*)", text):
            if name.upper() == name or "NAME" in name:  # a place for the reader's own
                continue
            assert list(ROOT.glob(name.rstrip("/."))), name


@each_document
def test_every_shell_block_is_one_to_a_shell(document: Path) -> None:
    for block in FENCE.finditer(document.read_text()):
        if block[2] in ("sh", "bash", "shell"):
            script = re.sub(r"<[a-z][a-z -]*>", "PLACEHOLDER", block[3])
            done = subprocess.run(
                ["bash", "-n"], input=script, capture_output=True, text=True, timeout=10
            )
            assert done.returncode == 0, block[3] + done.stderr


def test_the_map_of_the_house_has_every_folder() -> None:
    house = CONTRIBUTING.split("## The map of the house\n")[1].split("```")[1]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    named = set(re.findall(r"^([a-z]+)/", house, re.MULTILINE))
    assert named == packages | {"events", "requirements", "statemachine"}


def test_every_test_file_named_in_contributing_is_there() -> None:
    named = re.findall(r"`((?:test_|chaos|restic)[\w./]*)`", CONTRIBUTING)
    assert len(named) >= 15
    for name in named:
        assert (ROOT / "tests" / name).exists(), name


def test_the_changelog_has_its_form() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert headings[0] == "Unreleased"
    released = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - \d{4}-\d\d-\d\d", h) for h in headings[1:]]
    assert all(released), headings
    versions = [tuple(int(n) for n in match.groups()) for match in released if match]
    assert versions == sorted(set(versions), reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", changelog, re.MULTILINE)) <= kinds
