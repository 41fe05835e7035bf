"""How old a server's newest good snapshot is, as a run sees it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from handler.decisions.freshness import LastGood, last_good
from handler.documents.document import WithBackups
from handler.documents.labels import LABEL_EVERY, LABEL_SERVER_ID
from handler.documents.resources import Server, Snapshot
from handler.documents.survey import Survey

BEGIN = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def server(id: int, created: datetime = BEGIN - 99 * DAY, **labels: str) -> Server:
    return Server(id, f"server-{id}", "running", None, None, None, None, labels, created)


def snapshot(server_id: int, created: datetime, status: str = "available") -> Snapshot:
    return Snapshot(1, created, status, labels={LABEL_SERVER_ID: str(server_id)})


def found_in(
    servers: list[Server],
    snapshots: list[Snapshot],
    matching: set[int] | None = None,
    with_backups: WithBackups = "include",
) -> list[LastGood]:
    ids = {server.id for server in servers} if matching is None else matching
    survey = Survey(tuple(servers), frozenset(ids), tuple(snapshots), None, None)
    return last_good(survey, with_backups)


def test_an_image_of_another_server_with_our_labels_makes_none_fresh() -> None:
    copied = replace(snapshot(1, BEGIN), made_of=2)
    assert found_in([server(1)], [copied]) == [LastGood(1, "server-1", BEGIN - 99 * DAY, False)]


def test_a_snapshot_that_is_not_available_is_no_good_one() -> None:
    found = found_in([server(1)], [snapshot(1, BEGIN), snapshot(1, BEGIN + DAY, "creating")])
    assert [(last.since, last.snapshot) for last in found] == [(BEGIN, True)]


def test_an_overdue_server_says_since_when() -> None:
    [with_one] = found_in([server(1)], [snapshot(1, BEGIN)])
    assert with_one.why_overdue(BEGIN + 26 * HOUR, 26) == ""
    assert with_one.why_overdue(BEGIN + 2 * DAY, 26) == (
        "its newest good snapshot is 2.0 days old, of 2026-11-20 02:00Z"
    )
    [without] = found_in([server(1, created=BEGIN)], [])
    assert without.why_overdue(BEGIN + 3 * DAY, 26) == (
        "it has no good snapshot and is 3.0 days old itself, created 2026-11-20 02:00Z"
    )


def test_what_the_selector_does_not_match_does_not_count() -> None:
    found = found_in([server(1), server(2)], [], {2})
    assert [last.server for last in found] == ["server-2"]


def test_a_server_every_week_is_overdue_after_its_week_and_the_limit() -> None:
    [weekly] = found_in([server(1, **{LABEL_EVERY: "1w"})], [snapshot(1, BEGIN)])
    limit = (7 * 24 + 26) * HOUR
    assert weekly.since == BEGIN
    assert weekly.why_overdue(BEGIN + limit, 26) == ""
    assert weekly.why_overdue(BEGIN + limit + HOUR, 26) == (
        "its newest good snapshot is 8.1 days old, of 2026-11-20 02:00Z"
    )
    # One that is wrong adds nothing.
    [wrong] = found_in([server(1, **{LABEL_EVERY: "weekly"})], [snapshot(1, BEGIN)])
    assert wrong.why_overdue(BEGIN + 27 * HOUR, 26)


@pytest.mark.parametrize(("with_backups", "counts"), [("include", [1, 2]), ("skip", [2])])
def test_a_server_that_is_skipped_for_its_backups_is_never_overdue(
    with_backups: WithBackups, counts: list[int]
) -> None:
    servers = [replace(server(1), backups=True), server(2)]
    found = found_in(servers, [], with_backups=with_backups)
    assert [last.server for last in found] == [f"server-{id_}" for id_ in counts]
