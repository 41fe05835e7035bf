"""The functions of cf22853, whose modules lie flat in one folder, with the virtual AWS around."""

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from local.virtual.cloud import Cloud
from local.virtual.functions import FUNCTIONS
from local.virtual.wire import ENDPOINT
from tests.upgrades.stories import BATCH
from tests.upgrades.tape import Handler


@contextmanager
def functions_of(folder: Path, cloud: Cloud) -> Iterator[Callable[[str], Handler]]:
    """The handlers in that folder, by the functions' names, with this cloud around them."""
    with ExitStack() as patches:
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        for module in {_module(function) for function in FUNCTIONS}:
            for target, name, new in _replaced(module, cloud):
                patches.enter_context(patch.object(target, name, new))
        yield lambda function: _module(function).handler


def _module(function: str) -> Any:
    return importlib.import_module(re.sub(r"(?<!^)([A-Z])", r"_\1", function).lower())


def _replaced(module: Any, cloud: Cloud) -> Iterator[tuple[Any, str, Any]]:
    runtime, hetzner = importlib.import_module("runtime"), importlib.import_module("hetzner")

    @cache
    def connect(token: str, endpoint: str) -> Any:
        client = hetzner.client_for(token, endpoint)
        client._client._session.mount(ENDPOINT, cloud.wire)
        return client

    class Now(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cloud.now()

    class Client:
        """Its StartRun asked for the executions by a paginator."""

        def __getattr__(self, name: str) -> Any:
            return getattr(cloud, name)

        def get_paginator(self, name: str) -> Any:
            if name != "list_executions":
                return cloud.get_paginator(name)
            return SimpleNamespace(paginate=lambda **asked: [cloud.list_executions(**asked)])

    runtime._parameters.cache_clear()
    yield runtime, "hcloud_client", connect
    yield runtime, "ssm", lambda: cloud
    for name, new in {
        "ssm": lambda: cloud,
        "step_functions": Client,
        "sns": lambda: cloud,
        "put_metrics": cloud.put_metrics,
        "datetime": Now,
        "BATCH": BATCH,
    }.items():
        if hasattr(module, name):
            yield module, name, new
