"""The functions as Lambda calls them: names, handlers, and the context that they are given."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from local.virtual.template import Stack

FUNCTIONS = (
    "StartRun",
    "ListServers",
    "CreateSnapshot",
    "CheckSnapshot",
    "PruneSnapshots",
    "SummariseRun",
    "WatchServers",
)
# Of restores and drills: deployed with the parameter Restores.
RESTORING = (
    "StartRestore",
    "PlanRestore",
    "CreateServer",
    "CheckServer",
    "RemoveServer",
    "SummariseRestore",
)
# Has a package of its own; no night calls it.
APART = "Tell"


@dataclass
class Context:
    """The context that Lambda passes to a handler."""

    function_name: str
    aws_request_id: str
    memory_limit_in_mb: int = 256
    remaining_ms: int = 120_000
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:test"

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@cache
def module_of(function: str) -> str:
    """The module with the function's handler, by the template."""
    return Stack().module(function)


def handler_of(function: str) -> Callable[[Any, Any], Any]:
    handler: Callable[[Any, Any], Any] = importlib.import_module(module_of(function)).handler
    return handler
