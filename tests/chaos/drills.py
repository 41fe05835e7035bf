"""Random days with drills: drills, restores that are kept, sweeps, a night, and troubles."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from handler.decisions.isolating import firewall_name
from handler.documents.labels import LABEL_PROBE, LABEL_THROW_AWAY
from local.simulator import Fault, Server
from local.simulator.boot import SSH, Boot
from local.simulator.faults import dated, drop, html, rate_limited, slow, status
from local.virtual.cloud import Fate
from local.virtual.stage import Stage
from local.virtual.truth import OWNER
from tests.chaos.restored import Person

HOUR = 3600.0
LAST_TROUBLE = 20 * HOUR
# After the longest drill that was begun: looks of the watch and what they start.
FIRST_LOOK, LAST_LOOK = 0.5, 40
REQUESTS = [
    "/servers", r"/servers/\d+", r"/servers/\d+/actions/.*", "/firewalls", r"/firewalls/.*",
    "/images", r"/images/\d+", "/ssh_keys", "/server_types", r"/actions/\d+", ".*",
]  # fmt: skip
FUNCTIONS = ["StartRestore", "PlanRestore", "CreateServer", "CheckServer", "RemoveServer",
             "SummariseRestore", "any"]  # fmt: skip
BOOTS = [
    Boot(30.0), Boot(30.0), Boot(30.0), Boot(500.0), Boot(5000.0), Boot(30.0, None),
    Boot(30.0, "HTTP/1.1 400 Bad Request\r\n"), Boot(30.0, ""), Boot(60.0, SSH, 2222),
]  # fmt: skip


class Day(Stage):
    """One drawn from its seed: what is started, and what goes wrong."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.cloud.has_restores = True
        self.cloud.greeting = self._greets
        self.cloud.environment["DRILL_SERVERS"] = str(self.stream("servers").choice([1, 1, 2, 5]))
        self.person = Person(self)
        rng = self.stream("drills")
        for number in range(rng.choice([1, 1, 2, 3])):
            self._add_server(f"s{number}", rng)
        if rng.random() < 0.7:
            self.project.ssh_keys[1] = "key"
        self.starts = [self._start(rng) for _ in range(rng.choice([1, 1, 2, 3]))]
        for _ in range(rng.choice([0, 1, 1, 2, 3, 4])):
            self.troubles.append(rng.choice(TROUBLES)(self, rng))

    def _add_server(self, name: str, rng: random.Random) -> None:
        boot = rng.choice(BOOTS)
        port = f"ssh.{boot.port}" if boot.port != 22 else rng.choice(["ssh", "ssh", "none"])
        labels = {LABEL_PROBE: port} if port != "ssh" or rng.random() < 0.3 else {}
        if rng.random() < 0.1:
            labels = {LABEL_PROBE: "telnet"}
        server = self.project.add_server(name, labels)
        self.project.boots[server.id] = boot
        for days in rng.sample([1, 2, 3, 9], rng.choice([0, 1, 2, 2, 3])):
            self.old_snapshot(server, days)

    def _start(self, rng: random.Random) -> str:
        """An event of StartRestore, at a time of the day."""
        servers: list[Any] = [server.name for server in self.project.servers.values()]
        event: dict[str, Any] = rng.choice(
            [{}, {}, {}, {"servers": [rng.choice(servers)]}, {"servers": servers},
             {"servers": [rng.choice(servers)], "keep": True}, {"dry_run": True}]
        )  # fmt: skip
        at = rng.choice([0.0, 0.0, 5.0, 60.0, 600.0, 2 * HOUR])
        number = rng.randrange(16**8)
        request_id = f"{number:08x}-1111-4000-8000-000000000000"
        for _ in range(rng.choice([1, 1, 1, 2])):  # Lambda may deliver an event twice
            self.later(at, lambda: self.cloud.deliver(event, request_id, function="StartRestore"))
        return f"{event} at {at:.0f} s"

    def play_day(self) -> None:
        """All of it, with a night, and a look of the watch each hour until long afterwards."""
        self.later(LAST_TROUBLE, self.world.faults.clear)
        for hour in range(LAST_LOOK):
            self.later((hour + FIRST_LOOK) * HOUR, self._look)
        self.play({"scheduled_time": "2026-11-21T02:00:00Z"})

    def _look(self) -> None:
        self.cloud.invoke("WatchServers", {}, 900, None)

    def _greets(self, address: str, port: int) -> str:
        heard = self.world.greeting(address, port)
        self.person.note_greeting(address, heard.text or "")
        return (heard.text or "").strip() or f"no connection: {heard.why}"

    def copy(self) -> Server | None:
        """A throw-away copy that is there now."""
        servers = self.project._servers.values()
        return next((s for s in servers if LABEL_THROW_AWAY in s.labels), None)

    def when_there(self, wait: float, act: Callable[[Server], None]) -> None:
        """Acts once on a copy, so long after it was seen first."""

        def look(tries: int = 400) -> None:
            while tries and self.copy() is None:
                self.loop.sleep(10)
                tries -= 1
            self.loop.sleep(wait)
            if copy := self.copy():
                act(copy)

        self.later(0.0, look)


def faults(day: Day, rng: random.Random) -> str:
    effects = {
        "drop": drop(), "500": html(500), "503": status(503, "unavailable"), "429": rate_limited(),
        "slow": slow(16.0),
        "clock": dated(lambda call: None, timedelta(hours=rng.choice([-4, 4]))),
        "locked": status(423, "locked"), "404": status(404, "not_found"),
        "stock": status(412, "resource_unavailable"),
        "limit": status(403, "resource_limit_exceeded"),
    }  # fmt: skip
    name = rng.choice(sorted(effects))
    when = "after" if name in ("drop", "500", "503", "clock") and rng.random() < 0.6 else "before"
    path, nth, times = (
        rng.choice(REQUESTS),
        rng.choice([1, 2, 3, 5, 9]),
        rng.choice([1, 1, 2, 8, 40]),
    )
    method = rng.choice([None, "GET", "POST", "DELETE", "PUT"])
    if name == "404":  # a token that sees nothing, for a while
        path, method, times = ".*", None, rng.choice([1, 5])
    if name in ("stock", "limit", "locked"):
        method = rng.choice(["POST", "DELETE"])
    if name == "clock":
        when = "after"
    if name == "slow":
        day.wire.may_be_late = True
    day.world.faults.add(
        Fault(effects[name], path=path, method=method, nth=nth, times=times, when=when)
    )
    return f"{name} {when} {method or 'any'} {path}, request {nth} (+{times - 1})"


def a_fate(day: Day, rng: random.Random) -> str:
    what = rng.choice(["throttled", "dies", "hangs", "unheard", "lost", "bug"])
    function, nth, pause = rng.choice(FUNCTIONS), rng.choice([1, 2, 3, 4, 6]), rng.randint(1, 12)
    for more in range(rng.choice([1, 1, 2, 7])):
        day.cloud.fates.append(Fate(what, function, nth + more, pause))
    return f"{function} {what}, invocation {nth}, at pause {pause}"


def a_stop(day: Day, rng: random.Random) -> str:
    at = rng.choice([0.5, 1.0, 2.0, 5.0, 30.0, 60.0, 90.0, 120.0, 300.0, 1000.0, 5000.0])

    def stop() -> None:
        for execution in day.cloud.restores.values():
            day.cloud.stop(execution)

    day.later(at, stop)
    return f"restores stopped at {at} s"


def a_person(day: Day, rng: random.Random) -> str:
    """Who takes a copy, or does something to it."""
    kind, wait = rng.choice(sorted(Person.ACTS)), rng.choice([0.0, 20.0, 60.0, 200.0])
    day.when_there(wait, lambda copy: day.person.act(kind, copy))
    return f"a person: {kind}, {wait:.0f} s after a copy is there"


def an_attachment(day: Day, rng: random.Random) -> str:
    """Something attaches itself to what is new."""
    kind, wait = (
        rng.choice(["network", "volume", "load balancer", "firewall"]),
        rng.choice([0.0, 90.0]),
    )
    if kind == "firewall":
        rules = [{"direction": "in", "protocol": "tcp", "port": "80", "source_ips": ["0.0.0.0/0"]}]

        def attach() -> None:
            day.project._firewalls.add("web", rules).selectors.append(LABEL_THROW_AWAY)
            day.project._firewalls.follow_labels()

        day.later(wait, attach)
    elif kind == "load balancer":
        day.later(wait, lambda: day.project.load_balancers.add(7, selector=LABEL_THROW_AWAY))
    else:
        of = "networks" if kind == "network" else "volumes"
        day.when_there(wait, lambda copy: getattr(copy, of).append(77))
    return f"a {kind} attaches itself at {wait:.0f} s"


def the_firewall(day: Day, rng: random.Random) -> str:
    """Somebody changes our firewall by hand."""
    kind, at = rng.choice(["opened", "relabelled", "slow"]), rng.choice([5.0, 40.0, 120.0])

    def happen() -> None:
        for firewall in day.project._firewalls.values():
            if firewall.name != firewall_name(OWNER):
                continue
            if kind == "opened":
                day.project._firewalls.set_rules(firewall, [])
            else:
                firewall.labels.clear()

    if kind == "slow":
        day.project.firewall_seconds = rng.choice([60.0, 5000.0])
    else:
        day.later(at, happen)
    return f"our firewall {kind} at {at:.0f} s"


def the_market(day: Day, rng: random.Random) -> str:
    kind = rng.choice(["no stock", "limit", "addresses", "slow", "fails"])
    if kind == "no stock":
        day.world.no_stock |= {("cx23", "fsn1"), ("cx23", "nbg1")} if rng.random() < 0.5 else {
            (name, place) for name in ("cx23", "cx33", "cx43", "cx53", "cpx22", "ccx13")
            for place in ("fsn1", "nbg1", "hel1", "ash")
        }  # fmt: skip
    elif kind == "limit":
        day.project.server_limit = len(day.project.servers)
    elif kind == "addresses":
        day.project.primary_ip_limit = len(day.project.servers)
    elif kind == "slow":
        for image in day.project.images:
            day.project.server_seconds[image] = rng.choice([600.0, 3500.0, 9000.0])
    return f"the market: {kind}"


def the_snapshots(day: Day, rng: random.Random) -> str:
    at = rng.choice([1.0, 20.0, 60.0, 200.0])

    def vanish() -> None:
        for image in list(day.project._images):
            if day.project._images[image].status == "available":
                day.vanish(image)

    day.later(at, vanish)
    return f"all snapshots deleted at {at:.0f} s"


def a_lock_that_ends(day: Day, rng: random.Random) -> str:
    """The copy is held by something, and protected by somebody."""
    what, seconds = rng.choice(["lock", "protection"]), rng.choice([60.0, 600.0, 2000.0])

    def hold(copy: Server) -> None:
        if what == "lock":
            day.project.lock(copy, seconds=seconds)
        else:
            copy.protected = True
            day.loop.sleep(seconds)
            copy.protected = False

    day.when_there(rng.choice([30.0, 100.0]), hold)
    return f"the copy's {what} for {seconds:.0f} s"


TROUBLES: list[Callable[[Day, random.Random], str]] = [
    faults, faults, faults, faults, a_fate, a_fate, a_fate, a_stop, a_stop, a_person, an_attachment,
    the_firewall, the_market, the_snapshots, a_lock_that_ends,
]  # fmt: skip
