"""Restores in words: one line for each, the verdict, the notification. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from handler.decisions.isolating import firewall_name
from handler.documents.restore import GOOD_ENDS, RestoreDocument, RestoreResult
from handler.documents.restore_run import RestoreRun
from handler.documents.run import Concern
from handler.report.notification import as_subject
from handler.report.summary import Verdict, rows

WORDS = {
    "proven": "Proven",
    "restored": "Restored",
    "unproven": "Unproven",
    "failed": "Failed",
    "planned": "Planned",
    "removed": "Removed",
    "skipped": "Skipped",
}


@dataclass(frozen=True, slots=True)
class Conclusion:
    verdict: Verdict
    line: str
    results: tuple[RestoreResult, ...]
    notes: tuple[str, ...]

    @property
    def proven(self) -> int:
        return sum(result.status == "proven" for result in self.results)

    @property
    def below(self) -> list[Concern]:
        """What needs attention, worst first, and is not in the line already."""
        bad = [
            result
            for result in self.results
            if result.status not in GOOD_ENDS and not (result.reason and result.reason in self.line)
        ]
        concerns = [Concern("failed", r.server, f"{r.status}: {r.reason}") for r in bad]
        more = [r for r in self.results if r.problem and r.problem not in r.reason]
        concerns += [Concern("note", result.server, result.problem) for result in more]
        return concerns + [Concern("note", "", note) for note in self.notes]


def results_of(document: RestoreDocument, error: str) -> list[RestoreResult]:
    """The results of the Map's branches, also of those that broke off.

    `error` is the name of the error with which the Map or PlanRestore ended: then nothing is known
    of the restores that it had at hand.
    """
    return [_result(each, error) for each in document.restores]


def _result(each: Any, error: str) -> RestoreResult:
    item = each if isinstance(each, dict) else {}
    if "run" in item:  # a restore that was not taken, or whose branch was lost
        server = item.get("server") or {}
        lost = {"server": server.get("name"), "id": server.get("id"), "error": error}
        source = item.get("source") or {}
        item = {**lost, "image_id": source.get("image_id"), "name": item.get("copy_name"),
                "keep": item.get("keep")}  # fmt: skip
    result = RestoreResult.from_dict(item)
    if broke_off := item.get("error"):
        return replace(result, status="failed", reason=_lost(item, str(broke_off)))
    return result


def _lost(item: Mapping[str, Any], error: str) -> str:
    """Why it is not known how it ended, and what may be left."""
    reason = f"it broke off ({error}), see its log lines"
    outcome = item.get("outcome")
    before = f"; before that: {outcome}" if outcome else ""
    if item.get("keep"):
        return f"{reason}. If there is a server {item.get('name')} it is behind its firewall."
    return (
        f"{reason}{before}. If the server {item.get('name')} is still there the watch tells and "
        "removes it; delete it in the Hetzner console to be sure."
    )


def conclude(document: RestoreDocument, error: str) -> Conclusion:
    """The conclusion of an execution."""
    results = tuple(results_of(document, error))
    good = sum(result.status in GOOD_ENDS for result in results)
    verdict: Verdict = "Completed"
    if document.status in ("failed", "waiting") or (error and not results):
        verdict = "Failed"
    elif good < len(results):
        verdict = "PartiallyFailed" if good else "Failed"
    return Conclusion(verdict, _line(document, verdict, results, error), results, document.notes)


def _line(
    document: RestoreDocument, verdict: Verdict, results: Sequence[RestoreResult], error: str
) -> str:
    if not results:
        why = document.reason
        if error:
            why = f"PlanRestore broke off ({error}), see its log lines"
        return f"{verdict}: {why or 'nothing to do'}"
    if len(results) == 1:
        said = sentence(results[0], document.run)
        return said if said.startswith(f"{verdict}: ") else f"{verdict}: {said}"
    counts = Counter(result.status for result in results)
    return f"{verdict}: {', '.join(f'{counts[one]} {one}' for one in WORDS if counts[one])}"


def sentence(result: RestoreResult, run: RestoreRun) -> str:
    """`Proven: sg5, snapshot 90016 of 2026-11-20, greets on ssh 94 s after its start, cx23 in fsn1,
    removed, 0.01 EUR`."""
    facts = [result.server]
    if result.image_id:
        of = f" of {result.snapshot_created[:10]}" if result.snapshot_created else ""
        facts.append(f"snapshot {result.image_id}{of}")
    facts += _looked(result)
    if result.server_type:
        facts.append(f"{result.server_type} in {result.location}")
    facts += _left(result, run)
    text = f"{WORDS.get(result.status, result.status)}: {', '.join(filter(None, facts))}"
    needs_reason = result.status not in ("proven", "planned") and result.reason
    told = result.reason if needs_reason else result.problem
    return f"{text}: {told}" if told else text


def _looked(result: RestoreResult) -> Iterator[str]:
    after = f" {result.seconds} s after its start" if result.seconds is not None else ""
    if result.status == "proven":
        port = result.probe.partition(".")[2]
        yield f"greets on ssh{f' port {port}' if port else ''}{after}"
    elif result.status == "restored" and result.probe == "none":
        yield f"runs{after}, not probed"


def _left(result: RestoreResult, run: RestoreRun) -> Iterator[str]:
    """What is there now, and what it costs; empty: it is not told."""
    per_hour = f"{result.price_per_hour} per hour net" if result.price_per_hour else ""
    if result.status == "planned":
        yield f"would be called {result.name}"
        yield per_hour
    elif run.keep and result.copy_id:
        address = f" at {result.address}" if result.address else ""
        yield f"server {result.copy_id} ({result.name}){address}"
        yield per_hour
    elif result.status in ("proven", "restored") and result.copy_id is None:
        yield "removed"
    yield result.cost


def subject(conclusion: Conclusion, run: RestoreRun, stack: str) -> str:
    """One line of printable ASCII, as SNS requires."""
    what = "sweep" if run.sweep else "restore" if run.keep else "drill"
    dry = " (dry run)" if run.dry_run else ""
    return as_subject(f"{stack}: {conclusion.verdict}, {what}{dry}, {run.project}, run {run.id}")


def text(conclusion: Conclusion, run: RestoreRun, links: Mapping[str, str]) -> str:
    """The verdict's line, a line for each restore, what needs attention, what to do, where to
    look."""
    parts = [conclusion.line]
    if len(conclusion.results) > 1:
        parts.append("\n".join(sentence(result, run) for result in conclusion.results))
    if concerns := conclusion.below:
        parts.append("\n".join(["Needs attention, worst first:", *rows(concerns)]))
    parts += left_to_do(conclusion.results, run)
    parts.append("\n".join(f"{name}:\n  {link}" for name, link in links.items()))
    return "\n\n".join(parts) + "\n"


def left_to_do(results: Iterable[RestoreResult], run: RestoreRun) -> Iterator[str]:
    """What a person does with a server that was kept."""
    for result in results:
        if run.keep and result.unguarded:
            yield not_to_be_used(result)
        elif run.keep and result.copy_id:
            yield (
                f"{result.name} is behind a firewall that lets nothing out, and in only to port 22 "
                "and to those that are probed: cron jobs and mail of the original would run twice. "
                "Once the original is off, attach what it had: firewalls first (without ours and "
                "without these all ports are open), networks, volumes, addresses (it has no IPv6). "
                "Then let it act:\n"
                f"  {that_lifts(result, run.owner)}"
            )


def that_lifts(result: RestoreResult, owner: str) -> str:
    """The command that takes our firewall off the server."""
    return (
        f"hcloud firewall remove-from-resource --type server --server {result.name} "
        f"{firewall_name(owner)}"
    )


def not_to_be_used(result: RestoreResult) -> str:
    """What a person does with a server that was kept and may not be kept from acting."""
    return (
        f"{result.name} was not left running behind our firewall alone; why stands above. As long "
        "as that is so it must not run: cron jobs and mail of the original would run twice. In the "
        "Hetzner console set it right and switch it on, or delete it and start another restore; "
        "until then it is billed."
    )
