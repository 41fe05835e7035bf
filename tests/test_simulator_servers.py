"""Servers of the simulator are made, powered, rebuilt and deleted as Hetzner documents it."""

from collections.abc import Iterator
from typing import Any

import hcloud
import pytest
from hcloud.firewalls import Firewall as HcloudFirewall
from hcloud.images import Image as HcloudImage
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork
from hcloud.ssh_keys import SSHKey

from local.simulator import Image
from local.simulator.model import Failure
from tests.simulated import Simulated, code_of, simulated


@pytest.fixture
def sim() -> Iterator[Simulated]:
    with simulated() as sim:
        yield sim


@pytest.fixture
def image(sim: Simulated) -> Image:
    original = sim.project.add_server("sg5", {"env": "production"}, volumes=1)
    return sim.project.add_snapshot(original)


def test_the_sdk_makes_a_server_that_stays_off_behind_its_firewall(
    sim: Simulated, image: Image
) -> None:
    firewall = sim.project.firewalls.add("closed")
    sim.project.ssh_keys[3001] = "my-key"
    sim.project.server_seconds[image.id] = 60

    made = sim.client.servers.create(
        "sg5-restored",
        ServerType(name="cx23"),
        HcloudImage(id=image.id),
        ssh_keys=[SSHKey(id=3001)],
        firewalls=[HcloudFirewall(id=firewall.id)],
        labels={"a": "b"},
        location=Location(name="nbg1"),
        start_after_create=False,
        public_net=ServerCreatePublicNetwork(enable_ipv4=True, enable_ipv6=False),
    )

    assert (made.root_password, made.next_actions) == (None, [])
    assert (made.action.command, made.action.status) == ("create_server", "running")
    first = sim.client.servers.get_by_id(made.server.id)
    assert (first.status, first.locked) == ("initializing", True)
    assert [f.status for f in first.public_net.firewalls] == ["pending"]
    sim.pass_seconds(60)
    made_now = sim.client.servers.get_by_id(made.server.id)
    assert (made_now.status, made_now.locked) == ("off", False)
    assert [f.status for f in made_now.public_net.firewalls] == ["pending"]
    sim.pass_seconds(4)
    server = sim.client.servers.get_by_id(made.server.id)
    assert [f.status for f in server.public_net.firewalls] == ["applied"]
    assert (server.labels, server.location.name) == ({"a": "b"}, "nbg1")
    assert server.public_net.ipv4.ip.startswith("127.")
    assert (server.public_net.ipv6, server.volumes) == (None, [])
    assert server.image.id == image.id
    assert sim.client.actions.get_by_id(made.action.id).status == "success"


