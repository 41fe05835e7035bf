"""How long to wait next: pure, in whole seconds.

`spread` is a number from 0 to 1, drawn by the caller, that keeps a fleet from asking in step.
"""

LOCK_SECONDS = (15, 120)
TROUBLE_SECONDS = (30, 180)
SNAPSHOT_SECONDS = (10, 240)


def while_locked(elapsed_s: int, spread: float) -> int:
    """Longer the longer it has been locked: a lock of an hour is noticed within two minutes."""
    return _spread(_within(LOCK_SECONDS, elapsed_s / 6), spread)


def in_trouble(attempts: int, spread: float) -> int:
    """At least 30 s: by then a snapshot created by a request without an answer is listed."""
    return _spread(_within(TROUBLE_SECONDS, 30 * 1.3 ** min(attempts, 20)), spread)


def while_creating(elapsed_s: int, progress: int, spread: float) -> int:
    """Until the progress so far says it is done; without progress, a fifth of the time so far."""
    if 5 <= progress < 100 and elapsed_s > 0:
        expected_s = elapsed_s * (100 - progress) / progress
    else:
        expected_s = max(20.0, elapsed_s / 5)
    # Half-believed: progress that jumps must not cost more than a quarter of the time so far.
    longest_s = max(SNAPSHOT_SECONDS[0] * 2, elapsed_s / 4)
    return _spread(_within(SNAPSHOT_SECONDS, min(expected_s, longest_s)), spread)


def _within(bounds: tuple[int, int], seconds: float) -> float:
    return min(max(bounds[0], seconds), bounds[1])


def _spread(seconds: float, spread: float) -> int:
    return round(seconds * (1 + 0.2 * spread))
