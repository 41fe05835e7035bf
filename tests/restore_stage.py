"""Whole restores and drills in virtual time: the real definition and functions, with the watch.

A story arranges the project, says what is started when, and plays all of it to its end. What it
asserts on is what Hetzner holds then, what was done to servers, and what people were told.
"""

from collections.abc import Callable
from typing import Any

from local.simulator import Image, Server
from local.simulator.boot import Boot
from local.simulator.firewalls import Firewall
from local.virtual.cloud import Execution, Invocation
from local.virtual.machine import Failed
from local.virtual.stage import Stage
from local.virtual.truth import OWNER
from tests.restores import wall_in

HOUR = 3600.0
FIRST_LOOK = 0.5 * HOUR
PEOPLES = "people/wrote"


class RestoreStage(Stage):
    """Two servers, each with a snapshot of the evening before; restores are deployed."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        self.cloud.has_restores = True
        self.cloud.greeting = self._greets
        self.project.ssh_keys[3001] = "a key"
        self.server, self.image = self.saved("sg5")
        self.other, self.other_image = self.saved("sg6")
        self.theirs = self._unchanging()
        self.started = 0
        self.answers: list[Any] = []  # of StartRestore

    def saved(self, name: str, labels: dict[str, str] | None = None) -> tuple[Server, Image]:
        """A server and a snapshot of it from the evening before, which becomes a server in 90 s."""
        server = self.project.add_server(name, labels)
        image = self.old_snapshot(server, 0.2, labels={PEOPLES: "this"})
        self.project.server_seconds[image.id] = 90
        return server, image

    def boots(self, *arguments: Any) -> None:
        """How copies of sg5 boot."""
        self.project.boots[self.server.id] = Boot(*arguments)

    # What happens, and when: seconds from the beginning.

    def restore(self, event: dict[str, Any] | None = None, at: float = 0.0) -> None:
        """StartRestore is invoked asynchronously, as by its schedule: a drill of sg5."""
        self.started += 1
        request_id = f"{self.started:08x}-1111-4000-8000-000000000000"
        event = {"servers": ["sg5"]} if event is None else event
        self.later(at, lambda: self.cloud.deliver(event, request_id, function="StartRestore"))

    def night(self, event: dict[str, Any], at: float) -> None:
        request_id = "aaaaaaaa-2222-4000-8000-000000000000"
        self.later(at, lambda: self.cloud.deliver(event, request_id))

    def watched(self, hours: int) -> None:
        """The watch looks once in each of these hours."""
        for hour in range(hours):
            self.later(FIRST_LOOK + hour * HOUR, self._look)

    def stopped(self, at: float) -> None:
        """Somebody stops all that runs."""

        def stop() -> None:
            for execution in self.cloud.restores.values():
                self.cloud.stop(execution)

        self.later(at, stop)

    def when(self, is_so: Callable[[], Any], act: Callable[[], Any], within: float = HOUR) -> None:
        """Acts once, at the first second at which it is so; it must become so."""

        def look() -> None:
            for _ in range(int(within)):
                if is_so():
                    act()
                    return
                self.loop.sleep(1)
            raise AssertionError("it has not become so")

        self.later(0.0, look)

    def play_out(self, hours: int = 5) -> None:
        """All that is arranged, with looks of the watch; then what holds in every story."""
        self.watched(hours)
        self.play()
        assert self.cloud.surprises == []
        assert self.all_of_others_is_as_it_was()
        assert not [e.name for e in self.executions if e.status == "RUNNING"]

    # What came of it.

    @property
    def copies(self) -> list[Server]:
        """The servers that restores have made and that are there."""
        return [s for s in self.project.servers.values() if s.id in self.made]

    @property
    def made(self) -> dict[int, Any]:
        return {deed.server_id: deed for deed in self.world.deeds if deed.what == "created"}

    @property
    def copy(self) -> Server:
        [copy] = self.copies
        return copy

    @property
    def wall(self) -> Firewall:
        return wall_in(self.project, OWNER)

    @property
    def runs(self) -> bool:
        """Whether a copy runs now."""
        return any(copy.status == "running" for copy in self.copies)

    def deeds(self, *what: str) -> list[str]:
        """What was done to the copies, of these, in its order."""
        return [deed.what for deed in self.world.deeds
                if deed.server_id in self.made and (not what or deed.what in what)]  # fmt: skip

    @property
    def acted(self) -> list[tuple[str, ...]]:
        """By what a copy could have acted while it ran."""
        return [deed.can_act_by for deed in self.world.deeds
                if deed.what in ("runs", "open") and deed.can_act_by]  # fmt: skip

    @property
    def executions(self) -> list[Execution]:
        return list(self.cloud.restores.values())

    def line(self, number: int = 0) -> str:
        """What the execution of that number has told: verdict and reason."""
        execution = self.executions[number]
        if execution.status == "SUCCEEDED":
            return str(execution.output["summary"])
        return execution.cause.partition("\n")[0]

    def told(self, function: str) -> list[str]:
        """The messages that were sent, each with its subject."""
        return [
            f"{message['Subject']}\n{message['Message']}"
            for invocation in self.cloud.invocations
            if invocation.function == function
            for message in invocation.messages
        ]

    def invocations(self, function: str) -> list[Invocation]:
        return [each for each in self.cloud.invocations if each.function == function]

    def all_of_others_is_as_it_was(self) -> bool:
        """The servers that no restore has made, and what people have written on snapshots."""
        old = [i for i in self.project.images.values() if i in (self.image, self.other_image)]
        wrote = all(image.labels.get(PEOPLES) == "this" for image in old)
        return wrote and self._unchanging() == self.theirs

    def _unchanging(self) -> dict[int, Any]:
        return {s.id: (s.name, dict(s.labels), s.status) for s in self.project.servers.values()
                if s.id not in self.made}  # fmt: skip

    def _greets(self, address: str, port: int) -> str:
        """In the words of the probe (handler/hetzner/greeting.py)."""
        heard = self.world.greeting(address, port)
        if heard.text is None:
            why = "Connection refused" if heard.why == "refused" else "timed out"
            return f"no connection: {why}"
        return heard.text.strip() or "a connection, and no greeting"

    def _look(self) -> None:
        try:
            self.cloud.invoke("WatchServers", {}, 900, None)
        except Failed as failed:
            self.cloud.refusals.append(f"WatchServers: {failed.error}")
