"""When the alarm about proofs rings, from the template and what CloudWatch documents."""

from datetime import UTC, datetime, timedelta
from typing import Any

from handler.documents.labels import LABEL_DRILL
from handler.report import metrics
from local.simulator import Project, World
from local.virtual.template import Stack
from tests.aws import Aws
from tests.cloudwatch import points, state_of
from tests.snapshots import ours

BEGIN = datetime(2026, 11, 20, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAYS = 60


def states(nights: list[tuple[float, float]], hours: int, before: str = "OK") -> list[str]:
    """The alarm's state at each full hour; `nights` are (hours after BEGIN, days unproven)."""
    template = Stack(Restores="true", ProofDays=str(DAYS))
    alarm: dict[str, Any] = template.resource("ProofOverdueAlarm")["Properties"]
    figures = [((BEGIN + at * HOUR).timestamp() * 1000, days) for at, days in nights]
    found = []
    for hour in range(hours):
        now = BEGIN + hour * HOUR
        known = [figure for figure in figures if figure[0] / 1000 < now.timestamp()]
        before = state_of(alarm, known, now, before)
        found.append(before)
    return found


def test_it_stays_red_although_another_projects_run_ends_an_hour_later() -> None:
    nights = [(24 * day + hour, days) for day in range(3) for hour, days in ((-0.5, 90), (0.5, 3))]
    assert set(states(nights, 72)) == {"ALARM"}


def test_it_ends_within_a_day_of_the_first_night_with_a_proof() -> None:
    found = states([(-0.5, 90), (23.5, 3), (47.5, 3)], 60)
    assert set(found[:24]) == {"ALARM"} and set(found[28:]) == {"OK"}


def test_nights_that_tell_nothing_change_nothing() -> None:
    assert set(states([(-0.5, 90)], 24 * 5)) == {"ALARM"}
    assert set(states([(-0.5, 3)], 24 * 5)) == {"OK"}


def test_a_project_without_servers_to_drill_says_so_and_ends_the_alarm(
    aws: Aws, world: World, project: Project
) -> None:
    """The one that was overdue was left out by label: no figure at all would leave it red."""
    ours(project, project.add_server("sg5", labels={LABEL_DRILL: "false"}), 1)
    server = project.add_server("db-1", labels={LABEL_DRILL: "false"})
    ours(project, server, 1).labels["hetzner-snapshots/server-proven-at"] = "20260101T000000Z"
    aws.run({})
    assert [value for _, value in points(aws.metrics, metrics.OLDEST_PROOF, {"service"})] == [0]
