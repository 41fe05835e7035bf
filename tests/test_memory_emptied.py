"""The watch's memory after CloudFormation has written the template's value over it."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from handler.aws.memory import MOST_BLANK, MemoryUnknown, read_memory
from handler.documents.memory import Memory
from handler.triggers import watch_servers
from local.simulator import Project
from local.virtual.template import REGION
from tests.aws import Aws
from tests.eventful import Inbox
from tests.snapshots import ours
from tests.test_watch_servers import PARAMETER, remember, remembered


def test_a_project_that_is_missed_is_missed_after_a_deployment_too(
    aws: Aws, project: Project, inbox: Inbox
) -> None:
    ours(project, project.add_server("sg5"), 1)
    aws.invoke("WatchServers", {})
    for _ in range(MOST_BLANK - 1):
        remember("{}")
    boto3.client("ssm", region_name=REGION).delete_parameter(
        Name="/hetzner-snapshots/tokens/default"
    )
    answer = aws.invoke("WatchServers", {})
    assert [(each["project"], each["reason"]) for each in answer["overdue_now"]] == [
        ("default", "its token is gone")
    ]
    assert (answer["memory"], len(inbox.messages())) == ("", 1)
    # What it remembers is there again, and it was told.
    assert json.loads(remembered())["projects"].keys() == {"default"}
    remember("{}")
    assert aws.invoke("WatchServers", {})["told"] == ""


def test_the_first_value_is_no_memory_that_was_lost(aws: Aws, project: Project) -> None:
    ssm = boto3.client("ssm", region_name=REGION)
    remember("{}")
    assert read_memory(ssm, PARAMETER) == Memory()


@pytest.mark.parametrize(
    "code", ["ParameterVersionNotFound", "AccessDeniedException", "ThrottlingException"]
)
def test_what_was_emptied_and_cannot_be_read_is_never_taken_for_nothing(code: str) -> None:
    class Ssm:
        def get_parameter(self, Name: str) -> Any:
            if Name == PARAMETER:
                return {"Parameter": {"Value": "{}", "Version": 7}}
            assert Name == f"{PARAMETER}:6"
            raise ClientError({"Error": {"Code": code}}, "GetParameter")

    ssm: Any = Ssm()
    if code != "ThrottlingException":
        assert read_memory(ssm, PARAMETER).problem.startswith("it was emptied")
    else:
        with pytest.raises(MemoryUnknown, match=f"{PARAMETER}:6: .*Throttling"):
            read_memory(ssm, PARAMETER)


@pytest.mark.parametrize("text", ["{}", "broken {", '{"projects":{"default":7}}'])
def test_what_is_written_over_it_during_a_look_costs_no_memory(
    aws: Aws, project: Project, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    ours(project, project.add_server("sg5"), 1)
    aws.invoke("WatchServers", {})
    take_look = watch_servers.take_look

    def deployed(*arguments: Any, **more: Any) -> Any:
        remember(text)
        return take_look(*arguments, **more)

    monkeypatch.setattr(watch_servers, "take_look", deployed)
    aws.invoke("WatchServers", {})
    assert json.loads(remembered())["projects"].keys() == {"default"}
