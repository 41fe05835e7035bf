"""What is said to make stays text: neither make nor the shell runs a piece of it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.virtual.template import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
SETTINGS = sorted(set(re.findall(r"^##   .*", MAKEFILE, re.M)))
NAMES = sorted({name for line in SETTINGS for name in re.findall(r"\b([A-Z][A-Z_]+)=", line)})
TARGETS = re.findall(r"^([a-z-]+):.* ## ", MAKEFILE, re.M)
# Leaves the file `ran` behind if make or a shell runs a piece of it, quoted or not.
HOSTILE = "$(shell touch ran)`touch ran`"
# In place of the environments' programs: notes what it was given, and does nothing else.
RECORDER = """#!/bin/sh
printf '%s\\n' "$0" "$@" "EVENT=$EVENT" "STACK=$STACK" "REGION=$REGION" >>"$RECORD"
"""

# Notes that an environment is to be made, and makes none, which takes seconds; all else it does.
PYTHON3 = f"""#!/bin/sh
[ "$1 $2" != "-m venv" ] || {{ printf '%s\\n' "$0" "$@" >>"$RECORD"; exit 0; }}
exec '{sys.executable}' "$@"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with our Makefile, in which every program of the environments only takes notes."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("handler", "tell", "requirements", "events", "statemachine"):
        (tmp_path / name).mkdir()
    for name in ("handler/Makefile", "tell/Makefile"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "events/all.json").write_text("{}")
    for name in ("dev", "runtime", "tell", "sam"):
        (tmp_path / "requirements" / f"{name}.txt").touch()
    (tmp_path / "template.yaml").touch()
    for name in (".venv/bin/python", ".venv/bin/zizmor", ".venv/bin/check-jsonschema",
                 ".venv-sam/bin/sam", ".venv-sam/bin/cfn-lint", ".venv-sam/bin/python",
                 "build/lock/bin/pip", "build/lock/bin/uv"):  # fmt: skip
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(RECORDER)
        program.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").write_text(PYTHON3)
    (tmp_path / "bin/python3").chmod(0o755)
    for name in (".venv/complete", ".venv-sam/complete"):
        (tmp_path / name).touch()
    (tmp_path / ".aws-sam/build").mkdir(parents=True)
    (tmp_path / ".aws-sam/build/template.yaml").touch()
    return tmp_path


def make(place: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {"HOME": os.environ["HOME"], "PATH": f"{place / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["make", *words],
        cwd=place,
        env={**kept, "RECORD": str(place / "record"), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def given(place: Path) -> str:
    record = place / "record"
    return record.read_text() if record.exists() else ""


def test_all_settings_are_looked_at() -> None:
    assert {"TAG", "EVENT", "PARAMETERS", "STACK", "SEED", "RUNS", "AUDIT", "PYTHON"} <= set(NAMES)


def test_no_recipe_writes_a_setting_into_a_shell_line() -> None:
    """Only `$$NAME`, which the shell reads from its environment."""
    recipes = [line for line in MAKEFILE.splitlines() if not line.startswith("##")]
    for name in NAMES:
        used = re.compile(rf"(?<!\$)\$[({{](value )?{name}\b")
        assert [line for line in recipes if used.search(line)] == [], name


@pytest.mark.parametrize("target", TARGETS)
def test_no_target_runs_a_piece_of_what_it_was_told(place: Path, target: str) -> None:
    told = dict.fromkeys([*NAMES, "AWS_REGION"], HOSTILE)
    told.pop("PYTHON")
    make(place, target, *(f"{name}={value}" for name, value in told.items()))
    make(place, target, **told)
    assert not list(place.rglob("ran"))
    assert given(place) or target in ("help", "build")


def test_a_python_that_is_not_there_is_named_and_no_piece_of_it_is_run(place: Path) -> None:
    (place / ".venv/complete").unlink()
    for done in (make(place, "build", f"PYTHON={HOSTILE}"), make(place, "build", PYTHON=HOSTILE)):
        assert not list(place.rglob("ran"))
        assert done.returncode
        assert f"{HOSTILE} not found. Say which Python to use" in done.stdout


@pytest.mark.parametrize(
    ("target", "setting"),
    [("release", "TAG"), ("chaos", "RUNS"), ("chaos", "SEED"), ("mutants", "CHANGES"),
     ("bench", "SEEDS"), ("audit", "AUDIT"), ("events", "STACK"), ("events", "REGION"),
     ("run", "EVENT")],
)  # fmt: skip
def test_a_setting_arrives_as_it_was_written(place: Path, target: str, setting: str) -> None:
    said = """{"a": "$b $(c) 'd' $$ `e`"}"""
    make(place, target, f"{setting}={said}")
    assert said in given(place)
    (place / "record").unlink()
    make(place, target, **{setting: said})
    assert said in given(place)


def test_a_sub_make_runs_no_piece_of_it_either(place: Path) -> None:
    (place / ".venv/complete").unlink()
    done = make(place, "build", "TAG=$(shell touch ran)", "PYTHON=.venv/bin/python")
    assert done.returncode == 0, done.stderr
    assert "Installing .venv" in done.stdout
    assert not list(place.rglob("ran"))


def test_the_full_bench_is_asked_for(place: Path) -> None:
    for said, wanted in (("1", True), ("0", False), ("", False)):
        make(place, "bench", f"FULL={said}")
        assert ("--full\n--docs\n" in given(place)) is wanted
        (place / "record").unlink()
