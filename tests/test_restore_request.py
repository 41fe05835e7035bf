"""StartRestore: what it takes, and what it refuses before anything has started."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from handler.aws.settings import RestoreSettings
from handler.documents.request import RUN_ID, EventRefused
from handler.documents.restore import RestoreDocument
from handler.documents.restore_request import FIELDS, RestoreRequest, parse_restore_event
from handler.triggers.executions import ExecutionsUnknown, NotAllStarted
from handler.triggers.projects import NoProjects
from handler.triggers.start_restore import new_restore_id, start_restore
from local.virtual.template import REGION, Stack

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:RestoreRun"


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (None, "must be a JSON object, not null"),
        ({"server": "sg5"}, 'unknown field "server". Accepted are: project, servers'),
        ({"servers": []}, "servers is []; it must be a list of 1 to 20"),
        ({"servers": [str(n) for n in range(21)]}, "it must be a list of 1 to 20"),
        ({"servers": "sg5"}, 'servers is "sg5"; it must be a list'),
        ({"snapshot": "90016"}, 'snapshot is "90016"; it must be the id'),
        ({"snapshot": 0}, "snapshot is 0"),
        ({"snapshot": True}, "snapshot is true"),
        ({"snapshot": 9, "servers": ["a", "b"]}, "at most one server beside it"),
        ({"keep": "yes", "servers": ["a"]}, 'keep is "yes"; it must be true or false'),
        ({"keep": True}, "keep needs the field servers or snapshot"),
        ({"keep": True, "servers": ["a"], "scheduled_time": "2026-11-21T02:00:00Z"}, "by hand"),
        ({"servers": ["a"], "name": "b"}, "name needs keep true beside it"),
        ({"servers": ["a"], "server_type": "cx23"}, "server_type needs keep true"),
        ({"servers": ["a"], "location": "fsn1", "keep": False}, "location needs keep true"),
        ({"servers": ["a", "b"], "keep": True, "name": "c"}, "name is for one server"),
        ({"servers": ["a"], "keep": True, "name": "web_1"}, 'name is "web_1"; it must be a serv'),
        ({"servers": ["a"], "keep": True, "name": "-web"}, 'name is "-web"'),
        ({"servers": ["a"], "keep": True, "name": "a" * 64}, "name is"),
        ({"servers": ["a"], "keep": True, "name": "web\n"}, "name is"),
        ({"servers": ["a"], "keep": True, "server_type": "CX 23"}, 'server_type is "CX 23"'),
        ({"run_id": "a_b"}, 'run_id is "a_b"; it must be 1 to 32 letters'),
        ({"scheduled_time": "tomorrow"}, 'scheduled_time is "tomorrow"'),
        ({"scheduled_time": "2026-11-21T02:00:00"}, "scheduled_time is"),
        ({"sweep": 1}, "sweep is 1; it must be true or false"),
        ({"sweep": True, "dry_run": True}, "sweep stands alone"),
        ({"project": " "}, 'project is " "'),
        ({"dry_run": None}, "dry_run is null"),
    ],
)
def test_an_event_that_is_not_understood_is_refused_with_what_would_be(
    event: Any, said: str
) -> None:
    with pytest.raises(EventRefused) as refused:
        parse_restore_event(event)
    assert said in str(refused.value)
    assert str(refused.value).endswith("Nothing was started.")


@pytest.mark.parametrize(
    ("event", "request_"),
    [
        ({}, RestoreRequest()),
        ({"sweep": True}, RestoreRequest(sweep=True)),
        ({"scheduled_time": "<aws.scheduler.scheduled-time>"}, RestoreRequest()),
        (
            {"scheduled_time": "2026-11-21T02:00:00+01:00"},
            RestoreRequest(scheduled_time=datetime(2026, 11, 21, 1, tzinfo=UTC)),
        ),
        ({"servers": ["a", 7, "a"]}, RestoreRequest(servers=("a", 7))),
        ({"snapshot": 9, "keep": True}, RestoreRequest(snapshot=9, keep=True)),
        (
            {"servers": ["a"], "keep": True, "name": "B-2", "server_type": "cx23",
             "location": "fsn1", "dry_run": True, "project": "shop", "run_id": "again"},
            RestoreRequest("shop", ("a",), None, True, "B-2", "cx23", "fsn1", True, "again"),
        ),
    ],
)  # fmt: skip
def test_what_is_understood(event: Any, request_: RestoreRequest) -> None:
    assert parse_restore_event(event) == request_


def test_every_field_is_a_field_of_the_request() -> None:
    assert FIELDS.keys() == set(RestoreRequest.__dataclass_fields__)


class Account:
    """Step Functions and SSM as far as StartRestore asks them: executions by name."""

    class exceptions:
        class ExecutionAlreadyExists(Exception):
            pass

    def __init__(self, *projects: str) -> None:
        self.projects = projects
        self.started: dict[str, Any] = {}
        self.running: set[str] = set()
        self.broken: set[str] = set()  # projects
        self.down = False

    def get_paginator(self, _: str) -> "Account":
        return self

    def paginate(self, Path: str, **_: Any) -> list[Any]:
        found = [{"Name": f"{Path}/{p}", "Type": "SecureString"} for p in self.projects]
        return [{"Parameters": found}]

    def start_execution(self, stateMachineArn: str, name: str, input: str) -> None:
        if name in self.started:
            raise self.exceptions.ExecutionAlreadyExists
        document = json.loads(input)
        if document["run"]["project"] in self.broken:
            raise TimeoutError("no answer")
        self.started[name] = document
        self.running.add(name)

    def list_executions(self, **_: Any) -> Any:
        if self.down:
            client = boto3.client("stepfunctions", region_name=REGION)
            raise client.exceptions.ClientError(
                {"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListExecutions"
            )
        return {
            "executions": [
                {
                    "name": name,
                    "executionArn": f"{MACHINE}:{name}",
                    "status": "RUNNING" if name in self.running else "SUCCEEDED",
                    "startDate": NOW,
                }
                for name in reversed(self.started)
            ]
        }

    def start(self, event: Any, request_id: str = "1234567890ab-cdef") -> dict[str, Any]:
        stack = Stack(Restores="true")
        settings = RestoreSettings.from_env(stack.environment("StartRestore"))
        request = parse_restore_event(event)
        return start_restore(request, request_id, NOW, settings, self, self)  # type: ignore[arg-type]

    def documents(self) -> list[RestoreDocument]:
        return [RestoreDocument.from_dict(each) for each in self.started.values()]


def test_a_drill_is_started_in_each_project_and_a_repeat_starts_nothing() -> None:
    account = Account("shop", "blog")
    event = {"scheduled_time": "2026-11-22T09:00:00Z"}
    first = account.start(event)
    again = account.start(event, "another")
    assert first["run_id"] == again["run_id"]
    assert re.fullmatch("20261122T090000Z-[0-9a-f]{8}", first["run_id"])
    assert [e["started"] for e in (*first["executions"], *again["executions"])] == [
        True, True, False, False,
    ]  # fmt: skip
    assert sorted(document.run.project for document in account.documents()) == ["blog", "shop"]
    assert all(not document.run.keep for document in account.documents())


def test_two_stacks_of_one_owner_drill_at_the_same_time_under_different_ids() -> None:
    """By the same id each would find the other's copy by its name, watch it and remove it."""
    request = parse_restore_event({"scheduled_time": "2026-11-22T09:00:00Z"})
    ids = {
        new_restore_id(request, "1234", NOW, f"arn:aws:states:eu-central-1:1:stateMachine:{of}", ())
        for of in ("RestoreRun-a", "RestoreRun-b")
    }
    assert len(ids) == 2 and all(RUN_ID.fullmatch(each) for each in ids)


