"""python -m tests.chaos.drill_days --runs 500 --seed 1: plays random days with drills."""

import argparse
import multiprocessing
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass

from tests.chaos.drills import Day
from tests.chaos.restored import Before, broken, results_of


@dataclass(frozen=True)
class Report:
    seed: int
    told: list[str]
    broken: list[str]
    ends: list[str]


def check(seed: int) -> Report:
    """One day, played and checked."""
    day = Day(seed)
    before = Before(day)
    told = [*day.starts, *day.troubles]
    try:
        day.play_day()
        found = broken(day, before)
    except Exception as error:
        found = [f"the day broke off: {error!r}"]
    ends = [
        result["status"]
        for execution in day.cloud.restores.values()
        for result in results_of(day, execution)
    ]
    return Report(seed, told, found, ends)


def show(seed: int) -> str:
    """A whole day as text."""
    day = Day(seed)
    before = Before(day)
    day.play_day()
    lines = [*day.starts, *day.troubles]
    for i in day.cloud.invocations:
        if i.function == "WatchServers" and not i.messages:
            continue
        output, fate = i.output or {}, f" [{i.fate.what}]" if i.fate else ""
        reason = output.get("summary") or output.get("reason")
        lines.append(
            f"{i.started:9.1f} {i.function}{fate} -> {output.get('status')}, "
            f"{output.get('wait_seconds')} s, {str(reason)[:250]}"
        )
    lines += [f"{d.at:%H:%M:%S} {d.what} {d.server_id} {d.name} {d.can_act_by}"
              for d in day.world.deeds]  # fmt: skip
    return "\n".join([*lines, *broken(day, before)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.drill_days", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first day")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="tell each day whole")
    options = parser.parse_args()
    began, failures = time.monotonic(), 0
    ends: dict[str, int] = {}
    seeds = range(options.seed, options.seed + options.runs)
    with ExitStack() as stack:
        reports = map(check, seeds)
        if options.jobs > 1:
            pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(options.jobs))
            reports = pool.imap(check, seeds, chunksize=5)
        for report in reports:
            for end in report.ends:
                ends[end] = ends.get(end, 0) + 1
            if options.verbose:
                print(show(report.seed))
            if report.broken:
                failures += 1
                print(f"\nDay {report.seed} fails:")
                print("\n".join(f"  {line[:400]}" for line in report.broken[:6]))
                print("\n".join(f"    {line[:200]}" for line in report.told), flush=True)
    took_s = time.monotonic() - began
    print(f"{options.runs} days from seed {options.seed}: {failures} failed.")
    print(f"Restores ended: {ends}. {took_s:.0f} s.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
