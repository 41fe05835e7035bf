"""The words around a night of the fleet `trouble`, and what people do after it."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

FLEET = "trouble"
BEFORE = """\
A night in which three of six servers need a person:
  sg5    is locked by a resize that does not end; the run waits for an hour
  git-1  gets no snapshot: the project's limit of snapshots is reached
  web-1  has a label that means nothing: hetzner-snapshots/retention=3daily
The other three are done all the same. The hour lasts a minute here."""
REPAIRING = "Now somebody reads that and repairs what it names. Here the simulator does it:"
HOW_IT_ENDS = (
    "The resume made what was missing and nothing twice: Completed, exit code 0. On AWS the "
    "night's execution stays red, and the resume is one of its own."
)


def message(told: Mapping[str, Any], width: int | None = None) -> Iterator[str]:
    """The lines of a notification, as a mail shows it; on a terminal of that width."""
    yield "The mail that NotificationEmail would get:"
    yield ""
    text, links, _ = str(told.get("Message")).partition("\n\nThe execution")
    more = ["", "(and links: to the execution, to its log)"] if links else []
    for line in (f"Subject: {told.get('Subject', '')}", "", *text.rstrip().split("\n"), *more):
        # What is to be copied stays whole.
        fits = width is None or line.strip().startswith("{")
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        parts = [line] if fits else wrap(line, (width or 0) - 5, subsequent_indent=indent)
        yield from (f"  | {part}".rstrip() for part in parts or [""])


def how_to_go_on(event: Mapping[str, Any]) -> Iterator[str]:
    """What to type on the cloud of `make up` after a night that did not complete."""
    yield "To go on here: `make repair`, which repairs the simulated servers, then"
    yield f"  make invoke EVENT='{json.dumps(event)}'"


def repair(endpoint: str) -> list[str]:
    """Has the simulator do what a person would have to; says what that was."""
    address = endpoint.removesuffix("/v1") + "/_sim/repair"
    request = urllib.request.Request(address, data=b"", method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return [str(what) for what in json.load(answer)["repaired"]]
