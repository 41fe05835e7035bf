"""A night with many kinds of events, and an inbox that gets its notification."""

import json
from typing import Any

import boto3
from moto.sns.models import sns_backends

from handler.decisions.proof import label_time
from handler.documents.labels import LABEL_SERVER_PROVEN_AT
from local.simulator import Fault, Project, World
from local.simulator.faults import drop
from local.virtual.template import ACCOUNT, REGION
from tests.aws import Aws
from tests.snapshots import ours

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
        # moto counts no subscriptions. There are this one and that of Tell.
        sns_backends[ACCOUNT][REGION].topics[topic["TopicArn"]].subscriptions_confimed = 2

    def messages(self) -> list[dict[str, Any]]:
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]


def eventful_night(aws: Aws, world: World, project: Project) -> Any:
    """Servers that are locked, adopted, failing, not pruned, left out, proven; a snapshot without
    one."""
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
        old = ours(project, full, days)
    old.labels[LABEL_SERVER_PROVEN_AT] = label_time(old.created)
    return aws.run({})
