"""Drills that are stopped, or whose functions die, at any moment: whole stories.

Whatever is left is told with its price and swept, nothing of anybody else's goes, and of what a
drill or a sweep does nothing is done twice.

The moments: somebody stops an execution during each of its states (a function that runs then goes
on to its end), and, with a sweep at once, at moments before or after a request. A function
dies between any two of its requests: at first in every state at once, then for good in
each state by itself.
"""

from functools import cache

import pytest

from handler.documents.labels import LABEL_PROVEN_AT
from local.virtual.cloud import Fate
from tests.restore_stage import RestoreStage

FUNCTIONS = ("StartRestore", "PlanRestore", "CreateServer", "CheckServer", "RemoveServer",
             "SummariseRestore")  # fmt: skip
STATES = 13  # that the drill here goes through, with its function's work
PAUSES = 15  # that the longest function makes: before and after each request
MOMENTS = 17  # at which it is swept at once
NO_SERVER = "no server of the create that had no answer is there"
RETRIES = 6  # Step Functions tries a function so many times
# Until a copy that is left may be called that, and one look more.
SWEPT_WITHIN = 6


def drill() -> RestoreStage:
    story = RestoreStage()
    story.restore()
    return story


@cache
def moments() -> tuple[float, ...]:
    """When the functions of a drill that nothing disturbs make their pauses, by number."""
    story, found = drill(), list[float]()
    pause = story.cloud.pause

    def noted(seconds: float) -> None:
        found.append(story.loop.now)
        pause(seconds)

    story.cloud.pause = noted  # type: ignore[method-assign]
    story.play()
    return tuple(found)


@cache
def of_states() -> tuple[float, ...]:
    """In the middle of each function's work."""
    story = drill()
    story.play()
    return tuple(i.started + 0.4 for i in story.cloud.invocations if i.execution)


def nothing_is_left(story: RestoreStage) -> None:
    assert story.copies == []
    assert len(story.made) <= 1
    assert story.acted == []
    deleted = {d.server_id for d in story.world.deeds if d.what == "deleted"}
    assert deleted <= story.made.keys()


def told_and_all_clear(story: RestoreStage) -> None:
    """The watch has told what was left, with its age and price, and then that it is gone."""
    [copy] = story.made.values()
    left, clear = story.told("WatchServers")
    assert f"{copy.name} ({copy.server_id}, 4.5 hours old, 0.0056 per hour net" in left
    assert "all clear, nothing is overdue any more" in clear


def test_the_drill_here_has_no_more_states_and_pauses_than_are_tried() -> None:
    story = drill()
    story.play()
    assert len(of_states()) <= STATES
    assert max(i.pauses for i in story.cloud.invocations) <= PAUSES


@pytest.mark.parametrize("state", range(STATES))
def test_a_drill_that_is_stopped_in_any_state_is_told_and_swept_if_it_leaves_a_copy(
    state: int,
) -> None:
    at, story = of_states()[min(state, len(of_states()) - 1)], drill()
    story.stopped(at)
    was_there: list[bool] = []
    story.later(at + 600, lambda: was_there.append(bool(story.copies)))
    story.play_out(SWEPT_WITHIN)
    nothing_is_left(story)
    if was_there == [True]:
        told_and_all_clear(story)
        assert story.line(1).startswith("Completed: Removed: sg5")
        assert [told for told in story.told("SummariseRestore") if ", sweep, " in told]
    else:
        assert story.told("WatchServers") == []


@pytest.mark.parametrize("number", range(MOMENTS))
def test_a_drill_that_is_stopped_at_any_moment_and_swept_at_once_leaves_nothing(
    number: int,
) -> None:
    """What the function in flight makes after the sweep has looked the watch finds."""
    at, story = moments()[number * len(moments()) // MOMENTS], drill()
    story.stopped(at)
    story.restore({"sweep": True}, at=at + 0.01)
    story.play_out(SWEPT_WITHIN)
    nothing_is_left(story)


@pytest.mark.parametrize("pause", range(1, PAUSES + 1))
def test_a_drill_whose_functions_die_once_between_any_two_requests_is_proven(pause: int) -> None:
    story = drill()
    for function in FUNCTIONS:
        story.cloud.fates.append(Fate("dies", function, 1, pause))
    # Those that power it on, listen, and write down the proof: each counts from the one before.
    story.cloud.fates += [Fate("dies", "CheckServer", nth, pause) for nth in (5, 2, 3, 2)]
    story.play_out(2)
    nothing_is_left(story)
    assert story.line().startswith("Completed: Proven: sg5")
    assert story.deeds() == ["created", "made", "on", "runs", "deleted"]
    assert LABEL_PROVEN_AT in story.image.labels


@pytest.mark.parametrize(
    ("function", "pause", "ends"),
    [
        ("PlanRestore", 6, "Failed: PlanRestore broke off (Runtime.ExitError)"),
        # Before the create, and after it.
        *(("CreateServer", pause, f"it broke off while new: look at the log; {NO_SERVER}")
          for pause in (1, 3, 5, 7)),
        *(("CreateServer", pause, "it broke off while new: look at the log; removed")
          for pause in (8, 10, 12)),
        ("CheckServer", 4, "it broke off while creating: look at the log; removed"),
        # Before the delete, and after it.
        *(("RemoveServer", pause, "before that: proven. If the server drill-20261121-000000011111-")
          for pause in (1, 2, 3, 4, 5)),
        ("SummariseRestore", 1, "Runtime exited"),
    ],
)  # fmt: skip
def test_a_function_that_dies_for_good_leaves_nothing_after_some_hours(
    function: str, pause: int, ends: str
) -> None:
    story = drill()
    story.cloud.fates += [Fate("dies", function, 1, pause) for _ in range(RETRIES)]
    story.play_out(SWEPT_WITHIN)
    nothing_is_left(story)
    assert ends in story.line()
    if function == "RemoveServer" and pause < 4:
        told_and_all_clear(story)
    else:
        assert story.told("WatchServers") == []


def test_a_start_that_dies_for_good_starts_nothing() -> None:
    story = drill()
    story.cloud.fates += [Fate("dies", "StartRestore", 1, 2) for _ in range(RETRIES)]
    story.play_out(1)
    assert story.executions == [] and story.made == {}
