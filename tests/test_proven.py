"""What the labels of snapshots tell of proofs and drills: tables."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from handler.decisions.proof import (
    Proven,
    handed_on,
    label_time,
    last_proofs,
    looked_at,
    proven_of,
    time_in_label,
)
from handler.documents.labels import (
    LABEL_PROVEN_AT,
    LABEL_PROVEN_BY,
    LABEL_SERVER_DRILLED_AT,
    LABEL_SERVER_ID,
    LABEL_SERVER_PROVEN_AT,
    LABEL_UNPROVEN_AT,
)
from handler.documents.resources import Snapshot
from tests.test_planning_restore import DAY, NOW, proven, server, snapshot

Found = Callable[..., dict[int, datetime]]


def ago(days: float) -> str:
    return label_time(NOW - days * DAY)


def made(id_: int, days: float, **labels: str) -> Any:
    """A server that was created so many days ago."""
    return replace(server(id_, f"s{id_}", **labels), created=NOW - days * DAY)


def test_how_many_servers_are_proven_and_whose_proof_is_oldest() -> None:
    servers = [made(1, 99), made(2, 99), made(3, 10)]
    snapshots = [snapshot(10, 1, 1, proven(5)), snapshot(20, 2, 1, proven(41))]
    found = proven_of(servers, snapshots, NOW)
    assert found == Proven(3, 2, NOW, "s2", NOW - 41 * DAY, 41.0)
    assert proven_of([], snapshots, NOW) == Proven(0, 0, NOW)


@pytest.mark.parametrize(
    ("servers", "days"),
    [
        # One that was never proven counts from its creation.
        ([made(3, 10.128)], 10.13),
        ([made(3, 10), made(4, 30)], 30.0),
        ([made(3, 0.5)], 0.5),
        ([made(3, -2)], 0.0),  # by a clock that is wrong
        # No drill is for these.
        ([made(3, 10), made(4, 30, drill="false")], 10.0),
        ([made(3, 10), made(4, 30, probe="none")], 10.0),
        ([made(3, 10, drill="true", probe="ssh.22")], 10.0),
        ([made(4, 30, drill="false"), made(5, 30, probe="none")], None),
    ],
)
def test_who_is_unproven_for_longest(servers: Any, days: float | None) -> None:
    assert proven_of(servers, [], NOW).longest_days == days


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Proven(1, 0, NOW), "proven: 0 of 1 server"),
        (Proven(0, 0, NOW), "proven: 0 of 0 servers"),
        (Proven(3, 2, NOW, "db-1", NOW - 41.5 * DAY),
         "proven: 2 of 3 servers, oldest db-1 41 days ago"),
        (Proven(2, 2, NOW, "db-1", NOW - DAY), "proven: 2 of 2 servers, oldest db-1 1 day ago"),
        (Proven(1, 1, NOW, "db-1", NOW - 0.9 * DAY), "proven: 1 of 1 server, oldest db-1 today"),
        (Proven(1, 1, NOW, "db-1", NOW + 3 * DAY), "proven: 1 of 1 server, oldest db-1 today"),
    ],
)  # fmt: skip
def test_what_people_are_told_of_proofs(found: Proven, said: str) -> None:
    assert str(found) == said


@pytest.mark.parametrize("text", ["", "20261121T9000Z", "20261121T090000", "20261399T000000Z"])
def test_what_is_no_time_in_a_label_is_none(text: str) -> None:
    assert time_in_label(text) is None


@pytest.mark.parametrize(("find", "label"), [
    (last_proofs, LABEL_SERVER_PROVEN_AT),
    (looked_at, LABEL_SERVER_PROVEN_AT),
    (looked_at, LABEL_SERVER_DRILLED_AT),
    (looked_at, LABEL_PROVEN_AT),
    (looked_at, LABEL_UNPROVEN_AT),
])  # fmt: skip
def test_the_latest_time_counts_wherever_it_stands(find: Found, label: str) -> None:
    first, second = snapshot(10, 1, 1, {label: ago(5)}), snapshot(11, 1, 2, {label: ago(9)})
    of_others = snapshot(20, 2, 1, {label: ago(1)})
    for snapshots in ([first, second, of_others], [of_others, second, first]):
        assert find(snapshots, NOW) == {1: NOW - 5 * DAY, 2: NOW - DAY}
    # A time of now is one, of the future none, unless nobody knows what the time is.
    for days, counts in ((0, True), (-1, False)):
        ahead = snapshot(12, 1, 1, {label: ago(days)})
        newest = NOW - (days if counts else 5) * DAY
        assert find([first, ahead], NOW) == {1: newest}
        assert find([first, ahead]) == {1: NOW - days * DAY}


@pytest.mark.parametrize("find", [last_proofs, looked_at])
def test_a_snapshot_that_is_of_another_server_or_of_none_tells_nothing(find: Found) -> None:
    copied = snapshot(10, 1, 1, proven(5), made_of=2)
    nobodys = snapshot(11, 1, 1, proven(5) | {LABEL_SERVER_ID: ""}, made_of=None)
    assert find([copied, nobodys], NOW) == {}


def test_one_that_only_came_back_running_was_looked_at_and_not_proven() -> None:
    running = snapshot(10, 1, 1, {LABEL_PROVEN_AT: ago(5), LABEL_PROVEN_BY: "running"})
    assert (last_proofs([running], NOW), looked_at([running], NOW)) == ({}, {1: NOW - 5 * DAY})


@pytest.mark.parametrize(
    ("labels", "next_labels"),
    [
        ({}, {}),
        (proven(5), {LABEL_SERVER_PROVEN_AT: ago(5), LABEL_SERVER_DRILLED_AT: ago(5)}),
        ({LABEL_UNPROVEN_AT: ago(3)}, {LABEL_SERVER_DRILLED_AT: ago(3)}),
        ({LABEL_UNPROVEN_AT: ago(3), LABEL_SERVER_PROVEN_AT: ago(9)},
         {LABEL_SERVER_PROVEN_AT: ago(9), LABEL_SERVER_DRILLED_AT: ago(3)}),
        ({LABEL_SERVER_DRILLED_AT: ago(-1)}, {}),
    ],
)  # fmt: skip
def test_the_next_snapshot_has_the_last_proof_and_the_last_drill(
    labels: dict[str, str], next_labels: dict[str, str]
) -> None:
    snapshots: list[Snapshot] = [snapshot(10, 1, 1, labels), snapshot(20, 2, 1, proven(1))]
    assert handed_on(snapshots, 1, NOW) == next_labels


def test_the_ages_are_of_whole_seconds() -> None:
    assert time_in_label(label_time(NOW + timedelta(microseconds=7))) == NOW
