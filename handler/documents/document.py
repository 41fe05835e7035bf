"""What the documents in the state machines have in common: the run, the stopwatch, the next wait.

Times are UTC, durations whole seconds. Only our own code writes these documents, of this version or
another one (`reading.py`).
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, Self

from handler.documents.labels import LABEL_RUN_ID
from handler.documents.reading import known, renamed
from handler.documents.resources import Snapshot

REASON_CHARACTERS = 1000  # room for Hetzner's words, what we say about them, and advice
LONGEST_WAIT_SECONDS = 3600
JUMP = timedelta(minutes=5)  # a look may be late by this much, or by as much as the wait was long
# A run's snapshot may be older than its first execution by this much: another region's stack of the
# same owner may have begun before.
SAME_RUN = timedelta(days=1)

OnLocked = Literal["wait", "skip"]
WithBackups = Literal["include", "skip"]


@dataclass(frozen=True, slots=True)
class Run:
    """What one execution was asked to do: the same in all its documents, whatever is deployed.

    Only `began`, `first_began`, `earliest_began`, `server_count` and `witnesses` come later, from
    ListServers.
    """

    id: str
    project: str
    owner: str
    retention: str
    dry_run: bool
    prune_only: bool
    on_locked: OnLocked = "wait"
    max_deletions: int = 5  # of one server in one run, all its executions together
    servers_at_a_time: int = 200
    lock_wait_minutes: int = 60
    snapshot_minutes: int = 180
    rate_limit_floor: int = 20  # per cent of the requests per hour, left for the people's tools
    # The project's runs that were running at the start; None: not known, or too many.
    concurrent_runs: tuple[str, ...] | None = ()
    began: str | None = None  # when it was started, by Hetzner's clock
    first_began: str | None = None  # when its first execution was started; None: not known
    # When it was started, by the earlier of Hetzner's clock and ours: each may be wrong.
    earliest_began: str | None = None
    server_count: int | None = None  # servers selected
    witnesses: tuple[int, ...] = ()  # some servers by which the project is known again
    # Of one server, what the executions before this one may have deleted.
    earlier_deletions: int = 0
    # Only with prune_only: a larger snapshot than all others may go, too.
    accept_smaller: bool = False
    # Snapshots of servers that are gone go when the newest good one is older than this; 0: never.
    orphan_days: int = 0
    with_backups: WithBackups = "include"  # servers that have Hetzner's own Backups on

    @property
    def most_deletions(self) -> int:
        """How many of one server this execution may delete."""
        return max(0, self.max_deletions - self.earlier_deletions)

    def made(self, snapshot: Snapshot) -> bool:
        """Whether it is this run's: it has the run's label, and is not older than the run.

        Step Functions forgets a run's name after 90 days, or with the stack; the snapshots stay.
        """
        first = parse_time(self.first_began)
        is_older = first is not None and snapshot.created < first - SAME_RUN
        is_labelled = snapshot.labels.get(LABEL_RUN_ID) == self.id
        return is_labelled and not (is_older or snapshot.is_of_another)


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Time since the first look, by Hetzner's clock, carried from state to state.

    At least the ordered wait has passed: neither an outage nor a clock that stands still can stop
    the stopwatch, and an error of our own clock moves no deadline. Nor does one answer with a wrong
    clock: a jump counts when a second look agrees with it.
    """

    now: datetime | None = None
    elapsed_s: int = 0
    sure: bool = False  # two looks in a row have agreed on the clock
    doubted: datetime | None = None  # what the clock would be now, if the last jump were true

    def read(self, answered_at: datetime | None, ordered_wait_s: int) -> "Stopwatch":
        wait = timedelta(seconds=ordered_wait_s)
        assumed = self.now + wait if self.now else None
        doubted = self.doubted + wait if self.doubted else None
        elapsed_s = self.elapsed_s + ordered_wait_s
        if answered_at is None:
            return Stopwatch(assumed, elapsed_s, self.sure, doubted)
        if self.now is None or assumed is None:
            return Stopwatch(answered_at, elapsed_s)
        slack = max(JUMP, wait)
        agrees = abs(answered_at - assumed) <= slack
        if agrees or (doubted and abs(answered_at - doubted) <= slack):
            passed_s = int((answered_at - self.now).total_seconds())
            return Stopwatch(answered_at, self.elapsed_s + max(passed_s, ordered_wait_s), True)
        if not self.sure:  # either of the two clocks may be wrong
            return Stopwatch(answered_at, elapsed_s)
        return Stopwatch(assumed, elapsed_s, True, answered_at)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait, and why; `due`: after this wait the snapshot should be available."""

    seconds: int
    why: str = ""
    due: bool = False

    def because(self, reason: str) -> str:
        """The reason for the wait, and for its length."""
        return "; ".join(text for text in (reason, self.why) if text)


@dataclass(frozen=True, slots=True)
class Look:
    """An action seen running, `elapsed_s` after its start, with its progress in per cent."""

    elapsed_s: int
    progress: int


class Api(Protocol):
    """What an API's last answer told: its clock and rate limit. None before the first answer."""

    answered_at: datetime | None
    requests_left: int | None
    requests_per_hour: int | None
    actions_left: int | None
    actions_per_hour: int | None


