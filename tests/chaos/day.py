"""A random day from a seed: a night, drills, restores that are kept, sweeps, looks, troubles."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from handler.aws import runtime, tokens
from handler.decisions.proof import label_time
from handler.documents.labels import (
    LABEL_DRILL,
    LABEL_PROBE,
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_UNPROVEN_AT,
)
from local.simulator import Project, Server
from local.simulator.boot import SSH, Boot
from local.virtual.cloud import stack
from local.virtual.functions import RESTORING
from local.virtual.machine import Failed
from local.virtual.stage import START, Stage
from tests.chaos import bad_copies, bad_days
from tests.chaos.copies import Before, Copies, Look, Person
from tests.chaos.less import Less
from tests.chaos.sights import HOUR
from tests.chaos.told_copies import Proofs
from tests.chaos.troubles import Trouble

# By then all that went wrong is over; what is left goes in the hours after it.
LAST_TROUBLE = 20 * HOUR
FIRST_LOOK, LOOKS = 0.5, 46
QUIET = 6 * HOUR  # later than that nothing is started any more but by the watch
TROUBLES: list[list[Trouble]] = [bad_copies.TROUBLES, bad_days.TROUBLES]  # half of them each
BOOTS = [
    Boot(30.0), Boot(30.0), Boot(30.0), Boot(500.0), Boot(5000.0), Boot(30.0, None),
    Boot(30.0, "HTTP/1.1 400 Bad Request\r\n"), Boot(30.0, ""), Boot(60.0, SSH, 2222),
]  # fmt: skip
TIMES = [0.0, 0.0, 5.0, 60.0, 600.0, 2 * HOUR]


class Day(Stage):
    """A day whose every event follows from the seed; each part has its own random generator."""

    def __init__(self, seed: int, less: Less | None = None) -> None:
        super().__init__(seed)
        self.less = less or Less()
        self.cloud.has_restores = True
        self.cloud.greeting = self._greets
        self.world.record.who = lambda: self.loop.current.context
        self.person, self.copies = Person(self), Copies(self)
        self.proofs = Proofs(self)
        self.starts: list[str] = []
        self.looked: list[Look] = []
        rng = self.stream("settings")
        self.cloud.environment |= {
            "DRILL_SERVERS": str(rng.choice([1, 1, 2, 5])),
            "FRESHNESS_HOURS": str(rng.choice([0, 3, 26, 26])),
            "ORPHAN_DAYS": str(rng.choice([0, 0, 1, 30])),
        }
        self.projects = [self.project]
        if rng.random() < 0.35:
            self.projects.append(self.add_project("second"))
        for project in self.projects:
            if self.stream(f"keys of {project.name}").random() < 0.7:
                project.ssh_keys[1] = "key"
        self._fleet()
        self._starts()
        self._troubles()
        self.later(LAST_TROUBLE, self._heal)
        for hour in range(LOOKS):
            self.later((hour + FIRST_LOOK) * HOUR, self._look)
        self.before = Before(self)

    def drawn(self) -> list[str]:
        """What is random in it, in words."""
        servers = [f"{p.name}: {', '.join(s.name for s in p.servers.values())}"
                   for p in self.projects]  # fmt: skip
        return [*servers, str(self.cloud.environment), *self.starts, *self.troubles]

    def began_at(self, seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    def project_of(self, name: str) -> Project:
        return self.world.projects[name]

    def _fleet(self) -> None:
        count = self.stream("size").choice([1, 1, 2, 2, 3, 4])
        for number in range(max(count, len(self.projects))):
            rng = self.stream(f"server {number}")
            project = self.projects[number % len(self.projects)]
            server = self._server(f"s{number}", project, rng)
            for days in rng.sample([0.2, 1, 2, 3, 9, 40], rng.choice([0, 1, 2, 2, 3, 4])):
                self.old_snapshot(server, days, project=project, labels=_proof(days, rng))
            if rng.random() < 0.15:
                project.delete_server(server)  # gone: its snapshots are orphans, and can come back
            elif number in self.less.servers and len(project.servers) > 1:
                del project.servers[server.id]

    def _server(self, name: str, project: Project, rng: random.Random) -> Server:
        boot = rng.choice(BOOTS)
        port = f"ssh.{boot.port}" if boot.port != 22 else rng.choice(["ssh", "ssh", "none"])
        labels = {LABEL_PROBE: port} if port != "ssh" or rng.random() < 0.3 else {}
        if rng.random() < 0.1:
            labels = {LABEL_PROBE: "telnet"}
        if rng.random() < 0.1:
            labels[LABEL_DRILL] = rng.choice(["true", "false", "never"])
        server = project.add_server(name, labels, location=rng.choice(["fsn1", "fsn1", "hel1"]))
        project.boots[server.id] = boot
        return server

    def _starts(self) -> None:
        count = self.stream("starts").choice([1, 1, 2, 3, 4])
        for number in range(1 + count):
            rng = self.stream(f"start {number}")
            if number not in self.less.starts:
                said = self._start(rng) if number else self._night(rng)
                self.starts.append(f"{number}. {said}")

    def _night(self, rng: random.Random) -> str:
        event: dict[str, Any] = {"scheduled_time": f"{START:%Y-%m-%dT%H:%M:%SZ}"}
        if rng.random() < 0.4:
            event["retention"] = rng.choice(["last1", "within1d", "daily2"])
        at = rng.choice([0.0, 0.0, 20.0, 60.0, 150.0, 2 * HOUR])
        self.ask(at, event, rng, function="StartRun")
        return f"a night {event} at {at:.0f} s"

    def _start(self, rng: random.Random) -> str:
        """An event of StartRestore; Lambda or a person may send it twice."""
        event, at = self._event(rng), rng.choice(TIMES)
        again = rng.choice(["", "", "", "the same", "another"])
        request_id = self.ask(at, event, rng)
        if again:
            apart = rng.choice([0.0, 1.0, 50.0, 400.0])
            self.ask(at + apart, event, rng, request_id if again == "the same" else "")
            again = f", {again} request {apart:.0f} s later"
        return f"{event} at {at:.0f} s{again}"

    def _event(self, rng: random.Random) -> dict[str, Any]:
        project = rng.choice(self.projects)
        names = [server.name for server in project.servers.values()]
        ours = [image.id for image in project.images.values()]
        of: dict[str, Any] = {"project": project.name} if len(self.projects) > 1 else {}
        events: list[dict[str, Any]] = [
            {}, {}, {}, of, {"dry_run": True}, {"sweep": True},
            {"scheduled_time": "2026-11-21T06:00:00Z"},
        ]  # fmt: skip
        if names:
            one = of | {"servers": [rng.choice(names)]}
            events += [one, of | {"servers": names}, one | {"keep": True}]
        if ours:
            events.append(of | {"snapshot": rng.choice(ours)})
        return rng.choice(events)

    def ask(
        self,
        at: float,
        event: dict[str, Any],
        rng: random.Random,
        request_id: str = "",
        function: str = "StartRestore",
    ) -> str:
        """Sends the event so long after now; the request's id."""
        request_id = request_id or f"{rng.randrange(16**8):08x}-1111-4000-8000-000000000000"

        def send() -> None:
            if self.cloud.has_restores or function == "StartRun":
                self.cloud.deliver(event, request_id, function=function)

        self.later(at, send)
        return request_id

    def _troubles(self) -> None:
        rng = self.stream("troubles")
        for number in range(rng.choice([0, 1, 1, 2, 3, 4])):
            which = rng.choice(rng.choice(TROUBLES))
            if number not in self.less.troubles:
                said = which(self, self.stream(f"trouble {number}"))
                self.troubles.append(f"{number}. {which.__name__}: {said}")

    def redeploy(self, restores: bool, deletes: bool = False) -> None:
        """The stack is deployed with or without Restores; executions that run go on, unless that
        `deletes` what they consist of."""
        self.cloud.has_restores = restores
        self.cloud.undeployed = frozenset(RESTORING if deletes else ())
        if deletes:
            self.cloud.forgotten |= self.cloud.restores.keys()
        for function in ("WatchServers", "SummariseRun"):
            os.environ.update(stack(restores).environment(function))
        os.environ.update(self.cloud.environment)
        runtime.watch_settings.cache_clear()
        runtime.summary_settings.cache_clear()

    def _heal(self) -> None:
        """Whatever went wrong is over."""
        cloud = self.cloud
        self.world.faults.clear()
        for errors in (cloud.fates, cloud.ssm_errors, cloud.start_errors, cloud.watch_errors):
            errors.clear()  # type: ignore[attr-defined]
        cloud.list_errors, cloud.skew = 0, timedelta()
        self.project.rate_limit = 3600
        if cloud.tokens.get(self.parameter) not in (self.token, self.next_token):
            cloud.tokens[self.parameter] = self.token
        token = cloud.tokens[self.parameter]
        if token not in self.world._access:
            self.project.add_token(token)
        self.redeploy(restores=True)

    def _look(self) -> None:
        """An hour has passed: what a container has kept of tokens has expired."""
        if self.looked and self._is_quiet(self.looked[-1]):
            return
        tokens.parameters.cache_clear()
        count = len(self.cloud.invocations)
        look = Look(self)
        with suppress(Failed):
            self.cloud.invoke("WatchServers", {}, 900, None)
        begun = self.cloud.invocations[count:]
        look.end(next((i for i in begun if i.function == "WatchServers"), None))
        self.looked.append(look)

    def _is_quiet(self, last: Look) -> bool:
        """Whether nothing of drills goes on, is left or is told as left: a look changes nothing."""
        is_going_on = any(e.status == "RUNNING" for e in self.cloud.restores.values())
        is_left = any(each.is_drills and each.gone is None for each in self.copies.values())
        is_early = self.loop.now < QUIET
        return not (is_early or is_going_on or is_left) and last.heard and not last.says_left

    def _greets(self, address: str, port: int) -> str:
        heard = self.world.greeting(address, port)
        self.copies.note_greeting(address, heard.text or "")
        return (heard.text or "").strip() or f"no connection: {heard.why}"

    def copy(self) -> tuple[Project, Server] | None:
        """A throw-away copy that is there now."""
        there = [(p, s) for p in self.projects for s in p._servers.values()]
        return next(((p, s) for p, s in there if s.id in self.copies.thrown_away), None)

    def when_there(self, wait: float, act: Callable[[Project, Server], None]) -> None:
        """Acts once on a copy, so long after it was seen first."""

        def look(tries: int = 400) -> None:
            while tries and self.copy() is None:
                self.loop.sleep(10)
                tries -= 1
            self.loop.sleep(wait)
            if found := self.copy():
                act(*found)

        self.later(0.0, look)


def _proof(days: float, rng: random.Random) -> dict[str, str]:
    """What a drill before this day has written on a snapshot so many days old."""
    at = label_time(START - timedelta(days=days * rng.random()))
    return rng.choice(
        [{}, {}, {}, {LABEL_PROVEN_AT: at, LABEL_PROVEN_BY: "ssh"}, {LABEL_UNPROVEN_AT: at},
         {LABEL_PROVEN_AT: at, LABEL_PROVEN_BY: "running"}, {"by": "somebody"}]
    )  # fmt: skip
