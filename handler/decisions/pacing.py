"""How long to wait next, and why: pure, in whole seconds.

A look at a snapshot costs one request of the rate limit, which the project's other tools share, and
three transitions of the state machine. So a snapshot is looked at when it is expected to be done.
That is estimated from this server's earlier snapshots, then from the progress so far. Without
either, the looks come ever more rarely.

A server takes fewer than eight requests: three start its snapshot (its actions, our snapshots of
it, the create), two to three look at it, one lists, one deletes. One more asks for its labels
before a delete, and one whether it is locked while another action runs. Two requests serve two
purposes: the actions tell both who holds the lock and how long earlier snapshots took; the listing
for the pruning is also the last look (half a request and one transition less for each server). Two
savings are not used: one request could read 25 actions, but then one branch would wait for 25
servers; and both looks before a create stay, because they make sure that there is exactly one
snapshot.

`jitter` is a random number from 0 to 1, drawn by the caller, so that servers do not all ask at the
same time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, pstdev

from handler.documents.document import Document, Look, Wait
from handler.documents.errors import RateLimited, TransientError

HOUR = 3600

LOCK_SECONDS = (45, 120)
TROUBLE_SECONDS = (30, 180)
SNAPSHOT_SECONDS = (10, 900)

FIRST_LOOK_SECONDS = (38, 46)  # hardly any snapshot takes less
SOON_SECONDS = 22  # without an estimate, the shortest wait between two looks
LATE = 1.17  # the next look is at most so much later than an estimate's lower end
GROWTH = 0.2  # without an estimate, a snapshot is noticed late by at most this share of its time
TRUST = 4  # an estimate from one look's progress is used up to three times the time so far
# How much one server's times vary (standard deviation of the logarithm), while few are known.
USUAL_DEVIATION = 0.15

# A server sends so many requests for each of its waits, when waits are long.
REQUESTS_PER_WAIT = 4
REQUESTS_UNDER_WAY = 1
REQUESTS_TO_START = 3
STARTS_PER_SECOND = 5


@dataclass(frozen=True, slots=True)
class Budget:
    """A project's rate limit: requests left at the last answer, of so many per hour.

    `kept_percent` of them are left for people's other tools. `sharing` servers are worked on at the
    same time; each knows of the others only by what is left. None: no answer has told it yet.
    """

    left: int | None = None
    per_hour: int = 3600
    kept_percent: int = 20
    sharing: int = 1

    @classmethod
    def of(cls, document: Document, of_actions: bool = False) -> "Budget":
        """The budget at the document's last look, shared by the servers worked on at once.

        Requests under /actions have one of their own, if their answers tell it.
        """
        at_a_time = document.run.servers_at_a_time
        apart = of_actions and document.actions_left is not None
        per_hour = document.actions_per_hour if apart else None
        return cls(
            left=document.actions_left if apart else document.requests_left,
            per_hour=per_hour or document.requests_per_hour,
            kept_percent=document.run.rate_limit_floor,
            sharing=min(at_a_time, document.run.server_count or at_a_time),
        )

    @classmethod
    def of_both(cls, document: Document) -> "Budget":
        """The tighter one, for what asks in both."""
        return max(cls.of(document), cls.of(document, True), key=lambda budget: budget.least_s())

    @property
    def kept(self) -> float:
        return self.per_hour * self.kept_percent / 100

    @property
    def spare(self) -> float:
        """Requests that we may spend at once; negative: we used some of those kept for others."""
        return self.per_hour - self.kept if self.left is None else self.left - self.kept

    def refill_s(self, requests: float) -> float:
        """Seconds until so many requests have refilled, if none are spent meanwhile."""
        return max(0.0, requests) * HOUR / self.per_hour

    def least_s(self) -> float:
        """The shortest wait that leaves enough for all who share it: the emptier, the longer.

        Close to zero while more than half is left. Near the floor all servers together ask just as
        often as the limit refills; below it, only after it has refilled to the floor.
        """
        # What the other servers are about to spend is not counted in `left` yet.
        unspent = self.spare - REQUESTS_UNDER_WAY * self.sharing
        emptiness = min(1.0, max(0.0, 1 - unspent / (self.per_hour - self.kept)))
        in_turn_s = self.refill_s(REQUESTS_PER_WAIT * self.sharing) * emptiness**8
        return in_turn_s + self.refill_s(-self.spare)


def start_s(position: int, at_a_time: int) -> int:
    """How long the server at this place in its batch waits for its turn.

    A Map starts 100 branches per second. Each would get a cold container of its own, which reads
    the token (SSM: 40 per second) and may exceed the account's concurrency (10 in a new account).
    A few seconds of waiting are cheaper: then each container serves many servers. Servers after the
    first `at_a_time` do not wait: the Map starts them when others end.
    """
    return position // STARTS_PER_SECOND if position < at_a_time else 0


def before_start(budget: Budget, jitter: float) -> Wait | None:
    """The wait until all servers that start at once have enough requests; None: start now."""
    # Never more than half of the limit: each look at what is left costs requests, too.
    wanted = min(REQUESTS_TO_START * budget.sharing, (budget.per_hour - budget.kept) / 2)
    missing = wanted - budget.spare
    if missing <= 0:
        return None
    seconds = max(TROUBLE_SECONDS[0], budget.refill_s(missing))
    return _with_jitter(Wait(math.ceil(seconds), _little_left(budget)), jitter)


def before_deleting(requests: int, budget: Budget, jitter: float) -> Wait | None:
    """The wait until this server, and each of the others in turn, can delete; None: now."""
    missing = min(requests, (budget.per_hour - budget.kept) / 2) - budget.spare
    if missing <= 0:
        return None
    # Each of them lists again before it deletes.
    seconds = budget.refill_s(missing + (requests + 1) * budget.sharing * jitter)
    return Wait(math.ceil(max(TROUBLE_SECONDS[0], seconds)), _little_left(budget))


def while_locked(
    elapsed_s: int,
    budget: Budget,
    jitter: float,
    holder: Look | None = None,
    left_s: float = math.inf,
) -> Wait:
    """The longer it has been locked, the longer; or until the holder should be done.

    `left_s`: so long it is waited for at most; a holder that should take longer is told.
    """
    so_far_s = max(elapsed_s, holder.elapsed_s if holder else 0)
    wait = Wait(round(_within(LOCK_SECONDS, 0.6 * so_far_s)))
    if holder and 5 <= holder.progress < 100:
        held_s = holder.elapsed_s * (100 - holder.progress) / holder.progress
        why = f"if that goes on so, for {_time(held_s)} more"
        if held_s > left_s:
            why = (
                f"if that goes on so, for about {_time(held_s)} more, which is too long: it is "
                f"given up in {_time(left_s)}"
            )
        # A server may be held by one action after the other for hours: looks become rarer then.
        soonest_s = min(max(20.0, elapsed_s / 10), LOCK_SECONDS[1])
        wait = Wait(round(_within((soonest_s, LOCK_SECONDS[1]), held_s)), why)
    return stretched(wait, budget, jitter)


def after_error(error: TransientError, document: Document, jitter: float) -> Wait:
    """The wait before the same request is tried again; `document` has observed the error."""
    if isinstance(error, RateLimited):
        budget = Budget.of(document, error.of_actions)
        return when_rate_limited(document.attempts, budget, jitter)
    return in_trouble(document.attempts, jitter)


def in_trouble(attempts: int, jitter: float) -> Wait:
    """At least 30 s: by then a snapshot created by a request without an answer is listed."""
    seconds = _within(TROUBLE_SECONDS, 30 * 1.3 ** min(attempts, 20))
    return _with_jitter(Wait(round(seconds)), jitter)


def when_rate_limited(attempts: int, budget: Budget, jitter: float) -> Wait:
    """After a 429: until the limit has refilled to the floor, plus jitter."""
    if budget.left is None:  # not Hetzner's limit but that of SSM, which refills within a second
        return Wait(round(3 + 5 * min(attempts, 6) * (1 + 2 * jitter)))
    seconds = max(in_trouble(attempts, jitter).seconds, budget.refill_s(-budget.spare))
    return Wait(round(seconds + budget.refill_s(budget.sharing) * jitter), _little_left(budget))


def while_creating(
    elapsed_s: int,
    looks: Sequence[Look],
    earlier_s: Sequence[int],
    budget: Budget,
    jitter: float,
) -> Wait:
    """Until it should be done: by its progress, else by the times of earlier ones, else a guess.

    `looks` are those that told a progress. A snapshot that was due and is not done has no look of
    this moment among them.
    """
    usual_s, deviation = _usual(earlier_s)
    at = _by_progress(elapsed_s, looks)
    history = _by_history(elapsed_s, usual_s, deviation, len(earlier_s)) if usual_s else None
    # An estimate far above all earlier times counts only if two looks agree on it.
    if history and (at is None or at.seconds > usual_s * math.exp(2.5 * deviation)):
        at = history
    at = at or _by_guess(elapsed_s, looks, jitter)
    seconds = round(_within(SNAPSHOT_SECONDS, at.seconds - elapsed_s))
    due = at.due and elapsed_s + seconds >= at.seconds
    return stretched(replace(at, seconds=seconds, due=due), budget, jitter / 10)


def _usual(earlier_s: Sequence[int]) -> tuple[float, float]:
    """The usual time and its variation, both computed on logarithms: times vary by factors."""
    logarithms = [math.log(max(1, seconds)) for seconds in earlier_s]
    if not logarithms:
        return 0.0, 0.0
    known = len(logarithms)
    deviation = (pstdev(logarithms) * known + USUAL_DEVIATION * 2) / (known + 2)
    return math.exp(mean(logarithms)), min(deviation, 0.5)


def _by_progress(elapsed_s: int, looks: Sequence[Look]) -> Wait | None:
    """When it is done if progress goes on as before; None if that cannot be estimated."""
    if not any(look.progress for look in looks):
        return None
    if looks[-1].elapsed_s < elapsed_s:
        return Wait(elapsed_s + elapsed_s // 20, "later than its progress said")
    # Hetzner may count in steps: 25 means from 25 to 49.
    step = 25 if all(look.progress % 25 == 0 for look in looks) else 1
    at_least, at_most = float(elapsed_s), math.inf
    for look in reversed(looks):
        low = 100 * look.elapsed_s / (look.progress + step)
        high = 100 * look.elapsed_s / look.progress if look.progress else math.inf
        if max(low, at_least) > 1.05 * min(high, at_most):
            return None  # the progress was not even
        at_least, at_most = max(low, at_least), min(high, at_most)
    at_s = min(at_most + 1, LATE * at_least, TRUST * elapsed_s)
    # Two looks may differ by 5 per cent, and the lower end be above the upper one.
    low_s, high_s = sorted((round(at_least), round(at_most)))
    after = f"{low_s} to {high_s} s" if low_s < high_s else f"about {low_s} s"
    why = f"if it goes on so, done after {after}"
    return Wait(math.ceil(at_s), why, due=at_s >= at_most)


def _by_history(elapsed_s: int, usual_s: float, deviation: float, known: int) -> Wait | None:
    """A little before the usual time, then in steps of its variation; None long after it."""
    why = f"{known} earlier took about {_time(usual_s)}"
    first_s = usual_s * math.exp(-1.3 * deviation)
    if elapsed_s < 0.9 * first_s:
        return Wait(round(first_s), why)
    if elapsed_s < usual_s * math.exp(2.5 * deviation):
        step_s = max(10.0, elapsed_s * min(deviation, GROWTH))
        return Wait(round(elapsed_s + step_s), why, due=elapsed_s + step_s >= usual_s)
    return None


def _by_guess(elapsed_s: int, looks: Sequence[Look], jitter: float) -> Wait:
    """Ever more rarely, in proportion to the time so far."""
    if not elapsed_s:
        # Snapshots that were started together are not looked at together.
        seconds = FIRST_LOOK_SECONDS[0] * (1 - jitter) + FIRST_LOOK_SECONDS[1] * jitter
        return Wait(round(seconds), "no progress to go by")
    at_s = elapsed_s + max(SOON_SECONDS, GROWTH * elapsed_s)
    # Without progress, a listing tells as much as a look. They alternate: progress may start later.
    told_nothing = len(looks) >= 3 and looks[-1].elapsed_s == elapsed_s
    return Wait(round(at_s), "no progress to go by", due=told_nothing)


def stretched(wait: Wait, budget: Budget, jitter: float) -> Wait:
    """The wait, or a longer one while few requests are left."""
    least_s = budget.least_s()
    if least_s <= wait.seconds:
        return _with_jitter(wait, jitter)
    return _with_jitter(replace(wait, seconds=round(least_s), why=_little_left(budget)), jitter)


def _little_left(budget: Budget) -> str:
    return f"{budget.left} of {budget.per_hour} requests per hour left"


def _within(bounds: tuple[float, float], seconds: float) -> float:
    return min(max(bounds[0], seconds), bounds[1])


def _with_jitter(wait: Wait, jitter: float) -> Wait:
    return replace(wait, seconds=round(wait.seconds * (1 + 0.2 * jitter)))


def _time(seconds: float) -> str:
    return f"{round(seconds)} s" if seconds < 120 else f"{round(seconds / 60)} min"
