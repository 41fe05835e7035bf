"""WatchServers by itself: its requests, its event, its memory in SSM, and when AWS fails it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from handler.documents.memory import Memory
from handler.documents.request import EventRefused
from handler.documents.watch_request import parse_watch_event
from handler.triggers import watch_servers
from handler.triggers.watch_servers import NotTold
from local.simulator import Project, World
from local.virtual.template import PSEUDO, REGION
from tests.aws import Aws
from tests.eventful import Inbox
from tests.leaks import a_token
from tests.snapshots import ours, writes

PARAMETER = "CFN-WatchMemory"


def remembered() -> str:
    ssm = boto3.client("ssm", region_name=REGION)
    return str(ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"])


def remember(text: str) -> None:
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name=PARAMETER, Value=text, Type="String", Overwrite=True
    )


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, client: str, method: str) -> Iterator[None]:
    """Meanwhile AWS refuses that call of the watch."""
    real = getattr(watch_servers, client)()

    class Failing:
        def __getattr__(self, name: str) -> Any:
            if name == method:
                raise ClientError({"Error": {"Code": "InternalServerError"}}, name)
            return getattr(real, name)

    with monkeypatch.context() as patched:
        patched.setattr(watch_servers, client, Failing)
        yield


def late(project: Project) -> None:
    ours(project, project.add_server("sg5"), 3)


@pytest.mark.parametrize("selector", ["", "env=prod"])
def test_fifty_servers_with_a_hundred_and_fifty_snapshots_are_four_requests(
    aws: Aws, world: World, project: Project, selector: str
) -> None:
    aws.stack.parameters["LabelSelector"] = selector
    for number in range(50):
        server = project.add_server(f"sg{number}", labels={"env": "prod"})
        for day in (1, 2, 3):
            ours(project, server, day)
    answer = aws.invoke("WatchServers", {})
    [shop] = answer["projects"]
    assert (len(shop["servers"]), shop["snapshots"], answer["overdue"]) == (50, 150, 0)
    assert len(world.requests) == 4
    assert not writes(world)


def test_servers_that_the_selector_does_not_match_are_asked_for_only_if_none_does(
    aws: Aws, world: World, project: Project
) -> None:
    aws.stack.parameters["LabelSelector"] = "env=prod"
    project.add_server("theirs")
    answer = aws.invoke("WatchServers", {})
    [server] = answer["projects"][0]["servers"]
    assert server["included"] is False
    assert server["why_left_out"] == "does not match the label selector 'env=prod'"
    assert len(world.requests) == 3


def test_the_answer_is_the_one_that_is_promised(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    image = ours(project, server, 1)
    answer = aws.invoke("WatchServers", {})
    assert answer == {
        "looked_at": "2026-11-21T02:00:00Z",
        "overdue": 0,
        "memory": "",
        "projects": [
            {
                "project": "default",
                "seen": True,
                "why": "",
                "first_seen": "2026-11-21T02:00:00Z",
                "last_seen": "2026-11-21T02:00:00Z",
                "servers": [
                    {
                        "id": server.id,
                        "name": "sg5",
                        "included": True,
                        "why_left_out": "",
                        "newest": "2026-11-20T02:00:00Z",
                        "image_id": image.id,
                        "size_gb": image.image_size,
                        "limit_hours": 26,
                        "due_at": "2026-11-21T04:00:00Z",
                        "overdue": "",
                        "every": None,
                        "volumes": 0,
                        "backups": False,
                    }
                ],
                "snapshots": 1,
                "stored_gb": image.image_size,
                "overdue": [],
                "requests_left": 3598,
                "proven": "",
            }
        ],
        "overdue_now": [],
        "told": "",
        "running": [],
    }


def test_a_look_alone_tells_nobody_and_remembers_nothing(
    aws: Aws, project: Project, inbox: Inbox
) -> None:
    late(project)
    answer = aws.invoke("WatchServers", {"only_look": True})
    assert (answer["overdue"], answer["told"]) == (1, "overdue")
    assert (remembered(), aws.metrics, inbox.messages()) == ("{}", [], [])
    # What it would have told is told by the next real look.
    aws.invoke("WatchServers", {})
    [message] = inbox.messages()
    assert message["Subject"] == "hetzner-snapshots: overdue: default/sg5"


def test_what_is_to_be_typed_is_for_the_stack_that_tells(
    aws: Aws, world: World, project: Project, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two stacks in an account the other has a project of that name, too."""
    monkeypatch.setitem(PSEUDO, "AWS::StackName", "staging")
    server = project.add_server("sg5")
    aws.invoke("WatchServers", {})
    project.delete_server(server)
    answer = aws.invoke("WatchServers", {})
    [message] = inbox.messages()
    forget = "`make forget PROJECT=default STACK=staging KEEP_TOKEN=1`"
    assert forget in message["Message"] and forget in answer["overdue_now"][0]["advice"]
    assert "All that the watch sees: make status STACK=staging, or" in message["Message"]


