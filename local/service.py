"""A server process of ours: started on loopback, waited for, ended with all its children."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from local.common.variables import Unusable
from local.environment import LOOPBACK, clean

READY_SECONDS = 30


class Crashed(Exception):
    """One of our processes ended by itself; the text is for people."""


class Service:
    """A process in a session of its own, so that all it starts can be ended with it.

    Its standard input is a pipe that closes when this process ends, in any way.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: list[str],
        log: Path,
        listener: socket.socket | None = None,
        **environ: str,
    ) -> None:
        """A listener is handed on, and kept open here: the port stays ours until the end."""
        self.name = name
        self.log = log
        self._listener = listener
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**clean(os.environ), **environ},
                pass_fds=[listener.fileno()] if listener else [],
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Raises Crashed if the process ends first, or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self.check()
            if ready():
                return
            time.sleep(0.05)
        raise Crashed(f"{self.name} is not ready after {READY_SECONDS} s.\n{self.last_words()}")

    def check(self) -> None:
        """Raises Crashed if the process has ended."""
        if self.process.poll() is not None:
            code = self.process.returncode
            raise Crashed(f"{self.name} ended by itself (code {code}).\n{self.last_words()}")

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self) -> None:
        # They have nothing to save, so they are killed at once.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)
        if self.process.stdin:
            self.process.stdin.close()
        if self._listener:
            self._listener.close()


def listen(wanted: int | None, variable: str) -> socket.socket:
    """At that port, or any free one if none is wanted. Raises Unusable if it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Its connections inherit this.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((LOOPBACK, wanted or 0))
        listener.listen()
    except OSError as error:
        listener.close()
        raise Unusable(
            f"Port {wanted} cannot be used ({error.strerror}): choose another with "
            f"{variable}=, or leave it out to get a free one."
        ) from None
    return listener


def take_port(wanted: int | None, variable: str) -> int:
    """As listen(), for a process that can only be told a port. Raises Unusable."""
    with listen(wanted, variable) as listener:
        port: int = listener.getsockname()[1]
        return port


def owners_only(path: str, flags: int) -> int:
    """The opener of files that nobody else may read, or lock."""
    descriptor = os.open(path, flags, 0o600)
    # It may be there already.
    os.fchmod(descriptor, 0o600)
    return descriptor


def remove(folder: Path) -> None:
    """Removes it all, even if a process that is just being ended still writes."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
