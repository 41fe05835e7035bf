"""What the stack tells people: a queue on the local AWS, subscribed to its topic."""

import json
import time
from typing import Any

import boto3

from local.access import Access
from local.aws import connection, outputs

NAME = "inbox"


class Inbox:
    def __init__(self, aws: Access) -> None:
        self._sqs = boto3.client("sqs", **connection(aws))
        self._queue = self._sqs.create_queue(QueueName=NAME)["QueueUrl"]
        named = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        boto3.client("sns", **connection(aws)).subscribe(
            TopicArn=outputs(aws)["NotificationsTopicArn"],
            Protocol="sqs",
            Endpoint=named["Attributes"]["QueueArn"],
        )

    def empty(self) -> None:
        self._sqs.purge_queue(QueueUrl=self._queue)

    def wait_for(self, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        """The messages that came, at the latest when so many have or that time has passed."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + seconds
        while len(found) < count and time.monotonic() < deadline:
            answer = self._sqs.receive_message(
                QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", []):
                found.append(json.loads(message["Body"]))
                self._sqs.delete_message(
                    QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"]
                )
        return found
