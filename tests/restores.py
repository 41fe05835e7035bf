"""One restore, state by state as RestoreRun goes, on the simulator through the real SDK."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from handler.decisions import isolating
from handler.documents.document import format_time
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_RUN_ID, LABEL_SERVER_ID
from handler.documents.restore import Restore
from handler.documents.restore_run import Candidate, Original, RestoreRun, Source
from handler.hetzner.api import Hetzner, client_for
from handler.restore_run.check_server import check_server
from handler.restore_run.create_server import create_server
from handler.restore_run.remove_server import remove_server
from local.simulator import Clock, Image, Project, Server, Simulator, World
from local.simulator.firewalls import Firewall
from tests.conftest import TOKEN
from tests.simulated import START

OWNER = "me"
CX23 = Candidate("cx23", "fsn1", "0.0061", "EUR")
CX33 = Candidate("cx33", "nbg1", "0.0080", "EUR")
NAME = "sg5-drill-1"
# Which state looks next, by status, as the machine's Choices have it.
NEXT = {
    "new": "create",
    "waiting": "create",
    "creating": "check",
    "booting": "check",
    "removing": "remove",
}
MOST_STATES = 500


def wall_in(project: Project, owner: str) -> Firewall:
    """The one firewall of that owner's restores."""
    name = isolating.firewall_name(owner)
    [wall] = [wall for wall in project.firewalls.values() if wall.name == name]
    return wall


@dataclass
class Restoring:
    """A project with one server, one snapshot of it, and a restore of that."""

    world: World
    project: Project
    hetzner: Hetzner
    server: Server
    image: Image
    restore: Restore
    notes: list[str] = field(default_factory=list)
    path: list[str] = field(default_factory=list)  # the states so far

    def changed(self, **changes: Any) -> None:
        self.restore = replace(self.restore, **changes)

    def probe(self, address: str, port: int, timeout_s: float) -> str:
        heard = self.world.greeting(address, port)
        return (heard.text or "").strip() or f"no connection: {heard.why}"

    def step(self, state: str = "") -> Restore:
        """The next state, after the wait that was ordered; its output goes through JSON's types."""
        state = state or NEXT[self.restore.status]
        self.world.clock.advance(self.restore.wait_seconds)
        self.path.append(state)
        given = Restore.from_dict(self.restore.to_dict())
        if state == "create":
            self.restore = create_server(given, self.hetzner, 0.5)
        elif state == "check":
            self.restore = check_server(given, self.hetzner, 0.5, self.probe)
        else:
            self.restore = remove_server(given, self.hetzner, 0.5)
        return self.restore

    def until(self, *statuses: str) -> Restore:
        for _ in range(MOST_STATES):
            if self.restore.status in statuses or self.restore.status not in NEXT:
                return self.restore
            self.step()
        raise AssertionError(f"no end: {self.restore.status}, {self.restore.reason}")

    def end(self) -> Restore:
        return self.until()

    @property
    def copies(self) -> list[Server]:
        return [server for server in self.project.servers.values() if server is not self.server]

    @property
    def copy(self) -> Server:
        [copy] = self.copies
        return copy

    @property
    def wall(self) -> Firewall:
        return wall_in(self.project, OWNER)

    def sent(self, method: str, path: str = "") -> int:
        """How many such requests Hetzner has got."""
        return sum(r.method == method and path in r.path for r in self.world.requests)

    def deeds(self, copy_id: int) -> list[str]:
        return [deed.what for deed in self.world.deeds if deed.server_id == copy_id]

    def never_acted(self) -> bool:
        """Whether no server that was made here could ever act."""
        return not any(
            deed.can_act_by for deed in self.world.deeds if deed.what in ("runs", "open")
        )


@contextmanager
def restoring(*, keep: bool = False, probe: str = "ssh") -> Iterator[Restoring]:
    """Hetzner's time stands still but for the waits."""
    world = World(Clock(START), seed=1)
    project = world.project("default")
    project.add_token(TOKEN)
    server = project.add_server("sg5")
    labels = {
        LABEL_MANAGED_BY: OWNER, LABEL_SERVER_ID: str(server.id), LABEL_RUN_ID: "night",
        "people/wrote": "this",
    }  # fmt: skip
    image = project.add_snapshot(server, labels=labels)
    project.server_seconds[image.id] = 90
    project.ssh_keys[3001] = "a key"
    run = RestoreRun("drill-1", "default", OWNER, keep=keep)
    restore = Restore(
        run=run,
        status="new",
        server=Original(server.id, server.name, probe),
        source=Source(image.id, format_time(image.created) or "", image.disk_size),
        copy_name=NAME,
        keep=keep,
        restore_id=run.id,
        began=format_time(world.clock.now()),
        candidates=(CX23, CX33),
    )
    notes: list[str] = []
    with Simulator(world) as simulator:
        client = client_for(TOKEN, simulator.url)
        hetzner = Hetzner(lambda: client, "/tokens/default", detail=notes.append)
        yield Restoring(world, project, hetzner, server, image, restore, notes)
        client._client._session.close()
