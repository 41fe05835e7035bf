"""When a copy may be powered on and must be switched off: tables, one row per clause."""

from dataclasses import replace
from typing import Any

import pytest

from handler.decisions import isolating
from handler.documents.copies import Copy, Firewall, Rule
from handler.documents.labels import LABEL_MANAGED_BY
from handler.documents.resources import Action
from tests import restore_tables

WALL = replace(restore_tables.WALL, rules=isolating.rules(2222))
BARE = replace(
    restore_tables.COPY, id=1, name="copy", created=restore_tables.NOW, labels={}, ipv4="127.0.0.1"
)
SSH = Rule("in", "tcp", "22", frozenset({"0.0.0.0/0"}))
LETS_OUT = "firewall 5 has other outbound rules than the one that leads nowhere"

ATTACHED = [
    ({"firewalls": ((5, "applied"), (8, "pending"))}, "firewall 8 is on it"),
    ({"load_balancers": (3,)}, "load balancer 3 is on it"),
    ({"networks": (9, 4)}, "network 4, 9 is on it"),
    ({"volumes": (1, 2, 3)}, "volume 1, 2, 3 is on it"),
    ({"volumes": (1, 2, 3, 4)}, "volume 1, 2, 3 and 1 more is on it"),
    ({"floating_ips": (6,)}, "floating IP 6 is on it"),
    ({"ipv6": True}, "an IPv6 address is on it"),
]
BEHIND_NOTHING = [
    ({"firewalls": ()}, "our firewall 5 is not on it"),
    ({"firewalls": None}, "Hetzner does not tell its firewalls"),
    ({"load_balancers": None}, "Hetzner does not tell its load balancers"),
    ({"networks": None}, "Hetzner does not tell its networks"),
    ({"volumes": None}, "Hetzner does not tell its volumes"),
    ({"floating_ips": None}, "Hetzner does not tell its floating IPs"),
    ({"ipv6": None}, "Hetzner does not tell its IPv6 address"),
]


def why_not_on(copy: Copy, wall: Firewall, applying: tuple[Action, ...] | None = ()) -> str:
    return isolating.why_not_on(copy, wall, applying, 2222)


def why_off(copy: Copy, wall: Firewall | None, *, was_applied: bool = True) -> str:
    return isolating.why_off(copy, wall, 5, "me", was_applied=was_applied)


def test_a_copy_alone_behind_our_firewall_may_be_on() -> None:
    assert why_not_on(BARE, WALL) == ""
    assert why_off(BARE, WALL) == ""


@pytest.mark.parametrize(("changes", "reason"), [*ATTACHED, *BEHIND_NOTHING])
def test_with_anything_else_it_is_not_powered_on_and_is_switched_off(
    changes: dict[str, Any], reason: str
) -> None:
    copy = replace(BARE, **changes)
    assert why_not_on(copy, WALL) == reason
    assert why_off(copy, WALL) == reason


def test_a_firewall_that_is_not_applied_yet_keeps_it_off_and_does_not_switch_it_off() -> None:
    copy = replace(BARE, firewalls=((5, "pending"),))
    assert why_not_on(copy, WALL) == "our firewall 5 is pending on it"
    assert why_off(copy, WALL) == ""


def test_one_that_was_never_applied_switches_off_what_runs_before_it() -> None:
    copy = replace(BARE, firewalls=((5, "pending"),))
    assert why_off(copy, WALL, was_applied=False) == "our firewall 5 is pending on it"
    assert why_off(BARE, WALL, was_applied=False) == ""


@pytest.mark.parametrize(
    ("servers", "waits"), [((), True), ((1,), True), ((1, 8), True), ((8,), False)]
)
def test_while_its_rules_are_being_applied_the_copy_is_not_powered_on(
    servers: tuple[int, ...], waits: bool
) -> None:
    action = Action(9, "apply_firewall", "running", 0, server_ids=frozenset(servers))
    assert why_not_on(BARE, WALL, (action,)) == (
        "the rules of our firewall are being applied: apply_firewall (action 9, 0 %, since unknown)"
        if waits
        else ""
    )


