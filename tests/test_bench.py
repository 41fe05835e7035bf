"""The benchmark: the same for a seed, every way does the whole work, none beats the bound."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from bench import plot
from bench.cold import ColdStart
from bench.figures import groups, line, p95
from bench.night import WAYS, Night, Way, play
from bench.nights import play_all
from bench.promises import promises
from bench.pure import scaled
from bench.report import BEGIN, END, Report
from local.simulator import Clock, World
from local.simulator.__main__ import _parser as simulator_options
from local.simulator.random_fleet import KEPT, NIGHTS, add_random_fleet, draw
from local.virtual.stage import START

SERVERS, SEED = 5, 1
COLD = ColdStart(import_s=0.3, client_s=0.05)


@pytest.fixture(scope="module")
def nights() -> dict[Way, Night]:
    return {way: play(way, SERVERS, SEED) for way in WAYS}


def test_the_same_seed_gives_the_same_figures(nights: dict[Way, Night]) -> None:
    for way, night in nights.items():
        again = play(way, SERVERS, SEED)
        # Values measured in real time differ between runs.
        real = {"computing_s": night.computing_s, "rss_grown_kb": night.rss_grown_kb}
        assert replace(again, **real) == night


def test_another_seed_is_another_night(nights: dict[Way, Night]) -> None:
    assert play("ours", SERVERS, SEED + 1).makespan_s != nights["ours"].makespan_s


def test_every_way_ends_with_exactly_one_snapshot_of_each_server(nights: dict[Way, Night]) -> None:
    for night in nights.values():
        assert (night.failed, night.doubled, len(night.samples)) == (0, 0, SERVERS)


def test_no_way_is_faster_than_the_bound_or_knows_before_it_is_done(
    nights: dict[Way, Night],
) -> None:
    for night in nights.values():
        assert night.makespan_s > night.bound.seconds
        assert min(sample.overshoot_s for sample in night.samples) >= 0


def test_who_asks_every_five_seconds_asks_more(nights: dict[Way, Night]) -> None:
    for way in ("script", "naive"):
        assert nights[way].requests > 2 * nights["ours"].requests
        polls = [median(s.polls for s in nights[each].samples) for each in (way, "ours")]
        assert polls[0] > 3 * polls[1]
    assert nights["naive"].transitions > 2 * nights["ours"].transitions


def test_a_server_one_after_the_other_takes_as_long_as_all_of_them_together(
    nights: dict[Way, Night],
) -> None:
    together_s = sum(traits.snapshot_s for traits in draw(SEED, SERVERS))
    assert nights["script"].makespan_s > together_s > nights["ours"].makespan_s


def test_transitions_are_counted_as_aws_bills_them() -> None:
    night = play("ours", 1, SEED)
    # The run's own: ListServers, ServersListed?, SnapshotServers, SummariseRun, RunDone?,
    # RunCompleted. The child's: its start, WaitToStart, ServerDone, and for each task the choice
    # after it.
    tasks = night.invocations - 3  # without StartRun, ListServers, SummariseRun
    waits = night.transitions - (6 + 3 + 2 * tasks)
    [sample] = night.samples
    assert 1 <= waits <= tasks
    assert tasks >= 2 + sample.polls - 1


def test_a_random_fleet_is_the_beginning_of_a_larger_one_and_has_its_history() -> None:
    assert list(draw(7, 5)) == list(draw(7, 50))[:5]
    project = World(Clock(START)).project("default")
    fleet = add_random_fleet(project, seed=7, count=40)
    for server_id, traits in fleet.items():
        images = [i for i in project.images.values() if i.created_from == {
            "id": server_id, "name": project.servers[server_id].name}]  # fmt: skip
        made = [a for a in project.actions.values() if a.server_id == server_id and a.image_id]
        expected = (KEPT, NIGHTS) if traits.has_history else (0, 0)
        assert (len(images), len(made)) == expected
    locked = sum(bool(traits.locked_s) for traits in fleet.values())
    assert len(project.lock_holders()) == locked


def test_the_pacing_alone_gives_the_same_figures_as_the_handlers() -> None:
    walked = play("ours", 100, SEED)
    alone = scaled(100, SEED, ms_per_invocation=300)
    assert alone.requests == pytest.approx(walked.requests / 100, rel=0.15)
    assert alone.transitions == pytest.approx(walked.transitions / 100, rel=0.15)
    assert alone.makespan_s == pytest.approx(walked.makespan_s, rel=0.15)


def test_nights_are_played_in_processes_of_their_own_and_come_in_order() -> None:
    found = play_all(["naive", "ours"], [2, 1], seeds=2, jobs=2)
    assert list(found) == [("ours", 1), ("naive", 1), ("ours", 2), ("naive", 2)]
    assert [night.seed for night in found["ours", 1]] == [1, 2]


def test_a_promise_that_does_not_hold_is_told(nights: dict[Way, Night]) -> None:
    good = replace(nights["ours"], servers=100, failed=0, refused=0)
    bad = replace(good, refused=1, failed=2)
    for night, holds in ((good, True), (bad, False)):
        found = {p.text: p.holds for p in promises([line([night], cold_s=1)], None)}
        assert found["100 servers: no 429"] is holds
        assert found["100 servers: none failed"] is holds


def test_the_95th_percentile_is_one_of_the_values() -> None:
    assert p95([3.0]) == 3.0
    assert p95([float(n) for n in range(1, 101)]) == 95.0


def test_the_report_writes_figures_page_and_the_same_pictures_again(
    nights: dict[Way, Night], tmp_path: Path
) -> None:
    lines = [line([night], cold_s=1) for night in nights.values()]
    by_way = {(way, SERVERS): [night] for way, night in nights.items()}
    known = {SERVERS: groups([nights["ours"]])}
    report = Report(1, COLD, lines, known, by_way, [scaled(20, SEED, 300)])
    report.promises = promises(lines, None)
    report.write_json(tmp_path / "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text())["lines"][0]["servers"] == SERVERS
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    report.write_into(page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| 5 | naive fan-out |" in text
    pictures = plot.draw(lines, tmp_path)
    first = [path.read_bytes() for path in pictures]
    assert first == [path.read_bytes() for path in plot.draw(lines, tmp_path)]
    assert first[0] != first[1]


def test_the_simulator_process_takes_a_random_fleet() -> None:
    assert simulator_options().parse_args(["--fleet", "random:100"]).fleet == "random:100"
    for bad in ("random:", "random:x", "drown:5"):
        with pytest.raises(SystemExit):
            simulator_options().parse_args(["--fleet", bad])
