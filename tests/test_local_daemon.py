"""The cloud of `make up` goes on after its starter has ended, and always leaves nothing behind."""

import importlib.metadata
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.cloud import Cloud
from local.daemon import Daemon
from local.ministack import FUNCTIONS_AT_ONCE, limit_functions
from local.options import Options
from local.service import Crashed

ROOT = Path(__file__).parent.parent


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.stop()


def started(daemon: Daemon) -> Cloud:
    return daemon.start(Options.from_env({}))


def holder(daemon: Daemon) -> int:
    return int((daemon.build / "cloud.lock").read_text())


def becomes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def processes(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def gone(cloud: Cloud) -> bool:
    return not Path(cloud.folder).exists() and not processes(cloud.folder)


def test_it_is_found_while_it_is_up_and_not_afterwards(daemon: Daemon) -> None:
    cloud = started(daemon)
    assert daemon.find() == cloud
    assert daemon.stop() is True
    assert daemon.find() is None
    assert gone(cloud)
    assert daemon.stop() is False
    assert {path.name for path in daemon.build.iterdir()} <= {"cloud.lock"}


def test_after_a_crash_of_the_daemon_everything_ends_and_the_state_is_cleared(
    daemon: Daemon,
) -> None:
    cloud = started(daemon)
    os.kill(holder(daemon), signal.SIGKILL)
    assert becomes_true(lambda: gone(cloud))
    assert (daemon.build / "cloud.json").exists()
    assert daemon.find() is None
    assert not (daemon.build / "cloud.json").exists()
    assert started(daemon).folder != cloud.folder


def test_when_one_process_dies_the_others_end_and_the_reason_is_said(daemon: Daemon) -> None:
    cloud = started(daemon)
    (simulator,) = processes(f"{cloud.folder}/simulator.json")
    os.kill(simulator, signal.SIGKILL)
    assert becomes_true(lambda: daemon.find() is None)
    assert becomes_true(lambda: gone(cloud))
    # It says so when all else has ended, with its own last words.
    assert becomes_true(lambda: "simulator ended by itself" in daemon.last_words())


def test_what_keeps_it_from_starting_is_said(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(Crashed, match=f"Port {port} cannot be used"):
            daemon.start(Options.from_env({"AWS_PORT": str(port)}))
    assert daemon.find() is None


def test_only_so_many_functions_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lambda_svc = pytest.importorskip("ministack.services.lambda_svc")
    running, most, lock = 0, 0, threading.Lock()
    as_many_as_may = threading.Barrier(FUNCTIONS_AT_ONCE)

    def execute(*arguments: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        as_many_as_may.wait(timeout=30)
        time.sleep(0.02)  # For one more than may to come in.
        with lock:
            running -= 1
        return arguments

    monkeypatch.setattr(lambda_svc, "_execute_function_warm", execute)
    limit_functions()
    threads = [
        threading.Thread(target=lambda_svc._execute_function_warm, args=({}, {}, "id"))
        for _ in range(3 * FUNCTIONS_AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=40)
    assert most == FUNCTIONS_AT_ONCE


def test_the_private_part_it_relies_on_belongs_to_the_pinned_version() -> None:
    pinned = re.search(r"^ministack==(\S+)", (ROOT / "requirements/dev.in").read_text(), re.M)
    assert pinned and pinned[1] == importlib.metadata.version("ministack")
    assert pinned[1] in str(limit_functions.__doc__)
    assert f"({pinned[1]})" in (ROOT / "local/door.py").read_text()
