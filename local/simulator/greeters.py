"""Real sockets of the servers that greet: each listens at its address while it is on and booted."""

import os
import select
import socket
import sys
import threading
from collections import deque

from local.simulator.boot import Boot, listens
from local.simulator.views import boot_of
from local.simulator.world import World

MOST_SILENT = 64  # Connections that are held open without a word.
LOOK_MS = 20
Place = tuple[str, int]


class Greeters:
    """One thread answers for all servers. A connection that firewalls drop is refused here.

    `problems` has the places where nothing can listen, and why.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[Place, tuple[socket.socket, Boot]] = {}
        self._silent: deque[socket.socket] = deque()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="greeters", daemon=True)
        self.problems: dict[Place, str] = {}

    def start(self) -> None:
        self._world.after_settling.append(self._follow)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(timeout=5)
        with self._world.lock:
            self._world.after_settling.remove(self._follow)
            for place in list(self._open):
                self._close(place)
        while self._silent:
            self._silent.pop().close()

    def _follow(self) -> None:
        """Open and close sockets as it is right now; under the world's lock."""
        wanted: dict[Place, Boot] = {}
        world = self._world
        # As lists: whoever holds the world may change it meanwhile.
        for project in list(world.projects.values()):
            for server in list(project.servers.values()):
                if server.powered_at is None:
                    continue
                boot = boot_of(project, server)
                if (
                    server.ipv4
                    and listens(server, boot, world.clock.now())
                    and project.firewalls.lets_in(server.id, boot.port, world.source)
                ):
                    wanted[server.ipv4, boot.port] = boot
        for place in self._open.keys() - wanted.keys():
            self._close(place)
        for place, boot in wanted.items():
            if place not in self._open and place not in self.problems:
                self._listen(place, boot)

    def _listen(self, place: Place, boot: Boot) -> None:
        try:
            listening = socket.create_server(place)
        except OSError as error:
            address, port = place
            hint = " (a port below 1024 may need root: Boot(port=2222))" if port < 1024 else ""
            reason = os.strerror(error.errno) if error.errno else str(error)
            self.problems[place] = f"{address}:{port}: {reason}{hint}"
            print(f"simulator: no server greets at {self.problems[place]}", file=sys.stderr)
            return
        listening.setblocking(False)
        self._open[place] = listening, boot

    def _close(self, place: Place) -> None:
        listening, _ = self._open.pop(place)
        listening.shutdown(socket.SHUT_RDWR)  # The thread's poll would hold it open.
        listening.close()

    def _serve(self) -> None:
        while not self._end.is_set():
            if self._world.record:  # Without it no server was made.
                self._world.settle()
            with self._world.lock:
                now_open = list(self._open.values())
            poll = select.poll()
            by_fd = {}
            for listening, boot in now_open:
                if (fd := listening.fileno()) >= 0:
                    by_fd[fd] = listening, boot
                    poll.register(fd, select.POLLIN)
            for fd, _ in poll.poll(LOOK_MS):
                self._greet(*by_fd[fd])

    def _greet(self, listening: socket.socket, boot: Boot) -> None:
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # Closed meanwhile, or the client has gone.
        if not boot.says:
            self._silent.append(connection)
            if len(self._silent) > MOST_SILENT:
                self._silent.popleft().close()
            return
        with connection:
            try:
                connection.settimeout(1)
                connection.sendall(boot.says.encode())
            except OSError:
                return
