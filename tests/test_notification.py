"""Who is told what, when, and where the links lead."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.events.models import EventPattern

from handler.documents.run import MOST_ATTENTION
from handler.report.links import CONSOLES, execution_link, log_link
from local.simulator import Project, Simulator, World
from local.virtual.template import Stack
from tests.aws import Aws, deployed
from tests.cloudwatch import widgets
from tests.conftest import TOKEN
from tests.eventful import Inbox, eventful_night


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

    monkeypatch.setattr("handler.aws.telling.sns", lambda: SimpleNamespace(publish=publish))
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
        assert night.executions["default"]["error"] == "PartiallyFailed.NotificationFailed"
        assert night.summary().startswith("PartiallyFailed: 1 of 2 servers")


@pytest.mark.parametrize(
    ("status", "error", "child", "told"),
    [
        ("SUCCEEDED", None, False, False),
        ("RUNNING", None, False, False),
        ("FAILED", "PartiallyFailed", False, False),
        ("FAILED", "Failed", False, False),
        ("FAILED", "Failed.NotificationFailed", False, True),
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


def message_of_the_rule(stack: Stack, detail: dict[str, str]) -> str:
    """What arrives: EventBridge puts values in place of the variables and leaves the rest."""
    [target] = stack.resource("RunBrokeOffRule")["Properties"]["Targets"]
    transformer = target["InputTransformer"]
    message: str = transformer["InputTemplate"]
    for variable, path in transformer["InputPathsMap"].items():
        message = message.replace(f"<{variable}>", detail[path.removeprefix("$.detail.")])
    return message


def test_the_rules_message_is_lines_of_text_and_its_link_stands_alone() -> None:
    stack = Stack()
    arn = f"{stack.arn('SnapshotRun').replace('stateMachine', 'execution')}:night_default_0"
    detail = {"status": "ABORTED", "name": "night_default_0", "executionArn": arn}
    message = message_of_the_rule(stack, detail)
    # The quotes arrive, and \\n in a string stays two characters: a line is a string of its own.
    lines = [json.loads(line) for line in message.splitlines()]
    assert len(lines) == 5
    assert not [line for line in lines if "\n" in line or "<" in line]
    assert lines[0].startswith("hetzner-snapshots: the execution night_default_0 ended ABORTED ")
    assert execution_link(arn) in message.split()
    assert stack.ref("LogGroup") in message.split()


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
    assert len(alarms()) == 8
    for name, alarm in alarms().items():
        assert 100 < len(alarm["AlarmDescription"]) <= 1024, name
        actions = {key: alarm[key] for key in alarm if key.endswith("Actions")}
        if name == "OverdueAlarm":  # WatchServers tells that itself, by name
            assert (actions, alarm["TreatMissingData"]) == ({}, "ignore")
        elif name == "WatchSilentAlarm":
            assert actions == {"InsufficientDataActions": [stack.arn("Notifications")]}
            assert alarm["TreatMissingData"] == "missing"
        else:
            assert actions == {"AlarmActions": [stack.arn("Notifications")]}, name
            assert alarm["TreatMissingData"] in ("breaching", "notBreaching"), name


def test_the_topic_takes_messages_of_alarms_and_of_the_rule() -> None:
    stack = Stack()
    policy = stack.resource("NotificationsPolicy")["Properties"]["PolicyDocument"]
    senders = {s["Principal"]["Service"]: s.get("Condition") for s in policy["Statement"]}
    assert senders == {
        "cloudwatch.amazonaws.com": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        # EventBridge documents that a condition in a topic's policy is not supported.
        "events.amazonaws.com": None,
    }
    for statement in policy["Statement"]:
        assert (statement["Action"], statement["Resource"]) == (
            "sns:Publish",
            stack.arn("Notifications"),
        )
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


def test_however_many_fail_the_table_says_how_many_it_leaves_out(
    aws: Aws, project: Project, inbox: Inbox
) -> None:
    for n in range(MOST_ATTENTION + 3):
        project.next_action_fails(project.add_server(f"bad-{n}"), times=99, after_seconds=20)
    aws.run({})
    [message] = inbox.messages()
    assert message["Message"].count("  failed  bad-") == MOST_ATTENTION
    assert "  3 more failed or were not pruned: each has a line" in message["Message"]
