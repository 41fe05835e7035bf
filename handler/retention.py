"""Which snapshots of one server to keep, and why: pure, in restic's words.

A policy is written `last3`: the three newest are kept.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

POLICY = re.compile(r"last([1-9][0-9]{0,3})", re.ASCII)


class BadPolicy(ValueError):
    """A retention policy that means nothing; the message says how to write one."""


class Snapshot(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def created(self) -> datetime: ...
    @property
    def status(self) -> str: ...
    @property
    def protected(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Policy:
    last: int

    def __str__(self) -> str:
        return f"last{self.last}"


@dataclass(frozen=True, slots=True)
class Decision:
    snapshot: Snapshot
    keep: bool
    reason: str


def parse_policy(text: str) -> Policy:
    """The policy in the text; raises BadPolicy. No valid policy keeps nothing."""
    if match := POLICY.fullmatch(text):
        return Policy(last=int(match[1]))
    raise BadPolicy(f"{text[:80]!r} is not a retention policy; write for example last3")


def plan(policy: Policy, snapshots: Sequence[Snapshot]) -> list[Decision]:
    """A decision for each of one server's snapshots, newest first.

    Only available ones count or go; protected ones stay. As a policy's count is at least one, the
    newest good one always stays.
    """
    decisions = []
    counted = 0
    for snapshot in sorted(snapshots, key=lambda s: (s.created, s.id), reverse=True):
        if snapshot.status != "available":
            decisions.append(Decision(snapshot, True, f"not available but {snapshot.status}"))
            continue
        counted += 1
        if counted <= policy.last:
            decisions.append(Decision(snapshot, True, f"last {counted} of {policy.last}"))
        elif snapshot.protected:
            decisions.append(Decision(snapshot, True, "protected"))
        else:
            decisions.append(Decision(snapshot, False, "no rule keeps it"))
    return decisions