def test_a_restore_by_hand_has_the_requests_id_and_what_was_asked() -> None:
    account = Account("default")
    answer = account.start({"servers": ["sg5"], "keep": True, "name": "sg5-again"})
    assert answer["run_id"] == "20261121-1234567890ab"
    [document] = account.documents()
    assert (document.run.servers, document.run.keep) == (("sg5",), True)
    assert (document.run.name, document.run.owner) == ("sg5-again", "hetzner-snapshots")
    assert document.execution.endswith(f":{next(iter(account.started))}")


def test_an_id_that_another_restore_has_is_refused() -> None:
    account = Account("default")
    account.start({"servers": ["sg5"], "run_id": "mine"})
    with pytest.raises(EventRefused, match=r"there is a restore of that name.*Nothing was"):
        account.start({"servers": ["db1"], "run_id": "mine"})
    assert len(account.started) == 1
    # Another project's copies are other servers.
    account.projects = ("default", "shop")
    account.start({"project": "shop", "servers": ["db1"], "run_id": "mine"})
    assert len(account.started) == 2


@pytest.mark.parametrize("event", [{"servers": ["sg5"]}, {"snapshot": 9}])
def test_what_is_in_one_project_needs_its_name(event: Any) -> None:
    account = Account("shop", "blog")
    field = next(iter(event))
    with pytest.raises(EventRefused, match=f"The field {field} needs the field project"):
        account.start(event)
    assert not account.started


def test_nothing_is_started_without_a_token_or_for_an_unknown_project() -> None:
    with pytest.raises(NoProjects):
        Account().start({})
    with pytest.raises(EventRefused, match=r"accepted are: shop"):
        Account("shop").start({"project": "blog"})


def test_nothing_is_started_where_the_other_restores_are_not_known(aws_names: None) -> None:
    account = Account("default")
    account.down = True
    with pytest.raises(ExecutionsUnknown, match="Nothing was started"):
        account.start({})
    assert not account.started


@pytest.fixture
def aws_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


def test_one_project_that_cannot_be_started_leaves_the_others_alone() -> None:
    account = Account("blog", "shop")
    account.broken = {"blog"}
    with pytest.raises(NotAllStarted, match=r"blog: TimeoutError.*Started as restore .*: shop"):
        account.start({})


def test_a_sweep_is_told_which_restores_are_running_and_no_other_execution_is() -> None:
    account = Account("default", "shop")
    account.start({"run_id": "dead"})
    account.running.clear()
    account.start({"run_id": "alive"})
    account.start({"sweep": True}, "fedcba987654")
    sweeps = [document.run for document in account.documents() if document.run.sweep]
    assert sorted(run.project for run in sweeps) == ["default", "shop"]
    for run in sweeps:
        known = {each.id: each.is_running for each in run.restores or ()}
        assert known == {"dead": False, "alive": True}
    assert all(not d.run.restores for d in account.documents() if not d.run.sweep)
