"""The notification about a run: a subject and a text to act on. Pure."""

from collections.abc import Mapping, Sequence

from handler.documents.document import Run
from handler.documents.job import run_again
from handler.documents.run import Concern, Totals
from handler.report.summary import rows

SUBJECT_CHARACTERS = 100  # SNS accepts no more


def subject(verdict: str, totals: Totals, run: Run, stack: str) -> str:
    """One line of printable ASCII, as SNS requires."""
    counts = f", {totals.failed} of {totals.servers} failed" if totals.failed else ""
    dry = " (dry run)" if run.dry_run else ""
    text = f"{stack}: {verdict}{counts}{dry}, {run.project}, run {run.id}"
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable.encode("ascii", "replace").decode()[:SUBJECT_CHARACTERS]


def text(
    verdict: str, line: str, concerns: Sequence[Concern], run: Run, links: Mapping[str, str]
) -> str:
    """The verdict's line, what needs attention, what to do, where to look."""
    parts = [line]
    if concerns:
        parts.append("\n".join(["Needs attention, worst first:", *rows(concerns)]))
    if verdict != "Completed" and not run.dry_run:
        again = run_again(run).removeprefix("run again with ")
        parts.append(
            "To make what is missing, once the reason is gone, start StartRun with\n"
            f"  {again}\n"
            "What is there already is not made again."
        )
    parts.append("\n".join(f"{name}:\n  {link}" for name, link in links.items()))
    return "\n\n".join(parts) + "\n"