def test_a_project_that_is_forgotten_is_not_missed(aws: Aws, project: Project) -> None:
    late(project)
    aws.invoke("WatchServers", {})
    boto3.client("ssm", region_name=REGION).delete_parameter(
        Name="/hetzner-snapshots/tokens/default"
    )
    assert aws.invoke("WatchServers", {})["overdue_now"][0]["reason"] == "its token is gone"
    assert aws.invoke("WatchServers", {"forget": "default"}) == {
        "forgotten": "default",
        "remembered": [],
    }
    assert aws.invoke("WatchServers", {})["projects"] == []


def test_a_project_that_is_forgotten_during_a_look_stays_forgotten(
    aws: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    late(project)
    aws.invoke("WatchServers", {})
    take_look = watch_servers.take_look

    def meanwhile(*arguments: Any, **more: Any) -> Any:
        remember(Memory().to_text())
        return take_look(*arguments, **more)

    monkeypatch.setattr(watch_servers, "take_look", meanwhile)
    aws.invoke("WatchServers", {})
    assert Memory.parse(remembered()).projects == {}


def test_a_project_that_nobody_remembers_cannot_be_forgotten(aws: Aws, project: Project) -> None:
    late(project)
    aws.invoke("WatchServers", {})
    before = remembered()
    with pytest.raises(EventRefused, match=r"'shop', which is not remembered; .* are: default"):
        aws.invoke("WatchServers", {"forget": "shop"})
    assert remembered() == before


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (None, "must be a JSON object, not null"),
        ([], "must be a JSON object, not []"),
        ({"project": "shop"}, 'has an unknown field "project"'),
        ({"only_look": 1}, "has in its field only_look no true or false but 1"),
        ({"only_look": None}, "has in its field only_look no true or false but null"),
        ({"forget": ""}, 'has in its field forget no project\'s name but ""'),
        ({"forget": "../x"}, 'has in its field forget no project\'s name but "../x"'),
        ({"forget": ["shop"]}, 'has in its field forget no project\'s name but ["shop"]'),
        ({"forget": "shop", "only_look": True}, "has two fields and may have one:"),
        ({"x" * 5000: 1}, "xxx..."),
    ],
)
def test_another_event_is_refused_with_what_is_accepted(event: Any, said: str) -> None:
    with pytest.raises(EventRefused) as refused:
        parse_watch_event(event)
    assert said in str(refused.value)
    assert '{"only_look": true}' in str(refused.value) and len(str(refused.value)) < 500


def test_a_memory_that_somebody_has_broken_is_told_and_begun_anew(
    aws: Aws, project: Project, inbox: Inbox
) -> None:
    ours(project, project.add_server("sg5"), 1)
    remember("broken {")
    answer = aws.invoke("WatchServers", {})
    assert answer["memory"] == "what the watch remembered cannot be read: 'broken {'"
    assert (answer["overdue"], answer["told"]) == (1, "overdue")
    assert Memory.parse(remembered()).projects.keys() == {"default"}
    assert aws.invoke("WatchServers", {})["told"] == "all clear"
    assert [m["Subject"] for m in inbox.messages()] == [
        "hetzner-snapshots: overdue: the memory",
        "hetzner-snapshots: all clear, nothing is overdue any more",
    ]


