"""What ListServers saw of a project, and whether a run may go on with it: pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from handler.decisions import due, selecting
from handler.documents.errors import HetznerError
from handler.documents.job import NAME_BYTES, cut
from handler.documents.resources import Server, Snapshot
from handler.documents.rhythm import rhythm_in
from handler.documents.run import Concern, RunDocument

NOT_THERE = (
    "no server of this name or id in this project any more: skipped. If it was renamed, start a "
    "new run with its new name or id"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """The project's servers and those that the selector matches, or why they are not known.

    Our snapshots only if they tell who is due.
    """

    listed: tuple[Server, ...] = ()  # without the copies
    matching: tuple[Server, ...] = ()
    error: HetznerError | None = None
    left: int = 0  # our snapshots in a project without servers
    snapshots: tuple[Snapshot, ...] = ()
    snapshots_error: HetznerError | None = None
    is_known: bool = True  # by what the watch saw last in it
    copies: tuple[Server, ...] = ()  # that restores throw away; people may name them

    @property
    def everything(self) -> tuple[Server, ...]:
        return (*self.listed, *self.copies)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the run ends before anything is done, and what to do about it."""

    reason: str
    advice: str
    resumable: bool


def asks_who_is_due(document: RunDocument, seen: Seen) -> bool:
    """Whether one of the servers that are still to be handed out has a rhythm that counts."""
    why_not = selecting.left_out(document, seen.listed, seen.matching)
    return due.heeds_rhythms(document) and any(
        rhythm_in(s.labels) for s in seen.listed if not why_not[s.id] and s.id > document.after_id
    )


def refused(document: RunDocument, seen: Seen) -> Refusal | None:
    """The refusal if the selection is wrong, or the project is not what it was."""
    listed, selection = seen.listed, document.selection
    chosen, unknown = selecting.named(selection, seen.everything)
    first = document.after_id == 0
    if first and unknown and not (selection.as_before and chosen):
        return Refusal(
            f"no server {selecting.some_of(unknown)} in this project, which has "
            f"{selecting.some_of([server.name for server in listed])}.",
            "Start it again with the right names in the event's field servers: with the run_id "
            "alone it looks for the same names.",
            resumable=False,
        )
    if vanished := selecting.why_vanished(document, listed, seen.left, seen.is_known):
        return Refusal(vanished, "", resumable=True)
    return None


def none_taken(seen: Seen) -> Refusal:
    return Refusal(
        f"none of the {len(seen.listed)} servers is selected; the log says why for each.",
        "Check the event, the label selector and the servers' labels; then start a new run.",
        resumable=False,
    )


def begun(
    document: RunDocument, seen: Seen, taken: Sequence[Server], not_due: int
) -> tuple[RunDocument, tuple[str, ...]]:
    """The document that tells, once in a run, of the whole project; and the names that are not in
    it any more, though the run that is resumed had them."""
    listed = seen.listed
    _, gone = selecting.named(document.selection, seen.everything)
    witnesses = tuple(server.id for server in listed[: selecting.MOST_WITNESSES])
    totals = replace(
        document.totals,
        left_out=len(listed) - len(taken),
        not_due=not_due,
        skipped=document.totals.skipped + len(gone),
    )
    called_copies = [server for server in listed if server.is_called_copy]
    notes = selecting.notes_on(list(taken), document.run.dry_run, called_copies)
    named_copies = selecting.named(document.selection, seen.copies)[0]
    notes += [
        Concern("note", cut(copy.name, NAME_BYTES), selecting.A_COPY)
        for copy in seen.copies
        if document.selection.servers and copy.id in named_copies
    ]
    totals = totals.noting(*notes)
    totals = totals.noting(*(Concern("note", cut(name, NAME_BYTES), NOT_THERE) for name in gone))
    return replace(document, run=replace(document.run, witnesses=witnesses), totals=totals), gone


def why_all_are_taken(document: RunDocument, seen: Seen) -> str:
    """Why rhythms are not heeded although somebody has one; empty if they are."""
    why = str(seen.snapshots_error or "")
    if document.run.began is None and asks_who_is_due(document, seen):
        why = why or "no answer of Hetzner has a date"
    return why and f"all are taken, because which servers are due is not known: {why}"
