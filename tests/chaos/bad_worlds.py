"""Worlds in which Hetzner is not quite as the others have it: what it says, leaves out, locks."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Response

from local.simulator import Fault
from local.simulator.faults import (
    Call,
    Effect,
    When,
    dated,
    drop,
    edited,
    html,
    status,
    without_totals,
)
from tests.chaos.bad_answers import PATHS, _nth
from tests.chaos.troubles import Mild, Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()


@TROUBLES.one
def texts_that_quote_the_token(night: "Stage", rng: random.Random) -> str:
    # Long enough to be known by its looks: after a rotation nobody knows this token any more.
    pieces = [night.token[at : at + 24] for at in range(41)]
    piece = rng.choice([p for p in pieces if any(c.isdigit() for c in p)])
    server = night.any_server(rng)
    night.project.next_action_fails(server, message=f"with token {piece}: no", code=piece)
    where = rng.choice(list(PATHS))
    code, number = rng.choice([("server_error", 500), ("conflict", 409), ("maintenance", 403)])
    effect = status(number, rng.choice([code, piece]), f"not with '{piece}...'")
    fault = Fault(effect, path=PATHS[where], nth=rng.choice([1, 2, 5]), times=rng.choice([1, 3]))
    night.world.faults.add(fault)
    return f"{code} on {where} and an action's error quote {piece}"


@TROUBLES.one
def an_actions_error_that_quotes_the_token(night: "Stage", rng: random.Random) -> str:
    """A piece of the token that is asked with, too short to be known by its looks."""
    server, length, at = night.any_server(rng), rng.choice([8, 12, 19]), rng.randrange(40)
    night.project.next_action_fails(server, rng.choice([1, 2]), rng.choice([1, 30]))

    def quote(call: Call) -> Response | None:
        token = call.request.headers.get("Authorization", "").removeprefix("Bearer ")

        def change(action: dict[str, Any]) -> None:
            if action.get("error"):
                action["error"]["message"] = f"no image with {token[at : at + length]}"

        return edited(lambda body: _each(body, "action", change))(call)

    night.world.faults.add(Fault(quote, times=None, when="after"))
    return Mild(f"failed actions of {server.name} quote {length} characters of the token")


@TROUBLES.one
def fields_that_are_missing(night: "Stage", rng: random.Random) -> str:
    fields = {
        "image": ["protection", "image_size", "description", "disk_size"],
        "server": ["status", "public_net", "created", "location", "locked"],
        "action": ["finished", "resources", "error", "command", "started"],
    }
    kind = rng.choice(list(fields))
    missing, share = rng.choice(fields[kind]), rng.choice([0.1, 1.0])
    null = rng.choice([True, False])

    def lose(item: dict[str, Any]) -> None:
        if rng.random() < share:
            item[missing] = None
            if not null:
                del item[missing]

    everywhere(night, kind, lose)
    night.missing.add(missing)
    return f"{missing} of {share:.0%} of the {kind}s is {'null' if null else 'missing'}"


@TROUBLES.one
def totals_that_are_null(night: "Stage", rng: random.Random) -> str:
    night.wire.per_page = rng.choice([None, 2, 3])
    night.world.faults.add(Fault(without_totals(), times=None, when="after"))
    if len(night.project.servers) < 3 or rng.random() < 0.3:
        return Mild(f"no totals, {night.wire.per_page} a page")
    night.wire.per_page = rng.choice([1, 2])
    page, nth = str(rng.choice([2, 2, 3])), rng.choice([1, 1, 1, 2, 3])

    def goes(call: Call) -> None:
        """The newest, so that all others move up while they are listed."""
        if call.request.args.get("page") == page and (servers := night.project._servers):
            for image in night.project.images.values():
                if image.status == "creating":
                    night.truth.meddle(image.id)
            night.project.delete_server(servers[max(servers)])

    night.world.faults.add(Fault(goes, "GET", "/servers", nth=nth, times=3))
    said = f"no totals, {night.wire.per_page} a page"
    return f"{said}; the newest server goes before page {page}, requests {nth} to {nth + 2}"


@TROUBLES.one
def actions_that_name_no_image(night: "Stage", rng: random.Random) -> str:
    def forget(action: dict[str, Any]) -> None:
        action["resources"] = [r for r in action["resources"] if r["type"] == "server"]

    everywhere(night, "action", forget)
    return Mild("actions name only their server")


@TROUBLES.one
def images_whose_status_is_new(night: "Stage", rng: random.Random) -> str:
    _renamed(night, "image", "creating", "finalizing")
    # Only who looks for a snapshot that may have been made depends on its status.
    times = rng.choice([1, 1, 2])
    night.world.faults.add(Fault(drop(), "POST", PATHS["create"], times=times, when="after"))
    return Mild(f"an image that is creating is finalizing, {times} creates are not answered")


@TROUBLES.one
def actions_whose_status_is_new(night: "Stage", rng: random.Random) -> str:
    """Beside somebody else's create, which only the actions show."""
    _renamed(night, "action", "running", "queued")
    server, at = night.any_server(rng), rng.choice([0, 0, 1])
    night.world.create_image_locks = False
    night.beliefs.add("create_image does not lock")
    night.later(at, lambda: night.project.create_image(server), server)
    return f"an action that is running is queued; somebody makes an image of {server.name}"


