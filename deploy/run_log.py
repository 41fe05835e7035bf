"""The log lines of a run: they tell what its executions do not."""

import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import Account
from local.common.board import Board, parse

POLL_SECONDS = 1.0
# CloudWatch shows a line some seconds after it was written.
LATE_SECONDS = 30
# A run of a thousand servers has some 50 MB of lines, in pages of 1 MB.
LONGEST_READING_SECONDS = 600


class TooLong(Exception):
    """The log was not read to its end."""


def read_log(account: Account, group: str, board: Board, since_ms: int) -> str:
    """Fills the board with its run's lines; returns why some or all are missing, if so."""
    read: set[str] = set()
    deadline = time.monotonic() + LATE_SECONDS
    while True:
        try:
            pages = _pages(account, group, board, since_ms)
            messages = [event["message"] for page in pages for event in page]
        except (BotoCoreError, ClientError) as error:
            return f"The log group {group} cannot be read: {error}"
        for message in messages:
            if message not in read and (line := parse(message)):
                board.add(line)
            read.add(message)
        if board.complete():
            return ""
        if time.monotonic() > deadline:
            return "The log is not complete yet: something may be missing from the plan above."
        time.sleep(POLL_SECONDS)


def fill(
    account: Account, group: str, board: Board, since_ms: int, until_ms: int, only: str = ""
) -> None:
    """Fills the board with its run's lines of that time, oldest first; `only`: a filter pattern.

    Raises botocore's errors, and TooLong with the board filled as far as that went.
    """
    deadline = time.monotonic() + LONGEST_READING_SECONDS
    events: list[Any] = []
    whole = True
    # A page of a large group may be empty.
    for page in _pages(account, group, board, since_ms, until_ms, only):
        events += page
        if time.monotonic() > deadline:
            whole = False
            break
    for event in sorted(events, key=lambda event: int(event["timestamp"])):
        if line := parse(event["message"]):
            board.add(line)
    if not whole:
        raise TooLong


def _pages(
    account: Account,
    group: str,
    board: Board,
    since_ms: int,
    until_ms: int | None = None,
    only: str = "",
) -> Iterator[list[Any]]:
    pages = (
        account.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=group,
            startTime=since_ms,
            **({"endTime": until_ms} if until_ms else {}),
            filterPattern=only or f'"{board.run_id}"',
        )
    )
    return (page["events"] for page in pages)
