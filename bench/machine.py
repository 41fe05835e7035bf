"""Step Functions in virtual time: the transitions that AWS would bill."""

from dataclasses import dataclass
from typing import Any

from local.virtual.machine import Walk


@dataclass
class Transitions:
    """Each state entered, each attempt at a task, each child started."""

    count: int = 0


@dataclass
class BilledWalk(Walk):
    transitions: Transitions | None = None

    def __post_init__(self) -> None:
        self.billed = self.transitions or Transitions()
        invoke = self.invoke

        def billed(function: str, document: Any, patience: float) -> Any:
            # AWS bills each retry as a transition, so a task counts once for each attempt.
            self.billed.count += 1
            return invoke(function, document, patience)

        self.invoke = billed

    def _step(self, state: dict[str, Any], document: Any) -> tuple[Any, str | None]:
        self.billed.count += state["Type"] != "Task"
        return super()._step(state, document)

    def _map(self, state: dict[str, Any], document: Any) -> list[Any]:
        results = super()._map(state, document)
        self.billed.count += len(results)
        return results
