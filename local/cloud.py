"""A cloud of our own: the local AWS and, unless told otherwise, a Hetzner simulator."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.access import Access
from local.environment import LOOPBACK
from local.ministack import answers, start_aws
from local.options import Api, Options
from local.service import Service, remove, take_port

SEED = 1


@dataclass(frozen=True, slots=True)
class Cloud:
    """The cloud's addresses, and the key of its AWS."""

    aws: Access
    api: Api
    endpoint: str
    wait_scale: float
    folder: str
    fleet: str = ""  # the simulator's; empty with another API


class Servers:
    """The processes of a cloud. All methods raise Crashed if one of them fails."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._simulator_port = 0
        self._started: list[Service] = []

    def choose_endpoint(self) -> str:
        """Raises Unusable if the simulator's port is taken."""
        if self._options.endpoint:
            return self._options.endpoint
        self._simulator_port = take_port(self._options.simulator_port, "SIMULATOR_PORT")
        return f"http://{LOOPBACK}:{self._simulator_port}/v1"

    def start_aws(self) -> Access:
        """Raises Unusable if its port is taken."""
        scale, port = self._options.wait_scale, self._options.aws_port
        service, access = start_aws(self._folder, scale, port)
        self._started.append(service)
        service.wait_until(lambda: answers(access))
        return access

    def start_simulator(self, fleet: str = "", seed: int = SEED) -> None:
        """Starts its clock; does nothing if another API is used."""
        if self._options.endpoint:
            return
        ready_file = self._folder / "simulator.json"
        simulator = Service(
            "The Hetzner simulator",
            "local.simulator",
            [
                *("--port", str(self._simulator_port)),
                *("--scale", f"{1 / self._options.wait_scale:g}"),
                *(
                    "--fleet",
                    fleet or self._options.fleet,
                    "--seed",
                    str(seed),
                    "--ready-file",
                    str(ready_file),
                ),
            ],
            self._folder / "simulator.log",
            SIMULATOR_TOKEN=self._options.token,
        )
        self._started.append(simulator)
        simulator.wait_until(ready_file.exists)

    def check(self) -> None:
        for service in self._started:
            service.check()

    def stop(self) -> None:
        for service in self._started:
            service.stop()


@contextmanager
def running(options: Options) -> Iterator[tuple[Cloud, Servers]]:
    """A cloud without its simulator, which is started later: its time must not pass while the
    stack is deployed. Nothing is left of the cloud afterwards. Raises Unusable or Crashed.
    """
    folder = Path(tempfile.mkdtemp(prefix="hetzner-snapshots-"))
    servers = Servers(options, folder)
    try:
        endpoint = servers.choose_endpoint()
        aws = servers.start_aws()
        fleet = options.fleet if options.api == "simulator" else ""
        yield Cloud(aws, options.api, endpoint, options.wait_scale, str(folder), fleet), servers
    finally:
        servers.stop()
        remove(folder)
