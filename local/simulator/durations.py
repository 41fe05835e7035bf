"""How long Hetzner takes, where a test does not say it."""

import math
import random

MEDIAN_SNAPSHOT_SECONDS = 150.0
P95_SNAPSHOT_SECONDS = 600.0
# 1.645 standard deviations from the median to the 95th percentile.
_SIGMA = math.log(P95_SNAPSHOT_SECONDS / MEDIAN_SNAPSHOT_SECONDS) / 1.645
MEDIAN_SERVER_SECONDS = 90.0

# Seconds, or a list from which each takes the first element. Without any: random.
Scripted = dict[int, float | list[float]]


def snapshot_seconds(rng: random.Random, scripted: Scripted, server_id: int) -> float:
    said = _next(scripted, server_id)
    return rng.lognormvariate(math.log(MEDIAN_SNAPSHOT_SECONDS), _SIGMA) if said is None else said


def server_seconds(scripted: Scripted, image_id: int, server_id: int) -> float:
    """Until a server is made from an image; at most an hour, as people have seen."""
    said = _next(scripted, image_id)
    if said is not None:
        return said
    # Its own generator: it changes nothing else that is random.
    rng = random.Random(f"made {server_id}")
    return min(3600.0, rng.lognormvariate(math.log(MEDIAN_SERVER_SECONDS), _SIGMA))


def _next(scripted: Scripted, id_: int) -> float | None:
    said = scripted.get(id_)
    if isinstance(said, list):
        return said.pop(0) if said else None
    return said
