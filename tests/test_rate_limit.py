"""Runs that need more requests than Hetzner's rate limit allows: slower, but nothing fails.

The limits are small ones so that the nights are short; `make bench FULL=1` plays real sizes.
"""

from functools import cache
from typing import Any

import pytest
import requests

from local.virtual.cloud import Execution
from local.virtual.stage import Stage
from local.virtual.template import Stack
from local.virtual.wire import ENDPOINT


class Fleet(Stage):
    """So many servers in one project with so many requests per hour; notes what is left."""

    def __init__(self, servers: int, per_hour: int, floor: int = 20, old: int = 0) -> None:
        super().__init__()
        for number in range(servers):
            server = self.project.add_server(f"s{number}")
            for days in range(1, old + 1):
                self.old_snapshot(server, days)
        self.project.rate_limit = per_hour
        self.floor = floor
        self.left: list[int] = []
        serve = self.wire._serve

        def noting(request: requests.PreparedRequest) -> Any:
            answer = serve(request)
            self.left.append(self.project.budgets.shared.remaining())
            return answer

        self.wire._serve = noting  # type: ignore[method-assign]

    def night(self, monkeypatch: pytest.MonkeyPatch) -> Execution:
        monkeypatch.setattr("local.virtual.cloud.stack", lambda *_, **__: _stack(self.floor))
        monkeypatch.setattr("local.virtual.process.stack", lambda *_: _stack(self.floor))
        self.play({})
        [execution] = self.cloud.executions.values()
        made = [i for i in self.project.images.values() if i.id in self.truth.created]
        new = [i for i in made if i.status == "available" and i.id not in self.truth.before]
        assert len(new) == len(self.project.servers)
        return execution

    @property
    def refused(self) -> int:
        return sum(request.status == 429 for request in self.world.requests)


def _listings(fleet: Fleet) -> int:
    return sum(i.function == "ListServers" for i in fleet.cloud.invocations)


@cache
def _stack(floor: int) -> Stack:
    return Stack(HetznerEndpoint=ENDPOINT, RateLimitFloorPercent=str(floor))


@pytest.mark.parametrize(("servers", "per_hour"), [(60, 400), (60, 300), (100, 400)])
def test_a_fleet_larger_than_the_rate_limit_is_done_and_leaves_some_to_others(
    monkeypatch: pytest.MonkeyPatch, servers: int, per_hour: int
) -> None:
    fleet = Fleet(servers, per_hour)
    assert fleet.night(monkeypatch).status == "SUCCEEDED"
    assert len(fleet.world.requests) > 0.8 * per_hour
    assert not fleet.refused
    # They do not know of each other: the floor may be overrun a little.
    assert min(fleet.left) >= 0.8 * 0.2 * per_hour


def test_the_floor_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    least = []
    for floor in (0, 50):
        fleet = Fleet(50, 300, floor)
        assert fleet.night(monkeypatch).status == "SUCCEEDED"
        assert not fleet.refused
        least.append(min(fleet.left))
        assert _listings(fleet) == 1
    assert least[0] < 100
    assert least[1] > 120


@pytest.mark.parametrize(("servers", "per_hour"), [(150, 3600), (20, 300)])
def test_a_run_does_not_wait_for_more_requests_than_there_ever_are(
    monkeypatch: pytest.MonkeyPatch, servers: int, per_hour: int
) -> None:
    fleet = Fleet(servers, per_hour, floor=90)
    assert fleet.night(monkeypatch).status == "SUCCEEDED"
    assert _listings(fleet) <= 3
    assert not fleet.refused


def test_deletions_wait_for_their_requests_too(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(60, 400, old=8)
    assert fleet.night(monkeypatch).status == "SUCCEEDED"
    deleted = [d for d in fleet.truth.deletions if d.by]
    assert len(deleted) == 60 * 5
    assert fleet.refused <= 0.01 * len(fleet.world.requests)
    assert min(fleet.left) >= 0.4 * 80


@pytest.mark.parametrize(("taken", "refused"), [(220, 0), (300, 1)])
def test_a_run_that_finds_the_limit_used_up_waits_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, taken: int, refused: int
) -> None:
    fleet = Fleet(20, 300)
    fleet.project.spend_budget(taken)
    assert fleet.night(monkeypatch).status == "SUCCEEDED"
    # At most the listing was refused; the servers' first requests came when they were there.
    assert fleet.refused == refused
    listings = [i.output for i in fleet.cloud.invocations if i.function == "ListServers"]
    *waiting, ready = listings
    assert waiting and {listing["status"] for listing in waiting} == {"waiting"}
    # Three requests for each server above the floor.
    assert ready["status"] == "ready" and ready["requests_left"] >= 3 * 20 + 0.2 * 300
    if not refused:
        assert "too few requests left to start" in waiting[-1]["reason"]


def test_a_hundred_cold_containers_that_read_the_token_at_once_do_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = Fleet(100, 3600)
    fleet.cloud.ssm_errors = ["", *["ThrottlingException"] * 60]
    execution = fleet.night(monkeypatch)
    assert execution.status == "SUCCEEDED"
    assert not fleet.cloud.ssm_errors
    # Of the night it costs seconds: a throttled read is tried again soon, and not in step.
    assert max(result["waited_s"] for result in execution.results.values()) < 120
