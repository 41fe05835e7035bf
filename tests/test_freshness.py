"""When the freshness alarm rings, from the template's own figures and simulated nights.

The local AWS evaluates no missing data: tests/cloudwatch.py does what CloudWatch documents.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.decisions.freshness import LastGood, last_good
from handler.documents.document import WithBackups
from handler.documents.labels import LABEL_ENABLED, LABEL_EVERY, LABEL_SERVER_ID
from handler.documents.resources import Server, Snapshot
from handler.documents.survey import Survey
from handler.report import metrics
from local.virtual.template import Stack
from tests.cloudwatch import hours, in_alarm, points
from tests.test_hetzner import RUN

BEGIN = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def server(id: int, created: datetime = BEGIN - 99 * DAY, **labels: str) -> Server:
    return Server(id, f"server-{id}", "running", None, None, None, None, labels, created)


def snapshot(server_id: int, created: datetime, status: str = "available") -> Snapshot:
    return Snapshot(1, created, status, labels={LABEL_SERVER_ID: str(server_id)})


def found_in(
    servers: list[Server],
    snapshots: list[Snapshot],
    matching: set[int] | None = None,
    with_backups: WithBackups = "include",
) -> list[LastGood]:
    ids = {server.id for server in servers} if matching is None else matching
    survey = Survey(tuple(servers), frozenset(ids), tuple(snapshots), None, None)
    return last_good(survey, with_backups)


def test_an_image_of_another_server_with_our_labels_makes_none_fresh() -> None:
    copied = replace(snapshot(1, BEGIN), made_of=2)
    assert found_in([server(1)], [copied]) == [LastGood("server-1", BEGIN - 99 * DAY, False)]


class Nights:
    """Nightly runs over some servers, and what CloudWatch has heard of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **parameters: str) -> None:
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "hetzner-snapshots")
        self.alarm = Stack(**parameters).resource("FreshnessAlarm")["Properties"]
        self.servers = [server(1), server(2), server(3)]
        self.snapshots: list[Snapshot] = []
        self.heard: list[tuple[datetime, Any]] = []

    def run(self, night: int, fails: tuple[int, ...] = (), minutes: int = 12) -> None:
        """A run: one snapshot each, seconds apart; at its end SummariseRun looks."""
        began = BEGIN + night * DAY
        for n, each in enumerate(self.servers):
            if each.id not in fails and each.created < began:
                self.snapshots.append(snapshot(each.id, began + timedelta(seconds=n)))
        now = began + timedelta(minutes=minutes)
        found = found_in(self.servers, self.snapshots)
        for line in metrics.all_saved(RUN, min(s.counts_from for s in found), now):
            self.heard += [(now, point) for point in points([line], metrics.ALL_SAVED, {"service"})]

    def alarms(self, until_night: int, further: int = 2) -> list[datetime]:
        """The hours in ALARM, from the first run on."""
        return [
            now
            for now in hours(BEGIN + HOUR, 24 * until_night)
            if in_alarm(self.alarm, [p for at, p in self.heard if at <= now], now, further)
        ]


@pytest.fixture
def nights(monkeypatch: pytest.MonkeyPatch) -> Nights:
    return Nights(monkeypatch)


@pytest.mark.parametrize("further", [0, 2, 5])
def test_healthy_nights_never_ring(nights: Nights, further: int) -> None:
    for night in range(8):
        nights.run(night)
    assert nights.alarms(8, further) == []


def test_a_night_that_takes_long_or_is_an_hour_late_does_not_ring(nights: Nights) -> None:
    nights.run(0, minutes=5)
    nights.run(1, minutes=110)
    late = nights.heard[-1][0]
    assert nights.alarms(1) == []
    assert not in_alarm(nights.alarm, [p for at, p in nights.heard if at <= late], late)


@pytest.mark.parametrize("further", [0, 2])
def test_a_night_without_a_run_rings_after_the_limit_and_ends_with_the_next_run(
    nights: Nights, further: int
) -> None:
    nights.run(0)
    nights.run(2)
    rang = nights.alarms(3, further)
    # 26 hours after the last good snapshots, to the end of that hour, and the periods CloudWatch
    # looks back further.
    assert rang[0] == BEGIN + 26 * HOUR + HOUR + further * HOUR
    assert max(rang) < BEGIN + 2 * DAY + 2 * HOUR


def test_runs_that_never_start_ring_for_ever(nights: Nights) -> None:
    nights.run(0)
    rang = nights.alarms(7)
    assert rang == list(hours(rang[0], len(rang)))
    assert rang[-1] == BEGIN + 7 * DAY


def test_it_rings_from_the_deploy_to_the_first_complete_run(nights: Nights) -> None:
    assert in_alarm(nights.alarm, [], BEGIN)
    nights.run(0, fails=(2,))
    assert in_alarm(nights.alarm, [p for _, p in nights.heard], BEGIN + HOUR)
    nights.run(1)
    assert not in_alarm(nights.alarm, [p for _, p in nights.heard], BEGIN + DAY + HOUR)


