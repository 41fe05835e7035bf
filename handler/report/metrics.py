"""The run's figures as CloudWatch metrics, in the embedded format: pure but for the timestamp.

Every metric has the dimensions service (the stack) and project. An alarm cannot know the projects,
so metrics with an alarm exist with the dimension service alone, too. The server is never a
dimension: each server would be billed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from handler.documents.document import Run
from handler.documents.job import Result
from handler.documents.restore_run import RestoreRun
from handler.documents.run import Totals

NAMESPACE = "HetznerSnapshots"
# CloudWatch takes 100 values of a metric in one line; Powertools writes out by itself at 100.
MOST_VALUES = 99

# Of each server.
LOCKED = "LockedSeconds"
SNAPSHOT = "SnapshotSeconds"
SIZE = "SnapshotGB"
# Of a run over one project.
MADE = "ServersMade"
ADOPTED = "ServersAdopted"
SKIPPED = "ServersSkipped"
FAILED = "ServersFailed"
NOT_PRUNED = "ServersNotPruned"
DELETED = "SnapshotsDeleted"
COMPLETED = "RunsCompleted"
PARTIALLY_FAILED = "RunsPartiallyFailed"
RUN_FAILED = "RunsFailed"
REQUESTS_LEFT = "RequestsLeft"
STORED = "StoredGB"
COST = "MonthlyCost"
ORPHANS = "OrphanSnapshots"
OLDEST = "OldestSnapshotHours"

# Of the project after a run: servers that are proven to come back, and in days how long the one of
# those that drills are for has not been proven that has not been for longest.
PROVEN = "ServersProven"
OLDEST_PROOF = "OldestProofDays"
# Of a restore or drill.
RESTORES_COMPLETED = "RestoresCompleted"

# Of the watch: how many servers and projects are overdue, hourly.
OVERDUE = "ServersOverdue"

UNITS = {
    LOCKED: MetricUnit.Seconds,
    SNAPSHOT: MetricUnit.Seconds,
    SIZE: MetricUnit.Gigabytes,
    STORED: MetricUnit.Gigabytes,
    COST: MetricUnit.NoUnit,
    OLDEST: MetricUnit.NoUnit,
    OLDEST_PROOF: MetricUnit.NoUnit,
}


def of_servers(run: Run, results: Iterable[Result]) -> Iterator[dict[str, Any]]:
    """The times of single servers, for those that got their snapshot."""
    made = [result for result in results if result.status == "available"]
    sizes = [result.size_gb for result in made if result.size_gb is not None]
    took = [result.snapshot_s for result in made if result.snapshot_s is not None]
    figures: dict[str, Sequence[float]] = {
        LOCKED: [result.lock_s for result in made],
        SNAPSHOT: took,
        SIZE: sizes,
    }
    for name, values in figures.items():
        for first in range(0, len(values), MOST_VALUES):
            yield _line(run, {name: values[first : first + MOST_VALUES]})


def of_run(run: Run, verdict: str, totals: Totals) -> Iterator[dict[str, Any]]:
    """A run's counts."""
    yield _line(
        run,
        {
            MADE: [totals.available - totals.adopted],
            ADOPTED: [totals.adopted],
            SKIPPED: [totals.skipped],
            FAILED: [totals.failed],
            NOT_PRUNED: [totals.not_pruned + totals.gone_not_pruned],
            DELETED: [totals.deleted],
            COMPLETED: [verdict == "Completed"],
            PARTIALLY_FAILED: [verdict == "PartiallyFailed"],
            RUN_FAILED: [verdict == "Failed"],
        },
    )
    yield _line(run, {COMPLETED: [verdict == "Completed"]}, of_all_projects=True)


def of_project(run: Run, figures: Mapping[str, float | None]) -> Iterator[dict[str, Any]]:
    """What is known about the project after a run; the unknown is left out."""
    known = {name: [value] for name, value in figures.items() if value is not None}
    if known:
        yield _line(run, known)
    if OLDEST_PROOF in known:
        yield _line(run, {OLDEST_PROOF: known[OLDEST_PROOF]}, of_all_projects=True)


def of_restore(run: RestoreRun, verdict: str) -> Iterator[dict[str, Any]]:
    """What a restore or drill has come to."""
    yield _line(run, {RESTORES_COMPLETED: [verdict == "Completed"]}, of_all_projects=True)


def _line(
    run: Run | RestoreRun, values: Mapping[str, Sequence[float]], of_all_projects: bool = False
) -> dict[str, Any]:
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    if of_all_projects:
        metrics.add_metadata("of_project", run.project)
    else:
        metrics.add_dimension("project", run.project)
    # This is also a log line: it is found with the run's other lines, and readable there.
    metrics.add_metadata("run_id", run.id)
    metrics.add_metadata("message", "metrics: " + ", ".join(map(_said, values.items())))
    for name, each in values.items():
        for value in each:
            metrics.add_metric(name, UNITS.get(name, MetricUnit.Count), value)
    return dict(metrics.serialize_metric_set())


def of_watch(overdue: int) -> Iterator[dict[str, Any]]:
    """What a look of the watch found. By the stack alone: each dimension more is billed hourly."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_metadata("message", f"metrics: {OVERDUE} {overdue}")
    metrics.add_metric(OVERDUE, MetricUnit.Count, overdue)
    yield dict(metrics.serialize_metric_set())


def _said(metric: tuple[str, Sequence[float]]) -> str:
    name, values = metric
    return (
        f"{name} {float(values[0]):g}" if len(values) == 1 else f"{name} of {len(values)} servers"
    )
