"""What one execution of RestoreRun does, from complete listings: pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from handler.decisions.candidates import Market, Wanted, candidates
from handler.decisions.choosing import NO_SNAPSHOT, Choice, Chosen, choose
from handler.documents.copies import Copy
from handler.documents.copy_names import drill_name, restore_name
from handler.documents.document import Stopwatch, format_time, parse_time
from handler.documents.errors import HetznerError
from handler.documents.labels import LABEL_RESTORE_ID, LABEL_SERVER_ID
from handler.documents.resources import Server, Snapshot
from handler.documents.restore import Restore, RestoreDocument
from handler.documents.restore_run import MOST_RESTORES, Original, Source

MOST_NOTES = 20
# AWS's clock, by which a dead restore began, and Hetzner's may differ.
CLOCKS = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Seen:
    """What Hetzner answered. An error stands for all of it."""

    servers: tuple[Server, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    copies: tuple[Copy, ...] = ()  # of a sweep
    market: Market = field(default_factory=Market)
    error: HetznerError | None = None


def planned(document: RestoreDocument, seen: Seen, now: datetime) -> RestoreDocument:
    """The document with its restores at hand (ready), or why there is none (failed, done)."""
    # The other executions are known to this one only: its restores would carry them along.
    run = replace(document.run, began=format_time(now), restores=())
    begun = replace(document, run=run)
    if document.run.sweep:
        return _swept(document, begun, seen)
    chosen = choose(run, seen.servers, seen.snapshots, now)
    if chosen.refused:
        return begun.moved_to("failed", chosen.refused)
    restores = _restores(begun, chosen, seen)
    begun = replace(begun.with_restores(restores), notes=_few(chosen.notes))
    if restores:
        return begun.moved_to("ready")
    if any(NO_SNAPSHOT in note for note in chosen.notes):
        return begun.moved_to("failed", "no server has a good snapshot that a drill may restore")
    return begun.moved_to("done", "there is no server that a drill may restore")


def _restores(document: RestoreDocument, chosen: Chosen, seen: Seen) -> list[Restore]:
    """A restore for each that is chosen, and another one for each that fits no server type now."""
    restores = [_restore(document, choice, seen) for choice in chosen.choices[:MOST_RESTORES]]
    missing = sum(restore.status == "unproven" for restore in restores)
    for choice in chosen.then:
        if not missing or len(restores) == MOST_RESTORES:
            break
        restores.append(_restore(document, choice, seen))
        missing -= restores[-1].status != "unproven"
    return restores


def _restore(document: RestoreDocument, choice: Choice, seen: Seen) -> Restore:
    """The restore of this choice: new, or at its end already."""
    run, snapshot = document.run, choice.snapshot
    named = run.name or restore_name(run.id, choice.id)
    restore = Restore(
        run=run,
        status="new",
        server=Original(choice.id, choice.name, choice.probe),
        source=Source(
            snapshot.id if snapshot else 0,
            (format_time(snapshot.created) if snapshot else "") or "",
            snapshot.disk_gb if snapshot else None,
        ),
        copy_name=named if run.keep else drill_name(run.id, choice.id),
        keep=run.keep,
        restore_id=run.id,
        began=run.began,
        stopwatch=Stopwatch(),
    )
    if snapshot is None or choice.failed or choice.skipped:
        status = "skipped" if choice.skipped else "failed"
        return restore.done(status, choice.skipped or choice.failed)
    wanted = Wanted(snapshot, choice.server, run.keep, run.server_type, run.location)
    found, why_none = candidates(seen.market, wanted)
    restore = replace(restore, candidates=found)
    if why_none:
        return restore.done("unproven", why_none)
    if why := _name_taken(restore, seen.servers):
        return restore.done("failed", why)
    if run.dry_run:
        return restore.done("planned")
    return restore


def _name_taken(restore: Restore, servers: Sequence[Server]) -> str:
    for server in servers:
        if server.name.lower() == restore.copy_name.lower():
            is_ours = server.labels.get(LABEL_RESTORE_ID) == restore.restore_id
            if not is_ours:
                return f"there is a server called {server.name} ({server.id}); take another name"
    return ""


def _swept(asked: RestoreDocument, begun: RestoreDocument, seen: Seen) -> RestoreDocument:
    """The document with a restore for each copy that is left by one that is known to have ended.

    One that is not known may have begun after Step Functions was asked, or be another stack's.
    """
    known = {each.id: each for each in asked.run.restores or ()}
    restores, notes = [], []
    for copy in seen.copies:
        restore_id, of = copy.labels.get(LABEL_RESTORE_ID, ""), _original_id(copy)
        its = known.get(restore_id)
        if its is None or of is None:
            notes.append(
                f"server {copy.id} ({copy.name}) is left: no drill of this stack is known that has "
                "made it. Delete it in the Hetzner console if nobody needs it"
            )
        elif not its.is_running:
            began = parse_time(its.started)
            restores.append(_left_over(begun, copy, of, began, seen))
    document = replace(begun.with_restores(restores[:MOST_RESTORES]), notes=_few(notes))
    if restores:
        return document.moved_to("ready")
    return document.moved_to("done", "nothing is left of drills that are no longer running")


def _left_over(
    document: RestoreDocument, copy: Copy, of: int, began: datetime | None, seen: Seen
) -> Restore:
    made_of = next((s for s in seen.snapshots if s.id == copy.image_id and s.server_id == of), None)
    name = next((server.name for server in seen.servers if server.id == of), f"server {of}")
    source = Source(0, "")
    if made_of:
        source = Source(made_of.id, format_time(made_of.created) or "", made_of.disk_gb)
    return Restore(
        run=document.run,
        status="removing",
        server=Original(of, name),
        # Made of another image than a snapshot of that server it is not ours.
        source=source,
        copy_name=drill_name(copy.labels[LABEL_RESTORE_ID], of),
        restore_id=copy.labels[LABEL_RESTORE_ID],
        began=format_time(began - CLOCKS if began else None),
        candidates=(seen.market.priced(copy.type, copy.location),),
        copy_id=copy.id,
        copy_created=format_time(copy.created),
    )


def _original_id(copy: Copy) -> int | None:
    label = copy.labels.get(LABEL_SERVER_ID, "")
    return int(label) if label.isascii() and label.isdecimal() else None


def _few(notes: Sequence[str]) -> tuple[str, ...]:
    more = len(notes) - MOST_NOTES
    rest = (f"and {more} more",) if more > 0 else ()
    return (*notes[:MOST_NOTES], *rest)


def rows(document: RestoreDocument) -> Iterator[str]:
    """For the log: what is restored, from what, on what, at which price."""
    for each in document.restores:
        restore = Restore.from_dict(each)
        name, source = restore.server.name, restore.source
        if each["status"] in ("new", "planned") and (first := restore.candidate):
            price = f"{first.price} per hour" if first.price else "its price is not told"
            yield (
                f"{name}: snapshot {source.image_id} of {source.created[:10]} as "
                f"{restore.copy_name}, {first}, {price}; "
                f"{len(restore.candidates)} candidates"
            )
        else:
            yield f"{name}: {each['status']}" + (f": {restore.reason}" if restore.reason else "")
