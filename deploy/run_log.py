"""The log lines of a run: they tell a dry run's plan, which its execution does not."""

import time

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import Account
from local.common.board import Board, parse

POLL_SECONDS = 1.0
# CloudWatch shows a line some seconds after it was written.
LATE_SECONDS = 30


def read_log(account: Account, group: str, board: Board, since_ms: int) -> str:
    """Fills the board with its run's lines; returns why some or all are missing, if so."""
    logs = account.client("logs")
    read: set[str] = set()
    deadline = time.monotonic() + LATE_SECONDS
    while True:
        try:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=since_ms, filterPattern=f'"{board.run_id}"'
            )
            messages = [event["message"] for page in pages for event in page["events"]]
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
