"""Restores while Hetzner's API errs at random: nothing is made twice, left behind or let out."""

import random

import pytest

from local.simulator import Fault, faults
from tests.restores import Restoring, restoring

EFFECTS = [
    faults.html(502),
    faults.drop(),
    faults.truncated(),
    faults.rate_limited(),
    faults.status(503, "unavailable"),
    faults.status(409, "conflict"),
    faults.status(423, "locked"),
]


def in_trouble(drill: Restoring, seed: int) -> None:
    rng = random.Random(seed)
    for effect in rng.sample(EFFECTS, 3):
        when = rng.choice(["before", "after"])
        drill.world.faults.add(
            Fault(effect, times=None, when=when, probability=rng.uniform(0.02, 0.2))
        )
    drill.project.firewall_seconds = rng.choice([2, 30, 200])
    drill.project.server_seconds[drill.image.id] = rng.choice([30, 300, 2000])


def made(drill: Restoring) -> int:
    return sum(deed.what == "created" for deed in drill.world.deeds)


@pytest.mark.parametrize("seed", range(30))
def test_a_drill_in_trouble_leaves_nothing_that_is_not_told(seed: int) -> None:
    with restoring() as drill:
        in_trouble(drill, seed)
        ended = drill.end()
        assert made(drill) <= 1
        assert drill.never_acted()
        assert drill.server.id in drill.project.servers
        if drill.copies:
            assert ended.status == "failed"
            assert "still there" in ended.reason
        assert drill.image.labels["people/wrote"] == "this"


@pytest.mark.parametrize("seed", range(100, 120))
def test_what_is_kept_in_trouble_is_one_server_at_most_and_never_deleted(seed: int) -> None:
    with restoring(keep=True) as kept:
        in_trouble(kept, seed)
        kept.end()
        assert made(kept) <= 1
        assert kept.sent("DELETE") == 0
        assert kept.never_acted()
