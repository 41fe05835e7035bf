"""CreateServer on the simulator: exactly one copy, off, behind our firewall, whatever happens."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from handler.decisions import isolating
from handler.decisions.restoring import NO_KEY
from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RESTORE_ID,
    LABEL_SERVER_ID,
    LABEL_THROW_AWAY,
)
from local.simulator import Fault, faults
from tests.restores import NAME, OWNER, Restoring, restoring


@pytest.fixture
def drill() -> Iterator[Restoring]:
    with restoring() as drill:
        yield drill


@pytest.fixture
def kept() -> Iterator[Restoring]:
    with restoring(keep=True) as kept:
        yield kept


def test_a_copy_is_made_off_behind_our_firewall_with_our_labels_alone(drill: Restoring) -> None:
    made = drill.step()
    copy = drill.copy
    assert (made.status, made.copy_id, made.address) == ("creating", copy.id, copy.ipv4)
    assert (made.firewall_id, made.create_action is None) == (drill.wall.id, False)
    assert copy.labels == {
        LABEL_MANAGED_BY: OWNER,
        LABEL_SERVER_ID: str(drill.server.id),
        LABEL_RESTORE_ID: "drill-1",
        LABEL_THROW_AWAY: "true",
    }
    assert (copy.name, copy.ipv6, copy.networks, copy.volumes) == (NAME, None, [], [])
    assert copy.root_password is None  # it has the project's keys
    drill.world.clock.advance(3600)
    assert (drill.copy.status, list(drill.wall.servers)) == ("off", [copy.id])


def test_what_is_kept_is_never_labelled_to_be_thrown_away(kept: Restoring) -> None:
    kept.step()
    assert LABEL_THROW_AWAY not in kept.copy.labels


def test_the_firewall_is_made_once_and_lets_only_the_probe_in(drill: Restoring) -> None:
    drill.changed(server=replace(drill.restore.server, probe="ssh.2222"))
    drill.step()
    rules = drill.wall.rules
    assert {rule["port"] for rule in rules if rule["direction"] == "in"} == {"22", "2222"}
    [out] = [rule for rule in rules if rule["direction"] == "out"]
    assert (out["port"], out["destination_ips"]) == ("1", ["192.0.2.1/32"])
    assert drill.wall.labels == {LABEL_MANAGED_BY: OWNER}
    assert drill.sent("POST", "/firewalls") == 1


def test_a_firewall_that_somebody_has_changed_is_set_right_before_it_is_used(
    drill: Restoring,
) -> None:
    name = isolating.firewall_name(OWNER)
    drill.project.firewalls.add(name, [], {LABEL_MANAGED_BY: OWNER})
    assert drill.step().status == "creating"
    assert any(rule["direction"] == "out" for rule in drill.wall.rules)
    reads = [r.path for r in drill.world.requests if r.method == "GET"]
    assert reads[-1] == f"/firewalls/{drill.wall.id}"


@pytest.mark.parametrize("lost", ["out", "in"])
def test_nothing_is_made_while_the_rules_that_are_read_back_are_not_ours(
    drill: Restoring, lost: str
) -> None:
    def spoil(call: Any) -> None:
        drill.wall.rules = [rule for rule in drill.wall.rules if rule["direction"] != lost]

    drill.world.faults.add(
        Fault(lambda call: spoil(call), path=r"/firewalls/\d+", method="GET", times=None)
    )
    ended = drill.end()
    assert (ended.status, drill.copies, drill.sent("POST", "/servers")) == ("failed", [], 0)
    assert "rules" in ended.reason


def test_a_firewall_of_our_name_that_is_somebodys_is_not_touched(drill: Restoring) -> None:
    name = isolating.firewall_name(OWNER)
    theirs = drill.project.firewalls.add(name, [], {"team": "web"})
    ended = drill.end()
    assert (ended.status, theirs.rules, drill.copies) == ("failed", [], [])
    assert f"firewall {theirs.id} has our name and not our label" in ended.reason


def test_no_stock_is_the_next_candidates_turn(drill: Restoring) -> None:
    drill.world.no_placement.add(("cx23", "fsn1"))
    assert drill.step().status == "waiting"
    made = drill.step()
    assert (made.status, drill.copy.server_type["name"]) == ("creating", "cx33")
    assert drill.copy.location["name"] == "nbg1"


@pytest.mark.parametrize(("keep", "status"), [(False, "unproven"), (True, "failed")])
def test_without_any_stock_nothing_is_made_and_it_is_said_what_to_do(
    keep: bool, status: str
) -> None:
    with restoring(keep=keep) as drill:
        drill.world.disabled_locations |= {"fsn1", "nbg1"}
        ended = drill.end()
        assert (ended.status, drill.copies) == (status, [])
        assert "cx33 in nbg1: server location disabled" in ended.reason
        assert "Try again later." in ended.reason


def test_a_type_that_does_not_take_the_image_is_passed_over(drill: Restoring) -> None:
    drill.image.disk_size = 60
    drill.step()
    assert drill.step().status == "creating"
    assert drill.copy.server_type["name"] == "cx33"


@pytest.mark.parametrize("limit", ["server_limit", "primary_ip_limit"])
def test_the_limit_of_servers_is_told_as_that(drill: Restoring, limit: str) -> None:
    setattr(drill.project, limit, 1)
    ended = drill.end()
    assert ended.status == "failed"
    assert "limit of servers or of primary IPs" in ended.reason
    assert "snapshots" not in ended.reason


@pytest.mark.parametrize(
    "effect",
    [
        faults.html(502),
        faults.drop(),
        faults.truncated(),
        faults.status(503, "unavailable"),
        faults.status(500, "server_error"),
    ],
)
def test_a_create_whose_answer_is_lost_is_found_by_its_name(drill: Restoring, effect: Any) -> None:
    drill.world.faults.add(Fault(effect, method="POST", path="/servers", when="after"))
    lost = drill.step()
    assert (lost.status, lost.maybe_posted, lost.wait_seconds >= 30) == ("waiting", True, True)
    found = drill.step()
    assert (found.status, found.copy_id) == ("creating", drill.copy.id)
    assert drill.sent("POST", "/servers") == 1
    assert drill.end().status == "proven"


def test_a_create_that_did_not_happen_is_sent_again(drill: Restoring) -> None:
    drill.world.faults.add(Fault(faults.html(502), method="POST", path="/servers"))
    drill.step()
    assert drill.step().status == "creating"
    assert len(drill.copies) == 1


def test_a_function_that_died_after_its_create_makes_no_second_copy(drill: Restoring) -> None:
    before = drill.restore
    drill.step()
    drill.restore = before  # Step Functions tries again with the same input.
    again = drill.step()
    assert (again.status, again.copy_id) == ("creating", drill.copy.id)
    assert drill.sent("POST", "/servers") == 1


def test_a_name_that_was_taken_between_look_and_create_is_looked_for(drill: Restoring) -> None:
    drill.world.faults.add(
        Fault(faults.status(409, "uniqueness_error"), method="POST", path="/servers")
    )
    taken = drill.step()
    assert (taken.status, taken.maybe_posted) == ("waiting", True)
    assert drill.step().status == "creating"


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {}},
        {"created": timedelta(days=-1)},
        {"image": "another"},
        {"throw_away": "false"},
    ],
)
def test_a_server_of_the_copys_name_that_is_somebodys_is_left_alone(
    drill: Restoring, changes: dict[str, Any]
) -> None:
    before = drill.restore
    drill.step()
    theirs = drill.copy
    drill.world.clock.advance(600)
    theirs.labels = changes.get("labels", theirs.labels)
    theirs.created += changes.get("created", timedelta(0))
    if "image" in changes:
        theirs.image_id = drill.project.add_snapshot(drill.server).id
    if "throw_away" in changes:
        theirs.labels = theirs.labels | {LABEL_THROW_AWAY: "false"}
    drill.restore = before
    ended = drill.end()
    assert (ended.status, drill.copy.id, theirs.status) == ("failed", theirs.id, "off")
    assert drill.sent("DELETE") == drill.sent("POST", "/poweron") == 0
    assert f"server {theirs.id}" in ended.reason


def test_a_project_without_keys_is_told_what_hetzner_does_then(drill: Restoring) -> None:
    drill.project.ssh_keys.clear()
    ended = drill.end()
    assert ended.status == "proven"
    assert NO_KEY in ended.reason


def test_no_answer_of_hetzners_puts_the_root_password_anywhere(drill: Restoring) -> None:
    drill.project.ssh_keys.clear()
    made = drill.step()
    password = drill.copy.root_password
    assert password
    said = f"{made!r} {made.to_dict()} {drill.notes}"
    assert not [at for at in range(len(password) - 7) if password[at : at + 8] in said]


@pytest.mark.parametrize("path", ["/servers", "/ssh_keys", "/firewalls", r"/firewalls/\d+"])
def test_an_outage_delays_the_create_and_does_not_lose_it(drill: Restoring, path: str) -> None:
    drill.world.faults.add(Fault(faults.html(502), method="GET", path=path, times=3))
    assert drill.until("creating").status == "creating"
    assert len(drill.copies) == 1


def test_an_outage_that_does_not_end_ends_the_restore_at_its_deadline(drill: Restoring) -> None:
    drill.world.faults.add(Fault(faults.html(502), method="GET", path="/ssh_keys", times=None))
    ended = drill.until("removing")
    assert ended.outcome == "failed"
    assert "no copy made after 60 min" in ended.outcome_reason
    assert 3600 <= ended.stopwatch.elapsed_s < 3900


def test_a_429_is_waited_for(drill: Restoring) -> None:
    drill.world.faults.add(Fault(faults.rate_limited(), method="POST", path="/servers"))
    waits = drill.step()
    assert (waits.status, waits.maybe_posted, waits.wait_seconds >= 30) == ("waiting", False, True)
    assert drill.step().status == "creating"


def test_few_requests_left_are_left_to_others(drill: Restoring) -> None:
    drill.project.spend_budget(2890)  # 20 per cent of 3600 are theirs
    assert drill.step().status == "waiting"
    assert not drill.copies
    assert drill.until("creating").copy_id == drill.copy.id


def test_a_token_that_may_only_read_is_told(drill: Restoring) -> None:
    drill.world.faults.add(
        Fault(faults.status(401, "token_readonly"), method="POST", path="/firewalls")
    )
    ended = drill.end()
    assert ended.status == "failed"
    assert "Its token needs Read & Write" in ended.reason


def test_a_snapshot_that_is_gone_is_told(drill: Restoring) -> None:
    del drill.project.images[drill.image.id]
    ended = drill.end()
    assert (ended.status, drill.copies) == ("failed", [])
    assert f"snapshot {drill.image.id} was deleted meanwhile" in ended.reason
    assert drill.sent("POST", "/servers") == 1


def test_the_candidates_price_is_logged_before_it_is_made(
    drill: Restoring, caplog: pytest.LogCaptureFixture
) -> None:
    drill.step()
    assert "cx23 in fsn1, 0.0061 EUR per hour" in caplog.text
