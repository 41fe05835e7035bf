"""The pure parts, retention apart: pacing, what fits, what is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pacing
from document import Run
from job import cut
from run import Totals
from summarise_run import summary_line, verdict_of
from tests.test_hetzner import RUN


@given(st.integers(0, 10**6), st.integers(0, 100), st.integers(0, 10**4), st.floats(0, 1))
def test_every_wait_is_a_positive_bounded_whole_number(
    elapsed_s: int, progress: int, attempts: int, spread: float
) -> None:
    waits = (
        pacing.while_locked(elapsed_s, spread),
        pacing.in_trouble(attempts, spread),
        pacing.while_creating(elapsed_s, progress, spread),
    )
    assert all(isinstance(seconds, int) and 10 <= seconds <= 300 for seconds in waits)
    assert waits[1] >= 30


@given(st.text(), st.integers(10, 500))
def test_a_cut_text_fits(text: str, size: int) -> None:
    import json

    assert len(json.dumps(cut(text, size))) - 2 <= max(size, 0)


@pytest.mark.parametrize(
    ("totals", "unlisted", "verdict", "line"),
    [
        (
            Totals(available=41, left_out=1, deleted=17, longest="sg5", longest_s=1300,
                   longest_waited_s=540),
            "",
            "Completed",
            "Completed: 41 of 42 servers, 1 left out; longest sg5 (22 min, 9 min of it waiting); "
            "17 old snapshots deleted",
        ),
        (
            Totals(available=2, failed=1, not_pruned=1, skipped=3, deleted=1),
            "",
            "PartiallyFailed",
            "PartiallyFailed: 2 of 6 servers, 3 skipped, 1 failed, 1 made but not pruned; "
            "1 old snapshot deleted",
        ),
        (Totals(failed=2), "", "Failed",
         "Failed: 0 of 2 servers, 2 failed; 0 old snapshots deleted"),
        (Totals(skipped=1), "", "Completed",
         "Completed: 0 of 1 server, 1 skipped; 0 old snapshots deleted"),
        (Totals(), "", "Completed", "Completed: the project default has no servers"),
        (Totals(), "no server nobody", "Failed", "Failed: no server nobody"),
        (Totals(available=400, failed=9), "API down", "PartiallyFailed",
         "PartiallyFailed: 400 of 409 servers, 9 failed; 0 old snapshots deleted"),
    ],
)  # fmt: skip
def test_a_verdict_and_its_line(totals: Totals, unlisted: str, verdict: str, line: str) -> None:
    run: Run = RUN
    assert verdict_of(totals, unlisted) == verdict
    assert summary_line(verdict, totals, run, unlisted) == line
