"""Which copies of dead drills are told and swept, and when: tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from handler.decisions.copies_left import is_time_to_sweep, left_behind, why_left
from handler.documents.resources import Server

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LONGEST = 2 * HOUR  # no restore needs a copy for longer


def copy(hours: float, id_: int = 1, hourly_net: str = "") -> Server:
    """One that is so many hours old."""
    made = NOW - hours * HOUR
    bare = Server(id_, f"drill-{id_}", "running", None, None, None, None, {}, made)
    return replace(bare, hourly_net=hourly_net)


def test_a_copy_that_a_restore_may_still_need_is_not_left_behind() -> None:
    assert left_behind([copy(2), copy(1)], LONGEST, [NOW]) == []
    old, older, twin = copy(2.1), copy(5, 9), copy(5, 3)
    assert left_behind([old, older, twin], LONGEST, [NOW]) == [twin, older, old]
    # It must be too old by each clock.
    for clocks in ([NOW - 10 * MINUTE, NOW], [NOW, NOW - 10 * MINUTE]):
        assert left_behind([old, older], LONGEST, clocks) == [older]


def test_what_is_left_is_named_with_its_age_and_its_price() -> None:
    left = "a server that a drill made is still there"
    assert why_left(copy(5), NOW) == f"{left}: drill-1 (1, 5.0 hours old)"
    priced = why_left(copy(2.5, hourly_net="0.0061 EUR"), NOW)
    assert priced == (
        f"{left}: drill-1 (1, 2.5 hours old, 0.0061 EUR per hour net without its address)"
    )


def test_a_sweep_is_asked_for_at_once_after_three_hours_and_then_daily() -> None:
    swept = [
        hours for hours in range(75)
        if is_time_to_sweep([copy(2.5 + hours)], LONGEST, NOW)
    ]  # fmt: skip
    assert swept == [0, 3, 24, 48, 72]
    # One of them is enough, and none is none.
    assert is_time_to_sweep([copy(2.5 + 7), copy(2.5 + 3)], LONGEST, NOW)
    assert not is_time_to_sweep([], LONGEST, NOW)
