"""python -m bench --seeds 5 [--full]: plays nights, prints and writes the figures.

Exit code 1 if a promise does not hold.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "handler"))

from rich.console import Console

from bench import cold, plot, pure
from bench.deployed import NotPlayed, play_deployed
from bench.figures import SLOWER, groups, line
from bench.night import WAYS
from bench.nights import Nights, play_all
from bench.promises import promises
from bench.report import Report

ROOT = Path(__file__).resolve().parents[1]
SIZES, MORE_SIZES = (1, 10, 100), (500, 1000)
DEPLOYED_SERVERS = 100


def main() -> int:
    options = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)
    began = time.monotonic()
    sizes = options.sizes or [*SIZES, *(MORE_SIZES if options.full else ())]

    def tell(done: int, of: int) -> None:
        if console.is_terminal:
            console.print(f"{done} of {of} nights", end="\r")

    start = cold.measure()
    report = _report(play_all(options.ways, sizes, options.seeds, options.jobs, tell), start)
    if options.deployed:
        console.print(f"On the local cloud, {DEPLOYED_SERVERS} servers; about a minute and a half.")
        try:
            report.deployed = play_deployed(DEPLOYED_SERVERS, seed=1)
        except NotPlayed as reason:
            report.not_deployed = str(reason)
            console.print(f"Left out, the local cloud could not be played on: {reason}")
    report.promises = promises(report.lines, report.deployed)
    for table in report.tables():
        table.show(console)
    for promise in report.promises:
        said = "[green]ok    [/]" if promise.holds else "[red]not ok[/]"
        console.print(f"{said} {promise.text}: {promise.figure}")
    report.write_json(options.out)
    if options.docs:
        plot.draw(report.lines, ROOT / "docs")
        report.write_into(ROOT / "docs" / "benchmark.md")
    elif set(options.ways) == set(WAYS):
        plot.draw(report.lines, options.out.parent)
    console.print(f"All figures are in {options.out}. {time.monotonic() - began:.0f} s.")
    return 0 if all(promise.holds for promise in report.promises) else 1


def _report(nights: Nights, start: cold.ColdStart) -> Report:
    lines = [line(some, start.seconds(SLOWER)) for some in nights.values()]
    ours = {size: some for (way, size), some in nights.items() if way == "ours"}
    known = next((each for each in reversed(lines) if each.way == "ours"), None)
    return Report(
        seeds=max(each.seeds for each in lines),
        cold=start,
        lines=lines,
        groups={size: groups(some) for size, some in ours.items() if size >= 100},
        nights=nights,
        scaled=[
            pure.scaled(size, seed=1, ms_per_invocation=known.lambda_ms / known.invocations)
            for size in pure.SIZES
            if known
        ],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="nights of each fleet")
    parser.add_argument("--full", action="store_true", help="fleets of 500 and 1,000, too")
    parser.add_argument("--sizes", type=int, nargs="+", help="these fleets only")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--deployed", action="store_true", help="also on the local cloud")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmark.md, its pictures")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
