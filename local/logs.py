"""The functions' log for people: a line for each step, or one server's night in order."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from handler.documents.printable import printable_lines
from local.common.board import parse, until
from local.common.console import COLOURS
from local.common.variables import Unusable

LEVELS = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
# Logged for every invocation, and shown only if it ended badly.
PLATFORM = ("INIT_START", "START RequestId:", "END RequestId:", "REPORT RequestId:")
WIDEST_NAME = 24


def readable(messages: Iterable[str], server: str = "") -> Iterator[Text]:
    """Lines to print, oldest first. Raises Unusable if the server, by name or id, is not there."""
    known = [(message, parse(message)) for message in messages]
    lines = [line for _, line in known if line]
    if server:
        lines = [line for line in lines if server in _named(line)]
        if not lines:
            raise Unusable(_unknown(server, [line for _, line in known if line]))
        known = [("", line) for line in lines]
    several = len({line.get("project") for line in lines if line.get("project")}) > 1
    width = min(WIDEST_NAME, max((len(_about(line, several)) for line in lines), default=0))
    run_id, clock = "", ""
    for message, line in known:
        if line is None:
            if _worth_a_line(message):
                yield Text(printable_lines(message.rstrip()), "dim")
            continue
        if line.get("run_id") and line["run_id"] != run_id:
            run_id, clock = str(line["run_id"]), ""
            yield Text(f"run {run_id}", "bold")
        # Hetzner's clock, as in the waits; a line without it has the time of the one before.
        clock = _clock(line) or clock
        yield _line(line, f"{clock:<9}  {_about(line, several):<{width}}  ")
        for more in str(line.get("exception") or "").splitlines():
            yield Text(f"{'':<12}{more}", "dim")


def _line(line: Mapping[str, Any], start: str) -> Text:
    level = str(line.get("level", ""))
    text = Text(start)
    if level in LEVELS:
        text.append(f"{level} ", LEVELS[level])
    server, status = str(line.get("server") or ""), str(line.get("status") or "")
    if status and "elapsed_s" in line:
        _step(text, line, status)
        return text
    told = f"{server or line.get('project')}: "
    message = str(line.get("message", "")).removeprefix(told)
    verdict = (line.get("summary") or {}).get("verdict", "")
    return text.append(message, COLOURS.get(verdict, ""))


def _step(text: Text, line: Mapping[str, Any], status: str) -> None:
    """A server's state after a step: the status, until when, and why."""
    text.append(status.replace("_", " "), COLOURS.get(status, ""))
    if end := until(line):
        text.append(f", next look at {end} (in {line['wait_seconds']} s)")
    if line.get("reason"):
        text.append(f": {line['reason']}")


def _about(line: Mapping[str, Any], several: bool) -> str:
    project, server = line.get("project"), line.get("server")
    return f"{project}/{server}" if several and server else str(server or project or "")


def _named(line: Mapping[str, Any]) -> set[str]:
    result = line.get("result") or {}
    named = (line.get("server"), line.get("server_id"), result.get("server"), result.get("id"))
    return {str(name) for name in named if name}


def _unknown(server: str, lines: list[dict[str, Any]]) -> str:
    names = sorted({str(line["server"]) for line in lines if line.get("server")})
    if not names:
        return f"Nothing is logged of {server}, nor of any other server yet. `make invoke` runs."
    return f"Nothing is logged of a server {server}. Known are: {', '.join(names)}."


def _clock(line: Mapping[str, Any]) -> str:
    try:
        now = datetime.fromisoformat(str(line.get("now")))
    except ValueError:
        return ""
    return f"{now.astimezone(UTC):%H:%M:%S}Z"


def _worth_a_line(message: str) -> bool:
    return bool(message.strip()) and (not message.startswith(PLATFORM) or "Status:" in message)
