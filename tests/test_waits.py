"""Each wait in exact figures, and why so long; tests/test_pacing.py has what they come to."""

import pytest

from handler.decisions import pacing
from handler.decisions.pacing import Budget
from handler.documents.document import Look, Wait

FULL = Budget(3600)
LITTLE = "{} of 3600 requests per hour left"
GUESS = "no progress to go by"
STEADY = [200, 200, 200]  # what earlier ones took: looked at after 185 s, believed until 232 s


def test_a_wait_has_the_reason_for_it_and_for_its_length() -> None:
    assert Wait(5).because("locked") == "locked"
    assert Wait(5, "45 s more").because("locked") == "locked; 45 s more"
    assert Wait(5, "45 s more").because("") == "45 s more"
    assert not Wait(5).due


def test_a_fifth_of_the_requests_is_left_to_others() -> None:
    assert (Budget().kept, Budget().spare, Budget().sharing) == (720, 2880, 1)
    assert (Budget(1000).spare, Budget(0).spare) == (280, -720)
    assert Budget(1000, 2000, kept_percent=30).spare == 400


def test_requests_come_back_evenly_over_the_hour() -> None:
    assert Budget().refill_s(1) == 1
    assert Budget(per_hour=7200).refill_s(100) == 50
    assert Budget().refill_s(0) == Budget().refill_s(-5) == 0


@pytest.mark.parametrize(
    ("left", "sharing", "seconds"),
    [
        (7200, 1, 0),  # more than there should be
        (2400, 240, 3.75),  # half empty, once each of them has asked once: 960 s / 2 ** 8
        (720, 100, 400),  # at the floor all ask just as often as it refills
        (0, 100, 400 + 720),  # and below it only after it has refilled
    ],
)
def test_the_shortest_wait_that_leaves_enough_for_all(
    left: int, sharing: int, seconds: float
) -> None:
    assert Budget(left, sharing=sharing).least_s() == seconds


def test_five_start_in_a_second() -> None:
    assert [pacing.start_s(position, 100) for position in (0, 4, 5, 99)] == [0, 0, 1, 19]
    assert [pacing.start_s(position, 100) for position in (100, 101)] == [0, 0]


@pytest.mark.parametrize(
    ("budget", "jitter", "seconds"),
    [
        (Budget(1020, sharing=100), 0, None),  # three for each of them
        (Budget(1019, sharing=100), 0, 30),
        (Budget(720, sharing=100), 0, 300),
        (Budget(720, sharing=100), 1, 360),
        (Budget(720, sharing=1000), 0, 1440),  # half of all there ever is
        (Budget(1500, 7000, sharing=100), 0, 103),  # 200 at 1.94 a second
    ],
)
def test_the_first_ones_start_when_their_requests_are_there(
    budget: Budget, jitter: float, seconds: int | None
) -> None:
    wait = pacing.before_start(budget, jitter)
    assert (wait and wait.seconds) == seconds
    assert not wait or wait.why == f"{budget.left} of {budget.per_hour} requests per hour left"


@pytest.mark.parametrize(
    ("requests", "budget", "jitter", "seconds"),
    [
        (10, Budget(730, sharing=100), 1, None),
        (10, Budget(729), 0, 30),
        (100, Budget(720), 0, 100),
        (2, Budget(720, sharing=100), 0.5, 2 + 150),  # a listing and two deletions for each
        (2, Budget(720, sharing=100), 1, 2 + 300),
        (5000, Budget(720), 0, 1440),  # half of all there ever is
        (100, Budget(1400, 7000), 0, 52),  # at 1.94 a second
    ],
)
def test_deletions_wait_until_their_requests_are_there(
    requests: int, budget: Budget, jitter: float, seconds: int | None
) -> None:
    wait = pacing.before_deleting(requests, budget, jitter)
    assert (wait and wait.seconds) == seconds
    assert not wait or wait.why == f"{budget.left} of {budget.per_hour} requests per hour left"


