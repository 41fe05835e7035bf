"""Requests that are answered wrongly, late, never, or with outdated content."""

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Response

from local.simulator import Fault
from local.simulator.faults import (
    Call,
    Effect,
    When,
    drop,
    error_without_code,
    html,
    malformed,
    rate_limited,
    slow,
    status,
    truncated,
    without_totals,
)
from local.virtual.cloud import START
from tests.chaos.troubles import Mild, Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()

CREATE = r"/servers/\d+/actions/create_image"
PATHS = {
    "servers": "/servers",
    "images": "/images",
    "image": r"/images/\d+",
    "actions": r"/servers/\d+/actions",
    "action": r"/actions/\d+",
    "create": CREATE,
    "pricing": "/pricing",
    "anything": ".*",
}
ANSWERS: list[tuple[str, Effect]] = [
    ("503 unavailable", status(503, "unavailable")),
    ("500 server_error", status(500, "server_error")),
    ("500 HTML", html(500)),
    ("502 HTML", html(502)),
    ("504 timeout", status(504, "timeout")),
    ("a dropped connection", drop()),
    ("malformed JSON", malformed()),
    ("truncated JSON", truncated()),
    ("an error without code", error_without_code(500)),
    ("429", rate_limited()),
]


@TROUBLES.one
def a_bad_answer(night: "Stage", rng: random.Random) -> str:
    name, effect = rng.choice(ANSWERS)
    where = rng.choice(list(PATHS))
    method = rng.choice(["GET", "POST", "DELETE"]) if where == "anything" else None
    return _fault(night, rng, f"{name} on {where}", effect, PATHS[where], method)


@TROUBLES.frequent
def lost_creates(night: "Stage", rng: random.Random) -> str:
    # The last one clearly refuses: no server answers that after the effect.
    name, effect = rng.choice(ANSWERS[:-1])
    fault = Fault(effect, "POST", CREATE, _nth(rng), rng.choice([1, 1, 2, 4]), "after")
    night.world.faults.add(fault)
    return Mild(f"create {fault.nth} (+{fault.times}) answered with {name}, after the effect")


@TROUBLES.one
def slow_answers(night: "Stage", rng: random.Random) -> str:
    # 15 s until we give up and 30 until we look again: later than that, what is relied on is off.
    seconds = rng.choice([5, 16, 20, 40, 90])
    where = rng.choice(list(PATHS))
    when = _when(rng)
    night.wire.may_be_late = True
    if seconds > 40 and when == "before" and where in ("create", "anything"):
        night.beliefs.add(f"a create may take effect {seconds} s after it was sent")
    return _fault(night, rng, f"{seconds} s for {where}", slow(seconds), PATHS[where], None, when)


@TROUBLES.one
def an_outage(night: "Stage", rng: random.Random) -> str:
    starts, lasts = rng.choice([0, 30, 200, 600]), rng.choice([60, 300, 1200, 4500])
    name, effect = rng.choice(ANSWERS)
    when = _when(rng) if name != "429" else "before"
    begin = START + timedelta(seconds=starts)
    end = begin + timedelta(seconds=lasts)

    def down(call: Call) -> Response | None:
        return effect(call) if begin <= night.world.clock.now() < end else None

    night.world.faults.add(Fault(down, times=None, when=when))
    said = f"nothing but {name} ({when} the effect) from {starts} s for {lasts} s"
    return Mild(said) if lasts <= 1200 else said


@TROUBLES.one
def flaky(night: "Stage", rng: random.Random) -> str:
    name, effect = rng.choice(ANSWERS)
    probability = rng.choice([0.05, 0.2, 0.5])
    when = _when(rng) if name != "429" else "before"
    fault = Fault(effect, times=None, when=when, probability=probability)
    night.world.faults.add(fault)
    return f"{name} {when} the effect with probability {probability}"


@TROUBLES.one
def a_refusal(night: "Stage", rng: random.Random) -> str:
    code, number = rng.choice(
        [
            ("maintenance", 403),
            ("resource_limit_exceeded", 403),
            ("forbidden", 403),
            ("unauthorized", 401),
            ("conflict", 409),
            ("resource_unavailable", 412),
            ("service_error", 422),
            ("invalid_input", 422),
            ("locked", 423),
            ("protected", 423),
            ("resource_locked", 423),
            ("rate_limit_exceeded", 429),
            ("brand_new_code", 418),
        ]
    )
    where = rng.choice(list(PATHS))
    effect = status(number, code, rng.choice([code, "x" * 100_000]))
    return _fault(night, rng, f"{code} on {where}", effect, PATHS[where], None, "before")


@TROUBLES.one
def a_bad_second_page(night: "Stage", rng: random.Random) -> str:
    name, effect = rng.choice(ANSWERS)
    where = rng.choice(["servers", "images"])
    night.wire.per_page = rng.choice([1, 2, 3])
    left = [rng.choice([1, 2, 30])]

    def second(call: Call) -> Response | None:
        if call.request.args.get("page") in (None, "1") or left[0] == 0:
            return None
        left[0] -= 1
        return effect(call)

    night.world.faults.add(Fault(second, path=PATHS[where], times=None))
    return f"{name} on a later page of {where}, {night.wire.per_page} a page"


@TROUBLES.one
def a_listing_that_moves(night: "Stage", rng: random.Random) -> str:
    night.wire.per_page = rng.choice([1, 2, 3])
    left = [rng.choice([1, 3, 30])]
    kind = rng.choice(["comes", "goes"])
    if untold := rng.random() < 0.5:
        night.world.faults.add(Fault(without_totals(), times=None, when="after"))

    def move(call: Call) -> None:
        if call.request.args.get("page") == "2" and left[0] and call.project:
            left[0] -= 1
            if kind == "comes" and call.project._servers:
                image = night.old_snapshot(night.any_server(rng), days=rng.randint(1, 30))
                night.truth.meddle(image.id)
            elif gone := [i for i in call.project._images.values() if i.status == "available"]:
                night.vanish(rng.choice(gone).id)

    night.world.faults.add(Fault(move, path="/images", times=None))
    without = "without totals " if untold else ""
    return f"an image {kind} between {without}pages of {night.wire.per_page}, {left[0]} times"


def _when(rng: random.Random) -> When:
    return "before" if rng.random() < 0.5 else "after"


def _nth(rng: random.Random) -> int:
    return rng.choice([1, 1, 2, 3, 4, 6, 10, 20])


def _fault(
    night: "Stage",
    rng: random.Random,
    what: str,
    effect: Effect,
    path: str,
    method: str | None,
    when: When | None = None,
) -> str:
    times = rng.choice([1, 1, 2, 5, 20])
    when = when or ("before" if what.startswith("429") else _when(rng))
    fault = Fault(effect, method, path, _nth(rng), times, when)
    night.world.faults.add(fault)
    return f"{what} {method or ''}, request {fault.nth} (+{times}), {fault.when} the effect"
