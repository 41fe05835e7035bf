"""What others do to a drill's copy and to our firewall: whole stories, with the watch's next hours.

What a person has taken is theirs: it stays, that is told, and no sweep takes it.
"""

from collections.abc import Callable

import pytest

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_PROVEN_AT,
    LABEL_RESTORE_ID,
    LABEL_THROW_AWAY,
)
from local.simulator import Server
from tests.restore_stage import HOUR, RestoreStage

WEB = [{"direction": "in", "protocol": "tcp", "port": "80", "source_ips": ["0.0.0.0/0"]}]
FROM_THE_START = ["created", "made", "deleted"]
DETACH = "Look which label selector or tool attaches to servers by itself."


@pytest.fixture
def story() -> RestoreStage:
    """It boots for five minutes: time in which something can happen to a copy that runs."""
    story = RestoreStage()
    story.boots(300)
    story.restore()
    return story


def in_the_end(story: RestoreStage, line: str) -> None:
    """The one drill ends like that, nothing is left, and the watch has nothing to tell."""
    story.play_out()
    assert line in story.line()
    assert story.copies == []
    assert story.told("WatchServers") == []


def test_a_firewall_that_is_late_is_waited_for_while_the_copy_is_off(story: RestoreStage) -> None:
    story.project.firewall_seconds = 1200
    in_the_end(story, "Completed: Proven: sg5")
    [on] = [deed for deed in story.world.deeds if deed.what == "on"]
    assert [wall.status for wall in on.firewalls] == ["applied"]
    assert story.acted == []


def test_behind_a_firewall_that_is_never_applied_nothing_is_switched_on(
    story: RestoreStage,
) -> None:
    story.world.firewall_applied_after_boot = True
    in_the_end(story, "Failed: Unproven: sg5")
    assert "our firewall" in story.line() and "is pending on it" in story.line()
    assert story.deeds() == FROM_THE_START


def opens_it(story: RestoreStage) -> None:
    story.project.firewalls.set_rules(story.wall, [])


def closes_it(story: RestoreStage) -> None:
    rules = [rule for rule in story.wall.rules if rule["direction"] == "out"]
    story.project.firewalls.set_rules(story.wall, rules)


def takes_it_off(story: RestoreStage) -> None:
    story.project.firewalls.detach(story.wall, story.copy.id)


def deletes_it(story: RestoreStage) -> None:
    del story.project.firewalls[story.wall.id]


def adds_another(story: RestoreStage) -> None:
    story.project.firewalls.add("web", WEB).selectors.append(LABEL_MANAGED_BY)


def adds_a_balancer(story: RestoreStage) -> None:
    story.project.load_balancers.add(91, selector=LABEL_MANAGED_BY)


def attaches_a_network(story: RestoreStage) -> None:
    story.copy.networks.append(11)


@pytest.mark.parametrize(
    ("meddles", "why"),
    [
        (takes_it_off, "it is not powered on yet: our firewall 7001 is not on it."),
        (deletes_it, "it was not powered on: our firewall 7001 is gone."),
        (adds_another, f"it was not powered on: firewall 7002 is on it. {DETACH}"),
        (adds_a_balancer, f"it was not powered on: load balancer 91 is on it. {DETACH}"),
        (attaches_a_network, f"it was not powered on: network 11 is on it. {DETACH}"),
    ],
)
def test_what_has_happened_before_it_is_on_leaves_it_off(
    story: RestoreStage, meddles: Callable[[RestoreStage], None], why: str
) -> None:
    story.when(lambda: story.made, lambda: meddles(story))
    in_the_end(story, f"Failed: Unproven: sg5, snapshot {story.image.id}")
    assert why in story.line()
    assert story.deeds() == FROM_THE_START
    assert story.acted == []


@pytest.mark.parametrize("meddles", [opens_it, closes_it])
def test_rules_that_are_changed_before_it_is_on_are_set_right(
    story: RestoreStage, meddles: Callable[[RestoreStage], None]
) -> None:
    story.when(lambda: story.made, lambda: meddles(story))
    in_the_end(story, "Completed: Proven: sg5")
    assert story.acted == []


@pytest.mark.parametrize(
    ("meddles", "why"),
    [
        (opens_it, "firewall 7001 has other outbound rules than the one that leads nowhere"),
        (takes_it_off, "our firewall 7001 is not on it"),
        (deletes_it, "our firewall 7001 is gone"),
        (adds_another, "firewall 7002 is on it"),
        (adds_a_balancer, "load balancer 91 is on it"),
        (attaches_a_network, "network 11 is on it"),
    ],
)
def test_what_happens_while_it_runs_has_it_switched_off_and_removed(
    story: RestoreStage, meddles: Callable[[RestoreStage], None], why: str
) -> None:
    happened: list[float] = []
    story.when(lambda: story.runs, lambda: happened.append(story.loop.now) or meddles(story))
    in_the_end(story, f"Failed: Unproven: sg5, snapshot {story.image.id}")
    assert f"it was switched off: {why}. {DETACH}" in story.line()
    assert story.deeds("on", "off", "deleted") == ["on", "off", "deleted"]
    [off] = [i for i in story.invocations("CheckServer") if "POST" in i.methods][-1:]
    assert off.started - happened[0] < 40


