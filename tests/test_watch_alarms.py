"""When the watch's alarms ring, from the template's own figures and what CloudWatch documents."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.report import metrics
from local.virtual.template import Stack
from tests.cloudwatch import points, state_of

BEGIN = datetime(2026, 11, 20, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def alarm(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = Stack().resource(name)["Properties"]
    return properties


def heard(monkeypatch: pytest.MonkeyPatch, *overdue: int) -> list[tuple[float, float]]:
    """What CloudWatch has of the looks at BEGIN and each hour after it."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "hetzner-snapshots")
    found = []
    for hour, count in enumerate(overdue):
        [(_, value)] = points(metrics.of_watch(count), metrics.OVERDUE, {"service"})
        found.append(((BEGIN + hour * HOUR).timestamp() * 1000, value))
    return found


def states(name: str, points: list[tuple[float, float]], hours: int) -> list[str]:
    """The alarm's state at the end of each hour, from its creation just before BEGIN."""
    found, before = [], "INSUFFICIENT_DATA"
    for hour in range(hours):
        now = BEGIN + hour * HOUR
        known = [p for p in points if p[0] / 1000 < now.timestamp()]
        before = state_of(alarm(name), known, now, before)
        found.append(before)
    return found


def test_the_alarm_follows_what_is_overdue_and_stays_when_nobody_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = states("OverdueAlarm", heard(monkeypatch, 0, 0, 2, 1, 0, 3), 12)
    assert found[:7] == ["INSUFFICIENT_DATA", "OK", "OK", "ALARM", "ALARM", "OK", "ALARM"]
    assert set(found[7:]) == {"ALARM"}


def test_silence_is_told_after_some_hours_and_not_at_a_first_deployment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    properties = alarm("WatchSilentAlarm")
    # Only the change to INSUFFICIENT_DATA is told, and a new alarm is in that state.
    assert [key for key in properties if key.endswith("Actions")] == ["InsufficientDataActions"]
    assert set(states("WatchSilentAlarm", [], 9)) == {"INSUFFICIENT_DATA"}
    found = states("WatchSilentAlarm", heard(monkeypatch, 0, 5, 0), 12)
    assert found[:6] == ["INSUFFICIENT_DATA", "OK", "OK", "OK", "OK", "OK"]
    assert "ALARM" not in found
    # The last point is of the third hour; CloudWatch looks back further than it evaluates.
    assert found.index("INSUFFICIENT_DATA", 1) in (6, 7, 8)


def test_one_look_that_fails_rings_nobody_and_two_of_three_do() -> None:
    properties = alarm("WatchErrorsAlarm")
    errors = [((BEGIN + hour * HOUR).timestamp() * 1000, 1.0) for hour in (0, 5, 7)]
    found = states("WatchErrorsAlarm", errors, 12)
    assert "ALARM" not in found[:8] and "ALARM" in found[8:10]
    assert (properties["EvaluationPeriods"], properties["DatapointsToAlarm"]) == (3, 2)
