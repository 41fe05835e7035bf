"""Two restores at once in one project, and a sweep beside a drill: whole stories, in both orders.

They share the project's firewall and nothing else: none removes, switches off or disproves what
another one has made.
"""

import pytest

from handler.documents.labels import LABEL_PROBE, LABEL_PROVEN_AT
from local.simulator.boot import SSH, Boot
from tests.restore_stage import HOUR, RestoreStage

# Seconds by which the second comes later: both do the same at the same time, one looks while the
# other creates, or powers on while the other is made.
APART = (0.0, 1.5, 45.0)
WHOLE = ["created", "deleted", "made", "on", "runs"]


@pytest.fixture
def story() -> RestoreStage:
    return RestoreStage()


def each_of(story: RestoreStage) -> dict[int, list[str]]:
    """What was done to each copy."""
    return {id_: sorted(d.what for d in story.world.deeds if d.server_id == id_)
            for id_ in story.made}  # fmt: skip


def all_are_proven_and_gone(story: RestoreStage, drills: int = 2) -> None:
    lines = [story.line(number) for number in range(drills)]
    assert all(line.startswith("Completed: Proven: sg") for line in lines), lines
    assert list(each_of(story).values()) == [WHOLE] * drills
    assert story.copies == []
    assert story.acted == []
    assert story.told("WatchServers") == []


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("second", ["sg5", "sg6"], ids=["of the same server", "of another one"])
def test_two_drills_at_once_are_both_proven(story: RestoreStage, second: str, apart: float) -> None:
    story.restore()
    story.restore({"servers": [second]}, at=apart)
    story.play_out(5)
    all_are_proven_and_gone(story)
    assert LABEL_PROVEN_AT in story.image.labels
    assert (LABEL_PROVEN_AT in story.other_image.labels) is (second == "sg6")


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("first_is_22", [True, False])
def test_two_that_are_probed_on_other_ports_are_both_proven(
    story: RestoreStage, apart: float, first_is_22: bool
) -> None:
    """The firewall is one for both, and lets both probes in."""
    story.other.labels[LABEL_PROBE] = "ssh.2222"
    story.project.boots[story.other.id] = Boot(30, SSH, 2222)
    story.theirs[story.other.id] = (story.other.name, dict(story.other.labels), story.other.status)
    first, second = ("sg5", "sg6") if first_is_22 else ("sg6", "sg5")
    story.restore({"servers": [first]})
    story.restore({"servers": [second]}, at=apart)
    story.play_out(5)
    all_are_proven_and_gone(story)


def test_an_event_that_is_delivered_twice_is_one_drill(story: RestoreStage) -> None:
    event = {"scheduled_time": "2026-11-21T02:00:00Z"}
    story.restore(event)
    story.restore(event, at=0.5)
    story.restore(event, at=2 * HOUR)
    story.play_out(3)
    all_are_proven_and_gone(story, drills=1)
    assert len(story.executions) == 1


@pytest.mark.parametrize("at", range(0, 165, 20))
def test_a_sweep_beside_a_drill_takes_nothing_of_it(story: RestoreStage, at: int) -> None:
    story.restore()
    story.restore({"sweep": True}, at=at + 0.5)
    story.play_out(3)
    all_are_proven_and_gone(story, drills=1)
    assert story.line(1) == "Completed: nothing is left of drills that are no longer running"


def test_a_sweep_before_a_drill_takes_nothing_of_it(story: RestoreStage) -> None:
    story.restore({"sweep": True})
    story.restore(at=0.05)
    story.play_out(3)
    assert sorted(story.line(number) for number in (0, 1))[1].startswith("Completed: nothing is")
    assert list(each_of(story).values()) == [WHOLE]


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("keeps_first", [True, False])
def test_a_drill_beside_a_restore_of_the_same_server_removes_its_own_copy(
    story: RestoreStage, keeps_first: bool, apart: float
) -> None:
    kept = {"servers": ["sg5"], "keep": True, "name": "again"}
    drill = {"servers": ["sg5"]}
    first, second = (kept, drill) if keeps_first else (drill, kept)
    story.restore(first)
    story.restore(second, at=apart)
    story.play_out(5)
    assert (story.copy.name, story.copy.status) == ("again", "running")
    assert sorted(each_of(story).values()) == [WHOLE, ["created", "made", "on", "runs"]]
    assert story.acted == []
    assert story.told("WatchServers") == []


def test_a_drill_that_was_stopped_is_swept_while_another_goes_on(story: RestoreStage) -> None:
    story.restore()
    story.stopped(60)
    story.restore({"servers": ["sg6"]}, at=61)
    story.restore({"sweep": True}, at=100)
    story.play_out(5)
    assert story.line(1).startswith("Completed: Proven: sg6")
    assert story.line(2).startswith("Completed: Removed: sg5")
    assert story.copies == []
    assert story.told("WatchServers") == []
