"""The log: one JSON line for each thing that happened, and for each state's input and output."""

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.buffer import LoggerBufferConfig

from handler.documents.document import format_time
from handler.documents.job import Job
from handler.documents.restore import Restore

# Lines at DEBUG are buffered, and written only if the invocation logs an error. A full buffer drops
# its oldest lines. With LogLevel DEBUG all of them are written at once.
BUFFER_BYTES = 200_000
AT_ONCE = os.environ.get("POWERTOOLS_LOG_LEVEL") == "DEBUG"

logger = Logger(
    utc=True, buffer_config=None if AT_ONCE else LoggerBufferConfig(max_bytes=BUFFER_BYTES)
)


def log_input(job: Job, event: dict[str, Any]) -> None:
    """Logs a state's input; every line from here on names its run and server."""
    logger.append_keys(
        run_id=job.run.id, project=job.run.project, server=job.server.name, server_id=job.server.id
    )
    logger.debug(f"{job.server.name}: input", extra={"input": event})


def output_of(job: Job) -> dict[str, Any]:
    """The state's output, logged in one line: the server's status, why, what comes next."""
    now = job.stopwatch.now
    until = now and now + timedelta(seconds=job.wait_seconds)
    at = f" at {until:%H:%M:%S}Z" if until else ""
    then = f", again{at} (in {job.wait_seconds} s)" if job.wait_seconds else ""
    colon = f": {job.reason}" if job.reason else ""
    # An error also writes the buffered lines at DEBUG.
    log = logger.error if job.status == "failed" else logger.info
    # The result's own reason may be cut.
    ended = job.result and replace(job.result, reason=job.reason)
    log(
        str(ended) if ended else f"{job.server.name}: {job.status}{then}{colon}",
        extra={
            "status": job.status,
            "reason": job.reason,
            "wait_seconds": job.wait_seconds,
            "until": format_time(until) if job.wait_seconds else None,
            "now": format_time(now),
            "elapsed_s": job.stopwatch.elapsed_s,
            "waited_s": job.waited_s if job.waited_s is not None else job.stopwatch.elapsed_s,
            "requests_left": job.requests_left,
        },
    )
    return job.to_dict()


def log_restore(restore: Restore, event: dict[str, Any]) -> None:
    """The same for a state of RestoreRun."""
    logger.append_keys(
        run_id=restore.run.id,
        project=restore.run.project,
        server=restore.server.name,
        server_id=restore.server.id,
        copy_id=restore.copy_id,
    )
    logger.debug(f"{restore.server.name}: input", extra={"input": event})


def restore_output(restore: Restore) -> dict[str, Any]:
    """The output of a state of RestoreRun, logged in one line."""
    then = f", again in {restore.wait_seconds} s" if restore.wait_seconds else ""
    colon = f": {restore.reason}" if restore.reason else ""
    log = logger.error if restore.status == "failed" else logger.info
    log(
        f"{restore.server.name}: {restore.status}{then}{colon}",
        extra={
            "status": restore.status,
            "reason": restore.reason,
            "wait_seconds": restore.wait_seconds,
            "now": format_time(restore.stopwatch.now),
            "elapsed_s": restore.stopwatch.elapsed_s,
            "copy_id": restore.copy_id,
            "requests_left": restore.requests_left,
        },
    )
    return restore.to_dict()
