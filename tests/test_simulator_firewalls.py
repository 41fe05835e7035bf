"""Firewalls of the simulator attach, pend and refuse as Hetzner documents it."""

from collections.abc import Iterator
from typing import Any

import hcloud
import pytest
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.servers import Server as HcloudServer

from local.simulator import Image, Server
from tests.simulated import Simulated, code_of, simulated

IN: dict[str, Any] = {
    "direction": "in",
    "protocol": "tcp",
    "port": "22",
    "source_ips": ["0.0.0.0/0"],
}
OUT: dict[str, Any] = {
    "direction": "out",
    "protocol": "tcp",
    "port": "1",
    "destination_ips": ["192.0.2.1/32"],
}


@pytest.fixture
def sim() -> Iterator[Simulated]:
    with simulated() as sim:
        yield sim


@pytest.fixture
def image(sim: Simulated) -> Image:
    return sim.project.add_snapshot(sim.project.add_server("sg5"))


def statuses(sim: Simulated, server: Server) -> list[tuple[int, str]]:
    return [(f["id"], f["status"]) for f in sim.shown(server)["public_net"]["firewalls"]]


def create(sim: Simulated, name: str = "fw", **body: Any) -> Any:
    return sim.api("POST", "/firewalls", json={"name": name, **body})


def by_selector(selector: str) -> dict[str, Any]:
    return {"type": "label_selector", "label_selector": {"selector": selector}}


def test_the_sdk_makes_reads_changes_and_deletes_one(sim: Simulated) -> None:
    rules = [
        FirewallRule("in", "tcp", ["0.0.0.0/0", "::/0"], port="22", description="ssh"),
        FirewallRule("out", "tcp", [], port="1", destination_ips=["192.0.2.1/32"]),
    ]
    made = sim.client.firewalls.create("closed", rules, {"a": "b"}).firewall
    read = sim.client.firewalls.get_by_name("closed")
    assert read is not None and made is not None
    assert (read.id, read.labels, read.applied_to) == (made.id, {"a": "b"}, [])
    assert [r.to_payload() for r in read.rules] == [r.to_payload() for r in rules]
    actions = read.set_rules([rules[0]])
    assert [action.command for action in actions] == ["set_firewall_rules"]
    read.update(name="other", labels={"c": "d"})
    [listed] = sim.client.firewalls.get_all(label_selector="c=d")
    assert (listed.name, len(listed.rules)) == ("other", 1)
    assert listed.delete() is True
    assert sim.client.firewalls.get_all() == []


@pytest.mark.parametrize(
    "change",
    [
        {"direction": "up"},
        {"protocol": "http"},
        {"port": 22},
        {"port": "0"},
        {"port": "22-"},
        {"port": "30-20"},
        {"port": "65536"},
        {"port": None},
        {"protocol": "icmp"},
        {"source_ips": []},
        {"source_ips": ["10.0.0.1"]},
        {"source_ips": ["10.0.0.1/24"]},
        {"source_ips": ["home"]},
        {"destination_ips": ["10.0.0.0/8"]},
        {"direction": "out"},
        {"description": "x" * 256},
        {"colour": "red"},
    ],
)
def test_a_rule_that_cannot_be_is_refused(sim: Simulated, change: dict[str, Any]) -> None:
    assert code_of(create(sim, rules=[IN | change])) == (422, "invalid_input")
    firewall = create(sim, rules=[IN]).json()["firewall"]
    path = f"/firewalls/{firewall['id']}/actions/set_rules"
    refused = sim.api("POST", path, json={"rules": [OUT, IN | change]})
    assert code_of(refused) == (422, "invalid_input")
    assert sim.api("GET", f"/firewalls/{firewall['id']}").json()["firewall"] == firewall


@pytest.mark.parametrize("port", ["any", "1-65535", "8080"])
def test_ports_and_protocols_without_a_port_are_accepted(sim: Simulated, port: str) -> None:
    ping = {"direction": "in", "protocol": "icmp", "source_ips": ["::/0"]}
    assert create(sim, rules=[IN | {"port": port}, ping]).status_code == 201


