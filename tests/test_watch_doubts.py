"""What the watch judges where clocks differ or not all is seen, and of what drills have left."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from handler.decisions.overdue import COPIES, TWICE, UNSEEN, Limits, Look, ProjectState, judged
from handler.decisions.watching import concluded
from handler.documents.labels import LABEL_ENABLED, LABEL_EVERY
from handler.documents.memory import Memory, Remembered
from handler.documents.resources import Server, Snapshot
from tests.test_overdue import DAY, HOUR, KNOWN, LIMITS, NOW, good, seen, server

MINUTE = timedelta(minutes=1)
COPIES_TOO = replace(LIMITS, copy_minutes=120)
TOLD = replace(KNOWN, told=frozenset({1}))


def of(*looks: Look, limits: Limits = LIMITS, **remembered: Remembered) -> list[ProjectState]:
    return list(judged(looks, remembered, NOW, limits))


def said(state: ProjectState) -> list[str]:
    return [each.reason for each in state.overdue]


def at(look: Look, moment: datetime | None) -> Look:
    """The same, by that clock of Hetzner's."""
    assert look.survey
    return replace(look, survey=replace(look.survey, now=moment))


# Clocks.


def is_late(snapshots: Sequence[Snapshot], hetzner: datetime | None, before: Remembered) -> bool:
    [state] = of(at(seen(snapshots=snapshots), hetzner), shop=before)
    return bool(said(state))


@pytest.mark.parametrize("off", [-DAY, -HOUR, HOUR, DAY])
def test_what_becomes_overdue_is_so_by_both_clocks_and_its_end_too(off: timedelta) -> None:
    fine, late = [good(25.5)], [good(26.5)]
    # One clock makes nothing late that is fine by the other one, and ends nothing.
    assert not is_late(fine, NOW + off, KNOWN)
    assert is_late(late, NOW + off, KNOWN) is (off > timedelta())
    assert is_late(late, NOW + off, TOLD)
    assert is_late(fine, NOW + off, TOLD) is (off > timedelta())
    assert is_late(fine, NOW + off, replace(KNOWN, all_told=True)) is (off > timedelta())


def test_without_hetzners_clock_ours_counts() -> None:
    assert is_late([good(26.5)], None, KNOWN) and not is_late([good(25.5)], None, KNOWN)


@pytest.mark.parametrize("hetzner", [NOW - HOUR, NOW, NOW + HOUR])
def test_what_seems_to_be_made_later_than_now_tells_no_age(hetzner: datetime) -> None:
    latest = max(hetzner, NOW)
    for ahead, counts in ((59 * MINUTE, True), (60 * MINUTE, False)):
        made = replace(good(0, id=12), created=latest + ahead)
        assert is_late([good(30), made], hetzner, TOLD) is not counts


def test_a_server_from_the_future_counts_from_the_projects_first_look() -> None:
    ahead = server(created=NOW + HOUR)
    [state] = of(seen([ahead]), shop=replace(KNOWN, first_seen=NOW - 28 * HOUR))
    assert said(state) == [
        "it has no good snapshot, 1.2 days after it was first seen, 2026-11-20 08:00Z"
    ]


def test_a_run_that_has_only_begun_mends_nothing_that_was_told() -> None:
    going = seen(snapshots=[good(28)], is_running=True)
    assert [said(of(going, shop=before)[0]) != [] for before in (KNOWN, TOLD)] == [False, True]
    # Where none goes on there is no time at all.
    assert said(of(seen(snapshots=[good(26.01)]), shop=KNOWN)[0])
    # A limit alone gives a run no time.
    for hours, late in ((26, False), (26.01, True)):
        [state] = of(seen(snapshots=[good(hours)], is_running=True), limits=Limits(26))
        assert bool(said(state)) is late


def test_each_servers_limit_and_when_it_is_due_are_told() -> None:
    [state] = of(
        seen([server(**{LABEL_EVERY: "1w"}), server(2, **{LABEL_ENABLED: "false"})], [good(3)]),
        shop=KNOWN,
    )
    kept, out = state.servers
    assert (kept.limit_hours, kept.due_at) == (26 + 7 * 24, NOW - 3 * HOUR + 194 * HOUR)
    assert (out.due_at, out.overdue) == (None, "") and "is false" in out.left_out
    [state] = of(seen(snapshots=[good(3)]), limits=Limits(0))
    assert state.servers[0].due_at is None


