"""The local AWS: MiniStack on loopback, with two things it does not do by itself.

Started as `python -m local.ministack PORT WAIT_SCALE FOLDER`, as a session of its own and
with a pipe as standard input. When the pipe closes, because its starter ended in any way, it ends
with every process it started, and removes the folder.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from local.environment import LOOPBACK
from local.service import remove

# Up to 64 branches run together in MiniStack, each in a Lambda process of its own: 263 processes
# took 11 GB. AWS does not queue them, but a laptop has to.
FUNCTIONS_AT_ONCE = 4


def settings(port: int, wait_scale: float, folder: str) -> dict[str, str]:
    return {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": LOOPBACK,
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


def main(port: int, wait_scale: float, folder: str) -> None:
    # Before the import: MiniStack reads its settings while it is imported.
    os.environ.update(settings(port, wait_scale, folder))
    from ministack.app import main as serve  # type: ignore[import-untyped]

    limit_functions()
    threading.Thread(target=end_with_starter, args=(folder,), daemon=True).start()
    sys.argv[1:] = []
    serve()


if __name__ == "__main__":
    if sys.argv[1] == "end":
        end(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
