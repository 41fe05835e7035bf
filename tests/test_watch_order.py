"""In which order the watch looks at projects, and that none waits for ever."""

from dataclasses import replace
from datetime import timedelta

from handler.decisions.watching import LATE, in_turns, late
from handler.documents.memory import Memory, Remembered
from tests.test_overdue import DAY, HOUR, KNOWN, NOW


def test_late_are_those_that_the_last_looks_did_not_see() -> None:
    memory = Memory(
        {
            "seen": KNOWN,
            "just": replace(KNOWN, last_seen=NOW - HOUR - LATE),
            "missed": replace(KNOWN, last_seen=NOW - 2 * HOUR),
            "never": Remembered(NOW - DAY),
        }
    )
    assert late(memory) == {"missed", "never"}
    assert late(Memory({"never": Remembered(NOW - DAY)})) == {"never"}
    assert late(Memory()) == frozenset()


def test_those_unseen_take_turns_in_being_the_first_and_the_others_keep_their_order() -> None:
    names, unseen = ["a", "new", "b", "c", "fine"], {"a", "b", "c"}
    orders = [in_turns(names, unseen, NOW + timedelta(hours=hour)) for hour in range(3)]
    assert sorted(order[0] for order in orders) == ["a", "b", "c"]
    for order in orders:
        assert order[3:] == ["new", "fine"] and set(order[:3]) == unseen
    assert in_turns(names, set(), NOW) == names
