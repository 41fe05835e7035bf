"""The pure parts: retention, pacing, what fits, what is said."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pacing
from document import Run
from job import cut
from retention import BadPolicy, parse_policy, plan
from run import Totals
from summarise_run import summary_line, verdict_of
from tests.test_hetzner import RUN

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Image:
    id: int
    created: datetime
    status: str = "available"
    protected: bool = False


images = st.lists(
    st.builds(
        Image,
        id=st.integers(1, 10**6),
        created=st.integers(0, 400).map(lambda days: START + timedelta(days=days)),
        status=st.sampled_from(["available", "available", "creating", "unavailable"]),
        protected=st.booleans(),
    ),
    unique_by=lambda image: image.id,
    max_size=30,
)


@given(images, st.integers(1, 9))
def test_a_plan_decides_on_each_snapshot_once_and_keeps_what_it_must(
    snapshots: list[Image], last: int
) -> None:
    decisions = plan(parse_policy(f"last{last}"), snapshots)
    assert sorted(d.snapshot.id for d in decisions) == sorted(s.id for s in snapshots)
    assert all(decision.reason for decision in decisions)
    for decision in decisions:
        if decision.snapshot.status != "available" or decision.snapshot.protected:
            assert decision.keep
    good = sorted(
        (s for s in snapshots if s.status == "available"), key=lambda s: (s.created, s.id)
    )
    kept = {decision.snapshot.id for decision in decisions if decision.keep}
    assert {s.id for s in good[-last:]} <= kept
    assert {s.id for s in good[:-last] if not s.protected}.isdisjoint(kept)


@given(images, st.integers(1, 9))
def test_planning_again_on_what_was_kept_deletes_nothing(snapshots: list[Image], last: int) -> None:
    policy = parse_policy(f"last{last}")
    kept = [decision.snapshot for decision in plan(policy, snapshots) if decision.keep]
    assert all(decision.keep for decision in plan(policy, kept))


@pytest.mark.parametrize("text", ["", "last", "last0", "last-1", "3", "last3 ", "LAST3", "last٣"])
def test_a_policy_that_means_nothing_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadPolicy, match="write for example last3"):
        parse_policy(text)


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
            "PartiallyFailed: 2 of 6 servers, 1 failed, 1 made but not pruned, 3 skipped; "
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
