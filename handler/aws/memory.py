"""The watch's memory in SSM: one parameter, written by the watch alone."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handler.documents.memory import Memory
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


def write_memory(ssm: "SSMClient", parameter: str, memory: Memory) -> None:
    """Raises MemoryUnknown."""
    try:
        ssm.put_parameter(Name=parameter, Value=memory.to_text(), Type="String", Overwrite=True)
    except (BotoCoreError, ClientError) as error:
        said = printable(str(error))
        raise MemoryUnknown(f"SSM does not take the parameter {parameter}: {said}") from None
