"""Tell: send what the topic says to the addresses that `make tell` stored.

A message of the topic is handed out: one invocation of this same function for each address. So one
address that fails, is slow or breaks the library is tried again by itself (Lambda does that twice,
then the message is a dead letter), and nobody else gets the message a second time.
"""

import json
import os
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tell.addresses import MOST_ADDRESSES, NoAddress, address_of, lines_of
from tell.messages import Message, a_try, of_topic
from tell.sending import send

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_ssm import SSMClient

AWS_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1})
MOST_REMEMBERED = 100
# Lambda's last attempt comes three minutes after the first.
LAST_ATTEMPT_SECONDS = 170

logger = Logger(utc=True)
# What this container has handed out, by message: an attempt after one that broke off goes on there.
handed_out: dict[str, set[int]] = {}


class NotTold(Exception):
    """An address has not got the message; Lambda tries it again. The text holds no address."""


@cache
def ssm() -> "SSMClient":
    return boto3.client("ssm", config=AWS_CONFIG)


@cache
def functions() -> "LambdaClient":
    return boto3.client("lambda", config=AWS_CONFIG)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers how many addresses were handed the message; of one address, what became of it."""
    lines = stored()
    if "try" in event:
        return try_address(lines, int(event["try"]))
    if "address" in event:
        return tell_address(lines, event, datetime.now(UTC))
    count = sum(
        hand_out(record["Sns"], len(lines), context.function_name) for record in event["Records"]
    )
    return {"handed_out": count}


def stored() -> list[str]:
    """The lines that `make tell` stored; none if it stored nothing. Raises NotTold."""
    try:
        answer = ssm().get_parameter(Name=os.environ["TELL_PARAMETER"], WithDecryption=True)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ParameterNotFound":
            return []
        raise NotTold(f"The addresses cannot be read ({code})") from None
    except BotoCoreError as error:
        raise NotTold(f"The addresses cannot be read ({type(error).__name__})") from None
    return lines_of(answer["Parameter"]["Value"])[:MOST_ADDRESSES]


def hand_out(sns: dict[str, Any], count: int, function: str) -> int:
    """Raises NotTold if Lambda did not take one of them; those it took are not repeated here."""
    message = of_topic(sns, os.environ["POWERTOOLS_SERVICE_NAME"], os.environ["DEAD_LETTERS"])
    if not count:
        logger.info(f"No address is stored (`make tell`), so it is not sent on: {message.title}")
        return 0
    done = handed_out.setdefault(str(sns["MessageId"]), set())
    while len(handed_out) > MOST_REMEMBERED:
        handed_out.pop(next(iter(handed_out)))
    refused = []
    for position in sorted(set(range(count)) - done):
        event = {
            "address": position,
            "title": message.title,
            "body": message.body,
            "kind": message.kind,
            "about_dead_letters": message.about_dead_letters,
            "sent": str(sns["Timestamp"]),
        }
        try:
            functions().invoke(
                FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode()
            )
            done.add(position)
        except (BotoCoreError, ClientError) as error:
            refused.append(f"{position + 1} ({_code(error)})")
    if refused:
        raise NotTold(f"Lambda did not take the message for the address {', '.join(refused)}")
    return count


def tell_address(lines: list[str], event: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Raises NotTold if it was not sent."""
    position = int(event["address"])
    title = str(event["title"])
    if position >= len(lines):
        logger.info(f"The address {position + 1} was removed meanwhile: {title}")
        return {"told": False}
    message = Message(title, str(event["body"]), event["kind"], event["about_dead_letters"])
    where, failed = _sent(lines[position], message)
    which = f"{where} (address {position + 1} of {len(lines)})"
    if not failed:
        logger.info(f"Told {which}: {title}")
        return {"told": True}
    if message.about_dead_letters and _is_last_attempt(str(event["sent"]), now):
        # A dead letter about dead letters would ring the alarm that it tells of.
        logger.error(f"Not told {which}: {failed}. Given up: {title}")
        return {"told": False}
    logger.warning(f"Not told {which}: {failed}. {title}")
    raise NotTold(f"{which}: {failed}")


def try_address(lines: list[str], position: int) -> dict[str, Any]:
    """What became of a try: `failed` is empty if the service has taken it."""
    if position >= len(lines):
        return {"where": "", "failed": "it is not stored"}
    where, failed = _sent(lines[position], a_try(os.environ["POWERTOOLS_SERVICE_NAME"]))
    logger.info(f"A try to {where} (address {position + 1}): {failed or 'sent'}")
    return {"where": where, "failed": failed}


def _sent(line: str, message: Message) -> tuple[str, str]:
    """Where, and why it was not sent, if so."""
    try:
        address = address_of(line)
    except NoAddress as error:
        return "no address", str(error)
    return address.where, send(address, message)


def _is_last_attempt(sent: str, now: datetime) -> bool:
    try:
        return (now - datetime.fromisoformat(sent)).total_seconds() > LAST_ATTEMPT_SECONDS
    except (ValueError, TypeError):
        return True


def _code(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        return str(error.response["Error"]["Code"])
    return type(error).__name__
