"""WatchServers, asked by a person: it has the tokens, and they stay at AWS."""

import json
from collections.abc import Mapping
from typing import Any

from deploy.account import Account, Failed, Stack, command, refuse_unready
from deploy.settings import Settings
from local.common.variables import Unusable

# Lambda ends the function after 900 s.
LONGEST_SECONDS = 920


class Refused(Unusable):
    """WatchServers has refused the event, and nothing was done."""


def function_of(stack: Stack, settings: Settings) -> str:
    """Raises Unusable if the stack has no WatchServers."""
    if not (function := stack.outputs.get("WatchServersFunction")):
        refuse_unready(stack, settings)
        raise Unusable(
            f"The stack {stack.name} is of an older version, which has no function WatchServers "
            f"that could be asked. Bring it up to date: {command('deploy', settings)}"
        )
    return function


def ask_watch(
    account: Account, stack: Stack, settings: Settings, event: Mapping[str, Any]
) -> dict[str, Any]:
    """Its answer. Raises Refused, Unusable if the stack has no such function, and Failed."""
    function = function_of(stack, settings)
    # A second attempt would look at everything a second time.
    answer = account.client("lambda", attempts=1, longest_s=LONGEST_SECONDS).invoke(
        FunctionName=function, Payload=json.dumps(event).encode()
    )
    payload = json.loads(answer["Payload"].read())
    if not answer.get("FunctionError") and isinstance(payload, dict):
        return payload
    error = payload if isinstance(payload, dict) else {}
    said = error.get("errorMessage", payload)
    if error.get("errorType") == "EventRefused":
        raise Refused(str(said))
    raise Failed(
        f"WatchServers ended with an error: {str(said).rstrip('.')}. The log group "
        f"{stack.outputs.get('LogGroupName', '')} says more."
    )
