"""What a run tells: metrics, alarms, dashboard, queries, notification, links. By real runs."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.events.models import EventPattern

import metrics
from links import CONSOLES, execution_link, log_link
from local.simulator import Fault, Project, Simulator, World
from local.simulator.faults import drop, html
from run import MOST_ATTENTION
from tests.aws import Aws, deployed
from tests.cloudwatch import Series, in_alarm, points, series_of, series_of_widget, widgets
from tests.conftest import TOKEN
from tests.snapshots import available, ours
from tests.template import REGION, ROOT, Stack
from tests.test_hetzner import RUN

CREATE = r"/servers/\d+/actions/create_image"
SERVICE = frozenset({"service"})
PROJECT = frozenset({"service", "project"})
ALL_LABELS_OFF = {"hetzner-snapshots/enabled": "false"}


class Inbox:
    """A queue subscribed to the stack's topic."""

    def __init__(self) -> None:
        self.sqs = boto3.client("sqs", region_name=REGION)
        sns = boto3.client("sns", region_name=REGION)
        self.queue = self.sqs.create_queue(QueueName="inbox")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        [topic] = sns.list_topics()["Topics"]
        sns.subscribe(
            TopicArn=topic["TopicArn"], Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
        )

    def messages(self) -> list[dict[str, Any]]:
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]


@pytest.fixture
def inbox(aws: Aws) -> Inbox:
    return Inbox()


def eventful_night(aws: Aws, world: World, project: Project) -> Any:
    """Servers that are locked, adopted, failing, not pruned, left out; a snapshot without one."""
    locked, lost, bad, unpruned, gone, full = (
        project.add_server(name) for name in ("locked", "lost", "bad", "unpruned", "gone", "full")
    )
    project.add_server("scratch", labels=ALL_LABELS_OFF)
    project.lock(locked, command="change_type", seconds=600)
    world.faults.add(
        Fault(drop(), method="POST", path=rf"/servers/{lost.id}/actions/create_image", when="after")
    )
    project.next_action_fails(bad, times=99, after_seconds=20)
    unpruned.labels["hetzner-snapshots/retention"] = "nonsense"
    ours(project, gone, 50)
    project.delete_server(gone)
    for days in range(1, 5):
        ours(project, full, days)
    return aws.run({})


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
    # Four servers got their snapshot; one of them was locked for ten minutes.
    assert len(figures[metrics.LOCKED]) == len(figures[metrics.SNAPSHOT]) == 4
    assert sorted(figures[metrics.LOCKED])[:3] == [0, 0, 0]
    assert 540 < max(figures[metrics.LOCKED]) < 800
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
    from job import Result

    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "stack")
    results = [Result("sg5", n, "available", snapshot_s=n, gb=1.5) for n in range(250)]
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


