"""Nothing that is told holds a character that a terminal, a mail or a log would obey."""

import json
from collections.abc import Iterator
from typing import Any

from local.virtual.stage import Stage
from tests.chaos.bad_words import OBEYED

# A traceback has lines of its own, and is quoted whole.
WITH_LINES = ("exception", "stack_trace")
FORGED = [words.strip() for words in OBEYED if words.startswith("\n")]


def obeyed(night: Stage) -> Iterator[str]:
    """What would be obeyed, in the log, the documents, the causes and the messages."""
    for invocation in night.cloud.invocations:
        for line in invocation.logs:
            yield from _in_log(line)
        yield from _in(invocation.output, f"{invocation.function}'s output")
        for message in invocation.messages:
            yield from _in(message["Subject"], "the subject of a message")
            yield from _in_lines(message["Message"], "a message")
    for execution in night.cloud.executions.values():
        yield from _in_lines(execution.cause or "", f"{execution.name}'s cause")


def _in_log(line: str) -> Iterator[str]:
    try:
        parts: Any = json.loads(line)
    except ValueError:
        parts = line.strip()
    if isinstance(parts, dict):
        # Summary and cause are lines below each other.
        parts = {name: value for name, value in parts.items() if name not in WITH_LINES}
    yield from _in(parts, "a log line")


def _in(value: Any, where: str) -> Iterator[str]:
    match value:
        case str():
            if not value.isprintable():
                yield f"{where} holds {value!r}"
        case list() | tuple():
            for item in value:
                yield from _in(item, where)
        case dict():
            for name, item in value.items():
                yield from _in(name, where)
                if name == "Cause":
                    yield from _in_lines(item, where)
                else:
                    yield from _in(item, where)


def _in_lines(text: str, where: str) -> Iterator[str]:
    for line in text.split("\n"):
        if not line.isprintable() or any(line.startswith(forged) for forged in FORGED):
            yield f"{where} has the line {line!r}"
