"""The job: one server of one run. Each state of its child execution takes it one step further."""

import json
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from handler.documents.document import Look, OfSnapshotRun, Run, Wait
from handler.documents.reading import is_whole, known

# 500 results of this size, the run and its totals fit a state's 262,144 bytes, and beside them what
# Step Functions puts for a child that failed with the longest Cause, or for ten with a short one.
RESULT_BYTES = 375
TOLD = ("deleted", "pruned")  # where a result lacks these, the worse is assumed
NAME_BYTES, LOCK_BYTES = 63, 50  # of a result's other texts
STATUSES = ("available", "planned", "pruned", "skipped", "failed")  # of a result


@dataclass(frozen=True, slots=True)
class ServerItem:
    """A server as ListServers hands it out: an item of the Map.

    With the policy of its label, what is wrong with its labels, and how long it waits to start; or
    one that is gone, of which snapshots are left: these are pruned, and nothing is made.
    """

    id: int
    name: str
    retention: str | None = None
    problem: str | None = None
    start_s: int = 0
    gone: bool = False


@dataclass(frozen=True, slots=True)
class StartedSnapshot:
    """This run's snapshot; the action is unknown if the answer to its create was lost."""

    image_id: int
    action_id: int | None = None
    available: bool = False  # at the last look


@dataclass(frozen=True, slots=True)
class Result:
    """How one server of a run ended; the run's summary is made of these.

    `status` is available, planned (a dry run), pruned (a run that only prunes), skipped or failed.
    """

    server: str
    id: int
    status: str
    reason: str = ""
    image_id: int | None = None
    waited_s: int | None = None
    snapshot_s: int | None = None
    deleted: int = 0
    kept: int | None = None
    pruned: bool = True  # False: old snapshots should have been pruned and were not
    adopted: bool = False  # an earlier attempt had made it
    size_gb: float | None = None
    lock_s: int = 0  # spent waiting for a lock
    lock: str = ""  # the action that held it
    at_least: bool = False  # more may have been deleted than `deleted`
    gone: bool = False  # the server was, before the run began: it is none of the run's servers

    def __str__(self) -> str:
        """For people: `web-1: available, snapshot 90010, waited 0 s, took 181 s, 2 deleted`."""
        facts = [self.status]
        facts += [f"snapshot {self.image_id}"] if self.image_id else []
        facts += [f"waited {self.waited_s} s"] if self.waited_s is not None else []
        facts += [f"took {self.snapshot_s} s"] if self.snapshot_s is not None else []
        at_least = "at least " if self.at_least else ""
        if self.kept is not None and self.status == "planned":
            facts += [f"{self.deleted} would be deleted", f"{self.kept} kept"]
        elif self.kept is not None:
            facts += [f"{at_least}{self.deleted} deleted", f"{self.kept} kept"]
        return f"{self.server}: {', '.join(facts)}" + (f": {self.reason}" if self.reason else "")

    def to_dict(self) -> dict[str, Any]:
        """Without what is as usual: that leaves the room to the reason. What a reader must be told
        stays."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        usual = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in said.items() if name in TOLD or value != usual[name]}

    def fitted(self, advice: str = "") -> "Result":
        """The result in at most RESULT_BYTES of JSON, its texts cut; the log has them whole.

        `advice` is what a person can do, and stands behind the reason. The reason is cut before it.
        """
        behind = f" {advice}" if advice else ""
        server, lock = cut(self.server, NAME_BYTES), cut(self.lock, LOCK_BYTES)
        bare = replace(self, server=server, lock=lock, reason=" ")
        room = RESULT_BYTES - len(json.dumps(bare.to_dict())) + 1
        if room < json_bytes(behind) and self.lock:
            return replace(self, lock="").fitted(advice)  # the advice is worth more
        reason = cut(self.reason, max(0, room - json_bytes(behind)))
        return replace(bare, reason=cut(reason + behind, room))


@dataclass(frozen=True, kw_only=True)
class Job(OfSnapshotRun):
    """One server of one run. Its statuses, besides those of a result:

    new, waiting (for a lock, or an API that is busy or down), creating, due (should be available
    when the wait is over), pruning.
    """

    server: ServerItem
    maybe_posted: bool = False  # a create_image was sent, and may have taken effect
    failed_actions: int = 0
    waited_s: int | None = None  # from the start until the create, once there was one
    snapshot_s: int | None = None
    earlier_s: tuple[int, ...] = ()  # how long this server's last snapshots took
    looks: tuple[Look, ...] = ()  # looks at the snapshot while it was creating
    to_delete: tuple[int, ...] = ()  # chosen by the first decision, which is not made again
    before: tuple[int, ...] = ()  # our available snapshots before this run's
    went: tuple[int, ...] = ()  # deleted by this run for certain
    deleted: int = 0
    deleted_gb: float | None = None  # their size; None: not told
    at_least: bool = False
    unclear: bool = False  # a delete may have succeeded, and nobody has looked since
    adopted: bool = False
    size_gb: float | None = None
    lock_s: int = 0
    lock_from_s: int | None = (
        None  # since when, on the stopwatch, if it was locked at the last look
    )
    lock: str = ""  # who held it at the last look, if that is known
    locks: tuple[tuple[str, int], ...] = ()  # how long each has held it
    harmless: tuple[int, ...] = ()  # actions that were seen running while it was not locked
    snapshot: StartedSnapshot | None = None
    result: Result | None = None

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        parts = cls.parts(document)
        snapshot, looks = parts.get("snapshot"), parts.get("looks") or ()
        is_known = is_whole(StartedSnapshot, snapshot)
        server = parts["server"]
        name = server.get("name") or f"server {server.get('id')}"
        parts |= {
            "server": ServerItem(**known(ServerItem, {**server, "name": name})),
            "snapshot": StartedSnapshot(**known(StartedSnapshot, snapshot)) if is_known else None,
            "earlier_s": tuple(parts.get("earlier_s") or ()),
            "looks": tuple(Look(**known(Look, each)) for each in looks if is_whole(Look, each)),
            "to_delete": tuple(parts.get("to_delete") or ()),
            "before": tuple(parts.get("before") or ()),
            "went": tuple(parts.get("went") or ()),
            "locks": tuple((lock[0], lock[1]) for lock in parts.get("locks") or ()),
            "harmless": tuple(parts.get("harmless") or ()),
            "result": None,
        }
        return cls(**parts)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"result": self.result and self.result.to_dict()}

    def creating(self, reason: str, wait: Wait) -> Self:
        """The job waiting for its snapshot; due if it should be available after the wait."""
        due = wait.due and wait.seconds <= self.left_s
        return self.waiting("due" if due else "creating", reason, wait)

    def done(
        self,
        status: str,
        reason: str = "",
        advice: str = "",
        *,
        kept: int | None = None,
        pruned: bool = True,
    ) -> Self:
        """The job at its end, with its result; `advice` is what a person can do."""
        if self.maybe_posted and not self.snapshot and status in ("failed", "skipped"):
            # At the front, because the end of a long reason is cut off.
            reason = f"a snapshot may have been started all the same; {reason}"
        waited_s = self.stopwatch.elapsed_s if self.waited_s is None else self.waited_s
        result = Result(
            server=self.server.name,
            id=self.server.id,
            status=status,
            reason=reason,
            image_id=self.snapshot.image_id if self.snapshot else None,
            waited_s=None if status == "planned" else waited_s,
            snapshot_s=self.snapshot_s,
            deleted=self.deleted,
            kept=kept,
            pruned=pruned,
            adopted=self.adopted,
            size_gb=self.size_gb,
            lock_s=self.lock_s,
            lock=self.lock_names,
            at_least=self.at_least,
            gone=self.server.gone,
        )
        return replace(self.moved_to(status, reason, 0, advice), result=result.fitted(advice))

    @property
    def lock_names(self) -> str:
        """Who held it, the longest first; who held it unnamed has none."""
        longest = sorted(self.locks, key=lambda lock: -lock[1])
        names = [name for name, seconds in longest if name and seconds]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        return " and ".join(names[:2]) + more if names else self.lock

    @property
    def run_again(self) -> str:
        return run_again(self.run, self.server.id)


def run_again(run: Run, server_id: int) -> str:
    """How to do for a server what its run has not done.

    A run that only prunes is not resumed: its executions together may delete so many, and the first
    one counts with all that it was allowed.
    """
    if run.prune_only and not run.dry_run:
        event = prune_again(run) | {"servers": [server_id]}
        return f"start a new run with {json.dumps(event)}"
    return f"run again with {json.dumps(resume(run))}"


def resume(run: Run) -> dict[str, Any]:
    """The event that makes what a run is still missing."""
    return {"run_id": run.id, "project": run.project}


def prune_again(run: Run) -> dict[str, Any]:
    """The event that prunes by the policy of a run, and makes nothing."""
    return {"project": run.project, "prune_only": True, "retention": run.retention}


def json_bytes(text: str) -> int:
    """The bytes of a text in JSON, without the quotes."""
    return len(json.dumps(text)) - 2


def cut(text: str, size: int) -> str:
    """The text, or its beginning and "...": at most `size` bytes of JSON without the quotes."""
    if json_bytes(text) <= size:
        return text
    kept = text[: max(0, size)]
    while kept and json_bytes(kept + "...") > size:
        kept = kept[:-1]
    return kept + "..." if kept else ""


def short_name(name: str, server_id: int) -> str:
    """The name in at most NAME_BYTES of JSON, another one for each server."""
    if json_bytes(name) <= NAME_BYTES:
        return name
    end = f" ({server_id})"
    return cut(name, NAME_BYTES - len(end)) + end
