"""The promises, compared with what was measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.deployed import Deployed
from bench.figures import Line


@dataclass(frozen=True, slots=True)
class Promise:
    text: str
    figure: str
    holds: bool


def promises(lines: Sequence[Line], deployed: Deployed | None) -> list[Promise]:
    """The promises for the numbers of servers that were played."""
    ours = {line.servers: line for line in lines if line.way == "ours"}
    found: list[Promise] = []
    if 100 in ours:
        found += _at_100(ours[100])
    if 500 in ours:
        found += _at_500(ours[500])
    if 1000 in ours:
        failed = ours[1000].failed
        found.append(Promise("1,000 servers: none failed", f"{failed}", failed == 0))
    doubled = sum(line.doubled for line in ours.values())
    found.append(Promise("no server has two snapshots of a night", f"{doubled}", doubled == 0))
    if ours:
        found.append(_flat(list(ours.values())))
    if deployed:
        found += _deployed(deployed)
    return found


def _at_100(line: Line) -> Iterator[Promise]:
    def at_most(what: str, figure: float, most: float, digits: int = 2) -> Promise:
        text = f"100 servers: {what} at most {most:g}"
        return Promise(text, f"{figure:,.{digits}f}", figure <= most)

    yield at_most("makespan over the lower bound", line.ratio, 1.15)
    yield at_most("requests per server", line.requests, 9)
    yield at_most("of these for its snapshot and its pruning", line.requests - line.questions, 8)
    # What must never be deleted comes before what is cheap: nothing is saved here.
    yield at_most("of these to ask for its lock, or its labels", line.questions, 1)
    yield at_most("polls, median", line.polls, 3, 1)
    yield Promise("100 servers: no 429", f"{line.refused_share:.2%}", line.refused_share == 0)
    yield at_most("transitions per server", line.transitions, 18)
    text = "100 servers: Lambda milliseconds per server at most 2,000"
    figure = (
        f"{line.lambda_ms:,.0f}: waiting for answers {line.waiting_ms:,.0f}, "
        f"cold starts {line.starting_ms:,.0f}, computing {line.computing_ms:,.0f}"
    )
    yield Promise(text, figure, line.lambda_ms <= 2000)
    yield at_most("overshoot over max(15 s, 10 %), median", line.overshoot.median_of_promise, 1)
    yield at_most("overshoot over max(15 s, 20 %), p95", line.overshoot.p95_of_promise, 1)
    yield Promise("100 servers: none failed", f"{line.failed}", line.failed == 0)


def _at_500(line: Line) -> Iterator[Promise]:
    yield Promise("500 servers: none failed", f"{line.failed}", line.failed == 0)
    few = line.refused_share <= 0.01
    yield Promise("500 servers: at most 1 % answered 429", f"{line.refused_share:.2%}", few)
    text = "500 servers: makespan over max(bound, rate limit) at most 1.3"
    yield Promise(text, f"{line.ratio:.2f}", line.ratio <= 1.3)


def _flat(lines: Sequence[Line]) -> Promise:
    """A function holds one job; its size must not grow with the number of servers or looks."""
    most = max(line.most_job_bytes for line in lines)
    text = f"up to {max(line.servers for line in lines):,} servers: a job at most 2,048 bytes"
    return Promise(text, f"{most:,}", most <= 2048)


def _deployed(played: Deployed) -> Iterator[Promise]:
    where = f"{played.servers:,} servers on the local cloud"
    yield Promise(f"{where}: none failed", f"{played.failed}", played.failed == 0)
    grown = f"{played.functions_grown_mb:.1f} of {played.functions_most_mb:.0f} MB"
    text = f"{where}: no function's process grows by more than 2 MB"
    yield Promise(text, grown, played.functions_grown_mb <= 2)
