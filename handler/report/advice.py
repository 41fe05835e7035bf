"""What a person can start to get what a run has not done. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from handler.documents.job import prune_again, resume
from handler.documents.run import RunDocument, Totals

MAKE_MISSING = "To make what is missing, once the reason is gone"


@dataclass(frozen=True, slots=True)
class Advice:
    """What for, and the event for StartRun."""

    what: str
    event: dict[str, Any]


def advice_for(document: RunDocument, totals: Totals, unlisted: str) -> Iterator[Advice]:
    """Nothing where nothing would help: the reasons say then what to correct."""
    run, selection = document.run, document.selection
    if run.dry_run or not document.resumable:
        return
    pruning = prune_again(run)
    if selection.servers:
        pruning["servers"] = list(selection.servers)
    if selection.label_selector:
        pruning["label_selector"] = selection.label_selector
    gone = totals.gone_not_pruned
    if (unlisted or totals.failed or gone) and run.prune_only:
        yield Advice("To prune what is left, once the reason is gone", pruning)
    elif unlisted or totals.failed:
        yield Advice(MAKE_MISSING, resume(run))
    if totals.not_pruned or (gone and not run.prune_only):
        # A resume may delete nothing: the run counts with all that it was allowed.
        yield Advice(
            "The next run prunes what this one has not pruned. To do it earlier, once the reason "
            "is gone", pruning,
        )  # fmt: skip