@pytest.mark.parametrize(
    ("elapsed_s", "holder", "wait"),
    [
        (0, None, Wait(45)),
        (100, None, Wait(60)),
        (1000, None, Wait(120)),
        (10, Look(100, 0), Wait(60)),  # as long as the holder has been at it
        (100, Look(10, 0), Wait(60)),
        (10, Look(100, 4), Wait(60)),  # too little to go by
        (10, Look(100, 5), Wait(120, "if that goes on so, for 32 min more")),
        (10, Look(100, 50), Wait(100, "if that goes on so, for 100 s more")),
        (10, Look(3600, 50), Wait(120, "if that goes on so, for 60 min more")),
        (0, Look(119, 50), Wait(119, "if that goes on so, for 119 s more")),
        (0, Look(120, 50), Wait(120, "if that goes on so, for 2 min more")),
        (0, Look(1000, 99), Wait(20, "if that goes on so, for 10 s more")),
        (500, Look(1000, 99), Wait(50, "if that goes on so, for 10 s more")),
        (5000, Look(1000, 99), Wait(120, "if that goes on so, for 10 s more")),
        (10, Look(100, 100), Wait(60)),  # done, and yet there
    ],
)
def test_how_long_a_lock_is_waited_for(elapsed_s: int, holder: Look | None, wait: Wait) -> None:
    assert pacing.while_locked(elapsed_s, FULL, 0, holder) == wait


@pytest.mark.parametrize(
    ("left_s", "why"),
    [
        (3600, "for 60 min more"),
        (3599, "for about 60 min more, which is too long: it is given up in 60 min"),
        (90, "for about 60 min more, which is too long: it is given up in 90 s"),
    ],
)
def test_a_lock_that_outlasts_its_deadline_is_said_at_once(left_s: int, why: str) -> None:
    wait = pacing.while_locked(10, FULL, 0, Look(3600, 50), left_s)
    assert wait == Wait(120, f"if that goes on so, {why}")


def test_two_ends_of_an_estimate_are_named_in_their_order() -> None:
    """Two looks may differ by 5 per cent."""
    looks = [Look(50, 47), Look(60, 60)]
    wait = pacing.while_creating(60, looks, (), FULL, 0)
    assert wait.why == "if it goes on so, done after 100 to 104 s"


def test_a_fleet_that_waits_for_locks_does_not_ask_in_step() -> None:
    waits = [pacing.while_locked(1000, FULL, jitter).seconds for jitter in (0, 0.5, 1)]
    assert waits == [120, 132, 144]


def test_only_a_wait_that_the_rate_limit_lengthens_is_put_down_to_it() -> None:
    # At the floor, four requests of each: 120 s for 30 of them.
    assert pacing.while_locked(1000, Budget(720, sharing=30), 0) == Wait(120)
    assert pacing.while_locked(1000, Budget(720, sharing=40), 0) == Wait(160, LITTLE.format(720))


def test_trouble_is_waited_for_longer_each_time_up_to_three_minutes() -> None:
    attempts = (0, 1, 2, 6, 7, 10_000)
    seconds = [pacing.in_trouble(attempt, 0).seconds for attempt in attempts]
    assert seconds == [30, 39, 51, 145, 180, 180]
    assert pacing.in_trouble(0, 1).seconds == 36


def test_how_long_after_a_refusal_by_ssm() -> None:
    attempts = (0, 1, 5, 6, 7)
    seconds = [pacing.when_rate_limited(attempt, Budget(), 0).seconds for attempt in attempts]
    assert seconds == [3, 8, 28, 33, 33]
    assert [pacing.when_rate_limited(1, Budget(), jitter).seconds for jitter in (0.5, 1)] == [
        13,
        18,
    ]


@pytest.mark.parametrize(
    ("left", "jitter", "seconds"),
    [(720, 0, 39), (720, 1, 47 + 100), (0, 0, 720), (0, 0.5, 720 + 50)],
)
def test_how_long_after_a_refusal_by_hetzner(left: int, jitter: float, seconds: int) -> None:
    wait = pacing.when_rate_limited(1, Budget(left, sharing=100), jitter)
    assert wait == Wait(seconds, LITTLE.format(left))


@pytest.mark.parametrize(
    ("elapsed_s", "jitter", "seconds"),
    [
        (0, 0, 38),
        (0, 0.5, 42),
        (0, 1, 47),
        (100, 0, 22),
        (200, 0, 40),
        (10_000, 0, 900),
        (10_000, 1, 918),
    ],
)
def test_without_an_estimate_a_snapshot_is_looked_at_ever_more_rarely(
    elapsed_s: int, jitter: float, seconds: int
) -> None:
    assert pacing.while_creating(elapsed_s, (), (), FULL, jitter) == Wait(seconds, GUESS)


