"""In which order the watch looks at projects, and that none waits for ever."""

from dataclasses import replace
from datetime import timedelta

from handler.decisions.watching import in_turns, late
from handler.documents.memory import Memory, Remembered
from tests.test_overdue import DAY, HOUR, KNOWN, NOW


def test_late_are_those_that_the_last_looks_did_not_see() -> None:
    memory = Memory(
        {
            "seen": KNOWN,
            "just": replace(KNOWN, last_seen=NOW - HOUR - timedelta(minutes=30)),
            "a little late": replace(KNOWN, last_seen=NOW - HOUR - timedelta(minutes=30.5)),
            "missed": replace(KNOWN, last_seen=NOW - 2 * HOUR),
            "never": Remembered(NOW - DAY),
        }
    )
    assert late(memory) == {"a little late", "missed", "never"}
    assert late(Memory({"never": Remembered(NOW - DAY)})) == {"never"}
    assert late(Memory()) == frozenset()


def test_those_unseen_take_turns_in_being_the_first_and_the_others_keep_their_order() -> None:
    names, unseen = ["a", "new", "b", "c", "fine"], {"a", "b", "c"}
    # For half a year, each hour the next one.
    orders = [in_turns(names, unseen, NOW + timedelta(hours=hour)) for hour in range(24 * 180)]
    start = "abc".index(orders[0][0])
    assert all(order[0] == "abc"[(start + hour) % 3] for hour, order in enumerate(orders))
    for order in orders:
        assert order[3:] == ["new", "fine"] and set(order[:3]) == unseen
    assert in_turns(names, set(), NOW) == names
