"""Whom messages reach: said by `make smoke` and `make tell`, and by each run in its log."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws

import deploy.account
from deploy.reach import parameter_of, reach_of
from deploy.settings import Settings
from handler.aws import clients
from handler.aws.reach import why_unreached
from local.simulator import Project
from tests.aws import Aws

REGION = "eu-central-1"
TELL = f"arn:aws:lambda:{REGION}:123456789012:function:hetzner-snapshots-Tell-1"
MAIL = "me@example.org"


class Place:
    """A topic, its subscriptions, and the parameter of `make tell`."""

    def __init__(self) -> None:
        self.account = deploy.account.Account(boto3.Session(region_name=REGION), "1", REGION)
        self.sns, self.ssm = self.account.client("sns"), self.account.client("ssm")
        self.topic = self.sns.create_topic(Name="Notifications")["TopicArn"]
        outputs = {
            "NotificationsTopicArn": self.topic,
            "TellFunction": "hetzner-snapshots-Tell-1",
        }
        self.pending: list[dict[str, str]] = []
        self.stack = deploy.account.Stack("hetzner-snapshots", "CREATE_COMPLETE", {}, outputs)

    def subscribe(self, protocol: str, endpoint: str) -> None:
        self.sns.subscribe(TopicArn=self.topic, Protocol=protocol, Endpoint=endpoint)

    def answer(self, operation: str, found: Any) -> Any:
        """moto's answer as AWS gives it: with what waits, and with true counts."""
        if operation == "ListSubscriptionsByTopic":
            found["Subscriptions"] += self.pending
        if operation == "GetTopicAttributes":
            listed = self.sns.list_subscriptions_by_topic(TopicArn=self.topic)["Subscriptions"]
            pending = len(self.pending)
            found["Attributes"]["SubscriptionsConfirmed"] = str(len(listed) - pending)
            found["Attributes"]["SubscriptionsPending"] = str(pending)
        return found

    def store(self) -> None:
        self.ssm.put_parameter(Name=parameter_of(self.stack), Value="x", Type="SecureString")

    def said(self) -> str:
        return reach_of(self.account, self.stack).told(Settings.from_env({}))

    def run_says(self) -> str:
        return why_unreached(self.topic, parameter_of(self.stack))


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION"):
        monkeypatch.setenv(f"AWS_{name}", REGION)
    getters = (clients.sns, clients.ssm)
    with mock_aws():
        for getter in getters:
            getter.cache_clear()
        place = Place()
        to_aws = BaseClient._make_api_call

        def call(client: Any, operation: str, arguments: Any) -> Any:
            return place.answer(operation, to_aws(client, operation, arguments))

        monkeypatch.setattr(BaseClient, "_make_api_call", call)
        yield place
    for getter in getters:
        getter.cache_clear()


def test_with_tell_alone_and_no_address_messages_reach_nobody(place: Place) -> None:
    place.subscribe("lambda", TELL)
    assert place.said().startswith("Messages reach nobody. Store an address with `make tell`, or ")
    assert place.run_says().startswith("Messages reach nobody: the topic has no other subscription")


def test_without_any_subscription_messages_reach_nobody(place: Place) -> None:
    place.store()
    assert place.said().startswith(
        "Messages reach nobody. The addresses of `make tell` get nothing: Tell's subscription"
    )
    assert "no subscription to the topic is confirmed (0 wait)" in place.run_says()


def test_addresses_reach_somebody(place: Place) -> None:
    place.subscribe("lambda", TELL)
    place.store()
    assert place.said() == "Messages reach the addresses of `make tell`."
    assert place.run_says() == ""


def test_a_mail_that_was_never_confirmed_is_not_asked_for_by_a_deployment(place: Place) -> None:
    """CloudFormation sees no change in the same address, and AWS writes no mail."""
    place.subscribe("lambda", TELL)
    place.stack = replace(place.stack, parameters={"NotificationEmail": MAIL})
    said = place.said()
    assert f"in the SNS console, create the topic's subscription of {MAIL} again" in said
    assert "PARAMETERS=" not in said
    place.stack = replace(place.stack, parameters={"NotificationEmail": ""})
    assert "or deploy with PARAMETERS='NotificationEmail=you@example.org'" in place.said()


def test_a_confirmed_subscription_reaches_somebody(place: Place) -> None:
    place.subscribe("lambda", TELL)
    place.subscribe("email", MAIL)
    place.subscribe("email", f"{MAIL}.au")
    assert place.said() == "Messages reach 2 by email."
    assert place.run_says() == ""


@pytest.fixture
def unconfirmed(place: Place) -> Place:
    """With a mail that waits: moto confirms by itself."""
    place.subscribe("lambda", TELL)
    place.pending = [
        {"Protocol": "email", "Endpoint": MAIL, "SubscriptionArn": "PendingConfirmation"}
    ]
    return place


def test_a_mail_that_nobody_confirmed_reaches_nobody(unconfirmed: Place) -> None:
    said = unconfirmed.said()
    assert said.startswith("Messages reach nobody. Unconfirmed: 1. The mail that AWS sent has a")
    assert MAIL not in said
    assert "no other subscription than 1 that nobody has confirmed and that of Tell" in (
        unconfirmed.run_says()
    )


def test_a_run_that_ends_well_says_in_its_log_that_messages_reach_nobody(
    aws: Aws, project: Project
) -> None:
    project.add_server("sg5")
    assert aws.run({}).verdict() == "Completed"
    [line] = [line for line in aws.logs if "Messages reach nobody" in line["message"]]
    assert line["level"] == "WARNING" and line["run_id"]
    assert line["message"].endswith("Store an address with `make tell`, or confirm a subscription.")
