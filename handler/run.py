"""The run's own document: what was selected, the batch at hand, the totals so far."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from document import Document
from job import Result

BATCH = 400
MOST_ATTENTION = 20  # servers named in the document; the log has all


@dataclass(frozen=True, slots=True)
class Selection:
    """Which servers a run is for: those named (numbers are ids), and what the selector matches."""

    servers: tuple[str | int, ...] = ()
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run's servers came to so far; `attention` is the failed and unpruned, worst first."""

    available: int = 0
    planned: int = 0
    pruned: int = 0
    skipped: int = 0
    failed: int = 0
    not_pruned: int = 0
    left_out: int = 0
    deleted: int = 0
    longest: str = ""
    longest_s: int = 0
    longest_waited_s: int = 0
    attention: tuple[str, ...] = ()

    @property
    def servers(self) -> int:
        return self.available + self.planned + self.pruned + self.skipped + self.failed

    def plus(self, results: Iterable[Result]) -> "Totals":
        total = self
        for result in results:
            total = total._plus(result)
        return total

    def _plus(self, result: Result) -> "Totals":
        bad = result.status == "failed" or not result.pruned
        attention = self.attention
        if bad and len(attention) < MOST_ATTENTION:
            attention = (*attention, f"{result.server}: {result.reason}")
        total = replace(
            self,
            not_pruned=self.not_pruned + (result.status != "failed" and not result.pruned),
            deleted=self.deleted + result.deleted,
            attention=attention,
        )
        total = replace(total, **{result.status: getattr(self, result.status) + 1})
        took_s = (result.waited_s or 0) + (result.snapshot_s or 0)
        if result.status == "available" and took_s > self.longest_s:
            total = replace(
                total,
                longest=result.server,
                longest_s=took_s,
                longest_waited_s=result.waited_s or 0,
            )
        return total


@dataclass(frozen=True, kw_only=True)
class RunDocument(Document):
    """A run over one project, batch by batch.

    Statuses: new, waiting (the listing is asked for again), ready (a batch is at hand), failed (no
    listing), and from SummariseRun: more, or the verdict.
    """

    selection: Selection
    after_id: int = 0  # the last server handed out
    remaining: int = 0  # servers still to be handed out
    handed_out: tuple[int, ...] = ()  # the batch's servers, by id
    batch: tuple[dict[str, Any], ...] = ()  # servers; after the Map the results of its children
    totals: Totals = Totals()

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        parts = cls.parts(document)
        selection, totals = parts["selection"], parts.get("totals") or {}
        parts |= {
            "selection": Selection(tuple(selection["servers"]), selection["label_selector"]),
            "handed_out": tuple(parts.get("handed_out") or ()),
            "batch": tuple(parts.get("batch") or ()),
            "totals": Totals(**{**totals, "attention": tuple(totals.get("attention", ()))}),
        }
        return cls(**parts)
