"""Random days with drills: a few of those of `make chaos`, and how one that fails is told.

tests/mutants.py holds that their rules notice mistakes.
"""

import subprocess
import sys

import pytest

from tests.chaos import __main__ as chaos
from tests.chaos.check import KINDS, Report, check, shrink
from tests.chaos.less import Less

DAYS = 15


@pytest.mark.parametrize("seed", range(1, DAYS + 1))
def test_a_day_of_drills_breaks_no_rule(seed: int) -> None:
    report = check(seed, "day")
    assert not report.broken, f"{report.broken}; {chaos.again(report)}"


def test_the_same_seed_is_the_same_day() -> None:
    assert check(7, "day") == check(7, "day")


# The driver.


def test_of_a_day_that_fails_all_is_left_out_without_which_it_fails_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = ["2. {} at 0 s", "3. the_market: the market: slow"]

    def played(seed: int, kind: str, less: Less | None = None) -> Report:
        told = KINDS[kind].draw(seed, less).drawn()
        fails = all(each in told for each in needed)
        return Report(kind, seed, told, ["a rule"] if fails else [], [], [])

    monkeypatch.setattr("tests.chaos.check.check", played)
    least = played(1, "day", shrink(1, "day"))
    assert least.broken
    assert [each for each in least.told if each[0].isdigit()] == needed
    assert least.told[0] == "default: s0"


def test_what_is_left_out_of_a_day_changes_nothing_else_in_it() -> None:
    whole = check(9, "day").told
    for less in (Less(starts=frozenset({0})), Less(troubles=frozenset({0}))):
        assert set(check(9, "day", less).told) < set(whole)


def bad(monkeypatch: pytest.MonkeyPatch, *failing: tuple[str, int]) -> None:
    """Nothing is played, and these are said to fail."""

    def played(seed: int, kind: str, less: Less | None = None) -> Report:
        told = [f"{kind} {seed}, {'less' if less else 'whole'}"]
        broken = ["a rule"] if (kind, seed) in failing else []
        return Report(kind, seed, told, broken, ["SUCCEEDED"], [])

    monkeypatch.setattr(chaos, "check", played)
    monkeypatch.setattr("tests.chaos.check.check", played)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["chaos", *arguments])
    monkeypatch.setattr(chaos, "shrink", lambda *_: Less())
    return chaos.main()


def test_with_ten_nights_a_day_is_played_and_one_that_fails_ends_red(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad(monkeypatch, ("day", 6))
    assert run(monkeypatch, "--runs", "20", "--seed", "5") == 1
    said = capsys.readouterr().out
    assert "20 nights from seed 5: 0 failed." in said
    assert "2 days from seed 5: 1 failed." in said
    assert "Seed 6 (day) fails:" in said
    assert "day 6, less" in said
    assert "-m tests.chaos --only day --seed 6 --runs 1 --verbose" in said


def test_one_kind_can_be_played_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad(monkeypatch, ("night", 1))
    assert run(monkeypatch, "--only", "day", "--runs", "3") == 0
    said = capsys.readouterr().out
    assert "3 days from seed 1: 0 failed." in said
    assert "night" not in said


def test_processes_of_their_own_play_the_same() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--runs", "2", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert "2 nights from seed 1: 0 failed.\n1 days from seed 1: 0 failed." in done.stdout