# Not all is seen.

UNSEEN_NOW = Look("shop", None, "HTTP 502")


def test_servers_that_cannot_be_seen_are_overdue_since_they_were_seen_last() -> None:
    [state] = of(UNSEEN_NOW, shop=replace(KNOWN, told=frozenset({7}), all_told=True))
    assert [(each.server, each.since, each.told_as) for each in state.overdue] == [
        ("server 7", NOW - HOUR, 7), ("some servers", NOW - HOUR, "*")
    ]  # fmt: skip
    [state] = of(UNSEEN_NOW, shop=Remembered(NOW - DAY, told=frozenset({7})))
    assert [each.since for each in state.overdue] == [NOW]


def test_a_project_that_is_not_seen_is_overdue_from_its_limit_on() -> None:
    [state] = of(UNSEEN_NOW, shop=replace(KNOWN, last_seen=NOW - 27 * HOUR))
    assert [(each.told_as, each.since) for each in state.overdue] == [(UNSEEN, NOW - HOUR)]


@pytest.mark.parametrize("last_seen", [None, NOW - HOUR])
def test_what_was_told_of_a_project_stands_while_it_cannot_be_seen(
    last_seen: datetime | None,
) -> None:
    told = Remembered(NOW - DAY, last_seen, told_of_project=frozenset({TWICE, UNSEEN}))
    [state] = of(UNSEEN_NOW, shop=told)
    why = "what was told of it still stands, because it cannot be seen now: HTTP 502"
    assert [(each.told_as, each.reason) for each in state.overdue] == [(TWICE, why), (UNSEEN, why)]
    assert {each.since for each in state.overdue} == {last_seen or NOW - DAY}
    # Without a limit nothing is.
    assert said(of(UNSEEN_NOW, limits=Limits(0), shop=told)[0]) == []


def test_a_token_that_is_stored_twice_stays_so_until_all_projects_are_seen() -> None:
    told = replace(KNOWN, told_of_project=frozenset({TWICE, UNSEEN}))
    fine, other = seen(snapshots=[good(1)]), seen([server(2)], [good(1, 2, 22)], "blog")
    [state, _] = of(fine, Look("blog", None, "HTTP 502"), shop=told)
    assert said(state) == [
        "what was told of it still stands, because another project cannot be seen now"
    ]
    for seen_or_gone in (other, Look("blog", None, "no token", has_token=False)):
        assert said(of(fine, seen_or_gone, shop=told)[0]) == []


def test_of_three_that_see_one_server_each_is_told_of_one_other() -> None:
    looks = [seen(snapshots=[good(1)], project=name) for name in ("b", "c", "a")]
    twins = [said(state)[0].split()[5] for state in of(*looks)]
    assert twins == ["a", "a", "b"]


def test_what_is_seen_is_remembered_only_of_the_project_itself() -> None:
    other = seen([server(2)], [good(300, 2, 22)])
    looks = (seen(snapshots=[good(1)]), other, UNSEEN_NOW)
    assert [of(look, shop=KNOWN)[0].is_itself for look in looks] == [True, False, False]
    # Without a limit it is none of the watch's business, and still not remembered.
    [state] = of(other, limits=Limits(0), shop=KNOWN)
    assert (state.is_itself, said(state)) == (False, [])


# What drills have left.


def copy(hours: float, id_: int = 70) -> Server:
    return replace(server(id_, NOW - hours * HOUR), name=f"drill-{id_}")


def left(*copies: Server) -> Look:
    look = seen(snapshots=[good(1)])
    assert look.survey
    return replace(look, survey=replace(look.survey, copies=copies))