@TROUBLES.one
def servers_whose_status_is_new(night: "Stage", rng: random.Random) -> str:
    _renamed(night, "server", "running", rng.choice(["hibernating", ""]))
    return Mild("a server that is running has a new status")


@TROUBLES.one
def deletes_that_delete_nothing(night: "Stage", rng: random.Random) -> str:
    kind = rng.choice(["302", "302 JSON", "200", "200 JSON", "202"])
    code, _, form = kind.partition(" ")

    def nothing(_: Any) -> Response:
        return Response("{}" if form else "", int(code), content_type="application/json")

    times = rng.choice([1, 3, None])
    night.world.faults.add(Fault(nothing, "DELETE", nth=rng.choice([1, 1, 2]), times=times))
    server = night.any_server(rng)
    for days in (400, 401, 402, 800):  # so that there is something to delete
        night.old_snapshot(server, days)
    return f"deletes that delete nothing are answered with {kind} ({times} times)"


@TROUBLES.one
def an_action_that_locks_nothing(night: "Stage", rng: random.Random) -> str:
    server, at = night.any_server(rng), rng.choice([0, 0, 20, 300])
    seconds = rng.choice([60, 5000, None])

    def begin() -> None:
        night.project.lock(server, "apply_firewall", seconds).locks = False

    night.later(at, begin, server)
    return Mild(f"{server.name}: from {at} s for {seconds} s an action that locks nothing")


@TROUBLES.frequent
def a_clock_that_is_off(night: "Stage", rng: random.Random) -> str:
    effects: dict[str, Effect] = {
        "502": html(502),
        "503": status(503, "unavailable"),
        "true": lambda call: None,
    }
    kind, where = rng.choice(list(effects)), rng.choice(list(PATHS))
    off = timedelta(hours=rng.choice([-24, -4, -1, 1, 4, 24]))
    when: When = "after" if kind == "true" else "before"
    fault = Fault(dated(effects[kind], off), path=PATHS[where], nth=_nth(rng), when=when)
    night.world.faults.add(fault)
    night.wrong_clocks += 1
    said = f"a {kind} answer to {where}, request {fault.nth}, whose clock is off by {off}"
    return Mild(said)


@TROUBLES.one
def a_look_whose_clock_is_off(night: "Stage", rng: random.Random) -> str:
    """The one answer of an invocation: no other one tells the time."""
    off, nth = timedelta(hours=rng.choice([-4, 4, 24])), rng.choice([1, 1, 2, 3])
    true = dated(lambda call: None, off)
    night.world.faults.add(Fault(true, "GET", PATHS["action"], nth, when="after"))
    night.wrong_clocks += 1
    return Mild(f"look {nth} at an action is answered with a clock that is off by {off}")


def _renamed(night: "Stage", kind: str, old: str, new: str) -> None:
    def rename(item: dict[str, Any]) -> None:
        item["status"] = new if item["status"] == old else item["status"]

    everywhere(night, kind, rename)


def everywhere(night: "Stage", kind: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Each image, action or server is answered like that."""
    effect = edited(lambda body: _each(body, kind, change))
    night.world.faults.add(Fault(effect, times=None, when="after"))


def _each(body: Any, kind: str, change: Callable[[dict[str, Any]], None]) -> None:
    for name in (kind, f"{kind}s"):
        found = body.get(name) or []
        for item in found if isinstance(found, list) else [found]:
            change(item)
