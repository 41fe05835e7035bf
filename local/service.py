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
        self, name: str, module: str, arguments: list[str], log: Path, **environ: str
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**clean(os.environ), **environ},
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


def take_port(wanted: int | None, variable: str) -> int:
    """The wanted port, or any free one if none is wanted. Raises Unusable if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted or 0))
        except OSError as error:
            raise Unusable(
                f"Port {wanted} cannot be used ({error.strerror}): choose another with "
                f"{variable}=, or leave it out to get a free one."
            ) from None
        port: int = probe.getsockname()[1]
        return port


def remove(folder: Path) -> None:
    """Removes it all, even if a process that is just being ended still writes."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