def test_what_drills_have_left_is_overdue_since_it_should_have_gone() -> None:
    [state] = of(left(copy(3), copy(5, 71), copy(1, 72)), limits=COPIES_TOO, shop=KNOWN)
    assert [(each.server, each.since, each.told_as, each.copy) for each in state.overdue] == [
        ("drill-71", NOW - 3 * HOUR, COPIES, 71), ("drill-70", NOW - HOUR, COPIES, 70)
    ]  # fmt: skip
    assert said(state)[0].startswith("a server that a drill made is still there: drill-71 (71, 5.0")
    # It costs money, whatever FreshnessHours is.
    [state] = of(left(copy(3)), limits=replace(COPIES_TOO, freshness_hours=0), shop=KNOWN)
    assert len(state.overdue) == 1


def test_a_copy_that_is_needed_or_not_looked_at_is_no_trouble() -> None:
    assert said(of(left(copy(2)), limits=COPIES_TOO, shop=KNOWN)[0]) == []
    assert said(of(left(copy(99)), limits=Limits(26), shop=KNOWN)[0]) == []


@pytest.mark.parametrize("hetzner", [NOW - 2 * HOUR, NOW, NOW + 2 * HOUR, None])
def test_a_copy_is_left_behind_by_both_clocks(hetzner: datetime | None) -> None:
    [state] = of(at(left(copy(3)), hetzner), limits=COPIES_TOO, shop=KNOWN)
    assert bool(state.overdue) is (hetzner is None or hetzner >= NOW)
    # Ours may be wrong as well.
    [state] = of(at(left(copy(1)), hetzner), limits=COPIES_TOO, shop=KNOWN)
    assert not state.overdue


@pytest.mark.parametrize(
    ("letters", "copies", "news"),
    [
        (set(), set(), {70, 71}),
        ({COPIES}, {70}, {71}),
        ({COPIES}, set(), set()),  # there was no room for their ids: all count as told
        (set(), {70}, {70, 71}),
    ],
)
def test_only_a_copy_that_was_not_told_is_news(
    letters: set[str], copies: set[int], news: set[int]
) -> None:
    before = replace(KNOWN, told_of_project=frozenset(letters), copies=frozenset(copies))
    states = of(left(copy(3), copy(4, 71)), limits=COPIES_TOO, shop=before)
    view = concluded(states, Memory({"shop": before}), NOW)
    assert {each.copy for each in view.news} == news


def test_another_trouble_that_was_told_is_no_news_because_copies_are_known() -> None:
    before = replace(
        KNOWN, last_seen=NOW - 27 * HOUR, told_of_project=frozenset({COPIES, UNSEEN}),
        copies=frozenset({70}),
    )  # fmt: skip
    states = of(UNSEEN_NOW, limits=COPIES_TOO, shop=before)
    view = concluded(states, Memory({"shop": before}), NOW)
    assert {each.told_as for each in view.overdue} == {COPIES, UNSEEN} and view.news == ()


def test_which_copies_were_told_is_remembered_while_they_cannot_be_seen() -> None:
    told = replace(KNOWN, told_of_project=frozenset({COPIES}), copies=frozenset({70}))
    for look, copies in ((UNSEEN_NOW, {70}), (left(copy(3, 71)), {71}), (left(), set())):
        states = of(look, limits=COPIES_TOO, shop=told)
        view = concluded(states, Memory({"shop": told}), NOW)
        assert view.memory.projects["shop"].copies == copies


@pytest.mark.parametrize("last_seen", [None, NOW - HOUR])
def test_what_was_told_of_copies_stands_while_they_cannot_be_seen(
    last_seen: datetime | None,
) -> None:
    told = Remembered(NOW - DAY, last_seen, told_of_project=frozenset({COPIES}))
    [state] = of(UNSEEN_NOW, limits=COPIES_TOO, shop=told)
    [trouble] = state.overdue
    assert (trouble.told_as, trouble.since) == (COPIES, last_seen or NOW - DAY)
    assert trouble.reason == (
        "what drills have left may still be there: it cannot be seen now: HTTP 502"
    )
    assert said(of(UNSEEN_NOW, limits=COPIES_TOO, shop=KNOWN)[0]) == []
    # Seen to be gone it is over.
    assert said(of(left(), limits=COPIES_TOO, shop=told)[0]) == []
