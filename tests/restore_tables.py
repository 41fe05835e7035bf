"""One restore on its way, its copy and its firewall: what the tables of restores start from."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from handler.decisions import isolating, removing
from handler.decisions.restoring import expected
from handler.documents.copies import Copy, Firewall
from handler.documents.document import Stopwatch
from handler.documents.errors import (
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    TransientError,
    Unauthorized,
)
from handler.documents.labels import LABEL_MANAGED_BY
from handler.documents.resources import Action
from handler.documents.restore import Restore
from handler.documents.restore_run import Candidate, Original, RestoreRun, Source

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
NAME = "drill-drill-1-42"
CX23 = Candidate("cx23", "fsn1", "0.0061", "EUR")
CX33 = Candidate("cx33", "nbg1", "0.0080", "EUR")
DOWN, BUSY = TransientError("down"), RateLimited("too many")
LOST, NO = OutcomeUnknown("504"), Refused("nonsense", "invalid_input")
GONE, DENIED = NotFound("no such server"), Unauthorized("bad token")

# Nothing was sent yet; its first look was at NOW.
FRESH = Restore(
    run=RestoreRun("drill-1", "shop", "me"),
    status="new",
    server=Original(42, "sg5"),
    source=Source(7, "2026-11-20T02:00:00Z", 40),
    copy_name=NAME,
    restore_id="drill-1",
    began="2026-11-21T01:59:00Z",
    candidates=(CX23, CX33),
    stopwatch=Stopwatch(NOW, 0),
    deadline_s=3600,
    attempts=1,
)
# Its copy was created 60 s after that, and is looked at 100 s after that.
MADE = replace(
    FRESH,
    status="creating",
    maybe_posted=True,
    firewall_id=5,
    copy_id=70,
    create_action=71,
    created_s=60,
    stopwatch=Stopwatch(NOW + timedelta(seconds=100), 100),
)
# It was powered on at that time, and is looked at 500 s later.
BOOTING = replace(
    MADE,
    status="booting",
    powered_on=True,
    powered_on_s=100,
    power_action=72,
    stopwatch=Stopwatch(NOW + timedelta(seconds=600), 600),
    deadline_s=100 + 900,
)
WALL = Firewall(5, "hetzner-snapshots-me-isolation", {LABEL_MANAGED_BY: "me"}, isolating.rules(22))
COPY = Copy(
    id=70,
    name=NAME,
    status="off",
    created=NOW + timedelta(seconds=60),
    labels=removing.labels_of(expected(FRESH), keep=False),
    image_id=7,
    ipv4="127.0.0.9",
    ipv6=False,
    firewalls=((5, "applied"),),
    networks=(),
    volumes=(),
    load_balancers=(),
    floating_ips=(),
)
RUNNING = replace(COPY, status="running")


@dataclass(frozen=True)
class Row:
    """What a state decides; `seen` is what its own module calls so."""

    sentence: str
    restore: Restore
    seen: Any
    kind: str
    status: str  # how it goes on, or its outcome
    reason: str


def kept(restore: Restore) -> Restore:
    """The same, made to be kept."""
    return replace(restore, keep=True, run=replace(restore.run, keep=True))


def at(restore: Restore, elapsed_s: int, **more: Any) -> Restore:
    """The same at another time of its stopwatch."""
    watch = Stopwatch(NOW + timedelta(seconds=elapsed_s), elapsed_s)
    return replace(restore, **{"stopwatch": watch, **more})


def action(status: str = "running", command: str = "create_server", error: str = "") -> Action:
    return Action(71, command, status, 40, NOW, error=error)
