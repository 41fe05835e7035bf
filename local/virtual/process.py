"""Runs all functions in this one process, with the virtual AWS in place of the real one."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

from handler.aws import runtime, telling, tokens
from handler.aws.logs import logger
from handler.hetzner.api import client_for
from handler.restore_run import check_server, plan_restore, summarise_restore
from handler.snapshot_run import list_servers, prune_snapshots, summarise_run
from handler.triggers import executions, start_restore, start_run, watch_servers
from local.virtual.cloud import Cloud, stack
from local.virtual.functions import FUNCTIONS, RESTORING
from local.virtual.wire import ENDPOINT


class _Lines(logging.Handler):
    """Keeps each log line with the invocation that wrote it."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self.cloud = cloud

    def emit(self, record: logging.LogRecord) -> None:
        self.cloud.loop.current.context.logs.append(self.format(record))


@contextmanager
def in_place(cloud: Cloud) -> Iterator[None]:
    """Meanwhile this cloud replaces the handlers' AWS, Hetzner, clock and random numbers."""

    def connect(token: str, endpoint: str) -> Any:
        client = client_for(token, endpoint)
        session = client._client._session
        session.mount(ENDPOINT, cloud.wire)
        session.trust_env = False  # to look for proxies takes a quarter of the time
        return client

    class Now(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cloud.now()

    def no_sleep(seconds: float) -> NoReturn:
        raise AssertionError(f"slept {seconds} s in a function")

    underlying = logger._logger
    formatter: Any = logger.registered_formatter
    lines = _Lines(cloud)
    lines.setFormatter(formatter)

    def keep() -> Any:
        kept = formatter.log_format
        return lambda: setattr(formatter, "log_format", kept)

    cloud.loop.keep = keep
    environment = {"AWS_DEFAULT_REGION": "eu-central-1", "POWERTOOLS_SERVICE_NAME": "virtual"}
    deployed = stack(cloud.has_restores)
    for function in (*FUNCTIONS, *(RESTORING if cloud.has_restores else ())):
        environment |= deployed.environment(function)
    environment |= cloud.environment
    for cached in (
        runtime.run_settings,
        runtime.api_settings,
        runtime.summary_settings,
        runtime.watch_settings,
        runtime.restore_settings,
        runtime.tell_settings,
        tokens.parameters,
    ):
        cached.cache_clear()
    patches: list[Any] = [
        patch.dict("os.environ", environment),
        patch.object(tokens, "ssm", lambda: cloud),
        patch.object(start_run, "ssm", lambda: cloud),
        patch.object(start_run, "step_functions", lambda: cloud),
        patch.object(watch_servers, "ssm", lambda: cloud),
        patch.object(watch_servers, "step_functions", lambda: cloud),
        patch.multiple(
            watch_servers,
            sns=lambda: cloud,
            functions=lambda: SimpleNamespace(invoke=cloud.invoke_later),
            why_unreached=lambda *_: "",
        ),
        patch.object(watch_servers, "put_metrics", cloud.put_metrics),
        patch.object(watch_servers, "datetime", Now),
        # In one: Python 3.11 takes no more than twenty.
        patch.multiple(telling, sns=lambda: cloud, why_unreached=lambda *_: ""),
        patch.object(summarise_run, "put_metrics", cloud.put_metrics),
        patch.multiple(
            start_restore, ssm=lambda: cloud, step_functions=lambda: cloud, datetime=Now
        ),
        patch.multiple(check_server, greeting=cloud.probe, datetime=Now),
        patch.object(plan_restore, "datetime", Now),
        patch.multiple(summarise_restore, put_metrics=cloud.put_metrics, datetime=Now),
        patch.object(start_run, "datetime", Now),
        patch.object(executions, "datetime", Now),
        patch.object(list_servers, "datetime", Now),
        patch.object(prune_snapshots, "datetime", Now),
        patch.object(summarise_run, "datetime", Now),
        patch.object(runtime, "hcloud_client", cache(connect)),
        patch("hcloud._client.time.sleep", no_sleep),
        patch.object(underlying, "handlers", [lines]),
        patch.object(underlying, "propagate", False),
        patch("random.random", cloud.rng.random),
    ]
    with ExitStack() as replaced:  # a `with` of its own for each would be too many
        for each in patches:
            replaced.enter_context(each)
        yield
    tokens.parameters.cache_clear()
    runtime.told.clear()