@pytest.mark.parametrize(
    ("looks", "due"),
    [
        ([Look(40, 0), Look(100, 0), Look(200, 0)], True),
        ([Look(100, 0), Look(200, 0)], False),
        ([Look(40, 0), Look(100, 0), Look(150, 0)], False),  # the last one was the listing
    ],
)
def test_after_three_looks_that_told_nothing_every_second_one_is_the_listing(
    looks: list[Look], due: bool
) -> None:
    assert pacing.while_creating(200, looks, (), FULL, 0) == Wait(40, GUESS, due)


def believed(seconds: int, at_least: int, at_most: int, due: bool = True) -> Wait:
    return Wait(seconds, f"if it goes on so, done after {at_least} to {at_most} s", due)


@pytest.mark.parametrize(
    ("looks", "wait"),
    [
        ([Look(60, 40)], believed(91, 146, 150)),
        ([Look(60, 41)], believed(88, 143, 146)),
        ([Look(60, 99)], believed(10, 60, 61)),
        ([Look(60, 100)], Wait(10, "if it goes on so, done after about 60 s", True)),
        ([Look(1, 0), Look(60, 40)], believed(91, 146, 150)),
        # Believed for three times the time so far; just enough for the second one.
        ([Look(60, 10)], believed(180, 545, 600, due=False)),
        ([Look(30, 12), Look(60, 25)], believed(180, 231, 240)),
        # In steps of 25, until one look is between them: 17 per cent after the earliest.
        ([Look(60, 25)], believed(81, 120, 240, due=False)),
        ([Look(20, 25), Look(60, 75)], believed(11, 60, 80, due=False)),
        ([Look(30, 20), Look(60, 50)], Wait(22, GUESS)),  # it has not gone on evenly
        ([Look(30, 20), Look(60, 25)], Wait(22, GUESS)),
    ],
)
def test_how_long_a_progress_is_believed(looks: list[Look], wait: Wait) -> None:
    assert pacing.while_creating(60, looks, (), FULL, 0) == wait


def test_a_snapshot_later_than_its_progress_said_is_looked_at_soon() -> None:
    why = "later than its progress said"
    assert pacing.while_creating(400, [Look(60, 40)], (), FULL, 0) == Wait(20, why)
    assert pacing.while_creating(100, [Look(60, 40)], (), FULL, 0) == Wait(10, why)


def known(seconds: int, took: str, count: int = 3, due: bool = False) -> Wait:
    return Wait(seconds, f"{count} earlier took about {took}", due)


@pytest.mark.parametrize(
    ("earlier_s", "elapsed_s", "wait"),
    [
        # A little earlier than usual: the less so, the more alike they were and the more there are.
        ([200], 0, known(176, "3 min", count=1)),
        (STEADY, 0, known(185, "3 min")),
        ([100, 200, 400], 0, known(119, "3 min")),
        ([50, 200, 800], 0, known(104, "3 min")),
        ([0], 0, known(10, "1 s", count=1)),
        # Until nearly then, and from there in steps of how much they vary.
        (STEADY, 166, known(19, "3 min")),
        (STEADY, 167, known(10, "3 min")),
        ([100, 100, 100], 89, known(10, "100 s")),
        ([100, 100, 100], 91, known(10, "100 s", due=True)),
        ([400, 400, 400], 400, known(24, "7 min", due=True)),
        ([100, 200, 400], 200, known(40, "3 min", due=True)),
        # Long after, they tell nothing.
        (STEADY, 232, known(14, "3 min", due=True)),
        (STEADY, 233, Wait(47, GUESS)),
    ],
)
def test_the_times_of_earlier_snapshots_say_when_to_look(
    earlier_s: list[int], elapsed_s: int, wait: Wait
) -> None:
    assert pacing.while_creating(elapsed_s, (), earlier_s, FULL, 0) == wait


@pytest.mark.parametrize(
    ("look", "wait"),
    [
        (Look(60, 40), believed(91, 146, 150)),
        (Look(60, 26), believed(172, 222, 231)),
        (Look(60, 20), known(125, "3 min")),  # much longer than ever: not at once
        (Look(233, 90), believed(27, 256, 259)),  # it has taken that long
    ],
)
def test_progress_counts_for_more_than_earlier_ones_unless_it_says_much_longer(
    look: Look, wait: Wait
) -> None:
    assert pacing.while_creating(look.elapsed_s, [look], STEADY, FULL, 0) == wait
