"""python -m tests.operators: do the tests of the pure modules notice mistakes?

Operators, comparisons, numbers and conditions of a file are changed one at a time, in memory, and
the tests that hold the file must fail: see HELD in tests/held.py. Exit 1 if a change survives that
is not allowed to or, with --all, if one does not that is.
"""

import argparse
import ast
import gc
import os
import random
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import hypothesis
import pytest

from tests.held import HELD

ROOT = Path(__file__).parents[1]
UNTRIED = 99  # a child's exit code that says nothing about the change
# A change with which the tests take several times as long hangs, and counts as caught.
MOST_SECONDS, TIMES_AS_LONG, MORE_SECONDS = 60, 3, 5

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip
# Quick to start in each child: only what the tests of pure modules need.
OPTIONS = ["-x", "-q", "--noconftest", "--assert=plain", "-p", "no:cacheprovider"]
OPTIONS += ["-p", "pytest_timeout"]
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor"}
COMPILED: dict[str, CodeType | None] = {}  # by path
READ_CODE = SourceFileLoader.get_code
UNCHANGED = ("annotation", "returns", "decorator_list")


@dataclass(frozen=True)
class Change:
    """One change of a file; `text` is how it is printed, and called where it is allowed."""

    file: str
    line: int
    text: str
    code: CodeType


def changes_of(file: str) -> list[Change]:
    tree = ast.parse((ROOT / file).read_text())
    return [
        Change(file, line, text, compile(tree, str(ROOT / file), "exec"))
        for line, text in _changed(tree, "")
    ]


def _changed(node: ast.AST, place: str) -> Iterator[tuple[int, str]]:
    """Line and text of each change below the node, which is in the tree until the next one."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        place = f"{place}.{node.name}".lstrip(".")
    elif isinstance(node, ast.Assign) and not place:
        place = ast.unparse(node.targets[0])
    for field, value in ast.iter_fields(node):
        for position, child in enumerate(value if isinstance(value, list) else [value]):
            if field in UNCHANGED or not isinstance(child, ast.AST):
                continue
            yield from _changed(child, place)
            # A number or an operator alone says little.
            alone = isinstance(child, ast.expr) and not isinstance(child, ast.Constant)
            old = ast.unparse(child if alone else node)
            for new in _instead_of(child, node, field):
                _put(node, field, position, new)
                line = getattr(child if alone else node, "lineno", 0)
                yield line, f"{place}: {old} -> {ast.unparse(new if alone and new else node)}"
                _put(node, field, position, child)


def _put(node: ast.AST, field: str, position: int, new: ast.AST | None) -> None:
    value = getattr(node, field)
    listed = isinstance(value, list)
    setattr(node, field, [*value[:position], new, *value[position + 1 :]] if listed else new)
    ast.fix_missing_locations(node)


def _instead_of(child: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST | None]:
    if type(child) in SWAPS:
        yield SWAPS[type(child)]()
    if field in ("test", "ifs"):
        yield from (ast.Constant(True), ast.Constant(False))
    if isinstance(parent, ast.Slice):
        yield None
    match child:
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(float(value)):
            yield from (ast.Constant(value * 2 or 1.0), ast.Constant(value / 2 or -1.0))
        case ast.BoolOp(op, values):
            for left_out in range(len(values)):
                rest = [*values[:left_out], *values[left_out + 1 :]]
                yield ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.Name(name) if name in CALLS and field == "func":
            yield ast.Name(CALLS[name], ast.Load())
        case ast.Attribute(of, name) if name in CALLS and field == "func":
            yield ast.Attribute(of, CALLS[name], ast.Load())


def tried(
    changes: list[Change], jobs: int, cpu_s: int = MOST_SECONDS
) -> Iterator[tuple[Change, bool]]:
    """Each change, and whether it survives; in a process of its own, forked from this one."""
    running: dict[int, Change] = {}
    waiting = iter(changes)
    while True:
        while len(running) < jobs and (change := next(waiting, None)):
            sys.stdout.flush()
            if not (child := os.fork()):
                try:
                    os._exit(_outcome(change, cpu_s))
                finally:  # not reached but by an error before the tests
                    traceback.print_exc()
                    os._exit(UNTRIED)
            running[child] = change
        if not running:
            return
        child, status = os.wait()
        if os.waitstatus_to_exitcode(status) == UNTRIED:
            raise SystemExit(f"{running[child].file} could not be changed, see above")
        yield running.pop(child), status == 0


def _outcome(change: Change, cpu_s: int) -> int:
    """What pytest exits with where the file's code is the changed one."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    COMPILED[str(ROOT / change.file)] = change.code
    # No search for the smallest example: that one fails is enough.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    quick = hypothesis.settings(phases=phases, database=None, derandomize=True, deadline=None)
    hypothesis.settings.register_profile("bite", quick)
    hypothesis.settings.load_profile("bite")
    try:
        for test in HELD[change.file].tests:
            if failed := int(pytest.main([*OPTIONS, test], [QuickFirst()])):
                return failed
        return 0
    except BaseException:
        return 1


