"""What the documents in the state machine have in common: the run, the stopwatch, the next wait.

Times are UTC, durations whole seconds. Only our own code writes these documents: one of the wrong
shape raises KeyError, TypeError or ValueError, as the bug it is.
"""

from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, Self

REASON_CHARACTERS = 600
LONGEST_WAIT_SECONDS = 3600

OnLocked = Literal["wait", "skip"]


@dataclass(frozen=True, slots=True)
class Run:
    """What one execution was asked to do: the same in all its documents, whatever is deployed.

    Only `began`, `server_count` and `witnesses` come later, from ListServers.
    """

    id: str
    project: str
    owner: str
    retention: str
    on_locked: OnLocked
    dry_run: bool
    prune_only: bool
    max_deletions: int  # of one server in one run
    servers_at_a_time: int
    lock_wait_minutes: int
    snapshot_minutes: int
    rate_limit_floor: int = 20  # per cent of the requests per hour, left for the people's tools
    concurrent_runs: tuple[str, ...] = ()  # the project's runs that were running at the start
    began: str | None = None  # when the servers were listed, by Hetzner's clock
    server_count: int | None = None  # servers selected
    witnesses: tuple[int, ...] = ()  # some servers by which the project is known again


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Time since the first look, by Hetzner's clock, carried from state to state.

    At least the ordered wait has passed: neither an outage nor a clock that stands still can stop
    the stopwatch, and an error of our own clock moves no deadline.
    """

    now: datetime | None = None
    elapsed_s: int = 0

    def read(self, answered_at: datetime | None, ordered_wait_s: int) -> "Stopwatch":
        assumed = self.now + timedelta(seconds=ordered_wait_s) if self.now else None
        now = answered_at or assumed
        passed_s = int((now - self.now).total_seconds()) if now and self.now else 0
        return Stopwatch(now, self.elapsed_s + max(passed_s, ordered_wait_s))


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait, and why; `due`: by then the snapshot should be available."""

    seconds: int
    why: str = ""
    due: bool = False

    def because(self, reason: str) -> str:
        """The reason for waiting at all, and for so long."""
        return "; ".join(text for text in (reason, self.why) if text)


@dataclass(frozen=True, slots=True)
class Look:
    """At `elapsed_s` after its start an action was not done; its progress was so many per cent."""

    elapsed_s: int
    progress: int


class Api(Protocol):
    """What an API tells with its answers, None before the first: its clock, its rate limit."""

    answered_at: datetime | None
    requests_left: int | None
    requests_per_hour: int | None


@dataclass(frozen=True, kw_only=True)
class Document:
    """A state's input and output: its status, the reason, and how long to wait now."""

    run: Run
    status: str
    reason: str = ""
    wait_seconds: int = 0
    stopwatch: Stopwatch = Stopwatch()
    deadline_s: int | None = None  # the current deadline, on the stopwatch
    attempts: int = 0
    requests_left: int | None = None
    requests_per_hour: int = 3600

    @classmethod
    def parts(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The fields found in a state's input, those of this class already built.

        Anything else (a Catch's `error`, say) is left aside.
        """
        found = {f.name: document[f.name] for f in fields(cls) if f.name in document}
        stopwatch = found.get("stopwatch") or {}
        run = known(Run, found["run"])
        return found | {
            "run": Run(
                **{
                    **run,
                    "concurrent_runs": tuple(run.get("concurrent_runs") or ()),
                    "witnesses": tuple(run.get("witnesses") or ()),
                }
            ),
            "stopwatch": Stopwatch(
                parse_time(stopwatch.get("now")), stopwatch.get("elapsed_s") or 0
            ),
        }

    def to_dict(self) -> dict[str, Any]:
        document = asdict(self)
        document["stopwatch"]["now"] = format_time(self.stopwatch.now)
        return document

    def observed(self, api: Api) -> Self:
        """The document after a look at the API: its stopwatch read, one attempt more."""
        return replace(
            self,
            stopwatch=self.stopwatch.read(api.answered_at, self.wait_seconds),
            wait_seconds=0,
            attempts=self.attempts + 1,
            requests_left=self.requests_left if api.requests_left is None else api.requests_left,
            requests_per_hour=api.requests_per_hour or self.requests_per_hour,
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

    def moved_to(self, status: str, reason: str = "", wait_seconds: int = 0) -> Self:
        """The document on its way to the next state, after a wait."""
        return replace(
            self,
            status=status,
            reason=reason[:REASON_CHARACTERS],
            wait_seconds=min(max(0, wait_seconds), LONGEST_WAIT_SECONDS),
        )

    def waiting(self, status: str, reason: str, wait: Wait) -> Self:
        """The document on its way to the next look: not at once, and not after the deadline."""
        seconds = max(1, min(wait.seconds, self.left_s))
        return self.moved_to(status, wait.because(reason), seconds)


def known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """What of these the dataclass has: a run goes on while its functions are updated, or back."""
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def format_time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
