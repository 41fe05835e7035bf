"""Who is overdue, what is news, what is remembered: each row says a sentence."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.decisions.overdue import (
    ANOTHER,
    COPIES,
    EMPTY,
    NO_TOKEN,
    TWICE,
    UNSEEN,
    Limits,
    Look,
    Overdue,
    judged,
)  # fmt: skip
from handler.decisions.selecting import why_not_itself
from handler.decisions.watching import View, concluded, in_order, without, worth_a_look
from handler.documents.labels import LABEL_ENABLED, LABEL_EVERY, LABEL_SERVER_ID, LABEL_THROW_AWAY
from handler.documents.memory import LastLook, Memory, Remembered
from handler.documents.resources import Server, Snapshot
from handler.documents.survey import Survey
from handler.report import watch

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LIMITS = Limits(26, run_minutes=240, with_backups="skip")
KNOWN = Remembered(NOW - 99 * DAY, NOW - HOUR, servers=1, server=1, snapshot=11)


def server(id: int = 1, created: datetime = NOW - 99 * DAY, **labels: str) -> Server:
    return Server(id, f"server-{id}", "running", None, None, None, None, labels, created)


def good(hours: float, server_id: int = 1, id: int = 11, **more: Any) -> Snapshot:
    labels = {LABEL_SERVER_ID: str(server_id)}
    return replace(Snapshot(id, NOW - hours * HOUR, labels=labels), **more)


def seen(
    servers: Sequence[Server] = (server(),),
    snapshots: Sequence[Snapshot] = (),
    project: str = "shop",
    matching: Sequence[int] | None = None,
    **more: Any,
) -> Look:
    ids = [each.id for each in servers] if matching is None else matching
    survey = Survey(tuple(servers), frozenset(ids), tuple(snapshots), NOW, 3000)
    return Look(project, survey, **more)


def overdue(
    look: Look, remembered: Remembered | None = KNOWN, limits: Limits = LIMITS
) -> list[str]:
    known = {look.project: remembered} if remembered else {}
    [state] = judged([look], known, NOW, limits)
    return [f"{each.server}: {each.reason}" if each.server else each.reason
            for each in state.overdue]  # fmt: skip


OLD = "server-1: its newest good snapshot is 1.1 days old, of 2026-11-20 09:00Z"
NONE = "server-1: it has no good snapshot, 1.2 days after it was {}"
NEW_SERVER = server(created=NOW - 28 * HOUR)


@pytest.mark.parametrize(
    ("sentence", "look", "remembered", "said"),
    [
        ("a snapshot of the limit's age is in time", seen(snapshots=[good(26)]), KNOWN, []),
        ("one that is older is not", seen(snapshots=[good(27)]), KNOWN, [OLD]),
        ("the newest one counts", seen(snapshots=[good(99, id=12), good(3)]), KNOWN, []),
        ("one that is not available counts for nothing",
         seen(snapshots=[good(27), good(1, status="creating", id=12)]), KNOWN, [OLD]),
        ("one that is truly of another server counts for nothing",
         seen(snapshots=[good(27), good(1, made_of=7, id=12)]), KNOWN, [OLD]),
        ("a server without one counts from its creation",
         seen([NEW_SERVER]), KNOWN, [NONE.format("created, 2026-11-20 08:00Z")]),
        ("a new server is in time",
         seen([server(created=NOW - 25 * HOUR)]), KNOWN, []),
        ("an old server counts from the project's first look",
         seen(), replace(KNOWN, first_seen=NOW - 28 * HOUR),
         [NONE.format("first seen, 2026-11-20 08:00Z")]),
        ("at the first look of all nothing without a snapshot is late", seen(), None, []),
        ("at the first look an old snapshot is late", seen(snapshots=[good(27)]), None, [OLD]),
        ("a server left out by its label is not late",
         seen([server(**{LABEL_ENABLED: "false"})], [good(27)]), KNOWN, []),
        ("nor one that somebody has called a copy by mistake",
         seen([server(**{LABEL_THROW_AWAY: "true"})], [good(27)]), KNOWN, []),
        ("nor one that the selector does not match",
         seen(snapshots=[good(27)], matching=[]), KNOWN, []),
        ("nor one that has Hetzner's Backups, where those are skipped",
         seen([replace(server(), backups=True)], [good(27)]), KNOWN, []),
        ("one that is saved every week has a week more",
         seen([server(**{LABEL_EVERY: "1w"})], [good(24 * 7 + 26)]), KNOWN, []),
        ("and no longer",
         seen([server(**{LABEL_EVERY: "1w"})], [good(24 * 7 + 27)]), KNOWN,
         ["server-1: its newest good snapshot is 8.1 days old, of 2026-11-13 09:00Z"]),
        ("while a run goes on it has four hours more",
         seen(snapshots=[good(29.9)], is_running=True), KNOWN, []),
        ("and no more than that", seen(snapshots=[good(30.1)], is_running=True), KNOWN,
         ["server-1: its newest good snapshot is 1.3 days old, of 2026-11-20 05:54Z"]),
        ("a token that is gone is told at once",
         Look("shop", None, "no token", has_token=False), KNOWN, ["its token is gone"]),
        ("a project that had servers and has none",
         seen([], [good(3)]), KNOWN,
         ["had 1 server on 2026-11-21 11:00Z, now none: is it the right token?"]),
        ("a project with neither the server nor the snapshot of before",
         seen([server(2)], [good(3, 2, 22)]), replace(KNOWN, servers=12),
         ["had 12 servers on 2026-11-21 11:00Z, and neither server 1 nor snapshot 11 of then is "
          "there any more: is it the right token?"]),
        ("servers that all come and go leave their snapshots",
         seen([server(2)], [good(3), good(3, 2, 22)]), KNOWN, []),
        ("a pruned snapshot leaves another of its server",
         seen([server(2)], [good(3, 1, 13), good(3, 2, 22)]), KNOWN, []),
        ("a server that is left is enough",
         seen([server(2), server(1, NOW)], [good(3, 2, 22)]), KNOWN, []),
        ("and so is a snapshot, whose server another token has relabelled",
         seen([server(2)], [good(3, 2, 22), good(3, 2, 11)]), KNOWN, []),
        ("where there was no snapshot nothing is concluded",
         seen([server(2)], [good(3, 2, 22)]), replace(KNOWN, snapshot=None), []),
        ("a project that had no servers may have others now",
         seen([server(2)], [good(3, 2, 22)]), replace(KNOWN, servers=0, server=None), []),
        ("one that is not seen for as long as the limit is in time",
         Look("shop", None, "HTTP 502"), replace(KNOWN, last_seen=NOW - 26 * HOUR), []),
        ("and longer is late",
         Look("shop", None, "HTTP 502"), replace(KNOWN, last_seen=NOW - 27 * HOUR),
         ["it has not been seen whole since 2026-11-20 09:00Z: HTTP 502"]),
        ("one never seen whole counts from the first look",
         Look("shop", None, "HTTP 502"), Remembered(NOW - 27 * HOUR),
         ["it has not been seen whole since 2026-11-20 09:00Z: HTTP 502"]),
        ("a new one that cannot be seen is in time", Look("shop", None, "HTTP 502"), None, []),
        ("a told server that cannot be seen stays overdue",
         Look("shop", None, "HTTP 502"), replace(KNOWN, told=frozenset({7})),
         ["server 7: it was overdue when it was last seen"]),
        ("so do those for whose ids there was no room",
         Look("shop", None, "HTTP 502"), replace(KNOWN, all_told=True),
         ["some servers: they were overdue when last seen"]),
        ("servers of another project are not judged",
         seen([server(2)], [good(300, 2, 22)]), KNOWN,
         ["had 1 server on 2026-11-21 11:00Z, and neither server 1 nor snapshot 11 of then is "
          "there any more: is it the right token?"]),
    ],
)  # fmt: skip
def test_overdue_is(
    sentence: str, look: Look, remembered: Remembered | None, said: list[str]
) -> None:
    assert overdue(look, remembered) == said, sentence
    # With FreshnessHours 0 nothing ever is.
    assert overdue(look, remembered, replace(LIMITS, freshness_hours=0)) == [], sentence


def test_two_projects_that_see_one_server_are_told_of_each_other() -> None:
    looks = [seen(snapshots=[good(1)]), seen(snapshots=[good(1)], project="blog")]
    states = judged(looks, {}, NOW, LIMITS)
    assert [each.reason for state in states for each in state.overdue] == [
        f"its token and that of {other} see the same servers: one token is stored twice"
        for other in ("blog", "shop")
    ]


def test_a_token_of_another_known_project_is_told_with_its_name() -> None:
    theirs = [server(2)], [good(1, 2, 22)]
    looks = [seen(*theirs), seen(*theirs, project="blog")]
    blog = Remembered(NOW - DAY, NOW - HOUR, 1, 2, 22)
    shop, _ = judged(looks, {"shop": KNOWN, "blog": blog}, NOW, LIMITS)
    [trouble] = shop.overdue
    assert trouble.told_as == ANOTHER
    assert trouble.reason.endswith("is it the right token? It is that of the project blog")


def test_what_the_run_asks_of_the_last_look_is_the_same() -> None:
    last = LastLook("2026-11-21T11:00:00Z", 12, 1, 11)
    assert why_not_itself(None, 0, False) == ""
    assert why_not_itself(LastLook(), 0, False) == ""
    assert why_not_itself(last, 3, True) == ""
    assert why_not_itself(last, 0, True).startswith("had 12 servers on 2026-11-21 11:00Z, now none")
    assert "neither server 1 nor snapshot 11" in why_not_itself(last, 3, False)
    assert why_not_itself(replace(last, snapshot=None), 3, False) == ""


def look_again(memory: Memory, *looks: Look) -> View:
    kept = worth_a_look(looks, memory)
    return concluded(judged(kept, memory.projects, NOW, LIMITS), memory, NOW)


def test_what_is_overdue_is_told_once_and_the_end_once() -> None:
    late, fine = seen(snapshots=[good(27)]), seen(snapshots=[good(1)])
    first = look_again(Memory(), late)
    assert (first.told, [each.server for each in first.news]) == ("overdue", ["server-1"])
    second = look_again(first.memory, late)
    assert (second.told, second.news, len(second.overdue)) == ("", (), 1)
    third = look_again(second.memory, fine)
    assert (third.told, third.overdue) == ("all clear", ())
    assert look_again(third.memory, fine).told == ""
    # And late again is news again.
    assert look_again(third.memory, late).told == "overdue"


def test_the_end_is_told_though_other_projects_were_never_overdue() -> None:
    late, fine = seen(snapshots=[good(27)]), seen(snapshots=[good(1)])
    other = seen([server(2)], [good(1, 2, 22)], "blog")
    first = look_again(Memory(), late, other)
    assert look_again(first.memory, fine, other).told == "all clear"


def test_one_more_is_told_alone_and_nothing_is_clear_before_all_is() -> None:
    two = [server(1), server(2)]
    first = look_again(Memory(), seen(two, [good(27), good(1, 2, 22)]))
    second = look_again(first.memory, seen(two, [good(27), good(27, 2, 22)]))
    assert [each.server for each in second.news] == ["server-2"]
    third = look_again(second.memory, seen(two, [good(1), good(27, 2, 22)]))
    assert (third.told, len(third.overdue)) == ("", 1)
    assert look_again(third.memory, seen(two, [good(1), good(1, 2, 22)])).told == "all clear"


def test_a_project_that_cannot_be_seen_is_neither_told_again_nor_clear() -> None:
    first = look_again(Memory(), seen(snapshots=[good(27)]))
    second = look_again(first.memory, Look("shop", None, "HTTP 502"))
    assert (second.told, len(second.overdue)) == ("", 1)
    third = look_again(second.memory, seen(snapshots=[good(27)]))
    assert (third.told, len(third.overdue)) == ("", 1)


@pytest.mark.parametrize(
    ("look", "letter"),
    [
        (Look("shop", None, "no token", has_token=False), NO_TOKEN),
        (seen([]), EMPTY),
        (seen([server(2)], [good(1, 2, 22)]), ANOTHER),
        (Look("shop", None, "HTTP 502"), UNSEEN),
    ],
)
def test_a_project_that_is_not_what_it_was_stays_remembered_until_it_is_again(
    look: Look, letter: str
) -> None:
    before = replace(KNOWN, last_seen=NOW - 27 * HOUR)
    first = look_again(Memory({"shop": before}), look)
    assert [each.told_as for each in first.news] == [letter]
    assert first.memory.projects["shop"] == replace(before, told_of_project=frozenset(letter))
    second = look_again(first.memory, look)
    assert (second.told, len(second.overdue)) == ("", 1)
    # As it was.
    assert look_again(second.memory, seen(snapshots=[good(1)])).told == "all clear"
    # Or a person says that it is well.
    forgotten = without(second.memory, "shop")
    if look.has_token:
        assert look_again(forgotten, look).told == ""
    else:
        assert look_again(forgotten).projects == ()


def test_another_trouble_of_the_same_project_is_told_too() -> None:
    unseen = Look("shop", None, "HTTP 502")
    first = look_again(Memory({"shop": replace(KNOWN, last_seen=NOW - 27 * HOUR)}), unseen)
    second = look_again(first.memory, seen([server(2)], [good(1, 2, 22)]))
    assert [each.told_as for each in second.news] == [ANOTHER]


def test_a_token_that_never_showed_anything_may_go() -> None:
    """A misspelled name, or an empty project: nothing is missed."""
    gone = Look("shopp", None, "no token", has_token=False)
    for before in (Remembered(NOW - HOUR), Remembered(NOW - DAY, NOW - HOUR)):
        view = look_again(Memory({"shopp": before}), gone)
        assert (view.told, view.memory.projects) == ("", {})
    assert look_again(Memory(), gone).projects == ()


@pytest.mark.parametrize("more", [{"servers": 1, "server": 1}, {"snapshot": 11}])
def test_a_token_that_showed_a_server_or_a_snapshot_may_not(more: dict[str, int]) -> None:
    before = Remembered(NOW - DAY, NOW - HOUR, **more)
    gone = Look("shop", None, "no token", has_token=False)
    assert [each.told_as for each in look_again(Memory({"shop": before}), gone).news] == [NO_TOKEN]


def test_the_first_deployment_tells_nothing() -> None:
    view = look_again(Memory(), seen([server(1), server(2)]), Look("new", None, "HTTP 502"))
    assert (view.told, view.overdue) == ("", ())
    assert view.memory.projects.keys() == {"shop", "new"}


def test_a_memory_that_cannot_be_read_is_overdue_told_and_begun_anew() -> None:
    fine = seen(snapshots=[good(1)])
    first = look_again(Memory.parse("{"), fine)
    assert (first.told, [each.project for each in first.overdue]) == ("overdue", [""])
    second = look_again(Memory.parse(first.memory.to_text()), fine)
    assert second.told == "all clear"
    assert look_again(Memory.parse(second.memory.to_text()), fine).told == ""


def test_a_memory_that_is_full_is_told_once_and_nothing_each_hour() -> None:
    looks = [
        seen([server(n)], [good(27, n, 1000 + n)], f"a-long-name-of-a-project-{n}")
        for n in range(1, 150)
    ]
    first = look_again(Memory(), *looks)
    assert first.problem.startswith("there is no room to remember ")
    remembered = len(first.memory.projects)
    assert len(first.news) == 1 + remembered < len(first.overdue) == 150
    second = look_again(Memory.parse(first.memory.to_text()), *looks)
    assert (second.told, second.news, len(second.overdue)) == ("", (), 150)


def test_while_all_of_a_project_count_as_told_one_more_is_no_news() -> None:
    before = Memory({"shop": replace(KNOWN, all_told=True)})
    view = look_again(before, seen(snapshots=[good(27)]))
    assert (view.told, len(view.overdue)) == ("", 1)
    # From here on there is room for its id again.
    assert view.memory.projects["shop"].told == {1}
    assert not view.memory.projects["shop"].all_told


def test_the_longest_unseen_project_is_looked_at_first() -> None:
    memory = Memory(
        {
            "b": replace(KNOWN, last_seen=NOW - HOUR),
            "a": KNOWN,
            "old": replace(KNOWN, last_seen=NOW - DAY),
            "never": Remembered(NOW - DAY),
        }
    )
    assert in_order(["a", "b", "new"], memory) == ["never", "new", "old", "a", "b"]


def view_of(count: int, name: str = "server") -> View:
    servers = [replace(server(n), name=f"{name}-{n}") for n in range(1, count + 1)]
    return look_again(Memory(), seen(servers, [good(27, n, 1000 + n) for n in range(1, count + 1)]))


@pytest.mark.parametrize("count", [1, 3, 4, 2000])
@pytest.mark.parametrize("name", ["db", "d\u00e4tenb\u00e4nk", "x" * 250])
def test_the_subject_is_a_line_of_ascii_that_sns_takes(count: int, name: str) -> None:
    said = watch.subject(view_of(count, name), "stack")
    assert 0 < len(said) <= 100 and said.isascii() and said.isprintable()
    assert said.startswith("stack: overdue: shop/d" if name[0] == "d" else "stack: overdue: shop/x")


def test_the_subject_names_three_and_how_many_more() -> None:
    said = watch.subject(view_of(5, "db"), "s")
    assert said == "s: overdue: shop/db-1, shop/db-2, shop/db-3 and 2 more"


def test_the_message_says_which_since_when_and_what_to_do() -> None:
    view = view_of(2)
    assert watch.subject(view, "stack") == "stack: overdue: shop/server-1, shop/server-2"
    said = watch.text(view, "/tokens")
    assert said == (
        "Overdue at 2026-11-21 12:00Z:\n"
        "  shop/server-1: its newest good snapshot is 1.1 days old, of 2026-11-20 09:00Z "
        "(since 2026-11-21 11:00Z)\n"
        "  shop/server-2: its newest good snapshot is 1.1 days old, of 2026-11-20 09:00Z "
        "(since 2026-11-21 11:00Z)\n"
        "\n"
        "What to do:\n"
        "- The notification and the log of the last run say why there is no newer snapshot; if "
        "there was no run, look whether the schedule is enabled and at the dead letters. Mend that "
        'and start StartRun with {"project": "shop"}.\n'
        "\n"
        "This is told once. When nothing is overdue any more you are told that, too.\n"
        "\n"
        'All that the watch sees: make status, or WatchServers with {"only_look": true}.\n'
    )


def test_a_message_about_thousands_fits_sns() -> None:
    said = watch.text(view_of(2000, "x" * 250), "/tokens")
    assert len(said.encode()) < 256 * 1024
    assert "and 1900 more: the answer of WatchServers has all" in said


@pytest.mark.parametrize("letter", [NO_TOKEN, EMPTY, ANOTHER, TWICE, UNSEEN])
def test_the_advice_about_a_project_names_its_parameter_and_how_to_forget_it(letter: str) -> None:
    advice = watch.advice_for(Overdue("shop", "", NOW, "gone", letter), "/tokens")
    assert "/tokens/shop" in advice and 'invoke WatchServers with {"forget": "shop"}' in advice
    assert "`make forget PROJECT=shop" in advice


@pytest.mark.parametrize("letter", [NO_TOKEN, EMPTY, ANOTHER, TWICE, UNSEEN])
def test_the_advice_is_for_this_stack_and_not_for_the_usual_one(letter: str) -> None:
    """Typed as it is written it would remove the token of the other stack's project."""
    gone = Overdue("shop", "", NOW, "gone", letter)
    advice = watch.advice_for(gone, "/tokens", stack="staging")
    assert "`make forget PROJECT=shop STACK=staging" in advice
    usual = watch.advice_for(gone, "/tokens", stack="hetzner-snapshots")
    assert usual == watch.advice_for(gone, "/tokens") and "STACK" not in usual


