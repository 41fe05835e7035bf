"""Simulated time."""

import threading
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Simulated time, `scale` simulated seconds per real second; 0 stands still.

    It never goes back, and may be read and advanced from any thread.
    """

    def __init__(self, start: datetime, scale: float = 0.0) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start must be aware of its time zone, got {start!r}")
        if scale < 0:
            raise ValueError(f"scale must not be negative, got {scale}")
        self._now = start.astimezone(UTC)
        self._scale = scale
        self._read_at = time.monotonic()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._catch_up()

    def advance(self, seconds: float) -> datetime:
        """Jump forward; returns the new now."""
        if seconds < 0:
            raise ValueError(f"time does not go back, got {seconds} seconds")
        with self._lock:
            self._now = self._catch_up() + timedelta(seconds=seconds)
            return self._now

    def _catch_up(self) -> datetime:
        read_at = time.monotonic()
        self._now += timedelta(seconds=(read_at - self._read_at) * self._scale)
        self._read_at = read_at
        return self._now
