"""Who is due is taken, and nobody else: said a second time, from what was truly there.

Where it depends on a moment (of a snapshot that becomes available, of a clock) nothing is said.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from handler.documents.labels import LABEL_ENABLED, LABEL_EVERY, LABEL_RUN_ID
from local.simulator import Image, Server
from local.simulator.labels import parse_selector
from local.virtual.cloud import Execution, Invocation
from local.virtual.stage import START, Stage
from local.virtual.truth import is_ours
from tests.chaos.bad_tokens import BELIEF
from tests.chaos.gone import HIDDEN

# From this age on a snapshot is too old, in hours.
TOO_OLD = {"1h": 0.5, "12h": 6, "1d": 12, "2d": 36, "3d": 60, "1w": 156, "4w": 660}
MARGIN = timedelta(minutes=10)


def wrongly_taken(night: Stage, execution: Execution) -> Iterator[str]:
    listing = _listing(night, execution)
    of_another = execution.input["run"]["project"] != night.project.name
    if listing is None or of_another or BELIEF in night.beliefs:
        return
    run, selection = execution.input["run"], execution.input["selection"]
    handed_out = set(listing.output["handed_out"]) - set(listing.output["gone"])
    made = {
        id_
        for id_, maker in night.truth.makers.items()
        if maker and maker.function == "CreateSnapshot" and maker.execution is execution
    }
    taken = handed_out | {
        int(image.created_from["id"])
        for image in night.truth.created.values()
        if image.id in made and image.created_from and image.labels.get(LABEL_RUN_ID) == run["id"]
    }
    everyone = bool(selection["servers"] or run["prune_only"])
    for server in night.project._servers.values():
        out = _is_left_out(night, execution, server, listing)
        if out is None or server.id in night.newcomers:
            continue
        noted = night.truth.labels.get(server.id, [])
        if len({labels.get(LABEL_EVERY) for _, labels in noted}) > 1:
            continue
        every = server.labels.get(LABEL_EVERY, "")
        limit = None if everyone or every not in TOO_OLD else timedelta(hours=TOO_OLD[every])
        may_wait = limit and any(_may_be_young(night, execution, server, limit))
        must_wait = limit and any(_is_young(night, execution, server, limit))
        if server.id in taken and (out or must_wait):
            yield f"{server.name} (every {every}) was taken, and was not due or left out"
        shown = server.name != HIDDEN
        if shown and server.id not in handed_out and not (out or may_wait):
            yield f"{server.name} (every {every}) was due, and was not taken"


def _listing(night: Stage, execution: Execution) -> Invocation | None:
    """That which has handed out the servers; a night has one batch."""
    heard = [
        i for i in night.cloud.invocations
        if i.execution is execution and i.function == "ListServers" and i.heard
    ]  # fmt: skip
    last = heard[-1] if heard else None
    ended = last and (last.output["status"] in ("ready", "done") or _nobody(last))
    return last if ended else None


def _nobody(listing: Invocation) -> bool:
    return bool(re.match(r"none of the \d+ servers is selected", listing.output["reason"]))


def _is_left_out(
    night: Stage, execution: Execution, server: Server, listing: Invocation
) -> bool | None:
    """Whether nothing but its rhythm decides; None: that changed meanwhile."""
    run, selection = execution.input["run"], execution.input["selection"]
    named, selector = selection["servers"], selection["label_selector"]
    if named and server.id not in named and server.name not in named:
        # A name may have changed.
        return None if any(isinstance(name, str) for name in named) else True
    if selector and not parse_selector(selector)(server.labels):
        return True
    if server.backup_window and run["with_backups"] == "skip" and not named:
        return True
    until = listing.started + 400
    enabled = {
        labels.get(LABEL_ENABLED) != "false"
        for labels in night.truth.labels_between(server.id, listing.started, until)
    }
    return None if len(enabled) > 1 else enabled == {False}


def _may_be_young(
    night: Stage, execution: Execution, server: Server, limit: timedelta
) -> Iterator[bool]:
    """Whether a snapshot that was perhaps good may be younger than the limit."""
    began = _first(night, execution)
    latest = began + (timedelta(hours=25) if night.wrong_clocks else MARGIN)
    for image in _images(night, server):
        useless = image.status != "available" and image.id not in night.truth.meddled
        now = night.project._images.get(image.id)
        if useless and (now is None or now.status != "available"):
            continue
        yield image.created < latest and began - image.created < limit + MARGIN


def _is_young(
    night: Stage, execution: Execution, server: Server, limit: timedelta
) -> Iterator[bool]:
    """Whether a snapshot that was certainly good is younger than the limit."""
    blind = "Date" in night.world.without_headers or night.wrong_clocks
    run_id = execution.input["run"]["id"]
    begun = any(i.labels.get(LABEL_RUN_ID) == run_id for i in _images(night, server))
    said = (line for i in night.cloud.invocations for line in i.logs)
    if blind or begun or any("all are taken, because" in line for line in said):
        return
    first = _first(night, execution)
    latest = first + max(night.cloud.skew, timedelta(0))
    gone = {d.image.id for d in night.truth.deletions if d.at < execution.started + 3600}
    for image in [*night.truth.before.values(), *_made_earlier(night, execution, server)]:
        is_good = (
            is_ours(image, server.id)
            and image.status == "available"
            and image.created_from
            and image.created_from["id"] == server.id
            and image.id not in night.truth.meddled
            and image.id not in gone
        )
        yield bool(is_good) and image.created < first and latest - image.created < limit - MARGIN


def _first(night: Stage, execution: Execution) -> datetime:
    """When the run's first execution began: as of then a resume decides, too."""
    run_id = execution.input["run"]["id"]
    same = [e for e in night.cloud.executions.values() if e.input["run"]["id"] == run_id]
    return _at(min(e.started for e in same))


def _made_earlier(night: Stage, execution: Execution, server: Server) -> Iterator[Image]:
    """What other runs had made, and found available, before this one began."""
    for earlier in night.cloud.executions.values():
        result = earlier.results.get(server.id)
        if earlier.child_ended.get(server.id, night.loop.now) < execution.started:
            made = result and result.get("status") == "available" and result.get("image_id")
            if made and made in night.truth.created:
                yield night.truth.created[made]


def _images(night: Stage, server: Server) -> list[Image]:
    everything = night.truth.created | night.truth.before
    return [image for image in everything.values() if is_ours(image, server.id)]


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)
