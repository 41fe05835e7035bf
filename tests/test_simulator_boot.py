"""A server of the simulator greets after its boot, late, never or with other words."""

import socket
import time
from collections.abc import Iterator

import pytest

from handler.decisions import isolating
from handler.documents.copies import WantedCopy
from handler.hetzner.api import Hetzner
from handler.hetzner.copies import Copies
from handler.hetzner.greeting import greeting as greeting_at
from local.simulator import Boot, Greeting, Image, Server
from local.simulator.boot import REFUSED, SSH, TIMEOUT
from tests.simulated import Simulated, simulated

SSH_ONLY = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["0.0.0.0/0"]}


@pytest.fixture
def sim() -> Iterator[Simulated]:
    with simulated() as sim:
        yield sim


@pytest.fixture
def image(sim: Simulated) -> Image:
    return sim.project.add_snapshot(sim.project.add_server("sg5"))


def greeting(sim: Simulated, server: Server, port: int = 22) -> Greeting:
    return sim.world.greeting(server.ipv4 or "", port)


def test_a_server_greets_when_it_has_booted_and_until_it_is_off(
    sim: Simulated, image: Image
) -> None:
    server = sim.made(image)
    assert greeting(sim, server) == TIMEOUT
    sim.act(server, "poweron", seconds=5)
    assert greeting(sim, server) == REFUSED
    sim.pass_seconds(29)
    assert greeting(sim, server) == REFUSED
    sim.pass_seconds(1)
    assert greeting(sim, server) == Greeting(SSH)
    assert greeting(sim, server, 23) == REFUSED
    sim.act(server, "reboot")
    assert greeting(sim, server) == REFUSED
    sim.pass_seconds(30)
    assert greeting(sim, server) == Greeting(SSH)
    sim.act(server, "poweroff")
    assert greeting(sim, server) == TIMEOUT
    assert sim.world.greeting("127.1.1.1", 22) == TIMEOUT


@pytest.mark.parametrize(
    ("boot", "expected"),
    [
        (Boot(says=None), REFUSED),
        (Boot(says=""), Greeting("")),
        (Boot(after_s=9000), REFUSED),
        (Boot(port=2222), REFUSED),
        (Boot(says="HTTP/1.1 400\r\n"), Greeting("HTTP/1.1 400\r\n")),
    ],
)
def test_how_it_greets_is_said_for_a_server_an_image_or_its_server(
    sim: Simulated, image: Image, boot: Boot, expected: Greeting
) -> None:
    assert image.created_from
    first, second, third = (sim.made(image, name) for name in ("a", "b", "c"))
    other = sim.made(sim.project.add_snapshot(sim.project.add_server("web")), "d")
    for server in (first, second, third, other):
        sim.act(server, "poweron", seconds=600)

    sim.project.boots[first.id] = boot
    found = [greeting(sim, server) for server in (first, second, other)]
    assert found == [expected, Greeting(SSH), Greeting(SSH)]
    for key in (image.id, image.created_from["id"]):
        sim.project.boots = {key: boot}
        found = [greeting(sim, server) for server in (first, second, third, other)]
        assert found == [expected] * 3 + [Greeting(SSH)]
    sim.project.boots, sim.project.boot = {}, boot
    assert greeting(sim, other) == expected


def test_a_firewall_lets_in_what_it_allows_once_it_is_applied(sim: Simulated, image: Image) -> None:
    server = sim.made(image)
    sim.act(server, "poweron", seconds=600)
    closed = sim.project.firewalls.add("closed")
    sim.project.firewalls.attach(closed, server)
    assert greeting(sim, server) == Greeting(SSH)  # Pending: open to all.
    sim.pass_seconds(4)
    assert greeting(sim, server) == TIMEOUT
    firewall = sim.client.firewalls.get_by_id(closed.id)
    answer = sim.api(
        "POST", f"/firewalls/{firewall.id}/actions/set_rules", json={"rules": [SSH_ONLY]}
    )
    assert answer.status_code == 201
    assert greeting(sim, server) == TIMEOUT
    sim.pass_seconds(4)
    assert greeting(sim, server) == Greeting(SSH)
    assert greeting(sim, server, 2222) == TIMEOUT


# Real sockets


