"""One container as Lambda makes it: the runtime interface emulator with AWS's own client in it.

The emulator's binary is the one SAM CLI brings. The function sees the package, the standard
library and what Lambda's Python has beside it, and nothing else of the environment of the tests.
"""

import json
import os
import platform
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from local.environment import LOOPBACK
from local.service import take_port
from local.virtual.template import ROOT

# What python3.13 on Lambda has: the client of the runtime interface, boto3, and what they need.
# Other packages that boto3 needs (such as urllib3) are in our package, and must come from there.
BESIDE_PYTHON = (
    *("awslambdaric", "simplejson", "snapshot-restore-py"),
    *("boto3", "botocore", "s3transfer"),
)
INVOKE_PATH = "/2015-03-31/functions/function/invocations"
READY_SECONDS = 20
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
# The emulator's own log: its line REPORT counts the import as part of the first duration.
INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
INVOKE = re.compile(r"INVOKE RTDONE\(status: success.*?duration: ([\d.]+)ms\)")
BILLED = re.compile(r"REPORT RequestId: .*?Billed Duration: ([\d.]+) ms\s+Memory Size: (\d+) MB")


def emulator() -> Path | None:
    """The emulator for this machine; None if there is none."""
    machine = MACHINES.get(platform.machine().lower())
    if sys.platform != "linux" or not machine:
        return None
    found = ROOT.glob(f".venv-sam/lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")
    return next(found, None)


def lambdas_python(folder: Path) -> Path:
    """Fills the folder with what Lambda's Python has beside the standard library."""
    folder.mkdir()
    for name in BESIDE_PYTHON:
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files or ()} - {"__pycache__"}:
            (folder / top).symlink_to(Path(str(installed.locate_file(top))))
    return folder


@dataclass(frozen=True, slots=True)
class Report:
    """What the emulator measured: the import, then per invocation the handler and what is billed.

    The first one is billed with the import.
    """

    init_ms: float
    handler_ms: list[float]
    billed_ms: list[float]
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Container:
    """A booted function."""

    port: int
    log: Path

    def invoke(self, event: Any) -> Any:
        """What the function returns; an error as Lambda reports it, with errorType."""
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.port}{INVOKE_PATH}", json.dumps(event).encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as failed_to_boot:
            with failed_to_boot:
                return json.load(failed_to_boot)

    def report(self, invocations: int) -> Report:
        """Waits until so many invocations are reported: that comes after their answer."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            text = self.log.read_text()
            billed = BILLED.findall(text)
            if len(billed) == invocations:
                return Report(
                    float(INIT.findall(text)[0]),
                    [float(duration) for duration in INVOKE.findall(text)],
                    [float(duration) for duration, _ in billed],
                    int(billed[0][1]),
                )
            time.sleep(0.01)
        raise AssertionError(f"not {invocations} invocations: {self.log.read_text()}")


@contextmanager
def booted(
    package: Path, handler: str, environment: Mapping[str, str], beside: Path, log: Path
) -> Iterator[Container]:
    """The package's function in an emulator, with this environment and no other."""
    binary = emulator()
    assert binary
    port, api_port = take_port(None, ""), take_port(None, "")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                binary,
                *("--runtime-interface-emulator-address", f"{LOOPBACK}:{port}"),
                *("--runtime-api-address", f"{LOOPBACK}:{api_port}"),
                # -S: without the packages of this Python. -B: nothing is written, as on Lambda.
                *(sys.executable, "-S", "-B", "-m", "awslambdaric", handler),
            ],
            cwd=package,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(beside),
                "LAMBDA_TASK_ROOT": str(package),
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_listens(process, port, log)
        yield Container(port, log)
    finally:
        # SIGTERM makes it end the function, too, which is in a process group of its own.
        process.terminate()
        process.wait(timeout=10)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=2):
            return
        time.sleep(0.02)
    raise AssertionError(f"the emulator does not listen: {log.read_text()}")
