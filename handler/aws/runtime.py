"""What a container keeps between invocations: settings, and connections to Hetzner."""

import json
import os
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handler.aws.logs import logger
from handler.aws.settings import (
    ApiSettings,
    RestoreSettings,
    RunSettings,
    SummarySettings,
    TellSettings,
    WatchSettings,
)
from handler.aws.tokens import token_in
from handler.hetzner.api import Hetzner, client_for

# For one read of the token, one request that times out, and a reserve.
ONE_REQUEST_MS = 40_000

# What SummariseRun has told, by its input: if its answer is lost, this container is asked again and
# must not send metrics and message twice.
told: dict[str, dict[str, Any]] = {}

# One session for each token and address; more than one only after a token was changed.
hcloud_client = lru_cache(maxsize=64)(client_for)


@cache
def run_settings() -> RunSettings:
    return RunSettings.from_env(os.environ)


@cache
def api_settings() -> ApiSettings:
    return ApiSettings.from_env(os.environ)


@cache
def restore_settings() -> RestoreSettings:
    return RestoreSettings.from_env(os.environ)


@cache
def summary_settings() -> SummarySettings:
    return SummarySettings.from_env(os.environ)


@cache
def tell_settings() -> TellSettings:
    return TellSettings.from_env(os.environ)


@cache
def watch_settings() -> WatchSettings:
    return WatchSettings.from_env(os.environ)


def hetzner_for(
    project: str, context: LambdaContext, leave_ms: int = ONE_REQUEST_MS, floor_percent: int = 0
) -> Hetzner:
    """The project's API for this invocation. The token is read with the first request.

    No request starts that could last longer than the invocation: the function must still return
    what it has done. `leave_ms` of its time and `floor_percent` of the requests per hour are left.
    """
    settings = api_settings()
    parameter = f"{settings.token_path}/{project}"

    def connect(anew: bool = False) -> Any:
        return hcloud_client(token_in(parameter, anew), settings.hetzner_endpoint)

    return Hetzner(
        connect,
        parameter,
        out_of_time=lambda: context.get_remaining_time_in_millis() < max(ONE_REQUEST_MS, leave_ms),
        reconnect=lambda: connect(anew=True),
        detail=logger.debug,
        floor_percent=floor_percent,
    )


def put_metrics(lines: Iterable[dict[str, Any]]) -> None:
    """Writes lines in the embedded metric format: CloudWatch makes metrics of them."""
    for line in lines:
        print(json.dumps(line))
