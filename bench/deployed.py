"""The same night on the deployed local cloud: the built package, real processes and sockets."""

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from bench.bound import bound
from handler.documents.labels import LABEL_RUN_ID
from local.aws import DeployFailed, connection, deploy, store_token
from local.cloud import Cloud, running
from local.common.variables import Unusable
from local.environment import forget_the_rest
from local.options import SIMULATED_TOKEN, Options
from local.run import Refused, start
from local.service import Crashed
from local.simulator.random_fleet import draw
from local.virtual.cloud import stack

SCALE = 20  # simulated seconds per real one
MOST_REAL_SECONDS = 240
SECONDS_BETWEEN = 1.0
NOT_HERE = (Unusable, Crashed, DeployFailed, Refused, BotoCoreError, ClientError, OSError)


class NotPlayed(Exception):
    """The local cloud did not start, or did not end in time; the text says why."""


@dataclass(frozen=True, slots=True)
class Deployed:
    servers: int
    seed: int
    scale: int
    makespan_s: float  # simulated
    real_s: float
    ratio: float
    requests: float  # per server
    failed: int
    verdict: str
    functions_most_mb: float  # the largest process of a function
    functions_grown_mb: (
        float  # the growth of the process that grew most, after the first quarter of its life
    )


def play_deployed(servers: int, seed: int) -> Deployed:
    """Raises NotPlayed. Nothing of the cloud is left afterwards."""
    forget_the_rest()
    options = Options("simulator", SIMULATED_TOKEN, None, 1 / SCALE)
    try:
        with running(options) as (cloud, processes):
            store_token(cloud.aws, options.token)
            off = {"HetznerEndpoint": cloud.endpoint, "ScheduleState": "DISABLED"}
            function = deploy(cloud.aws, Path(cloud.folder), off)["StartRunFunction"]
            processes.start_simulator(f"random:{servers}", seed)
            began = time.monotonic()
            answer = start(cloud, function, {})
            memory = Memory(cloud.folder)
            described = _ended(cloud, answer["executions"][0]["execution_arn"], memory)
            real_s = time.monotonic() - began
            state = _state(cloud)
    except NOT_HERE as error:
        raise NotPlayed(f"{type(error).__name__}: {error}") from error
    made = {
        image["created_from"]["id"]
        for image in state["projects"]["default"]["images"]
        if image["labels"].get(LABEL_RUN_ID) == answer["run_id"] and image["status"] == "available"
    }
    least = bound(list(draw(seed, servers)), int(stack().parameters["ServersAtATime"]))
    seconds = (described["stopDate"] - described["startDate"]).total_seconds() * SCALE
    return Deployed(
        servers=servers,
        seed=seed,
        scale=SCALE,
        makespan_s=seconds,
        real_s=real_s,
        ratio=seconds / least.seconds,
        requests=state["requests"] / servers,
        failed=servers - len(made),
        verdict=described.get("error", "Completed"),
        functions_most_mb=memory.most_mb,
        functions_grown_mb=memory.grown_mb,
    )


def _ended(cloud: Cloud, arn: str, memory: "Memory") -> dict[str, Any]:
    step_functions = boto3.client("stepfunctions", **connection(cloud.aws))
    deadline = time.monotonic() + MOST_REAL_SECONDS
    while time.monotonic() < deadline:
        described = step_functions.describe_execution(executionArn=arn)
        if described["status"] != "RUNNING":
            return dict(described)
        memory.look()
        time.sleep(SECONDS_BETWEEN)
    raise NotPlayed(f"the run has not ended after {MOST_REAL_SECONDS} s")


def _state(cloud: Cloud) -> dict[str, Any]:
    address = cloud.endpoint.removesuffix("/v1") + "/_sim/state"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return dict(json.load(answer))


class Memory:
    """The memory of the functions' processes, read from time to time."""

    def __init__(self, folder: str) -> None:
        self._folder = folder.encode()
        self._kb: dict[int, list[int]] = {}

    def look(self) -> None:
        for pid, kb in self._functions():
            self._kb.setdefault(pid, []).append(kb)

    @property
    def most_mb(self) -> float:
        return max((max(kb) for kb in self._kb.values()), default=0) / 1024

    @property
    def grown_mb(self) -> float:
        return max((kb[-1] - kb[len(kb) // 4] for kb in self._kb.values()), default=0) / 1024

    def _functions(self) -> Iterator[tuple[int, int]]:
        page_kb = os.sysconf("SC_PAGE_SIZE") // 1024
        for entry in Path("/proc").glob("[0-9]*"):
            # Processes start and end while they are read.
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if self._folder in command and b"local." not in command:
                    pages = int((entry / "statm").read_text().split()[1])
                    yield int(entry.name), pages * page_kb