def test_inbound_rules_that_are_changed_while_it_runs_are_set_right(story: RestoreStage) -> None:
    story.when(lambda: story.runs, lambda: closes_it(story))
    in_the_end(story, "Completed: Proven: sg5")
    assert story.acted == []


def deletes(copy: Server, story: RestoreStage) -> None:
    story.project.delete_server(copy)


def test_a_copy_that_a_person_deletes_is_told_as_that(story: RestoreStage) -> None:
    story.when(lambda: story.runs, lambda: deletes(story.copy, story))
    in_the_end(story, "Failed: sg5")
    assert "the copy is not found" in story.line()
    assert "Somebody else has removed it." in story.line()
    assert len(story.made) == 1 and "deleted" not in story.deeds()


def test_in_place_of_one_that_a_person_deletes_while_it_is_made_another_is(
    story: RestoreStage,
) -> None:
    story.when(lambda: story.made, lambda: deletes(story.copy, story))
    in_the_end(story, "Completed: Proven: sg5")
    assert len(story.made) == 2 and story.deeds("deleted") == ["deleted"]


@pytest.fixture
def kept() -> RestoreStage:
    kept = RestoreStage()
    kept.boots(300)
    kept.restore({"servers": ["sg5"], "keep": True})
    return kept


LIFTED = "hcloud firewall remove-from-resource"


@pytest.mark.parametrize("moment", ["made", "runs"])
@pytest.mark.parametrize("meddles", [deletes_it, adds_another, adds_a_balancer, attaches_a_network])
def test_a_kept_server_that_is_not_alone_behind_our_firewall_is_not_said_to_be(
    kept: RestoreStage, moment: str, meddles: Callable[[RestoreStage], None]
) -> None:
    """Who did what is said of a good one would let a second production server act."""
    kept.when(lambda: getattr(kept, moment), lambda: meddles(kept))
    kept.play_out()
    [message] = kept.told("SummariseRestore")
    assert kept.copy.status == "off" and f"{kept.copy.name} was not left running" in message
    assert "lets nothing out" not in message and LIFTED not in message


def test_a_kept_server_that_runs_behind_our_firewall_is_said_to(kept: RestoreStage) -> None:
    kept.play_out()
    [message] = kept.told("SummariseRestore")
    assert f"{kept.copy.name} is behind a firewall that lets nothing out" in message
    assert LIFTED in message and "was not left running" not in message


def test_a_kept_server_that_a_person_deletes_is_not_said_to_be_there(kept: RestoreStage) -> None:
    kept.when(lambda: kept.runs, lambda: deletes(kept.copy, kept))
    kept.play_out()
    [message] = kept.told("SummariseRestore")
    assert "the copy is not found" in message and "Look in the Hetzner console" in message
    assert " per hour" not in message and LIFTED not in message


def renames(copy: Server) -> None:
    copy.name = "mine"


def takes_all_labels(copy: Server) -> None:
    copy.labels.clear()


def takes_the_label(copy: Server) -> None:
    del copy.labels[LABEL_THROW_AWAY]


def labels_it(copy: Server) -> None:
    copy.labels[LABEL_RESTORE_ID] = "mine"


NO_LABEL = f"it has no label {LABEL_THROW_AWAY}=true"


@pytest.mark.parametrize(
    ("moment", "takes", "why"),
    [
        ("made", renames, "it is not called drill-20261121-000000011111-1001"),
        ("made", takes_all_labels, NO_LABEL),
        ("runs", renames, "it is not called drill-20261121-000000011111-1001"),
        ("runs", takes_all_labels, NO_LABEL),
        ("runs", takes_the_label, NO_LABEL),
        ("runs", labels_it, f"it has no label {LABEL_RESTORE_ID}=20261121-000000011111"),
        ("proven", renames, "it is not called drill-20261121-000000011111-1001"),
        ("proven", takes_the_label, NO_LABEL),
    ],
)
def test_a_copy_that_a_person_takes_stays_theirs_and_no_sweep_takes_it(
    story: RestoreStage, moment: str, takes: Callable[[Server], None], why: str
) -> None:
    def is_time() -> bool:
        proven = LABEL_PROVEN_AT in story.image.labels
        return proven if moment == "proven" else bool(getattr(story, moment))

    story.when(is_time, lambda: takes(story.copy))
    story.restore({"sweep": True}, at=3 * HOUR)
    story.play_out(8)
    copy = story.copy
    assert "deleted" not in story.deeds()
    assert story.acted == []
    left = f"erver {copy.id} ({copy.name}) was left: {why}"
    assert left in story.line()
    assert left in story.told("SummariseRestore")[0]
    # With the label by which copies are thrown away it is told as one that is left, once.
    watched = story.told("WatchServers")
    is_unsaved = "No night saves it as long as it has the label" in story.line()
    assert is_unsaved is (LABEL_THROW_AWAY in copy.labels)
    if LABEL_THROW_AWAY not in copy.labels:
        assert watched == []
        assert [execution.status for execution in story.executions[1:]] == ["SUCCEEDED"]
    else:
        assert len(watched) == 1
        assert (
            f"{copy.name} ({copy.id}, 4.5 hours old, 0.0056 per hour net without its address)"
            in watched[0]
        )
