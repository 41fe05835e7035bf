"""python -m tests.chaos --runs 10000 --seed 1 --jobs 2

So many nights, and a tenth as many days with drills.
"""

import argparse
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

from tests.chaos.check import KINDS, Report, check, check_drawn, show, shrink

NIGHTS_PER_DAY = 10


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="of the first one")
    parser.add_argument("--only", choices=sorted(KINDS), help="--runs of these, none of the other")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="tell each one whole")
    parser.add_argument("--most", type=int, default=10, help="stop after so many failures")
    parser.add_argument("--quick", action="store_true", help="do not look for the least")
    options = parser.parse_args()
    began = time.monotonic()
    played, failed, verdicts = Counter[str](), Counter[str](), Counter[str]()
    drawn = list(_seeds(options))
    with ExitStack() as stack:
        reports: Iterator[Report] = map(check_drawn, drawn)
        if options.jobs > 1:
            pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(options.jobs))
            reports = pool.imap(check_drawn, drawn, chunksize=5)
        for report in reports:
            played[report.kind] += 1
            verdicts.update(report.verdicts)
            if options.verbose:
                print(show(report.seed, report.kind))
            if report.broken:
                failed[report.kind] += 1
                _tell(report, options.quick)
            if failed.total() >= options.most:
                break
            if played.total() % 1000 == 0:
                print(f"{played.total()} played, {time.monotonic() - began:.0f} s", flush=True)
    for kind, count in played.items():
        print(f"{count} {kind}s from seed {options.seed}: {failed[kind]} failed.")
    print(f"Verdicts: {dict(verdicts)}. {time.monotonic() - began:.0f} s.")
    return 1 if failed else 0


def _seeds(options: argparse.Namespace) -> Iterator[tuple[int, str]]:
    """In the order in which they are played: with each ten nights a day."""
    for number in range(options.runs):
        yield options.seed + number, options.only or "night"
        if not options.only and (number % NIGHTS_PER_DAY == 0):
            yield options.seed + number // NIGHTS_PER_DAY, "day"


def _tell(report: Report, quick: bool) -> None:
    print(f"\nSeed {report.seed} ({report.kind}) fails:")
    for line in report.broken[:6]:
        print(f"  {line[:400]}")
    told = report.told
    if not quick:
        print("  The least that fails:")
        told = check(report.seed, report.kind, shrink(report.seed, report.kind)).told
    for line in told:
        print(f"    {line[:300]}")
    print(f"  Again: {again(report)}", flush=True)


def again(report: Report) -> str:
    """The command that shows all of it."""
    return (
        f".venv/bin/python -m tests.chaos --only {report.kind} --seed {report.seed} --runs 1 "
        "--verbose"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.exit(130)