class QuickFirst:
    """Tests of many random examples come last: most changes need none of them."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: hasattr(getattr(item, "obj", None), "hypothesis"))


def _get_code(self: SourceFileLoader, name: str) -> CodeType | None:
    if self.path not in COMPILED:
        COMPILED[self.path] = READ_CODE(self, name)
    return COMPILED[self.path]


def _import_once(files: list[str]) -> None:
    """What the tests import from others is imported here, what is ours in each child anew: its
    code is compiled here."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path.insert(0, str(ROOT))
    SourceFileLoader.get_code = _get_code  # type: ignore[method-assign]
    for test in {test for file in files for test in HELD[file].tests}:
        import_module(test.removesuffix(".py").replace("/", "."))
    packages = str(Path(pytest.__file__).parents[1])
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if path.startswith(str(ROOT)) and not path.startswith(packages) and name != "__main__":
            del sys.modules[name]
    gc.freeze()  # Existing objects are not scanned by the garbage collector in each child.


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.operators", description=__doc__)
    parser.add_argument("files", nargs="*", default=list(HELD), help="those of HELD")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--most", type=int, default=40, help="changes of each file, drawn from all")
    parser.add_argument("--seed", type=int, default=1, help="which ones are drawn")
    parser.add_argument("--all", action="store_true", help="all changes: takes a while")
    options = parser.parse_args()
    _import_once(options.files)
    return 0 if all([_holds(file, options) for file in options.files]) else 1


def _holds(file: str, options: argparse.Namespace) -> bool:
    """Prints which of the file's changes survived; whether that is as allowed."""
    began, changes, allowed = time.monotonic(), changes_of(file), HELD[file].allowed
    unchanged = compile((ROOT / file).read_text(), str(ROOT / file), "exec")
    used_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    if not all(survives for _, survives in tried([Change(file, 0, "", unchanged)], 1)):
        print(f"{file}: its tests fail without any change")
        return False
    used_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used_s
    cpu_s = min(MOST_SECONDS, MORE_SECONDS + round(TIMES_AS_LONG * used_s))
    if not options.all:
        random.Random(options.seed).shuffle(changes)
        del changes[options.most :]
    alive, survivors, holds = [], 0, True
    for change in (change for change, survives in tried(changes, options.jobs, cpu_s) if survives):
        alive.append(change.text)
        if not change.text.startswith(tuple(allowed)):
            survivors += 1
            print(f"{file}:{change.line} SURVIVES {change.text}", flush=True)
    for known in allowed if options.all else ():
        if not any(text.startswith(known) for text in alive):
            holds = False
            print(f"{file} is caught, though allowed to survive: {known}")
    print(
        f"{file}: {len(changes)} changes, {len(changes) - len(alive)} caught, "
        f"{len(alive) - survivors} allowed, {survivors} survive; "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    return holds and not survivors


if __name__ == "__main__":
    sys.exit(main())
