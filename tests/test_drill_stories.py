"""What a drill may meet: whole stories on the definition, with the watch's next hours."""

from typing import Any

import pytest

from handler.documents.labels import (
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_SERVER_DRILLED_AT,
    LABEL_SERVER_ID,
    LABEL_SERVER_PROVEN_AT,
    LABEL_UNPROVEN_AT,
)
from local.simulator import Fault
from local.simulator.boot import SSH
from local.simulator.catalog import SERVER_TYPES
from local.simulator.faults import drop, html
from tests.restore_stage import RestoreStage

NOTHING_DONE = ["created", "made", "deleted"]
WHOLE = ["created", "made", "on", "runs", "deleted"]
EVERYWHERE = {
    (name, place["name"]) for name, type_ in SERVER_TYPES.items() for place in type_["locations"]
}


@pytest.fixture
def story() -> RestoreStage:
    return RestoreStage()


def marks(story: RestoreStage) -> list[str]:
    """What the drill has written on the snapshot."""
    marks = (LABEL_PROVEN_AT, LABEL_PROVEN_BY, LABEL_UNPROVEN_AT)
    return [name for name in marks if name in story.image.labels]


def drilled(
    story: RestoreStage,
    verdict: str = "Completed",
    begins: str = "Proven: sg5",
    *,
    is_told: bool = False,
) -> str:
    """Plays one drill of sg5; gives its line, which is told if it is no good news, or more than
    that. Nothing is left of it, and the watch has nothing to tell."""
    story.restore()
    story.play_out()
    assert story.copies == []
    assert story.acted == []
    assert story.told("WatchServers") == []
    assert story.line().startswith(f"{verdict}: {begins}")
    told = story.told("SummariseRestore")
    assert len(told) == (is_told or verdict != "Completed")
    assert all(story.line() in each and f"{verdict}, drill" in each for each in told)
    return story.line()


def test_a_drill_proves_a_snapshot_and_leaves_the_proof_alone(story: RestoreStage) -> None:
    line = drilled(story)
    assert ", greets on ssh " in line and line.endswith("cx23 in fsn1, removed, 0.01 EUR")
    assert marks(story) == [LABEL_PROVEN_AT, LABEL_PROVEN_BY]
    assert story.deeds() == WHOLE
    assert LABEL_PROVEN_AT not in story.other_image.labels


def test_one_that_boots_late_is_waited_for(story: RestoreStage) -> None:
    story.boots(13 * 60)
    line = drilled(story)
    seconds = int(line.partition("greets on ssh ")[2].split()[0])
    assert 13 * 60 <= seconds <= 15 * 60 + 60
    assert story.deeds() == WHOLE


@pytest.mark.parametrize(
    ("boot", "heard"),
    [
        ((30, None), "no connection: Connection refused"),
        ((3600,), "no connection: Connection refused"),
        ((30, "HTTP/1.1 400 Bad Request\r\n"), "HTTP/1.1 400 Bad Request"),
        ((30, ""), "a connection, and no greeting"),
        ((30, SSH, 2222), "no connection: Connection refused"),
    ],
    ids=["never", "long after its minutes", "as a web server", "without a word", "elsewhere"],
)
def test_one_that_does_not_greet_as_it_should_is_unproven_with_the_reason(
    story: RestoreStage, boot: tuple[Any, ...], heard: str
) -> None:
    story.boots(*boot)
    line = drilled(story, "Failed", "Unproven: sg5")
    assert f"no greeting on port 22: {heard}, 15 min after its start." in line
    assert "may never answer; restore it with make restore" in line
    assert line.endswith("Removed.")
    assert marks(story) == [LABEL_UNPROVEN_AT]
    assert story.deeds() == WHOLE


def test_where_there_is_no_stock_the_next_location_is_taken(story: RestoreStage) -> None:
    story.world.no_placement |= {(name, "fsn1") for name in SERVER_TYPES}
    line = drilled(story)
    assert ", cx23 in nbg1, removed," in line or ", cx23 in hel1, removed," in line


