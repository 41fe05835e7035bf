"""The local AWS: MiniStack on loopback, with four things it does not do by itself.

Started as `python -m local.ministack LISTENER WAIT_SCALE FOLDER`, as a session of its own, with a
listening socket, its key in the environment, and a pipe as standard input. When the pipe closes,
because its starter ended in any way, it ends with every process it started, and removes the folder.
"""

import asyncio
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from local.access import Access
from local.environment import LOOPBACK
from local.service import Service, listen, remove

# Up to 64 branches run together in MiniStack, each in a Lambda process of its own: 263 processes
# took 11 GB. AWS does not queue them, but a laptop has to.
FUNCTIONS_AT_ONCE = 4
# What a function's process writes behind the last line of an invocation's log.
END_OF_LOG = "-- end of the invocation's log --"
LOG_SECONDS, DEAD_SECONDS = 5.0, 0.25


def start_aws(
    folder: Path, wait_scale: float, port: int | None = None, **environ: str
) -> tuple[Service, Access]:
    """With a new key. Raises Unusable if the port is taken; wait until it `answers`."""
    listener = listen(port, "AWS_PORT")
    access = Access(f"http://{LOOPBACK}:{listener.getsockname()[1]}", secrets.token_hex(32))
    service = Service(
        "The local AWS",
        "local.ministack",
        [str(listener.fileno()), str(wait_scale), str(folder)],
        folder / "aws.log",
        listener,
        # Not an argument: all users see those.
        AWS_SECRET_ACCESS_KEY=access.secret,
        **environ,
    )
    return service, access


def answers(access: Access) -> bool:
    """Whether it is up, and refuses who has no key."""
    try:
        with urllib.request.urlopen(access.url, timeout=2):
            return False
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code == 403
    except OSError:
        return False


def settings(port: int, wait_scale: float, folder: str) -> dict[str, str]:
    return {
        "GATEWAY_PORT": str(port),
        # Its MQTT listener would listen on all interfaces.
        "IOT_MTLS_ENABLED": "0",
        "SFN_WAIT_SCALE": str(wait_scale),
        # It does not remove the packages that it unpacked, and would look for containers to remove.
        "TMPDIR": folder,
        "HOME": folder,
        "DOCKER_HOST": f"unix://{folder}/no-docker",
    }


def limit_functions() -> None:
    """Uses private functions, of the version pinned in requirements/dev.in (1.5.33)."""
    from ministack.services import lambda_svc  # type: ignore[import-untyped]

    slots = threading.BoundedSemaphore(FUNCTIONS_AT_ONCE)
    execute = lambda_svc._execute_function_warm

    def execute_in_a_slot(*arguments: Any) -> Any:
        with slots:
            return execute(*arguments)

    lambda_svc._execute_function_warm = execute_in_a_slot


def keep_logs_whole() -> None:
    """By itself MiniStack reads a log until nothing comes for 5 ms: on a busy machine that is not
    its end, and the rest is missing or told with the next invocation.

    Uses private parts, of the version pinned in requirements/dev.in (1.5.33).
    """
    from ministack.core import lambda_runtime  # type: ignore[import-untyped]

    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    last = "        _real_stdout.flush()\n\nrun()\n"
    assert script.endswith(last)
    told = f"        print({END_OF_LOG!r}, file=sys.stderr, flush=True)\n"
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.removesuffix(last) + told + last
    lambda_runtime.Worker._drain_stderr_bounded = whole_log


def whole_log(worker: Any) -> str:
    """An invocation's lines; those that there are, if its process has died."""
    lines: list[str] = []
    deadline = time.monotonic() + LOG_SECONDS
    while time.monotonic() < deadline:
        try:
            line = worker._stderr_queue.get(timeout=DEAD_SECONDS)
        except queue.Empty:
            if worker._proc is None or worker._proc.poll() is not None:
                break
            continue
        if line == END_OF_LOG:
            break
        lines.append(line)
    return "\n".join(lines)


def end_with_starter(folder: str) -> None:
    sys.stdin.buffer.read()
    # In another process: as long as our threads run, they write new files into the folder.
    subprocess.Popen(
        [sys.executable, "-m", "local.ministack", "end", str(os.getpid()), folder],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def end(group: int, folder: Path) -> None:
    # This ends only our own process group; without one, the call fails.
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    remove(folder)


def main(listener: int, wait_scale: float, folder: str) -> None:
    with socket.socket(fileno=os.dup(listener)) as listening:
        port = listening.getsockname()[1]
    # Before the imports: MiniStack reads its settings while it is imported.
    os.environ.update(settings(port, wait_scale, folder))
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app  # type: ignore[import-untyped]

    from local.door import Door

    limit_functions()
    keep_logs_whole()
    threading.Thread(target=end_with_starter, args=(folder,), daemon=True).start()
    config = Config()
    config.bind = [f"fd://{listener}"]
    # MiniStack's own: clients keep their connections between a run's looks.
    config.keep_alive_timeout = 75
    asyncio.run(serve(Door(app, f"{LOOPBACK}:{port}"), config))  # type: ignore[arg-type]


if __name__ == "__main__":
    if sys.argv[1] == "end":
        end(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
