"""The watch's memory in SSM: one parameter, written by the watch alone."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws.logs import logger
from handler.documents.memory import LastLook, Memory
from handler.documents.printable import printable

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


# What the template has as its value; the watch itself never writes so little.
BLANK = "{}"
MOST_BLANK = 5  # versions
# A version with one of these is not given an hour later either.
NO_VERSION = ("ParameterVersionNotFound", "ParameterNotFound", "AccessDeniedException")


class MemoryUnknown(Exception):
    """SSM does not give or take the memory now; what it holds is not known."""


def read_memory(ssm: "SSMClient", parameter: str) -> Memory:
    """Raises MemoryUnknown. A text that cannot be read is a memory with a problem.

    CloudFormation writes the template's value again when anything of the parameter changes, the
    stack's tags included. What the watch wrote before that counts then.
    """
    text, version = _version(ssm, parameter)
    for before in range(version - 1, max(0, version - 1 - MOST_BLANK), -1):
        if text != BLANK:
            break
        try:
            text, _ = _version(ssm, f"{parameter}:{before}")
        except NoVersion:
            return Memory(problem="it was emptied, and what was in it cannot be read any more")
        if text != BLANK:
            logger.warning(f"The watch's memory was emptied: that of version {before} is taken")
    return Memory.parse(text)


class NoVersion(MemoryUnknown):
    """SSM does not give that version of the parameter, now or later."""


def _version(ssm: "SSMClient", name: str) -> tuple[str, int]:
    """The text and its version. Raises MemoryUnknown."""
    try:
        found = ssm.get_parameter(Name=name)["Parameter"]
    except (BotoCoreError, ClientError) as error:
        is_missing = (
            isinstance(error, ClientError) and error.response["Error"]["Code"] in NO_VERSION
        )
        said = f"SSM does not give the parameter {name}: {printable(str(error))}"
        raise (NoVersion if is_missing else MemoryUnknown)(said) from None
    return found["Value"], found.get("Version", 1)


def last_looks(ssm: "SSMClient", parameter: str) -> dict[str, LastLook]:
    """Per project what the watch saw last. What is not known is logged: no run waits for it."""
    try:
        memory = read_memory(ssm, parameter)
    except MemoryUnknown as error:
        logger.warning(f"What the watch saw last is not known: {error}")
        return {}
    if memory.problem:
        logger.warning(f"What the watch saw last is not wholly known: {memory.problem}")
    return {name: each.last_look for name, each in memory.projects.items() if each.last_seen}


def write_memory(ssm: "SSMClient", parameter: str, memory: Memory) -> None:
    """Raises MemoryUnknown."""
    try:
        ssm.put_parameter(Name=parameter, Value=memory.to_text(), Type="String", Overwrite=True)
    except (BotoCoreError, ClientError) as error:
        said = printable(str(error))
        raise MemoryUnknown(f"SSM does not take the parameter {parameter}: {said}") from None