def connect(address: str, port: int) -> str:
    with socket.create_connection((address, port), timeout=5) as connection:
        return connection.recv(200).decode()


def is_refused(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def booted(sim: Simulated, image: Image, name: str, boot: Boot) -> str:
    server = sim.made(image, name)
    sim.project.boots[server.id] = boot
    sim.act(server, "poweron", seconds=boot.after_s + 5)
    assert sim.shown(server)["status"] == "running"  # A look at the world opens what is due.
    assert server.ipv4
    return server.ipv4


def test_a_booted_server_greets_on_a_socket_of_its_own_until_it_is_off(
    sim: Simulated, image: Image
) -> None:
    first = booted(sim, image, "a", Boot(port=2222))
    second = booted(sim, image, "b", Boot(port=2222, says="220 mail\r\n"))
    assert first != second
    assert (connect(first, 2222), connect(second, 2222)) == (SSH, "220 mail\r\n")
    assert is_refused(first, 2223)
    [server] = [server for server in sim.project.servers.values() if server.name == "a"]
    sim.act(server, "poweroff")
    assert sim.shown(server)["status"] == "off"
    assert is_refused(first, 2222)
    assert connect(second, 2222) == "220 mail\r\n"


def test_sockets_open_as_the_clock_runs_without_anybody_asking(
    sim: Simulated, image: Image
) -> None:
    server = sim.made(image)
    sim.project.boots[server.id] = Boot(port=2222)
    sim.act(server, "poweron", seconds=34)
    assert server.ipv4 and is_refused(server.ipv4, 2222)
    sim.pass_seconds(1)
    deadline = time.monotonic() + 40
    while is_refused(server.ipv4, 2222):
        assert time.monotonic() < deadline, "nothing has opened it"
        time.sleep(0.01)


def test_a_silent_server_is_connected_to_and_says_nothing(sim: Simulated, image: Image) -> None:
    address = booted(sim, image, "a", Boot(port=2222, says=""))
    with socket.create_connection((address, 2222), timeout=5) as connection:
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_port_that_cannot_be_bound_is_named(
    sim: Simulated, image: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    server = sim.made(image)
    sim.project.boots[server.id] = Boot(port=2222)
    assert server.ipv4
    with socket.create_server((server.ipv4, 2222)):
        sim.act(server, "poweron", seconds=600)
        assert sim.shown(server)["status"] == "running"
    [problem] = sim.simulator.greeters.problems.values()
    assert problem == f"{server.ipv4}:2222: Address already in use"
    assert capsys.readouterr().err.count("no server greets at") == 1


def test_nothing_listens_after_the_block_and_its_threads_have_ended(image: Image) -> None:
    with simulated() as sim:
        image = sim.project.add_snapshot(sim.project.add_server("sg5"))
        address = booted(sim, image, "a", Boot(port=2222))
        assert connect(address, 2222) == SSH
    assert is_refused(address, 2222)
    assert sim.world.after_settling == []


def test_our_own_client_makes_an_isolated_copy_hears_it_and_deletes_it(
    sim: Simulated, image: Image
) -> None:
    sim.project.ssh_keys = {3001: "mine", 3002: "yours"}
    sim.project.boot = Boot(port=2222)
    copies = Copies(Hetzner(lambda: sim.client, "/tokens/default"))
    rules = isolating.rules(2222)
    firewall = copies.create_firewall("isolation", "me", rules)
    assert copies.firewall(firewall.id).rules == frozenset(rules)
    wanted = WantedCopy(
        "copy", "cx23", "fsn1", image.id, {"a": "b"}, firewall.id, copies.ssh_keys()
    )
    made, action = copies.create_copy(wanted)
    assert action in sim.project.actions
    sim.pass_seconds(3600)
    copy = copies.copy(made.id)
    assert (copy.status, copy.firewalls) == ("off", ((firewall.id, "applied"),))

    copies.power_on(copy.id)
    sim.pass_seconds(35)
    assert copies.copy(copy.id).status == "running"
    assert greeting_at(copy.ipv4 or "", 2222, 5) == SSH.strip()
    runs = sim.world.deeds[-1]
    assert (runs.what, runs.can_act_by) == ("runs", ())
    copies.delete_copy(copy.id)
    sim.pass_seconds(3)
    assert copies.find_copy("copy") is None
