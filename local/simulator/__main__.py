"""The simulator as a process: `python -m local.simulator --fleet default --scale 60`."""

import argparse
import json
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from local.simulator.clock import Clock
from local.simulator.fleet import (
    NAMES,
    add_default_fleet,
    add_plain_fleet,
    add_trouble_fleet,
    greets_on_sockets,
    problem_of,
)
from local.simulator.random_fleet import add_random_fleet
from local.simulator.server import Simulator
from local.simulator.world import World

PARENT_CHECK_SECONDS = 0.5


def main() -> int:
    parent = os.getppid()
    arguments = _parser().parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    world = World(Clock(datetime.now(UTC), arguments.scale), arguments.seed)
    kind, _, count = arguments.fleet.rpartition(":")
    if arguments.fleet == "default":
        project = add_default_fleet(world)
    elif arguments.fleet == "trouble":
        project = add_trouble_fleet(world)
    elif kind == "random":
        project = world.project("default")
        add_random_fleet(project, arguments.seed, int(count))
    else:
        project = add_plain_fleet(world, int(count))
    greets_on_sockets(project)
    project.add_token(os.environ.get("SIMULATOR_TOKEN", "simulated-token"))

    try:
        simulator = Simulator(world, arguments.port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        print(f"simulator: port {arguments.port}: {reason}", file=sys.stderr)
        return 1
    with simulator:
        if arguments.ready_file:
            _write(arguments.ready_file, {"url": simulator.url, "pid": os.getpid()})
        # Ends with a signal, or with the parent, so that nothing is left behind.
        while not stop.wait(PARENT_CHECK_SECONDS):
            if not arguments.detached and os.getppid() != parent:
                break
    if arguments.ready_file:
        arguments.ready_file.unlink(missing_ok=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="simulated seconds per real second"
    )
    parser.add_argument(
        "--fleet",
        type=_fleet,
        default="default",
        help=f"{NAMES} (as the benchmark's, by the seed)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of durations and sizes")
    parser.add_argument("--ready-file", type=Path, help="gets url and pid once it is listening")
    parser.add_argument(
        "--detached", action="store_true", help="go on when the parent process ends"
    )
    return parser


def _fleet(text: str) -> str:
    if problem := problem_of(text):
        raise argparse.ArgumentTypeError(f"{text!r}: {problem}")
    return text


def _write(path: Path, content: dict[str, object]) -> None:
    # Renamed into place, so that nobody reads half of it.
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content))
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
