"""What drills and restores have done to projects, against the simulator's truth."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from handler.decisions.proof import time_in_label
from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_RESTORE_ID,
    LABEL_SERVER_PROVEN_AT,
)
from local.simulator import Image
from local.simulator.deeds import Deed
from local.virtual.cloud import Execution, Invocation
from local.virtual.stage import Stage
from local.virtual.truth import OWNER, is_ours
from tests.chaos.copies import Copied, Day
from tests.chaos.told_copies import wrongly_told_of_copies
from tests.chaos.told_restores import wrongly_told_of_restores
from tests.leaks import piece_of

# The one firewall that a copy may be behind when it is switched on, said once more.
NOWHERE = ("out", "tcp", "1", ("192.0.2.1/32",))
# From a greeting until its proof is written, in all troubles; a container's clock is not exact.
WRITTEN, CLOCK = timedelta(hours=3), timedelta(seconds=5)
CHECK = timedelta(seconds=300)  # a function takes no longer


def broken(day: Day) -> list[str]:
    """What must not be, in words."""
    return [
        *_deleted(day), *_let_act(day), *_goes_on(day), *_left(day), *_changed(day),
        *_snapshots_of(day), *_proofs(day), *_secrets(day),
        *(f"{e.name} is still running" for e in _executions(day) if e.status == "RUNNING"),
        *wrongly_told_of_restores(day), *wrongly_told_of_copies(day),
        *(f"a surprise: {surprise}" for surprise in day.cloud.surprises),
    ]  # fmt: skip


def results(stage: Stage) -> Iterator[tuple[Execution, dict[str, Any]]]:
    """What SummariseRestore has told, in the answer that was heard."""
    for execution in stage.cloud.restores.values():
        told = [
            i.output.get("results") or []
            for i in stage.cloud.invocations
            if i.execution is execution and i.function == "SummariseRestore" and i.heard
        ]
        yield from ((execution, result) for result in (told[-1] if told else []))


def _executions(day: Day) -> list[Execution]:
    return [*day.cloud.executions.values(), *day.cloud.restores.values()]


def _deleted(day: Day) -> Iterator[str]:
    """Only a drill's own copy is ever asked to be deleted, and none that is a person's."""
    for deed in day.world.deeds:
        if deed.what != "deleted":
            continue
        first = day.copies.get(deed.server_id)
        if first is None:
            yield f"deleted server {deed.server_id} ({deed.name}), which no restore has made"
        elif not first.is_drills:
            yield f"deleted {deed.name}, which was to be kept"
        elif (deed.name, deed.labels) != (first.name, first.labels):
            yield f"deleted {deed.server_id}, which is a person's: {deed.name} {deed.labels}"
        elif deed.image_id not in (first.image_id, None):
            yield f"deleted {deed.server_id}, which is a person's: of image {deed.image_id}"
        elif deed.by.function != "RemoveServer":
            yield f"{deed.by.function} deleted {deed.name}"
        elif maker := _still_drilled(day, first, deed.by.execution, deed.at):
            yield f"{deed.by.execution.name} deleted {deed.name}, of {maker}, which goes on"


def _still_drilled(day: Day, copy: Copied, by: Execution, at: datetime) -> str:
    """The other execution that has made the copy and was running then."""
    for each in day.cloud.restores.values():
        run, ended = each.input["run"], day.began_at(each.ended)
        is_maker = (run["id"], run["project"]) == (copy.labels[LABEL_RESTORE_ID], copy.project)
        if is_maker and each is not by and (each.status == "RUNNING" or ended > at):
            return each.name
    return ""


def _let_act(day: Day) -> Iterator[str]:
    """A copy is switched on only behind exactly our firewall, with nothing else at it."""
    for deed in day.world.deeds:
        if deed.what != "on" or not isinstance(deed.by, Invocation):
            continue
        first, function = day.copies.get(deed.server_id), deed.by.function
        if first is None or function != "CheckServer":
            yield f"{function} switched server {deed.server_id} ({deed.name}) on"
        # What attaches itself between the look and the power on no answer can show.
        elif not any(at >= deed.by.started for at in day.person.meddled):
            if deed.can_act_by:
                yield f"switched {deed.name} on, which can act: {deed.can_act_by}"
            if why := _not_isolated(day, deed):
                yield f"switched {deed.name} on, which is not isolated: {why}"


def _is_being_set(day: Day, deed: Deed) -> bool:
    """Whether another restore set the firewall's rules between the look and the power on: until
    they work those before them do, and no answer can show it."""
    assert isinstance(deed.by, Invocation)
    others = [
        day.began_at(i.started) for i in day.cloud.invocations
        if i.execution is not deed.by.execution and i.function in ("CreateServer", "CheckServer")
    ]  # fmt: skip
    return any(
        request.path.endswith("/actions/set_rules")
        and day.began_at(deed.by.started) <= request.at <= deed.at
        and any(timedelta() <= request.at - other <= CHECK for other in others)
        for request in day.world.requests
    )


def _not_isolated(day: Day, deed: Deed) -> str:
    firewalls, statuses = deed.firewalls, [one.status for one in deed.firewalls]
    is_held = statuses == ["applied"] or (statuses == ["pending"] and _is_being_set(day, deed))
    if not is_held:
        return f"its firewalls are {firewalls}"
    rules = {
        (r["direction"], r["protocol"], r.get("port"), tuple(r.get("destination_ips") or ()))
        for r in firewalls[0].rules
    }
    out = {rule for rule in rules if rule[0] == "out"}
    ports = {rule[2] for rule in rules if rule[:2] == ("in", "tcp")}
    if out != {NOWHERE} or not ports <= {"22", "2222"} or len(rules) != len(out) + len(ports):
        return f"the rules are {sorted(rules)}"
    return ""


def _goes_on(day: Day) -> Iterator[str]:
    """A look at a copy that can act since before it began does not leave it on."""
    opened: dict[int, datetime] = {}
    for deed in day.world.deeds:
        if deed.what == "open":
            opened[deed.server_id] = deed.at
        elif deed.what in ("off", "deleted", "stopped"):
            opened.pop(deed.server_id, None)
            continue
        if deed.server_id not in opened or deed.what != "open":
            continue
        for look in _looks_at(day, deed.server_id):
            began = day.began_at(look.started)
            if began > deed.at and _still(day, deed.server_id, deed.at, began):
                yield f"{deed.name} was left on at {began}, though it can act: {deed.can_act_by}"


def _looks_at(day: Day, copy_id: int) -> Iterator[Invocation]:
    """Those that went well and leave it on."""
    for i in day.cloud.invocations:
        if i.function != "CheckServer" or not i.heard or i.event.get("copy_id") != copy_id:
            continue
        output = i.output
        if output["attempts"] or i.event["attempts"] or output.get("off_reason"):
            continue  # it could not look, or has switched it off
        goes_on = output["status"] == "booting" and "running for" in str(output["reason"])
        if goes_on or output.get("outcome") in ("proven", "restored"):
            yield i


def _still(day: Day, copy_id: int, since: datetime, at: datetime) -> bool:
    """Whether nothing was done to it between these."""
    return not any(deed.server_id == copy_id and since < deed.at <= at for deed in day.world.deeds)


def _left(day: Day) -> Iterator[str]:
    """Nothing of a drill is left, but what a person has taken or protected, and what is of a drill
    that nobody knows any more: people are told of it."""
    known = {e.input["run"]["id"] for e in day.cloud.restores.values()
             if e.name not in day.cloud.forgotten}  # fmt: skip
    for each in day.copies.values():
        if each.gone or not each.is_drills or each.labels[LABEL_RESTORE_ID] not in known:
            continue
        if each.id not in day.person.own | day.person.kept:
            yield f"{each.name} ({each.id}) is left"


def _changed(day: Day) -> Iterator[str]:
    """The servers that were there are as they were; no label of anybody is lost."""
    for id_, (project, name, labels, status) in day.before.servers.items():
        server = day.project_of(project)._servers.get(id_)
        if server is None or (server.name, server.labels, server.status) != (name, labels, status):
            yield f"server {id_} ({name}) was changed: {server}"
    for image in _images(day):
        if first := day.before.images.get(image.id):
            lost = first.labels.items() - image.labels.items()
            # A proof takes the place of an earlier one, and of a failure.
            if [name for name, _ in lost if "proven" not in name]:
                yield f"snapshot {image.id} has lost labels: {lost}"
    for each in day.copies.values():
        server = day.project_of(each.project)._servers.get(each.id)
        if server and not each.is_drills and (server.name, server.labels) != (
            each.name, each.labels
        ):  # fmt: skip
            yield f"{each.name}, which was kept, was changed: {server.name} {server.labels}"


def _snapshots_of(day: Day) -> Iterator[str]:
    for truth in day.truths.values():
        for image in truth.created.values():
            source = day.copies.get(image.created_from["id"] if image.created_from else 0)
            if source and source.is_drills and source.id not in day.person.own:
                yield f"a snapshot {image.id} was made of the copy {source.name}"


def _proofs(day: Day) -> Iterator[str]:
    """A proof is written only where the probe was answered, with the time of that."""
    wrong_clock = any("clock" in trouble for trouble in day.troubles)
    for image in _images(day):
        if not is_ours(image):
            continue
        first = day.before.images.get(image.id)
        before = first.labels if first else {}
        if image.labels.get(LABEL_PROVEN_BY) == "ssh" and LABEL_PROVEN_AT in image.labels:
            text = image.labels[LABEL_PROVEN_AT]
            heard = [at for at, _, image_id in day.copies.greetings if image_id == image.id]
            same = before.get(LABEL_PROVEN_AT) == text and before.get(LABEL_PROVEN_BY) == "ssh"
            if not same and not (heard and (wrong_clock or _is_about(text, heard))):
                yield f"snapshot {image.id} is called proven at {text}; greetings: {heard}"
        inherited = image.labels.get(LABEL_SERVER_PROVEN_AT)
        if inherited and before.get(LABEL_SERVER_PROVEN_AT) != inherited:
            heard = _greetings_of_server(day, image)
            if inherited not in _old_proofs(day, image) and not (
                heard and (wrong_clock or _is_about(inherited, heard))
            ):
                yield f"snapshot {image.id} has inherited a proof of {inherited}, which is none"


def _is_about(text: str, heard: list[datetime]) -> bool:
    at = time_in_label(text)
    return any(at is not None and each - CLOCK <= at <= each + WRITTEN for each in heard)


def _greetings_of_server(day: Day, image: Image) -> list[datetime]:
    source = (image.created_from or {}).get("id")
    of_it = {id_ for id_, i in day.before.images.items() if (i.created_from or {})["id"] == source}
    of_it |= {i.id for i in _images(day) if (i.created_from or {}).get("id") == source}
    return [at for at, _, image_id in day.copies.greetings if image_id in of_it]


def _old_proofs(day: Day, image: Image) -> set[str | None]:
    source = (image.created_from or {}).get("id")
    return {
        each.labels.get(LABEL_PROVEN_AT)
        for each in day.before.images.values()
        if (each.created_from or {}).get("id") == source
        and each.labels.get(LABEL_PROVEN_BY) == "ssh"
        and each.labels.get(LABEL_MANAGED_BY) == OWNER
    }


def _images(day: Day) -> Iterator[Image]:
    for project in day.projects:
        yield from project._images.values()


def _secrets(day: Day) -> Iterator[str]:
    passwords = (s.root_password for p in day.projects for s in p._servers.values())
    said = "\n".join(_all_said(day))
    for secret in [*day.tokens, *(password for password in passwords if password)]:
        if piece := piece_of(secret, said):
            yield f"a piece of a secret is told: {piece[:4]}…"


def _all_said(day: Day) -> Iterator[str]:
    for i in day.cloud.invocations:
        yield from i.logs
        yield json.dumps([i.messages, i.event, i.output], default=str)
    for execution in _executions(day):
        yield json.dumps([execution.output, execution.error, execution.cause])
    yield from day.cloud.refusals