def test_while_ssm_does_not_give_the_memory_it_is_counted_and_nothing_is_overwritten(
    aws: Aws, project: Project, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    late(project)
    aws.invoke("WatchServers", {})
    before = remembered()
    with failing(monkeypatch, "ssm", "get_parameter"):
        with pytest.raises(NotTold, match="SSM does not give the parameter CFN-WatchMemory"):
            aws.invoke("WatchServers", {})
        answer = aws.invoke("WatchServers", {"only_look": True})
    assert answer["memory"].startswith("SSM does not give")
    assert aws.metrics[-1]["ServersOverdue"] == [2]
    assert remembered() == before
    assert len(inbox.messages()) == 1


def test_what_could_not_be_told_is_told_by_the_next_look(
    aws: Aws, project: Project, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    late(project)
    not_told = pytest.raises(NotTold, match=r"could not be sent: .*InternalServerError")
    with failing(monkeypatch, "sns", "publish"), not_told:
        aws.invoke("WatchServers", {})
    assert remembered() == "{}"
    assert aws.metrics[-1]["ServersOverdue"] == [1]
    assert aws.invoke("WatchServers", {})["told"] == "overdue"
    assert len(inbox.messages()) == 1


def test_what_could_not_be_remembered_is_an_error_of_the_function(
    aws: Aws, project: Project, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    late(project)
    not_told = pytest.raises(NotTold, match="it is told again in an hour")
    with failing(monkeypatch, "ssm", "put_parameter"), not_told:
        aws.invoke("WatchServers", {})
    # Rather twice than not at all.
    aws.invoke("WatchServers", {})
    assert len(inbox.messages()) == 2


def test_while_ssm_does_not_list_the_tokens_the_remembered_projects_are_looked_at(
    aws: Aws, project: Project, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours(project, project.add_server("sg5"), 1)
    aws.invoke("WatchServers", {})
    with failing(monkeypatch, "ssm", "get_paginator"):
        answer = aws.invoke("WatchServers", {})
    assert [(each["project"], each["seen"]) for each in answer["projects"]] == [("default", True)]
    assert (answer["overdue"], inbox.messages()) == (0, [])


def test_a_bug_about_one_project_costs_no_other_its_look(
    aws: Aws, world: World, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, token = world.project("other"), a_token("other")
    other.add_token(token)
    aws.store_token("other", token)
    take_look = watch_servers.take_look

    def broken(hetzner: Any, *arguments: Any, **more: Any) -> Any:
        if hetzner._token_name.endswith("default"):
            raise ZeroDivisionError
        return take_look(hetzner, *arguments, **more)

    monkeypatch.setattr(watch_servers, "take_look", broken)
    answer = aws.invoke("WatchServers", {})
    assert [(each["project"], each["why"]) for each in answer["projects"]] == [
        ("default", "an error in this function: ZeroDivisionError"),
        ("other", ""),
    ]


def test_a_run_that_is_going_on_is_in_the_answer(aws: Aws, project: Project) -> None:
    late(project)
    answers = []

    def look(function: str, _: Any) -> None:
        if function == "CreateSnapshot":
            aws.before = None
            answers.append(aws.invoke("WatchServers", {"only_look": True}))

    aws.before = look
    aws.run({})
    assert [answer["running"] for answer in answers] == [["default"]]


def test_no_token_is_in_what_the_watch_says_or_remembers(aws: Aws, project: Project) -> None:
    from tests.conftest import TOKEN
    from tests.leaks import piece_of

    late(project)
    answer = aws.invoke("WatchServers", {})
    said = json.dumps([answer, aws.logs, aws.metrics], default=str) + remembered()
    assert not piece_of(TOKEN, said)
