"""What one look of CheckServer has seen, and what may follow from it. Pure."""

from dataclasses import dataclass
from typing import Literal

from handler.decisions import pacing
from handler.documents.copies import Copy, Firewall
from handler.documents.document import Wait
from handler.documents.errors import HetznerError, TransientError
from handler.documents.resources import Action
from handler.documents.restore import Restore

# Between two looks: at least so long, and a share of the time so far. An execution's history has
# room for hundreds of looks, not for thousands.
LOOK_SECONDS = 15
GROWTH = 0.12

Kind = Literal["wait", "end", "power_on", "power_off", "probe", "mark"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look returned; errors are part of it."""

    copy: Copy | None = None
    firewall: Firewall | None = None  # None: it is gone, or not asked for
    action: Action | None = None  # the one that creates it or powers it on; None: not known
    # What is being done to our firewall; None: not asked.
    applying: tuple[Action, ...] | None = None
    error: HetznerError | None = None  # why the rest is not known


NOTHING_SEEN = Seen()


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, and the restore after it."""

    kind: Kind
    restore: Restore


def longer(at_least_s: int, so_far_s: int) -> Wait:
    """The wait until the next look: the longer it has taken, the longer."""
    return Wait(round(max(at_least_s, GROWTH * so_far_s)))


def by_time(restore: Restore) -> Wait:
    """The wait until the next look at a copy, by the time since it was made or powered on."""
    since_s = restore.powered_on_s if restore.powered_on_s is not None else restore.created_s
    so_far_s = restore.stopwatch.elapsed_s - (since_s or 0)
    return longer(LOOK_SECONDS, so_far_s)


def until_again(error: HetznerError | None, restore: Restore, jitter: float) -> Wait:
    """The wait until what has failed is tried again."""
    if isinstance(error, TransientError):
        return pacing.after_error(error, restore, jitter)
    return by_time(restore)
