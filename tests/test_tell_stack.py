"""`make tell` and the function Tell on a local AWS that enforces the functions' roles: from the
topic to the services, which are reached by their own names.

MiniStack invokes a topic's function once, without the retries that AWS makes; what that invocation
hands out it retries and keeps as AWS does, with shorter waits.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from deploy.reach import TELL_PATH
from local.aws import STACK, connection, deploy, store_token
from local.environment import LOOPBACK, clean
from local.ministack import answers, start_aws
from local.simulator import Clock, Simulator, World
from tests.built import make_build
from tests.deploy_place import Place
from tests.leaks import a_token, piece_of
from tests.receivers import DISCORD, HOSTS, NTFY, SECRET, SLACK, TELEGRAM, Receivers, receivers

SPEED = 60
EVERYWHERE = (*HOSTS, LOOPBACK)
PARAMETER = f"{TELL_PATH}/{STACK}"

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@dataclass
class Told:
    place: Place
    services: Receivers
    outputs: dict[str, str]

    def publish(self, subject: str, text: str = "What happened.") -> None:
        self.place.client("sns").publish(
            TopicArn=self.outputs["NotificationsTopicArn"], Subject=subject, Message=text
        )

    def with_title(self, title: str, host: str) -> int:
        return sum(title in each.body for each in self.services.of(host))

    def wait_for(self, title: str, host: str, count: int = 1) -> None:
        deadline = time.monotonic() + 40
        while self.with_title(title, host) < count:
            assert time.monotonic() < deadline, (title, host, self.log())
            time.sleep(0.05)

    def wait_for_all(self, title: str) -> None:
        for host in EVERYWHERE:
            self.wait_for(title, host)
        time.sleep(1)  # for a second one, that must not come

    def named(self, logical_id: str) -> str:
        return self.place.ids(STACK)[logical_id]

    def dead_letters(self, count: int) -> list[dict[str, Any]]:
        """So many; they are taken out of the queue."""
        queue, found = self.place.client("sqs"), []
        deadline = time.monotonic() + 40
        while len(found) < count and time.monotonic() < deadline:
            answer = queue.receive_message(QueueUrl=self.named("DeadLetters"), WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                found.append(json.loads(message["Body"]))
                queue.delete_message(
                    QueueUrl=self.named("DeadLetters"), ReceiptHandle=message["ReceiptHandle"]
                )
        assert len(found) == count, self.log()
        return found

    def log(self) -> str:
        return "\n".join(str(line.get("message")) for line in self.place.lines(STACK))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    make_build()
    folder, own = tmp_path_factory.mktemp("aws"), tmp_path_factory.mktemp("own")
    world = World(Clock(datetime.now(UTC), SPEED), seed=1)
    world.project("default").add_token(a_token("of the told"))
    world.project("default").add_server("sg5")
    with (
        patch.dict(os.environ, clean(os.environ), clear=True),
        Simulator(world) as simulator,
        receivers(own) as services,
    ):
        aws, access = start_aws(
            folder, 1 / SPEED, AUTH="true", LAMBDA_ASYNC_RETRY_BASE_SECONDS="0.3"
        )
        try:
            aws.wait_until(lambda: answers(access))
            outputs = deploy(access, own, {"HetznerEndpoint": simulator.url})
            store_token(access, a_token("of the told"))
            told = Told(Place(world, simulator.url, access, own), services, outputs)
            _prepare(told)
            yield told
        finally:
            aws.stop()


def _prepare(told: Told) -> None:
    """Routes what Tell sends to the services here; allows what MiniStack asks too much."""
    functions = boto3.client("lambda", **connection(told.place.aws))
    config = functions.get_function_configuration(FunctionName=told.named("Tell"))
    functions.update_function_configuration(
        FunctionName=told.named("Tell"),
        Environment={"Variables": config["Environment"]["Variables"] | told.services.environment()},
    )
    # See test_enforced.py.
    grant = {"Effect": "Allow", "Action": "ssm:GetParametersByPath", "Resource": "*"}
    boto3.client("iam", **connection(told.place.aws)).put_role_policy(
        RoleName=told.named("StartRunRole"),
        PolicyName="WhatMiniStackAsksFor",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [grant]}),
    )


@pytest.fixture(scope="module")
def before(told: Told) -> dict[str, str]:
    """What is said while no address is stored, and what a message comes to."""
    smoke = told.place.make("smoke")
    listed = told.place.make("tell")
    told.publish(f"{STACK}: Failed, to nobody")
    return {"smoke": smoke.stdout, "listed": listed.stdout, "log": _log_with(told, "to nobody")}


def _log_with(told: Told, text: str) -> str:
    deadline = time.monotonic() + 30
    while text not in (log := told.log()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return log


@pytest.fixture(scope="module")
def stored(told: Told, before: dict[str, str]) -> str:
    """What `make tell` says to an address of each service."""
    lines = [SLACK, DISCORD, TELEGRAM, NTFY, told.services.webhook]
    done = told.place.make("tell", given="\n".join(lines) + "\n")
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_messages_that_reach_nobody_are_said_to(before: dict[str, str]) -> None:
    assert "Messages reach nobody. Store an address with `make tell" in before["smoke"]
    assert "All is well." in before["smoke"]
    assert "No address is stored.\n" in before["listed"]
    assert "No address is stored (`make tell`), so it is not sent on: " in before["log"]


def test_a_try_reaches_every_service(told: Told, stored: str) -> None:
    names = ["Slack", "Discord", "Telegram", "ntfy at ntfy.sh", f"JSON at {LOOPBACK}"]
    assert f"(SecureString, version 1): {', '.join(names)}.\n" in stored
    for name, host in zip(names, EVERYWHERE, strict=True):
        assert f"  {name}: a try was sent.\n" in stored
        assert told.with_title("hetzner-snapshots: a try", host) == 1
    assert "Messages reach the addresses of `make tell" in stored
    [found] = told.place.client("ssm").describe_parameters()["Parameters"][-1:]
    parameter = told.place.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]
    assert parameter["Type"] == "SecureString" and not piece_of(SECRET, parameter["Value"])
    assert found["Name"].startswith("/hetzner-snapshots")


def test_what_the_topic_says_reaches_each_address_once(told: Told, stored: str) -> None:
    told.publish(f"{STACK}: Failed, once", "sg5: locked.\n\nThe log: here")
    told.wait_for_all("Failed, once")
    assert [told.with_title("Failed, once", host) for host in EVERYWHERE] == [1] * 5


def test_only_the_address_that_failed_is_tried_again(told: Told, stored: str) -> None:
    told.services.statuses["discord.com"] = 503
    told.publish(f"{STACK}: Failed, again")
    told.wait_for("Failed, again", "discord.com")
    told.services.statuses.clear()
    told.wait_for("Failed, again", "discord.com", 2)
    told.wait_for_all("Failed, again")
    counts = {host: told.with_title("Failed, again", host) for host in EVERYWHERE}
    assert counts == {**dict.fromkeys(EVERYWHERE, 1), "discord.com": 2}


def test_what_cannot_be_sent_lies_in_the_dead_letters(told: Told, stored: str) -> None:
    told.services.statuses["discord.com"] = 404
    told.publish(f"{STACK}: Failed, for good", "sg5: locked.")
    told.wait_for("Failed, for good", "discord.com", 3)
    [letter] = told.dead_letters(1)
    told.services.statuses.clear()
    told.wait_for_all("Failed, for good")
    asked = letter["requestPayload"]
    assert (asked["address"], asked["title"]) == (1, f"{STACK}: Failed, for good")
    assert asked["body"] == "sg5: locked."
    assert "Discord (address 2 of 5): it answered HTTP 404" in told.log()
    assert not piece_of(SECRET, json.dumps(letter))
    counts = {host: told.with_title("Failed, for good", host) for host in EVERYWHERE}
    assert counts == {**dict.fromkeys(EVERYWHERE, 1), "discord.com": 3}


def test_the_alarm_about_dead_letters_is_readable_and_no_circle(told: Told, stored: str) -> None:
    told.services.statuses["discord.com"] = 404
    alarm = told.named("DeadLettersAlarm")
    cloudwatch = told.place.client("cloudwatch")
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="1 letter")
    told.wait_for(f"ALARM: {alarm}", "ntfy.sh")
    [received] = [each for each in told.services.of("ntfy.sh") if alarm in each.body]
    assert "failed for good and lies in the queue of dead letters" in received.json["message"]
    # Here the last attempt comes at once, so it is kept, too: one letter for one change of state.
    told.dead_letters(1)
    time.sleep(3)
    told.services.statuses.clear()
    assert told.with_title(f"ALARM: {alarm}", "ntfy.sh") == 1
    told.dead_letters(0)


def test_what_is_refused_or_fails_says_so_and_what_was_stored_stays(
    told: Told, stored: str
) -> None:
    ssm = told.place.client("ssm")
    refused = told.place.make("tell", given=f"{NTFY}\nslack://{SECRET}\n")
    assert refused.returncode == 2
    assert "The address 2 is none: Slack needs more" in refused.stdout
    assert "Stored: Slack, Discord, Telegram, ntfy at ntfy.sh, JSON at" in refused.stdout
    assert ssm.get_parameter(Name=PARAMETER)["Parameter"]["Version"] == 1
    told.services.statuses["ntfy.sh"] = 403
    failed = told.place.make("tell", given=f"{NTFY}\n{SLACK}\n")
    told.services.statuses.clear()
    assert failed.returncode != 0
    assert "  ntfy at ntfy.sh: NOT sent: it answered HTTP 403.\n  Slack: a try was" in failed.stdout
    assert "(SecureString, version 2), in place of what was: " in failed.stdout


def test_at_a_terminal_it_is_typed_unseen_and_removed_on_request(told: Told, stored: str) -> None:
    code, shown = told.place.at_a_terminal(
        "tell", ("Address 1: ", DISCORD), ("Address 2: ", ""), REMOVE=""
    )
    assert code == 0, shown
    assert "  Discord: a try was sent." in shown
    code, shown = told.place.at_a_terminal(
        "tell", ("Address 1: ", ""), ("Remove what is stored? [y/N] ", "y")
    )
    assert code == 0 and f"The SSM parameter {PARAMETER} is removed" in shown
    again = told.place.make("tell", REMOVE="1")
    assert (again.returncode, "No address was stored." in again.stdout) == (0, True)


def test_no_piece_of_an_address_was_shown_or_logged(told: Told, stored: str) -> None:
    lines = json.dumps(told.place.lines(STACK))
    shown = "".join(told.place.said)
    assert "Told Slack (address 1 of 5)" in lines and len(shown) > 1000
    assert not piece_of(SECRET, lines) and not piece_of(SECRET, shown)
    files = [path for path in Path(told.place.folder).rglob("samconfig*") if path.is_file()]
    assert not [path for path in files if piece_of(SECRET, path.read_text())]
