"""That no copy acts, where Hetzner does not do as it was asked or does not tell all."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.simulator import Fault, faults
from local.simulator.boot import Boot
from tests.restores import Restoring, restoring


@pytest.fixture
def drill() -> Iterator[Restoring]:
    with restoring() as drill:
        yield drill


@pytest.fixture(params=[False, True], ids=["drill", "kept"])
def either(request: pytest.FixtureRequest) -> Iterator[Restoring]:
    with restoring(keep=request.param) as either:
        yield either


def test_a_copy_that_hetzner_starts_before_its_firewall_is_applied_is_switched_off(
    either: Restoring,
) -> None:
    either.world.starts_after_each_create = True
    either.project.firewall_seconds = 5000
    either.step()
    copy = either.copy
    ended = either.end()
    assert (ended.status, either.sent("POST", "/poweron")) == ("unproven", 0)
    assert "it was switched off: our firewall" in ended.reason
    assert "is pending on it" in ended.reason
    assert "off" in either.deeds(copy.id)
    # Not longer than until the first look.
    [made] = [deed.at for deed in either.world.deeds if deed.what == "runs"]
    [off] = [deed.at for deed in either.world.deeds if deed.what == "off"]
    assert (off - made).total_seconds() <= 30


def test_one_that_hetzner_starts_behind_its_firewall_is_looked_at(drill: Restoring) -> None:
    drill.world.starts_after_each_create = True
    drill.project.firewall_seconds = 0
    assert drill.end().status == "proven"
    assert drill.sent("POST", "/poweron") == 0
    assert drill.never_acted()


def test_a_firewall_that_is_applied_again_while_it_boots_switches_nothing_off(
    drill: Restoring,
) -> None:
    drill.project.boot = Boot(after_s=200)
    drill.until("booting")
    while drill.copy.status != "running":
        drill.step()
    drill.project.firewall_seconds = 5000
    drill.project.firewalls.set_rules(drill.wall, drill.wall.rules)
    assert drill.end().status == "proven"
    assert drill.never_acted()


def test_nothing_is_powered_on_while_the_rules_are_being_applied_whatever_the_status_says(
    either: Restoring,
) -> None:
    either.world.firewall_stays_applied = True
    either.step()
    either.world.clock.advance(100)
    either.project.firewalls.set_rules(either.wall, [])
    either.world.clock.advance(100)
    either.project.firewall_seconds = 300
    assert either.end().status == "proven"
    assert either.never_acted()


def test_rules_that_are_applied_to_another_server_alone_are_not_waited_for(
    either: Restoring,
) -> None:
    either.step()
    either.world.clock.advance(100)
    either.project.firewalls.attach(either.wall, either.server, after=5000)
    assert either.end().status == "proven"


@pytest.mark.parametrize("times", [1, 3])
def test_nothing_is_powered_on_if_it_is_not_told_what_is_applied(
    drill: Restoring, times: int
) -> None:
    drill.world.faults.add(
        Fault(faults.status(503, "unavailable"), path=r"/firewalls/\d+/actions", times=times)
    )
    drill.until("booting")
    asked = [r for r in drill.world.requests if r.path.endswith("/actions") and r.method == "GET"]
    assert [r.status for r in asked if "/firewalls/" in r.path] == [503] * times + [200]
    assert drill.end().status == "proven"


def test_where_its_actions_are_not_found_the_status_at_the_copy_decides(drill: Restoring) -> None:
    drill.project.firewall_seconds = 100
    drill.world.faults.add(
        Fault(faults.status(404, "not_found"), path=r"/firewalls/\d+/actions", times=None)
    )
    assert drill.end().status == "proven"
    assert drill.never_acted()


def test_at_the_look_that_sets_its_rules_right_nothing_is_powered_on(drill: Restoring) -> None:
    drill.world.firewall_stays_applied = True
    drill.world.faults.add(
        Fault(faults.status(404, "not_found"), path=r"/firewalls/\d+/actions", times=None)
    )
    drill.step()
    drill.world.clock.advance(100)
    drill.project.firewalls.set_rules(drill.wall, [])
    drill.step()
    assert (drill.sent("POST", "/set_rules"), drill.sent("POST", "/poweron")) == (1, 0)
    assert "it is not powered on yet" in drill.restore.reason
    assert drill.end().status == "proven"


@pytest.mark.parametrize("change", ["name", "label"])
@pytest.mark.parametrize("state", ["creating", "booting"])
def test_a_firewall_that_somebody_has_made_theirs_keeps_its_rules_and_the_copy_is_off(
    either: Restoring, change: str, state: str
) -> None:
    either.project.boot = Boot(after_s=500)
    either.until(state)
    while state == "booting" and either.copy.status != "running":
        either.step()
    copy, wall = either.copy, either.wall
    if change == "name":
        wall.name = "web"
    else:
        wall.labels = {}
    rules: list[dict[str, Any]] = [rule for rule in wall.rules if rule["direction"] == "out"]
    either.project.firewalls.set_rules(wall, rules)
    ended = either.end()
    assert (ended.status, wall.rules) == ("unproven", rules)
    assert either.sent("POST", "/set_rules") == 0
    assert "runs" not in either.deeds(copy.id) or "off" in either.deeds(copy.id)


def test_a_firewall_whose_copy_was_adopted_and_that_is_somebodys_keeps_its_rules(
    drill: Restoring,
) -> None:
    before = drill.restore
    drill.step()
    drill.restore = replace(before)  # The function had died.
    drill.step()
    drill.wall.labels = {}
    ended = drill.until("removing")
    assert (ended.outcome, drill.sent("POST", "/set_rules")) == ("unproven", 0)
    assert "it was not powered on: firewall" in ended.outcome_reason
