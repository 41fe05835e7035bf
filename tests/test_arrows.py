"""Which package may import which, and that no modules import each other in a circle.

Read from the source: imports inside functions and those for type checkers count as well.
"""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from local.virtual.template import ROOT

PACKAGES = ("handler", "tell", "local", "deploy", "bench", "checks", "tests")
# Of our packages, what each may import; `local.common` is that part of it only.
MAY_IMPORT = {
    "handler": set(),
    # Its package has nothing else of ours.
    "tell": set(),
    "local": {"handler"},
    "deploy": {"handler", "tell", "local.common"},
    "bench": {"handler", "local"},
    "checks": set(),
    "tests": {"handler", "tell", "local", "deploy", "bench", "checks"},
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {name_of(path): path for path in paths}


@cache
def imports(module: str) -> set[str]:
    """The modules of ours that this one imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{module}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules() else node.module)
    return found & modules().keys()


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter({name: imports(name) for name in modules()}).prepare()
    except CycleError as error:
        pytest.fail("circle: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    allowed = {package, *MAY_IMPORT[package]}
    for module in modules():
        if module.split(".")[0] == package:
            for other in imports(module):
                known = any(f"{other}.".startswith(f"{name}.") for name in allowed)
                assert known, f"{module} imports {other}"


def test_the_common_room_imports_no_other() -> None:
    for module in modules():
        if module.startswith("local.common"):
            allowed = ("local.common", "handler.documents", "handler.decisions", "handler.report")
            assert all(other.startswith(allowed) for other in imports(module)), module
