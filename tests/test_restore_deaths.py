"""A function may die after any of its requests: nothing is made twice, left behind or lost.

Step Functions tries the state again with the same input, or, when it has tried often enough, hands
that input to RemoveServer.
"""

import pytest

from handler.hetzner.api import Hetzner
from local.simulator.boot import Boot
from tests.restores import NEXT, Restoring, restoring

RETRY_SECONDS = 130
REQUESTS = 44  # of the longest drill here; that it has no more is asserted


class Died(BaseException):
    """The function is gone: its timeout, or its container."""


class Mortal:
    """Lets the function die after its n-th answer from Hetzner, `times` times in a row."""

    def __init__(self, drill: Restoring, nth: int, times: int = 1) -> None:
        self.drill = drill
        self.answers = 0
        self._nth, self._times = nth, times
        client = drill.hetzner._connect()
        drill.hetzner = Hetzner(lambda: client, "/tokens/default", detail=self._answered)

    def _answered(self, _: str) -> None:
        self.answers += 1
        if self.answers >= self._nth and self._times:
            self._times -= 1
            raise Died

    def step(self) -> bool:
        """One state; whether it has answered."""
        before = self.drill.restore
        try:
            self.drill.step()
        except Died:
            self.drill.restore = before
            self.drill.world.clock.advance(RETRY_SECONDS)
            return False
        return True

    def end(self) -> None:
        for _ in range(200):
            if self.drill.restore.status not in NEXT:
                return
            self.step()
        raise AssertionError(self.drill.restore.reason)


def made(drill: Restoring) -> list[int]:
    return [deed.server_id for deed in drill.world.deeds if deed.what == "created"]


def nothing_else_happened(drill: Restoring) -> None:
    assert drill.server.id in drill.project.servers
    assert drill.image.labels["people/wrote"] == "this"
    deleted = {deed.server_id for deed in drill.world.deeds if deed.what == "deleted"}
    assert deleted <= set(made(drill))
    assert drill.never_acted()


def test_no_drill_here_sends_more_requests_than_are_tried() -> None:
    with restoring() as drill:
        drill.end()
        assert len(drill.world.requests) <= REQUESTS


@pytest.mark.parametrize("nth", range(1, REQUESTS + 1))
def test_a_drill_whose_function_dies_once_makes_one_copy_and_removes_it(nth: int) -> None:
    with restoring() as drill:
        Mortal(drill, nth).end()
        assert (drill.restore.status, drill.copies) == ("proven", [])
        assert len(made(drill)) == 1
        nothing_else_happened(drill)


@pytest.mark.parametrize("nth", range(1, REQUESTS + 1))
def test_a_state_that_is_given_up_anywhere_leaves_no_copy(nth: int) -> None:
    with restoring() as drill:
        mortal = Mortal(drill, nth)
        while drill.restore.status in NEXT and mortal.step():
            pass
        if drill.restore.status in NEXT:  # its Catch
            drill.step("remove")
        drill.end()
        assert drill.copies == []
        assert len(made(drill)) <= 1
        nothing_else_happened(drill)


@pytest.mark.parametrize("nth", range(1, REQUESTS + 1, 2))
def test_what_is_kept_is_made_once_and_stays_whatever_dies(nth: int) -> None:
    with restoring(keep=True) as kept:
        kept.project.boot = Boot(after_s=60)
        Mortal(kept, nth, times=2).end()
        assert (kept.restore.status, kept.copy.status) == ("proven", "running")
        assert kept.sent("DELETE") == 0
        nothing_else_happened(kept)
