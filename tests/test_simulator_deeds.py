"""The simulator's record tells who did what to servers, and what they could reach when they ran."""

from collections.abc import Iterator

import pytest

from local.simulator import Image
from tests.simulated import Simulated, simulated


@pytest.fixture
def sim() -> Iterator[Simulated]:
    with simulated() as sim:
        yield sim


@pytest.fixture
def image(sim: Simulated) -> Image:
    return sim.project.add_snapshot(sim.project.add_server("sg5"))


def test_what_is_attached_to_a_server_is_shown(sim: Simulated, image: Image) -> None:
    server = sim.made(image, labels={"role": "web"})
    sim.project.load_balancers.add(91, selector="role=web")
    server.networks, server.floating_ips, server.volumes = [11], [21], [31]
    assert sim.shown(server)["load_balancers"] == [91]
    shown = sim.client.servers.get_by_id(server.id)
    assert [net.network.id for net in shown.private_net] == [11]
    assert [ip.id for ip in shown.public_net.floating_ips] == [21]
    assert [volume.id for volume in shown.volumes] == [31]
    [balancer] = sim.api("GET", "/load_balancers").json()["load_balancers"]
    assert balancer["targets"][0]["targets"][0]["server"] == {"id": server.id}


def test_deeds_tell_by_whom_and_by_what_a_server_can_act(sim: Simulated, image: Image) -> None:
    server = sim.made(image, labels={"role": "web"})
    sim.project.load_balancers.add(91, selector="role=web")
    sim.world.deeds.who = lambda: "somebody"
    sim.act(server, "poweron")
    asked, runs, opened = sim.world.deeds[-3:]
    assert (asked.what, asked.by, asked.labels) == ("on", "somebody", {"role": "web"})
    assert (runs.what, runs.by) == ("runs", None)
    assert runs.can_act_by == ("no outbound rule is in force", "load balancer 91")
    assert (opened.what, opened.can_act_by) == ("open", runs.can_act_by)


def test_deeds_tell_when_something_attaches_itself_to_a_closed_server(
    sim: Simulated, image: Image
) -> None:
    nowhere = {
        "direction": "out", "protocol": "tcp", "port": "1", "destination_ips": ["192.0.2.1/32"]
    }  # fmt: skip
    closed = sim.project.firewalls.add("closed", [nowhere])
    server = sim.made(image, firewalls=[{"firewall": closed.id}])
    sim.act(server, "poweron")
    assert sim.world.deeds[-1].what == "runs"
    server.networks.append(11)
    assert (sim.world.deeds[-1].what, sim.world.deeds[-1].can_act_by) == ("open", ("network 11",))
    server.networks.clear()
    count = len(sim.world.deeds)
    sim.project.firewalls.detach(closed, server.id)
    assert len(sim.world.deeds) == count
    sim.pass_seconds(4)
    assert sim.world.deeds[-1].can_act_by == ("no outbound rule is in force",)
    assert len(sim.world.deeds) == count + 1
