"""The run's own document: what was selected, the batch at hand, the totals so far."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self, get_args

from handler.documents.document import OfSnapshotRun, parse_time
from handler.documents.job import Result
from handler.documents.memory import LastLook
from handler.documents.reading import demand, known

BATCH = 500
MOST_CONCURRENT_RUNS = 20  # named in the document
MOST_ATTENTION = 20  # servers named in the document; the log has all

# Of a run's totals: without these a verdict or a summary would be untrue.
COUNTED = ("available", "planned", "pruned", "skipped", "failed", "not_pruned", "deleted")

# Worst first.
What = Literal["failed", "made, not pruned", "not pruned", "overdue", "note"]
WORST_FIRST = get_args(What)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which servers a run is for: those named (numbers are ids), and what the selector matches."""

    servers: tuple[str | int, ...] = ()
    label_selector: str = ""
    as_before: bool = (
        False  # the servers are those of the run that is resumed; some may be deleted by now
    )


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs a person's attention; `server` is empty if it concerns several."""

    what: What
    server: str
    reason: str
    server_id: int | None = None  # names may change hands during a run

    @classmethod
    def from_dict(cls, concern: dict[str, Any]) -> Self:
        """One whose kind another version has made is a note."""
        found = {"what": "note", "server": "", "reason": "", **known(cls, concern)}
        found["what"] = found["what"] if found["what"] in WORST_FIRST else "note"
        return cls(**found)

    def __str__(self) -> str:
        return f"{self.server}: {self.reason}" if self.server else self.reason


@dataclass(frozen=True, slots=True)
class Totals:
    """A run's counts so far; `attention` is worst first."""

    available: int = 0
    adopted: int = 0  # of those available
    planned: int = 0
    pruned: int = 0
    skipped: int = 0
    failed: int = 0
    not_pruned: int = 0
    left_out: int = 0
    not_due: int = 0  # by their own rhythm; not among those left out
    deleted: int = 0
    at_least: bool = False  # more may have been deleted than `deleted`
    longest: str = ""
    longest_s: int = 0
    longest_lock_s: int = 0
    longest_lock: str = ""  # the action that locked it
    attention: tuple[Concern, ...] = ()
    gone_not_pruned: int = 0  # servers that were gone before the run; only this counts them

    @property
    def servers(self) -> int:
        return self.available + self.planned + self.pruned + self.skipped + self.failed

    def plus(self, results: Iterable[Result]) -> "Totals":
        total = self
        for result in results:
            total = total._plus_gone(result) if result.gone else total._plus(result)
        return total

    def noting(self, *concerns: Concern) -> "Totals":
        """The totals with these added, worst first; of too many the least bad are left out."""
        found = sorted((*self.attention, *concerns), key=lambda c: WORST_FIRST.index(c.what))
        return replace(self, attention=tuple(found[:MOST_ATTENTION]))

    def _plus(self, result: Result) -> "Totals":
        total = replace(
            self,
            adopted=self.adopted + (result.status == "available" and result.adopted),
            not_pruned=self.not_pruned + (result.status != "failed" and not result.pruned),
            deleted=self.deleted + result.deleted,
            at_least=self.at_least or result.at_least,
        )
        total = replace(total, **{result.status: getattr(self, result.status) + 1})
        if what := _what(result):
            concern = Concern(what, result.server, result.reason, result.id)
            total = total.noting(concern)
        took_s = (result.waited_s or 0) + (result.snapshot_s or 0)
        if result.status == "available" and took_s > self.longest_s:
            total = replace(
                total,
                longest=result.server,
                longest_s=took_s,
                longest_lock_s=result.lock_s,
                longest_lock=result.lock,
            )
        return total

    def _plus_gone(self, result: Result) -> "Totals":
        """What was deleted counts; the server is none of those that the run is for."""
        bad = result.status == "failed" or not result.pruned
        total = replace(
            self,
            deleted=self.deleted + result.deleted,
            at_least=self.at_least or result.at_least,
            gone_not_pruned=self.gone_not_pruned + bad,
        )
        concern = Concern("not pruned" if bad else "note", result.server, result.reason)
        return total.noting(concern) if result.reason else total


