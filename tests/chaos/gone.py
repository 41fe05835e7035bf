"""Servers that are gone, and OrphanDays: what a night has of them, and what may go of them."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from handler.documents.labels import LABEL_ENABLED, LABEL_MANAGED_BY, LABEL_SERVER_ID
from local.simulator import Fault, Image, Server
from local.simulator.faults import edited
from local.virtual.cloud import Execution
from local.virtual.truth import OWNER, Deletion, is_ours

if TYPE_CHECKING:
    from local.virtual.stage import Stage

HIDDEN = "hidden"
DAYS = [0.5, 3, 9, 12, 19, 22, 35, 50, 65, 90, 400]
NOT_LOOKED = "snapshots of servers that are gone were not looked for"


# What a night has of them.


def draw(night: "Stage", rng: random.Random) -> None:
    """OrphanDays, servers that are gone, and perhaps one that no listing shows any more."""
    night.orphan_days = rng.choice([0, 1, 10, 10, 30, 60])
    night.cloud.environment["ORPHAN_DAYS"] = str(night.orphan_days)
    for number in range(rng.choice([0, 1, 1, 2, 4])):
        gone = night.project.add_server(f"gone-{number}")
        youngest = rng.choice([0, 11, 11, 21, 34, 61])
        for _ in range(rng.choice([1, 2, 4, 8])):
            _old(night, gone, youngest, rng)
        night.project.delete_server(gone)
    if rng.random() < 0.1:
        labels = {LABEL_ENABLED: "false", "env": "prod"}  # in each listing that holds any
        hidden = night.project.add_server(HIDDEN, labels)
        for days in rng.sample([40.0, 70.0, 100.0, 200.0], 3):
            night.old_snapshot(hidden, days)
        fault = Fault(edited(_without(night, hidden)), "GET", "/servers", times=None, when="after")
        night.world.faults.add(fault)


def _old(night: "Stage", server: Any, youngest: float, rng: random.Random) -> None:
    days = rng.choice([each for each in DAYS if each >= youngest]) + rng.random() / 10
    size_gb = server.used_gb * rng.choice([1, 1, 1, 1.1, 0.3])
    match rng.choice(["ours"] * 8 + ["protected", "bad", "foreign", "copied", "future"]):
        case "protected":
            night.old_snapshot(server, days, protected=True, size_gb=size_gb)
        case "bad":
            night.old_snapshot(server, days, status=rng.choice(["unavailable", "creating"]))
        case "foreign":
            night.old_snapshot(server, days, labels={LABEL_MANAGED_BY: "another-stack"})
        case "copied" if night.project.servers:
            other = rng.choice(list(night.project.servers.values()))
            night.old_snapshot(other, days, labels={LABEL_SERVER_ID: str(server.id)})
        case "future" if rng.random() < 0.3:
            night.old_snapshot(server, -0.5)
        case _:
            night.old_snapshot(server, days, size_gb=round(size_gb, 2))


def _without(night: "Stage", hidden: Server) -> Callable[[Any], None]:
    def lose(body: Any) -> None:
        is_there = hidden.id in night.project._servers and hidden.name == HIDDEN
        if not is_there or not isinstance(body.get("servers"), list):
            return
        body["servers"] = [server for server in body["servers"] if server["name"] != HIDDEN]
        pagination = body["meta"]["pagination"]
        if pagination["total_entries"]:
            pagination["total_entries"] -= 1

    return lose


# What may go of them. The rule, said once more:


def may_go(images: list[Image], days: int, now: datetime) -> set[int]:
    """Of one server's snapshots, if it is gone and nothing has been deleted yet."""
    server_id = int(images[0].labels[LABEL_SERVER_ID]) if images else 0
    good = [
        image
        for image in images
        if image.status == "available" and is_ours(image, server_id) and not is_of_another(image)
    ]
    if not days or not good:
        return set()
    last = max(good, key=lambda image: (image.created.replace(microsecond=0), image.id))
    idle = (now - last.created.replace(microsecond=0)) / timedelta(days=days)
    free = {image.id for image in good if not image.protected}
    return free - {last.id} if idle > 1 else set()


def is_of_another(image: Image) -> bool:
    """Whether it was made of another server than its label says."""
    made_of = image.created_from["id"] if image.created_from else None
    return made_of not in (None, int(image.labels[LABEL_SERVER_ID]))