def test_rules_whose_application_has_ended_are_not_waited_for() -> None:
    assert why_not_on(BARE, WALL, (Action(9, "apply_firewall", "success", 100),)) == ""


def test_what_is_not_known_of_its_rules_powers_nothing_on() -> None:
    assert why_not_on(BARE, WALL, None) == (
        "it is not known whether the rules of our firewall are being applied"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "web"}, "firewall 5 has another name than hetzner-snapshots-me-isolation"),
        ({"labels": {}}, "firewall 5 has our name and not our label "
            "hetzner-snapshots/managed-by=me"),
    ],
)  # fmt: skip
def test_a_firewall_that_is_somebodys_now_switches_it_off(
    changes: dict[str, Any], reason: str
) -> None:
    assert why_off(BARE, replace(WALL, **changes)) == reason


def test_another_firewall_that_is_not_applied_says_nothing_about_ours() -> None:
    copy = replace(BARE, firewalls=((5, "applied"), (8, "pending")))
    assert isolating.not_applied(copy, 5) == ""


@pytest.mark.parametrize(
    "rules",
    [
        frozenset(),
        isolating.rules(2222) - {isolating.NOWHERE},
        isolating.rules(2222) | {Rule("out", "udp", "53", frozenset({"0.0.0.0/0"}))},
        isolating.rules(2222) - {isolating.NOWHERE}
        | {Rule("out", "tcp", "1", frozenset({"0.0.0.0/0"}))},
    ],
)
def test_a_firewall_that_lets_anything_out_is_set_right_before_and_switches_it_off(
    rules: frozenset[Rule],
) -> None:
    wall = replace(WALL, rules=rules)
    assert isolating.wrong_rules(wall, 2222) == LETS_OUT
    assert why_not_on(BARE, wall) == LETS_OUT
    assert why_off(BARE, wall) == LETS_OUT


def test_a_firewall_that_is_gone_switches_it_off() -> None:
    assert why_off(BARE, None) == "our firewall 5 is gone"


@pytest.mark.parametrize(
    "rules",
    [
        isolating.rules(22),
        isolating.rules(2222) - {SSH},
        isolating.rules(2222) | {Rule("in", "tcp", "80", frozenset({"0.0.0.0/0"}))},
    ],
)
def test_other_inbound_rules_are_set_right_before_and_switch_nothing_off(
    rules: frozenset[Rule],
) -> None:
    wall = replace(WALL, rules=rules)
    reason = "firewall 5 has other inbound rules than ours"
    assert isolating.wrong_rules(wall, 2222) == reason
    assert why_not_on(BARE, wall) == reason
    assert why_off(BARE, wall) == ""


def test_the_rules_let_in_what_is_probed_and_what_kept_servers_need() -> None:
    assert isolating.rules(2222) == {
        isolating.NOWHERE,
        SSH,
        Rule("in", "tcp", "2222", frozenset({"0.0.0.0/0"})),
    }
    assert isolating.rules(22) == isolating.rules(0) == {isolating.NOWHERE, SSH}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"name": "web"}, "firewall 5 has another name than hetzner-snapshots-me-isolation"),
        (
            {"labels": {}},
            "firewall 5 has our name and not our label hetzner-snapshots/managed-by=me",
        ),
        (
            {"labels": {LABEL_MANAGED_BY: "you"}},
            "firewall 5 has our name and not our label hetzner-snapshots/managed-by=me",
        ),
    ],
)
def test_a_firewall_is_ours_by_name_and_label(changes: dict[str, Any], reason: str) -> None:
    assert isolating.of_another(replace(WALL, **changes), "me") == reason


def test_the_longest_name_is_one_that_hetzner_takes() -> None:
    assert len(isolating.firewall_name("o" * 200)) == 128


def test_each_question_has_an_answer_for_a_copy_of_which_nothing_is_told() -> None:
    untold = replace(
        BARE, firewalls=None, networks=None, volumes=None, load_balancers=None, floating_ips=None
    )
    assert isolating.attached(untold, 5) == isolating.not_applied(untold, 5) == ""
    assert isolating.not_behind(untold, 5) == "our firewall 5 is not on it"
