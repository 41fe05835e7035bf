"""Whether a project as a whole is called overdue when it is, and only then; and what runs may do
where it is not the one that the watch remembers."""

import json
from collections.abc import Iterator

from local.virtual.cloud import Execution, Invocation
from local.virtual.stage import Stage
from tests.chaos.bad_watch import OTHER
from tests.chaos.sights import HOUR, NOTHING, OURS, Look, Sight

GONE, ANOTHER, UNSEEN = "its token is gone", "is it the right token?", "not been seen whole since"
MARGIN_S = 130  # the memory has whole minutes


def wrong_of_project(night: Stage, number: int, look: Look, rows: list[str]) -> Iterator[str]:
    told = [row for row in rows if row.startswith(f"{OURS}: ")]
    entry = look.entry
    found = told + (entry["overdue"] if entry else [])
    opens = {sight.opens for sight in look.sights}
    for reason in found:
        if GONE in reason and NOTHING not in opens:
            yield f"its token is there: {reason}"
        if ANOTHER in reason and opens == {OURS} and _is_itself(night, number, look):
            yield f"it is the same project: {reason}"
        if UNSEEN in reason and _unseen_s(night, number, look, least=True) < _limit_s(night):
            yield f"it was seen whole: {reason}"
    if entry is None:
        yield from _forgotten(night, number, look)
        return
    said = " ".join(entry["overdue"])
    if entry["seen"]:
        yield from _overlooked(look)
        yield from _vanished(night, number, look, said)
    elif opens == {NOTHING} and not _refused(night, look, "GetParametersByPath"):
        if _had_something(night, number) and GONE not in said:
            yield f"its token is gone, and only {said!r} is said"
    elif NOTHING not in opens and not said:
        unseen_s = _unseen_s(night, number, look, least=False)
        if unseen_s > _limit_s(night):
            yield f"not seen whole for {unseen_s:.0f} s, and nothing is said"
    if said and not told and not _told_before(night, number):
        yield f"{said}, and nobody was told"
    if not entry["seen"] and not (night.troubles or len(night.watch) > 1):
        yield f"nothing goes wrong, and it was not seen whole: {entry['why']}"


def _overlooked(look: Look) -> Iterator[str]:
    """A look that is said to be whole has every server that was there from its begin to its end."""
    assert look.entry is not None
    if {sight.opens for sight in look.sights} != {OURS}:
        return
    there = set.intersection(*(
        {id_ for id_, saved in sight.servers.items() if saved.included}
        for sight in look.sights
    ))  # fmt: skip
    if missed := there - {server["id"] for server in look.entry["servers"]}:
        yield f"seen whole, and servers {sorted(missed)} were overlooked"


def _vanished(night: Stage, number: int, look: Look, said: str) -> Iterator[str]:
    last = _last_whole(night, number, certain=True)
    latest = _last_whole(night, number, certain=False)
    if last is None or last is not latest or night.lost_at:
        return
    had = min(len(sight.servers) for sight in last.sights)
    ours = all(sight.opens == OURS for sight in last.sights)
    is_none = all(sight.opens == OURS and not sight.servers for sight in look.sights)
    is_another = all(sight.opens in ("another", OTHER) for sight in look.sights)
    had_both = had and all(sight.images for sight in last.sights)
    if ours and had and is_none and ANOTHER not in said and not _selects(night):
        yield f"all its servers are gone, and {said!r} is said"
    if ours and had_both and is_another and ANOTHER not in said and not _selects(night):
        yield f"it is another project, and {said!r} is said"


def _is_itself(night: Stage, number: int, look: Look) -> bool:
    """Whether so much of what was there at the last look still is, that it can be known again."""
    before = [
        each for each in night.looks[:number]
        if each.invocation and any(sight.opens == OURS and sight.servers for sight in each.sights)
    ]  # fmt: skip
    if not before:
        return True
    last = _last_whole(night, number, certain=True)
    if last is None or last is not _last_whole(night, number, certain=False):
        return False
    return _is_same(night, last.sights, look.sights)


def _is_same(night: Stage, then: list[Sight], now: list[Sight]) -> bool:
    """Whether all servers but one of then are still there, or all snapshots and some server."""
    if _selects(night) or night.lost_at:
        return False
    servers = set().union(*(sight.servers for sight in then))
    left = servers - set.intersection(*(set(sight.servers) for sight in now))
    good = set().union(*(sight.images for sight in then))
    kept = good - night.truth.meddled.keys()
    images = set.intersection(*(set(sight.images) for sight in now))
    some = all(sight.servers and sight.opens == OURS for sight in now)
    one_less = len(left) <= 1 < len(servers) and all(
        id_ in images or of in left for sight in then for id_, of in sight.images.items()
    )
    return some and (one_less or (good == kept and good <= images))


