"""What drills and restores have done to a project, against the simulator's truth."""

import json
from collections.abc import Iterator
from typing import Any

from handler.documents.labels import (
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_RESTORE_ID,
    LABEL_THROW_AWAY,
)
from handler.documents.restore import GOOD_ENDS
from local.simulator import Server
from local.virtual.cloud import Execution

# A day of drills.py, which imports this.
Day = Any
PIECE = 8  # of a secret


class Person:
    """What somebody does to copies by hand, and what was heard from them."""

    ACTS = ("deletes", "renames", "takes the labels off", "changes a label", "switches it on")

    def __init__(self, day: Day) -> None:
        self.day = day
        self.own: set[int] = set()  # copies that are a person's now
        self.removed: set[int] = set()
        self.greeted: set[int] = set()  # images whose copy has said SSH-

    def act(self, kind: str, copy: Server) -> None:
        project = self.day.project
        if kind == "deletes":
            self.removed.add(copy.id)
            project.delete_server(copy)
            return
        if kind == "switches it on":
            copy.status, copy.powered_at = "running", self.day.world.clock.now()
        elif kind == "renames":
            copy.name = f"mine-{copy.id}"
        elif kind == "takes the labels off":
            copy.labels.clear()
        else:
            copy.labels[LABEL_RESTORE_ID] = "mine"
        self.own.add(copy.id)

    def note_greeting(self, address: str, text: str) -> None:
        for server in self.day.project._servers.values():
            if server.ipv4 == address and text.startswith("SSH-") and server.source_id:
                self.greeted.add(server.image_id or 0)


class Before:
    """The project before the day: servers and the labels of the snapshots."""

    def __init__(self, day: Day) -> None:
        project = day.project
        self.servers = {s.id: (s.name, dict(s.labels), s.status) for s in project._servers.values()}
        self.images = {i.id: dict(i.labels) for i in project._images.values()}


def broken(day: Day, before: Before) -> list[str]:
    """What must not be, in words."""
    return [
        *_deleted(day), *_let_act(day), *_left(day), *_changed(day, before), *_snapshots_of(day),
        *_proofs(day), *_told(day), *_secrets(day),
        *(f"a surprise: {surprise}" for surprise in day.cloud.surprises),
    ]  # fmt: skip


def _made(day: Day) -> dict[int, Any]:
    return {deed.server_id: deed for deed in day.world.deeds if deed.what == "created"}


def _deleted(day: Day) -> Iterator[str]:
    """Only a drill's own copy is ever asked to be deleted, and none that is a person's."""
    made = _made(day)
    for deed in day.world.deeds:
        if deed.what != "deleted" or deed.server_id in day.person.removed:
            continue
        first = made.get(deed.server_id)
        if first is None:
            yield f"deleted server {deed.server_id} ({deed.name}), which no restore has made"
        elif first.labels.get(LABEL_THROW_AWAY) != "true":
            yield f"deleted {deed.name}, which was to be kept"
        elif (deed.name, deed.labels) != (first.name, first.labels):
            yield f"deleted {deed.server_id}, which is a person's: {deed.name} {deed.labels}"


def _let_act(day: Day) -> Iterator[str]:
    """No copy is switched on that could act, as far as an answer could show."""
    for deed in day.world.deeds:
        # What attaches itself between the look and the power on no answer can show.
        excused = any("attaches itself" in t or "our firewall" in t for t in day.troubles)
        if deed.what == "on" and deed.server_id in _made(day) and deed.can_act_by and not excused:
            yield f"switched {deed.name} on, which can act: {deed.can_act_by}"


def _left(day: Day) -> Iterator[str]:
    """Nothing of a drill is left, but what a person has taken."""
    made = _made(day)
    for server in day.project._servers.values():
        first = made.get(server.id)
        is_drills = first is not None and first.labels.get(LABEL_THROW_AWAY) == "true"
        if is_drills and server.id not in day.person.own:
            yield f"{server.name} ({server.id}) is left"


def _changed(day: Day, before: Before) -> Iterator[str]:
    """The servers that were there are as they were; no label of anybody is lost."""
    project = day.project
    for id_, (name, labels, status) in before.servers.items():
        server = project._servers.get(id_)
        if server is None or (server.name, server.labels, server.status) != (name, labels, status):
            yield f"server {id_} ({name}) was changed: {server}"
    for id_, labels in before.images.items():
        image = project._images.get(id_)
        if image and not labels.items() <= image.labels.items():
            yield f"snapshot {id_} has lost labels: {labels} are {image.labels}"


def _snapshots_of(day: Day) -> Iterator[str]:
    made = _made(day)
    for image in day.truth.created.values():
        source = image.created_from["id"] if image.created_from else None
        is_copy = source in made and made[source].labels.get(LABEL_THROW_AWAY) == "true"
        if is_copy and source not in day.person.own:
            yield f"a snapshot {image.id} was made of the copy {made[source].name}"


def _proofs(day: Day) -> Iterator[str]:
    """A proof is written only where the probe was answered."""
    for image in day.project._images.values():
        is_proof = image.labels.get(LABEL_PROVEN_BY) == "ssh" and LABEL_PROVEN_AT in image.labels
        if is_proof and image.id not in day.person.greeted:
            yield f"snapshot {image.id} is called proven, and nothing has greeted"


def results_of(day: Day, execution: Execution) -> list[dict[str, Any]]:
    """What SummariseRestore has told, in the answer that was heard."""
    told = [
        i.output.get("results") or []
        for i in day.cloud.invocations
        if i.execution is execution and i.function == "SummariseRestore" and i.heard
    ]
    return told[-1] if told else []


def _told(day: Day) -> Iterator[str]:
    """Verdicts and results are true."""
    for execution in day.cloud.restores.values():
        if execution.status == "RUNNING":
            yield f"{execution.name} is still running"
        results = results_of(day, execution)
        good = all(result["status"] in GOOD_ENDS for result in results)
        if execution.status == "SUCCEEDED" and not good:
            yield f"{execution.name} is Completed, with {results}"
        for result in results:
            if result["status"] == "proven" and result.get("image_id") not in day.person.greeted:
                yield f"told to be proven, and has not greeted: {result}"
            if result["status"] not in ("proven", "planned") and not result.get("reason"):
                yield f"an end without a reason: {result}"


def _secrets(day: Day) -> Iterator[str]:
    said = _all_said(day)
    secrets = [*day.tokens, *(s.root_password for s in day.project._servers.values()
                              if s.root_password)]  # fmt: skip
    for secret in secrets:
        if any(secret[at : at + PIECE] in said for at in range(len(secret) - PIECE + 1)):
            yield f"a secret is told: {secret[:4]}…"


def _all_said(day: Day) -> str:
    lines = [line for i in day.cloud.invocations for line in i.logs]
    lines += [json.dumps(m) for i in day.cloud.invocations for m in i.messages]
    lines += [json.dumps(i.output, default=str) for i in day.cloud.invocations]
    return "\n".join(lines)
