"""Many nights of one way and size in one line: medians over the nights, servers taken together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.night import Night, Sample, Way

# us-east-1 list prices: Step Functions per transition, Lambda (arm64) per GB-second and request.
PER_TRANSITION = 0.025 / 1000
PER_GB_SECOND, PER_INVOCATION = 0.0000133334, 0.20 / 1_000_000
MEMORY_GB = 256 / 1024
# A function with 1,769 MB has one full CPU, one with 256 MB that much less of it.
SLOWER = 1769 / 256
# The promise about overshoot: at most so many seconds, or this share of the snapshot's time.
FLOOR_SECONDS, MEDIAN_SHARE, P95_SHARE = 15.0, 0.10, 0.20


@dataclass(frozen=True, slots=True)
class Overshoot:
    """`of_promise`: the median or 95th percentile of overshoot divided by the promise."""

    median_s: float
    p95_s: float
    median_of_promise: float
    p95_of_promise: float


@dataclass(frozen=True, slots=True)
class Line:
    way: Way
    servers: int
    seeds: int
    makespan_s: float
    bound_s: float
    at_once_s: float
    by_rate_s: float
    ratio: float  # to the bound, median of the nights
    worst_ratio: float
    requests: float  # per server
    questions: float  # per server, of these: is it locked, what are its labels before a delete
    refused: float  # answered 429, per night
    refused_share: float  # of all nights' requests
    least_left: int  # of the rate limit, in any night
    polls: float
    polls_p95: float
    overshoot: Overshoot
    unlocked_s: float | None  # from the lock's end to the create, median
    transitions: float  # per server
    invocations: float  # per server
    cold_starts: float  # per server
    lambda_ms: float  # per server: the next three
    waiting_ms: float  # for answers, as simulated
    computing_ms: float  # as measured, at 256 MB
    starting_ms: float  # cold starts as they come in virtual time, each as measured
    dollars: float  # per 1,000 servers' snapshots
    failed: int  # in all nights
    doubled: int
    most_job_bytes: int
    rss_grown_mb: float


@dataclass(frozen=True, slots=True)
class Group:
    """Servers of one kind, of all nights of one way and size."""

    has_history: bool
    style: str
    servers: int
    polls: float
    overshoot: Overshoot


def line(nights: Sequence[Night], cold_s: float) -> Line:
    """`cold_s` is the duration of a cold start."""
    first = nights[0]
    samples = [sample for night in nights for sample in night.samples]
    unlocked = [s.unlocked_s for s in samples if s.unlocked_s is not None]
    polls = [sample.polls for sample in samples]

    def each(figure: Callable[[Night], float]) -> float:
        return median(figure(night) for night in nights)

    return Line(
        way=first.way,
        servers=first.servers,
        seeds=len(nights),
        makespan_s=each(lambda n: n.makespan_s),
        bound_s=each(lambda n: n.bound.seconds),
        at_once_s=each(lambda n: n.bound.at_once_s),
        by_rate_s=each(lambda n: n.bound.by_rate_s),
        ratio=each(lambda n: n.makespan_s / n.bound.seconds),
        worst_ratio=max(n.makespan_s / n.bound.seconds for n in nights),
        requests=each(lambda n: n.requests / n.servers),
        questions=each(lambda n: n.questions / n.servers),
        refused=each(lambda n: n.refused),
        refused_share=sum(n.refused for n in nights) / sum(n.requests for n in nights),
        least_left=min(night.least_left for night in nights),
        polls=median(polls),
        polls_p95=p95(polls),
        overshoot=overshoot(samples),
        unlocked_s=median(unlocked) if unlocked else None,
        transitions=each(lambda n: n.transitions / n.servers),
        invocations=each(lambda n: n.invocations / n.servers),
        cold_starts=each(lambda n: n.cold_starts / n.servers),
        lambda_ms=each(lambda n: 1000 * lambda_seconds(n, cold_s) / n.servers),
        waiting_ms=each(lambda n: 1000 * n.waiting_s / n.servers),
        computing_ms=each(lambda n: 1000 * n.computing_s * SLOWER / n.servers),
        starting_ms=each(lambda n: 1000 * n.cold_starts * cold_s / n.servers),
        dollars=each(lambda n: 1000 * dollars(n, cold_s) / n.servers),
        failed=sum(night.failed for night in nights),
        doubled=sum(night.doubled for night in nights),
        most_job_bytes=max(night.most_job_bytes for night in nights),
        rss_grown_mb=max(night.rss_grown_kb for night in nights) / 1024,
    )


def groups(nights: Sequence[Night]) -> list[Group]:
    by: dict[tuple[bool, str], list[Sample]] = {}
    for night in nights:
        for sample in night.samples:
            by.setdefault((sample.has_history, sample.style), []).append(sample)
    return [
        Group(known, style, len(some), median(s.polls for s in some), overshoot(some))
        for (known, style), some in sorted(by.items(), reverse=True)
    ]


def lambda_seconds(night: Night, cold_s: float) -> float:
    return night.waiting_s + night.computing_s * SLOWER + night.cold_starts * cold_s


def dollars(night: Night, cold_s: float) -> float:
    gb_seconds = lambda_seconds(night, cold_s) * MEMORY_GB
    return (
        night.transitions * PER_TRANSITION
        + gb_seconds * PER_GB_SECOND
        + night.invocations * PER_INVOCATION
    )


def overshoot(samples: Sequence[Sample]) -> Overshoot:
    def share(sample: Sample, promised: float) -> float:
        return sample.overshoot_s / max(FLOOR_SECONDS, promised * sample.snapshot_s)

    return Overshoot(
        median(s.overshoot_s for s in samples),
        p95([s.overshoot_s for s in samples]),
        median(share(s, MEDIAN_SHARE) for s in samples),
        p95([share(s, P95_SHARE) for s in samples]),
    )


def p95(values: Sequence[float]) -> float:
    """The smallest of the values that 95 per cent of them do not exceed."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]
