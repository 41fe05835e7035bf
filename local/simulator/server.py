"""The simulator as an HTTP server in a thread of this process, and another for its servers."""

import socket
import threading
from types import TracebackType
from typing import Self

from werkzeug.serving import WSGIRequestHandler, make_server

from local.simulator.app import Api
from local.simulator.greeters import Greeters
from local.simulator.world import World

HOST = "127.0.0.1"


class Simulator:
    """Serves the world on loopback while the `with` block lasts; port 0 is a free one.

    Servers made through the API listen at addresses in 127/8, each at the port of its Boot.

    Raises OSError when the port is taken.
    """

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        with socket.create_server((HOST, port), backlog=512) as listening:
            # Binding the port itself, werkzeug would print and exit if it is taken; so we bind it.
            self._server = make_server(
                HOST,
                port,
                Api(world),
                threaded=True,
                request_handler=_Handler,
                fd=listening.fileno(),
            )
        # By the port, which nobody else has meanwhile: worlds in other processes have servers, too.
        world.network = f"127.{self._server.port // 256}.{self._server.port % 256}"
        self.greeters = Greeters(world)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="simulator", daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.port}/v1"

    def __enter__(self) -> Self:
        self.world.closing.clear()
        self._thread.start()
        self.greeters.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.world.closing.set()
        self._server.shutdown()
        self._thread.join(timeout=5)
        self.greeters.stop()


class _Handler(WSGIRequestHandler):
    disable_nagle_algorithm = True

    def send_response(self, code: int, message: str | None = None) -> None:
        """The status alone: the application gives the Date, in simulated time."""
        self.send_response_only(code, message)

    def log(self, type: str, message: str, *args: object) -> None:
        """Requests are kept in `world.requests`, not on the terminal."""
