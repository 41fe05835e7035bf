"""Copies that restores made to throw away and that are still there: which, and what to do. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from handler.documents.resources import Server

# A sweep is asked for when a copy should have been gone, so many hours later, and each day.
AGAIN_HOURS = 3


def left_behind(
    copies: Sequence[Server], longest: timedelta, clocks: Sequence[datetime]
) -> list[Server]:
    """Those that no restore can need any more, oldest first; old enough by all these clocks."""
    now = min(clocks)
    left = [copy for copy in copies if now - copy.created > longest]
    return sorted(left, key=lambda copy: (copy.created, copy.id))


def why_left(copy: Server, now: datetime) -> str:
    """What is left, in words."""
    hours = (now - copy.created) / timedelta(hours=1)
    price = f", {copy.hourly_net} per hour net without its address" if copy.hourly_net else ""
    called = f"{copy.name} ({copy.id}, {hours:.1f} hours old{price})"
    return f"a server that a drill made is still there: {called}"


def is_time_to_sweep(left: Sequence[Server], longest: timedelta, now: datetime) -> bool:
    """Whether to ask now for their removal: at first, soon again, then once a day.

    Looks come hourly. A sweep that cannot help tells people so each time.
    """
    overdue_h = {int((now - copy.created - longest) / timedelta(hours=1)) for copy in left}
    return any(hours == AGAIN_HOURS or hours % 24 == 0 for hours in overdue_h)
