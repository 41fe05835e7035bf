"""python -m tests.upgrades: store this version's documents, or those of another one's functions.

Without arguments the documents of this version are made again. `cf22853 FOLDER` makes those of
that commit, of which FOLDER is a worktree.
"""

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from local.virtual.cloud import Cloud
from local.virtual.functions import handler_of
from local.virtual.template import ROOT
from tests.upgrades.flat import functions_of
from tests.upgrades.stories import BATCH, STORIES
from tests.upgrades.tape import Functions, Handler, record, save, substituted

THIS = "this"


@contextmanager
def functions_of_today(_: Cloud) -> Iterator[Callable[[str], Handler]]:
    with patch("handler.snapshot_run.list_servers.BATCH", BATCH):
        yield handler_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrades", description=__doc__)
    parser.add_argument("version", nargs="?", default=THIS)
    parser.add_argument("worktree", nargs="?", type=Path)
    options = parser.parse_args()
    logging.disable()
    root = options.worktree or ROOT
    functions: Functions = functions_of_today
    if options.worktree:
        functions = partial(functions_of, root / "handler")
    definition = (root / "statemachine" / "snapshot_run.asl.json").read_text()
    machine = substituted(definition)
    tapes = [record(options.version, s.__name__, functions, machine) for s in STORIES]
    save(options.version, tapes, definition)
    for tape in tapes:
        print(f"{tape.night}: {tape.end['summary']}")


if __name__ == "__main__":
    main()
