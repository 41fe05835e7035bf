"""The notification about a run: a subject and a text to act on. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence

from handler.documents.document import Run
from handler.documents.run import Concern, Totals
from handler.report.advice import Advice
from handler.report.summary import rows

SUBJECT_CHARACTERS = 100  # SNS accepts no more


def subject(verdict: str, totals: Totals, run: Run, stack: str) -> str:
    """One line of printable ASCII, as SNS requires."""
    counts = f", {totals.failed} of {totals.servers} failed" if totals.failed else ""
    dry = " (dry run)" if run.dry_run else ""
    text = f"{stack}: {verdict}{counts}{dry}, {run.project}, run {run.id}"
    return as_subject(text)


def as_subject(text: str) -> str:
    """The text as SNS takes it for a subject."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable.encode("ascii", "replace").decode()[:SUBJECT_CHARACTERS]


def text(
    line: str, concerns: Sequence[Concern], advice: Iterable[Advice], links: Mapping[str, str]
) -> str:
    """The verdict's line, what needs attention, what to do, where to look."""
    parts = [line]
    if concerns:
        parts.append("\n".join(["Needs attention, worst first:", *rows(concerns)]))
    parts += [f"{each.what}, start StartRun with\n  {json.dumps(each.event)}" for each in advice]
    parts.append("\n".join(f"{name}:\n  {link}" for name, link in links.items()))
    return "\n\n".join(parts) + "\n"
