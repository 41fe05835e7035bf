"""CloudWatch's rules for alarms and metric names, as far as the tests need them."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

STATISTICS = {"Minimum": min, "Maximum": max, "Sum": sum}
COMPARISONS = {
    "LessThanThreshold": lambda value, limit: value < limit,
    "GreaterThanThreshold": lambda value, limit: value > limit,
}
# CloudWatch looks at more periods than it evaluates, so that points that come late still count: its
# documentation has 5 for an alarm over 3. Real points come before missing ones.
LOOKED_BACK_FURTHER = 2


@dataclass(frozen=True)
class Series:
    namespace: str
    name: str
    dimensions: frozenset[str]


def series_of(emf: dict[str, Any]) -> Iterator[Series]:
    """The metrics in a line of the embedded metric format."""
    for directive in emf["_aws"]["CloudWatchMetrics"]:
        for dimensions in directive["Dimensions"]:
            for metric in directive["Metrics"]:
                yield Series(directive["Namespace"], metric["Name"], frozenset(dimensions))


def series_of_widget(metrics: list[list[Any]]) -> Iterator[Series]:
    """What a dashboard's metric widget reads, its SEARCH expressions included."""
    for row in metrics:
        if isinstance(row[0], str):
            namespace, name, *rest = [item for item in row if isinstance(item, str)]
            yield Series(namespace, name, frozenset(rest[::2]))
        else:
            [(schema, name)] = re.findall(
                r"SEARCH\('\{(.+?)\} .*?MetricName=\"(\w+)\"'", row[0]["expression"]
            )
            namespace, *dimensions = schema.split(",")
            yield Series(namespace, name, frozenset(dimensions))


def points(emf: Iterable[dict[str, Any]], name: str, dimensions: set[str]) -> list[Any]:
    """A metric's points as (milliseconds, value)."""
    wanted = frozenset(dimensions)
    return [
        (line["_aws"]["Timestamp"], value)
        for line in emf
        if any(s.name == name and s.dimensions == wanted for s in series_of(line))
        for value in line[name]
    ]


def in_alarm(
    alarm: dict[str, Any],
    points: Iterable[tuple[float, float]],
    now: datetime,
    further: int = LOOKED_BACK_FURTHER,
) -> bool:
    """Whether the alarm is in ALARM, from its properties and points of (milliseconds, value)."""
    period = int(alarm["Period"])
    periods = int(alarm["EvaluationPeriods"])
    needed = int(alarm.get("DatapointsToAlarm", periods))
    breaches = COMPARISONS[alarm["ComparisonOperator"]]
    # Whole periods, without the current one.
    last = math.floor(now.timestamp() / period)
    found: dict[int, list[float]] = {}
    for stamp, value in points:
        if stamp / 1000 <= now.timestamp():
            found.setdefault(math.floor(stamp / 1000 / period), []).append(value)
    statistic = STATISTICS[alarm["Statistic"]]
    real = [
        breaches(statistic(found[n]), float(alarm["Threshold"]))
        for n in range(last - periods - further, last)
        if n in found
    ][-periods:]
    missing = {"breaching": True}.get(alarm["TreatMissingData"], False)
    return sum(real) + (periods - len(real)) * missing >= needed


def state_of(
    alarm: dict[str, Any],
    points: Iterable[tuple[float, float]],
    now: datetime,
    before: str,
    further: int = LOOKED_BACK_FURTHER,
) -> str:
    """The alarm's state after `before`; of missing data only: as it is told to treat them."""
    points = list(points)
    period, periods = int(alarm["Period"]), int(alarm["EvaluationPeriods"])
    last = math.floor(now.timestamp() / period)
    looked_at = range(last - periods - further, last)
    if not any(math.floor(stamp / 1000 / period) in looked_at for stamp, _ in points):
        treated = {"ignore": before, "missing": "INSUFFICIENT_DATA", "breaching": "ALARM"}
        return treated.get(alarm["TreatMissingData"], "OK")
    return "ALARM" if in_alarm(alarm, points, now, further) else "OK"


def hours(begin: datetime, count: int) -> Iterator[datetime]:
    return (begin + timedelta(hours=n) for n in range(count))


def widgets(dashboard: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    body = json.loads(dashboard["Properties"]["DashboardBody"])
    return [widget["properties"] for widget in body["widgets"] if widget["type"] == kind]
