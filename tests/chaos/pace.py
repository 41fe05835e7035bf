"""When a run looks and how often: no wait too long or too short, no time that has not passed."""

from collections.abc import Iterator

from handler.documents.document import JUMP, LONGEST_WAIT_SECONDS
from handler.hetzner.api import PER_PAGE
from local.virtual.stage import Stage

ONE_MORE_LOOK_SECONDS = 216
READINGS = 4  # of a project that changes while the watch reads it
WITH_A_WAIT = ("waiting", "creating", "due", "pruning")


def untimely(night: Stage) -> Iterator[str]:
    yield from _pace(night)
    # Of several wrong clocks two may agree.
    if night.wrong_clocks <= 1:
        yield from _false_stopwatches(night)


def _pace(night: Stage) -> Iterator[str]:
    """No wait past a deadline, no wait too short, no more requests than needed."""
    for invocation in night.cloud.invocations:
        document = invocation.output
        pages = 1 + len(night.truth.created | night.truth.before) // (
            night.wire.per_page or PER_PAGE
        )
        most = 9 + 4 * pages + len(night.truth.before)
        if invocation.function == "WatchServers":
            most *= READINGS
        if invocation.requests > most:
            yield f"{invocation.function}: {invocation.requests} requests, at most {most}"
        if not document or document.get("status") not in WITH_A_WAIT:
            continue
        # From PruneSnapshots creating is no wait: CheckSnapshot looks at once.
        at_once = document["status"] == "pruning" or invocation.function == "PruneSnapshots"
        if not document["wait_seconds"] and not at_once:
            yield f"{invocation.function}: {document['status']} without a wait"
        ends = document["stopwatch"]["elapsed_s"] + document["wait_seconds"]
        # After a create that may have happened, or has failed, there is always one more look.
        slack = ONE_MORE_LOOK_SECONDS if document["status"] == "waiting" else 0
        # Without a wait it goes directly to the state that ends it, even if an answer came late.
        waits = document["wait_seconds"] > 0
        if waits and document["deadline_s"] is not None and ends > document["deadline_s"] + slack:
            limit = document["deadline_s"]
            yield f"{invocation.function} waits until {ends} s, {limit} are allowed"


def _false_stopwatches(night: Stage) -> Iterator[str]:
    """No document counts hours that have not passed: one clock that is off moves no deadline."""
    # A wait and a clock that is off by as much look the same.
    slack = LONGEST_WAIT_SECONDS + JUMP.total_seconds()
    for invocation in night.cloud.invocations:
        if invocation.execution and invocation.output and "stopwatch" in invocation.output:
            # An invocation lasts two minutes at most.
            passed_s = invocation.started - invocation.execution.started
            counted_s = invocation.output["stopwatch"]["elapsed_s"]
            if counted_s > passed_s + slack:
                yield f"{invocation.function} counts {counted_s} s where {passed_s:.0f} s passed"
