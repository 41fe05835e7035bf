"""One wrong clock moves no deadline: whose Date counts, and how many must agree on a jump."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from flask import Response

from handler.documents.document import Stopwatch
from handler.documents.errors import HetznerError
from handler.documents.job import Job
from handler.hetzner.api import Hetzner, client_for
from handler.hetzner.headers import Headers
from local.simulator import Fault, Project, Simulator, World
from local.simulator.faults import Effect, dated, html, status
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.snapshots import available, ours
from tests.test_creating import job as a_job

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def hetzner(project: Project, simulator: Simulator) -> Iterator[Hetzner]:
    client = client_for(TOKEN, simulator.url)
    yield Hetzner(lambda: client, "/tokens/default")
    client._client._session.close()


@pytest.mark.parametrize(
    ("effect", "heard"),
    [
        (html(502), False),
        (html(404), False),
        (html(200), False),
        (lambda call: Response(status=302), False),
        (status(503, "unavailable"), True),
        (status(404, "not_found"), True),
    ],
)
def test_only_an_answer_of_the_apis_sets_the_clock(
    hetzner: Hetzner, world: World, effect: Effect, heard: bool
) -> None:
    world.faults.add(Fault(dated(effect, timedelta(0))))
    with pytest.raises(HetznerError):
        hetzner.servers()
    assert (hetzner.answered_at is not None) == heard
    assert (hetzner.requests_left is not None) == heard


@pytest.mark.parametrize("date", [None, "now", "Sat, 99 Nov 2026 02:00:00 GMT"])
def test_without_a_date_the_rate_limit_still_counts(date: str | None) -> None:
    headers = Headers()
    said = {"RateLimit-Remaining": "7", "RateLimit-Limit": "50"}
    headers.heed(said | ({"Date": date} if date else {}))
    assert headers.answered_at is None
    assert (headers.requests_left, headers.requests_per_hour) == (7, 50)
    headers.heed({"RateLimit-Remaining": "1" * 8, "RateLimit-Limit": "0"})
    assert (headers.requests_left, headers.requests_per_hour) == (7, 50)


def read(watch: Stopwatch, *looks: tuple[timedelta | None, int]) -> Stopwatch:
    """After looks: each the clock's time since NOW, None for no answer, and the ordered wait."""
    for offset, wait in looks:
        watch = watch.read(None if offset is None else NOW + offset, wait)
    return watch


JUMPED = 4 * HOUR + MINUTE
SURE = [(0 * MINUTE, 0), (1 * MINUTE, 60)]


@pytest.mark.parametrize(
    ("sentence", "looks", "elapsed_s", "now"),
    [
        ("time passes", [*SURE, (3 * MINUTE, 60)], 180, 3 * MINUTE),
        ("a jump alone does not count", [*SURE, (4 * HOUR, 60)], 120, 2 * MINUTE),
        ("nor before a right one", [*SURE, (4 * HOUR, 60), (3 * MINUTE, 60)], 180, 3 * MINUTE),
        ("nor backwards", [*SURE, (-4 * HOUR, 60), (3 * MINUTE, 60)], 180, 3 * MINUTE),
        ("two that agree do", [*SURE, (4 * HOUR, 60), (JUMPED, 60)], 14460, JUMPED),
        ("two that differ do not", [*SURE, (4 * HOUR, 60), (9 * HOUR, 60)], 180, 3 * MINUTE),
        (
            "an outage between them is nothing",
            [*SURE, (4 * HOUR, 60), (None, 60), (JUMPED + MINUTE, 60)],
            14520,
            JUMPED + MINUTE,
        ),
        ("a first one late", [(4 * HOUR, 0), (MINUTE, 60), (2 * MINUTE, 60)], 120, 2 * MINUTE),
        ("a first one early", [(-4 * HOUR, 0), (MINUTE, 60), (2 * MINUTE, 60)], 120, 2 * MINUTE),
        ("late by some minutes is no jump", [*SURE, (7 * MINUTE, 60)], 420, 7 * MINUTE),
        ("nor by as long as the wait was", [*SURE, (61 * MINUTE, 1800)], 3660, 61 * MINUTE),
    ],
)
def test_a_jump_needs_a_second_witness(
    sentence: str, looks: list[Any], elapsed_s: int, now: timedelta
) -> None:
    watch = read(Stopwatch(), *looks)
    assert (watch.elapsed_s, watch.now) == (elapsed_s, NOW + now), sentence


def test_of_the_answers_to_one_function_one_alone_does_not_set_the_clock() -> None:
    headers = Headers()
    for offset, heard in ((0, 0), (4, 0), (0, 0), (4, 0), (4, 4), (4, 4)):
        headers.heed({"Date": format_datetime(NOW + offset * HOUR)})
        assert headers.answered_at == NOW + heard * HOUR


def test_a_doubt_is_carried_from_state_to_state() -> None:
    job = a_job()
    watch = read(Stopwatch(), *SURE, (4 * HOUR, 60))
    carried = Job.from_dict(replace(job, stopwatch=watch).to_dict())
    assert carried.stopwatch == watch
    old = replace(job, stopwatch=watch).to_dict()
    old["stopwatch"] = {"now": "2026-11-21T02:00:00Z", "elapsed_s": 7}
    assert Job.from_dict(old).stopwatch == Stopwatch(NOW, 7)


@pytest.mark.parametrize("effect", [html(502), status(503, "unavailable")])
@pytest.mark.parametrize("off", [-4 * HOUR, 4 * HOUR])
@pytest.mark.parametrize("nth", [1, 2])
def test_an_answer_whose_clock_is_off_ends_no_snapshot(
    aws: Aws, world: World, project: Project, effect: Effect, off: timedelta, nth: int
) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days) for days in (3, 2.5, 1)]
    project.snapshot_seconds[server.id] = 600
    wrong = world.faults.add(Fault(dated(effect, off), path=r"/actions/\d+", nth=nth))
    night = aws.run({"retention": "within2d"})
    assert wrong.hits == 1
    assert night.verdict() == "Completed"
    assert available(project, night.run_id) == {"sg5": 1}
    assert {image.id for image in old} & project.images.keys() == {old[2].id}
    assert 550 < night.results["sg5"]["snapshot_s"] < 800
