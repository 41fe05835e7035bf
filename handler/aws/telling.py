"""Sends a summary to the stack's topic, once for each input."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws.clients import sns
from handler.aws.logs import logger
from handler.aws.reach import why_unreached
from handler.aws.runtime import told
from handler.documents.printable import printable

MOST_TOLD = 50  # of these a container remembers that they were told


def told_once(
    event: dict[str, Any], tell: Callable[[], dict[str, Any]], after: Callable[[], None]
) -> dict[str, Any]:
    """The answer to this event, of this time or of the time before.

    `after` comes behind an answer with a verdict: an attempt that dies there has told all the same.
    """
    asked = sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()
    if answer := told.get(asked):
        logger.info("This has been told already; the answer was lost")
        return answer
    answer = tell()
    if len(told) >= MOST_TOLD:
        told.pop(next(iter(told)))
    told[asked] = answer
    if "verdict" in answer:
        after()
    return answer


def sent(topic_arn: str, write: Callable[[], tuple[str, str]]) -> bool:
    """Whether SNS has accepted the subject and text that `write` gives. Raises nothing."""
    try:
        subject, text = write()
        sns().publish(TopicArn=topic_arn, Subject=subject, Message=text)
    except (BotoCoreError, ClientError) as error:
        said = printable(str(error))
        logger.error(f"The notification could not be sent to {topic_arn}: {said}")
        return False
    except Exception:  # no error may change the verdict
        logger.exception("The notification could not be written")
        return False
    return True


def tell_if_unreached(topic_arn: str, tell_parameter: str) -> None:
    """In the log: it is the only place that is left."""
    try:
        if why := why_unreached(topic_arn, tell_parameter):
            logger.warning(f"{why} Store an address with `make tell`, or confirm a subscription.")
    except (BotoCoreError, ClientError) as error:
        said = printable(str(error))
        logger.info(f"Whether messages reach anybody is not known: {said}")
    except Exception:  # whatever it is, the run is told
        logger.exception("Whether messages reach anybody is not known")