def test_names_are_unique_and_there_are_fifty_at_most(sim: Simulated) -> None:
    for number in range(50):
        sim.project.firewalls.add(f"fw-{number}")
    assert code_of(create(sim, "fw-1")) == (409, "uniqueness_error")
    assert code_of(create(sim, "")) == (422, "invalid_input")
    assert code_of(create(sim, "one-more")) == (403, "resource_limit_exceeded")


def test_a_firewall_is_pending_then_applied_and_in_use_until_it_is_removed(
    sim: Simulated, image: Image
) -> None:
    server = sim.made(image)
    closed = sim.project.firewalls.add("closed", [IN])
    firewall = sim.client.firewalls.get_by_id(closed.id)
    target = FirewallResource(type="server", server=HcloudServer(id=server.id))

    [action] = firewall.apply_to_resources([target])

    assert (action.command, action.status) == ("apply_firewall", "running")
    assert statuses(sim, server) == [(closed.id, "pending")]
    sim.pass_seconds(4)
    assert statuses(sim, server) == [(closed.id, "applied")]
    assert sim.client.firewalls.actions.get_by_id(action.id).status == "success"
    [applied] = sim.client.firewalls.get_by_id(closed.id).applied_to
    assert (applied.type, applied.server.id) == ("server", server.id)
    for call, code in (
        (lambda: firewall.apply_to_resources([target]), "firewall_already_applied"),
        (firewall.delete, "resource_in_use"),
    ):
        with pytest.raises(hcloud.APIException) as caught:
            call()
        assert caught.value.code == code

    firewall.remove_from_resources([target])
    assert statuses(sim, server) == [(closed.id, "applied")]
    sim.pass_seconds(4)
    assert statuses(sim, server) == []
    with pytest.raises(hcloud.APIException) as caught:
        firewall.remove_from_resources([target])
    assert caught.value.code == "firewall_already_removed"
    assert firewall.delete() is True


def test_a_selector_attaches_and_detaches_as_labels_change_beside_what_is_there(
    sim: Simulated, image: Image
) -> None:
    own = sim.project.firewalls.add("own", [IN])
    server = sim.made(image, firewalls=[{"firewall": own.id}])
    resource = FirewallResource(
        type="label_selector",
        label_selector=FirewallResourceLabelSelector(selector="role=web"),
    )
    made = sim.client.firewalls.create("by-label", [], resources=[resource])
    assert made.firewall is not None
    path = f"/servers/{server.id}"
    sim.api("PUT", path, json={"labels": {"role": "web"}})
    assert statuses(sim, server) == [(own.id, "applied"), (made.firewall.id, "pending")]
    sim.pass_seconds(4)
    assert statuses(sim, server) == [(own.id, "applied"), (made.firewall.id, "applied")]
    [applied] = sim.client.firewalls.get_by_id(made.firewall.id).applied_to
    assert applied.label_selector.selector == "role=web"
    assert [r.server.id for r in applied.applied_to_resources] == [server.id]
    sim.api("PUT", path, json={"labels": {}})
    sim.api("GET", path)  # Within a few seconds, not in the same request.
    sim.pass_seconds(4)
    assert statuses(sim, server) == [(own.id, "applied")]


def test_what_is_attached_in_two_ways_stays_when_one_ends(sim: Simulated, image: Image) -> None:
    server = sim.made(image, labels={"role": "web"})
    firewall = create(sim, apply_to=[by_selector("role=web")]).json()["firewall"]
    targets = [{"type": "server", "server": {"id": server.id}}]
    apply, remove = (
        f"/firewalls/{firewall['id']}/actions/{verb}"
        for verb in ("apply_to_resources", "remove_from_resources")
    )
    assert sim.api("POST", apply, json={"apply_to": targets}).json() == {"actions": []}
    sim.api("POST", remove, json={"remove_from": [by_selector("role=web")]})
    sim.pass_seconds(10)
    assert statuses(sim, server) == [(firewall["id"], "applied")]
    sim.api("POST", remove, json={"remove_from": targets})
    sim.pass_seconds(10)
    assert statuses(sim, server) == []