@pytest.mark.parametrize("hours", [0, 26])
@pytest.mark.parametrize("has_token", [True, False])
def test_what_drills_have_left_stands_while_nothing_is_seen(hours: int, has_token: bool) -> None:
    """A look that failed is no proof that it is gone: it would be told again after each."""
    known = replace(KNOWN, told_of_project=frozenset({COPIES}))
    limits = replace(LIMITS, freshness_hours=hours, copy_minutes=255)
    [state] = judged([Look("shop", None, "HTTP 502", has_token)], {"shop": known}, NOW, limits)
    view = concluded([state], Memory({"shop": known}), NOW, has_limit=bool(hours))
    assert [each.told_as for each in view.overdue].count(COPIES) == 1
    assert COPIES in view.memory.projects["shop"].told_of_project
    assert COPIES not in {each.told_as for each in view.news}


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (Remembered(NOW, told_of_project=frozenset({COPIES})), "all clear"),
        (Remembered(NOW, told_of_project=frozenset({COPIES, UNSEEN})), ""),
        (Remembered(NOW, told=frozenset({7})), ""),
        (Remembered(NOW, all_told=True), ""),
        (Remembered(NOW), ""),
    ],
)
def test_without_a_limit_only_what_drills_had_left_is_told_to_be_over(
    told: Remembered, says: str
) -> None:
    before = Memory({"shop": told, "blog": Remembered(NOW)})
    view = concluded([], before, NOW, has_limit=False)
    assert view.told == says
    if says:
        assert watch.text(view, "/tokens").startswith(
            f"Nothing is overdue any more ({NOW:%F %RZ})."
        )


@pytest.mark.parametrize(
    ("has_restores", "begins"),
    [(True, "StartRestore is asked to remove it"), (False, "Look at it in the Hetzner console")],
)
def test_what_drills_have_left_is_swept_only_where_restores_are(
    has_restores: bool, begins: str
) -> None:
    left = Overdue("shop", "sg5-left", NOW, "a server that a drill made is still there", COPIES)
    assert watch.advice_for(left, "/tokens", has_restores).startswith(begins)