def _last_whole(night: Stage, number: int, certain: bool) -> Look | None:
    """The last look before this one that has seen it whole and as itself, and that was remembered;
    if not certain, one that may have been."""
    for look in reversed(night.looks[:number]):
        wrote = [i for i, text in night.cloud.written if i is look.invocation and OURS in text]
        entry = look.entry
        as_itself = entry and entry["seen"] and ANOTHER not in " ".join(entry["overdue"])
        if as_itself or (wrote and not look.heard and not certain):
            return look
    return None


def _unseen_s(night: Stage, number: int, look: Look, least: bool) -> float:
    """For how long it has not been seen whole, at least, or at most."""
    seen = _last_whole(night, number, certain=least)
    if seen is None:
        wrote = [i for i, text in night.cloud.written if OURS in text]
        seen = next((each for each in night.looks[:number] if each.invocation in wrote), look)
    # A project that never had anything is forgotten with its token.
    blank = [each for each in night.looks[:number] if each.sights[-1].opens == NOTHING]
    if blank and not least and not _had_something(night, number):
        seen = max(seen, blank[-1], key=lambda each: each.started)
    if night.lost_at and not least:
        return 0.0
    passed = look.started - seen.started
    return passed + MARGIN_S if least else passed - MARGIN_S


def _limit_s(night: Stage) -> float:
    return int(night.cloud.environment["FRESHNESS_HOURS"]) * HOUR


def _had_something(night: Stage, number: int) -> bool:
    last = _last_whole(night, number, certain=True)
    return bool(
        last
        and last is _last_whole(night, number, certain=False)
        and not night.lost_at
        and all(sight.opens == OURS and sight.servers for sight in last.sights)
    )


def _forgotten(night: Stage, number: int, look: Look) -> Iterator[str]:
    """An answer that lacks a project with a token, or one that had something."""
    if not look.heard or night.lost_at:
        return
    refused = _refused(night, look, "GetParametersByPath")
    has_token = all(sight.opens != NOTHING for sight in look.sights)
    if (has_token and not refused) or _had_something(night, number):
        yield "the project is not in the answer"


def _told_before(night: Stage, number: int) -> bool:
    return any(
        f"  {OURS}: " in message["Message"]
        for look in night.looks[:number]
        if look.invocation
        for message in look.invocation.messages
    )


def _refused(night: Stage, look: Look, operation: str) -> bool:
    return any(what == operation and look.started <= at <= look.ended
               for at, what in night.cloud.refused)  # fmt: skip


def _selects(night: Stage) -> bool:
    """With a selector the watch sees other servers than there are."""
    return "LABEL_SELECTOR" in night.cloud.environment


def wrongly_refused(night: Stage, execution: Execution) -> Iterator[str]:
    """No run of the same project is refused for another one."""
    listing = _listing(night, execution)
    if listing is None or ANOTHER not in str(listing.output["reason"]):
        return
    before = sum(look.ended < execution.started for look in night.looks)
    last = _last_whole(night, before, certain=True)
    now = [sight for by, sight in night.looks.listings if by is listing]
    is_certain = last and now and last is _last_whole(night, before, certain=False)
    if is_certain and _is_same(night, last.sights, now):
        yield f"it is the same project: {listing.output['reason']}"


def _told(listing: Invocation) -> set[int]:
    """The servers of which the listing has told."""
    return {json.loads(line).get("server_id", 0) for line in listing.logs}


def of_another_project(night: Stage) -> Iterator[str]:
    """Where the watch had seen the right project, nothing is made or deleted in another one, and no
    run is Completed that has listed that."""
    another = night.world.projects.get(OTHER)
    if another is None or not night.theirs:
        return
    if changed := another.images.keys() ^ night.theirs:
        yield f"images {sorted(changed)} were made or deleted in another project"
    for execution in night.cloud.executions.values():
        listing = _listing(night, execution)
        now = [sight for by, sight in night.looks.listings if by is listing]
        of_another = now and all(sight.opens == OTHER for sight in now)
        # A container may still have the token from before, and list ours.
        if listing and _told(listing) & night.truth.labels.keys():
            continue
        if of_another and execution.status == "SUCCEEDED":
            yield f"{execution.name} is Completed, and has listed another project"


def _listing(night: Stage, execution: Execution) -> Invocation | None:
    found = [i for i in night.cloud.invocations
             if i.execution is execution and i.function == "ListServers" and i.heard]  # fmt: skip
    return found[-1] if found else None
