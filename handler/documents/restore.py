"""What the states of RestoreRun hand on: one restore, how it ended, all of them.

A restore makes a copy of one server from one of its snapshots. A drill throws the copy away.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Self

from handler.documents.document import parse_time, shortened
from handler.documents.job import cut
from handler.documents.reading import demand, is_whole, known
from handler.documents.restore_run import Candidate, OfRestoreRun, Original, Source

RESULT_REASON_BYTES, PROBLEM_BYTES = 1500, 500
# What ends a restore. `removed` is a copy that a dead drill had left, and that is gone now.
ENDS = ("proven", "restored", "unproven", "failed", "planned", "removed", "skipped")
GOOD_ENDS = ("proven", "restored", "planned", "removed")


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """How one restore ended; the summary is made of these.

    `status` is one of ENDS. `seconds` is from the copy's start to its greeting, if it has greeted,
    else from the restore's start to its end.
    """

    server: str
    id: int
    status: str
    image_id: int | None = None
    reason: str = ""
    seconds: int | None = None
    server_type: str = ""
    location: str = ""
    cost: str = ""  # of the whole copy so far, as "0.01 EUR"
    price_per_hour: str = ""
    name: str = ""  # of the copy
    copy_id: int | None = None  # of a copy that is there now
    unguarded: bool = False  # it is kept, and was not left running behind our firewall alone
    address: str = ""
    probe: str = ""
    greeting: str = ""
    snapshot_created: str = ""
    proven_by: str = ""  # ssh or running
    problem: str = ""  # what a person must be told whatever the status

    @classmethod
    def from_dict(cls, result: Any) -> Self:
        """One that another version has written; a status that is not known is a failure."""
        found = {"server": "", "id": 0, "status": "failed", **known(cls, _as_result(result))}
        if found["status"] not in ENDS:
            found["status"] = "failed"
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """Without what is as usual."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        usual = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in said.items() if value != usual[name]}

    def to_json(self) -> dict[str, Any]:
        """What `make drill` writes."""
        names = (
            "server", "image_id", "status", "reason", "seconds", "server_type", "location", "cost"
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


def _as_result(result: Any) -> dict[str, Any]:
    found = result if isinstance(result, dict) else {}
    return {**found, "server": found.get("server") or "", "id": found.get("id") or 0,
            "status": found.get("status") or "failed"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Restore(OfRestoreRun):
    """One copy of one server. Its statuses, besides those of a result:

    new (nothing was sent), waiting (an API is busy or down, or the next candidate's turn has come:
    CreateServer looks), creating (it was sent: CheckServer looks), booting (it was powered on),
    removing (RemoveServer looks).

    `outcome` is how the restore ended, while its copy is still to be removed; RemoveServer carries
    it to the end. Without one, something broke off.
    """

    server: Original
    source: Source
    copy_name: str
    keep: bool = False
    restore_id: str = ""  # whose copy it is: of a sweep not the run's
    began: str | None = None  # when that restore began, by Hetzner's clock
    candidates: tuple[Candidate, ...] = ()
    tried: int = 0  # which candidate's turn it is
    maybe_posted: bool = False  # a create was sent, and may have taken effect
    firewall_id: int | None = None
    copy_id: int | None = None
    create_action: int | None = None
    address: str = ""
    created_s: int | None = None  # when it was created, on the stopwatch
    copy_created: str | None = None  # when, by Hetzner's word
    was_isolated: bool = False  # our firewall was seen applied at it
    powered_on: bool = False  # a power on was sent
    powered_on_s: int | None = None  # when, on the stopwatch
    power_action: int | None = None
    off_reason: str = ""  # why it is switched off: something is at it that is not ours
    greeting: str = ""  # what the probe heard last
    greeted_s: int | None = None  # when it was as it must be, on the stopwatch
    proof_attempts: int = 0  # to write the outcome on the snapshot
    marked: bool = False  # it was written
    removal: str = ""  # sent, or why it was left; see RemoveServer
    remove_action: int | None = None
    outcome: str = ""
    outcome_reason: str = ""
    problem: str = ""  # something that a person must be told whatever the outcome
    result: RestoreResult | None = None

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        parts = cls.parts(document)
        demand("Restore", document, ("keep", "copy_name"))
        candidates = parts.get("candidates") or ()
        parts |= {
            "server": Original(**known(Original, parts["server"])),
            "source": Source(**known(Source, parts["source"])),
            "restore_id": parts.get("restore_id") or parts["run"].id,
            "candidates": tuple(
                Candidate(**known(Candidate, each))
                for each in candidates
                if is_whole(Candidate, each)
            ),
            "result": None,
        }
        return cls(**parts)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"result": self.result and self.result.to_dict()}

    @property
    def candidate(self) -> Candidate | None:
        """The one whose turn it is; None: none is left."""
        return self.candidates[self.tried] if self.tried < len(self.candidates) else None

    @property
    def began_at(self) -> datetime | None:
        return parse_time(self.began)

    @property
    def _is_guarded(self) -> bool:
        """Whether the copy was switched on, which needs our firewall, and nothing came to it."""
        return self.powered_on_s is not None and not self.off_reason

    def ending(self, outcome: str, reason: str = "", advice: str = "") -> Self:
        """The restore with its outcome: a drill's copy is removed next, what is kept is done."""
        if self.keep:
            return self.done(outcome, reason, advice)
        reason = _before(advice, reason)
        behind = f" {advice}" if advice else ""
        decided = replace(self, outcome=outcome, outcome_reason=reason + behind, deadline_s=None)
        return replace(decided, attempts=0).moved_to("removing", reason)

    def done(self, status: str, reason: str = "", advice: str = "", cost: str = "") -> Self:
        """The restore at its end, with its result."""
        ended = self.moved_to(status, _before(advice, reason), 0, advice)
        candidate, started = self.candidate, self.powered_on_s
        has_greeted = self.greeted_s is not None and started is not None
        seconds = (self.greeted_s or 0) - (started or 0) if has_greeted else None
        ran_alone = status == "restored" and not self.server.port
        result = RestoreResult(
            server=self.server.name,
            id=self.server.id,
            status=status,
            image_id=self.source.image_id,
            reason=cut(ended.reason, RESULT_REASON_BYTES),
            seconds=self.stopwatch.elapsed_s if seconds is None else seconds,
            server_type=candidate.server_type if candidate else "",
            location=candidate.location if candidate else "",
            cost=cost,
            price_per_hour=candidate.price if candidate else "",
            name=self.copy_name,
            copy_id=self.copy_id,
            unguarded=self.keep and self.copy_id is not None and not self._is_guarded,
            address=self.address,
            probe=self.server.probe,
            greeting=shortened(self.greeting, 80),
            snapshot_created=self.source.created,
            proven_by="ssh" if status == "proven" else "running" if ran_alone else "",
            problem=cut(self.problem, PROBLEM_BYTES),
        )
        return replace(ended, result=result)


def _before(advice: str, reason: str) -> str:
    """The reason, as a whole sentence if advice stands behind it."""
    return f"{reason}." if advice and reason and not reason.endswith(".") else reason


@dataclass(frozen=True, kw_only=True)
class RestoreDocument(OfRestoreRun):
    """One execution. Statuses: new, waiting (PlanRestore asks again), ready (restores are at hand),
    failed (nothing could be planned), and from SummariseRestore the verdict.
    """

    execution: str = ""  # its ARN
    started: str | None = None  # by our own clock
    # Restores; after the Map the results of its branches.
    restores: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()  # what a person must be told besides

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        parts = cls.parts(document)
        parts |= {
            "restores": tuple(parts.get("restores") or ()),
            "notes": tuple(parts.get("notes") or ()),
        }
        return cls(**parts)

    def with_restores(self, restores: Iterable[Restore]) -> Self:
        return replace(self, restores=tuple(restore.to_dict() for restore in restores))
