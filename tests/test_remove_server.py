"""RemoveServer on the simulator: only this restore's own copy goes, and always goes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Response

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RESTORE_ID,
    LABEL_SERVER_ID,
    LABEL_THROW_AWAY,
)
from local.simulator import Fault, faults
from local.simulator.boot import Boot
from tests.restores import NAME, Restoring, restoring


@pytest.fixture
def drill() -> Iterator[Restoring]:
    with restoring() as drill:
        yield drill


def deletes(drill: Restoring) -> int:
    return drill.sent("DELETE", "/servers/")


def test_a_drill_ends_with_its_copy_gone_and_its_outcome_and_cost_told(drill: Restoring) -> None:
    ended = drill.end()
    assert (ended.status, drill.copies, deletes(drill)) == ("proven", [], 1)
    assert ended.reason.endswith("; removed")
    result = ended.result
    assert result
    assert (result.status, result.cost, result.copy_id) == ("proven", "0.01 EUR", None)
    assert (result.server_type, result.location, result.proven_by) == ("cx23", "fsn1", "ssh")
    assert result.seconds and result.seconds < 200
    assert list(drill.project.servers) == [drill.server.id]


def test_each_hour_begun_is_counted(drill: Restoring) -> None:
    drill.project.server_seconds[drill.image.id] = 3300
    drill.project.boot = Boot(after_s=600)
    ended = drill.end()
    assert ended.result and ended.result.cost == "0.02 EUR"  # Twice 0.0061.


def test_it_is_removed_also_when_its_snapshot_was_pruned(drill: Restoring) -> None:
    drill.until("removing")
    del drill.project.images[drill.image.id]
    assert (drill.end().status, drill.copies) == ("proven", [])


def relabelled(label: str, value: str | None) -> Callable[[Restoring], None]:
    def change(drill: Restoring) -> None:
        labels = {name: text for name, text in drill.copy.labels.items() if name != label}
        drill.copy.labels = labels | ({} if value is None else {label: value})

    return change


def _renamed(drill: Restoring) -> None:
    drill.copy.name = "theirs"


def _older(drill: Restoring) -> None:
    drill.copy.created -= timedelta(hours=1)


def _of_another_image(drill: Restoring) -> None:
    drill.copy.image_id = drill.project.add_snapshot(drill.server).id


CLAUSES = [
    (relabelled(LABEL_THROW_AWAY, None), f"it has no label {LABEL_THROW_AWAY}=true"),
    (relabelled(LABEL_THROW_AWAY, "false"), f"it has no label {LABEL_THROW_AWAY}=true"),
    (relabelled(LABEL_MANAGED_BY, None), f"it has no label {LABEL_MANAGED_BY}=me"),
    (relabelled(LABEL_MANAGED_BY, "you"), f"it has no label {LABEL_MANAGED_BY}=me"),
    (relabelled(LABEL_RESTORE_ID, "other"), f"it has no label {LABEL_RESTORE_ID}=drill-1"),
    (relabelled(LABEL_SERVER_ID, "1"), f"it has no label {LABEL_SERVER_ID}="),
    (_renamed, f"it is not called {NAME}"),
    (_older, "before the restore began"),
    (_of_another_image, "not of snapshot"),
]


@pytest.mark.parametrize(("change", "reason"), CLAUSES)
def test_what_somebody_has_made_theirs_stays_and_the_proof_counts(
    drill: Restoring, change: Callable[[Restoring], None], reason: str
) -> None:
    drill.until("removing")
    change(drill)
    ended = drill.end()
    assert (ended.status, deletes(drill)) == ("proven", 0)
    assert ended.result
    for told in (ended.reason, ended.result.problem):
        assert f"Server {drill.copy.id} ({drill.copy.name}) was left: it " in told
        assert reason in told
    assert ended.result.copy_id == drill.copy.id


@pytest.mark.parametrize(("change", "reason"), CLAUSES)
def test_a_delete_that_failed_is_decided_again_by_a_new_answer(
    drill: Restoring, change: Callable[[Restoring], None], reason: str
) -> None:
    drill.until("removing")
    drill.world.faults.add(Fault(faults.html(502), method="DELETE"))
    assert drill.step().status == "removing"
    change(drill)
    ended = drill.end()
    assert (reason in ended.reason, deletes(drill), len(drill.copies)) == (True, 1, 1)


def test_what_is_kept_is_never_removed_even_if_it_got_here() -> None:
    with restoring(keep=True) as kept:
        kept.end()
        kept.changed(keep=True, status="removing", result=None)
        with pytest.raises(AssertionError, match="never removed"):
            kept.step("remove")
        kept.changed(keep=False)
        kept.step("remove")
        assert (deletes(kept), kept.copy.status) == (0, "running")


@pytest.mark.parametrize(
    "effect",
    [
        faults.status(423, "locked"),
        faults.status(423, "protected"),
        faults.status(409, "conflict"),
        faults.html(502),
        faults.drop(),
        faults.rate_limited(),
    ],
)
def test_a_delete_that_is_not_possible_now_is_tried_again(drill: Restoring, effect: Any) -> None:
    drill.until("removing")
    drill.world.faults.add(Fault(effect, method="DELETE", times=3))
    assert (drill.end().status, drill.copies) == ("proven", [])
    assert deletes(drill) == 4


@pytest.mark.parametrize(
    "effect", [faults.html(502), faults.drop(), faults.status(404, "not_found")]
)
def test_a_delete_whose_answer_is_lost_is_looked_for(drill: Restoring, effect: Any) -> None:
    drill.until("removing")
    drill.world.faults.add(Fault(effect, method="DELETE", when="after"))
    ended = drill.end()
    assert (ended.status, drill.copies, deletes(drill)) == ("proven", [], 1)


@pytest.mark.parametrize("effect", [faults.status(423, "protected"), faults.status(423, "locked")])
def test_a_copy_that_cannot_be_removed_is_a_failure_with_its_id_name_and_price(
    drill: Restoring, effect: Any
) -> None:
    drill.until("removing")
    drill.world.faults.add(Fault(effect, method="DELETE", times=None))
    ended = drill.end()
    assert ended.status == "failed"
    assert f"server {drill.copy.id} ({NAME}) is still there and costs 0.0061 EUR per hour" in (
        ended.reason
    )
    assert "Before that: proven, greets on ssh" in ended.reason
    assert 3600 <= ended.stopwatch.elapsed_s < 5000
    assert ended.result and ended.result.copy_id == drill.copy.id


def test_a_token_that_may_no_longer_delete_is_told_at_once(drill: Restoring) -> None:
    drill.until("removing")
    drill.world.faults.add(Fault(faults.status(403, "forbidden"), method="DELETE", times=None))
    ended = drill.end()
    assert (ended.status, deletes(drill)) == ("failed", 1)
    assert f"server {drill.copy.id} ({NAME}) is still there" in ended.reason


def test_an_outage_delays_the_removal(drill: Restoring) -> None:
    drill.until("removing")
    drill.world.faults.add(Fault(faults.html(502), method="GET", times=10))
    drill.world.faults.add(Fault(faults.status(423, "locked"), method="GET", nth=11, times=3))
    assert (drill.end().status, drill.copies) == ("proven", [])


def test_a_404_of_a_token_that_sees_another_project_is_no_removal(drill: Restoring) -> None:
    drill.until("removing")
    copy, images = drill.copy, dict(drill.project.images)
    walls = dict(drill.project.firewalls)
    del drill.project.servers[copy.id]
    drill.project.images.clear()
    drill.project.firewalls.clear()
    waits = drill.step()
    assert waits.status == "removing"
    assert "the token sees nothing else of this project" in waits.reason
    # It is the right token again.
    drill.project.servers[copy.id] = copy
    drill.project.images.update(images)
    drill.project.firewalls.update(walls)
    assert (drill.end().status, drill.copies) == ("proven", [])


def test_a_token_that_never_sees_the_project_again_is_a_failure(drill: Restoring) -> None:
    drill.until("removing")
    drill.project.servers.clear()
    drill.project.images.clear()
    drill.project.firewalls.clear()
    ended = drill.end()
    assert ended.status == "failed"
    assert "is still there and costs 0.0061 EUR per hour" in ended.reason


def test_what_somebody_else_has_removed_is_gone(drill: Restoring) -> None:
    drill.until("removing")
    del drill.project.servers[drill.copy.id]
    ended = drill.end()
    assert (ended.status, deletes(drill)) == ("proven", 0)
    assert ended.reason.endswith("somebody else has removed it")


def test_nothing_is_looked_for_where_nothing_was_sent(drill: Restoring) -> None:
    drill.changed(candidates=())
    ended = drill.end()
    assert (ended.status, drill.path) == ("failed", ["create", "remove"])
    assert "Nothing was made." in ended.reason
    assert ended.result and ended.result.cost == ""


def lost_and_late(drill: Restoring, after_s: int) -> None:
    """A create whose answer is lost, and that no listing shows for so long."""
    drill.world.faults.add(Fault(faults.drop(), method="POST", path="/servers", when="after"))
    drill.step()
    shown = drill.world.clock.now() + timedelta(seconds=after_s)

    def hide(call: Any) -> Any:
        if drill.world.clock.now() < shown:
            answer = call.response.get_json()
            answer["servers"] = []
            answer["meta"]["pagination"]["total_entries"] = 0
            call.response.set_data(call.response.json_module.dumps(answer))
        return call.response

    drill.world.faults.add(Fault(hide, method="GET", path="/servers", times=None, when="after"))


def test_a_lost_create_that_is_listed_late_is_found_and_removed(drill: Restoring) -> None:
    lost_and_late(drill, 500)
    drill.changed(status="removing", outcome="failed", outcome_reason="it was stopped")
    ended = drill.end()
    assert (ended.status, drill.copies, deletes(drill)) == ("failed", [], 1)


def test_a_lost_create_that_made_nothing_is_looked_for_for_ten_minutes(drill: Restoring) -> None:
    drill.world.faults.add(Fault(faults.drop(), method="POST", path="/servers"))
    drill.step()
    sent_s = drill.restore.stopwatch.elapsed_s
    drill.changed(status="removing", outcome="failed", outcome_reason="it was stopped")
    drill.changed(deadline_s=None)
    ended = drill.end()
    assert ended.status == "failed"
    assert "no server of the create that had no answer is there" in ended.reason
    assert 600 <= ended.stopwatch.elapsed_s - sent_s < 900


@pytest.mark.parametrize("status", ["new", "waiting", "creating", "booting"])
def test_what_broke_off_anywhere_is_removed(drill: Restoring, status: str) -> None:
    """A Catch hands on the input of the state that broke off, which knows of no create."""
    before = drill.restore
    drill.step()
    drill.restore = replace(before, status=status)
    drill.step("remove")
    ended = drill.end()
    assert (ended.status, drill.copies) == ("failed", [])
    assert f"it broke off while {status}" in ended.reason


def test_what_broke_off_and_is_listed_late_is_removed(drill: Restoring) -> None:
    before = drill.restore
    lost_and_late(drill, 500)
    drill.restore = before
    drill.step("remove")
    assert (drill.end().status, drill.copies) == ("failed", [])


def test_an_outcome_that_was_known_before_it_broke_off_is_carried_on(drill: Restoring) -> None:
    drill.until("removing")
    drill.changed(status="booting")
    drill.step("remove")
    assert (drill.end().status, drill.copies) == ("proven", [])


def test_a_function_that_died_after_its_delete_deletes_nothing_else(drill: Restoring) -> None:
    drill.until("removing")
    before = drill.restore
    drill.step()
    drill.restore = replace(before, wait_seconds=60)
    # Somebody makes a server of that name meanwhile.
    drill.world.clock.advance(10)
    assert not drill.copies
    theirs = drill.project.add_server(NAME)
    ended = drill.end()
    assert (ended.status, deletes(drill)) == ("proven", 1)
    assert theirs.id in drill.project.servers


def test_a_copy_that_a_dead_drill_has_left_is_swept_by_the_same_rule(drill: Restoring) -> None:
    drill.until("booting")
    left, labels = drill.restore, dict(drill.image.labels)
    drill.restore = replace(
        left,
        run=replace(left.run, id="sweep-1", sweep=True),
        restore_id="drill-1",
        status="removing",
        firewall_id=None,
        deadline_s=None,
    )
    ended = drill.end()
    assert (ended.status, drill.copies) == ("removed", [])
    assert drill.image.labels == labels  # a sweep drills nothing


def test_a_sweep_leaves_what_is_older_than_its_restore(drill: Restoring) -> None:
    drill.until("booting")
    left = drill.restore
    drill.restore = replace(
        left,
        run=replace(left.run, id="sweep-1", sweep=True),
        status="removing",
        began="2026-11-21T02:30:00Z",
        deadline_s=None,
    )
    ended = drill.end()
    assert (ended.status, deletes(drill), len(drill.copies)) == ("skipped", 0, 1)
    assert "was left" in ended.reason


def test_a_sweep_needs_nothing_else_to_be_left_in_the_project(drill: Restoring) -> None:
    drill.until("booting")
    left = drill.restore
    drill.restore = replace(
        left,
        run=replace(left.run, id="sweep-1", sweep=True),
        status="removing",
        firewall_id=None,
        deadline_s=None,
    )
    drill.project.images.clear()
    assert (drill.end().status, drill.copies) == ("removed", [])


def test_one_wrong_clock_does_not_keep_a_copy(drill: Restoring) -> None:
    # PlanRestore's answer had the clock of tomorrow.
    drill.changed(began="2026-11-22T02:00:00Z")
    assert (drill.end().status, drill.copies) == ("proven", [])


@pytest.mark.parametrize("stuck", ["protected", "locked", "deleting", "not deleted"])
def test_a_copy_that_does_not_go_is_told_after_few_looks(drill: Restoring, stuck: str) -> None:
    drill.until("removing")
    copy = drill.copy
    match stuck:
        case "protected":
            copy.protected = True
        case "locked":
            copy.hidden_lock = True
        case "deleting":
            copy.status = "deleting"
        case "not deleted":
            answer = {"action": {"id": 1, "command": "delete_server", "status": "success"}}
            drill.world.faults.add(
                Fault(lambda _: Response(json.dumps(answer), 200, content_type="application/json"),
                      method="DELETE", times=None)
            )  # fmt: skip
    ended = drill.end()
    assert (ended.status, drill.copies) == ("failed", [copy])
    assert f"server {copy.id} ({NAME}) is still there" in ended.reason
    # One look has a dozen events, an execution's history 25,000 for up to 20 restores.
    assert drill.path.count("remove") < 60
