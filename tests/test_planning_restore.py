"""Which servers are restored, from which snapshots, on which types: tables of pure decisions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from handler.decisions.candidates import Market, Wanted, candidates
from handler.decisions.planning_restore import Seen, planned, rows
from handler.decisions.proof import label_time, last_proofs, time_in_label
from handler.documents.copies import AddressPrices, Copy, Offer, ServerType
from handler.documents.document import format_time
from handler.documents.labels import (
    LABEL_DRILL,
    LABEL_MANAGED_BY,
    LABEL_PROBE,
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_RESTORE_ID,
    LABEL_SERVER_ID,
    LABEL_SERVER_NAME,
    LABEL_SERVER_PROVEN_AT,
    LABEL_THROW_AWAY,
    LABEL_UNPROVEN_AT,
)
from handler.documents.resources import Server, Snapshot
from handler.documents.restore import Restore, RestoreDocument
from handler.documents.restore_run import (
    Candidate,
    KnownRestore,
    Original,
    RestoreRun,
    Source,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def server(id_: int, name: str, **labels: str) -> Server:
    named = {f"hetzner-snapshots/{k.replace('_', '-')}": v for k, v in labels.items()}
    return Server(id_, name, "running", None, None, "cx23", "fsn1", named, NOW - 90 * DAY)


def snapshot(id_: int, of: int, days: float = 1, labels: Any = (), **more: Any) -> Snapshot:
    made = {LABEL_MANAGED_BY: "me", LABEL_SERVER_ID: str(of), LABEL_SERVER_NAME: f"name-{of}"}
    told = {"made_of": of, "disk_gb": 40, "architecture": "x86"} | more
    return Snapshot(id_, NOW - days * DAY, labels=made | dict(labels), **told)


def kind(
    name: str, price: str | None, *places: str, disk: int = 40, memory: float = 4,
    architecture: str = "x86", deprecated: bool = False, out: tuple[str, ...] = (),
) -> ServerType:  # fmt: skip
    offers = tuple(
        Offer(place, place not in out, False, None if price is None else Decimal(price))
        for place in places
    )
    return ServerType(1, name, architecture, disk, memory, deprecated, offers)


ZONES = {"fsn1": "eu", "nbg1": "eu", "ash": "us"}
IPV4 = AddressPrices("EUR", dict.fromkeys(ZONES, Decimal("0.0008")))
CX23 = kind("cx23", "0.006", "fsn1", "nbg1", "ash")
CX33 = kind("cx33", "0.010", "fsn1", "nbg1", "ash", disk=80, memory=8)
CAX11 = kind("cax11", "0.004", "fsn1", "nbg1", architecture="arm")
MARKET = Market((CX33, CX23, CAX11), ZONES, IPV4)
SG5, DB1, WEB = server(1, "sg5"), server(2, "db-1"), server(3, "web")
OF_A_COPY = {"throw_away": "true", "managed_by": "me", "server_id": "1", "restore_id": "x"}
A_COPY = server(4, "drill-x-1", **OF_A_COPY)


def plan(
    there: Any,
    snapshots: Any,
    /,
    market: Market = MARKET,
    copies: Any = (),
    now: datetime = NOW,
    **asked: Any,
) -> RestoreDocument:
    run = replace(RestoreRun("drill-7", "default", "me"), **asked)
    seen = Seen(tuple(there), tuple(snapshots), tuple(copies), market)
    return planned(RestoreDocument(run=run, status="new"), seen, now)


def restores(document: RestoreDocument) -> list[Restore]:
    return [Restore.from_dict(each) for each in document.restores]


def told(document: RestoreDocument) -> dict[str, str]:
    """What was decided of each server, by name."""
    return {
        each["server"]["name"]: f"{each['status']}: {each['reason']}" for each in document.restores
    }


def proven(days: float) -> dict[str, str]:
    return {LABEL_PROVEN_AT: label_time(NOW - days * DAY), LABEL_PROVEN_BY: "ssh"}


def test_a_drill_takes_the_newest_good_snapshot_of_the_oldest_proof() -> None:
    snapshots = [
        snapshot(10, 1, 1, proven(20)),
        snapshot(20, 2, 3),
        snapshot(21, 2, 2, {LABEL_SERVER_PROVEN_AT: label_time(NOW - 41 * DAY)}),
        snapshot(22, 2, 1, status="creating"),
        snapshot(23, 2, 0.5, made_of=3),
    ]
    document = plan([SG5, DB1], snapshots)
    [restore] = restores(document)
    assert document.status == "ready" and restore.status == "new"
    assert (restore.server.name, restore.source.image_id) == ("db-1", 21)
    assert restore.copy_name == "drill-drill-7-2" and not restore.keep
    assert restore.began == format_time(NOW)
    assert restore.candidates[0].price == "0.0068 EUR"


def test_one_that_was_made_just_now_is_the_newest_and_one_of_the_future_is_not() -> None:
    hour = 1 / 24
    for ahead, taken in ((-0.5, 11), (0.9, 11), (1.1, 10)):
        snapshots = [snapshot(10, 1), snapshot(11, 1, -ahead * hour)]
        [restore] = restores(plan([SG5], snapshots))
        assert restore.source.image_id == taken


def test_who_was_never_proven_comes_first() -> None:
    document = plan([SG5, DB1], [snapshot(10, 1, 1, proven(400)), snapshot(20, 2)])
    assert list(told(document)) == ["db-1"]


def test_one_that_was_looked_at_and_not_proven_waits_for_its_next_turn() -> None:
    unproven = {LABEL_UNPROVEN_AT: label_time(NOW - DAY)}
    document = plan([SG5, DB1], [snapshot(10, 1, 1, unproven), snapshot(20, 2, 1, proven(30))])
    assert list(told(document)) == ["db-1"]


def test_so_many_are_drilled_as_was_asked() -> None:
    snapshots = [snapshot(n, n, 1, proven(10 * n)) for n in (1, 2, 3)]
    document = plan([SG5, DB1, WEB], snapshots, drill_servers=2)
    assert list(told(document)) == ["web", "db-1"]


def test_what_is_left_out_of_drills_is_said() -> None:
    servers = [server(1, "sg5", drill="false"), DB1, A_COPY, WEB]
    document = plan(servers, [snapshot(10, 1), snapshot(40, 4), snapshot(30, 3)])
    assert list(told(document)) == ["web"]
    assert document.notes == (
        f"sg5: left out, its label {LABEL_DRILL} is false", "db-1: it has no good snapshot"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"drill": "no"}, f"its label {LABEL_DRILL} is 'no'; write true or false"),
        ({"probe": "http"}, f"its label {LABEL_PROBE} is 'http'; write ssh, ssh.PORT"),
        ({"probe": "ssh.0"}, f"its label {LABEL_PROBE} is 'ssh.0'"),
        ({"probe": "ssh.65536"}, f"its label {LABEL_PROBE} is 'ssh.65536'"),
        ({"probe": "none.22"}, f"its label {LABEL_PROBE} is 'none.22'"),
        # A person's server, though it has the label of the copies.
        ({"throw_away": "true"}, f"its label {LABEL_THROW_AWAY} is only for copies that restores "
                                 "make, and it is none; remove that label"),
        ({"throw_away": "yes"}, f"its label {LABEL_THROW_AWAY} is only for copies"),
    ],
)  # fmt: skip
def test_a_bad_label_costs_that_server_its_drill_and_no_other(labels: Any, said: str) -> None:
    snapshots = [snapshot(10, 1), snapshot(20, 2, 1, proven(30))]
    document = plan([server(1, "sg5", **labels), DB1], snapshots)
    assert told(document)["db-1"] == "new: "
    assert told(document)["sg5"].startswith(f"skipped: {said}")
    named = plan([server(1, "sg5", **labels)], [snapshot(10, 1)], servers=("sg5",))
    assert told(named)["sg5"].startswith(f"skipped: {said}")
    # What a person asks to keep does not depend on it.
    kept = plan([server(1, "sg5", **labels)], [snapshot(10, 1)], servers=("sg5",), keep=True)
    assert told(kept) == {"sg5": "new: "}
    assert restores(kept)[0].server.probe == "ssh"


@pytest.mark.parametrize(
    ("probe", "port"),
    [("ssh", 22), ("ssh.2222", 2222), ("ssh.65535", 65535), ("none", 0), (None, 22)],
)
def test_the_label_says_where_the_probe_listens(probe: str | None, port: int) -> None:
    labels = {"probe": probe} if probe else {}
    [restore] = restores(plan([server(1, "sg5", **labels)], [snapshot(10, 1)]))
    assert (restore.server.port, restore.status) == (port, "new")


@pytest.mark.parametrize(
    ("asked", "decided"),
    [
        ({"servers": ("sg5",)}, {"sg5": "new: "}),
        ({"servers": (2, "sg5")}, {"sg5": "new: ", "db-1": "new: "}),
        ({"servers": ("web",)}, {"web": "failed: it has no good snapshot"}),
        ({"servers": ("name-9",)}, {"name-9": "new: "}),  # it is gone, its snapshots are not
        ({"servers": (9,)}, {"name-9": "new: "}),
        ({"snapshot": 90}, {"name-9": "new: "}),
        ({"snapshot": 10, "servers": ("sg5",)}, {"sg5": "new: "}),
        ({"snapshot": 10, "servers": (1,)}, {"sg5": "new: "}),
        ({"snapshot": 11}, {"sg5": "failed: snapshot 11 is unavailable; name one that is "
                                   "available"}),
        ({"servers": ("sg5",), "dry_run": True}, {"sg5": "planned: "}),
        ({"servers": ("drill-x-1",)}, {"drill-x-1": "failed: it is a copy that a drill has made; "
                                       "name its original"}),
        ({"servers": ("off",)}, {"off": f"skipped: its label {LABEL_DRILL} is false; remove it for "
                                 "a drill"}),
        ({"servers": ("off",), "keep": True}, {"off": "new: "}),
    ],
)  # fmt: skip
def test_what_a_person_names_is_restored_or_told_why_not(asked: Any, decided: Any) -> None:
    servers = [SG5, DB1, WEB, A_COPY, server(5, "off", drill="false")]
    snapshots = [
        snapshot(10, 1), snapshot(11, 1, 0.1, status="unavailable"), snapshot(20, 2),
        snapshot(90, 9), snapshot(50, 5), snapshot(80, 8, 0.5),
        snapshot(91, 9, 0.2, {LABEL_SERVER_ID: ""}, made_of=None),
    ]  # fmt: skip
    document = plan(servers, snapshots, **asked)
    assert told(document) == decided
    assert document.status == "ready"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"servers": ("sg5", "nobody")}, "neither a server nor a snapshot of nobody"),
        # An old name of one that is there.
        ({"servers": ("name-1",)}, "neither a server nor a snapshot of name-1"),
        ({"snapshot": 77}, "77 is no snapshot of ours in this project"),
        ({"snapshot": 10, "servers": ("db-1",)}, "snapshot 10 is of sg5 (1), not of db-1"),
        ({"snapshot": 12}, "snapshot 12 does not tell whose it is"),
        ({"snapshot": 13}, "snapshot 13 does not tell whose it is"),
    ],
)
def test_a_name_that_is_wrong_starts_nothing_at_all(asked: Any, why: str) -> None:
    nobodys = snapshot(13, 1, labels={LABEL_SERVER_ID: ""}, made_of=None)
    snapshots = [snapshot(10, 1), snapshot(12, 1, made_of=2), nobodys]
    document = plan([SG5, DB1], snapshots, **asked)
    assert (document.status, document.restores) == ("failed", ())
    assert why in document.reason


TOLD_OF_COPIES = dict(throw_away="true", managed_by="me", server_id="1", restore_id="drill-1")


def test_a_copy_is_in_no_drill() -> None:
    copied = server(4, "drill-drill-1-1", **TOLD_OF_COPIES)
    document = plan([copied, SG5], [snapshot(10, 1, 1, proven(3)), snapshot(40, 4)])
    assert (list(told(document)), document.notes) == (["sg5"], ())


def test_of_two_that_are_gone_with_the_same_name_the_one_with_the_newest_snapshot_counts() -> None:
    name = {LABEL_SERVER_NAME: "web"}
    snapshots = [snapshot(80, 8, 0.5, name), snapshot(90, 9, 1, name), snapshot(91, 9, 2, name)]
    [restore] = restores(plan([SG5], snapshots, servers=("web",)))
    assert (restore.server.id, restore.source.image_id) == (8, 80)


def test_one_that_is_gone_with_its_name_is_called_by_its_id() -> None:
    nameless = snapshot(90, 9, labels={LABEL_SERVER_NAME: ""})
    assert told(plan([SG5], [nameless], servers=(9,))) == {"server 9": "new: "}


@pytest.mark.parametrize(
    ("large", "drilled"),
    [
        ({3}, ["web", "db-1"]),
        ({3, 2}, ["web", "db-1", "sg5"]),
        ({2}, ["web"]),
        ({1, 2, 3, 4}, ["web", "db-1", "sg5", "mail"]),
    ],
)
def test_who_fits_no_type_is_told_and_the_next_one_has_its_turn(
    large: set[int], drilled: list[str]
) -> None:
    """In their order: web, db-1, sg5, mail."""
    turns = {3: 12, 2: 9, 1: 6, 4: 3}
    snapshots = [
        snapshot(10 * id_, id_, 1, proven(days), disk_gb=400 if id_ in large else 40)
        for id_, days in turns.items()
    ]
    document = plan([SG5, DB1, WEB, server(4, "mail")], snapshots)
    assert [each.server.name for each in restores(document)] == drilled


def test_no_drill_tries_more_than_one_execution_may_restore() -> None:
    servers = [server(n, f"s{n}") for n in range(10, 35)]
    snapshots = [snapshot(n, n, disk_gb=400) for n in range(10, 35)]
    assert len(plan(servers, snapshots).restores) == 20
    names = tuple(each.name for each in servers)
    assert len(plan(servers, snapshots, servers=names, keep=True).restores) == 20


def test_twenty_notes_are_told_and_the_others_counted() -> None:
    for count, last in ((20, "s29: left out"), (21, "and 1 more"), (25, "and 5 more")):
        servers = [server(n, f"s{n}", drill="false") for n in range(10, 10 + count)]
        notes = plan(servers, []).notes
        assert len(notes) == min(count, 21) and notes[-1].startswith(last)


def test_a_restore_names_the_snapshot_that_it_is_made_of() -> None:
    [restore] = restores(plan([SG5], [snapshot(10, 1)]))
    assert restore.source == Source(10, "2026-11-20T09:00:00Z", 40)
    [none] = restores(plan([SG5], [], servers=("sg5",)))
    assert none.source == Source(0, "", None)


def test_bad_labels_are_restores_as_far_as_there_is_room_and_notes_then() -> None:
    wrong = [server(n, f"s{n}", drill="no") for n in range(10, 35)]
    document = plan([*wrong, SG5], [snapshot(10, 1), *(snapshot(n, n) for n in range(10, 35))])
    assert len(document.restores) == 20 and told(document)["sg5"] == "new: "
    assert [note.partition(":")[0] for note in document.notes] == [f"s{n}" for n in range(29, 35)]


def test_nothing_to_drill_is_a_failure_only_if_something_should_have_been() -> None:
    assert plan([], []).status == "done"
    assert plan([server(1, "sg5", drill="false")], [snapshot(10, 1)]).status == "done"
    assert plan([SG5], []).status == "failed"


def test_a_kept_restore_has_the_name_that_was_asked_for_or_one_of_its_own() -> None:
    [named] = restores(plan([SG5], [snapshot(10, 1)], servers=("sg5",), keep=True, name="sg5-b"))
    [other] = restores(plan([SG5], [snapshot(10, 1)], servers=("sg5",), keep=True))
    assert (named.copy_name, other.copy_name) == ("sg5-b", "restore-drill-7-1")
    taken = plan([SG5, DB1], [snapshot(10, 1)], servers=("sg5",), keep=True, name="DB-1")
    assert told(taken) == {"sg5": "failed: there is a server called db-1 (2); take another name"}


def test_a_copy_that_this_restore_has_made_already_takes_no_name_away() -> None:
    made = server(70, "drill-drill-7-1", **TOLD_OF_COPIES | {"restore_id": "drill-7"})
    assert told(plan([SG5, made], [snapshot(10, 1)])) == {"sg5": "new: "}
    others = server(70, "drill-drill-7-1", **TOLD_OF_COPIES)
    assert told(plan([SG5, others], [snapshot(10, 1)])) == {
        "sg5": "failed: there is a server called drill-drill-7-1 (70); take another name"
    }


@pytest.mark.parametrize("run_id", ["r" * 32, "R-2026"])
def test_a_copys_name_is_a_host_name(run_id: str) -> None:
    ids = 10**18
    [restore] = restores(plan([replace(SG5, id=ids)], [snapshot(10, ids, made_of=ids)], id=run_id))
    assert len(restore.copy_name) <= 63 and restore.copy_name == restore.copy_name.lower()
    assert restore.copy_name.replace("-", "").isalnum()


WANTED = Wanted(snapshot(10, 1), SG5)
KEPT = replace(WANTED, keep=True)


@pytest.mark.parametrize(
    ("market", "wanted", "order"),
    [
        # A drill: cheapest first, where the original is, then in its zone, then anywhere.
        (MARKET, WANTED, "cx23 fsn1, cx33 fsn1, cx23 nbg1, cx33 nbg1, cx23 ash, cx33 ash"),
        (Market((kind("cpx", "0.005", "fsn1"), CX23), ZONES, IPV4), WANTED,
         "cpx fsn1, cx23 fsn1, cx23 nbg1, cx23 ash"),
        # A restore: the original's type first.
        (Market((kind("cpx", "0.005", "fsn1"), CX23), ZONES, IPV4), KEPT,
         "cx23 fsn1, cpx fsn1, cx23 nbg1, cx23 ash"),
        # The disk, the memory, the architecture must do.
        (MARKET, replace(WANTED, snapshot=snapshot(10, 1, disk_gb=41)),
         "cx33 fsn1, cx33 nbg1, cx33 ash"),
        (Market((kind("small", "0.001", "fsn1", memory=2), CX23), ZONES, IPV4), WANTED,
         "cx23 fsn1, cx23 nbg1, cx23 ash"),
        (MARKET, replace(WANTED, snapshot=snapshot(10, 1, architecture="arm"), server=None),
         "cax11 fsn1, cax11 nbg1"),
        # What Hetzner does not tell of the snapshot is taken from its server's type.
        (MARKET, replace(WANTED, snapshot=snapshot(10, 1, architecture="", disk_gb=None)),
         "cx23 fsn1, cx33 fsn1, cx23 nbg1, cx33 nbg1, cx23 ash, cx33 ash"),
        # What is sold out or deprecated is left out.
        (Market((kind("cx23", "0.006", "fsn1", "nbg1", out=("fsn1",)),
                 kind("cx22", "0.001", "fsn1", deprecated=True)), ZONES, IPV4), WANTED,
         "cx23 nbg1"),
        # A price that is not told comes last.
        (Market((kind("cpx", None, "fsn1"), CX23), ZONES, IPV4), WANTED,
         "cx23 fsn1, cpx fsn1, cx23 nbg1, cx23 ash"),
        # What a person says counts, whatever the memory.
        (MARKET, replace(KEPT, server_type="cx33"), "cx33 fsn1, cx33 nbg1, cx33 ash"),
        (MARKET, replace(KEPT, location="ash"), "cx23 ash, cx33 ash"),
        (Market((kind("small", "0.001", "fsn1", memory=2), CX23), ZONES, IPV4),
         replace(KEPT, server_type="small"), "small fsn1"),
        # The server is gone.
        (MARKET, replace(KEPT, server=None),
         "cx23 ash, cx23 fsn1, cx23 nbg1, cx33 ash, cx33 fsn1, cx33 nbg1"),
        (MARKET, replace(WANTED, server=None),
         "cx23 ash, cx23 fsn1, cx23 nbg1, cx33 ash, cx33 fsn1, cx33 nbg1"),
    ],
)  # fmt: skip
def test_the_candidates_in_order(market: Market, wanted: Wanted, order: str) -> None:
    found, why = candidates(market, wanted)
    assert ", ".join(f"{each.server_type} {each.location}" for each in found) == order
    assert not why


UNTOLD = snapshot(10, 1, architecture="", disk_gb=None)


def test_where_nothing_is_told_of_a_snapshot_its_servers_type_says_what_it_needs() -> None:
    small = kind("small", "0.001", "fsn1", disk=20)
    market = Market((small, CAX11, CX23), None, IPV4)
    found, _ = candidates(market, replace(WANTED, snapshot=UNTOLD))
    assert {each.server_type for each in found} == {"cx23"}
    # If that is gone, too, every type may do.
    found, _ = candidates(market, replace(WANTED, snapshot=UNTOLD, server=None))
    assert {each.server_type for each in found} == {"small", "cax11", "cx23"}


def test_where_a_server_is_not_known_to_be_no_location_is_nearer() -> None:
    market = Market((kind("near", "0.006", "ash"), kind("far", "0.010", "sin")), ZONES, IPV4)
    found, _ = candidates(market, replace(WANTED, server=replace(SG5, type=None, location=None)))
    assert [each.location for each in found] == ["ash", "sin"]


def test_a_type_that_hetzner_gives_up_in_one_location_is_taken_in_the_others() -> None:
    fsn1, nbg1 = kind("cx23", "0.006", "fsn1", "nbg1").offers
    given_up = replace(CX23, offers=(replace(fsn1, deprecated=True), nbg1))
    found, _ = candidates(Market((given_up,), ZONES, IPV4), WANTED)
    assert [each.location for each in found] == ["nbg1"]


def test_the_price_of_a_type_that_is_no_longer_offered_is_not_known() -> None:
    assert MARKET.priced("cx11", "fsn1") == Candidate("cx11", "fsn1", "", "EUR")
    assert MARKET.priced("cx23", "sin") == Candidate("cx23", "sin", "", "EUR")
    assert Market((CX23,)).priced("cx23", "fsn1") == Candidate("cx23", "fsn1", "", "")


def test_twelve_are_tried_at_most_the_best_ones() -> None:
    types = [kind(f"t{n}", str(n), "ash", "fsn1", "nbg1") for n in range(5)]
    found, why = candidates(Market(types, ZONES, IPV4), WANTED)
    assert len(found) == 12 and not why
    assert [each.location for each in found] == 5 * ["fsn1"] + 5 * ["nbg1"] + 2 * ["ash"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (replace(WANTED, snapshot=snapshot(10, 1, disk_gb=400)), "a disk of 400 GB, x86"),
        (replace(KEPT, server_type="cx99"), "Hetzner has no server type cx99. Correct"),
        (replace(KEPT, server_type="cax11"), "cax11 is arm, the snapshot x86. Name another"),
        (replace(KEPT, server_type="cx23", snapshot=snapshot(10, 1, disk_gb=80)),
         "cx23 has a disk of 40 GB, the snapshot needs 80 GB"),
        (replace(KEPT, server_type="cx23", location="sin"), "there is no cx23 in sin"),
        (replace(KEPT, location="sin"), "no server type that fits is in sin"),
    ],
)  # fmt: skip
def test_without_a_candidate_it_is_unproven_and_said_what_to_do(wanted: Wanted, said: str) -> None:
    found, why = candidates(MARKET, wanted)
    assert not found and said in why
    document = plan([SG5], [wanted.snapshot], servers=("sg5",), keep=wanted.keep,
                    server_type=wanted.server_type, location=wanted.location)  # fmt: skip
    [each] = document.restores
    assert each["status"] == "unproven" and each["result"]["reason"] == why


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({}, "(a disk of 40 GB, x86)"),
        ({"architecture": ""}, "(a disk of 40 GB)"),
        ({"disk_gb": None}, "(x86)"),
        ({"architecture": "", "disk_gb": None}, "(not told)"),
    ],
)
def test_what_a_snapshot_needs_is_told_as_far_as_it_is_known(needs: Any, said: str) -> None:
    _, why = candidates(Market(), replace(WANTED, snapshot=snapshot(10, 1, **needs), server=None))
    assert said in why


def test_a_type_that_is_nowhere_is_told_without_a_place() -> None:
    _, why = candidates(Market((kind("cx9", "1"),)), replace(KEPT, server_type="cx9"))
    assert why == "there is no cx9. Name another server_type or location, or none."


def test_a_price_is_not_made_up() -> None:
    unpriced = Market((CX23,), ZONES, None)
    assert {each.price for each in candidates(unpriced, WANTED)[0]} == {""}
    elsewhere = Market((CX23,), ZONES, AddressPrices("EUR", {"fsn1": Decimal("0.0008")}))
    prices = {each.location: each.price for each in candidates(elsewhere, WANTED)[0]}
    assert prices == {"fsn1": "0.0068 EUR", "nbg1": "", "ash": ""}


@pytest.mark.parametrize(
    ("labels", "days"),
    [
        (proven(5), 5),
        (proven(5) | {LABEL_PROVEN_BY: "running"}, None),
        ({LABEL_SERVER_PROVEN_AT: label_time(NOW - 9 * DAY)}, 9),
        (proven(5) | {LABEL_SERVER_PROVEN_AT: label_time(NOW - 9 * DAY)}, 5),
        ({LABEL_SERVER_PROVEN_AT: "yesterday"}, None),
        ({LABEL_SERVER_PROVEN_AT: "20261399T000000Z"}, None),
        (proven(-1), None),  # of the future
        ({LABEL_UNPROVEN_AT: label_time(NOW)}, None),
    ],
)
def test_the_last_proof_is_read_from_the_labels(labels: Any, days: int | None) -> None:
    found = last_proofs([snapshot(10, 1, 1, labels)], NOW)
    assert found == ({} if days is None else {1: NOW - days * DAY})


def test_a_label_that_was_copied_to_another_servers_snapshot_proves_nothing() -> None:
    assert last_proofs([snapshot(10, 1, 1, proven(5), made_of=2)], NOW) == {}
    assert time_in_label(label_time(NOW)) == NOW


def copy(id_: int, restore_id: str, of: str = "1", image: int | None = 10) -> Copy:
    labels = {
        LABEL_MANAGED_BY: "me", LABEL_THROW_AWAY: "true", LABEL_RESTORE_ID: restore_id,
        LABEL_SERVER_ID: of,
    }  # fmt: skip
    name = f"drill-{restore_id}-{of}"
    return Copy(id_, name, "running", NOW - DAY, labels, image, None, "cx23", "fsn1")


def test_a_sweep_removes_what_drills_that_have_ended_left_and_nothing_else() -> None:
    known = (
        KnownRestore("dead", "2026-11-20T08:00:00Z", False),
        KnownRestore("alive", "2026-11-21T08:00:00Z", True),
    )
    copies = [copy(70, "dead"), copy(71, "alive"), copy(72, "nobody"), copy(73, "dead", "one"),
              copy(74, "dead", "\u0661")]  # fmt: skip
    document = plan([SG5], [snapshot(10, 1)], copies=copies, sweep=True, restores=known)
    [restore] = restores(document)
    assert (restore.status, restore.copy_id, restore.copy_name) == ("removing", 70, "drill-dead-1")
    assert (restore.restore_id, restore.source.image_id) == ("dead", 10)
    assert restore.began == "2026-11-20T07:55:00Z"  # AWS's clock and Hetzner's may differ
    assert restore.candidates[0].price == "0.0068 EUR"
    assert [note.partition(" (")[0] for note in document.notes] == [
        "server 72", "server 73", "server 74"
    ]  # fmt: skip
    assert document.status == "ready" and restore.server == Original(1, "sg5")
    assert restore.source == Source(10, "2026-11-20T09:00:00Z", 40)
    assert restore.run.restores == ()


def test_a_sweep_removes_what_is_left_of_servers_that_are_gone_twenty_at_a_time() -> None:
    known = (KnownRestore("dead", "", False),)
    copies = [copy(70 + n, "dead", "9") for n in range(21)]
    document = plan([SG5], [], copies=copies, sweep=True, restores=known)
    assert len(document.restores) == 20
    assert restores(document)[0].server == Original(9, "server 9")
    # When it began is not known.
    assert restores(document)[0].began is None


def test_the_log_has_a_row_for_each_restore() -> None:
    snapshots = [snapshot(10, 1), snapshot(20, 2)]
    new = plan([SG5, WEB], snapshots, servers=("sg5", "web"))
    assert list(rows(new)) == [
        "sg5: snapshot 10 of 2026-11-20 as drill-drill-7-1, cx23 in fsn1, 0.0068 EUR per hour; "
        "6 candidates",
        "web: failed: it has no good snapshot",
    ]
    unpriced = Market((kind("cx23", None, "fsn1"),), ZONES, IPV4)
    dry = plan([SG5], snapshots, market=unpriced, servers=("sg5",), dry_run=True)
    assert list(rows(dry)) == [
        "sg5: snapshot 10 of 2026-11-20 as drill-drill-7-1, cx23 in fsn1, its price is not told; "
        "1 candidates"
    ]
    taken = plan([SG5, DB1], snapshots, servers=("sg5",), keep=True, name="db-1")
    assert list(rows(taken)) == [
        "sg5: failed: there is a server called db-1 (2); take another name"
    ]
    known = (KnownRestore("dead", "2026-11-20T08:00:00Z", False),)
    swept = plan([SG5], snapshots, copies=[copy(70, "dead")], sweep=True, restores=known)
    assert list(rows(swept)) == ["sg5: removing"]


def test_a_sweep_without_leftovers_is_done() -> None:
    assert plan([SG5], [], copies=[copy(71, "x")], sweep=True, restores=None).status == "done"
    assert plan([SG5], [], sweep=True).status == "done"


def test_a_copy_of_another_image_than_a_snapshot_of_its_original_is_not_taken_for_ours() -> None:
    known = (KnownRestore("dead", "2026-11-20T08:00:00Z", False),)
    for image, of_it in ((10, 10), (20, 0), (None, 0), (99, 0)):
        copies = [copy(70, "dead", image=image)]
        document = plan(
            [SG5, DB1], [snapshot(10, 1), snapshot(20, 2)], copies=copies, sweep=True,
            restores=known,
        )  # fmt: skip
        [restore] = restores(document)
        assert restore.source.image_id == of_it
