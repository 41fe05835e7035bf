"""`make status`: what the watch, the alarms and the last runs say, and whether all is well."""

import copy
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from deploy.__main__ import main
from deploy.alarms import Alarm
from deploy.last_runs import LastRun, is_dry_run
from deploy.status_text import Status, lines, verdict
from local.simulator import Project
from tests.aws import Aws
from tests.deploy_shell import LOG_GROUP, REGION, Stacks, keep, said

Capsys = pytest.CaptureFixture[str]
EVIL = "\x1b[2Jevil\nnext\u202e"
LINK = "https://eu-central-1.console.aws.amazon.com/states/home?region=eu-central-1#/x"


def server(id_: int, name: str, **more: Any) -> dict[str, Any]:
    return {
        **{"id": id_, "name": name, "included": True, "why_left_out": ""},
        **{"newest": "2026-11-28T02:03:00Z", "image_id": 9000 + id_, "size_gb": 12.3},
        **{"limit_hours": 26, "due_at": "2026-11-29T04:03:00Z", "overdue": "", "every": None},
        **{"volumes": 0, "backups": False, **more},
    }


def answer(*servers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As WatchServers answers `{"only_look": true}` about the project shop, if nothing is wrong."""
    project = {
        **{"project": "shop", "seen": True, "why": "", "first_seen": "2026-11-01T00:00:00Z"},
        **{"last_seen": "2026-11-28T09:10:00Z", "servers": list(servers), "snapshots": 150},
        **{"stored_gb": 1812.4, "overdue": [], "requests_left": 3100},
    }
    return {
        **{"looked_at": "2026-11-28T09:10:00Z", "overdue": 0, "memory": "", "projects": [project]},
        **{"overdue_now": [], "told": "", "running": [], **more},
    }


GOOD = answer(server(42, "web-1"), server(43, "db-1", volumes=2, size_gb=1080.1))
WHY = "its newest good snapshot is 3.0 days old, of 2026-11-25 02:03Z"
LATE = server(44, "held", newest="2026-11-25T02:03:00Z", due_at="2026-11-26T04:03:00Z", overdue=WHY)
NEVER = server(45, "new", newest=None, image_id=None, size_gb=None)
OUT = server(46, "scratch", included=False, why_left_out="its label is false", due_at=None)
BAD = answer(
    *(LATE, NEVER, OUT, *GOOD["projects"][0]["servers"]),
    overdue=1,
    overdue_now=[
        {"project": "shop", "server": "held", "since": "2026-11-26T04:03:00Z", "reason": WHY,
         "advice": 'Mend that and start StartRun with {"project": "shop"}.'}
    ],
)  # fmt: skip
RUN = LastRun(
    "20261128T020000Z",
    "PartiallyFailed",
    "PartiallyFailed: 4 of 5 servers, 1 failed; 4 made in 12 min, longest db-1 (7 min); 4 deleted",
    LINK,
    {44: {"id": 44, "status": "failed", "reason": "locked by rebuild_server for 60 min"}},
    {"count": 150, "size_gb": 1812.4, "monthly": 25.37, "currency": "EUR"},
)
RED = Alarm(
    "RunNotCompletedAlarm",
    "ALARM",
    datetime(2026, 11, 28, 2, 31, tzinfo=UTC),
    "A run did not end Completed in the last 24 hours.",
    True,
)
STATUS = Status(
    "hetzner-snapshots", "eu-central-1", "cron(0 2 * * ? *) UTC", True, "daily3", "https://d.example",
    GOOD, {"shop": RUN}, [replace(RED, state="OK", red=False)], "`make token PROJECT=default`",
)  # fmt: skip


def test_a_status_is_one_table_that_fits_80_columns() -> None:
    shown = lines(replace(STATUS, watch=BAD, alarms=[RED], reach="Messages reach nobody."), 80)
    assert shown == [
        "",
        "Stack hetzner-snapshots in eu-central-1: cron(0 2 * * ? *) UTC, keeps daily3",
        "",
        "shop: 5 servers, 150 snapshots, 1,812.4 GB, 25.37 EUR/month net at the last run",
        "  Last run 20261128T020000Z: PartiallyFailed: 4 of 5 servers, 1 failed; 4 made",
        "    in 12 min, longest db-1 (7 min); 4 deleted",
        f"  {LINK}",
        "",
        "  server  newest good, UTC      age   limit  overdue in        GB  vol",
        "  held    2026-11-25 02:03      3 d    26 h     OVERDUE      12.3",
        "      overdue: its newest good snapshot is 3.0 days old, of 2026-11-25 02:03Z",
        "      last run: failed: locked by rebuild_server for 60 min",
        "  db-1    2026-11-28 02:03      7 h    26 h        18 h   1,080.1    2",
        "  new     none                         26 h        18 h",
        "  web-1   2026-11-28 02:03      7 h    26 h        18 h      12.3",
        "  Left out, its label is false: scratch",
        '  What to do: Mend that and start StartRun with {"project": "shop"}.',
        "",
        "vol: a server's volumes are in no snapshot of it; what is on them needs a backup",
        "  of its own.",
        "Alarm RunNotCompletedAlarm, ALARM since 2026-11-28 02:31Z: A run did not end",
        "  Completed in the last 24 hours.",
        "Messages reach nobody.",
        "The dashboard: https://d.example",
        "Not all is well: 1 overdue; 1 alarm is red.",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_but_an_address_is_wider_than_the_terminal(width: int) -> None:
    long = server(47, "a-name-as-long-as-hetzner-allows-" * 4, volumes=16, overdue="x " * 200)
    watch = answer(long, *BAD["projects"][0]["servers"], overdue=2)
    for line in lines(replace(STATUS, watch=watch, alarms=[RED]), width):
        assert len(line) <= width or "https://" in line, line


def test_what_others_have_named_cannot_steer_the_terminal() -> None:
    watch = answer(server(42, EVIL, overdue=EVIL, why_left_out=EVIL), overdue=1, memory=EVIL)
    watch["projects"][0]["project"] = EVIL
    watch["overdue_now"] = [{"project": EVIL, "server": EVIL, "reason": EVIL, "advice": EVIL}]
    found = replace(STATUS, watch=watch, runs={EVIL: replace(RUN, line=EVIL)}, alarms=[])
    shown = lines(replace(found, reach=EVIL, unknown=[EVIL], missing=[EVIL]), 80)
    assert all(line.isprintable() for line in shown)
    assert sum("evil" in line for line in shown) > 8


def test_a_project_that_is_overdue_as_a_whole_is_told_with_what_to_do() -> None:
    gone = {"reason": "its token is gone", "advice": "Store it again.", "server": ""}
    hidden = {"reason": "it was overdue when it was last seen", "server": "server 42", "advice": ""}
    about = {"project": "shop", "since": "2026-11-27T02:03:00Z"}
    watch = answer(overdue=2, overdue_now=[{**about, **gone}, {**about, **hidden}])
    watch["projects"][0] |= {"seen": False, "why": "it has no token", "snapshots": None}
    text = "\n".join(lines(replace(STATUS, watch=watch), 80))
    assert "shop: could not be seen whole: it has no token (last seen 2026-11-28 09:10Z)" in text
    assert "  OVERDUE: its token is gone (since 2026-11-27 02:03Z)\n" in text
    assert "  OVERDUE: server 42: it was overdue when it was last seen (since 2026-11-27" in text
    assert "  What to do: Store it again.\n" in text
    assert "Not all is well: 2 overdue; not seen whole: shop." in text


def unseen() -> dict[str, Any]:
    watch = answer()
    watch["projects"][0] |= {"seen": False, "why": "the API is down"}
    return watch


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"watch": BAD}, "1 overdue"),
        ({"watch": answer(memory="unreadable")}, "the watch's memory"),
        ({"watch": unseen()}, "not seen whole: shop"),
        ({"watch": answer(projects=[])}, "no project has a token"),
        ({"alarms": [RED]}, "1 alarm is red"),
        ({"unknown": ["The alarms are not known."]}, "something is not known"),
        # These are shown, and no reason to wake anybody.
        ({"missing": ["The log has no results."]}, ""),
        ({"reach": "Messages reach nobody."}, ""),
        ({"watch": answer(server(42, "web-1"), running=["shop"])}, ""),
        ({"enabled": False}, ""),
    ],
)
def test_all_is_well_only_if_nothing_is_overdue_red_or_unknown(
    changed: dict[str, Any], why: str
) -> None:
    found = replace(STATUS, **changed)
    assert verdict(found) == ([why] if why else [])
    last = lines(found, 80)[-1]
    assert last == (f"Not all is well: {why}." if why else
                    "All is well: nothing is overdue, no alarm is red.")  # fmt: skip


def test_what_is_asleep_unknown_or_going_on_is_said() -> None:
    found = replace(
        STATUS, enabled=False, runs={}, missing=["The log is gone."],
        watch=answer(running=["shop"], memory="it is full"),
    )  # fmt: skip
    text = "\n".join(lines(found, 80))
    assert "Its schedule is DISABLED: no night starts by itself" in text
    assert "No run is known of the last 90 days" in text
    assert "  A run is going on.\n" in text
    assert "The watch's memory: it is full\n" in text
    assert "The log is gone.\n" in text
    nobody = lines(replace(STATUS, watch=answer(projects=[])), 80)
    told = "There is no project with a token yet: `make token PROJECT=default` stores one."
    assert told in nobody


# From here on against a stack.

Watch = Callable[[Any], Any]
ALARMS = {"RunNotCompletedAlarm": "hetzner-snapshots-Run-1", "WatchSilentAlarm": "hs-Silent-2"}


class Lambda:
    """What WatchServers answers; the events it was asked with."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: Any = GOOD
        self.error = ""

    def __call__(self, arguments: Any) -> Any:
        assert arguments["FunctionName"] == "WatchServers"
        self.asked.append(json.loads(arguments["Payload"]))
        failed = {"errorType": self.error, "errorMessage": "said so"}
        text = json.dumps(failed if self.error else self.answer).encode()
        error = {"FunctionError": "Unhandled"} if self.error else {}
        return {"Payload": io.BytesIO(text), **error}


@pytest.fixture
def watch(nights: Aws, stacks: Stacks, shell: pytest.MonkeyPatch) -> Lambda:
    """A stack with the watch and two alarms; another stack's alarm is red."""
    stacks[REGION, "hetzner-snapshots"]["Outputs"] += [
        {"OutputKey": "WatchServersFunction", "OutputValue": "WatchServers"},
        {"OutputKey": "DashboardLink", "OutputValue": "https://d.example"},
    ]
    watch = Lambda()
    to_aws = BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "ListStackResources":
            found = [
                {"LogicalResourceId": name, "PhysicalResourceId": id_,
                 "ResourceType": "AWS::CloudWatch::Alarm"} for name, id_ in ALARMS.items()
            ]  # fmt: skip
            other = {"LogicalResourceId": "Topic", "PhysicalResourceId": "x", "ResourceType": "T"}
            return {"StackResourceSummaries": [*found, other]}
        if operation == "Invoke" and arguments["FunctionName"] == "WatchServers":
            return watch(arguments)
        return to_aws(client, operation, arguments)

    shell.setattr(BaseClient, "_make_api_call", call)
    shell.setenv("COLUMNS", "80")
    for name in (*ALARMS.values(), "hetzner-snapshots-Run-of-another"):
        put_alarm(name)
    set_state("hetzner-snapshots-Run-of-another", "ALARM")
    return watch


def put_alarm(name: str, **more: Any) -> None:
    boto3.client("cloudwatch", region_name=REGION).put_metric_alarm(
        AlarmName=name, MetricName="m", Namespace="n", Period=3600, EvaluationPeriods=3,
        Threshold=1, ComparisonOperator="LessThanThreshold", Statistic="Sum", **more,
    )  # fmt: skip


def set_state(name: str, state: str) -> None:
    boto3.client("cloudwatch", region_name=REGION).set_alarm_state(
        AlarmName=name, StateValue=state, StateReason="so"
    )


def test_a_stack_that_is_well_is_told_with_its_last_run_and_costs(
    watch: Lambda, nights: Aws, project: Project, capsys: Capsys
) -> None:
    web, held = project.add_server("web-1"), project.add_server("held")
    project.lock(held, command="rebuild_server", seconds=None)
    night = nights.run({})
    nights.run({"dry_run": True})
    keep(nights.logs)
    watch.answer = answer(server(web.id, "web-1"), server(held.id, "held"))
    watch.answer["projects"][0]["project"] = "default"
    assert main("status", os.environ) == 0
    told = capsys.readouterr().out
    assert watch.asked == [{"only_look": True}]
    assert f"Last run {night.run_id}: PartiallyFailed: 1 of 2 servers, 1 failed" in told
    assert "0.13 EUR/month net at the last run" in " ".join(told.split())
    assert "\n      last run: failed: no snapshot made after 60 min: locked" in told
    assert "\nAlarms: none of 2 is red.\nMessages reach nobody. " in told
    assert told.endswith("\nAll is well: nothing is overdue, no alarm is red.\n")


@pytest.mark.parametrize("input", ["", "[]", "7", "{}", '{"run": null}', '{"run": ["dry_run"]}'])
def test_an_execution_that_somebody_started_by_hand_may_have_any_input(input: str) -> None:
    assert not is_dry_run(input)


def test_what_is_overdue_is_an_exit_code(watch: Lambda, capsys: Capsys) -> None:
    watch.answer = BAD
    assert main("status", os.environ) == 1
    assert capsys.readouterr().out.endswith("\nNot all is well: 1 overdue.\n")


def test_a_red_alarm_is_one_of_this_stack(watch: Lambda, capsys: Capsys) -> None:
    set_state("hetzner-snapshots-Run-1", "ALARM")
    assert main("status", os.environ) == 1
    told = capsys.readouterr().out
    assert "Alarm RunNotCompletedAlarm, ALARM since 20" in told
    assert told.endswith("\nNot all is well: 1 alarm is red.\n")


@pytest.mark.parametrize(("hours", "red"), [(1, False), (5, True)])
def test_an_alarm_about_silence_is_red_without_data_but_not_at_first(
    watch: Lambda, shell: pytest.MonkeyPatch, capsys: Capsys, hours: int, red: bool
) -> None:
    topic = f"arn:aws:sns:{REGION}:123456789012:topic"
    put_alarm("hs-Silent-2", InsufficientDataActions=[topic])
    for name in ALARMS.values():
        set_state(name, "INSUFFICIENT_DATA")

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(hours=hours)

    shell.setattr("deploy.status.datetime", Later)
    assert main("status", os.environ) == int(red)
    told = capsys.readouterr().out
    assert ("Alarm WatchSilentAlarm, INSUFFICIENT_DATA" in told) is red
    assert "RunNotCompletedAlarm" not in told


def test_for_programs_there_is_nothing_but_json(
    watch: Lambda, nights: Aws, project: Project, shell: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    project.add_server("web-1")
    nights.run({})
    keep(nights.logs)
    watch.answer = copy.deepcopy(GOOD)
    watch.answer["projects"][0]["project"] = "default"
    shell.setenv("JSON", "1")
    assert main("status", os.environ) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["watch"] == watch.answer
    assert told["well"] is True
    assert told["runs"]["default"]["verdict"] == "Completed"
    assert [alarm["name"] for alarm in told["alarms"]] == sorted(ALARMS)


def test_a_stack_without_the_watch_is_to_be_deployed_first(nights: Aws, capsys: Capsys) -> None:
    text = said("status", capsys)
    assert "is of an older version, which has no function WatchServers" in text
    assert "`make deploy REGION=eu-central-1`" in text


def test_an_error_of_the_watch_is_said_with_where_to_look(watch: Lambda, capsys: Capsys) -> None:
    watch.error = "NotTold"
    assert main("status", os.environ) == 1
    told = f"WatchServers ended with an error: said so. The log group {LOG_GROUP} says more."
    assert capsys.readouterr().err == f"{told}\n"


@pytest.mark.parametrize(
    ("operation", "told", "code"),
    [
        ("DescribeAlarms", "The alarms are not known: AWS does not allow DescribeAlarms", 1),
        ("ListExecutions", "The last runs are not known: AWS does not allow ListExecutions", 0),
        ("FilterLogEvents", f"The log group {LOG_GROUP} cannot be read: AWS does not allow", 0),
    ],
)
def test_what_may_not_be_asked_is_said_and_the_rest_is_shown(
    watch: Lambda,
    nights: Aws,
    project: Project,
    shell: pytest.MonkeyPatch,
    capsys: Capsys,
    operation: str,
    told: str,
    code: int,
) -> None:
    project.add_server("web-1")
    nights.run({})
    watch.answer = copy.deepcopy(GOOD)
    watch.answer["projects"][0]["project"] = "default"
    to_aws = BaseClient._make_api_call

    def call(client: Any, asked: str, arguments: Any) -> Any:
        if asked == operation:
            denied = {"Code": "AccessDenied", "Message": "not you."}
            raise ClientError({"Error": denied}, operation)
        return to_aws(client, asked, arguments)

    shell.setattr(BaseClient, "_make_api_call", call)
    assert main("status", os.environ) == code
    out = capsys.readouterr().out
    assert told in " ".join(out.split())
    assert "  db-1 " in out
    assert "No run is known" not in out, "there was one"
