"""The watch's memory in SSM: one parameter, written by the watch alone."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handler.aws.logs import logger
from handler.documents.memory import LastLook, Memory
from handler.documents.printable import printable

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class MemoryUnknown(Exception):
    """SSM does not give or take the memory now; what it holds is not known."""


def read_memory(ssm: "SSMClient", parameter: str) -> Memory:
    """Raises MemoryUnknown. A text that cannot be read is a memory with a problem."""
    try:
        answer = ssm.get_parameter(Name=parameter)
    except (BotoCoreError, ClientError) as error:
        said = printable(str(error))
        raise MemoryUnknown(f"SSM does not give the parameter {parameter}: {said}") from None
    return Memory.parse(answer["Parameter"]["Value"])


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
