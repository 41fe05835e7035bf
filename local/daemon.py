"""The cloud that `make up` leaves running: a daemon, found by a file lock.

The daemon holds a lock on build/cloud.lock as long as it lives, so a state file without that lock
is left from a crash or a reboot.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from local.access import Access
from local.aws import ROOT
from local.cloud import Cloud, running
from local.common.variables import Unusable
from local.options import Options
from local.service import Crashed, owners_only, remove

START_SECONDS = 60
STOP_SECONDS = 60
CHECK_SECONDS = 0.5


class Daemon:
    """The cloud whose state is in `build`."""

    def __init__(self, build: Path) -> None:
        self.build = build
        self._state = build / "cloud.json"
        self._lock = build / "cloud.lock"
        self._log = build / "cloud.log"
        self._holder: subprocess.Popen[str] | None = None

    def find(self) -> Cloud | None:
        """The running cloud, if there is one; removes what a crashed one has left."""
        if self._held():
            return self._read()
        if self._holder:
            # If it is a child of this process, its exit status has to be collected here.
            self._holder.wait(timeout=STOP_SECONDS)
            self._holder = None
        if (left := self._read()) is not None:
            remove(Path(left.folder))
            self._state.unlink(missing_ok=True)
        return None

    def start(self, options: Options) -> Cloud:
        """Starts the daemon. Raises Unusable or Crashed; then nothing of it is left."""
        self.build.mkdir(parents=True, exist_ok=True)
        if self.find() is None and self._held():
            raise Unusable("Another `make up` is just starting it. `make down` stops that.")
        with open(self._log, "w", opener=owners_only) as log:
            self._holder = holder = subprocess.Popen(
                [sys.executable, "-m", "local", "hold", str(self.build)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        try:
            # The simulator's token is no secret. A real one goes to the local SSM, not here.
            token = options.token if options.api == "simulator" else ""
            assert holder.stdin
            with suppress(BrokenPipeError), holder.stdin as orders:
                json.dump({**asdict(options), "token": token}, orders)
            deadline = time.monotonic() + START_SECONDS
            while time.monotonic() < deadline:
                if holder.poll() is not None:
                    raise Crashed(self.last_words())
                if (cloud := self._read()) is not None:
                    return cloud
                time.sleep(0.05)
            raise Crashed(f"The local cloud is not up after {START_SECONDS} s.")
        except BaseException:
            self._end(holder)
            raise

    def _end(self, holder: subprocess.Popen[str]) -> None:
        holder.terminate()
        try:
            holder.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            holder.kill()
            holder.wait(timeout=STOP_SECONDS)
        self.find()

    def hold(self, options: Options) -> None:
        """Runs the cloud until SIGTERM, or until a part of it has died."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with self._locked(), running(options) as (cloud, servers):
            servers.start_simulator()
            partial = self._state.with_suffix(".partial")
            # It holds the key.
            with open(partial, "w", opener=owners_only) as state:
                state.write(json.dumps(asdict(cloud), indent=2) + "\n")
            partial.replace(self._state)
            try:
                while True:
                    servers.check()
                    time.sleep(CHECK_SECONDS)
            finally:
                self._state.unlink(missing_ok=True)

    def stop(self) -> bool:
        """Stops the daemon; True if one was running."""
        holder = self._held()
        self.find()
        if not holder:
            self._log.unlink(missing_ok=True)
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(holder, number)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                if not self._held():
                    self.find()
                    self._log.unlink(missing_ok=True)
                    return True
                time.sleep(0.05)
        raise Crashed(f"Process {holder}, which holds the local cloud, does not end.")

    def last_words(self) -> str:
        """The end of the daemon's output, for when it ended by itself."""
        return self._log.read_text(errors="replace").strip() if self._log.exists() else ""

    def _read(self) -> Cloud | None:
        try:
            state = json.loads(self._state.read_text())
            return Cloud(**{**state, "aws": Access(**state["aws"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _held(self) -> int:
        """The process that holds the lock, 0 if none does."""
        try:
            with self._lock.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return 0
        except BlockingIOError:
            # It writes its process id right after it has the lock.
            for _ in range(20):
                if text := self._lock.read_text():
                    return int(text)
                time.sleep(0.05)
            raise Crashed(f"{self._lock} is locked by something that is not ours.") from None
        return 0

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Whoever can open it can lock it, and `make down` would believe what stands in it.
        with open(self._lock, "a+", opener=owners_only) as lock:
            for _ in range(20):
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                # Another command may hold the lock for a moment, to look.
                time.sleep(0.05)
            else:
                raise Unusable("The local cloud is up already.")
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield
