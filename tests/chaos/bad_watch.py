"""Trouble for the watch: what it depends on fails, and what it is there to see happens."""

import random
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from handler.documents.labels import LABEL_ENABLED, LABEL_EVERY, LABEL_MANAGED_BY, LABEL_SERVER_ID
from local.simulator import Fault, Server
from local.simulator.faults import html, status
from local.virtual.cloud import START, Fate
from local.virtual.machine import Failed
from local.virtual.truth import OWNER
from tests.chaos.bad_tokens import BELIEF
from tests.chaos.troubles import Mild, Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()
HOUR = 3600.0
OTHER = "with-servers"  # another project, which has servers


@TROUBLES.frequent
def a_message_that_fails(night: "Stage", rng: random.Random) -> str:
    when, before, times = rng.choice(["before", "before", "after"]), rng.choice([0, 0, 1]), 1
    return _fails(night, "Publish", when, before, times)


@TROUBLES.frequent
def a_memory_that_fails(night: "Stage", rng: random.Random) -> str:
    operation = rng.choice(["GetParameter", "PutParameter", "PutParameter"])
    when = rng.choice(["before", "after"]) if operation == "PutParameter" else "before"
    return _fails(night, operation, when, rng.choice([0, 0, 1, 3]), rng.choice([1, 1, 2, 5]))


def _fails(night: "Stage", operation: str, when: str, before: int, times: int) -> str:
    errors = [""] * before + [f"{when} ThrottlingException"] * times
    night.cloud.watch_errors.setdefault(operation, []).extend(errors)
    return Mild(f"{operation} fails {times} times after {before}, {when} its effect")


@TROUBLES.one
def projects_that_are_not_told(night: "Stage", rng: random.Random) -> str:
    before, times = rng.choice([0, 1, 3]), rng.choice([1, 2, 5])
    errors = [""] * before + ["InternalServerError"] * times
    night.cloud.watch_errors.setdefault("GetParametersByPath", []).extend(errors)
    return Mild(f"GetParametersByPath fails {times} times after {before}")


@TROUBLES.one
def a_memory_that_cannot_be_read(night: "Stage", rng: random.Random) -> str:
    at = _hour(rng)
    text = rng.choice(["", "{", "[]", '{"projects":{"default":"?"}}', "null"])

    def happen() -> None:
        if night.theirs:
            return  # what is another project's would be learned anew
        night.cloud.memory = text
        night.lost_at.append(night.loop.now)

    night.later(at, happen)
    return Mild(f"the memory holds {text!r} from {at} s on")


@TROUBLES.one
def somebody_asks_the_watch(night: "Stage", rng: random.Random) -> str:
    at, event = _hour(rng), rng.choice([{"only_look": True}, {"forget": "default"}])

    def ask() -> None:
        if "forget" in event and night.theirs:
            return  # what is another project's would be learned anew
        with suppress(Failed):
            if "forget" in event:
                night.lost_at.append(night.loop.now)
            night.cloud.invoke("WatchServers", event, 900, None)
        if "forget" in event:
            night.lost_at.append(night.loop.now)

    night.later(at, ask)
    return Mild(f"somebody sends {event} to the watch at {at} s")


@TROUBLES.frequent
def a_look_in_trouble(night: "Stage", rng: random.Random) -> str:
    what = rng.choice(["throttled", "dies", "dies", "hangs", "unheard", "lost", "bug"])
    nth, pause = rng.choice([1, 2, 3, 5]), rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99])
    night.cloud.fates.append(Fate(what, "WatchServers", nth, pause))
    return Mild(f"look {nth} {what}, at pause {pause}")


@TROUBLES.one
def a_long_outage(night: "Stage", rng: random.Random) -> str:
    name, effect = rng.choice([("503", status(503, "unavailable")), ("502 HTML", html(502))])
    path, begins = rng.choice(["/images", "/servers", ".*"]), _hour(rng)
    fault = Fault(effect, "GET", path, times=None)
    lasts = rng.choice([1, 2, 4, 7]) * HOUR
    night.later(begins, lambda: night.world.faults.add(fault))
    night.later(begins + lasts, lambda: setattr(fault, "times", 0))
    return f"{name} on {path} from {begins} s for {lasts} s"


@TROUBLES.one
def a_token_that_goes(night: "Stage", rng: random.Random) -> str:
    at, back = _hour(rng), rng.choice([1, 2, 4, 9]) * HOUR
    kept: list[str] = []

    def go() -> None:
        if token := night.cloud.tokens.pop(night.parameter, ""):
            kept.append(token)

    def come() -> None:
        if kept:
            night.cloud.tokens.setdefault(night.parameter, kept[0])

    night.later(at, go)
    night.later(at + back, come)
    return f"the parameter is gone at {at} s, and back {back} s later"


