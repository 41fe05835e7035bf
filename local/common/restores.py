"""What the history of an execution of RestoreRun tells: its progress, and how it ended. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handler.documents.printable import printable
from handler.documents.restore import RestoreResult

# Of a restore on its way, in words.
IN_WORDS = {
    "creating": "creating the copy",
    "waiting": "waiting to create",
    "booting": "booting",
    "removing": "removing the copy",
}
VERDICTS = ("Completed", "PartiallyFailed", "Failed")
DETAILS = (
    "stateExitedEventDetails",
    "lambdaFunctionSucceededEventDetails",
    "taskSucceededEventDetails",
)


@dataclass(frozen=True, slots=True)
class Progress:
    """A step that somebody who waits wants to see. `server` is empty before one is chosen."""

    server: str
    what: str
    reason: str
    elapsed_s: int


@dataclass(slots=True)
class Told:
    """One execution, as far as it was told. `verdict` is empty while it goes on."""

    last_event: int = 0
    verdict: str = ""
    line: str = ""
    results: list[RestoreResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    copies: dict[str, str] = field(default_factory=dict)  # names of servers that may be there
    _shown: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, event: Mapping[str, Any]) -> Progress | None:
        """Takes one event of the history; what is new in it, if somebody wants to see it.

        Documents are known by what is in them: AWS and the local AWS name their events differently.
        """
        self.last_event = max(self.last_event, int(event["id"]))
        document = _document_in(event)
        if isinstance(document.get("server"), dict) and "copy_name" in document:
            return self._of_a_copy(document)
        if "restores" not in document:
            return None
        self._take_execution(document)
        if document.get("status") == "waiting":
            return self._progress("", "waiting to plan", document)
        return None

    def end(self, described: Mapping[str, Any]) -> None:
        """Takes how Step Functions says that it ended."""
        status = str(described["status"])
        if status == "SUCCEEDED":
            self.verdict = "Completed"
            return
        error, cause = (printable(str(described.get(name) or "")) for name in ("error", "cause"))
        verdict = error.partition(".")[0]  # behind it stands what else went wrong
        self.verdict = verdict if verdict in VERDICTS else "Failed"
        without = f"Failed: the execution is {status}" + (f": {error}" if error else "")
        self.line = self.line or cause or without

    def _of_a_copy(self, document: Mapping[str, Any]) -> Progress | None:
        name = printable(str(document["server"].get("name") or ""))
        if document.get("copy_id") or document.get("maybe_posted"):
            self.copies[name] = printable(str(document.get("copy_name") or ""))
        if (result := document.get("result")) and not result.get("copy_id"):
            self.copies.pop(name, None)
        status = str(document.get("status") or "")
        if status == "new":
            return None
        what = IN_WORDS.get(status, status)
        if status == "booting" and document.get("greeting"):
            what = "probing"
        return self._progress(name, what, document)

    def _progress(self, server: str, what: str, document: Mapping[str, Any]) -> Progress | None:
        reason = printable(str(document.get("reason") or ""))
        if self._shown.get(server) == (what, reason):
            return None
        self._shown[server] = what, reason
        stopwatch = document.get("stopwatch") or {}
        return Progress(server, what, reason, int(stopwatch.get("elapsed_s") or 0))

    def _take_execution(self, document: Mapping[str, Any]) -> None:
        """From PlanRestore, the Map or SummariseRestore."""
        if line := document.get("summary"):
            self.line = printable(str(line))
        # Before the Map they are restores, after it their results.
        found = document.get("results") or document["restores"]
        if isinstance(found, list) and found and not any("run" in each for each in found):
            self.results = [_shown(RestoreResult.from_dict(each)) for each in found]
        notes = document.get("notes")
        if isinstance(notes, list):
            self.notes = [printable(str(note)) for note in notes]


def record(told: list[Told]) -> dict[str, Any]:
    """What build/drill.json holds, of the executions of all projects."""
    results = [result.to_json() for each in told for result in each.results]
    return {"verdict": worst(told), "restores": results}


def worst(told: list[Told]) -> str:
    """The verdict over all projects; what did not end has failed."""
    verdicts = {each.verdict if each.verdict in VERDICTS else "Failed" for each in told}
    return next((verdict for verdict in reversed(VERDICTS) if verdict in verdicts), "Failed")


def planned(told: Told) -> Iterator[str]:
    """What a dry run says of each restore, in a line."""
    for result in told.results:
        if result.status != "planned":
            yield f"{result.server}: {result.status}: {result.reason}"
            continue
        price = f", {result.price_per_hour} per hour" if result.price_per_hour else ""
        yield (
            f"{result.server}: snapshot {result.image_id}{of_day(result)}, into a new server "
            f"{result.server_type} in {result.location}{price}"
        )


def reasons(told: Told) -> Iterator[str]:
    """What the results say that the line does not: why, and what a person should know."""
    for result in told.results:
        if result.status not in ("proven", "planned") and result.reason not in told.line:
            yield f"{result.server}: {result.status}: {result.reason}"
        is_said = result.problem in result.reason and result.status != "proven"
        if result.problem and not is_said:
            yield f"{result.server}: {result.problem}"


def grouped(notes: Sequence[str]) -> Iterator[str]:
    """Notes that say the same of several servers, in one line."""
    servers: dict[str, list[str]] = {}
    for note in notes:
        name, colon, reason = note.partition(": ")
        servers.setdefault(reason if colon else note, []).append(name if colon else "")
    for reason, names in servers.items():
        yield f"{', '.join(names)}: {reason}" if any(names) else reason


def of_day(result: RestoreResult) -> str:
    """` of 2026-11-20 02:03 UTC`; empty if it is not known."""
    created = result.snapshot_created
    return f" of {created[:10]} {created[11:16]} UTC" if len(created) >= 16 else ""


def _shown(result: RestoreResult) -> RestoreResult:
    """A result's texts as a terminal may show them."""
    return RestoreResult.from_dict(
        {
            name: printable(value) if isinstance(value, str) else value
            for name, value in result.to_dict().items()
        }
    )


def _document_in(event: Mapping[str, Any]) -> dict[str, Any]:
    """What a state or its function has given; empty if it is no document."""
    text = next((event[name].get("output") for name in DETAILS if name in event), None)
    try:
        document = json.loads(text or "")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
