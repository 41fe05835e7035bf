"""What a survey after a run means: how fresh the snapshots are, what is stored. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from handler.decisions.freshness import LastGood, last_good, taken
from handler.decisions.inventory import Inventory, take_inventory
from handler.decisions.proof import Proven, proven_of
from handler.documents.run import Concern, RunDocument
from handler.documents.survey import Survey


@dataclass(frozen=True, slots=True)
class Findings:
    """What the survey found; in `last_good` the oldest comes first."""

    last_good: list[LastGood]
    inventory: Inventory | None
    now: datetime
    requests_left: int | None
    of_all: bool  # a real run over all servers: only such a run may judge the freshness
    proven: Proven | None = None

    @property
    def oldest_hours(self) -> float | None:
        """The greatest age of any server's newest good snapshot; None without a server."""
        if not self.last_good:
            return None
        return max(0.0, round((self.now - self.last_good[0].since) / timedelta(hours=1), 2))


def findings_of(
    document: RunDocument, survey: Survey, label_selector: str, orphan_days: int = 0
) -> Findings | None:
    """None without the API's clock; without an inventory if only the price is not known."""
    if survey.now is None:
        return None
    server_ids = {server.id for server in survey.servers}
    inventory = None
    if survey.price:
        inventory = take_inventory(survey.snapshots, server_ids, survey.price, orphan_days)
    of_all = is_of_all(document, label_selector)
    with_backups = document.run.with_backups
    found = last_good(survey, with_backups)
    proven = proven_of(taken(survey, with_backups), survey.snapshots, survey.now)
    return Findings(found, inventory, survey.now, survey.requests_left, of_all, proven)


def is_of_all(document: RunDocument, label_selector: str) -> bool:
    """Whether it was a real run over all servers that the stack is for."""
    run, selection = document.run, document.selection
    narrowed = selection.servers or selection.label_selector != label_selector
    return not (narrowed or run.dry_run or run.prune_only)


def overdue(
    document: RunDocument, findings: Findings | None, freshness_hours: int
) -> list[Concern]:
    """The servers whose newest good snapshot is too old, without those that failed in this run."""
    if not findings or not findings.of_all or not freshness_hours:
        return []
    named = {concern.server_id for concern in document.totals.attention if concern.what != "note"}
    reasons = (
        (last, last.why_overdue(findings.now, freshness_hours))
        for last in findings.last_good
        if last.server_id not in named
    )
    return [Concern("overdue", last.server, why, last.server_id) for last, why in reasons if why]


def with_last_good(concerns: list[Concern], findings: Findings | None) -> list[Concern]:
    """What failed, with the server's last good snapshot: its age tells how urgent it is."""
    said = fallbacks(findings)
    return [
        replace(concern, reason=sentences(concern.reason, said[concern.server_id]))
        if concern.what == "failed" and concern.server_id in said
        else concern
        for concern in concerns
    ]


def fallbacks(findings: Findings | None) -> dict[int | None, str]:
    """What each server, by its id, has to fall back on: its newest good snapshot, in words."""
    return {last.server_id: last.said for last in findings.last_good} if findings else {}


def sentences(first: str, second: str) -> str:
    return f"{first}{'' if first.endswith('.') else '.'} {second}" if first else second
