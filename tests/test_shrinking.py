"""A server whose disk was emptied keeps a snapshot from before; growing ones are let be."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.decisions import pruning, shrinking
from handler.decisions.retention import Decision, plan
from handler.documents.job import Job, ServerItem, StartedSnapshot
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_RUN_ID, LABEL_SERVER_ID
from handler.documents.policy import Policy, parse_policy
from handler.documents.request import FIELDS
from handler.documents.resources import Server, Snapshot
from local.virtual.template import ROOT
from tests.test_creating import NOW, job
from tests.test_retention import policies

DOC = (ROOT / "docs" / "retention.md").read_text()
POLICIES = ["last1", "daily3", "daily7-weekly4", "within3d", "last2-withindaily5d"]
KEPT_TOO = "no rule keeps it, but those that stay are less than half as large"


def night(nr: int, size_gb: float | None, **more: Any) -> Snapshot:
    """The snapshot of one night, numbered from the oldest."""
    labels = {
        LABEL_MANAGED_BY: "me",
        LABEL_RUN_ID: f"night-{nr}",
        LABEL_SERVER_ID: "42",
    } | more.pop("labels", {})
    created = datetime(2026, 1, 1, 2, tzinfo=UTC) + timedelta(days=nr)
    return Snapshot(nr, created, size_gb=size_gb, labels=labels, **more)


def nights(*sizes: float | None) -> list[Snapshot]:
    return [night(nr, size) for nr, size in enumerate(sizes)]


def kept(decisions: Sequence[Decision]) -> set[int]:
    return {decision.snapshot.id for decision in decisions if decision.keep}


# The golden rows


@dataclass(frozen=True)
class Row:
    sentence: str
    policy: str
    sizes: tuple[float | None, ...]  # oldest first
    marks: str  # of each: # kept by a rule, L kept as the larger one, . deleted


ROWS = [
    Row("all as large", "last2", (9, 9, 9, 9), "..##"),
    Row("it varies", "last2", (9, 10, 7, 8), "..##"),
    Row("a disk that grows", "last2", (2, 4, 8, 16), "..##"),
    Row("emptied, and one from before is kept by the policy", "last2", (9, 9, 9, 0.4), "..##"),
    Row("emptied, and none is", "last2", (9, 9, 0.4, 0.4), ".L##"),
    Row("long ago", "last2", (9, 0.4, 0.4, 0.4, 0.4), "L..##"),
    Row("a monthly one is kept by the policy", "last1-monthly2",
        (*[9] * 40, 1, 1), 30 * "." + "#" + 10 * "." + "#"),
    Row("half is enough", "last1", (9, 4.5), ".#"),
    Row("less is not", "last1", (9, 4.4), "L#"),
    Row("one of 1 GB troubles nobody", "last1", (1.0, 0.1), ".#"),
    Row("one of more does", "last1", (1.1, 0.1), "L#"),
    Row("nor does one of 0.5 GB", "last1", (0.5, 0.01), ".#"),
    Row("filled again", "last2", (9, 9, 0.4, 8), "..##"),
    Row("of several sizes the newest of the larger ones", "last1", (8, 10, 6, 3, 1), "..L.#"),
    Row("not one that the next night would let go", "last1", (10, 5, 3), "L.#"),
    Row("nor one that is just twice as large", "last1", (7, 4, 2), "L.#"),
    Row("nor one that is small itself", "last1", (1.6, 0.9, 0.3), "L.#"),
    Row("but one that is just half as large as the largest", "last1", (10, 5, 2), ".L#"),
    Row("an unknown size is not large", "last1", (9, None, 0.4), "L.#"),
    Row("nothing is known of those that stay", "last2", (9, 9, None, None), "..##"),
    Row("something is known of those that stay", "last2", (9, 9, None, 0.4), ".L##"),
    Row("nothing is known at all", "last1", (None, None, None), "..#"),
    Row("a duration", "within2d", (9, 9, 9, 0.4, 0.4), "..L##"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_which_larger_one_stays(row: Row) -> None:
    decisions = plan(parse_policy(row.policy), nights(*row.sizes))
    marks = {"rule": "#", "larger": "L", "no rule": "."}
    assert "".join(marks[decision.kind] for decision in reversed(decisions)) == row.marks
    assert {d.reason for d in decisions if d.kind == "larger"} <= {KEPT_TOO}


def test_a_protected_one_is_large_enough_for_all_and_a_broken_one_is_not() -> None:
    policy = parse_policy("last1")
    protected = [night(0, 9, protected=True), *nights(0, 9, 0.4)[1:]]
    assert [d.kind for d in plan(policy, protected)] == ["rule", "no rule", "protected"]
    broken = [*nights(9, 0.4), night(2, 9, status="unavailable"), night(3, 9, status="creating")]
    assert [d.kind for d in plan(policy, broken)] == ["exempt", "exempt", "rule", "larger"]
    ahead = [*nights(9, 0.4), night(9, 9)]
    now = ahead[1].created
    assert [d.kind for d in plan(policy, ahead, now=now)] == ["exempt", "rule", "larger"]


def test_one_that_waits_for_the_limit_of_deletions_is_not_one_that_stays() -> None:
    decisions = plan(parse_policy("last1"), nights(9, 9, 9, 0.4), most_deletions=1)
    assert [decision.kind for decision in decisions] == ["rule", "larger", "postponed", "no rule"]
    # The larger one takes no place of those that may go.
    decisions = plan(parse_policy("last1"), nights(9, 0.4, 0.4), most_deletions=1)
    assert [decision.kind for decision in decisions] == ["rule", "no rule", "larger"]


def test_the_table_in_the_documentation_is_so() -> None:
    [table] = re.findall(r"^\| Snapshots, oldest .*\n\|[-|]+\|\n((?:\|.*\n)+)", DOC, re.MULTILINE)
    assert len(table.splitlines()) == 5
    for row in table.splitlines():
        there, left = ([float(gb) for gb in cell.split(",")] for cell in row.strip("|").split("|"))
        decisions = plan(parse_policy("last2"), nights(*there))
        assert [d.snapshot.size_gb for d in reversed(decisions) if d.keep] == left, row


# Said a second time


sizes = st.none() | st.sampled_from([0.1, 0.5, 0.9, 1.0, 1.1, 2.0, 2.1, 4.9, 5.0, 9.9, 10.0, 21.0])


@st.composite
def histories(draw: st.DrawFn) -> list[Snapshot]:
    """Snapshots of all sizes, some protected or broken, at most a few weeks apart."""
    count = draw(st.integers(0, 14))
    days = sorted(draw(st.lists(st.integers(0, 90), min_size=count, max_size=count)))
    return [
        replace(
            night(nr, draw(sizes)),
            created=datetime(2026, 1, 1, 2, tzinfo=UTC) + timedelta(days=day),
            status=draw(st.sampled_from(["available"] * 5 + ["unavailable"])),
            protected=draw(st.sampled_from([False] * 5 + [True])),
        )
        for nr, day in enumerate(days)
    ]


@given(policies, histories())
def test_the_guard_only_adds_one_and_only_where_all_that_stay_are_smaller(
    policy: Policy, history: list[Snapshot]
) -> None:
    plain = plan(policy, history, accept_smaller=True)
    stay = {d.snapshot.id for d in plain if d.kind in ("rule", "protected")}
    go = [d.snapshot for d in plain if not d.keep]
    extra = kept(plan(policy, history)) - kept(plain)
    assert kept(plan(policy, history)) >= kept(plain)
    known = [s.size_gb for s in history if s.id in stay and s.size_gb is not None]
    large = [s for s in go if s.size_gb is not None and s.size_gb > 1]
    smaller = bool(known and large) and all(
        2 * gb < max(s.size_gb or 0 for s in large) for gb in known
    )
    assert len(extra) == smaller
    for found in (s for s in go if s.id in extra):
        assert all((found.size_gb or 0) > 2 * gb for gb in known)
        assert all(2 * (found.size_gb or 0) >= (s.size_gb or 0) for s in go)


@given(policies, histories(), st.integers(1, 6))
def test_no_limit_of_deletions_lets_more_go_than_the_policy_does(
    policy: Policy, history: list[Snapshot], most: int
) -> None:
    goes = {d.snapshot.id for d in plan(policy, history, most_deletions=most) if not d.keep}
    may = {d.snapshot.id for d in plan(policy, history, accept_smaller=True) if not d.keep}
    assert goes <= may and len(goes) <= most


@given(policies, histories())
def test_what_stays_goes_in_no_later_run_either(policy: Policy, history: list[Snapshot]) -> None:
    stays = [decision.snapshot for decision in plan(policy, history) if decision.keep]
    assert all(decision.keep for decision in plan(policy, stays))


@given(
    policies,
    st.lists(st.floats(5.5, 10), min_size=1, max_size=6),
    st.lists(st.floats(0.1, 2.4), min_size=1, max_size=10),
    st.integers(1, 6),
)
def test_one_from_before_the_disk_was_emptied_stays_for_any_number_of_nights(
    policy: Policy, before: list[float], after: list[float], most: int
) -> None:
    there: list[Snapshot] = []
    for made in nights(*before, *after):
        there = [
            decision.snapshot
            for decision in plan(policy, [*there, made], most_deletions=most)
            if decision.keep
        ]
    assert any(snapshot.id < len(before) for snapshot in there)


# Sixty nights


def played(policy: str, sizes: Sequence[float]) -> Iterator[tuple[list[Snapshot], str, str]]:
    """After each night what is there, how the server ended, and what was said."""
    there: list[Snapshot] = []
    for made in nights(*sizes):
        there = [made, *there]
        start: Job = job(
            600,
            snapshot=StartedSnapshot(made.id),
            status="pruning",
            run={
                "id": f"night-{made.id}",
                "retention": policy,
                "began": f"{made.created:%Y-%m-%dT%H:%M:%SZ}",
            },
        )
        start = replace(start.with_deadline(60), server=ServerItem(42, "sg5"))
        server = Server(42, "sg5", "running", None, None, None, None, {}, NOW)
        seen = pruning.Seen(tuple(there), server=server)
        step = pruning.decide(start, seen, 0.0, made.created)
        there = [snapshot for snapshot in there if snapshot.id not in (step.delete or ())]
        result = step.job.result
        yield there, "told" if result and not result.pruned else "", step.notes


@pytest.mark.parametrize("policy", POLICIES)
def test_an_emptied_disk_keeps_one_from_before_for_sixty_nights_and_is_told_once(
    policy: str,
) -> None:
    before = [10 + nr % 3 for nr in range(20)]
    after = [0.3 + nr % 4 / 10 for nr in range(60)]
    story = list(played(policy, [*before, *after]))
    assert [nr for nr, (_, told, _) in enumerate(story) if told] == [20]
    there, _, notes = story[-1]
    larger = [snapshot for snapshot in there if snapshot.id < 20]
    assert len(larger) == 1 and notes.startswith(f"snapshot {larger[0].id} (")
    # All the rest is as the policy says.
    small = [snapshot for snapshot in there if snapshot.id >= 20]
    assert kept(plan(parse_policy(policy), small)) == {snapshot.id for snapshot in small}


@pytest.mark.parametrize(
    "sizes",
    [
        [2 * 1.1**nr for nr in range(60)],
        [2 + 5 * nr for nr in range(60)],
        [0.5] * 20 + [0.01] * 40,
        [10 - nr % 4 for nr in range(60)],
    ],
    ids=["it grows", "fast", "it has 0.5 GB", "it varies"],
)
def test_a_disk_that_grows_or_has_half_a_gigabyte_troubles_nobody(sizes: list[float]) -> None:
    for there, told, notes in played("daily3", sizes):
        assert (told, notes) == ("", "")
        assert len(there) <= 3


# What is said, and when


def watched(*snapshots: Snapshot, new: int, run_id: str = "") -> str:
    start = job(600, snapshot=StartedSnapshot(new), run={"id": run_id or f"night-{new}"})
    return shrinking.warning(start, snapshots)


def test_the_warning_names_both_sizes_and_the_snapshot_before() -> None:
    assert watched(*nights(12, 11.43, 0.8), new=2) == (
        "0.8 GB after 11.43 GB (snapshot 1): was the disk emptied? A larger one stays"
    )


def test_only_this_runs_own_snapshot_is_compared_and_only_with_the_newest_before_it() -> None:
    assert watched(*nights(9, 9, 4.4), new=2)
    assert not watched(*nights(9, 9, 4.5), new=2)
    assert not watched(*nights(1.0, 0.1), new=1)
    assert watched(*nights(1.1, 0.1), new=1)
    assert not watched(*nights(9, 0.4, 0.4), new=2)
    assert not watched(*nights(0.4, 9), new=1)
    assert not watched(*nights(0.4), new=0)
    # Another run's newer one is that run's.
    assert not watched(*nights(9, 9, 0.4), new=1)
    assert watched(*nights(9, 0.4, 0.4), new=1)
    assert shrinking.warning(job(600), nights(9, 0.4)) == ""


def test_a_second_one_of_this_run_hides_nothing() -> None:
    twin = night(1, 0.4, labels={LABEL_RUN_ID: "night-2"})
    assert watched(night(0, 9), twin, night(2, 0.4), new=2)
    assert watched(
        night(0, 9), replace(twin, id=3), replace(night(2, 0.4), created=twin.created), new=2
    )


def test_sizes_that_are_not_known_are_passed_over() -> None:
    assert not watched(*nights(9, None), new=1)
    assert watched(*nights(9, None, 0.4), new=2)
    assert not watched(*nights(None, 0.4), new=1)
    assert not watched(night(0, 9, status="unavailable"), night(1, 0.4), new=1)
    assert watched(*nights(9, 0.0), new=1)


def test_one_of_another_server_is_compared_with_nothing_and_hides_nothing() -> None:
    """Somebody has copied our labels to it."""
    assert not watched(night(0, 9), night(1, 400, made_of=7), night(2, 9), new=2)
    assert watched(night(0, 9), night(1, 0.5, made_of=7), night(2, 0.4), new=2)
    assert watched(night(0, 9, made_of=42), night(1, 0.4), new=1)


def test_the_note_names_what_is_kept_and_what_lets_it_go() -> None:
    small = tuple(nights(11.43, 0.4, 0.3))
    start = job(
        600, snapshot=StartedSnapshot(2), status="pruning", waited_s=60,
        run={"id": "night-2", "retention": "last2"},
    )  # fmt: skip
    step = pruning.decide(start.with_deadline(60), pruning.Seen(small), 0.0, NOW)
    assert step.notes == (
        "snapshot 0 (11.43 GB) is kept, the rest is less than half as large; to let it go: "
        "accept_smaller"
    )
    said = pruning.after_deleting(step.job, step, pruning.Deleted(), 0.0).result
    assert said and said.reason == step.notes
    assert "accept_smaller" in FIELDS
    # The same in a dry run; and nothing where nothing is kept so.
    dry = replace(start, snapshot=None, run=replace(start.run, dry_run=True, prune_only=True))
    planned = pruning.decide(dry, pruning.Seen(small), 0.0, NOW).job.result
    assert planned and planned.reason == said.reason
    accepted = replace(dry.run, accept_smaller=True)
    planned = pruning.decide(replace(dry, run=accepted), pruning.Seen(small), 0.0, NOW).job.result
    assert planned and (planned.reason, planned.deleted) == ("", 1)


def test_a_wrong_label_and_a_smaller_disk_are_both_told() -> None:
    start = job(600, snapshot=StartedSnapshot(1), status="pruning", run={"id": "night-1"})
    start = replace(start, server=ServerItem(42, "sg5", problem="its label is nonsense"))
    result = pruning.decide(start, pruning.Seen(tuple(nights(9, 0.4))), 0.0, NOW).job.result
    assert result and not result.pruned
    assert result.reason.startswith("made, not pruned: 0.4 GB after 9 GB (snapshot 0): was")
    assert result.reason.endswith("; its label is nonsense")
