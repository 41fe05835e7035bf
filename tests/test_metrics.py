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
from tests.eventful import eventful_night
from tests.test_hetzner import RUN

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
    aws: Aws, world: World, project: Project
) -> None:
    eventful_night(aws, world, project)
    [bad] = [server for server in project.servers.values() if server.name == "bad"]
    # As old as it is, CloudWatch would refuse the point about its freshness.
    project.delete_server(bad)
    aws.run({})
    emitted = {series for line in aws.metrics for series in series_of(line)}
    read = reads_of(aws.stack)
    assert read == emitted
    assert {s.dimensions for s in emitted} == {SERVICE, PROJECT}
    assert len({series.name for series in emitted}) == 18


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
    assert (metrics.ALL_SAVED in names) == (metrics.OLDEST in names) == judged
    assert (metrics.COMPLETED in names) == (not event.get("dry_run"))


def test_the_point_of_the_freshness_is_at_the_oldest_of_the_new_snapshots(
    aws: Aws, project: Project
) -> None:
    for name in ("sg5", "web-1", "db-1"):
        project.add_server(name)
    aws.run({})
    oldest = min(image.created for image in project.images.values())
    [(stamp, _)] = points(aws.metrics, metrics.ALL_SAVED, {"service"})
    assert stamp == oldest.timestamp() * 1000


def test_a_project_that_cannot_be_read_is_not_hidden_by_one_that_is_fresh(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    other = world.project("other")
    other.add_token("y" * 64)
    aws.store_token("other", "y" * 64)
    behind = other.add_server("behind")
    other.next_action_fails(behind, times=99, after_seconds=20)
    assert aws.run({}).verdict("default") == "Completed"
    # Whichever ended last has seen both: no point is later than the failing server's creation.
    stamps = [stamp for stamp, _ in points(aws.metrics, metrics.ALL_SAVED, {"service"})]
    assert all(stamp <= behind.created.timestamp() * 1000 for stamp in stamps)
    aws.metrics.clear()
    aws.store_token("broken", "z" * 64)
    night = aws.run({})
    assert "The snapshots could not be counted: broken" in aws.messages()
    assert night.verdict("default") == "Completed"
    assert not points(aws.metrics, metrics.ALL_SAVED, {"service"})


def test_a_price_that_is_not_known_costs_the_freshness_nothing(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    world.faults.add(Fault(html(502), path="/pricing", times=None))
    assert aws.run({}).verdict() == "Completed"
    names = {series.name for line in aws.metrics for series in series_of(line)}
    assert metrics.ALL_SAVED in names and metrics.STORED not in names


def test_without_any_server_nothing_is_proved(aws: Aws) -> None:
    """The token may be one of another project, which is empty."""
    aws.run({})
    assert not points(aws.metrics, metrics.ALL_SAVED, {"service"})


@pytest.mark.parametrize(("fails", "known"), [(False, True), (True, False)])
def test_a_night_whose_last_look_fails_is_known_to_be_good_by_its_own_results(
    aws: Aws, world: World, project: Project, fails: bool, known: bool
) -> None:
    server, _ = project.add_server("sg5"), project.add_server("web-1")
    if fails:
        project.next_action_fails(server, times=99, after_seconds=20)

    def down(function: str, _: Any) -> None:
        if function == "SummariseRun":
            world.faults.add(Fault(html(502), path="/images", times=None))

    aws.before = down
    began = world.clock.now()
    aws.run({})
    assert "The snapshots could not be counted" in aws.messages()
    stamps = [stamp for stamp, _ in points(aws.metrics, metrics.ALL_SAVED, {"service"})]
    assert len(stamps) == known
    # By what has passed on our own clock since, it may be a little earlier.
    assert all(0 <= began.timestamp() - stamp / 1000 < 60 for stamp in stamps)


def test_a_line_of_metrics_can_be_read_in_the_log(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.run({})
    messages = [line["message"] for line in aws.metrics]
    assert messages[0] == "metrics: LockedSeconds 0"
    assert any(message.startswith("metrics: ServersMade 1, ") for message in messages)
    assert "metrics: AllServersSaved 1" in messages
