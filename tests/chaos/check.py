"""Plays and checks nights and days: one, and the smallest variant of one that fails."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from local.virtual.stage import Stage
from tests.chaos import invariants, restored
from tests.chaos.day import Day
from tests.chaos.less import Less
from tests.chaos.night import Night


@dataclass(frozen=True)
class Kind:
    """What is played: drawn from a seed without some of its parts, and what must hold afterwards.

    `parts`: of each field of Less how many may be left out.
    """

    draw: Callable[[int, Less | None], Night | Day]
    broken: Callable[[Any], Iterable[str]]
    parts: Mapping[str, int]


KINDS = {
    "night": Kind(Night, invariants.broken, {"troubles": 11, "servers": 12}),
    "day": Kind(Day, restored.broken, {"starts": 5, "troubles": 4, "servers": 5}),
}


@dataclass(frozen=True)
class Report:
    kind: str
    seed: int
    told: list[str]
    broken: list[str]
    verdicts: list[str]
    requests: list[str]


def check(seed: int, kind: str = "night", less: Less | None = None) -> Report:
    """One of that kind, played and checked."""
    stage = KINDS[kind].draw(seed, less)
    told = stage.drawn()
    try:
        stage.play()
        found = list(KINDS[kind].broken(stage))
    except Exception as error:
        found = [f"the {kind} broke off: {error!r}"]
    verdicts = [e.error or e.status for e in stage.cloud.executions.values()]
    verdicts += [result["status"] for _, result in restored.results(stage)]
    requests = [f"{r.at} {r.method} {r.path} {r.status}" for r in stage.world.requests]
    return Report(kind, seed, told, found, verdicts, requests)


def check_drawn(drawn: tuple[int, str]) -> Report:
    """For processes of their own, which import this module and never the one that is run."""
    return check(*drawn)


def shrink(seed: int, kind: str = "night") -> Less:
    """The parts that can be left out, one after the other, while it still fails."""
    less = Less()
    for part, most in KINDS[kind].parts.items():
        for number in range(most):
            fewer = replace(less, **{part: getattr(less, part) | {number}})
            if check(seed, kind, fewer).broken:
                less = fewer
    return less


def show(seed: int, kind: str = "night") -> str:
    """All of it as text: what was random in it, each invocation, what was done, the results."""
    stage = KINDS[kind].draw(seed, None)
    lines = [f"{kind} {seed}", *stage.drawn()]
    stage.play()
    lines += _invocations(stage)
    for deletion in stage.truth.deletions:
        lines.append(f"{deletion.at:9.1f} DELETE {deletion.image.id} of {deletion.image.created}")
    for image in stage.truth.created.values():
        lines.append(f"created {image.id} {image.status} {image.labels}")
    for deed in stage.world.deeds:
        server = f"{deed.server_id} ({deed.name})"
        lines.append(f"{deed.at:%d %H:%M:%S} {deed.what} {server} {deed.can_act_by or ''}")
    for execution in (*stage.cloud.executions.values(), *stage.cloud.restores.values()):
        lines.append(f"{execution.name}: {execution.status} {execution.error} {execution.cause}")
        lines += [f"  {result}" for result in execution.results.values()]
    lines += [f"  {result}" for _, result in restored.results(stage)]
    lines += [f"refused: {text}" for text in stage.cloud.refusals]
    return "\n".join(line[:500] for line in [*lines, *KINDS[kind].broken(stage)])


def _invocations(stage: Stage) -> Iterable[str]:
    for invocation in stage.cloud.invocations:
        event, output = invocation.event or {}, invocation.output or {}
        server = (event.get("server") or {}).get("name", "")
        fate = f" [{invocation.fate.what}]" if invocation.fate else ""
        if invocation.function != "WatchServers" or invocation.messages or fate:
            yield (
                f"{invocation.started:9.1f} {invocation.function} {server[:12]}{fate} -> "
                f"{output.get('status')}, {output.get('wait_seconds')} s, "
                f"{str(output.get('summary') or output.get('reason'))[:250]}"
            )
        for message in invocation.messages:
            yield f"{'':10}told: {message['Subject']}"