@pytest.mark.parametrize("lack", ["no_stock", "no_placement"])
def test_no_stock_anywhere_is_unproven_and_says_when_to_try_again(
    story: RestoreStage, lack: str
) -> None:
    getattr(story.world, lack).update(EVERYWHERE)
    line = drilled(story, "Failed", "Unproven: sg5")
    assert "Try again later" in line
    assert story.made == {}
    assert marks(story) == []


@pytest.mark.parametrize("limit", ["server_limit", "primary_ip_limit"])
def test_a_limit_that_is_reached_is_told_with_what_to_do(story: RestoreStage, limit: str) -> None:
    setattr(story.project, limit, 2)
    line = drilled(story, "Failed", "sg5")
    assert "limit of servers or of primary IPs is reached" in line
    assert "Delete what nobody needs or ask for more on the console's Limits page." in line
    assert story.made == {}


def test_a_snapshot_that_is_deleted_before_the_create_is_told_as_that(story: RestoreStage) -> None:
    story.when(lambda: story.invocations("CreateServer"), lambda: story.vanish(story.image.id))
    line = drilled(story, "Failed", "sg5")
    assert f"snapshot {story.image.id} was deleted meanwhile. Start it again" in line
    assert sum(r.method == "POST" and r.path == "/servers" for r in story.world.requests) == 1


@pytest.mark.parametrize(
    ("then", "ends"),
    [
        ("create_goes_on", "Completed: Proven: sg5"),
        ("create_fails", "Failed: sg5"),
        ("delete_refused", "Completed: Proven: sg5"),
    ],
)
def test_a_night_prunes_the_snapshot_while_its_copy_is_made(
    story: RestoreStage, then: Any, ends: str
) -> None:
    """The create goes on, it fails, or Hetzner refuses the delete: which of them nobody knows."""
    story.world.image_deleted_in_create = then
    story.project.server_seconds[story.image.id] = 900
    story.night({"retention": "last1"}, at=60)
    verdict, _, begins = ends.partition(": ")
    went_first = then != "delete_refused"  # else it is pruned later
    line = drilled(story, verdict, begins, is_told=went_first)
    assert story.image.id not in story.project.images
    assert (f"snapshot {story.image.id} " in line.partition("in fsn1")[2]) is went_first
    # The night's snapshot was made before there was a proof to inherit.
    source = str(story.server.id)
    [newest] = [i for i in story.project.images.values() if i.labels[LABEL_SERVER_ID] == source]
    assert (LABEL_SERVER_PROVEN_AT in newest.labels) is (verdict == "Completed")
    assert LABEL_SERVER_DRILLED_AT in newest.labels


def test_a_snapshot_that_is_pruned_while_its_copy_runs_is_proven_and_told_to_be_gone(
    story: RestoreStage,
) -> None:
    story.when(lambda: story.runs, lambda: story.vanish(story.image.id))
    line = drilled(story, is_told=True)
    assert line.endswith(
        f"snapshot {story.image.id} is gone meanwhile: nothing could be written on it."
    )
    assert story.deeds() == WHOLE


@pytest.mark.parametrize("effect", [drop(), html(502)], ids=["dropped", "502"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_whose_answer_is_lost_makes_one_copy(
    story: RestoreStage, effect: Any, when: str
) -> None:
    story.world.faults.add(Fault(effect, path="/servers", method="POST", when=when))
    drilled(story)
    assert story.deeds() == WHOLE


def test_what_is_kept_stays_behind_its_firewall_and_no_sweep_takes_it(story: RestoreStage) -> None:
    story.cloud.environment["FRESHNESS_HOURS"] = "0"  # no night comes here
    story.restore({"servers": ["sg5"], "keep": True, "name": "again"})
    story.restore({"sweep": True}, at=1000)
    story.play_out(30)
    assert story.deeds() == ["created", "made", "on", "runs"]
    assert (story.copy.name, story.copy.status) == ("again", "running")
    assert story.copy.id in story.wall.servers
    assert story.acted == []
    assert f"server {story.copy.id} (again) at {story.copy.ipv4}" in story.line(0)
    assert story.told("WatchServers") == []
    assert story.line(1) == "Completed: nothing is left of drills that are no longer running"
