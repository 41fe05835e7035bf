"""The simulator behind the SDK's session: requests' real HTTP semantics without sockets."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse
from werkzeug.test import EnvironBuilder, run_wsgi_app

from local.simulator import World
from local.simulator.app import Api
from local.simulator.faults import DROPPED
from local.virtual.loop import Loop

ENDPOINT = "http://hetzner.invalid/v1"


class Wire(BaseAdapter):
    """Carries requests to the simulator's Flask application.

    `latency` returns random seconds, for each direction. `pause` is called instead of the loop's
    sleep, so that the function that sends the request can be killed meanwhile. An answer that takes
    longer than the client's timeout is a ReadTimeout for the client; the request is still carried
    out, later.
    """

    def __init__(
        self,
        world: World,
        loop: Loop,
        latency: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        super().__init__()
        self.loop, self.latency, self.pause = loop, latency, pause
        self.world = world
        # An error of the simulator's own must not look like one of Hetzner's.
        self.app = Api(world, raises=True)
        # A small page size, whatever is asked for: then few servers fill more than one page, too.
        self.per_page: int | None = None
        self.observe: Callable[[str, str], None] = lambda method, path: None
        # Where a fault that takes its time waits.
        self.world.closing = SimpleNamespace(wait=loop.sleep)  # type: ignore[assignment]
        self.may_be_late = False

    def close(self) -> None:
        """Nothing is open."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        assert timeout is not None, "a request without a timeout waits for ever"
        self.pause(self.latency())
        self.observe(str(request.method), urlsplit(str(request.url)).path)
        if self.may_be_late:
            serving = self.loop.spawn(lambda: self._serve(request))
            if not self.loop.wait(serving, timeout[1]):
                raise requests.ReadTimeout("read timed out", request=request)
            if serving.error:
                raise serving.error
            answer = serving.result
        else:
            answer = self._serve(request)
        self.pause(self.latency())
        status, headers, body = answer
        if status == DROPPED:
            raise requests.ConnectionError("connection aborted", request=request)
        raw = HTTPResponse(
            io.BytesIO(body),
            headers=headers,
            status=status,
            preload_content=False,
            enforce_content_length=True,
            request_method=request.method,
        )
        return HTTPAdapter().build_response(request, raw)

    def _serve(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        url = urlsplit(str(request.url))
        query = url.query
        if self.per_page and request.method == "GET" and url.path in ("/v1/servers", "/v1/images"):
            asked = dict(parse_qsl(query))
            query = urlencode(asked | {"per_page": str(self.per_page)})
        body = request.body or b""
        environ = EnvironBuilder(
            path=url.path,
            query_string=query,
            method=str(request.method),
            headers=list(request.headers.items()),
            data=body.encode() if isinstance(body, str) else body,
        ).get_environ()
        # A fault shuts this down to drop the connection.
        environ["werkzeug.socket"] = SimpleNamespace(shutdown=lambda how: None)
        parts, status, headers = run_wsgi_app(self.app, environ)
        return int(status.split()[0]), dict(headers), b"".join(parts)