def wrongly_gone(night: "Stage") -> Iterator[str]:
    """Nothing goes as that of a server that is gone which this does not allow."""
    for deletion in night.truth.deletions:
        by, image = deletion.by, deletion.image
        if by is None or not by.event.get("server", {}).get("gone"):
            continue
        what = f"deleted {image.id} of server {by.server_id} ({image.created})"
        if deletion.there:
            yield f"{what}, which is there"
        if not _is_over_all(night, by.execution):
            yield f"{what} in a run that is not for all servers"
        now = _now(night, deletion)
        allowed = [
            may_go(state, night.orphan_days, now)
            for state in (deletion.state, by.seen.get(by.server_id or 0, []))
        ]
        if not any(image.id in each for each in allowed):
            yield f"{what}, which OrphanDays ({night.orphan_days}) does not let go"


def _is_over_all(night: "Stage", execution: Execution | None) -> bool:
    asked = execution.input["selection"] if execution else {"servers": ["?"]}
    deployed = night.cloud.environment.get("LABEL_SELECTOR", "")
    return not asked["servers"] and asked["label_selector"] == deployed


def _now(night: "Stage", deletion: Deletion) -> datetime:
    now = night.world.clock.now() - timedelta(seconds=night.loop.now - deletion.at)
    if "Date" in night.world.without_headers:
        now += night.cloud.skew
    return now + timedelta(hours=24 if night.wrong_clocks > 1 else 0)


def left_over(night: "Stage", execution: Execution) -> Iterator[str]:
    """A run over all servers that is Completed has deleted all that may go, up to its limit."""
    run = execution.input["run"]
    others = len(night.cloud.executions) > 1 or night.beliefs or night.wrong_clocks
    if execution.status != "SUCCEEDED" or run["dry_run"] or others or night.truth.meddled:
        return
    if not _is_over_all(night, execution) or "Date" in night.world.without_headers or night.missing:
        return
    of_run = [i for i in night.cloud.invocations if i.execution is execution]
    log = "\n".join(line for invocation in of_run for line in invocation.logs)
    if NOT_LOOKED in log or "has no servers" in (execution.output or {}).get("summary", ""):
        return
    began = night.world.clock.now() - timedelta(seconds=night.loop.now - execution.started)
    deleted = {deletion.image.id for deletion in night.truth.deletions}
    for server_id, images in _of_gone(night).items():
        may = may_go(images, night.orphan_days, began)
        known = {image.id: image for image in images}
        oldest = sorted(may, key=lambda id_: (known[id_].created.replace(microsecond=0), id_))
        most, got = run["max_deletions"], deleted & known.keys()
        expected = set(oldest[:most])
        larger = [id_ for id_ in expected - got if _is_larger(id_, images, may)]
        allowed = [expected, *(set([i for i in oldest if i != id_][:most]) for id_ in larger)]
        if expected - got and got not in allowed:
            yield f"server {server_id} is gone: {sorted(got)} deleted, not {sorted(expected)}"


def _of_gone(night: "Stage") -> dict[int, list[Image]]:
    """By server, the images of ours of those that were gone before the night."""
    found: dict[int, list[Image]] = {}
    for image in night.truth.before.values():
        server_id = int(image.labels.get(LABEL_SERVER_ID, "0"))
        if image.labels.get(LABEL_MANAGED_BY) == OWNER and server_id not in night.truth.labels:
            found.setdefault(server_id, []).append(image)
    return found


def _is_larger(one: int, images: list[Image], may: set[int]) -> bool:
    """Whether it is the one that stays because all that stay are less than half as large."""
    sizes = {
        i.id: i.image_size or 0.0
        for i in images
        if i.status == "available" and not is_of_another(i)
    }
    return sizes[one] > 2 * max(sizes[id_] for id_ in sizes.keys() - may)


def untold(night: "Stage", execution: Execution) -> Iterator[str]:
    """Each server that is gone and of which something went is told, with how much it was."""
    for server_id, result in execution.results.items():
        if not (isinstance(result, dict) and result.get("gone")):
            continue
        if result["deleted"] and not night.beliefs and server_id in night.project._servers:
            yield f"told to be gone, and is there: {result}"
        said = result.get("reason", "")
        if result["status"] == "pruned" and result["deleted"] and "deleted, " not in said:
            yield f"deleted and not told: {result}"
