"""python -m tests.chaos --runs 10000 --seed 1 --jobs 2"""

import argparse
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

from tests.chaos.check import Report, check, show, shrink


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="of the first night")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="tell each night whole")
    parser.add_argument("--most", type=int, default=10, help="stop after so many failures")
    parser.add_argument("--quick", action="store_true", help="do not look for the least")
    options = parser.parse_args()
    began = time.monotonic()
    seeds = range(options.seed, options.seed + options.runs)
    done, failures, verdicts = 0, 0, Counter[str]()
    with ExitStack() as stack:
        reports: Iterator[Report] = map(check, seeds)
        if options.jobs > 1:
            pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(options.jobs))
            reports = pool.imap(check, seeds, chunksize=10)
        for done, report in enumerate(reports, 1):
            verdicts.update(report.verdicts)
            if options.verbose:
                print(show(report.seed))
            if report.broken:
                failures += 1
                _tell(report, options.quick)
            if failures >= options.most:
                break
            if done % 1000 == 0:
                print(f"{done} nights, {failures} failed, {time.monotonic() - began:.0f} s")
    print(f"{done} nights from seed {options.seed}: {failures} failed.")
    print(f"Verdicts: {dict(verdicts)}. {time.monotonic() - began:.0f} s.")
    return 1 if failures else 0


def _tell(report: Report, quick: bool) -> None:
    print(f"\nSeed {report.seed} fails:")
    for line in report.broken[:6]:
        print(f"  {line[:400]}")
    if not quick:
        print("  The least that fails:")
    for line in report.told if quick else check(report.seed, shrink(report.seed)).told:
        print(f"    {line[:300]}")
    print(
        f"  Again: .venv/bin/python -m tests.chaos --seed {report.seed} --runs 1 --verbose",
        flush=True,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.exit(130)
