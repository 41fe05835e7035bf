"""A look at the project after a run: what is stored and what it costs, and how fresh it all is.

Never raises: the verdict neither waits for it nor depends on it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from document import parse_time
from freshness import Saved, saved_since
from hetzner import Hetzner, HetznerError, Snapshot
from inventory import Inventory, take_inventory
from run import Concern, RunDocument
from runtime import logger
from settings import SummarySettings

Connect = Callable[[str], Hetzner]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found; `saved` is longest ago first."""

    saved: list[Saved]
    inventory: Inventory | None
    now: datetime
    requests_left: int | None
    of_all: bool  # a real run over all servers: it may judge the freshness

    @property
    def oldest_hours(self) -> float | None:
        """The age of the oldest newest good snapshot; None without a server."""
        if not self.saved:
            return None
        return max(0.0, round((self.now - self.saved[0].since) / timedelta(hours=1), 2))


def look(document: RunDocument, settings: SummarySettings, connect: Connect) -> Findings | None:
    """None if the listings fail; without an inventory if only the price is not known."""
    project = document.run.project
    listed = _listed(project, document.run.owner, settings.label_selector, connect)
    if listed is None:
        return None
    hetzner, snapshots, server_ids, saved = listed
    if hetzner.answered_at is None:
        logger.warning("The snapshots could not be counted: no answer of Hetzner has a date")
        return None
    inventory = _inventory(snapshots, server_ids, hetzner)
    of_all = _of_all(document, settings)
    return Findings(saved, inventory, hetzner.answered_at, hetzner.requests_left, of_all)


def everywhere_since(
    document: RunDocument, findings: Findings | None, settings: SummarySettings, connect: Connect
) -> datetime | None:
    """Since when every server of every project has a good snapshot; None if that is not known.

    The last run of a night sees them all saved. A project that cannot be listed, or has no run, is
    not hidden by the others.
    """
    own = _own_since(document, findings)
    if own is None or not _of_all(document, settings):
        return None
    if document.run.project not in document.projects:
        return None
    since = [own]
    for project in document.projects:
        if project != document.run.project:
            listed = _listed(project, document.run.owner, settings.label_selector, connect)
            if listed is None:
                return None
            since += [saved.since for saved in listed[3][:1]]
    return min(since)


def concerns_of(
    document: RunDocument, findings: Findings | None, settings: SummarySettings
) -> list[Concern]:
    """The servers whose newest good snapshot is too old, but for those that failed just now."""
    if not findings or not findings.of_all or not settings.freshness_hours:
        return []
    named = {concern.server for concern in document.totals.attention if concern.what != "note"}
    overdue = (
        (saved.server, saved.why_overdue(findings.now, settings.freshness_hours))
        for saved in findings.saved
        if saved.server not in named
    )
    return [Concern("overdue", server, why) for server, why in overdue if why]


def with_last_good(concerns: list[Concern], findings: Findings | None) -> list[Concern]:
    """What failed, with what there is to fall back on: it tells how urgent it is."""
    saved = {saved.server: saved.said for saved in findings.saved} if findings else {}
    return [
        replace(concern, reason=f"{concern.reason} {saved[concern.server]}")
        if concern.what == "failed" and concern.server in saved
        else concern
        for concern in concerns
    ]


def _own_since(document: RunDocument, findings: Findings | None) -> datetime | None:
    if findings:
        return min([findings.now, *(saved.since for saved in findings.saved)])
    # An API that is busy just now must not cost a night its proof: what the run itself has made of
    # every server is newer than its own beginning.
    totals = document.totals
    all_made = totals.servers and totals.available == totals.servers and not totals.adopted
    return parse_time(document.run.began) if all_made and not document.remaining else None


def _of_all(document: RunDocument, settings: SummarySettings) -> bool:
    run, selection = document.run, document.selection
    narrowed = selection.servers or selection.label_selector != settings.label_selector
    return not (narrowed or run.dry_run or run.prune_only)


def _listed(
    project: str, owner: str, label_selector: str, connect: Connect
) -> tuple[Hetzner, list[Snapshot], set[int], list[Saved]] | None:
    try:
        hetzner = connect(project)
        snapshots = hetzner.snapshots(owner)
        servers = hetzner.servers()
        matching = hetzner.servers(label_selector) if label_selector else servers
    except HetznerError as error:
        logger.warning(f"The snapshots could not be counted: {project}: {error}")
        return None
    except Exception:
        logger.exception(f"The snapshots could not be counted: {project}")
        return None
    saved = saved_since(servers, {server.id for server in matching}, snapshots)
    return hetzner, snapshots, {server.id for server in servers}, saved


def _inventory(
    snapshots: list[Snapshot], server_ids: set[int], hetzner: Hetzner
) -> Inventory | None:
    for snapshot in snapshots:
        if snapshot.server_id not in server_ids:
            logger.info(
                f"snapshot {snapshot.id} of {snapshot.created:%Y-%m-%d} ({snapshot.description}) "
                "is of a server that no longer exists; it is never deleted by itself",
                extra={"orphan": snapshot.id},
            )
    try:
        return take_inventory(snapshots, server_ids, hetzner.price())
    except HetznerError as error:
        logger.warning(f"The snapshots could not be counted: what they cost is not known: {error}")
        return None
