"""The figures of a run: emitted, read by alarms and dashboard, and true."""

from datetime import datetime
from typing import Any

import pytest

from handler.report import metrics
from local.simulator import Fault, Project, World
from local.simulator.faults import html
from local.virtual.template import Stack
from tests.aws import Aws
from tests.cloudwatch import Series, in_alarm, points, series_of, series_of_widget, widgets
from tests.documents import RUN
from tests.eventful import eventful_night
from tests.test_restore_summary import RUN as RESTORE

SERVICE = frozenset({"service"})
PROJECT = frozenset({"service", "project"})


def reads_of(stack: Stack) -> set[Series]:
    """Our own metrics that an alarm or a widget reads."""
    found = set()
    for resource in stack.resolved()["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            dimensions = frozenset(d["Name"] for d in properties["Dimensions"])
            found.add(Series(properties["Namespace"], properties["MetricName"], dimensions))
        elif resource["Type"] == "AWS::CloudWatch::Dashboard":
            for widget in widgets(resource, "metric"):
                found |= set(series_of_widget(widget["metrics"]))
    return {series for series in found if series.namespace == metrics.NAMESPACE}


def test_every_metric_that_is_read_is_emitted_and_every_one_emitted_is_read(
    aws: Aws, world: World, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventful_night(aws, world, project)
    aws.invoke("WatchServers", {})
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "stack")
    lines = [*aws.metrics, *metrics.of_restore(RESTORE, "Completed")]
    emitted = {series for line in lines for series in series_of(line)}
    read = reads_of(Stack(Restores="true", ProofDays="60"))
    assert read == emitted
    assert {s.dimensions for s in emitted} == {SERVICE, PROJECT}
    assert len({series.name for series in emitted}) == 21


def test_a_nights_figures_are_what_happened(aws: Aws, world: World, project: Project) -> None:
    night = eventful_night(aws, world, project)
    assert night.verdict() == "PartiallyFailed"
    figures = {
        name: [value for _, value in points(aws.metrics, name, {"service", "project"})]
        for name in {s.name for line in aws.metrics for s in series_of(line)}
    }
    assert {name: figures[name] for name in figures if len(figures[name]) == 1} == {
        metrics.MADE: [3],
        metrics.ADOPTED: [1],
        metrics.SKIPPED: [0],
        metrics.FAILED: [1],
        metrics.NOT_PRUNED: [1],
        metrics.DELETED: [2],
        metrics.COMPLETED: [0],
        metrics.PARTIALLY_FAILED: [1],
        metrics.RUN_FAILED: [0],
        metrics.ORPHANS: [1],
        metrics.STORED: figures[metrics.STORED],
        metrics.COST: figures[metrics.COST],
        metrics.OLDEST: figures[metrics.OLDEST],
        metrics.REQUESTS_LEFT: figures[metrics.REQUESTS_LEFT],
        metrics.PROVEN: [1],
        # The others were made 100 days before, and never proven.
        metrics.OLDEST_PROOF: [pytest.approx(100, abs=0.1)],
    }
    # Four servers got their snapshot; one of them was locked.
    assert len(figures[metrics.LOCKED]) == len(figures[metrics.SNAPSHOT]) == 4
    assert sorted(figures[metrics.LOCKED])[:3] == [0, 0, 0]
    assert max(figures[metrics.LOCKED]) == night.results["locked"]["lock_s"] > 0
    assert night.results["locked"]["lock"] == "change_type"
    made = [i.image_size for i in project.images.values() if night.run_id in i.labels.values()]
    assert sorted(figures[metrics.SIZE]) == sorted(s for s in made if s)
    assert figures[metrics.STORED] == [
        pytest.approx(sum(i.image_size or 0 for i in project.images.values()), abs=0.01)
    ]
    # The server that failed was made 100 days before, and has no snapshot.
    assert figures[metrics.OLDEST][0] > 24 * 99
    assert all(line["service"] == "hetzner-snapshots" for line in aws.metrics)


def test_hundreds_of_servers_are_lines_that_cloudwatch_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from handler.documents.job import Result

    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "stack")
    results = [Result("sg5", n, "available", snapshot_s=n, size_gb=1.5) for n in range(250)]
    lines = list(metrics.of_servers(RUN, results))
    assert [v for _, v in points(lines, metrics.SNAPSHOT, {"service", "project"})] == list(
        range(250)
    )
    for line in lines:
        assert all(len(value) <= 100 for value in line.values() if isinstance(value, list))


def test_the_alarm_about_a_run_follows_the_verdict(
    aws: Aws, world: World, project: Project
) -> None:
    alarm = aws.stack.resource("RunNotCompletedAlarm")["Properties"]
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 60
    assert aws.run({}).verdict() == "Completed"
    heard = points(aws.metrics, metrics.COMPLETED, {"service"})
    stamp = heard[0][0] / 1000

    def at(hours: float) -> datetime:
        return datetime.fromtimestamp(stamp + 3600 * hours, tz=world.clock.now().tzinfo)

    assert not in_alarm(alarm, heard, at(1))
    project.next_action_fails(server, times=99, after_seconds=20)
    assert aws.run({}).verdict() == "Failed"
    heard = points(aws.metrics, metrics.COMPLETED, {"service"})
    assert in_alarm(alarm, heard, at(1)) and in_alarm(alarm, heard, at(23))
    assert not in_alarm(alarm, heard, at(28))


@pytest.mark.parametrize(
    ("event", "judged"),
    [
        ({}, True),
        ({"servers": ["sg5"]}, False),
        ({"label_selector": "env=prod"}, False),
        ({"dry_run": True}, False),
        ({"prune_only": True}, False),
    ],
)
def test_only_a_real_run_over_all_servers_judges_the_freshness(
    aws: Aws, project: Project, event: dict[str, Any], judged: bool
) -> None:
    project.add_server("sg5", labels={"env": "prod"})
    project.add_server("web-1")
    aws.run(event)
    names = {series.name for line in aws.metrics for series in series_of(line)}
    assert (metrics.OLDEST in names) == judged
    assert (metrics.COMPLETED in names) == (not event.get("dry_run"))


def test_a_price_that_is_not_known_costs_the_freshness_nothing(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    world.faults.add(Fault(html(502), path="/pricing", times=None))
    assert aws.run({}).verdict() == "Completed"
    names = {series.name for line in aws.metrics for series in series_of(line)}
    assert metrics.OLDEST in names and metrics.STORED not in names


def test_a_line_of_metrics_can_be_read_in_the_log(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.run({})
    messages = [line["message"] for line in aws.metrics]
    assert messages[0] == "metrics: LockedSeconds 0"
    assert any(message.startswith("metrics: ServersMade 1, ") for message in messages)
    aws.invoke("WatchServers", {})
    assert aws.metrics[-1]["message"] == "metrics: ServersOverdue 0"
