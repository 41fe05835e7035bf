"""handler/hetzner/copies.py: one call is one request, exactly what was meant, and no password."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from flask import Response

from handler.decisions import isolating
from handler.documents.copies import Offer, Rule, WantedCopy
from handler.documents.errors import (
    HetznerError,
    IncompleteListing,
    NameTaken,
    NoStock,
    OutcomeUnknown,
    QuotaReached,
    Refused,
    TransientError,
    Unauthorized,
)
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_THROW_AWAY
from handler.hetzner.api import Hetzner, client_for
from handler.hetzner.copies import Copies
from local.simulator import Fault, Project, Simulator, World, faults
from local.simulator.faults import Call
from tests.conftest import TOKEN

PASSWORD = "aVerySecretPassword42"
SERVER = {
    "id": 42,
    "name": "sg5-drill",
    "status": "initializing",
    "created": "2026-11-21T02:00:00Z",
    "labels": {LABEL_MANAGED_BY: "me"},
    "image": {"id": 7},
    "public_net": {
        "ipv4": {"id": 1, "ip": "127.0.0.9"},
        "ipv6": None,
        "floating_ips": [],
        "firewalls": [{"id": 5, "status": "pending"}],
    },
    "private_net": [],
    "server_type": {"name": "cx23"},
    "location": {"name": "fsn1"},
    "locked": True,
    "protection": {"delete": True, "rebuild": True},
    "volumes": [],
    "load_balancers": [],
}
ACTION = {"id": 77, "command": "create_server", "status": "running", "progress": 0, "resources": []}
MADE = {"server": SERVER, "action": ACTION, "next_actions": [], "root_password": PASSWORD}
WANTED = WantedCopy("sg5-drill", "cx23", "fsn1", 7, {LABEL_MANAGED_BY: "me"}, 5, (11, 12))


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def copies(project: Project, simulator: Simulator, notes: list[str]) -> Iterator[Copies]:
    client = client_for(TOKEN, simulator.url)
    yield Copies(Hetzner(lambda: client, "/tokens/default", detail=notes.append))
    client._client._session.close()


class Answering:
    """Answers requests with what is given, and keeps what they said."""

    def __init__(self, world: World, method: str, path: str, *answers: Any) -> None:
        self.heard: list[Any] = []
        self.queries: list[dict[str, str]] = []
        self._answers = list(answers)
        world.faults.add(Fault(self._answer, method=method, path=path, times=None))

    def _answer(self, call: Call) -> Response:
        self.heard.append(call.request.get_json(silent=True))
        self.queries.append(call.request.args.to_dict())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return Response(json.dumps(answer), 200, mimetype="application/json")


def listing(key: str, *items: Any) -> dict[str, Any]:
    pagination = {"page": 1, "next_page": None, "last_page": 1, "total_entries": len(items)}
    return {key: list(items), "meta": {"pagination": pagination}}


def test_a_copy_is_made_off_with_our_firewall_and_labels_and_nothing_else(
    copies: Copies, world: World
) -> None:
    hetzner = Answering(world, "POST", "/servers", MADE)
    copy, action = copies.create_copy(WANTED)
    assert hetzner.heard == [
        {
            "name": "sg5-drill",
            "server_type": "cx23",
            "location": "fsn1",
            "image": 7,
            "start_after_create": False,
            "labels": {LABEL_MANAGED_BY: "me"},
            "ssh_keys": [11, 12],
            "firewalls": [{"firewall": 5}],
            "public_net": {"enable_ipv4": True, "enable_ipv6": False},
        }
    ]
    assert (copy.id, action, copy.image_id, copy.ipv4) == (42, 77, 7, "127.0.0.9")
    assert (copy.type, copy.location, copy.locked, copy.protected) == ("cx23", "fsn1", True, True)
    assert copy.firewalls == ((5, "pending"),)
    assert copy.created == datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def test_the_root_password_is_in_no_answer_error_or_log(
    copies: Copies, world: World, notes: list[str]
) -> None:
    Answering(world, "POST", "/servers", MADE, MADE | {"server": {"id": PASSWORD}})
    assert "root_password" not in copies.hetzner.request("POST", "/servers", json={})
    # What comes later and quotes it is told without it.
    world.faults.add(
        Fault(faults.status(422, "invalid_input", f"bad {PASSWORD}"), path="/firewalls/5")
    )
    with pytest.raises(Refused) as refused:
        copies.firewall(5)
    with pytest.raises(OutcomeUnknown) as unclear:
        copies.create_copy(WANTED)
    said = f"{refused.value!r} {unclear.value!r} {notes}"
    assert not [at for at in range(len(PASSWORD) - 7) if PASSWORD[at : at + 8] in said]
    assert "[token]" in str(refused.value)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (412, "resource_unavailable", NoStock),
        (412, "placement_error", NoStock),
        (409, "uniqueness_error", NameTaken),
        (403, "resource_limit_exceeded", QuotaReached),
        (422, "invalid_input", Refused),
        (401, "token_readonly", Unauthorized),
        (409, "conflict", TransientError),
        (503, "unavailable", OutcomeUnknown),
        (500, "server_error", OutcomeUnknown),
        (400, "something_new", OutcomeUnknown),
    ],
)
def test_an_error_of_a_create_is_told_by_its_code_in_one_request(
    copies: Copies, world: World, status: int, code: str, kind: type[HetznerError]
) -> None:
    world.faults.add(Fault(faults.status(status, code), method="POST", path="/servers"))
    with pytest.raises(HetznerError) as caught:
        copies.create_copy(WANTED)
    assert type(caught.value) is kind
    assert len(world.requests) == 1


@pytest.mark.parametrize(
    "effect", [faults.html(502), faults.drop(), faults.malformed(), faults.truncated()]
)
def test_a_create_without_a_clear_answer_may_have_been_carried_out(
    copies: Copies, world: World, effect: Any
) -> None:
    world.faults.add(Fault(effect, method="POST", path="/servers"))
    with pytest.raises(OutcomeUnknown):
        copies.create_copy(WANTED)
    assert len(world.requests) == 1


@pytest.mark.parametrize("lost", ["firewalls", "floating_ips", "ipv6"])
def test_what_an_answer_leaves_out_of_the_net_is_not_none(
    copies: Copies, world: World, lost: str
) -> None:
    net = {name: value for name, value in SERVER["public_net"].items() if name != lost}  # type: ignore[attr-defined]
    Answering(world, "GET", "/servers/42", {"server": SERVER | {"public_net": net}})
    assert getattr(copies.copy(42), lost) is None


@pytest.mark.parametrize(
    ("lost", "field"),
    [
        ("volumes", "volumes"),
        ("load_balancers", "load_balancers"),
        ("private_net", "networks"),
        ("public_net", "firewalls"),
    ],
)
def test_what_an_answer_leaves_out_of_the_server_is_not_none(
    copies: Copies, world: World, lost: str, field: str
) -> None:
    server = {name: value for name, value in SERVER.items() if name != lost}
    Answering(world, "GET", "/servers/42", {"server": server})
    assert getattr(copies.copy(42), field) is None


@pytest.mark.parametrize("lost", ["id", "name", "created", "labels", "image"])
def test_without_what_tells_whose_it_is_an_answer_is_none(
    copies: Copies, world: World, lost: str
) -> None:
    server = {name: value for name, value in SERVER.items() if name != lost}
    Answering(world, "GET", "/servers/42", {"server": server})
    with pytest.raises(OutcomeUnknown):
        copies.copy(42)


def test_what_is_attached_is_read(copies: Copies, world: World) -> None:
    net = SERVER["public_net"] | {"ipv6": {"ip": "2001:db8::/64"}, "floating_ips": [3]}  # type: ignore[operator]
    more = {
        "public_net": net,
        "private_net": [{"network": 4, "ip": "10.0.0.2"}],
        "volumes": [5],
        "load_balancers": [6],
        "image": None,
    }
    Answering(world, "GET", "/servers/42", {"server": SERVER | more})
    copy = copies.copy(42)
    assert (copy.ipv6, copy.floating_ips, copy.networks) == (True, (3,), (4,))
    assert (copy.volumes, copy.load_balancers, copy.image_id) == ((5,), (6,), None)


def test_a_copy_is_found_by_exactly_its_name(copies: Copies, world: World) -> None:
    other = SERVER | {"id": 1, "name": "sg5-drill-2"}
    hetzner = Answering(
        world, "GET", "/servers", listing("servers", other, SERVER), listing("servers", other)
    )
    assert (found := copies.find_copy("sg5-drill")) and found.id == 42
    assert copies.find_copy("sg5-drill") is None
    assert [query["name"] for query in hetzner.queries] == ["sg5-drill", "sg5-drill"]


def test_a_listing_of_throw_away_copies_that_holds_others_is_none(
    copies: Copies, world: World
) -> None:
    ours = SERVER | {"labels": {LABEL_MANAGED_BY: "me", LABEL_THROW_AWAY: "true"}}
    hetzner = Answering(
        world, "GET", "/servers", listing("servers", ours), listing("servers", ours, SERVER)
    )
    assert [copy.id for copy in copies.copies("me")] == [42]
    assert hetzner.queries[0]["label_selector"] == (
        "hetzner-snapshots/managed-by==me,hetzner-snapshots/throw-away==true"
    )
    with pytest.raises(IncompleteListing):
        copies.copies("me")


def test_rules_are_written_and_read_as_the_same(copies: Copies, world: World) -> None:
    rules = isolating.rules(2222) | {Rule("in", "icmp", None, frozenset({"0.0.0.0/0"}))}
    writing = Answering(world, "POST", "/firewalls/5/actions/set_rules", {"actions": []})
    copies.set_rules(5, rules)
    said = writing.heard[0]["rules"]
    assert {
        "direction": "out", "protocol": "tcp", "port": "1", "destination_ips": ["192.0.2.1/32"]
    } in said  # fmt: skip
    wall = {"id": 5, "name": "wall", "labels": {}, "rules": said}
    Answering(world, "GET", "/firewalls/5", {"firewall": wall})
    assert copies.firewall(5).rules == rules


def test_a_firewall_is_made_with_our_label_and_bound_to_nothing(
    copies: Copies, world: World
) -> None:
    wall = {"id": 5, "name": "wall", "labels": {LABEL_MANAGED_BY: "me"}, "rules": []}
    hetzner = Answering(world, "POST", "/firewalls", {"firewall": wall, "actions": []})
    assert copies.create_firewall("wall", "me", isolating.rules(22)).id == 5
    assert hetzner.heard[0].keys() == {"name", "labels", "rules"}
    assert hetzner.heard[0]["labels"] == {LABEL_MANAGED_BY: "me"}


def test_a_firewalls_name_that_is_taken_is_told_so(copies: Copies, world: World) -> None:
    world.faults.add(Fault(faults.status(409, "uniqueness_error"), path="/firewalls"))
    with pytest.raises(NameTaken):
        copies.create_firewall("wall", "me", ())


def test_server_types_tell_what_they_cost_where_and_whether_there_are_some(
    copies: Copies, world: World
) -> None:
    price = {"location": "fsn1", "price_hourly": {"net": "0.0060000000", "gross": "0.0071"}}
    item = {
        "id": 1,
        "name": "cx23",
        "architecture": "x86",
        "disk": 40,
        "memory": 4,
        "deprecation": None,
        "prices": [price],
        "locations": [
            {"id": 1, "name": "fsn1", "available": False, "deprecation": None},
            {"id": 2, "name": "hel1", "available": True, "deprecation": {"announced": "x"}},
        ],
    }
    Answering(world, "GET", "/server_types", listing("server_types", item))
    [found] = copies.server_types()
    assert (found.disk_gb, found.memory_gb, found.deprecated) == (40, 4.0, False)
    assert found.offers == (
        Offer("fsn1", False, False, Decimal("0.0060000000")),
        Offer("hel1", True, True, None),
    )


CX23 = {
    "id": 1, "name": "cx23", "architecture": "x86", "disk": 40, "memory": 4, "prices": [],
    "locations": [{"id": 1, "name": "fsn1"}],
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{"disk": None}, {"memory": "much"}, {"locations": [{"id": 3}]}, {"prices": ["one"]},
     {"prices": [{"price_hourly": {"net": "1"}}]}, {"locations": ["fsn1"]}],
)  # fmt: skip
def test_a_server_type_of_a_new_kind_does_not_keep_the_others_from_being_used(
    copies: Copies, world: World, changes: dict[str, Any]
) -> None:
    new = CX23 | {"id": 2, "name": "new"} | changes
    Answering(world, "GET", "/server_types", listing("server_types", new, CX23))
    assert [each.name for each in copies.server_types()] == ["cx23"]


@pytest.mark.parametrize("net", ["NaN", "-1", "Infinity", "on request", "", [], None])
def test_a_price_that_is_none_is_not_known_and_costs_no_type_its_place(
    copies: Copies, world: World, net: Any
) -> None:
    price = {"location": "fsn1", "price_hourly": {"net": net}}
    Answering(world, "GET", "/server_types", listing("server_types", CX23 | {"prices": [price]}))
    [found] = copies.server_types()
    assert [offer.per_hour for offer in found.offers] == [None]
    kinds = [{"type": "ipv4", "prices": [price]}]
    Answering(world, "GET", "/pricing", {"pricing": {"currency": "EUR", "primary_ips": kinds}})
    assert copies.address_prices().per_hour == {}


def test_an_address_has_a_price_of_its_own(copies: Copies, world: World) -> None:
    per_hour = [{"location": "fsn1", "price_hourly": {"net": "0.0008", "gross": "0.00095"}}]
    kinds = [{"type": "ipv6", "prices": []}, {"type": "ipv4", "prices": per_hour}]
    Answering(world, "GET", "/pricing", {"pricing": {"currency": "EUR", "primary_ips": kinds}})
    prices = copies.address_prices()
    assert (prices.currency, prices.per_hour) == ("EUR", {"fsn1": Decimal("0.0008")})


def test_labels_are_written_whole(copies: Copies, world: World) -> None:
    hetzner = Answering(world, "PUT", "/images/7", {"image": {}})
    copies.update_labels(7, {"a": "b"})
    assert hetzner.heard == [{"labels": {"a": "b"}}]


def test_a_server_is_powered_and_deleted_by_one_request_each(copies: Copies, world: World) -> None:
    for path in ("/servers/42/actions/poweron", "/servers/42/actions/poweroff"):
        Answering(world, "POST", path, {"action": ACTION})
    Answering(world, "DELETE", "/servers/42", {"action": ACTION})
    assert copies.power_on(42).id == copies.power_off(42).id == 77
    copies.delete_copy(42)
    assert [f"{request.method} {request.path}" for request in world.requests] == [
        "POST /servers/42/actions/poweron",
        "POST /servers/42/actions/poweroff",
        "DELETE /servers/42",
    ]


def test_keys_and_zones_are_listed_whole(copies: Copies, world: World) -> None:
    Answering(world, "GET", "/ssh_keys", listing("ssh_keys", {"id": 12}, {"id": 11}))
    place = {"id": 1, "name": "fsn1", "network_zone": "eu-central"}
    Answering(world, "GET", "/locations", listing("locations", place))
    assert copies.ssh_keys() == (11, 12)
    assert copies.network_zones() == {"fsn1": "eu-central"}
