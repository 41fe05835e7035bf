"""What must hold after every night; each function yields what is wrong.

What was made and deleted; pace.py has when, verdicts.py and counts.py what was said of it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from handler.decisions.retention import plan
from handler.documents.labels import (
    LABEL_ENABLED,
    LABEL_RETENTION,
    LABEL_RUN_ID,
    LABEL_SERVER_ID,
)
from handler.documents.policy import BadPolicy, parse_policy
from handler.documents.resources import Snapshot
from local.simulator import Image
from local.virtual.cloud import Invocation
from local.virtual.stage import Stage
from local.virtual.truth import Deletion, is_ours
from tests.chaos.between_runs import wrong_between
from tests.chaos.counts import false_counts, overlooked, vanished
from tests.chaos.emptied import lost_to_small_ones, wrongly_told
from tests.chaos.gone import left_over, untold, wrongly_gone
from tests.chaos.pace import untimely
from tests.chaos.plain_words import obeyed
from tests.chaos.rhythms import wrongly_taken
from tests.chaos.verdicts import untrue
from tests.chaos.watching import wrongly_watched
from tests.chaos.whole_projects import of_another_project, wrongly_refused
from tests.leaks import piece_of


def broken(night: Stage) -> list[str]:
    """The invariants that do not hold; empty if all hold."""
    found = [
        *night.cloud.surprises,
        *_one_snapshot(night),
        *_writes_not_asked_for(night),
        *_deletions(night),
        *lost_to_small_ones(night),
        *wrongly_gone(night),
        *_others(night),
        *_secrets(night),
        *obeyed(night),
        *_locks(night),
        *untimely(night),
        *wrong_between(night),
        *wrongly_watched(night),
        *of_another_project(night),
    ]
    for execution in night.cloud.executions.values():
        found += [f"{execution.name}: {what}" for what in untrue(night, execution)]
        found += [f"{execution.name}: {what}" for what in false_counts(night, execution)]
        found += [f"{execution.name}: {what}" for what in vanished(night, execution)]
        found += [f"{execution.name}: {what}" for what in overlooked(night, execution)]
        found += [f"{execution.name}: {what}" for what in wrongly_told(night, execution)]
        found += [f"{execution.name}: {what}" for what in left_over(night, execution)]
        found += [f"{execution.name}: {what}" for what in untold(night, execution)]
        found += [f"{execution.name}: {what}" for what in wrongly_taken(night, execution)]
        found += [f"{execution.name}: {what}" for what in wrongly_refused(night, execution)]
    return found


def _one_snapshot(night: Stage) -> Iterator[str]:
    """At most one per server and run that did not fail.

    What another run has pruned a resume makes again: that is held by the rule for overlapping runs.
    """
    deleted = {
        deletion.image.id
        for deletion in night.truth.deletions
        if not deletion.by or deletion.by.run_id == deletion.image.labels.get(LABEL_RUN_ID)
    }
    good = Counter(
        (image.labels.get(LABEL_RUN_ID), int(image.labels[LABEL_SERVER_ID]))
        for image in night.truth.created.values()
        if is_ours(image)
        and image.id not in night.truth.meddled
        and image.status != "unavailable"
        # Not counting an image that was removed with its failed action.
        and (image.id in night.project.images or image.id in deleted)
        and image.id not in night.truth.before
    )
    for (run_id, server_id), count in good.items():
        if count < 2:
            continue
        twins = [
            i.id
            for i in night.truth.created.values()
            if i.labels.get(LABEL_RUN_ID) == run_id and i.labels[LABEL_SERVER_ID] == str(server_id)
        ]
        if not night.beliefs:
            yield f"{count} snapshots of server {server_id} in run {run_id}: {twins}"
        elif not _reported(night, run_id, server_id, twins):
            yield f"{count} snapshots of server {server_id} in run {run_id}, not reported: {twins}"


def _writes_not_asked_for(night: Stage) -> Iterator[str]:
    for execution in night.cloud.executions.values():
        run = execution.input["run"]
        others = [e for e in night.cloud.executions.values() if e.input["run"]["id"] == run["id"]]
        if all(e.input["run"]["dry_run"] or e.input["run"]["prune_only"] for e in others):
            for image in night.truth.created.values():
                if image.labels.get(LABEL_RUN_ID) == run["id"]:
                    yield f"{execution.name} made {image.id} and should make none"
    # Of an image without the field it is not known: Hetzner refuses the delete.
    for record in () if "protection" in night.missing else night.world.requests:
        if record.method == "DELETE" and record.status == 423:
            tried = night.project.images.get(int(record.path.rsplit("/", 1)[-1]))
            if tried and tried.protected and tried.id not in night.truth.meddled:
                yield f"tried to delete {tried.id}, which is protected"


def _reported(night: Stage, run_id: str, server_id: int, twins: list[int]) -> bool:
    text = "\n".join(line for i in night.cloud.invocations for line in i.logs)
    blind = any(
        execution.results.get(server_id, {}).get("pruned") is False
        for execution in night.cloud.executions.values()
        if execution.input["run"]["id"] == run_id
    )
    # No more look was possible: the run can only say that a create had no clear answer.
    if blind and "no clear answer to the create" in text:
        return True
    hints = ("no snapshot confirmed", "may have been started", "may still become available")
    return any(hint in text for hint in hints) or any(
        re.search(rf"snapshot {twin} of this run is \w+ and not used", text)
        or re.search(rf"also of this run: snapshot [0-9, ]*\b{twin}\b", text)
        or f"snapshot {twin} is of this run too" in text
        for twin in twins
    )


def _deletions(night: Stage) -> Iterator[str]:
    per_run: Counter[tuple[str, int]] = Counter()
    for deletion in night.truth.deletions:
        image, by = deletion.image, deletion.by
        what = f"deleted {image.id} ({image.status}, {image.created})"
        if by is None or by.function != "PruneSnapshots" or by.execution is None:
            yield f"{what} outside PruneSnapshots"
            continue
        run, server_id = by.event["run"], by.event["server"]["id"]
        if run["dry_run"]:
            yield f"{what} in a dry run"
        # What a person relabels between the listing and the delete is as it was listed.
        listed = [i for i in by.seen.get(server_id, []) if i.id == image.id]
        if not any(is_ours(i, server_id) for i in (image, *listed)):
            yield f"{what}, which is not ours or not of server {server_id}"
            continue
        per_run[(by.execution.name, server_id)] += 1
        if image.labels.get(LABEL_RUN_ID) == run["id"]:
            yield f"{what} of server {server_id}, which is of this run itself"
        if _unfinished(night, deletion, server_id):
            yield f"{what} of server {server_id}, which another run is not done with"
        if by.event["server"].get("gone"):
            continue  # wrongly_gone
        if not _allowed(night, deletion, by):
            yield f"{what} of server {server_id}, which no plan allows"
        if not (run["prune_only"] or _is_made(night, by)):
            yield f"{what} of server {server_id} before this run's snapshot was available"
    for (name, server_id), count in per_run.items():
        most = night.cloud.executions[name].input["run"]["max_deletions"]
        if count > most:
            yield f"{name}: {count} deletions of server {server_id}, {most} are allowed"


def _unfinished(night: Stage, deletion: Deletion, server_id: int) -> bool:
    """Whether it was made by a run that had not finished with it."""
    return any(
        execution.input["run"]["id"] == deletion.image.labels.get(LABEL_RUN_ID)
        and execution.started < deletion.at < execution.child_ended.get(server_id, 0)
        for execution in night.cloud.executions.values()
    )


def _listed(image: Image) -> Snapshot:
    return Snapshot(
        image.id,
        image.created.replace(microsecond=0),  # the API's times are whole seconds
        image.status,
        protected=image.protected,
        labels=image.labels,
        made_of=image.created_from and image.created_from["id"],
    )


def _allowed(night: Stage, deletion: Deletion, by: Invocation) -> bool:
    """Whether the pure plan lets it go, on the state when it was listed or when it went, by labels
    that the server has had while this function ran."""
    server_id = by.event["server"]["id"]
    now = night.world.clock.now() - timedelta(seconds=night.loop.now - deletion.at)
    if "Date" in night.world.without_headers:
        now += night.cloud.skew  # nobody tells the time but our own clock
    for labels in night.truth.labels_between(server_id, by.started, deletion.at):
        if labels.get(LABEL_ENABLED) == "false":
            continue
        try:
            policy = parse_policy(labels.get(LABEL_RETENTION) or by.event["run"]["retention"])
        except BadPolicy:
            continue
        for state in (deletion.state, by.seen.get(server_id, [])):
            whole = [_listed(image) for image in state]
            for decision in plan(policy, whole, now=now, accept_smaller=True):
                if decision.snapshot.id == deletion.image.id and not decision.keep:
                    return True
    return False


def _is_made(night: Stage, by: Invocation) -> bool:
    run_id, server_id = by.event["run"]["id"], by.event["server"]["id"]
    return any(
        image.labels.get(LABEL_RUN_ID) == run_id and image.status == "available"
        for image in by.seen.get(server_id, [])
    )


def _others(night: Stage) -> Iterator[str]:
    """Images that are not ours are unchanged; of ours only the deletions above are gone."""
    gone = {deletion.image.id for deletion in night.truth.deletions}
    for image in night.truth.before.values():
        if image.id in gone or image.id in night.truth.meddled:
            continue
        now = night.project.images.get(image.id)
        if now is None or now.labels != image.labels or now.protected != image.protected:
            yield f"image {image.id} was changed without a trace"


def _secrets(night: Stage) -> Iterator[str]:
    said = [line for i in night.cloud.invocations for line in i.logs]
    said += [json.dumps([i.event, i.output]) for i in night.cloud.invocations]
    said += [json.dumps([e.output, e.error, e.cause]) for e in night.cloud.executions.values()]
    said += night.cloud.refusals
    said += [json.dumps(i.messages) for i in night.cloud.invocations]
    said += [text for _, text in night.cloud.written]
    text = "\n".join(said)
    for token in night.tokens:
        if piece := piece_of(token, text):
            yield f"a piece of a token was told: {piece}"


def _locks(night: Stage) -> Iterator[str]:
    """Nothing is called locked that never was, and nothing created beside another create."""
    # Where a create does not lock, and the actions do not show it yet, or not what it is, nothing
    # tells of it.
    unsaid = night.lagging or "command" in night.missing
    hidden = unsaid and not night.world.create_image_locks
    for image_id in () if hidden else night.truth.beside:
        yield f"image {image_id} was created while another one of its server was being made"
    refused = {r.path for r in night.world.requests if r.method == "POST" and r.status == 423}
    for execution in night.cloud.executions.values():
        for server_id, result in execution.results.items():
            if not isinstance(result, dict) or result.get("status") not in ("failed", "skipped"):
                continue
            said = re.search(
                r"locked by (?!create_image)|locked, no action", result.get("reason", "")
            )
            was = server_id in night.truth.locked
            if said and not was and f"/servers/{server_id}/actions/create_image" not in refused:
                yield f"told to be locked, and never was: {result}"
