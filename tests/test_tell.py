"""Addresses that people give, what their services get, and that nothing of an address is told."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.tell import said_of, usable
from local.common.variables import Unusable
from local.environment import LOOPBACK
from local.virtual.template import Stack
from tell import addresses, tell
from tell.addresses import NoAddress, address_of, lines_of
from tell.messages import CUT, MOST_CHARACTERS, Message, a_try, fitted, of_topic
from tell.sending import send
from tests.leaks import piece_of
from tests.receivers import (
    DISCORD,
    HOSTS,
    NTFY,
    SECRET,
    SLACK,
    TELEGRAM,
    Receivers,
    closed_port,
    receivers,
)

STACK = "hetzner-snapshots"
QUEUE = "hetzner-snapshots-DeadLetters-1"
MESSAGE = Message(
    f"{STACK}: Failed, 1 of 3 failed, default, run 20261121T020000Z",
    'Failed: db_1 & web-2\n\nTo make what is missing, start StartRun with\n  {"run_id": "x"}\n\n'
    "The log of this run:\n  https://console.example/a?b=c&d=e",
    "failure",
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receivers]:
    with receivers(tmp_path) as world:
        for name, value in world.environment().items():
            monkeypatch.setenv(name, value)
        yield world


def all_of(world: Receivers) -> dict[str, str]:
    """An address of each service, by the host that gets its messages."""
    services = dict(zip(HOSTS, (SLACK, DISCORD, TELEGRAM, NTFY), strict=True))
    return {**services, LOOPBACK: world.webhook}


EVERYWHERE = (*HOSTS, LOOPBACK)


@pytest.mark.parametrize("host", EVERYWHERE)
def test_each_service_gets_what_happened_and_what_to_do(world: Receivers, host: str) -> None:
    assert send(address_of(all_of(world)[host]), MESSAGE) == ""
    [received] = world.of(host)
    text = json.dumps(received.json, ensure_ascii=False).replace("&amp;", "&")
    assert MESSAGE.title in text
    for said in ("Failed: db_1 & web-2", "run_id", "https://console.example/a?b=c&d=e"):
        assert said in text
    assert piece_of(SECRET, received.path + received.body), "it went to that address"


@pytest.mark.parametrize("host", EVERYWHERE)
@pytest.mark.parametrize("status", [302, 400, 404, 429, 500])
def test_what_a_service_did_not_take_is_not_called_sent(
    world: Receivers, host: str, status: int
) -> None:
    world.statuses[host] = status
    assert send(address_of(all_of(world)[host]), MESSAGE) == f"it answered HTTP {status}"
    # A redirect is not followed with the message's secret, nor read as a success.
    assert {each.path for each in world.received} == {world.of(host)[0].path}


def test_a_service_that_is_down_or_slow_has_an_end(
    world: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "SERVICE_SECONDS", 1)
    down = address_of(f"json://{LOOPBACK}:{closed_port()}/{SECRET}")
    assert send(down, MESSAGE) == "no connection, or no clear answer"
    world.seconds[LOOPBACK] = 5
    began = time.monotonic()
    # Whatever the address itself asks for.
    slow = address_of(f"{world.webhook}?rto=60&retry=5&wait=5")
    assert send(slow, MESSAGE).startswith("no answer within ")
    assert time.monotonic() - began < 4


def test_a_title_goes_where_the_service_has_none(world: Receivers) -> None:
    send(address_of(TELEGRAM), MESSAGE)
    [received] = world.of("api.telegram.org")
    assert received.json["text"].startswith(f"<b>{MESSAGE.title}</b>")


@pytest.mark.parametrize(("host", "most"), [("discord.com", 2000), ("api.telegram.org", 4096)])
def test_a_long_message_is_cut_to_what_the_service_takes_and_says_so(
    world: Receivers, host: str, most: int
) -> None:
    rows = "\n".join(f"  db-{number}  failed  locked <by> & change_type" for number in range(500))
    long = Message(MESSAGE.title, f"Failed: all.\n\n{rows}\n\nThe log of this run: here", "failure")
    assert send(address_of(all_of(world)[host]), long) == ""
    # One message, not one after the other until all is said.
    [received] = world.of(host)
    text = received.json["content" if host == "discord.com" else "text"]
    assert len(text) <= most
    assert "Failed: all." in text and CUT in text and text.endswith("The log of this run: here")


@pytest.mark.parametrize("most", [67, 80, 140])  # APRS, DAPNET, an SMS
def test_a_title_longer_than_the_service_takes_is_cut_and_sent(world: Receivers, most: int) -> None:
    """`make tell` has sent a short one there."""
    address = address_of(world.webhook)
    address.service.title_maxlen, address.service.body_maxlen = 0, most
    title = f"ALARM: {STACK}-RunNotCompletedAlarm-ABCDEFGHIJKL".ljust(150, "x")
    assert send(address, Message(title, "It did not end Completed.", "failure")) == ""
    [received] = world.of(LOOPBACK)
    assert received.json["message"].startswith(title[:60])
    assert len(received.json["message"]) <= most


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """All that was logged, at any level and by whomever, or written to the terminal."""
    stream = StringIO()
    # Not caplog: that also sees the loggers whose lines we keep from everybody.
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(1)
    try:
        yield lambda: "".join([*capfd.readouterr(), stream.getvalue()])
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def test_no_piece_of_an_address_is_logged_written_or_shown(
    world: Receivers, written: Callable[[], str]
) -> None:
    logging.getLogger("another").debug("of another library")
    said = []
    for status in (200, 404, 302):
        world.statuses = dict.fromkeys(EVERYWHERE, status)
        for line in (*all_of(world).values(), f"json://me:{SECRET}@{LOOPBACK}:{closed_port()}/x"):
            address = address_of(line)
            said += [repr(address), str(address), address.where, send(address, MESSAGE)]
    for line in (SECRET, f"slack://{SECRET}", f"{SECRET}://x", f"https://x.example/{SECRET}"):
        with pytest.raises(NoAddress) as refused:
            address_of(line)
        assert refused.value.__context__ is None
        said += [repr(refused.value), str(refused.value)]
    told = written() + "".join(said)
    assert len(said) > 50 and "HTTP 404" in told and "of another library" in told
    assert not piece_of(SECRET, told)
    # Nor of what is less of a secret, and in no text of ours.
    for piece in ("123456789012345678", "987654321", "T0123456789", "hooks.slack", "services/T"):
        assert piece not in told


def test_a_library_that_breaks_says_only_what_kind_of_error_it_was(
    world: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"cannot send to {SLACK}")

    monkeypatch.setattr("apprise.Apprise.notify", broken)
    said = send(address_of(SLACK), MESSAGE)
    assert said == "the library Apprise failed (RuntimeError)"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (SECRET, "does not begin with a service as in slack://"),
        (f"{SECRET[:10]}://{SECRET}", "is no service that Apprise knows"),
        (f"https://example.org/{SECRET}", "write jsons:// in place of https://"),
        (f"slack://{SECRET[:9]}", "Slack needs more, or something else: see https://"),
        (f"discord://{SECRET}", "Discord needs more"),
        ("syslog://", "shows messages on one machine only"),
        (f"mqtt://{SECRET}/topic", "needs software that the package does not have"),
        (f"json://{SECRET}:99999999/x", "JSON needs more"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason_and_not_shown(
    line: str, reason: str
) -> None:
    with pytest.raises(Unusable) as refused:
        usable(f"{NTFY}\n{line}\n")
    said = str(refused.value)
    assert said.startswith("The address 2 is none: ") and said.endswith("Nothing was stored.")
    assert reason in said
    assert not piece_of(SECRET, said)


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (SLACK, "Slack"),
        (f"https://hooks.slack.com/services/T0123456789/B0123456789/{SECRET[:24]}", "Slack"),
        (DISCORD, "Discord"),
        (f"https://discord.com/api/webhooks/123456789012345678/{SECRET}", "Discord"),
        (TELEGRAM, "Telegram"),
        (NTFY, "ntfy at ntfy.sh"),
        (f"https://ntfy.sh/{SECRET}", "ntfy at ntfy.sh"),
        (f"ntfys://ntfy.example.org/{SECRET}", "ntfy at ntfy.example.org"),
        (f"jsons://me:{SECRET}@example.org/{SECRET}", "JSON at example.org"),
        (f"mmosts://chat.example.org/{SECRET[:32]}", "Mattermost at chat.example.org"),
    ],
)
def test_what_is_stored_is_named_by_service_and_host(line: str, where: str) -> None:
    assert said_of([line]) == f"Stored: {where}."


def test_what_can_no_longer_be_sent_to_is_counted() -> None:
    assert said_of([NTFY, "gone://x"]) == (
        "Stored: ntfy at ntfy.sh; 1 that Apprise does not take (any more)."
    )
    assert said_of([]) == "No address is stored."


def test_more_addresses_than_a_parameter_holds_are_refused() -> None:
    with pytest.raises(Unusable, match="More than 20 addresses"):
        usable("\n".join(f"ntfy://topic{number}" for number in range(21)))
    with pytest.raises(Unusable, match="More than 4096 bytes"):
        usable(f"ntfy://{'x' * 4096}")
    assert lines_of(f"\n {NTFY} \r\n\n{NTFY}\n") == [NTFY]


ALARM = {
    "AlarmName": "hetzner-snapshots-DeadLettersAlarm-1",
    "AlarmDescription": "A delivery failed for good. Read it there.",
    "AWSAccountId": "123456789012",
    "NewStateValue": "ALARM",
    "NewStateReason": "Threshold Crossed: 1 datapoint [1.0] was greater than the threshold (0.0).",
    "StateChangeTime": "2026-11-21T02:10:00.000+0000",
    "Region": "EU (Frankfurt)",
    "AlarmArn": "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:x",
    "OldStateValue": "OK",
    "Trigger": {
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Namespace": "AWS/SQS",
        "Dimensions": [{"value": QUEUE, "name": "QueueName"}],
    },
}


def of_alarm(**changed: Any) -> Message:
    return of_topic({"Message": json.dumps(ALARM | changed)}, STACK, QUEUE)


def test_an_alarm_is_its_name_state_reason_and_what_to_do() -> None:
    message = of_alarm()
    assert message.title == "ALARM: hetzner-snapshots-DeadLettersAlarm-1"
    assert message.body == (
        "Threshold Crossed: 1 datapoint [1.0] was greater than the threshold (0.0).\n\n"
        "A delivery failed for good. Read it there.\n\n"
        "2026-11-21T02:10:00.000+0000 EU (Frankfurt)"
    )
    assert message.kind == "failure" and message.about_dead_letters


def test_an_alarm_that_is_over_asks_for_nothing() -> None:
    message = of_alarm(NewStateValue="OK", AlarmName="Freshness")
    assert message.title == "hetzner-snapshots: OK: Freshness"
    assert message.body.startswith("It is over. ") and "Read it there" not in message.body
    assert message.kind == "success"


@pytest.mark.parametrize(
    "trigger", [{}, None, "x", {"Dimensions": [{"name": "QueueName", "value": "another"}]}]
)
def test_an_alarm_of_another_queue_or_form_is_not_that_of_the_dead_letters(trigger: Any) -> None:
    assert not of_alarm(Trigger=trigger).about_dead_letters


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [("Completed", "success"), ("PartiallyFailed", "warning"), ("Failed", "failure")],
)
def test_a_run_keeps_its_subject_and_text(verdict: str, kind: str) -> None:
    subject = f"{STACK}: {verdict}, default, run 20261121T020000Z"
    message = of_topic({"Subject": subject, "Message": "line\n\nmore\n"}, STACK, QUEUE)
    assert message == Message(subject, "line\n\nmore", kind)  # type: ignore[arg-type]


def test_what_a_rule_says_has_no_quotes_around_each_line() -> None:
    target = Stack().resource("RunBrokeOffRule")["Properties"]["Targets"][0]
    text = target["InputTransformer"]["InputTemplate"]
    message = of_topic({"Subject": None, "Message": text}, STACK, QUEUE)
    assert message.title == STACK
    assert message.body.startswith("hetzner-snapshots: the execution <name> ended <status>")
    assert '"' not in message.body and len(message.body.splitlines()) == 5


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", '"one"\nnot quoted', '{"a": 1}'])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert of_topic({"Message": text}, STACK, QUEUE).body == text


@pytest.mark.parametrize("limit", [*range(0, 130), 500, MOST_CHARACTERS])
def test_what_is_cut_fits_and_keeps_the_end_if_it_can(limit: int) -> None:
    rows = "\n".join(f"row {number}" for number in range(1000))
    cut = fitted(f"first\n\n{rows}\n\nwhat to do", limit)
    assert len(cut) <= limit
    if limit > 100:
        assert cut.startswith("first\n") and cut.endswith(f"{CUT}\n\nwhat to do")
    assert fitted("short", 5) == "short"


NOW = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)


def event_of(message: Message, seconds: float) -> dict[str, Any]:
    sent = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "address": 0,
        "title": message.title,
        "body": message.body,
        "kind": message.kind,
        "about_dead_letters": message.about_dead_letters,
        "sent": sent,
    }


def test_an_alarm_about_dead_letters_makes_none_and_is_tried_as_often(world: Receivers) -> None:
    world.statuses[LOOPBACK] = 500
    lines = [world.webhook]
    # At once, a minute later, and two more minutes later.
    for seconds in (1, 62):
        with pytest.raises(
            tell.NotTold, match=r"^JSON at 127\.0\.0\.1 \(address 1 of 1\): it answ"
        ):
            tell.tell_address(lines, event_of(of_alarm(), seconds), NOW)
    assert tell.tell_address(lines, event_of(of_alarm(), 185), NOW) == {"told": False}
    assert len(world.received) == 3
    # Any other message is kept, however late.
    with pytest.raises(tell.NotTold):
        tell.tell_address(lines, event_of(MESSAGE, 185), NOW)


def test_an_address_that_was_removed_meanwhile_is_told_nothing(world: Receivers) -> None:
    assert tell.tell_address([], event_of(MESSAGE, 1), NOW) == {"told": False}
    assert not world.received


def test_a_stored_line_that_is_no_address_is_a_reason_like_others() -> None:
    with pytest.raises(tell.NotTold) as error:
        tell.tell_address([f"gone://{SECRET}"], event_of(MESSAGE, 1), NOW)
    assert "is no service that Apprise knows" in str(error.value)
    assert not piece_of(SECRET, repr(error.value))
    assert error.value.__context__ is None


def test_a_try_says_what_it_is() -> None:
    assert a_try(STACK).title == "hetzner-snapshots: a try"


def test_tell_knows_the_dead_letters_alarm_by_the_queue_that_it_looks_at() -> None:
    [dimension] = Stack().resource("DeadLettersAlarm")["Properties"]["Dimensions"]
    assert dimension["Name"] == "QueueName"
    assert Stack().environment("Tell")["DEAD_LETTERS"] == dimension["Value"]


class FunctionThatIsBusy:
    """Lambda's API: takes some of the invocations, refuses others once."""

    def __init__(self, refuses: set[int]) -> None:
        self.refuses = refuses
        self.taken: list[int] = []

    def invoke(self, FunctionName: str, InvocationType: str, Payload: bytes) -> None:
        assert (FunctionName, InvocationType) == ("Tell", "Event")
        position = json.loads(Payload)["address"]
        if position in self.refuses:
            self.refuses.remove(position)
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")
        self.taken.append(position)


def test_what_lambda_did_not_take_is_handed_out_again_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = FunctionThatIsBusy({1})
    monkeypatch.setattr(tell, "functions", lambda: busy)
    monkeypatch.setattr(tell, "handed_out", {})
    for name, value in Stack().environment("Tell").items():
        monkeypatch.setenv(name, value)
    sns = {"MessageId": "a", "Timestamp": "2026-11-21T02:10:00.000Z", "Message": "m"}
    with pytest.raises(tell.NotTold, match=r"the address 2 \(TooManyRequestsException\)$"):
        tell.hand_out(sns, 3, "Tell")
    assert busy.taken == [0, 2]
    assert tell.hand_out(sns, 3, "Tell") == 3
    assert busy.taken == [0, 2, 1]
    # Another message is another one.
    tell.hand_out(sns | {"MessageId": "b"}, 3, "Tell")
    assert busy.taken == [0, 2, 1, 0, 1, 2]