def test_without_keys_the_answer_holds_a_password_and_the_start_follows(
    sim: Simulated, image: Image
) -> None:
    sim.project.server_seconds[image.id] = 60
    answer = sim.create(image).json()
    assert answer["root_password"]
    assert answer["root_password"] not in str(sim.project.servers)
    assert [action["command"] for action in answer["next_actions"]] == ["start_server"]
    server = sim.project.servers[answer["server"]["id"]]
    sim.pass_seconds(61)
    assert sim.shown(server)["status"] == "starting"
    sim.pass_seconds(4)
    assert sim.shown(server)["status"] == "running"
    assert sim.deeds(server) == ["created", "made", "runs"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "a b"}, (422, "invalid_input")),
        ({"name": "-a"}, (422, "invalid_input")),
        ({"name": "a_b"}, (422, "invalid_input")),
        ({"name": "sg5"}, (409, "uniqueness_error")),
        ({"name": "x", "colour": "red"}, (422, "invalid_input")),
        ({"image": 12}, (422, "invalid_input")),
        ({"image": None}, (422, "invalid_input")),
        ({"server_type": "cx999"}, (422, "invalid_input")),
        ({"server_type": "cax11"}, (422, "invalid_input")),
        ({"server_type": "cx22"}, (422, "invalid_input")),
        ({"location": "ash"}, (422, "invalid_input")),
        ({"location": "mars"}, (422, "invalid_input")),
        ({"firewalls": [{"firewall": 1}]}, (422, "invalid_input")),
        ({"ssh_keys": ["nobody"]}, (422, "invalid_input")),
        ({"labels": {"a b": "c"}}, (422, "invalid_input")),
        ({"start_after_create": "no"}, (422, "invalid_input")),
        ({"public_net": {"enable_ipv4": 1}}, (422, "invalid_input")),
    ],
)
def test_a_create_that_cannot_be_is_refused(
    sim: Simulated, image: Image, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert code_of(sim.create(image, **body)) == expected
    assert len(sim.project.servers) == 1


def test_the_disk_must_hold_the_image_and_the_image_must_be_there(sim: Simulated) -> None:
    large = sim.project.add_server("large", server_type="cx43")
    refused = sim.create(sim.project.add_snapshot(large))
    assert refused.json()["error"]["message"] == "image disk is bigger than server type disk"
    assert sim.create(sim.project.add_snapshot(large), server_type="cx53").ok
    creating = sim.project.add_snapshot(large, status="creating")
    assert code_of(sim.create(creating, "b", server_type="cx53")) == (422, "invalid_input")


def test_places_run_out_for_a_type_in_a_location(sim: Simulated, image: Image) -> None:
    sim.world.no_stock.add(("cx23", "fsn1"))
    sim.world.no_placement.add(("cx33", "fsn1"))
    sim.world.disabled_locations.add("hel1")
    assert code_of(sim.create(image)) == (412, "resource_unavailable")
    assert code_of(sim.create(image, server_type="cx33")) == (412, "placement_error")
    assert code_of(sim.create(image, location="hel1")) == (412, "resource_unavailable")
    assert sim.create(image, location="nbg1").ok
    types = {t["name"]: t for t in sim.api("GET", "/server_types").json()["server_types"]}
    stock = {(name, p["name"]): p["available"] for name in types for p in types[name]["locations"]}
    assert (stock["cx23", "fsn1"], stock["cx23", "nbg1"]) == (False, True)
    assert stock["cx33", "fsn1"] is True
    assert stock["cx22", "fsn1"] is False
    assert types["cx22"]["deprecation"] is not None
    assert [t.name for t in sim.client.server_types.get_all()] == list(types)


def test_types_and_prices_agree(sim: Simulated) -> None:
    types = sim.api("GET", "/server_types").json()["server_types"]
    pricing = sim.api("GET", "/pricing").json()["pricing"]["server_types"]
    assert [(t["id"], t["prices"]) for t in types] == [(p["id"], p["prices"]) for p in pricing]
    cheapest = next(t for t in types if t["name"] == "cx23")["prices"][0]
    assert cheapest["price_hourly"] == {"net": "0.0056000000", "gross": "0.0066640000000000"}
    assert {t["architecture"] for t in types} == {"x86", "arm"}


def test_servers_and_addresses_are_limited(sim: Simulated, image: Image) -> None:
    sim.project.primary_ip_limit = 2
    sim.project.server_limit = 3
    assert sim.create(image, "a").ok
    refused = sim.create(image, "b")
    assert code_of(refused) == (403, "resource_limit_exceeded")
    assert refused.json()["error"]["details"] == {"limits": [{"name": "primary_ip_limit"}]}
    assert sim.create(image, "b", public_net={"enable_ipv4": False}).ok
    refused = sim.create(image, "c", public_net={"enable_ipv4": False})
    assert refused.json()["error"]["details"] == {"limits": [{"name": "server_limit"}]}


def test_a_create_may_fail_after_it_was_accepted(sim: Simulated, image: Image) -> None:
    sim.project.server_failures.append(Failure("resource_unavailable", "no", 30, "vanishes"))
    answer = sim.create(image, firewalls=[]).json()
    sim.pass_seconds(31)
    ids = [answer["action"]["id"], answer["next_actions"][0]["id"]]
    assert [sim.project.actions[id_].status for id_ in ids] == ["error", "error"]
    assert [server.name for server in sim.project.servers.values()] == ["sg5"]


def test_power_goes_on_and_off_and_the_server_is_locked_meanwhile(
    sim: Simulated, image: Image
) -> None:
    server = sim.made(image)
    assert sim.shown(server)["status"] == "off"
    sim.act(server, "poweron", seconds=0)
    assert (sim.shown(server)["status"], sim.shown(server)["locked"]) == ("starting", True)
    locked = sim.api("POST", f"/servers/{server.id}/actions/poweroff")
    assert code_of(locked) == (423, "locked")
    sim.pass_seconds(5)
    assert sim.shown(server)["status"] == "running"
    for command in ("reboot", "reset"):
        sim.act(server, command)
        assert sim.shown(server)["status"] == "running"
    sim.act(server, "shutdown")
    assert sim.shown(server)["status"] == "stopping"
    sim.pass_seconds(60)
    assert sim.shown(server)["status"] == "off"
    sim.act(server, "poweron")
    sim.act(server, "poweroff")
    assert sim.shown(server)["status"] == "off"
    assert sim.deeds(server) == [
        "created", "made", "on", "runs", "on", "runs", "on", "runs",
        "off", "stopped", "on", "runs", "off", "stopped",
    ]  # fmt: skip


def test_a_rebuilt_server_runs_from_the_other_image(sim: Simulated, image: Image) -> None:
    original = next(iter(sim.project.servers.values()))
    other = sim.project.add_snapshot(original)
    server = sim.made(image)
    sim.act(server, "rebuild", image=other.id)
    assert sim.shown(server)["status"] == "rebuilding"
    sim.pass_seconds(60)
    shown = sim.shown(server)
    assert (shown["status"], shown["image"]["id"]) == ("running", other.id)


def test_a_protected_server_is_not_deleted_and_not_rebuilt(sim: Simulated, image: Image) -> None:
    server = sim.made(image)
    both = {"delete": True, "rebuild": True}
    refused = sim.api(
        "POST", f"/servers/{server.id}/actions/change_protection", json={"delete": True}
    )
    assert code_of(refused) == (422, "invalid_input")
    sim.act(server, "change_protection", **both)
    assert sim.shown(server)["protection"] == both
    assert code_of(sim.api("DELETE", f"/servers/{server.id}")) == (423, "protected")
    rebuild = sim.api("POST", f"/servers/{server.id}/actions/rebuild", json={"image": image.id})
    assert code_of(rebuild) == (423, "protected")


def test_a_deleted_server_is_gone_when_its_action_has_ended(sim: Simulated, image: Image) -> None:
    server = sim.made(image)
    action = sim.client.servers.get_by_id(server.id).delete()
    assert action.command == "delete_server"
    assert sim.shown(server)["status"] == "deleting"
    assert code_of(sim.api("DELETE", f"/servers/{server.id}")) == (423, "locked")
    sim.pass_seconds(3)
    assert code_of(sim.api("GET", f"/servers/{server.id}")) == (404, "not_found")
    assert code_of(sim.api("DELETE", f"/servers/{server.id}")) == (404, "not_found")
    assert sim.client.actions.get_by_id(action.id).status == "success"
    addresses = sim.api("GET", "/primary_ips").json()["primary_ips"]
    assert server.ipv4 not in [address["ip"] for address in addresses]


def test_the_address_of_a_deleted_server_may_stay_and_count(sim: Simulated, image: Image) -> None:
    sim.world.address_kept_after_delete = True
    sim.project.primary_ip_limit = 2
    server = sim.made(image)
    sim.api("DELETE", f"/servers/{server.id}")
    sim.pass_seconds(3)
    addresses = sim.api("GET", "/primary_ips").json()["primary_ips"]
    [kept] = [address for address in addresses if address["assignee_id"] is None]
    assert kept["ip"] == server.ipv4
    assert code_of(sim.create(image)) == (403, "resource_limit_exceeded")
    assert sim.api("DELETE", f"/primary_ips/{kept['id']}").status_code == 204
    assert sim.create(image).ok


def test_names_and_labels_change_and_names_stay_unique(sim: Simulated, image: Image) -> None:
    server = sim.made(image, labels={"a": "b"})
    path = f"/servers/{server.id}"
    assert code_of(sim.api("PUT", path, json={"name": "sg5"})) == (409, "uniqueness_error")
    assert code_of(sim.api("PUT", path, json={"name": "s g"})) == (422, "invalid_input")
    changed = sim.api("PUT", path, json={"name": "copy", "labels": {"c": "d"}}).json()["server"]
    assert (changed["name"], changed["labels"]) == ("copy", {"c": "d"})


@pytest.mark.parametrize("switch", ["create_goes_on", "create_fails", "delete_refused"])
def test_an_image_may_be_deleted_while_a_server_is_made_from_it(
    sim: Simulated, image: Image, switch: Any
) -> None:
    sim.world.image_deleted_in_create = switch
    sim.project.server_seconds[image.id] = 60
    server = sim.project.servers[sim.create(image).json()["server"]["id"]]
    deleted = sim.api("DELETE", f"/images/{image.id}").status_code
    assert deleted == (423 if switch == "delete_refused" else 204)
    sim.pass_seconds(100)
    assert (server.id in sim.project.servers) is (switch != "create_fails")
    if switch == "create_goes_on":
        assert sim.shown(server)["image"] is None


def test_an_image_gets_labels_a_description_and_protection(sim: Simulated, image: Image) -> None:
    bound = sim.client.images.get_by_id(image.id)
    bound.update(description="proven", labels={"a": "b"})
    bound.change_protection(delete=True)
    again = sim.client.images.get_by_id(image.id)
    assert (again.description, again.labels) == ("proven", {"a": "b"})
    with pytest.raises(hcloud.APIException, match="protected"):
        again.delete()
