"""Faults: what goes wrong, at which request.

An effect is a function of the call. It returns the answer to give in place of the real one, or
None to go on. With `when="before"` an answer means that the request is not carried out, with
`when="after"` that it was carried out and the client gets another answer.
"""

import json
import random
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from flask import Request, Response
from werkzeug.http import http_date

from local.simulator.project import Project
from local.simulator.surroundings import Surroundings

When = Literal["before", "after"]


@dataclass(frozen=True)
class Call:
    world: Surroundings
    project: Project | None
    request: Request
    response: Response | None  # None before the request is carried out.


Effect = Callable[[Call], Response | None]


@dataclass
class Fault:
    """Hits matching requests number `nth` to `nth + times - 1` (times=None: all from `nth` on).

    `path` is a regular expression for the whole path, without the /v1.
    """

    effect: Effect
    method: str | None = None
    path: str = ".*"
    nth: int = 1
    times: int | None = 1
    when: When = "before"
    probability: float = 1.0
    project: str | None = None
    seen: int = field(default=0, init=False)  # Matching requests so far.
    hits: int = field(default=0, init=False)

    def matches(self, method: str, path: str, project: str | None) -> bool:
        return (
            self.method in (None, method)
            and self.project in (None, project)
            and re.fullmatch(self.path, path) is not None
        )

    def is_due(self) -> bool:
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)


class Faults:
    def __init__(self, seed: int) -> None:
        self._faults: list[Fault] = []
        self._rng = random.Random(seed)
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def pick(self, method: str, path: str, project: str | None) -> list[Fault]:
        """Count this request; the faults that hit it, in the order they were added."""
        with self._lock:
            hitting = []
            for fault in self._faults:
                if not fault.matches(method, path, project):
                    continue
                fault.seen += 1
                if fault.is_due() and self._rng.random() < fault.probability:
                    fault.hits += 1
                    hitting.append(fault)
            return hitting


def status(status: int, code: str, message: str = "") -> Effect:
    """An error as the API words it."""
    error = {"code": code, "message": message or code.replace("_", " "), "details": None}
    return lambda call: _json(status, {"error": error})


def rate_limited() -> Effect:
    """Asked too often: since 2026 Hetzner quotes the beginning of the token."""

    def effect(call: Call) -> Response | None:
        token = call.request.headers.get("Authorization", "").removeprefix("Bearer ")
        message = f"Limit of '3600' requests per hour for token '{token[:32]}...' reached."
        return status(429, "rate_limit_exceeded", message)(call)

    return effect


def error_without_code(status: int) -> Effect:
    return lambda call: _json(status, {"error": {"message": "internal server error"}})


def html(status: int) -> Effect:
    """An error page of a load balancer."""
    body = f"<html><body><h1>{status}</h1></body></html>"
    return lambda call: Response(body, status, content_type="text/html")


def malformed() -> Effect:
    """An answer of the type JSON that is not valid JSON."""

    def effect(call: Call) -> Response:
        status = call.response.status_code if call.response else 200
        return Response('{"servers": [', status, content_type="application/json")

    return effect


def edited(change: Callable[[Any], object]) -> Effect:
    """The answer after the function has changed its JSON; other answers stay as they are."""

    def effect(call: Call) -> Response | None:
        if call.response is None or not call.response.is_json or call.response.status_code >= 300:
            return None
        body = call.response.get_json(silent=True)
        if body is None:
            return None  # another fault has changed it already
        change(body)
        return _json(call.response.status_code, body)

    return effect


def without_totals() -> Effect:
    """How many entries and pages there are is not told: Hetzner describes both as nullable."""

    def lose(body: Any) -> None:
        if meta := body.get("meta"):
            meta["pagination"] |= {"total_entries": None, "last_page": None}

    return edited(lose)


def dated(effect: Effect, off: timedelta) -> Effect:
    """The answer with a Date that is so much off."""

    def date(call: Call) -> Response | None:
        answer = effect(call) or call.response
        if answer is not None:
            answer.headers["Date"] = http_date(call.world.clock.now() + off)
        return answer

    return date


def truncated() -> Effect:
    """An answer whose connection breaks off in the middle."""

    def effect(call: Call) -> Response:
        # With an unread body, closing would reset the connection.
        call.request.get_data()
        body = call.response.get_data() if call.response else b'{"servers": []}'
        status = call.response.status_code if call.response else 200
        answer = Response(body[: len(body) // 2], status, content_type="application/json")
        answer.headers["Content-Length"] = str(max(2, len(body)))
        return answer

    return effect


def drop() -> Effect:
    """The connection closes without an answer."""

    def effect(call: Call) -> Response:
        connection: socket.socket = call.request.environ["werkzeug.socket"]
        connection.shutdown(socket.SHUT_RDWR)
        return Response(status=DROPPED)

    return effect


# Recorded as the status when no answer is sent; no real answer has it.
DROPPED = 599


def slow(seconds: float) -> Effect:
    """The answer takes so many real seconds."""

    def effect(call: Call) -> None:
        call.world.closing.wait(seconds)

    return effect


def hook(function: Callable[[Surroundings, Project | None, Request], object]) -> Effect:
    """Calls the function, which changes the world between two requests of the client."""

    def effect(call: Call) -> None:
        function(call.world, call.project, call.request)

    return effect


def _json(status: int, body: object) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
