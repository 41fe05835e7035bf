"""A run's conclusion: verdict, line, what needs attention, figures. Pure."""

from dataclasses import dataclass, replace

from handler.decisions.findings import Findings, overdue, with_last_good
from handler.decisions.proof import Proven
from handler.documents.document import parse_time
from handler.documents.run import Concern, RunDocument, Totals
from handler.report import metrics
from handler.report.advice import Advice, advice_for
from handler.report.summary import Verdict, summary_line, verdict_of


@dataclass(frozen=True, slots=True)
class Conclusion:
    verdict: Verdict
    line: str
    totals: Totals
    concerns: list[Concern]  # worst first
    findings: Findings | None
    advice: tuple[Advice, ...]
    proven: Proven | None  # None: it is not told

    @property
    def below(self) -> list[Concern]:
        """What needs attention and is not in the line already."""
        return [concern for concern in self.concerns if concern.reason not in self.line]

    @property
    def figures(self) -> dict[str, float | None]:
        """What is known about the project, for metrics."""
        findings = self.findings
        if findings is None:
            return {}
        inventory = findings.inventory
        proven = self.proven if findings.of_all else None
        return {
            metrics.STORED: inventory.all.size_gb if inventory else None,
            metrics.COST: inventory.all.monthly if inventory else None,
            metrics.ORPHANS: inventory.orphans.count if inventory else None,
            metrics.OLDEST: findings.oldest_hours if findings.of_all else None,
            metrics.REQUESTS_LEFT: findings.requests_left,
            metrics.PROVEN: proven.proven if proven else None,
            # 0 where drills are for no server: no figure would leave the alarm as it was.
            metrics.OLDEST_PROOF: (proven.longest_days or 0) if proven else None,
        }


def conclude(
    document: RunDocument, unlisted: str, findings: Findings | None, freshness_hours: int,
    has_restores: bool = False,
) -> Conclusion:  # fmt: skip
    """The conclusion of a run; `unlisted`: why there were no servers, or no more of them.

    `has_restores`: what is proven is told, even if nothing is.
    """
    run, totals = document.run, document.totals
    if unlisted and document.remaining:
        reason = f"{document.remaining} more servers: {unlisted}"
        totals = replace(totals, failed=totals.failed + document.remaining)
        totals = totals.noting(Concern("failed", "", reason))
    elif unlisted:
        totals = totals.noting(Concern("failed", "", unlisted))
    totals = totals.noting(*overdue(document, findings, freshness_hours))
    concerns = with_last_good(list(totals.attention), findings)
    concerns += _unnamed(totals, document.remaining if unlisted else 0)
    verdict = verdict_of(totals, unlisted)
    began, now = parse_time(run.began), findings.now if findings else None
    took_s = int((now - began).total_seconds()) if now and began else None
    if took_s is not None and took_s < totals.longest_s:
        took_s = None  # a clock was wrong: no run is shorter than its longest server
    by_label = not (document.selection.servers or run.with_backups == "skip")
    line = summary_line(verdict, totals, run, unlisted, took_s, by_label)
    line += f"; {findings.inventory}" if findings and findings.inventory else ""
    proven = findings.proven if findings else None
    if proven and not (proven.servers and (has_restores or proven.proven)):
        proven = None
    line += f"; {proven}" if proven else ""
    advice = tuple(advice_for(document, totals, unlisted))
    return Conclusion(verdict, line, totals, concerns, findings, advice, proven)


def _unnamed(totals: Totals, remaining: int) -> list[Concern]:
    """How many more failed or were not pruned than the table has room for."""
    bad = ("failed", "made, not pruned", "not pruned")
    named = sum(c.what in bad and bool(c.server) for c in totals.attention)
    count = totals.failed + totals.not_pruned + totals.gone_not_pruned - remaining - named
    reason = f"{count} more failed or were not pruned: each has a line of its own in the log"
    return [Concern("note", "", reason)] if count > 0 else []
