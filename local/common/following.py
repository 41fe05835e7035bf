"""Follows an execution of RestoreRun until it has ended, by its history."""

from collections.abc import Callable
from typing import Any

from local.common.restores import Progress, Told

PER_PAGE = 100


def follow(
    step_functions: Any,
    arn: str,
    told: Told,
    show: Callable[[Progress], None],
    pause: Callable[[], None],
) -> Told:
    """`told`, filled. `pause` waits between the looks and may raise. Raises botocore's errors."""
    while True:
        # Asked before the history: what is read after its end is all there is.
        described = step_functions.describe_execution(executionArn=arn)
        for event in _new_events(step_functions, arn, told.last_event):
            if progress := told.add(event):
                show(progress)
        if described["status"] != "RUNNING":
            told.end(described)
            return told
        pause()


def _new_events(step_functions: Any, arn: str, last: int) -> list[dict[str, Any]]:
    """The events after that one, oldest first."""
    found: list[dict[str, Any]] = []
    pages = step_functions.get_paginator("get_execution_history").paginate(
        executionArn=arn, reverseOrder=True, PaginationConfig={"PageSize": PER_PAGE}
    )
    for page in pages:
        new = [event for event in page["events"] if int(event["id"]) > last]
        found += new
        if len(new) < len(page["events"]):
            break
    return found[::-1]
