"""Plays many nights, in several processes."""

import multiprocessing
from collections.abc import Callable, Collection

from bench.night import WAYS, Night, Way, play
from local.environment import forget_the_rest

Nights = dict[tuple[Way, int], list[Night]]
# The other ways send so many requests that a night with many servers takes a minute to play.
LARGE, SEEDS_OF_OTHERS = 500, 2


def play_all(
    ways: Collection[Way],
    sizes: Collection[int],
    seeds: int,
    jobs: int,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Nights:
    """By way and size, smallest first, each by seed; the longest nights are begun first."""
    tasks = [
        (way, size, seed)
        for size in sorted(sizes, reverse=True)
        for way in ways
        for seed in range(1, 1 + (seeds if _is_cheap(way, size) else min(seeds, SEEDS_OF_OTHERS)))
    ]
    found: Nights = {}
    # requests goes through the whole environment twice for each request.
    with multiprocessing.get_context("spawn").Pool(jobs, forget_the_rest) as pool:
        for done, night in enumerate(pool.imap_unordered(_one, tasks), 1):
            found.setdefault((night.way, night.servers), []).append(night)
            tell(done, len(tasks))
    order = sorted(found, key=lambda key: (key[1], WAYS.index(key[0])))
    return {key: sorted(found[key], key=lambda night: night.seed) for key in order}


def _is_cheap(way: Way, size: int) -> bool:
    return way == "ours" or size < LARGE


def _one(task: tuple[Way, int, int]) -> Night:
    return play(*task)