def _what(result: Result) -> What | None:
    if result.status == "failed":
        return "failed"
    if not result.pruned:
        return "made, not pruned"
    # In a dry run every server has a reason, the plan; that needs no attention.
    return "note" if result.reason and result.status != "planned" else None


@dataclass(frozen=True, kw_only=True)
class RunDocument(OfSnapshotRun):
    """A run over one project, batch by batch.

    Statuses: new, waiting (the listing is asked for again), ready (a batch is at hand), failed (no
    listing), and from SummariseRun: more, or the verdict.
    """

    selection: Selection
    execution: str = ""  # its ARN
    resumes: bool = False  # an earlier execution of this run
    started: str | None = None  # by our own clock, read before the running executions were listed
    first_started: str | None = None  # the same of the run's first execution
    last_look: LastLook | None = None  # what the watch saw last in this project; None: not known
    after_id: int = 0  # the last server handed out
    remaining: int = 0  # servers still to be handed out
    handed_out: tuple[int, ...] = ()  # the batch's servers, by id
    gone: tuple[int, ...] = ()  # those of them that were gone before the run
    batch: tuple[dict[str, Any], ...] = ()  # servers; after the Map the results of its children
    totals: Totals = Totals()
    # Whether a resume may end better. Not if the selection was wrong: a resume has the same one.
    resumable: bool = True

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        parts = cls.parts(document)
        demand("RunDocument", document, ("totals", "after_id"))
        demand("Selection", document["selection"], ("servers", "label_selector"))
        demand("Totals", document["totals"], COUNTED)
        selection, totals = document["selection"], known(Totals, document["totals"])
        concerns = [Concern.from_dict(concern) for concern in totals.get("attention") or ()]
        batch = tuple(parts.get("batch") or ())
        ids = (item.get("id") for item in batch if isinstance(item, dict))
        handed_out = tuple(parts.get("handed_out") or (id_ for id_ in ids if id_))
        # The servers that were selected and are not handed out are the remaining ones.
        selected = parts["run"].server_count or 0
        remaining = max(0, selected - len(handed_out)) if handed_out else 0
        look = parts.get("last_look")
        parts |= {
            "selection": Selection(
                tuple(selection["servers"]),
                selection["label_selector"],
                bool(selection.get("as_before")),
            ),
            "remaining": parts.get("remaining", remaining),
            "handed_out": handed_out,
            "gone": tuple(parts.get("gone") or ()),
            "batch": batch,
            "last_look": LastLook(**known(LastLook, look)) if look else None,
            "resumable": parts.get("resumable") is not False,
            "totals": Totals(**totals | {"attention": tuple(concerns)}),
        }
        return cls(**parts)

    def began(self, now: datetime) -> datetime | None:
        """When the run was started, by Hetzner's clock; `now` is by ours. None: not known.

        The two clocks may differ. How long ago it was is the same by both.
        """
        answered_at, started = self.stopwatch.now, parse_time(self.started)
        if answered_at is None:
            return None
        waited = timedelta(seconds=self.stopwatch.elapsed_s)
        return answered_at - max(waited, now - started if started else waited)

    def earliest_began(self, began: datetime | None) -> datetime | None:
        """When the run was started, by the earlier of both clocks. None: Hetzner's is not known."""
        started = parse_time(self.started)
        return min(began, started) if began and started else began

    def first_began(self, began: datetime | None) -> datetime | None:
        """When the run's first execution was started, by the earlier clock if the two differ."""
        started, first = parse_time(self.started), parse_time(self.first_started)
        if not (began and started and first):
            return None
        return min(first, began - (started - first))

    def beginnings(self) -> tuple[datetime, datetime] | None:
        """When the run's first execution was started: by Hetzner's clock, and by the later one of
        Hetzner's and ours. None: Hetzner's is not known.
        """
        began = parse_time(self.run.began)
        started, first = parse_time(self.started), parse_time(self.first_started)
        if not (began and started and first):
            return (began, began) if began else None
        by_hetzner = began - (started - first)
        return by_hetzner, max(by_hetzner, first)
