"""In which order the watch looks at projects, that none waits for ever, and what it remembers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from handler.decisions.overdue import Look
from handler.decisions.watching import in_turns, late, without
from handler.documents.memory import Memory, Remembered
from handler.documents.resources import Server, Snapshot
from tests.test_overdue import DAY, HOUR, KNOWN, NOW, good, look_again, seen, server


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


@pytest.mark.parametrize(
    ("servers", "snapshots", "by"),
    [
        ([], [], (0, None, None)),
        ([server(5), server(3)], [], (2, 3, None)),
        ([server(3)], [good(9, 3, 31), good(1, 3, 30)], (1, 3, 30)),
        # By a snapshot of another server: the one that is remembered may go with all of its own.
        ([server(5), server(3)], [good(1, 3, 30), good(9, 5, 50)], (2, 3, 50)),
        ([server(n) for n in (3, 5, 7)], [good(9, 5, 50), good(2, 7, 70), good(1, 3, 30)],
         (3, 3, 70)),
        ([server(n) for n in (3, 5, 7)], [good(9, 7, 70), good(9, 5, 90)], (3, 3, 90)),
    ],
)  # fmt: skip
def test_a_project_is_remembered_by_one_server_and_a_snapshot_of_another(
    servers: Sequence[Server], snapshots: Sequence[Snapshot], by: tuple[int, int | None, int | None]
) -> None:
    before = Memory({"shop": Remembered(NOW - DAY)})
    after = look_again(before, seen(servers, snapshots)).memory.projects["shop"]
    assert after == Remembered(NOW - DAY, NOW, *by)


def test_a_project_that_is_not_seen_is_remembered_as_it_was() -> None:
    before = replace(KNOWN, all_told=True)
    after = look_again(Memory({"shop": before}), Look("shop", None, "HTTP 502")).memory
    assert after.projects == {"shop": before}


def test_who_is_to_be_forgotten_is_and_nobody_else() -> None:
    memory = Memory({name: KNOWN for name in ("shop", "blog", "wiki")}, problem_told=True)
    assert without(memory, "shop", "wiki") == Memory({"blog": KNOWN}, problem_told=True)
    assert without(memory) == memory
