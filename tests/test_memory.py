"""What the watch remembers: kept in 4 kB, read whatever is in it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.documents.memory import EPOCH, MOST_BYTES, LastLook, Memory, Remembered

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHOP = Remembered(
    first_seen=NOW - 99 * HOUR,
    last_seen=NOW - HOUR,
    servers=12,
    server=42_000_001,
    snapshot=290_000_001,
    told=frozenset({42_000_001, 43_000_000}),
    told_of_project=frozenset("ad"),
)
minutes = st.integers(0, 10**7).map(lambda n: EPOCH + timedelta(minutes=n))
ids = st.integers(1, 10**13)
projects = st.builds(
    Remembered,
    first_seen=minutes,
    last_seen=st.none() | minutes,
    servers=st.integers(0, 10**5),
    server=st.none() | ids,
    snapshot=st.none() | ids,
    told=st.frozensets(ids, max_size=5),
    all_told=st.booleans(),
    told_of_project=st.frozensets(st.sampled_from("teaduc")),
    copies=st.frozensets(ids, max_size=5),
)
names = st.text("abcXYZ019-", min_size=1, max_size=29)


@given(st.dictionaries(names, projects, max_size=5), st.booleans())
def test_what_is_remembered_is_read_again(found: dict[str, Remembered], told: bool) -> None:
    memory = Memory(found, problem_told=told)
    assert Memory.parse(memory.to_text()) == memory


def test_the_first_value_of_the_parameter_is_an_empty_memory() -> None:
    assert Memory.parse("{}") == Memory()


@given(st.text() | st.binary().map(repr))
def test_no_text_is_an_error(text: str) -> None:
    Memory.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "7", '"x"', '{"projects": 7}', '{"projects": ["a"]}', "[" * 100_000],
)
def test_a_text_that_is_no_memory_is_a_problem(text: str) -> None:
    memory = Memory.parse(text)
    assert not memory.projects
    assert memory.problem.startswith("what the watch remembered cannot be read: ")
    assert len(memory.problem) < 200


@pytest.mark.parametrize(
    "entry",
    [7, None, [], {}, "", "x", "1 2 3", "1 0 1 - - #", "# 0 1 - -", "1 0 1 -", "z" * 9],
)  # fmt: skip
def test_a_project_that_cannot_be_read_costs_the_others_nothing(entry: object) -> None:
    text = json.loads(Memory({"shop": SHOP}).to_text())
    text["projects"]["blog"] = entry
    memory = Memory.parse(json.dumps(text))
    assert memory.projects == {"shop": SHOP}
    assert memory.problem == "what was remembered of blog cannot be read"


@pytest.mark.parametrize(("count", "end"), [(10, "p18, p19"), (11, "p18, p19 and 1 more")])
def test_ten_that_cannot_be_read_are_named_and_the_others_counted(count: int, end: str) -> None:
    text = json.dumps({"projects": {f"p{n}": 7 for n in range(10, 10 + count)}})
    problem = Memory.parse(text).problem
    assert problem.startswith("what was remembered of p10, p11, ")
    assert problem.endswith(f" {end} cannot be read")


def test_a_last_look_without_its_time_cannot_be_read() -> None:
    text = json.loads(Memory({"shop": SHOP}).to_text())
    for at in (None, "soon", 7):
        memory = Memory.parse(json.dumps(text | {"at": at}))
        assert memory == Memory(problem="what was remembered of shop cannot be read")


def test_a_name_that_is_no_projects_is_not_read() -> None:
    text = Memory({"shop": SHOP}).to_text().replace("shop", "../else")
    assert Memory.parse(text) == Memory(problem="what was remembered of ../else cannot be read")


def test_what_a_newer_version_has_added_is_left_aside() -> None:
    text = json.loads(Memory({"shop": SHOP}).to_text())
    text |= {"version": 2, "more": {"of": "it"}}
    text["projects"]["shop"] += " 77 more"
    assert Memory.parse(json.dumps(text)) == Memory({"shop": SHOP})


def test_an_older_version_reads_a_copys_mark_as_a_number() -> None:
    entry = Memory({"shop": replace(SHOP, copies=frozenset({43_000_001}))}).to_text()
    [mark] = [mark for mark in entry.split(" ")[-1].split('"')[0].split(",") if mark[0] == "+"]
    assert int(mark, 36) == 43_000_001


def test_copies_are_the_first_to_be_left_out() -> None:
    found = {f"shop-{n}": replace(SHOP, copies=frozenset(range(10**9, 10**9 + 200)))
             for n in range(4)}  # fmt: skip
    after = Memory(found).fitted()
    assert len(after.to_text()) <= MOST_BYTES and not after.problem
    assert all(each.told == SHOP.told for each in after.projects.values())


def fleet(projects: int, told: int, name: str = "shop-{}") -> Memory:
    """Seen an hour ago, as large and as told as that."""
    return Memory(
        {
            name.format(n): Remembered(
                NOW - n * HOUR, NOW, 500, 120_000_000 + n, 330_000_000 + n,
                frozenset(range(120_000_000, 120_000_000 + told)),
            )
            for n in range(projects)
        }
    )  # fmt: skip


def test_a_hundred_projects_with_short_names_fit() -> None:
    memory = fleet(100, 0, "project-{}")
    assert len(memory.to_text()) <= MOST_BYTES
    assert memory.fitted() == memory


def test_many_told_servers_become_the_mark_for_all_of_the_longest_list_first() -> None:
    memory = fleet(10, 3)
    projects = dict(memory.projects)
    projects["big"] = fleet(1, 2000).projects["shop-0"]
    fitted = Memory(projects).fitted()
    assert len(fitted.to_text()) <= MOST_BYTES and not fitted.problem
    assert (fitted.projects["big"].all_told, fitted.projects["big"].told) == (True, frozenset())
    assert {name: fitted.projects[name] for name in memory.projects} == memory.projects


def test_two_told_servers_become_the_mark_before_a_project_is_left_out() -> None:
    memory = fleet(80, 2, "project-{}")
    assert len(memory.to_text()) > MOST_BYTES
    fitted = memory.fitted()
    assert fitted.projects.keys() == memory.projects.keys() and not fitted.problem
    assert {len(each.told) for each in fitted.projects.values() if not each.all_told} == {2}


def test_too_many_projects_are_said_and_those_seen_first_stay() -> None:
    memory = fleet(150, 1, "a-long-name-of-a-project-{}")
    fitted = memory.fitted()
    assert len(fitted.to_text()) <= MOST_BYTES
    left_out = memory.projects.keys() - fitted.projects.keys()
    # The higher its number, the longer ago it was seen first.
    assert left_out == {f"a-long-name-of-a-project-{n}" for n in range(len(left_out))}
    assert fitted.problem.startswith("there is no room to remember a-long-name-of-a-project-0, ")
    assert fitted.problem.endswith(f" and {len(left_out) - 10} more")
    # One id is no longer than the mark for all.
    assert not any(each.all_told for each in fitted.projects.values())
    # What is written is read as it was.
    assert Memory.parse(fitted.to_text()).projects == fitted.projects


def test_what_the_first_version_has_written_is_read_and_written_as_it_was() -> None:
    text = (
        '{"at":"2026-11-21T01:00:00Z","projects":{"new":"a03c - 0 - -",'
        '"shop":"9vic 0 c p07ep 4snpfl !ad,p07ep,pln0g"},"problem_told":true}'
    )
    memory = Memory({"shop": SHOP, "new": Remembered(NOW)}, problem_told=True)
    assert (Memory.parse(text), memory.to_text()) == (memory, text)


def test_what_is_not_told_is_nothing_and_no_time_is_before_the_first() -> None:
    untold = '{"at":null,"projects":{"new":"a03c - - - -"}}'
    assert Memory.parse(untold) == Memory({"new": Remembered(NOW)})
    # Nobody was told, and a newer version has written one field more.
    newer = '{"at":null,"projects":{"new":"a03c - 0 - - - 77"}}'
    assert Memory.parse(newer) == Memory({"new": Remembered(NOW)})
    early = Memory({"new": Remembered(EPOCH - HOUR)})
    assert Memory.parse(early.to_text()) == Memory({"new": Remembered(EPOCH)})


def test_a_parameter_of_ssm_is_filled_to_the_last_byte() -> None:
    few = fleet(50, 1).projects
    room = 4096 - len(Memory({**few, "z": SHOP}).to_text())
    full = Memory({**few, "z" * (room + 1): SHOP})
    assert len(full.to_text()) == 4096 and full.fitted() == full
    more = Memory({**few, "z" * (room + 2): SHOP}).fitted()
    assert len(more.to_text()) < 4096


def test_of_what_cannot_be_read_80_characters_are_shown() -> None:
    assert Memory.parse("{" + 99 * "x").problem.endswith(f"cannot be read: {'{' + 79 * 'x'!r}")
    name = json.dumps({"projects": {99 * "x": 7}})
    assert Memory.parse(name).problem == f"what was remembered of {80 * 'x'} cannot be read"


def test_a_project_that_was_never_seen_whole_is_known_by_nothing() -> None:
    assert Remembered(NOW).last_look == LastLook() == LastLook("", 0, None, None)
    assert SHOP.last_look == LastLook("2026-11-21T01:00:00Z", 12, 42_000_001, 290_000_001)


@pytest.mark.parametrize(
    ("remembered", "is_told"),
    [
        (Remembered(NOW), False),
        (Remembered(NOW, told=frozenset({1})), True),
        (Remembered(NOW, all_told=True), True),
        (Remembered(NOW, told_of_project=frozenset("a")), True),
    ],
)
def test_anything_that_people_were_told_is_to_be_ended(
    remembered: Remembered, is_told: bool
) -> None:
    assert remembered.is_told is is_told
