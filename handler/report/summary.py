"""A run in words: verdict, one line, the table of what needs attention. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from handler.documents.document import Run
from handler.documents.run import Concern, Totals

MORE = "and more: the log has all"

Verdict = Literal["Completed", "PartiallyFailed", "Failed"]


def verdict_of(totals: Totals, unlisted: str = "") -> Verdict:
    """Completed, PartiallyFailed or Failed, with the meaning that Velero gives them."""
    good = totals.servers - totals.failed
    if (unlisted or totals.failed) and not good:
        return "Failed"
    some = unlisted or totals.failed or totals.not_pruned or totals.gone_not_pruned
    return "PartiallyFailed" if some else "Completed"


def summary_line(
    verdict: str, totals: Totals, run: Run, unlisted: str = "", took_s: int | None = None,
    by_label: bool = True,
) -> str:  # fmt: skip
    """One line that a person can read, the same facts as in the summary's fields.

    `took_s` is the whole run's time, if it is known; `by_label` the reasons why servers were left
    out.
    """
    if unlisted and not totals.servers:
        return f"{verdict}: {unlisted}"
    everyone = totals.servers + totals.left_out + totals.not_due
    if not everyone:
        return f"{verdict}: the project {run.project} has no servers"
    good = totals.available + totals.planned + totals.pruned
    counts = [
        *(["nothing was due"] if totals.not_due and not totals.servers else []),
        f"{good} of {everyone} server{'s' if everyone > 1 else ''}",
        *_some(totals.skipped, "skipped"),
        *_some(totals.not_due, "not due"),
        *_some(totals.left_out, "left out by label" if by_label else "left out"),
        *_some(totals.failed, "failed"),
        *_some(totals.not_pruned, "of those made not pruned"),
    ]
    parts = [f"{verdict}: {', '.join(counts)}"]
    if run.dry_run:
        nothing = "nothing deleted" if run.prune_only else "nothing made or deleted"
        parts.append(f"dry run: {nothing}, {totals.deleted} would be deleted")
        parts += _not_pruned_of_gone(totals)
        return "; ".join(parts)
    if totals.available:
        parts.append(", ".join(_made(totals, took_s)))
    parts.append(f"{'at least ' if totals.at_least else ''}{totals.deleted} deleted")
    parts += _not_pruned_of_gone(totals)
    return "; ".join(parts)


def _made(totals: Totals, took_s: int | None) -> Iterator[str]:
    took = f" in {_time(took_s)}" if took_s is not None else ""
    yield f"{totals.available} made{took}"
    yield from _some(totals.adopted, "of them taken over from an earlier attempt")
    if totals.longest_lock_s:
        # The name is missing if the action was gone before it could be read.
        holder = f" by {totals.longest_lock}" if totals.longest_lock else ""
        yield f"longest {totals.longest} ({_time(totals.longest_lock_s)} locked{holder})"
    elif totals.longest:
        yield f"longest {totals.longest} ({_time(totals.longest_s)})"


def rows(concerns: Sequence[Concern]) -> list[str]:
    """The table in columns: what, which server, why."""
    what = max((len(concern.what) for concern in concerns), default=0)
    server = max((len(concern.server) for concern in concerns), default=0)
    return [
        f"  {concern.what:<{what}}  {concern.server:<{server}}  "
        + concern.reason.removeprefix(f"{concern.what}: ")
        for concern in concerns
    ]


def cause(line: str, concerns: Iterable[Concern], characters: int) -> str:
    """The line and the table, as the cause of a failed execution: as many rows as fit."""
    cut = line[:characters]
    for text in map(str, concerns):
        if len(cut) + len(text) + len(MORE) + 2 > characters:
            return (f"{cut}\n{MORE}")[:characters]
        cut = f"{cut}\n{text}"
    return cut


def _not_pruned_of_gone(totals: Totals) -> list[str]:
    count = totals.gone_not_pruned
    return (
        [f"snapshots of {count} gone server{'s' if count > 1 else ''} not pruned"] if count else []
    )


def _some(count: int, word: str) -> list[str]:
    return [f"{count} {word}"] if count else []


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"
