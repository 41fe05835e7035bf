"""Plays and checks nights: one, a range, and the smallest variant of one that fails."""

import json
from dataclasses import dataclass, replace

from tests.chaos.invariants import broken
from tests.chaos.night import Less, Night


@dataclass(frozen=True)
class Report:
    seed: int
    story: str
    told: list[str]
    broken: list[str]
    verdicts: list[str]
    requests: list[str]


def check(seed: int, less: Less | None = None) -> Report:
    """One night, played and checked."""
    night = Night(seed, less)
    told = [
        f"story: {night.story}; event: {json.dumps(night.event)}",
        f"servers: {len(night.project.servers)}; images: {len(night.project.images)}",
        *night.troubles,
        *night.watch,
        *sorted(night.beliefs),
    ]
    try:
        night.play()
        found = broken(night)
    except Exception as error:
        found = [f"the night broke off: {error!r}"]
    verdicts = [e.error or e.status for e in night.cloud.executions.values()]
    requests = [f"{r.at} {r.method} {r.path} {r.status}" for r in night.world.requests]
    return Report(seed, night.story, told, found, verdicts, requests)


def shrink(seed: int) -> Less:
    """The parts that can be left out, one after the other, while the night still fails."""
    less = Less()
    for number in range(11):
        fewer = replace(less, troubles=less.troubles | {number})
        if check(seed, fewer).broken:
            less = fewer
    for number in range(12):
        fewer = replace(less, servers=less.servers | {number})
        if check(seed, fewer).broken:
            less = fewer
    return less


def show(seed: int) -> str:
    """A whole night as text: what was random in it, each invocation, the results."""
    night = Night(seed)
    lines = [f"seed {seed}: {night.story} {json.dumps(night.event)}", *night.troubles]
    lines += night.watch
    night.play()
    for invocation in night.cloud.invocations:
        server = invocation.event.get("server", {}).get("name", "") if invocation.event else ""
        output = invocation.output or {}
        fate = f" [{invocation.fate.what}]" if invocation.fate else ""
        lines.append(
            f"{invocation.started:9.1f} {invocation.function} {server[:12]}{fate} -> "
            f"{output.get('status')}, {output.get('wait_seconds')} s, "
            f"{str(output.get('reason'))[:160]}"
        )
    for deletion in night.truth.deletions:
        lines.append(f"{deletion.at:9.1f} DELETE {deletion.image.id} of {deletion.image.created}")
    for image in night.truth.created.values():
        lines.append(f"created {image.id} {image.status} {image.labels}")
    for execution in night.cloud.executions.values():
        lines.append(f"{execution.name}: {execution.status} {execution.error} {execution.cause}")
        lines += [f"  {result}" for result in execution.results.values()]
    lines += [f"refused: {text}" for text in night.cloud.refusals]
    return "\n".join(line[:500] for line in lines)