def test_a_server_that_is_skipped_night_after_night_is_named_as_overdue(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5")
    ours(project, server, 3)
    project.lock(server, seconds=None)
    night = aws.run({"on_locked": "skip"})
    assert night.verdict() == "Completed"
    table = [line["attention"] for line in aws.logs if "attention" in line]
    assert [(row["rank"], row["what"], row["server"]) for row in table] == [
        (1, "overdue", "sg5"),
        (2, "note", "sg5"),
    ]
    assert "its newest good snapshot is 3.0 days old" in table[0]["reason"]


def test_a_run_without_trouble_says_so_in_the_table(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.run({})
    assert [line["attention"]["what"] for line in aws.logs if "attention" in line] == ["nothing"]
    assert "Nothing needs attention." in aws.messages()


def fields_of(query: str) -> set[str]:
    """The fields of ours that a Logs Insights query reads."""
    text = re.sub(r"\"[^\"]*\"|/[^/]*/|SOURCE '[^']*'", "", query)
    made = set(re.findall(r" as (\w+)", text))
    words = set(re.findall(r"(?<![@\w.])[a-z][\w.]*(?![\w.(])", text))
    keywords = {"fields", "filter", "sort", "limit", "stats", "by", "as", "and", "or", "in", "not",
                "like", "asc", "desc"}  # fmt: skip
    return words - keywords - made


def queries(stack: Stack) -> Iterator[tuple[str, str]]:
    for name, resource in stack.resolved()["Resources"].items():
        if resource["Type"] == "AWS::Logs::QueryDefinition":
            yield name, resource["Properties"]["QueryString"]
        elif resource["Type"] == "AWS::CloudWatch::Dashboard":
            for widget in widgets(resource, "log"):
                yield widget["title"], widget["query"]


def flat(line: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, value in line.items():
        yield before + name
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")


def test_every_field_a_query_reads_is_logged(aws: Aws, world: World, project: Project) -> None:
    eventful_night(aws, world, project)
    logged = {field for line in aws.logs for field in flat(line)}
    found = dict(queries(aws.stack))
    assert len(found) == 7
    for name, query in found.items():
        assert fields_of(query), name
        assert fields_of(query) <= logged, name


def test_what_the_queries_look_for_is_logged_in_those_words(
    aws: Aws, world: World, project: Project
) -> None:
    eventful_night(aws, world, project)
    deleted = [line for line in aws.logs if ": delete snapshot" in line["message"]]
    assert len(deleted) == 2 and all("image_id" in line["decision"] for line in deleted)
    concerns = [line["attention"]["what"] for line in aws.logs if "attention" in line]
    assert concerns[:2] == ["failed", "made, not pruned"]
    query = dict(queries(aws.stack))["FailuresQuery"]
    for what in ("failed", "made, not pruned", "overdue"):
        assert f'"{what}"' in query
    # One filter follows a server through the night.
    about = [line for line in aws.logs if line.get("server") == "locked"]
    assert {line["function_name"] for line in about} == {
        "ListServers", "CreateSnapshot", "CheckSnapshot", "PruneSnapshots", "SummariseRun",
    }  # fmt: skip
    for line in [*aws.logs, *aws.metrics]:
        assert line["run_id"] == about[0]["run_id"], line["message"]


def test_every_query_reads_the_stacks_one_log_group() -> None:
    stack = Stack()
    for resource in stack.resolved()["Resources"].values():
        if resource["Type"] == "AWS::Logs::QueryDefinition":
            [group] = resource["Properties"]["LogGroupNames"]
            assert group == stack.ref("LogGroup")
    for widget in widgets(stack.resource("Dashboard"), "log"):
        assert widget["query"].startswith(f"SOURCE '{stack.ref('LogGroup')}' | ")


def test_saved_queries_are_five_and_can_be_left_out() -> None:
    kinds = [r["Type"] for r in Stack().resolved()["Resources"].values()]
    assert kinds.count("AWS::Logs::QueryDefinition") == 5
    without = Stack(SavedQueries="false").resolved()["Resources"].values()
    assert "AWS::Logs::QueryDefinition" not in [r["Type"] for r in without]


def test_the_plan_of_a_run_is_logged_before_it_begins(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.run({"servers": ["sg5"], "on_locked": "skip", "retention": "last7", "dry_run": True})
    plan = aws.logs[0]["message"]
    assert plan.startswith(
        "default: started, dry run: nothing is made or deleted; servers sg5; keeps last7, deletes "
        "at most 5 of each; skips locked ones: https://eu-central-1.console.aws.amazon.com/states/"
    )


def test_who_has_to_be_told_is_told_what_to_do(
    aws: Aws, world: World, project: Project, inbox: Inbox
) -> None:
    night = eventful_night(aws, world, project)
    [message] = inbox.messages()
    execution = night.executions["default"]["executionArn"]
    assert message["Subject"] == (
        f"hetzner-snapshots: PartiallyFailed, 1 of 5 failed, default, run {night.run_id}"
    )
    text = message["Message"]
    assert text.startswith("PartiallyFailed: 4 of 6 servers, 1 left out by label, 1 failed, ")
    failed, unpruned = text.split("worst first:\n")[1].splitlines()[:2]
    assert re.match(r"  failed +bad +action \d+ failed: ", failed)
    assert re.match(r"  made, not pruned +unpruned +", unpruned)
    assert f'{{"run_id": "{night.run_id}", "project": "default"}}' in text
    assert execution_link(execution) in text
    assert "logsV2:logs-insights" in text and TOKEN not in text


def test_of_a_completed_run_nobody_is_told_unless_asked(
    aws: Aws, project: Project, inbox: Inbox
) -> None:
    project.add_server("sg5")
    aws.run({})
    assert inbox.messages() == []


def test_always_is_always(world: World, project: Project, simulator: Simulator) -> None:
    project.add_server("sg5")
    with deployed(world.clock, Stack(HetznerEndpoint=simulator.url, Notify="always")) as aws:
        aws.store_token("default", TOKEN)
        inbox = Inbox()
        night = aws.run({})
        [message] = inbox.messages()
    assert message["Subject"] == f"hetzner-snapshots: Completed, default, run {night.run_id}"
    assert message["Message"].startswith(night.summary())
    assert "To make what is missing" not in message["Message"]


@pytest.mark.parametrize(("fails", "verdict"), [(True, "PartiallyFailed"), (False, "Completed")])
def test_a_notification_that_cannot_be_sent_changes_no_verdict(
    world: World,
    project: Project,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    fails: bool,
    verdict: str,
) -> None:
    def publish(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AuthorizationError", "Message": "no"}}, "Publish")

    monkeypatch.setattr("summarise_run.sns", lambda: SimpleNamespace(publish=publish))
    bad, _ = project.add_server("bad"), project.add_server("good")
    if fails:
        project.next_action_fails(bad, times=99, after_seconds=20)
    with deployed(world.clock, Stack(HetznerEndpoint=simulator.url, Notify="always")) as aws:
        aws.store_token("default", TOKEN)
        night = aws.run({})
    last = [line["summary"]["verdict"] for line in aws.logs if "summary" in line]
    assert last == [verdict]
    assert "The notification could not be sent to arn:aws:sns:" in aws.messages()
    assert night.executions["default"]["status"] == ("FAILED" if fails else "SUCCEEDED")
    if fails:
        # Not one of the names that the rule on the execution's status passes over.
        assert night.executions["default"]["error"] == "PartiallyFailed.NobodyWasTold"
        assert night.summary().startswith("PartiallyFailed: 1 of 2 servers")


@pytest.mark.parametrize(
    ("status", "error", "child", "told"),
    [
        ("SUCCEEDED", None, False, False),
        ("RUNNING", None, False, False),
        ("FAILED", "PartiallyFailed", False, False),
        ("FAILED", "Failed", False, False),
        ("FAILED", "Failed.NobodyWasTold", False, True),
        ("FAILED", "States.DataLimitExceeded", False, True),
        ("FAILED", "Sandbox.Timedout", False, True),
        ("FAILED", "absent", False, True),
        ("TIMED_OUT", None, False, True),
        ("ABORTED", None, False, True),
        ("ABORTED", None, True, False),
        ("FAILED", "States.Runtime", True, False),
    ],
)
def test_the_rule_tells_what_the_summary_could_not(
    status: str, error: str | None, child: bool, told: bool
) -> None:
    stack = Stack()
    pattern = stack.resource("RunBrokeOffRule")["Properties"]["EventPattern"]
    detail = {
        "stateMachineArn": stack.arn("SnapshotRun") + ("/Server" if child else ""),
        "status": status,
        "error": error,
    }
    if error == "absent":
        del detail["error"]
    event = {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": detail,
    }
    assert EventPattern(None, pattern).matches_event(event) == told  # type: ignore[arg-type]


def test_without_an_address_nobody_is_subscribed_and_with_one_somebody_is() -> None:
    assert "NotificationsEmail" not in Stack().resolved()["Resources"]
    subscribed = Stack(NotificationEmail="me@example.org").resolved()["Resources"]
    assert subscribed["NotificationsEmail"]["Properties"] == {
        "TopicArn": Stack().arn("Notifications"),
        "Protocol": "email",
        "Endpoint": "me@example.org",
    }


def alarms() -> dict[str, Any]:
    return {
        name: resource["Properties"]
        for name, resource in Stack().resolved()["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def test_every_alarm_tells_the_topic_says_what_to_do_and_is_on_the_dashboard() -> None:
    stack = Stack()
    [widget] = widgets(stack.resource("Dashboard"), "alarm")
    assert set(widget["alarms"]) == {stack.arn(name) for name in alarms()}
    assert len(alarms()) == 6
    for name, alarm in alarms().items():
        assert alarm["AlarmActions"] == [stack.arn("Notifications")], name
        assert 100 < len(alarm["AlarmDescription"]) <= 1024, name
        assert alarm["TreatMissingData"] in ("breaching", "notBreaching"), name


def test_the_topic_takes_messages_of_alarms_and_of_the_rule() -> None:
    stack = Stack()
    policy = stack.resource("NotificationsPolicy")["Properties"]["PolicyDocument"]
    senders = {s["Principal"]["Service"]: s["Condition"] for s in policy["Statement"]}
    assert senders == {
        "cloudwatch.amazonaws.com": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        "events.amazonaws.com": {"ArnEquals": {"aws:SourceArn": stack.arn("RunBrokeOffRule")}},
    }
    # CloudWatch cannot use the key alias/aws/sns.
    assert "KmsMasterKeyId" not in stack.resource("Notifications")["Properties"]


def test_what_is_lost_before_a_run_ends_in_the_dead_letters() -> None:
    stack = Stack()
    start = stack.resource("StartRun")["Properties"]
    queue = stack.arn("DeadLetters")
    assert start["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"] == queue
    nightly = start["Events"]["Nightly"]["Properties"]
    assert nightly["DeadLetterConfig"] == {"Arn": queue}
    # Scheduler's metrics have no other dimension than the group.
    group = alarms()["ScheduleDroppedAlarm"]["Dimensions"]
    assert group == [{"Name": "ScheduleGroup", "Value": nightly["GroupName"]}]


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_a_link_is_to_the_console_of_the_region_and_partition(
    partition: str, region: str, host: str
) -> None:
    arn = f"arn:{partition}:states:{region}:123456789012:execution:SnapshotRun:night_default_0"
    assert execution_link(arn) == (
        f"https://{host}/states/home?region={region}#/v2/executions/details/{arn}"
    )
    assert Stack().template["Mappings"]["Console"][partition]["Host"] == CONSOLES[partition]


def test_the_link_to_a_runs_log_is_written_as_the_console_writes_it(world: World) -> None:
    arn = "arn:aws:states:eu-central-1:123456789012:execution:SnapshotRun:n_default_0"
    begin = world.clock.now()
    link = log_link(arn, "/hetzner-snapshots/my_stack", "20261121T020000Z", "default", begin, begin)
    # By hand, in the form of addresses that the console itself gives out.
    assert link == (
        "https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1"
        "#logsV2:logs-insights$3FqueryDetail$3D~(end~'2026-11-21T03*3a00*3a00Z"
        "~start~'2026-11-21T01*3a00*3a00Z~timeType~'ABSOLUTE~tz~'UTC~editorString~'"
        "fields*20*40timestamp*2c*20level*2c*20server*2c*20message*0a"
        "*7c*20filter*20run_id*20*3d*20*2220261121T020000Z*22*20and*20"
        "*28project*20*3d*20*22default*22*20or*20not*20ispresent*28project*29*29*0a"
        "*7c*20sort*20*40timestamp*20asc*0a*7c*20limit*2010000"
        "~source~(~'*2fhetzner-snapshots*2fmy_stack))"
    )


def test_start_run_answers_with_links(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    night = aws.run({})
    [started] = night.answer["executions"]
    assert started["console"] == execution_link(started["execution_arn"])
    assert night.run_id in started["logs"] and "logs-insights" in started["logs"]


def test_detail_is_written_only_when_something_went_wrong(aws: Aws, project: Project) -> None:
    bad, good = project.add_server("bad"), project.add_server("good")
    project.next_action_fails(bad, times=99, after_seconds=20)
    aws.run({})
    detail = [line for line in aws.logs if line["level"] == "DEBUG"]
    assert any(re.search(r"GET /v1/actions/\d+: 200 in ", line["message"]) for line in detail)
    assert any(line.get("input", {}).get("server", {}).get("name") == "bad" for line in detail)
    # The good server's lines, and those of the bad one's earlier steps, had none.
    assert {line.get("server") for line in detail} == {"bad", None}
    assert available(project) == {"good": 1} and good.name
    assert TOKEN not in json.dumps(detail, default=str)


def test_detail_is_written_when_a_function_breaks_off(
    aws: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.add_server("sg5")
    monkeypatch.setattr("prune_snapshots.parse_policy", lambda _: 1 / 0)
    aws.run({})
    detail = [line for line in aws.logs if line["level"] == "DEBUG"]
    assert {line["function_name"] for line in detail} == {"PruneSnapshots", "SummariseRun"}


def test_a_price_that_is_not_known_costs_the_freshness_nothing(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    world.faults.add(Fault(html(502), path="/pricing", times=None))
    assert aws.run({}).verdict() == "Completed"
    names = {series.name for line in aws.metrics for series in series_of(line)}
    assert metrics.ALL_SAVED in names and metrics.STORED not in names


def test_make_events_puts_every_event_into_the_stacks_test_tab() -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    said = subprocess.run(
        ["make", "--dry-run", "events", "STACK=mine"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout.replace("\\\n", " ")
    commands = [line.split() for line in said.splitlines() if "test-event" in line]
    assert commands == [
        [".venv-sam/bin/sam", "remote", "test-event", "put", "StartRun", "--stack-name", "mine",
         "--name", file.stem, "--file", f"events/{file.name}", "--force"]
        for file in sorted((ROOT / "events").glob("*.json"))
    ]  # fmt: skip


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
    assert stamps == ([began.timestamp() * 1000] if known else [])


def test_however_many_fail_the_table_says_how_many_it_leaves_out(
    aws: Aws, project: Project, inbox: Inbox
) -> None:
    for n in range(MOST_ATTENTION + 3):
        project.next_action_fails(project.add_server(f"bad-{n}"), times=99, after_seconds=20)
    aws.run({})
    [message] = inbox.messages()
    assert message["Message"].count("  failed  bad-") == MOST_ATTENTION
    assert "  3 more failed or were not pruned: each has a line" in message["Message"]


def test_a_project_without_servers_is_fresh(aws: Aws, world: World) -> None:
    assert aws.run({}).verdict() == "Completed"
    [(stamp, _)] = points(aws.metrics, metrics.ALL_SAVED, {"service"})
    assert stamp == world.clock.now().timestamp() * 1000


def test_a_line_of_metrics_can_be_read_in_the_log(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.run({})
    messages = [line["message"] for line in aws.metrics]
    assert messages[0] == "metrics: LockedSeconds 0"
    assert any(message.startswith("metrics: ServersMade 1, ") for message in messages)
    assert "metrics: AllServersSaved 1" in messages


def test_the_state_machine_logs_what_breaks_off_and_no_data() -> None:
    stack = Stack()
    logging = stack.resource("SnapshotRun")["Properties"]["Logging"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)
    [destination] = logging["Destinations"]
    group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
    assert group == stack.attribute("SnapshotRunLogGroup.Arn")
    # Under another prefix the account's resource policy may run full.
    assert stack.ref("SnapshotRunLogGroup") == "/aws/vendedlogs/states/hetzner-snapshots"


def test_every_wait_is_logged_with_its_reason_and_its_end(
    aws: Aws, world: World, project: Project
) -> None:
    world.faults.add(Fault(html(502), path="/servers", times=2))
    project.lock(project.add_server("locked"), command="change_type", seconds=300)
    aws.run({})
    waits = [line for line in aws.logs if line.get("wait_seconds")]
    assert {line["function_name"] for line in waits} == {
        "ListServers", "CreateSnapshot", "CheckSnapshot",
    }  # fmt: skip
    for line in waits:
        until = f"{datetime.fromisoformat(line['until']):%H:%M:%S}Z"
        said = f"again at {until} (in {line['wait_seconds']} s): "
        assert said in line["message"] and not line["message"].endswith(said)
