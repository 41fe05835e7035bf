"""Random days with drills: a few of those of `make chaos`, and what its rules notice."""

from collections.abc import Iterable

import pytest

from handler.decisions import booting, isolating, removing
from tests.chaos.drill_days import check

PEOPLE, SLOW_FIREWALLS, DEAF = (15, 59), (13, 19), (1, 3)


@pytest.mark.parametrize("seed", range(1, 13))
def test_a_day_of_drills_breaks_no_rule(seed: int) -> None:
    assert check(seed).broken == []


def found(seeds: Iterable[int]) -> str:
    return "\n".join(line for seed in seeds for line in check(seed).broken)


def test_the_rules_notice_what_is_deleted_though_it_is_a_persons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(removing, "why_not_removed", lambda *_: "")
    assert "which is a person's" in found(PEOPLE)


def test_the_rules_notice_what_is_switched_on_and_can_act(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolating, "why_not_on", lambda *_: "")
    assert "which can act" in found(SLOW_FIREWALLS)


def test_the_rules_notice_a_proof_that_nobody_has_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booting, "SSH", "")
    assert "has not greeted" in found(DEAF)