def test_a_target_that_is_not_there_is_refused(sim: Simulated) -> None:
    firewall = sim.project.firewalls.add("closed")
    path = f"/firewalls/{firewall.id}/actions/apply_to_resources"
    nobody = {"type": "server", "server": {"id": 1}}
    broken = by_selector("=")
    for target, code in ((nobody, "firewall_resource_not_found"), (broken, "invalid_input")):
        refused = sim.api("POST", path, json={"apply_to": [target]})
        assert code_of(refused) == (422, code)
    assert code_of(sim.api("GET", "/firewalls/1")) == (404, "not_found")


def test_new_rules_are_in_force_once_they_are_applied(sim: Simulated, image: Image) -> None:
    firewall = sim.project.firewalls.add("closed", [IN])
    server = sim.made(image, firewalls=[{"firewall": firewall.id}])
    path = f"/firewalls/{firewall.id}/actions/set_rules"
    actions = sim.api("POST", path, json={"rules": [IN, OUT]}).json()["actions"]
    assert [a["command"] for a in actions] == ["set_firewall_rules", "apply_firewall"]
    assert statuses(sim, server) == [(firewall.id, "pending")]
    [pending] = sim.project.firewalls.of(server.id)
    assert [rule["direction"] for rule in pending.rules or ()] == ["in"]
    sim.pass_seconds(4)
    [applied] = sim.project.firewalls.of(server.id)
    assert [rule["direction"] for rule in applied.rules or ()] == ["in", "out"]


def test_a_firewall_may_be_applied_only_after_the_boot(sim: Simulated, image: Image) -> None:
    sim.world.firewall_applied_after_boot = True
    firewall = sim.project.firewalls.add("closed", [IN, OUT])
    server = sim.made(image, firewalls=[{"firewall": firewall.id}])
    assert statuses(sim, server) == [(firewall.id, "pending")]
    sim.act(server, "poweron")
    assert statuses(sim, server) == [(firewall.id, "pending")]
    sim.pass_seconds(4)
    assert statuses(sim, server) == [(firewall.id, "applied")]
    deeds = {deed.what: deed for deed in sim.world.deeds}
    assert deeds["runs"].can_act_by == ("no outbound rule is in force",)


@pytest.mark.parametrize(
    ("rules", "reasons"),
    [
        ([IN, OUT], ()),
        ([IN], ("no outbound rule is in force",)),
        ([OUT | {"destination_ips": ["0.0.0.0/0"]}], ("outbound to 0.0.0.0/0",)),
    ],
)
def test_deeds_tell_what_firewalls_let_a_server_do(
    sim: Simulated, image: Image, rules: list[dict[str, Any]], reasons: tuple[str, ...]
) -> None:
    created = create(sim, rules=rules).json()["firewall"]
    server = sim.made(image, firewalls=[{"firewall": created["id"]}])
    sim.act(server, "poweron")
    [runs] = [deed for deed in sim.world.deeds if deed.what == "runs"]
    assert runs.can_act_by == reasons
    assert [(f.id, f.status) for f in runs.firewalls] == [(created["id"], "applied")]


def test_actions_are_found_by_what_they_act_on(sim: Simulated, image: Image) -> None:
    firewall = sim.project.firewalls.add("closed", [IN])
    server = sim.made(image, firewalls=[{"firewall": firewall.id}])
    [applied] = sim.api("GET", f"/firewalls/{firewall.id}/actions").json()["actions"]
    assert applied["resources"] == [
        {"id": server.id, "type": "server"},
        {"id": firewall.id, "type": "firewall"},
    ]
    for path in (
        f"/actions/{applied['id']}",
        f"/servers/actions/{applied['id']}",
        f"/firewalls/actions/{applied['id']}",
        f"/servers/{server.id}/actions/{applied['id']}",
        f"/firewalls/{firewall.id}/actions/{applied['id']}",
    ):
        assert sim.api("GET", path).json()["action"] == applied
    wrong = sim.api("GET", f"/servers/1/actions/{applied['id']}")
    assert code_of(wrong) == (404, "not_found")
