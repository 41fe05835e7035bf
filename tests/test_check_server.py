"""CheckServer on the simulator: powered on only in isolation, looked at, proven or not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_UNPROVEN_AT,
)
from local.simulator import Fault, faults
from local.simulator.boot import SSH, Boot
from local.simulator.model import Failure
from tests.restores import Restoring, restoring


@pytest.fixture
def drill() -> Iterator[Restoring]:
    with restoring() as drill:
        yield drill


@pytest.fixture
def kept() -> Iterator[Restoring]:
    with restoring(keep=True) as kept:
        yield kept


@pytest.fixture(params=[False, True], ids=["drill", "kept"])
def either(request: pytest.FixtureRequest) -> Iterator[Restoring]:
    with restoring(keep=request.param) as either:
        yield either


def marks(drill: Restoring) -> dict[str, str]:
    """What was written on the snapshot."""
    names = (LABEL_PROVEN_AT, LABEL_PROVEN_BY, LABEL_UNPROVEN_AT)
    labels = drill.image.labels
    # Another's label is never lost.
    assert labels["people/wrote"] == "this"
    assert LABEL_MANAGED_BY in labels
    return {name: labels[name] for name in names if name in labels}


def test_a_copy_that_greets_is_proven_and_its_snapshot_says_so(drill: Restoring) -> None:
    proven = drill.until("removing")
    assert (proven.outcome, proven.greeting[:8]) == ("proven", "SSH-2.0-")
    assert proven.outcome_reason.startswith("greets on ssh ")
    assert marks(drill).keys() == {LABEL_PROVEN_AT, LABEL_PROVEN_BY}
    assert marks(drill)[LABEL_PROVEN_BY] == "ssh"
    assert marks(drill)[LABEL_PROVEN_AT].startswith("20261121T02")
    assert drill.never_acted()


def test_a_kept_restore_stays_behind_its_firewall_and_says_where_it_is(kept: Restoring) -> None:
    ended = kept.end()
    assert (ended.status, kept.copy.status) == ("proven", "running")
    assert ended.result
    assert (ended.result.address, ended.result.copy_id) == (kept.copy.ipv4, kept.copy.id)
    assert (ended.result.price_per_hour, ended.result.seconds) == ("0.0061 EUR", ended.greeted_s and
        ended.greeted_s - (ended.powered_on_s or 0))  # fmt: skip
    assert "remove" not in kept.path
    assert kept.sent("DELETE") == 0
    assert kept.copy.id in kept.wall.servers
    assert kept.never_acted()


def test_it_is_powered_on_once_its_firewall_is_applied_and_not_before(drill: Restoring) -> None:
    drill.project.firewall_seconds = 300
    drill.until("booting")
    [on] = [deed for deed in drill.world.deeds if deed.what == "on"]
    assert [wall.status for wall in on.firewalls] == ["applied"]
    assert drill.never_acted()
    assert drill.end().status == "proven"


def test_a_firewall_that_is_never_applied_leaves_the_copy_off(either: Restoring) -> None:
    either.world.firewall_applied_after_boot = True
    ended = either.end()
    assert ended.status == "unproven"
    assert "our firewall" in ended.reason
    assert "pending" in ended.reason
    assert either.sent("POST", "/poweron") == 0


def _balancer(drill: Restoring) -> None:
    drill.project.load_balancers.add(91, selector="hetzner-snapshots/managed-by")


def _network(drill: Restoring) -> None:
    drill.copy.networks.append(11)


def _volume(drill: Restoring) -> None:
    drill.copy.volumes.append(31)


def _floating_ip(drill: Restoring) -> None:
    drill.copy.floating_ips.append(21)


def _ipv6(drill: Restoring) -> None:
    drill.copy.ipv6 = "2001:db8::/64"


def _firewall(drill: Restoring) -> None:
    other = drill.project.firewalls.add("theirs", [], {})
    drill.project.firewalls.attach(other, drill.copy)


ATTACH = [
    (_balancer, "load balancer 91 is on it"),
    (_network, "network 11 is on it"),
    (_volume, "volume 31 is on it"),
    (_floating_ip, "floating IP 21 is on it"),
    (_ipv6, "an IPv6 address is on it"),
    (_firewall, "is on it"),
]


@pytest.mark.parametrize(("attach", "reason"), ATTACH)
def test_a_copy_to_which_something_has_attached_itself_is_never_powered_on(
    either: Restoring, attach: Callable[[Restoring], None], reason: str
) -> None:
    either.step()
    attach(either)
    ended = either.end()
    assert (ended.status, either.sent("POST", "/poweron")) == ("unproven", 0)
    assert f"{reason}. Look which label selector" in ended.reason
    assert marks(either) == {}


@pytest.mark.parametrize(("attach", "reason"), ATTACH)
def test_a_copy_to_which_something_attaches_itself_later_is_switched_off(
    either: Restoring, attach: Callable[[Restoring], None], reason: str
) -> None:
    either.project.boot = Boot(after_s=600)
    either.until("booting")
    while either.copy.status != "running":
        either.step()
    copy = either.copy
    attach(either)
    ended = either.end()
    assert ended.status == "unproven"
    assert "it was switched off" in ended.reason
    assert reason in ended.reason
    assert "off" in either.deeds(copy.id)
    if ended.keep:
        assert copy.status == "off"


def test_a_firewall_that_somebody_takes_away_switches_the_copy_off(either: Restoring) -> None:
    either.project.boot = Boot(after_s=600)
    either.until("booting")
    either.step()
    copy = either.copy
    either.project.firewalls.detach(either.wall, copy.id)
    ended = either.end()
    assert (ended.status, "is not on it" in ended.reason) == ("unproven", True)
    assert "off" in either.deeds(copy.id)


@pytest.mark.parametrize("gone", [True, False])
def test_a_firewall_that_is_opened_or_deleted_switches_the_copy_off(
    either: Restoring, gone: bool
) -> None:
    either.project.boot = Boot(after_s=600)
    either.until("booting")
    either.step()
    copy, wall = either.copy, either.wall
    if gone:
        del either.project.firewalls[wall.id]
    else:
        either.project.firewalls.set_rules(wall, [])
    ended = either.end()
    assert ended.status == "unproven"
    assert "off" in either.deeds(copy.id)


def test_rules_that_are_changed_before_the_power_on_are_set_right(drill: Restoring) -> None:
    drill.step()
    drill.project.firewalls.set_rules(drill.wall, [])
    assert drill.end().status == "proven"
    assert drill.never_acted()


def test_other_inbound_rules_are_set_right_while_it_boots(drill: Restoring) -> None:
    drill.project.boot = Boot(after_s=100)
    drill.until("booting")
    wall = drill.wall
    out = [rule for rule in wall.rules if rule["direction"] == "out"]
    drill.project.firewalls.set_rules(wall, out)
    assert drill.end().status == "proven"
    assert drill.sent("POST", "/poweroff") == 0


def test_an_answer_that_does_not_tell_what_is_attached_powers_nothing_on(drill: Restoring) -> None:
    def without(call: Any) -> Any:
        answer = call.response.get_json()
        del answer["server"]["load_balancers"]
        call.response.set_data(call.response.json_module.dumps(answer))
        return call.response

    drill.world.faults.add(
        Fault(without, method="GET", path=r"/servers/\d+", times=None, when="after")
    )
    ended = drill.until("removing")
    assert (ended.outcome, drill.sent("POST", "/poweron")) == ("unproven", 0)
    assert "Hetzner does not tell its load balancers" in ended.outcome_reason


@pytest.mark.parametrize(
    ("boot", "said"),
    [
        (Boot(says=None), "no connection"),
        (Boot(says=""), "no connection"),
        (Boot(says="220 mail\r\n"), "220 mail"),
        (Boot(after_s=5000), "no connection"),
    ],
)
def test_a_copy_that_never_greets_is_unproven_after_its_minutes(
    drill: Restoring, boot: Boot, said: str
) -> None:
    drill.project.boot = boot
    ended = drill.until("removing")
    assert ended.outcome == "unproven"
    assert f"no greeting on port 22: {said}" in ended.outcome_reason
    assert "15 min after its start" in ended.outcome_reason
    on, off = ended.powered_on_s or 0, ended.stopwatch.elapsed_s
    assert 900 <= off - on < 1000
    assert marks(drill).keys() == {LABEL_UNPROVEN_AT}


def test_a_kept_restore_that_does_not_greet_is_restored_and_says_so(kept: Restoring) -> None:
    kept.project.boot = Boot(says=None)
    ended = kept.end()
    assert ended.result
    assert (ended.status, ended.result.proven_by, kept.copy.status) == ("restored", "", "running")
    assert "no greeting on port 22" in ended.reason
    # It was restored just now.
    assert ended.reason.endswith("may never answer; look at its console.")
    assert marks(kept).keys() == {LABEL_UNPROVEN_AT}


def test_one_that_greets_late_is_proven(drill: Restoring) -> None:
    drill.project.boot = Boot(after_s=500)
    assert drill.end().status == "proven"


def test_the_port_of_its_label_is_probed() -> None:
    with restoring(probe="ssh.2222") as drill:
        drill.project.boot = Boot(port=2222)
        assert drill.end().status == "proven"


def test_one_that_is_not_probed_is_restored_when_it_runs() -> None:
    with restoring(probe="none") as drill:
        drill.project.boot = Boot(says=None)
        ended = drill.end()
        assert ended.result
        assert (ended.status, ended.result.proven_by) == ("restored", "running")
        assert marks(drill)[LABEL_PROVEN_BY] == "running"


def test_a_proof_takes_the_place_of_an_earlier_failure(drill: Restoring) -> None:
    drill.image.labels[LABEL_UNPROVEN_AT] = "20261101T000000Z"
    drill.end()
    assert marks(drill).keys() == {LABEL_PROVEN_AT, LABEL_PROVEN_BY}


def test_a_failure_takes_no_earlier_proof_away(drill: Restoring) -> None:
    drill.image.labels |= {LABEL_PROVEN_AT: "20261101T000000Z", LABEL_PROVEN_BY: "ssh"}
    drill.project.boot = Boot(says=None)
    drill.end()
    assert marks(drill).keys() == {LABEL_PROVEN_AT, LABEL_PROVEN_BY, LABEL_UNPROVEN_AT}
    assert marks(drill)[LABEL_PROVEN_AT] == "20261101T000000Z"


def test_a_proof_outlives_a_snapshot_that_is_pruned_meanwhile(drill: Restoring) -> None:
    drill.until("booting")
    del drill.project.images[drill.image.id]
    ended = drill.end()
    assert (ended.status, drill.copies) == ("proven", [])
    assert f"snapshot {drill.image.id} is gone meanwhile" in ended.reason


def test_a_proof_is_written_again_until_it_is_there(drill: Restoring) -> None:
    drill.world.faults.add(Fault(faults.html(502), method="PUT", times=2))
    ended = drill.end()
    assert (ended.status, marks(drill).get(LABEL_PROVEN_BY)) == ("proven", "ssh")
    assert drill.sent("PUT") == 3


def test_a_proof_that_somebody_overwrites_is_written_again(drill: Restoring) -> None:
    def overwritten(call: Any) -> None:
        drill.image.labels = {"people/wrote": "this", LABEL_MANAGED_BY: "me", "new": "one"}

    drill.world.faults.add(Fault(overwritten, method="PUT", when="after"))
    assert drill.end().status == "proven"
    assert marks(drill)[LABEL_PROVEN_BY] == "ssh"
    assert drill.image.labels["new"] == "one"


def test_a_proof_that_cannot_be_written_is_told_and_is_one(drill: Restoring) -> None:
    drill.world.faults.add(Fault(faults.html(502), method="PUT", times=None))
    ended = drill.end()
    assert (ended.status, drill.copies, marks(drill)) == ("proven", [], {})
    assert f"could not be written on snapshot {drill.image.id}" in ended.reason


def test_what_attaches_itself_while_the_proof_is_written_switches_it_off(kept: Restoring) -> None:
    kept.world.faults.add(Fault(faults.html(502), method="PUT", times=None))
    while kept.step().outcome != "proven":
        pass
    _network(kept)
    ended = kept.end()
    assert (ended.status, kept.copy.status) == ("proven", "off")
    assert "it was switched off: network 11 is on it" in ended.reason


def until_seen(drill: Restoring) -> None:
    """Its greeting was heard, and could not be written on the snapshot yet."""
    drill.world.faults.add(Fault(faults.html(502), method="PUT"))
    while drill.step().outcome != "proven":
        pass


def is_deleted(drill: Restoring) -> None:
    drill.project.delete_server(drill.copy)


def is_renamed(drill: Restoring) -> None:
    drill.copy.name = "theirs"


def is_going(drill: Restoring) -> None:
    drill.copy.status = "deleting"


def is_off_and_attached(drill: Restoring) -> None:
    drill.copy.status, drill.copy.powered_at = "off", None
    _network(drill)


@pytest.mark.parametrize(
    "happens", [is_deleted, is_renamed, is_going, is_off_and_attached, _network]
)
def test_what_happens_to_the_copy_after_its_greeting_costs_no_proof(
    either: Restoring, happens: Callable[[Restoring], None]
) -> None:
    until_seen(either)
    happens(either)
    ended = either.until("removing")
    assert (ended.outcome, marks(either).get(LABEL_PROVEN_BY)) == ("proven", "ssh")


@pytest.mark.parametrize("hours", [0.1, 2])
def test_an_outage_after_the_greeting_costs_no_proof_or_is_told(
    drill: Restoring, hours: float
) -> None:
    until_seen(drill)
    ends = drill.world.clock.now() + timedelta(hours=hours)
    down = faults.html(502)
    drill.world.faults.add(
        Fault(lambda call: down(call) if drill.world.clock.now() < ends else None, times=None)
    )
    ended = drill.until("removing")
    is_told = "could not be written on snapshot" in ended.problem
    assert ended.outcome == "proven"
    assert (LABEL_PROVEN_BY in marks(drill)) is not is_told
    assert is_told is (hours == 2)


def test_a_snapshot_that_is_locked_gets_its_proof_later(drill: Restoring) -> None:
    drill.world.faults.add(Fault(faults.status(423, "locked"), method="PUT", times=2))
    assert drill.end().status == "proven"
    assert marks(drill)[LABEL_PROVEN_BY] == "ssh"


def test_an_address_that_has_become_another_servers_proves_nothing(either: Restoring) -> None:
    either.project.boot = Boot(says=None)
    either.until("booting")
    while either.copy.status != "running":
        either.step()
    either.server.ipv4, either.copy.ipv4 = either.copy.ipv4, None
    either.server.powered_at = either.world.clock.now()
    either.project.boots[either.server.id] = Boot()
    ended = either.until("removing")
    assert (ended.outcome or ended.status) == "unproven"
    assert "the copy has no IPv4 address, 15 min after its start." in ended.outcome_reason
    assert marks(either).keys() == {LABEL_UNPROVEN_AT}


@pytest.mark.parametrize("command", ["enable_rescue", "attach_iso", "rebuild_server"])
def test_what_greets_after_somebody_has_started_another_system_is_no_proof(
    either: Restoring, command: str
) -> None:
    either.project.boot = Boot(says=None)
    either.until("booting")
    while either.copy.status != "running":
        either.step()
    copy = either.copy
    if command == "enable_rescue":
        copy.rescue = "runs"
    else:
        either.project.boot = Boot()
    either.project.start_action(copy.id, command, 5, locks=False)
    ended = either.until("removing")
    assert (ended.outcome or ended.status) == ("restored" if ended.keep else "unproven")
    assert f"it greets, but {command} was used on it: that is no proof." in ended.reason
    assert marks(either) == {}
    assert ended.greeted_s is None


def test_the_rescue_system_greets_for_one_start(kept: Restoring) -> None:
    kept.project.boot = Boot(says=None)
    kept.until("booting")
    while kept.copy.status != "running":
        kept.step()
    for call in ("enable_rescue", "reset"):
        kept.world.clock.advance(10)
        kept.hetzner.request("POST", f"/servers/{kept.copy.id}/actions/{call}", json={})
    kept.world.clock.advance(60)
    assert kept.world.greeting(kept.copy.ipv4 or "", 22).text == SSH
    kept.hetzner.request("POST", f"/servers/{kept.copy.id}/actions/reset", json={})
    kept.world.clock.advance(60)
    assert kept.world.greeting(kept.copy.ipv4 or "", 22).text is None


@pytest.mark.parametrize("when", [0, 60])
def test_a_greeting_counts_when_it_is_known_what_was_done_to_the_copy(
    drill: Restoring, when: int
) -> None:
    drill.world.faults.add(
        Fault(faults.html(502), path=r"/servers/\d+/actions", method="GET", times=when or 2)
    )
    ended = drill.until("removing")
    assert ended.outcome == ("unproven" if when else "proven")


@pytest.mark.parametrize("status", ["unknown", "migrating", None])
def test_a_copy_whose_status_says_nothing_while_it_is_made_is_waited_for(
    drill: Restoring, status: str | None
) -> None:
    def odd(answer: Any) -> None:
        answer["server"]["status"] = status

    drill.project.server_seconds[drill.image.id] = 1500
    drill.world.faults.add(
        Fault(faults.edited(odd), method="GET", path=r"/servers/\d+", times=4, when="after")
    )
    assert drill.end().status == "proven"
    assert drill.sent("POST", "/poweron") == 1
    assert drill.sent("POST", "/poweroff") == 0


def test_a_create_that_fails_later_is_the_next_candidates_turn(drill: Restoring) -> None:
    drill.project.server_failures.append(
        Failure("resource_unavailable", "error during placement", 40, "vanishes")
    )
    assert drill.end().status == "proven"
    assert drill.path.count("create") == 2
    assert drill.restore.result and drill.restore.result.server_type == "cx33"


def test_a_create_that_takes_an_hour_is_waited_for(drill: Restoring) -> None:
    drill.project.server_seconds[drill.image.id] = 3300
    assert drill.end().status == "proven"
    assert len(drill.world.requests) < 150


def test_a_create_that_does_not_end_is_given_up_at_its_deadline(drill: Restoring) -> None:
    drill.project.server_seconds[drill.image.id] = 100_000
    ended = drill.until("removing")
    assert ended.outcome == "unproven"
    assert "not there after 60 min: create_server" in ended.outcome_reason
    assert 3600 <= ended.stopwatch.elapsed_s < 3900


def test_a_function_that_died_after_its_power_on_powers_on_no_second_time(
    drill: Restoring,
) -> None:
    drill.until("creating")
    while drill.sent("POST", "/poweron") == 0:
        before = drill.restore
        drill.step()
    drill.restore = replace(before, wait_seconds=10)
    assert drill.end().status == "proven"
    assert drill.sent("POST", "/poweron") == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("effect", [faults.html(502), faults.drop(), faults.rate_limited()])
def test_a_power_on_without_a_clear_answer_is_looked_for(
    drill: Restoring, effect: Any, when: Any
) -> None:
    drill.world.faults.add(Fault(effect, method="POST", path=".*/poweron", when=when))
    assert drill.end().status == "proven"
    assert drill.never_acted()


def test_a_lock_on_the_copy_is_waited_for(drill: Restoring) -> None:
    drill.world.faults.add(Fault(faults.status(423, "locked"), path=".*/poweron", times=3))
    assert drill.end().status == "proven"


def test_an_outage_while_it_boots_delays_the_look(drill: Restoring) -> None:
    drill.until("booting")
    drill.world.faults.add(Fault(faults.html(502), method="GET", times=4))
    assert drill.end().status == "proven"


@pytest.mark.parametrize(("minutes", "outcome"), [(25, "proven"), (60, "unproven")])
def test_an_outage_over_the_deadline_is_no_failure_to_boot(
    drill: Restoring, minutes: int, outcome: str
) -> None:
    drill.until("booting")
    ends = drill.world.clock.now() + timedelta(minutes=minutes)
    down = faults.html(502)
    drill.world.faults.add(
        Fault(
            lambda call: down(call) if drill.world.clock.now() < ends else None,
            method="GET",
            times=None,
        )
    )
    assert drill.until("removing").outcome == outcome


def test_a_copy_that_switches_itself_off_is_not_powered_on_again(drill: Restoring) -> None:
    drill.project.boot = Boot(after_s=5000)
    drill.until("booting")
    drill.step()
    drill.copy.status, drill.copy.powered_at = "off", None
    ended = drill.until("removing")
    assert (ended.outcome, drill.sent("POST", "/poweron")) == ("unproven", 1)
    assert "it has gone off by itself" in ended.outcome_reason


def test_a_copy_that_somebody_has_taken_over_is_left_as_it_is(either: Restoring) -> None:
    either.step()
    either.world.clock.advance(600)
    either.copy.name = "theirs"
    ended = either.end()
    assert (ended.status, either.copy.status) == ("unproven", "off")
    assert "is no copy of this restore any more: it is not called" in ended.reason
    assert either.sent("POST", "/poweron") == either.sent("DELETE") == 0


def test_what_somebody_has_taken_over_is_not_switched_off(kept: Restoring) -> None:
    kept.project.boot = Boot(after_s=600)
    kept.until("booting")
    kept.step()
    kept.copy.labels = {"theirs": "now"}
    _network(kept)
    kept.end()
    assert (kept.copy.status, kept.sent("POST", "/poweroff")) == ("running", 0)


def test_a_copy_that_somebody_deletes_is_told(drill: Restoring) -> None:
    drill.until("booting")
    del drill.project.servers[drill.copy.id]
    ended = drill.end()
    assert ended.status == "failed"
    assert "the copy is not found" in ended.reason


def test_a_poweroff_that_fails_is_tried_again_until_the_kept_copy_is_off(kept: Restoring) -> None:
    kept.project.boot = Boot(after_s=600)
    kept.until("booting")
    kept.step()
    _network(kept)
    kept.world.faults.add(Fault(faults.html(502), path=".*/poweroff", times=3))
    ended = kept.end()
    assert (ended.status, kept.copy.status) == ("unproven", "off")


def test_a_drills_copy_that_is_not_switched_off_is_removed_and_not_told_to_be_off(
    drill: Restoring,
) -> None:
    drill.project.boot = Boot(after_s=600)
    drill.until("booting")
    drill.step()
    _network(drill)
    drill.world.faults.add(Fault(faults.status(423, "locked"), path=".*/poweroff", times=None))
    ended = drill.end()
    assert (ended.status, drill.copies, drill.sent("POST", "/poweroff")) == ("unproven", [], 1)
    assert "it was not switched off (locked" in ended.reason
    assert "though network 11 is on it." in ended.reason
    assert "it was switched off" not in ended.reason


def test_a_kept_copy_that_cannot_be_switched_off_is_told(kept: Restoring) -> None:
    kept.project.boot = Boot(after_s=600)
    kept.until("booting")
    kept.step()
    _network(kept)
    kept.world.faults.add(Fault(faults.html(502), path=".*/poweroff", times=None))
    ended = kept.end()
    assert ended.status == "failed"
    assert ended.result and ended.result.unguarded
    assert "could not be switched off. Switch it off in the Hetzner console." in ended.reason


def test_an_adopted_copy_is_looked_at_like_any_other(drill: Restoring) -> None:
    before = drill.restore
    drill.step()
    drill.restore = before  # The function had died.
    assert drill.step().firewall_id is None
    assert drill.end().status == "proven"
    assert drill.never_acted()
