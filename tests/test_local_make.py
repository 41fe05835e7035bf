"""How make treats an environment that somebody has already, and what it prints of itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.virtual.template import ROOT

# Stands for a Python: says its minor version, makes environments that stand for one, too.
FAKE = """\
#!/bin/sh
case "$2" in
  venv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo made >"$3/mark" ;;
  *print*) echo {minor} ;;
  *exit*) exit {too_old} ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/dev.txt").touch()
    return tmp_path


def python(path: Path, minor: str, too_old: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FAKE.format(minor=minor, too_old=too_old))
    path.chmod(0o755)
    return path


def make(project: Path, *arguments: str, path: Path | None = None) -> str:
    found = f"{path}:" if path else ""
    done = subprocess.run(
        ["make", "venv", *arguments],
        cwd=project, env={"PATH": f"{found}/usr/bin:/bin"}, text=True, timeout=60,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("has", "named", "anew"),
    [
        ("3.12", True, False),
        ("3.11", True, True),  # another than the one that is named
        ("3.11", False, False),  # a good one stays
        ("3.10", False, True),
        ("3.9", True, True),
        ("2.7", False, True),
        ("gone", False, True),
        ("gone", True, True),
    ],
)
def test_an_environment_of_a_python_that_will_not_do_is_made_anew(
    project: Path, has: str, named: bool, anew: bool
) -> None:
    wanted = python(project / "bin/python3", "3.12")
    inside = project / ".venv/bin/python"
    if has == "gone":
        inside.parent.mkdir(parents=True)
        inside.symlink_to(project / "removed")
    else:
        python(inside, has)
    (project / ".venv/complete").touch()
    said = make(project, *([f"PYTHON={wanted}"] if named else []), path=project / "bin")
    assert (project / ".venv/mark").exists() == anew
    assert (".venv is not of Python 3.12: it is made anew." in said) == anew
    assert make(project, *([f"PYTHON={wanted}"] if named else []), path=project / "bin") == ""


def test_a_package_that_is_there_already_is_not_a_line_of_makes_own(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "handler").mkdir()
    (tmp_path / "requirements/runtime.txt").touch()
    shutil.copy(ROOT / "handler/Makefile", tmp_path / "handler")
    asked = ["make", "--no-print-directory", "--file", "handler/Makefile"]
    name = subprocess.run(
        [*asked, "--print-data-base", "--question"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    ).stdout.partition("\nPACKAGE = ")[2].splitlines()[0]  # fmt: skip
    crc = subprocess.run(
        "cat requirements/runtime.txt handler/Makefile | cksum", shell=True, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout.split()[0]  # fmt: skip
    assert name.startswith("build/package-")
    (tmp_path / f"build/package-{crc}").mkdir(parents=True)
    done = subprocess.run(
        [*asked, "package", f"PYTHON={sys.executable}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