def test_a_server_that_fails_night_after_night_rings_though_the_others_are_fine(
    nights: Nights,
) -> None:
    nights.run(0)
    for night in (1, 2, 3):
        nights.run(night, fails=(2,))
    nights.run(4)
    rang = nights.alarms(5)
    # From 26 hours after its last good one, in the night after the first failure.
    assert rang[0] == BEGIN + 29 * HOUR
    assert rang == list(hours(rang[0], len(rang)))
    assert rang[-1] == BEGIN + 4 * DAY


def test_a_new_server_is_aged_from_its_creation(nights: Nights) -> None:
    nights.run(0)
    nights.servers.append(server(4, created=BEGIN + 13 * HOUR))
    nights.run(1)
    nights.run(2)
    assert nights.alarms(3) == []


def test_a_new_server_whose_first_snapshots_fail_rings_by_its_own_age(nights: Nights) -> None:
    nights.run(0)
    nights.servers.append(server(4, created=BEGIN + 13 * HOUR))
    for night in (1, 2):
        nights.run(night, fails=(4,))
    rang = nights.alarms(3)
    assert BEGIN + (13 + 26) * HOUR < rang[0] <= BEGIN + (13 + 26 + 3) * HOUR


def test_a_server_that_is_left_out_by_its_label_does_not_count(nights: Nights) -> None:
    nights.servers.append(server(4, **{LABEL_ENABLED: "false"}))
    for night in range(3):
        nights.run(night, fails=(4,))
    assert nights.alarms(3) == []


def test_a_server_every_week_rings_only_when_its_week_and_the_limit_are_over(
    nights: Nights,
) -> None:
    nights.servers.append(server(4, **{LABEL_EVERY: "1w"}))
    nights.run(0)
    for night in range(1, 11):
        nights.run(night, fails=(4,))
    rang = nights.alarms(11)
    assert BEGIN + (7 * 24 + 26) * HOUR < rang[0] <= BEGIN + (7 * 24 + 26 + 3) * HOUR


def test_a_server_every_week_is_overdue_after_its_week_and_the_limit() -> None:
    [weekly] = found_in([server(1, **{LABEL_EVERY: "1w"})], [snapshot(1, BEGIN)])
    limit = (7 * 24 + 26) * HOUR
    assert weekly.since == BEGIN
    assert weekly.why_overdue(BEGIN + limit, 26) == ""
    assert weekly.why_overdue(BEGIN + limit + HOUR, 26) == (
        "its newest good snapshot is 8.1 days old, of 2026-11-20 02:00Z"
    )
    # One that is wrong adds nothing.
    [wrong] = found_in([server(1, **{LABEL_EVERY: "weekly"})], [snapshot(1, BEGIN)])
    assert wrong.why_overdue(BEGIN + 27 * HOUR, 26)


@pytest.mark.parametrize(("with_backups", "counts"), [("include", [1, 2]), ("skip", [2])])
def test_a_server_that_is_skipped_for_its_backups_is_never_overdue(
    with_backups: WithBackups, counts: list[int]
) -> None:
    servers = [replace(server(1), backups=True), server(2)]
    found = found_in(servers, [], with_backups=with_backups)
    assert [last.server for last in found] == [f"server-{id_}" for id_ in counts]


def test_zero_hours_is_no_alarm() -> None:
    assert "FreshnessAlarm" in Stack().resolved()["Resources"]
    off = Stack(FreshnessHours="0").resolved()
    assert "FreshnessAlarm" not in off["Resources"]
    assert (
        "alarm:FreshnessAlarm" not in off["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    )


def test_the_longest_limit_is_what_cloudwatch_can_look_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest = Stack().template["Parameters"]["FreshnessHours"]["MaxValue"]
    nights = Nights(monkeypatch, FreshnessHours=str(longest))
    # An alarm may evaluate seven days.
    assert nights.alarm["Period"] * int(nights.alarm["EvaluationPeriods"]) <= 7 * 24 * 3600
    nights.run(0)
    for night in range(1, 9):
        nights.run(night, fails=(2,))
    rang = nights.alarms(9)
    assert BEGIN + longest * HOUR < rang[0] <= BEGIN + (longest + 3) * HOUR


def test_a_snapshot_that_is_not_available_is_no_good_one() -> None:
    found = found_in([server(1)], [snapshot(1, BEGIN), snapshot(1, BEGIN + DAY, "creating")])
    assert [(last.since, last.snapshot) for last in found] == [(BEGIN, True)]


def test_an_overdue_server_says_since_when() -> None:
    [with_one] = found_in([server(1)], [snapshot(1, BEGIN)])
    assert with_one.why_overdue(BEGIN + 26 * HOUR, 26) == ""
    assert with_one.why_overdue(BEGIN + 2 * DAY, 26) == (
        "its newest good snapshot is 2.0 days old, of 2026-11-20 02:00Z"
    )
    [without] = found_in([server(1, created=BEGIN)], [])
    assert without.why_overdue(BEGIN + 3 * DAY, 26) == (
        "it has no good snapshot and is 3.0 days old itself, created 2026-11-20 02:00Z"
    )


def test_what_the_selector_does_not_match_does_not_count() -> None:
    found = found_in([server(1), server(2)], [], {2})
    assert [last.server for last in found] == ["server-2"]


def test_what_cloudwatch_would_refuse_is_not_sent() -> None:
    assert not list(metrics.all_saved(RUN, BEGIN, BEGIN + 14 * DAY))
