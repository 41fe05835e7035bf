"""StartRun: what it takes, and what it refuses before anything has happened."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.events import OF_RESTORE
from handler.aws.settings import RunSettings
from handler.documents.request import FIELDS, EventRefused, parse_event
from handler.documents.run import RunDocument, Selection
from handler.triggers.executions import NotAllStarted
from handler.triggers.projects import NoProjects
from handler.triggers.start_run import first_document
from local.simulator import Project, World
from local.virtual.template import REGION, ROOT
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.documents import RUN

EVENTS = sorted(p for p in (ROOT / "events").glob("*.json") if p.stem not in OF_RESTORE)
ENVELOPE = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-21T02:00:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:events:eu-central-1:123456789012:rule/nightly"],
    "detail": {},
}


def executions() -> list[str]:
    client = boto3.client("stepfunctions", region_name=REGION)
    [machine] = client.list_state_machines()["stateMachines"]
    listed = client.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    return [execution["name"] for execution in listed]


def first_input(answer: dict[str, Any]) -> Any:
    client = boto3.client("stepfunctions", region_name=REGION)
    arn = answer["executions"][0]["execution_arn"]
    return json.loads(client.describe_execution(executionArn=arn)["input"])


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (None, "must be a JSON object, not null"),
        ([], "must be a JSON object, not []"),
        ("all", 'must be a JSON object, not "all"'),
        ({"key1": "value1"}, 'unknown field "key1"'),
        ({"Servers": ["sg5"]}, 'unknown field "Servers"'),
        ({"dry_run": "true"}, 'dry_run is "true"; it must be true or false'),
        ({"dry_run": 1}, "dry_run is 1; it must be true or false"),
        ({"dry_run": None}, "dry_run is null; it must be true or false"),
        ({"servers": []}, "servers is []; it must be a list of server names"),
        ({"servers": "sg5"}, 'servers is "sg5"; it must be a list'),
        ({"servers": ["server"] * 3000}, "so many are better chosen by a label_selector"),
        ({"servers": [""]}, 'servers is [""]'),
        ({"servers": [True]}, "servers is [true]"),
        ({"servers": [1.5]}, "servers is [1.5]"),
        ({"servers": [{"id": 1}]}, 'servers is [{"id": 1}]'),
        ({"label_selector": ""}, 'label_selector is ""; it must be a Hetzner label selector'),
        ({"label_selector": 7}, "label_selector is 7"),
        ({"retention": ""}, 'retention is ""; it must be a retention policy'),
        ({"retention": "last0"}, 'retention is "last0"'),
        ({"retention": ["last3"]}, 'retention is ["last3"]'),
        ({"run_id": ""}, 'run_id is ""; it must be 1 to 32 letters'),
        ({"run_id": "a" * 33}, "run_id is"),
        ({"run_id": "2026_11"}, 'run_id is "2026_11"'),
        ({"run_id": "run\n"}, "run_id is"),
        ({"new": True}, "new needs the field run_id"),
        ({"run_id": "nightly", "new": 1}, "new is 1; it must be true or false"),
        ({"on_locked": "Wait"}, 'on_locked is "Wait"; it must be "wait" or "skip"'),
        ({"on_locked": ["wait"]}, 'on_locked is ["wait"]'),
        ({"project": ""}, 'project is ""'),
        ({"project": "nobody"}, 'project is "nobody"; accepted are: default'),
        ({"scheduled_time": "tonight"}, 'scheduled_time is "tonight"; it must be a time such as'),
        ({"scheduled_time": "2026-11-21T02:00:00"}, "scheduled_time is"),
        ({"scheduled_time": 1763690400}, "scheduled_time is 1763690400"),
        ({**ENVELOPE, "time": "later"}, 'scheduled_time is "later"'),
        ({**ENVELOPE, "detail-type": "EC2 Instance State-change"}, 'unknown field "version"'),
    ],
)
def test_a_bad_event_is_refused_and_nothing_started(
    aws: Aws, world: World, event: Any, said: str
) -> None:
    with pytest.raises(EventRefused) as refusal:
        aws.invoke("StartRun", event)
    assert said in str(refusal.value)
    assert executions() == []
    assert world.requests == []


def test_an_unknown_field_is_answered_with_the_fields_there_are() -> None:
    with pytest.raises(EventRefused) as refusal:
        parse_event({"key1": "value1"})
    assert all(name in str(refusal.value) for name in FIELDS)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(EventRefused) as refusal:
        parse_event({"dry_run": "x" * 100_000})
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("file", EVENTS, ids=lambda path: path.stem)
def test_every_event_file_is_taken(aws: Aws, project: Project, file: Path) -> None:
    project.add_server("sg5")
    event = json.loads(file.read_text())
    if "run_id" in event:
        aws.run({"scheduled_time": "2026-11-21T02:00:00Z"})
    assert aws.run(event).verdict() == "Completed"


def test_the_event_files_cover_what_people_ask_for() -> None:
    named = {path.stem for path in EVENTS}
    assert {"scheduled", "all", "one-server", "dry-run", "skip-locked", "resume"} <= named


def test_eventbridges_own_envelope_is_a_scheduled_run(aws: Aws) -> None:
    answer = aws.invoke("StartRun", ENVELOPE)
    assert answer["run_id"] == "20261121T020000Z"
    aws.finish(answer)


def test_a_schedule_in_another_time_zone_names_the_run_in_utc(aws: Aws) -> None:
    answer = aws.invoke("StartRun", {"scheduled_time": "2026-11-21T03:00:00+01:00"})
    assert answer["run_id"] == "20261121T020000Z"
    aws.finish(answer)


def test_a_scheduled_time_that_was_not_filled_in_counts_as_none(aws: Aws) -> None:
    event = {"scheduled_time": "<aws.scheduler.scheduled-time>"}
    answer = aws.invoke("StartRun", event, request_id="3f9c2a1b-7777-4000-8000-000000000000")
    assert answer["run_id"].endswith("-3f9c2a1b7777")
    aws.finish(answer)


def test_the_template_fills_in_the_scheduled_time(aws: Aws) -> None:
    events = aws.stack.resource("StartRun")["Properties"]["Events"]
    schedule_input = json.loads(events["Nightly"]["Properties"]["Input"])
    assert parse_event(schedule_input).scheduled_time is None
    assert schedule_input == {"scheduled_time": "<aws.scheduler.scheduled-time>"}


def test_an_empty_event_asks_for_everything_as_deployed(aws: Aws) -> None:
    answer = aws.invoke("StartRun", {})
    document = first_input(answer)
    assert document["selection"]["servers"] == []
    assert document["selection"]["label_selector"] == ""
    assert document["run"]["retention"] == "daily3"
    assert document["run"]["dry_run"] is False
    aws.finish(answer)


def test_duplicate_servers_count_once(aws: Aws, project: Project, world: World) -> None:
    server = project.add_server("sg5")
    night = aws.run({"servers": ["sg5", "sg5", server.id, server.id]})
    assert night.verdict() == "Completed"
    assert len(project.images) == 1


def test_a_server_whose_name_is_a_number_is_meant_by_its_name(aws: Aws, project: Project) -> None:
    first = project.add_server("sg5")
    named = project.add_server(str(first.id))
    night = aws.run({"servers": [named.name]})
    assert list(night.results) == [named.name]


def test_a_string_of_digits_that_is_no_name_is_an_id(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    night = aws.run({"servers": [str(server.id)]})
    assert list(night.results) == ["sg5"]


def test_the_same_delivery_twice_by_lambda_starts_nothing_twice(aws: Aws) -> None:
    request = "aaaaaaaa-7777-4000-8000-000000000000"
    first = aws.invoke("StartRun", {}, request_id=request)
    second = aws.invoke("StartRun", {}, request_id=request)
    assert first["run_id"] == second["run_id"]
    aws.finish(first)
    assert len(executions()) == 1


def test_lambda_trying_a_resume_again_is_not_refused_by_its_own_execution(
    aws: Aws, project: Project
) -> None:
    project.lock(project.add_server("sg5"), seconds=600)
    request = "bbbbbbbb-7777-4000-8000-000000000000"
    first = aws.invoke("StartRun", {"run_id": "nightly", "new": True}, request_id=request)
    aws.invoke("StartRun", {"run_id": "nightly", "new": True}, request_id=request)
    aws.finish(first)
    assert len(executions()) == 1


def test_a_different_request_at_the_same_time_is_not_swallowed(aws: Aws) -> None:
    event = {"scheduled_time": "2026-11-21T02:00:00Z"}
    answers = [aws.invoke("StartRun", event), aws.invoke("StartRun", {**event, "dry_run": True})]
    for answer in answers:
        aws.finish(answer)
    assert len(executions()) == 2


def test_without_a_token_the_message_has_the_command_that_stores_one(aws: Aws) -> None:
    boto3.client("ssm", region_name=REGION).delete_parameter(
        Name="/hetzner-snapshots/tokens/default"
    )
    with pytest.raises(NoProjects) as missing:
        aws.invoke("StartRun", {})
    assert "aws ssm put-parameter --type SecureString" in str(missing.value)
    assert "--name /hetzner-snapshots/tokens/default" in str(missing.value)
    assert executions() == []


def test_a_token_of_type_string_is_used_and_warned_about(
    aws: Aws, world: World, project: Project
) -> None:
    plain = world.project("plain")
    plain.add_token("p" * 64)
    plain.add_server("other")
    aws.store_token("plain", "p" * 64, kind="String")
    night = aws.run({"project": "plain"})
    assert night.verdict("plain") == "Completed"
    [warning] = night.answer["warnings"]
    assert "/hetzner-snapshots/tokens/plain is a String" in warning
    assert "put-parameter --type SecureString" in warning


def test_a_nested_token_is_named_and_the_others_run(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.store_token("team/one", "n" * 64)
    with pytest.raises(NotAllStarted) as partly:
        aws.invoke("StartRun", {})
    assert "/hetzner-snapshots/tokens/team/one is no project" in str(partly.value)
    assert "Started in run" in str(partly.value)
    assert len(executions()) == 1


@pytest.mark.parametrize("stored", [TOKEN + "\n", f"  {TOKEN}\r\n"])
def test_a_token_with_a_newline_at_its_end_works(aws: Aws, project: Project, stored: str) -> None:
    project.add_server("sg5")
    client = boto3.client("ssm", region_name=REGION)
    client.put_parameter(
        Name="/hetzner-snapshots/tokens/default", Value=stored, Type="SecureString", Overwrite=True
    )
    assert aws.run({}).verdict() == "Completed"


@pytest.mark.parametrize("stored", ["two\nlines", "Bearer token", "tökén"])
def test_a_parameter_that_holds_no_token_is_named_and_not_quoted(
    aws: Aws, project: Project, stored: str
) -> None:
    project.add_server("sg5")
    client = boto3.client("ssm", region_name=REGION)
    client.put_parameter(
        Name="/hetzner-snapshots/tokens/default", Value=stored, Type="SecureString", Overwrite=True
    )
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert "/hetzner-snapshots/tokens/default holds no API token" in night.summary()
    assert stored not in json.dumps([aws.logs, night.executions], default=str, ensure_ascii=False)


def test_one_project_that_cannot_be_started_leaves_the_others_alone(
    aws: Aws, world: World, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from handler.triggers import start_run

    project.add_server("sg5")
    aws.store_token("another", "x" * 64)
    real = start_run.start_execution

    def fail_first(client: Any, arn: str, document: Any, *more: str) -> Any:
        if document.run.project == "another":
            raise TimeoutError("Step Functions does not answer")
        return real(client, arn, document, *more)

    monkeypatch.setattr(start_run, "start_execution", fail_first)
    with pytest.raises(NotAllStarted, match=r"another: TimeoutError.*Started in run .*: default"):
        aws.invoke("StartRun", {})
    assert len(executions()) == 1


def test_a_console_link_names_region_and_execution(aws: Aws) -> None:
    answer = aws.invoke("StartRun", {})
    [execution] = answer["executions"]
    assert execution["console"] == (
        "https://eu-central-1.console.aws.amazon.com/states/home?region=eu-central-1"
        f"#/v2/executions/details/{execution['execution_arn']}"
    )
    aws.finish(answer)


def test_every_execution_name_is_legal(aws: Aws) -> None:
    aws.store_token("a" * 29, "x" * 64)
    with pytest.raises(EventRefused):
        aws.invoke("StartRun", {"project": "a" * 30})
    answer = aws.invoke("StartRun", {"run_id": "r" * 32, "project": "a" * 29, "new": True})
    name = answer["executions"][0]["execution_arn"].rsplit(":", 1)[1]
    assert len(name) == 80
    aws.finish(answer)


def test_a_resume_finds_out_anew_what_an_execution_finds_out_by_itself() -> None:
    """When it began and by which servers it knows its project is of one execution only."""
    at = "2026-11-20T02:00:00Z"
    found_out = {
        "began": at, "first_began": at, "earliest_began": at, "server_count": 9, "witnesses": (1, 2)
    }  # fmt: skip
    around = {"concurrent_runs": ("other",), "earlier_deletions": 3}
    earlier = RunDocument(
        run=replace(RUN, **found_out, **around), selection=Selection(), status="new"
    )
    settings = RunSettings(
        "/t", "arn", "logs", "you", "", "last9", "skip", 1, 2, 3, 4, 5, 6, "include", "memory"
    )
    again = parse_event({"run_id": "night"})
    resumed = first_document(again, "night", "default", settings, earlier)
    assert resumed.run == RUN
    assert resumed.resumes
