"""The package that is deployed: what is in it, for which Python, and that every build is the same.

Built here with Python 3.11 or later, it is for 3.13: nothing is compiled, so what can be known
about that Python without having it is what each distribution says about itself.
"""

import ast
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_string
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from local.package import write_zip
from local.virtual.functions import APART, FUNCTIONS, RESTORING
from local.virtual.template import ROOT
from tests.built import functions, locked, make_build

LARGEST_ZIP = 4_000_000
LAMBDAS_PYTHON = "3.13"
# The Lambda runtime brings them.
FROM_LAMBDA = {"boto3", "botocore", "s3transfer"}
# What 3.12 and 3.13 have no longer.
GONE = {
    *("aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils"),
    *("imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes"),
    *("smtpd", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
}

pytestmark = pytest.mark.timeout(240)


def content(folder: Path) -> dict[str, tuple[str, int, float]]:
    """Digest, mode and time of everything in it."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        facts = path.stat()
        name = path.relative_to(folder).as_posix()
        found[name] = (digest, stat.S_IMODE(facts.st_mode), facts.st_mtime)
    return found


@pytest.fixture(scope="module")
def packages() -> dict[str, Path]:
    return {name: function.package for name, function in make_build().items()}


@pytest.fixture(scope="module", params=["StartRun", APART])
def package(packages: dict[str, Path], request: pytest.FixtureRequest) -> Path:
    """That of the nights, and that of Tell."""
    return packages[request.param]


def requirements(package: Path) -> str:
    return "tell" if package.name == APART else "runtime"


def distributions(package: Path) -> Iterator[tuple[Message, Message]]:
    """METADATA and WHEEL of everything installed into the package."""
    for folder in sorted(package.glob("*.dist-info")):
        texts = [(folder / name).read_text() for name in ("METADATA", "WHEEL")]
        yield message_from_string(texts[0]), message_from_string(texts[1])


def test_every_function_of_the_nights_is_the_same_package(packages: dict[str, Path]) -> None:
    assert packages.keys() == {*FUNCTIONS, *RESTORING, APART}
    first, *others = (content(packages[name]) for name in (*FUNCTIONS, *RESTORING))
    assert "handler/triggers/start_run.py" in first
    for other in others:
        assert other == first


def test_nothing_of_apprise_is_in_the_nights_and_nothing_of_the_nights_beside_it(
    packages: dict[str, Path],
) -> None:
    nights, apart = packages["StartRun"], packages[APART]
    for name in ("apprise", "yaml", "markdown", "oauthlib", "tell"):
        assert (apart / name).is_dir() and not (nights / name).exists()
    assert not (apart / "handler").exists() and not (apart / "hcloud").exists()


def test_sam_build_by_itself_somewhere_else_gives_the_same_bytes(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("template.yaml", "handler", "tell", "statemachine", "requirements"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    subprocess.run(
        [ROOT / ".venv-sam" / "bin" / "sam", "build"],
        cwd=tmp_path,
        env={
            **pip,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(ROOT / "build" / "home"),
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": "us-east-1",
            "TZ": "Asia/Tokyo",
        },
        umask=0o077,
        check=True,
        capture_output=True,
        timeout=200,
    )
    elsewhere = functions(tmp_path / ".aws-sam" / "build")
    assert elsewhere.keys() == packages.keys()
    for name, package in packages.items():
        assert content(elsewhere[name].package) == content(package), name


def test_the_zip_is_small_and_the_same_whatever_the_files_age(
    package: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(package, copied, copy_function=shutil.copyfile)
    digest = write_zip(package, tmp_path / "one.zip")
    assert write_zip(copied, tmp_path / "two.zip") == digest
    assert (tmp_path / "one.zip").stat().st_size <= LARGEST_ZIP
    with ZipFile(tmp_path / "one.zip") as archive:
        zipped = {name: archive.read(name) for name in archive.namelist()}
    files = [path for path in package.rglob("*") if path.is_file()]
    assert zipped == {p.relative_to(package).as_posix(): p.read_bytes() for p in files}


def test_it_holds_our_modules_and_the_locked_distributions(package: Path) -> None:
    own = "tell" if package.name == APART else "handler"
    files = (ROOT / own).rglob("*.py")
    ours = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in files}
    assert len(ours) > (30 if own == "handler" else 3)
    assert {name: (package / name).read_bytes() for name in ours} == ours
    installed = {canonicalize_name(metadata["Name"]) for metadata, _ in distributions(package)}
    assert installed == locked(requirements(package))
    assert not installed & FROM_LAMBDA


def test_it_holds_nothing_that_no_function_needs(package: Path) -> None:
    names = [path.relative_to(package) for path in package.rglob("*")]
    assert len(names) > 300
    unwanted = {"__pycache__", "bin", "events", "tests", *FROM_LAMBDA}
    assert not [name for name in names if unwanted & set(name.parts)]
    suffixes = {".so", ".pyd", ".dylib", ".pyc", ".js", ".css", ".png", ".ico"}
    assert not [name for name in names if name.suffix in suffixes]
    about_the_build = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    assert not [name for name in names if name.name in about_the_build]


def test_running_the_code_is_no_reason_to_build_it_again(
    packages: dict[str, Path],
) -> None:
    """Tests that build at the same time would pull the package from under each other."""
    plain = {"PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", "import handler, tell"], cwd=ROOT, env=plain, check=True)
    asked = ["make", "--question", ".aws-sam/build/template.yaml"]
    assert subprocess.run(asked, cwd=ROOT, env=plain, check=False).returncode == 0
    assert all((ROOT / folder / "__pycache__").is_dir() for folder in ("handler", "tell"))


def test_every_distribution_is_pure_and_says_it_runs_on_lambdas_python(package: Path) -> None:
    for metadata, wheel in distributions(package):
        name = metadata["Name"]
        # Its compiled part was taken away; the library goes on without it.
        if name != "PyYAML":
            assert wheel["Root-Is-Purelib"] == "true", name
            assert "py3-none-any" in wheel.get_all("Tag", []), name
        assert LAMBDAS_PYTHON in SpecifierSet(metadata["Requires-Python"]), name


def test_what_the_distributions_need_is_there_in_a_version_they_take(package: Path) -> None:
    versions = {canonicalize_name(m["Name"]): m["Version"] for m, _ in distributions(package)}
    on_lambda = {"python_version": LAMBDAS_PYTHON, "python_full_version": "3.13.0", "extra": ""}
    needed = 0
    for metadata, _ in distributions(package):
        for text in metadata.get_all("Requires-Dist", []):
            need = Requirement(text)
            if need.marker and not need.marker.evaluate(on_lambda):
                continue
            needed += 1
            assert versions[canonicalize_name(need.name)] in need.specifier, text
    assert needed >= 8


def test_nothing_imports_what_lambdas_python_has_no_longer(package: Path) -> None:
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_bytes())
        # Where it is tried, there is something for when it is not there.
        tried = [n for outer in ast.walk(tree) if isinstance(outer, ast.Try) for n in outer.body]
        for node in set(ast.walk(tree)) - set(tried):
            if isinstance(node, ast.Import):
                modules = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = {(node.module or "").split(".")[0]}
            else:
                continue
            assert not modules & GONE, (path, node.lineno)


def test_every_licence_is_in_it(package: Path) -> None:
    for folder in package.glob("*.dist-info"):
        assert [p for p in folder.rglob("*") if p.name.upper().startswith("LICEN")], folder.name
