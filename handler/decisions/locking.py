"""Who may hold a server, and for how long it was held: pure.

Whether a server is held is Hetzner's word: its `locked`, or a create that is refused. That an
action is running says only who it may be: not all actions lock.
"""

from collections.abc import Sequence
from dataclasses import replace

from handler.decisions.tracing import CREATE_IMAGE
from handler.documents.job import Job
from handler.documents.resources import Action

MOST_NAMED = 3


def holders(job: Job, actions: Sequence[Action]) -> tuple[Action, ...]:
    """The actions that may hold it, oldest first: those not seen running while it was free."""
    running = [action for action in actions if action.is_running and action.id not in job.harmless]
    # What makes an image comes before all else: no create may be sent beside it.
    image_first = sorted(running, key=lambda a: (a.command != CREATE_IMAGE, a.id))
    return tuple(image_first[:MOST_NAMED])


def reason(found: Sequence[Action]) -> str:
    if not found:
        return "locked, no action tells by whom"
    return f"locked by {' or '.join(str(action) for action in found)}"


def commands(found: Sequence[Action]) -> str:
    return " or ".join(dict.fromkeys(action.command for action in found))


def timed(job: Job, looked: Job, found: Sequence[Action], *, ours: bool) -> Job:
    """The job that has looked again, with the time since its last look if it was locked then.

    `found` may hold it now. `ours`: this run's snapshot was seen, so a create_image was its own.
    """
    if job.lock_from_s is None:
        return looked
    seconds, now = looked.stopwatch.elapsed_s - job.lock_from_s, looked.stopwatch.now
    looked = replace(looked, lock_from_s=None)
    if ours and job.lock == CREATE_IMAGE:
        return looked
    # An action that was running at the last look, too, held it then.
    since = [action for action in found if now and action.age_s(now) >= seconds]
    name = job.lock or commands(since)
    times = dict(job.locks)
    times[name] = times.get(name, 0) + seconds
    return replace(looked, lock_s=job.lock_s + seconds, locks=tuple(times.items()))