class Asked(Protocol):
    """What the executions of both machines were asked, as far as waits depend on it."""

    @property
    def servers_at_a_time(self) -> int: ...
    @property
    def server_count(self) -> int | None: ...
    @property
    def rate_limit_floor(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Document:
    """A state's input and output: its status, the reason, and how long to wait now."""

    run: Asked
    status: str
    reason: str = ""
    wait_seconds: int = 0
    stopwatch: Stopwatch = Stopwatch()
    deadline_s: int | None = None  # the current deadline, on the stopwatch
    attempts: int = 0
    requests_left: int | None = None
    requests_per_hour: int = 3600
    actions_left: int | None = None  # of requests under /actions; None: not told
    actions_per_hour: int | None = None

    @classmethod
    def parts(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The fields found in a state's input, the stopwatch already built.

        Other fields (a Catch's `error`, for example) are ignored.
        """
        found = known(cls, {**document, "status": document.get("status") or ""})
        stopwatch = found.get("stopwatch") or {}
        return found | {
            "stopwatch": Stopwatch(
                parse_time(stopwatch.get("now")),
                stopwatch.get("elapsed_s") or 0,
                bool(stopwatch.get("sure")),
                parse_time(stopwatch.get("doubted")),
            ),
        }

    def to_dict(self) -> dict[str, Any]:
        document = asdict(self)
        document["stopwatch"]["now"] = format_time(self.stopwatch.now)
        document["stopwatch"]["doubted"] = format_time(self.stopwatch.doubted)
        return document

    def observed(self, api: Api) -> Self:
        """The document after a look at the API: its stopwatch read, one more attempt counted."""
        return replace(
            self,
            stopwatch=self.stopwatch.read(api.answered_at, self.wait_seconds),
            wait_seconds=0,
            attempts=self.attempts + 1,
            requests_left=self.requests_left if api.requests_left is None else api.requests_left,
            requests_per_hour=api.requests_per_hour or self.requests_per_hour,
            actions_left=self.actions_left if api.actions_left is None else api.actions_left,
            actions_per_hour=api.actions_per_hour or self.actions_per_hour,
        )

    def with_deadline(self, minutes: int) -> Self:
        """The document with a new deadline, from now."""
        return replace(self, deadline_s=self.stopwatch.elapsed_s + 60 * minutes)

    @property
    def left_s(self) -> int:
        """Seconds to the deadline, never less than 0; a long time where there is none."""
        if self.deadline_s is None:
            return LONGEST_WAIT_SECONDS
        return max(0, self.deadline_s - self.stopwatch.elapsed_s)

    @property
    def overdue(self) -> bool:
        return self.left_s == 0

    def moved_to(
        self, status: str, reason: str = "", wait_seconds: int = 0, advice: str = ""
    ) -> Self:
        """The document on its way to the next state, after a wait.

        `advice` is what a person can do, and stands behind the reason. A long reason is cut before
        it.
        """
        behind = f" {advice}" if advice else ""
        return replace(
            self,
            status=status,
            reason=(shortened(reason, REASON_CHARACTERS - len(behind)) + behind).strip(),
            wait_seconds=min(max(0, wait_seconds), LONGEST_WAIT_SECONDS),
        )

    def waiting(self, status: str, reason: str, wait: Wait) -> Self:
        """The document before the next look, which is not at once and not after the deadline."""
        seconds = max(1, min(wait.seconds, self.left_s))
        return self.moved_to(status, wait.because(reason), seconds)


@dataclass(frozen=True, kw_only=True)
class OfSnapshotRun(Document):
    """A document of the machine that makes snapshots."""

    run: Run

    @classmethod
    def parts(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The same with the run built, too."""
        found = super().parts(document)
        run = renamed(found["run"])
        others = run.get("concurrent_runs")  # if it is lacking they are not known
        built = Run(
            **{
                **known(Run, run),
                "concurrent_runs": None if others is None else tuple(others),
                "witnesses": tuple(run.get("witnesses") or ()),
            }
        )
        return found | {"run": built}


def shortened(text: str, characters: int) -> str:
    """The text, or its beginning and "..."."""
    return text if len(text) <= characters else text[: max(0, characters - 3)] + "..."


def format_time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
