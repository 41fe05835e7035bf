"""What is left out of a night or a day, to find the smallest one that still fails."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Less:
    """Numbers of what is left out; what is random in the rest stays as it was."""

    troubles: frozenset[int] = frozenset()
    servers: frozenset[int] = frozenset()
    starts: frozenset[int] = frozenset()  # of a day: its night, drills, restores, sweeps