@TROUBLES.frequent
def another_projects_token(night: "Stage", rng: random.Random) -> str:
    """The other project has servers, and snapshots of the same owner."""
    at, back = _hour(rng), rng.choice([1, 2, 4, 9]) * HOUR
    another = night.world.project(OTHER)
    night.beliefs.add(BELIEF)
    token = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=64))
    night.tokens.append(token)
    another.add_token(token)
    for _ in range(rng.choice([1, 2, 3])):
        server = another.add_server(f"theirs-{len(another.servers)}", {"env": "prod"})
        for days in rng.sample([0.02, 0.1, 1.0, 40.0], 2):
            labels = {LABEL_MANAGED_BY: OWNER, LABEL_SERVER_ID: str(server.id)}
            another.add_snapshot(server, created=START - timedelta(days=days), labels=labels)
    night.theirs |= another.images.keys()
    kept: list[str] = []

    def swap() -> None:
        if not _is_remembered(night):
            return  # then nobody can know that it is another one
        kept.append(night.cloud.tokens.get(night.parameter, ""))
        night.cloud.tokens[night.parameter] = token

    def undo() -> None:
        if kept and kept[0] and night.cloud.tokens.get(night.parameter) == token:
            night.cloud.tokens[night.parameter] = kept[0]

    night.later(at, swap)
    night.later(at + back, undo)
    return f"the token is that of a project with servers at {at} s, and right {back} s later"


@TROUBLES.frequent
def a_fleet_that_goes(night: "Stage", rng: random.Random) -> str:
    """All servers are replaced, or the oldest goes with its snapshots; snapshots of others stay."""
    at, kind = _hour(rng), rng.choice(["all replaced", "oldest with its snapshots", "all deleted"])

    def happen() -> None:
        servers = sorted(night.project.servers.values(), key=lambda server: server.id)
        if not servers:
            return
        if kind == "oldest with its snapshots":
            servers = servers[:1]
            for image in list(night.truth.ours(servers[0].id)):
                night.vanish(image.id)
        elif kind == "all replaced":
            for number in range(rng.choice([1, 3])):
                _newcomer(night, f"replacement-{number}-{int(at)}")
        for server in servers:
            _leave(night, server)

    night.later(at, happen)
    return f"{kind} at {at} s"


@TROUBLES.frequent
def a_server_that_is_not_as_it_was(night: "Stage", rng: random.Random) -> str:
    server, at = night.any_server(rng), _hour(rng)
    kind = rng.choice(["left out", "taken again", "rhythm", "deleted", "newest deleted", "new"])

    def happen() -> None:
        match kind:
            case "left out":
                server.labels[LABEL_ENABLED] = "false"
            case "taken again":
                server.labels.pop(LABEL_ENABLED, None)
            case "rhythm":
                server.labels[LABEL_EVERY] = rng.choice(["1h", "12h", "1w"])
            case "deleted":
                _leave(night, server)
                return
            case "new":
                _newcomer(night, f"new-{int(at)}")
            case _:
                if good := [i for i in night.truth.ours(server.id) if i.status == "available"]:
                    night.vanish(max(good, key=lambda image: image.created).id)
        night.truth.note_labels(server.id)

    night.later(at, happen, server)
    return f"{server.name}: {kind} at {at} s"


def _is_remembered(night: "Stage") -> bool:
    """Whether a look has seen servers and snapshots, and SSM gives what it has remembered."""
    seen = [
        look for look in night.looks
        if look.whole and look.sights[-1].opens == "default" and look.sights[-1].servers
        and look.sights[0].images
    ]  # fmt: skip
    errors = any(night.cloud.watch_errors.get("GetParameter", []))
    return bool(seen) and not errors and not night.lost_at


def _hour(rng: random.Random) -> float:
    """Between the looks or in one, from an hour before the night to some after it."""
    return rng.choice([-0.9, -0.5, 0.3, 0.8, 1.5, 2.2, 3.7, 5.2]) * HOUR + rng.choice([0, 7, 1750])


def _leave(night: "Stage", server: Server) -> None:
    for image in night.project.images.values():
        if image.status == "creating":
            night.truth.meddle(image.id)
    night.project.delete_server(server)


def _newcomer(night: "Stage", name: str) -> None:
    if any(server.name == name for server in night.project.servers.values()):
        return
    now = night.world.clock.now()
    server = night.project.add_server(name, {"env": "prod"}, created=now)
    night.newcomers.add(server.id)
    night.truth.note_labels(server.id)
