"""Retention: the grammar, restic's answer on any history, and what is never deleted."""

import json
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handler.decisions.retention import plan
from handler.documents.policy import (
    COUNTED,
    PERIODS,
    WITHIN,
    BadPolicy,
    Duration,
    Policy,
    Rule,
    parse_policy,
)
from tests import restic

START = datetime(2026, 1, 1, 2, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
LONGEST = (
    "last1-hourly1-daily1-weekly1-monthly1-yearly1-within1y-withinhourly1m-withindaily1d"
    "-withinweekly1h-withinmonthly1y-withinyearly999999999y"
)


@dataclass(frozen=True)
class Image:
    id: int
    created: datetime
    status: str = "available"
    protected: bool = False
    size_gb: float | None = None
    made_of: int | None = None

    @property
    def is_of_another(self) -> bool:
        return self.made_of is not None


def nights(count: int, first: datetime = START) -> list[Image]:
    return [Image(nr, first + timedelta(days=nr)) for nr in range(count)]


def of_times(times: Sequence[datetime]) -> list[Image]:
    """Of equal times restic takes the first for the newer, as we do the one with the higher id."""
    return [Image(-nr, time) for nr, time in enumerate(times)]


def kept(policy: str, images: Sequence[Image]) -> list[int]:
    return sorted(d.snapshot.id for d in plan(parse_policy(policy), images) if d.keep)


def reasons(policy: str, images: Sequence[Image]) -> list[str]:
    return [decision.reason for decision in plan(parse_policy(policy), images)]


counts = st.none() | st.integers(1, 40)
durations = st.builds(
    Duration, st.integers(0, 3), st.integers(0, 13), st.integers(0, 40), st.integers(0, 50)
).filter(lambda duration: duration != Duration())
limits = {**dict.fromkeys(COUNTED, counts), **dict.fromkeys(WITHIN, durations)}
count_limits = st.fixed_dictionaries({}, optional=dict.fromkeys(COUNTED, counts))
all_limits = st.fixed_dictionaries({}, optional=limits)


def policy_of(chosen: dict[str, int | Duration | None]) -> Policy:
    return Policy(tuple(Rule(name, chosen[name]) for name in PERIODS if name in chosen))


policies = all_limits.filter(bool).map(policy_of)
count_policies = count_limits.filter(bool).map(policy_of)
# Steps of all sizes back from a time: several in an hour, nights, gaps of months, and equal times.
steps = st.sampled_from([0, 0, 1, 7, 59, 60, 61, 600, 1439, 1440, 1440, 1440, 10080, 44640, 525600])
times = st.tuples(st.integers(0, 3_000_000), st.lists(steps, max_size=60)).map(
    lambda steps: [
        START - timedelta(minutes=steps[0] + sum(steps[1][:nr])) for nr in range(len(steps[1]))
    ]
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Image]:
    images = [
        replace(
            image,
            status=draw(st.sampled_from(["available", "available", "creating", "unavailable"])),
            protected=draw(st.sampled_from([False, False, True])),
        )
        for image in of_times(draw(times))
    ]
    return draw(st.permutations(images))


# The grammar


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("last3", "last3"),
        ("monthly6-daily7-weekly4", "daily7-weekly4-monthly6"),
        ("within30d-yearlyunlimited-last3", "last3-yearlyunlimited-within30d"),
        ("withindaily7h2d5m1y", "withindaily1y5m2d7h"),
        ("within0y30d", "within30d"),
        ("daily07", "daily7"),
        (LONGEST, LONGEST),
    ],
)
def test_a_policy_is_printed_in_one_form(text: str, canonical: str) -> None:
    assert str(parse_policy(text)) == canonical
    assert parse_policy(canonical) == parse_policy(text)


@given(policies)
def test_what_is_printed_is_read_as_the_same_policy(policy: Policy) -> None:
    assert parse_policy(str(policy)) == policy


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not a retention rule"),
        ("lots", "'lots' is not a retention rule"),
        ("3", "'3' is not a retention rule"),
        ("daily7-7d", "'7d' is not a retention rule"),
        ("daily7-", "'' is not a retention rule"),
        ("-daily7", "'' is not a retention rule"),
        ("daily7--weekly4", "'' is not a retention rule"),
        ("daily7 weekly4", "'daily7 weekly4' needs a number (up to 9 digits) or unlimited"),
        (" daily7", "' daily7' is not a retention rule"),
        ("LAST3", "'LAST3' is not a retention rule"),
        ("keep-daily7", "'keep' is not a retention rule"),
        ("last", "'last' needs a number"),
        ("last-1", "'last' needs a number"),
        ("last3\n", "'last3\\n' needs a number"),
        ("last٣", "'last٣' needs a number"),
        ("last1234567890", "'last1234567890' needs a number (up to 9 digits)"),
        ("dailyUnlimited", "'dailyUnlimited' needs a number (up to 9 digits) or unlimited"),
        ("last0", "'last0' keeps nothing"),
        ("daily3-weekly00", "'weekly00' keeps nothing"),
        ("daily3-daily4", "'daily4' repeats the rule daily"),
        ("within", "'within' needs a duration such as 30d or 1y5m7d2h"),
        ("within30", "'within30' needs a duration"),
        ("within4w", "'within4w' needs a duration"),
        ("within1d2d", "'within1d2d' needs a duration"),
        ("withindailyunlimited", "'withindailyunlimited' needs a duration"),
        ("withindaily0d0h", "'withindaily0d0h' keeps nothing"),
    ],
)
def test_a_policy_that_means_nothing_is_refused_with_an_example(text: str, problem: str) -> None:
    with pytest.raises(BadPolicy) as refusal:
        parse_policy(text)
    assert str(refusal.value).startswith(problem)
    assert str(refusal.value).endswith("; write for example daily7-weekly4-monthly6")


def test_a_refusal_of_a_text_too_long_for_a_label_says_how_long_a_label_can_be() -> None:
    with pytest.raises(BadPolicy, match=r"^'x{40}' .*\(a label holds at most 63 characters\)$"):
        parse_policy("x" * 64)
    with pytest.raises(BadPolicy, match=r"monthly6$"):
        parse_policy("x" * 63)


@given(st.text() | st.text("dailywthn0179-ymuk", max_size=80))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    try:
        policy = parse_policy(text)
    except BadPolicy:
        return
    assert policy.rules
    assert parse_policy(str(policy)) == policy


# restic's answer


def test_the_golden_file_is_what_restic_keeps() -> None:
    assert restic.GOLDEN.read_text() == restic.golden()


@pytest.mark.parametrize("policy", restic.POLICIES)
def test_a_policy_keeps_of_the_golden_history_what_it_kept_before(policy: str) -> None:
    golden = json.loads(restic.GOLDEN.read_text())
    images = of_times([datetime.fromisoformat(text) for text in golden["history"]])
    stays = set(kept(policy, images))
    assert "".join(".#"[image.id in stays] for image in images) == golden[policy]


@given(policies, times)
@example(parse_policy("within1m"), [datetime(2026, 3, 31 - nr, tzinfo=UTC) for nr in range(30)])
@example(parse_policy("withindaily1d"), [START - timedelta(hours=nr) for nr in range(2)])
def test_any_policy_keeps_of_any_history_what_restic_keeps(
    policy: Policy, history: list[datetime]
) -> None:
    stays = {-nr for nr in restic.kept(str(policy), history)}
    assert set(kept(str(policy), of_times(history))) == stays


def test_restics_example_of_twelve_sundays() -> None:
    sundays = [
        Image(nr, datetime(2019, 9, 1, 11, tzinfo=UTC) + timedelta(7 * nr)) for nr in range(12)
    ]
    assert kept("daily4", sundays) == [8, 9, 10, 11]


def test_restics_example_of_a_hundred_years_of_daily_backups() -> None:
    decisions = plan(
        parse_policy("daily7-weekly5-monthly12-yearly75"),
        nights(36524, datetime(1920, 1, 1, 2, tzinfo=UTC)),
    )
    stays = [decision for decision in decisions if decision.keep]
    by_rule = {name: [d for d in stays if name in d.reason] for name in COUNTED}
    assert {name: len(found) for name, found in by_rule.items() if found} == {
        "daily": 7, "weekly": 5, "monthly": 12, "yearly": 75,
    }  # fmt: skip
    assert all(d.snapshot.created.isoweekday() == 7 for d in by_rule["weekly"][1:])
    assert all((d.snapshot.created + timedelta(1)).day == 1 for d in by_rule["monthly"][1:])
    assert all(f"{d.snapshot.created:%m-%d}" == "12-31" for d in by_rule["yearly"][1:])


def test_restics_example_of_a_policy_for_irregular_backups() -> None:
    policy = "withindaily7d-withinweekly1m-withinmonthly1y-withinyearly75y"
    gap = range(701, 712)  # 3 to 13 December
    images = [image for image in nights(720) if image.id not in gap]
    days = [f"{START + timedelta(nr):%Y-%m-%d}" for nr in kept(policy, images)]
    assert days == [
        "2026-01-01",  # the oldest
        "2026-12-31",
        *(f"2027-{month:02}-{monthrange(2027, month)[1]}" for month in range(1, 11)),
        *("2027-11-28", "2027-11-30", "2027-12-02"),
        *(f"2027-12-{day}" for day in range(15, 22)),
    ]


def test_periods_without_a_snapshot_do_not_use_up_a_count() -> None:
    images = [Image(nr, START + timedelta(days=30 * nr)) for nr in range(10)]
    assert kept("daily3", images) == [7, 8, 9]


def test_the_oldest_stays_while_a_count_is_not_used_up() -> None:
    morning = [Image(nr, START + timedelta(minutes=nr)) for nr in range(3)]
    assert reasons("daily3", morning) == [
        "daily 1 of 3 (2026-01-01)", "no rule keeps it", "oldest, daily not used up",
    ]  # fmt: skip
    assert kept("dailyunlimited", morning) == [0, 2]
    assert kept("daily1", morning) == [2]
    assert reasons("withindaily1d", morning)[2] == "oldest, daily within 1d of the newest"


def test_weeks_are_those_of_iso() -> None:
    new_year = nights(8, datetime(2026, 12, 28, 2, tzinfo=UTC))
    assert reasons("weekly2", new_year)[:2] == [
        "weekly 1 of 2 (2027-W01)",
        "weekly 2 of 2 (2026-W53)",
    ]


def test_a_month_before_a_day_that_month_lacks_runs_over_as_in_restic() -> None:
    march = nights(31, datetime(2026, 3, 1, 2, tzinfo=UTC))
    assert kept("within1m", march) == list(range(3, 31))  # 31 February is 3 March, exclusive


def test_a_duration_longer_than_time_keeps_everything() -> None:
    policy = "within999999999y999999999m999999999d999999999h"
    assert kept(policy, nights(3)) == [0, 1, 2]
    assert kept("within2024y11m-last1", nights(3)) == [0, 1, 2]


@given(policies, times, st.integers(-14, 14))
@example(
    parse_policy("daily9"), [START, START - timedelta(hours=1), START - timedelta(hours=3)], -2
)
def test_a_time_zone_makes_no_difference(
    policy: Policy, history: list[datetime], hours: int
) -> None:
    there = timezone(timedelta(hours=hours))
    moved = of_times([time.astimezone(there) for time in history])
    assert kept(str(policy), moved) == kept(str(policy), of_times(history))


# Decisions are values


def test_a_reason_names_every_rule_that_keeps_a_snapshot() -> None:
    policy = "last3-daily4-weekly2-monthly6-yearlyunlimited-within1d1h-withinhourly1d"
    assert reasons(policy, nights(36)) == [
        "last 1 of 3, daily 1 of 4 (2026-02-05), weekly 1 of 2 (2026-W06), "
        "monthly 1 of 6 (2026-02), yearly 1, unlimited (2026), within 1d1h of the newest, "
        "hourly within 1d of the newest (2026-02-05T02)",
        "last 2 of 3, daily 2 of 4 (2026-02-04), within 1d1h of the newest",
        "last 3 of 3, daily 3 of 4 (2026-02-03)",
        "daily 4 of 4 (2026-02-02)",
        "weekly 2 of 2 (2026-W05)",
        "monthly 2 of 6 (2026-01)",
        *["no rule keeps it"] * 29,
        "oldest, monthly not used up, oldest, yearly not used up",
    ]


@given(policies, fleets())
def test_each_snapshot_is_decided_on_once_newest_first_with_a_reason(
    policy: Policy, images: list[Image]
) -> None:
    decisions = plan(policy, images)
    newest_first = sorted(images, key=lambda image: (image.created, image.id), reverse=True)
    assert [decision.snapshot for decision in decisions] == newest_first
    assert all(decision.reason for decision in decisions)


@given(policies, fleets(), st.randoms())
def test_the_order_of_the_input_does_not_matter(
    policy: Policy, images: list[Image], random: Random
) -> None:
    shuffled = list(images)
    random.shuffle(shuffled)
    assert plan(policy, shuffled) == plan(policy, images)


@given(policies, fleets())
def test_planning_again_on_what_was_kept_deletes_nothing(
    policy: Policy, images: list[Image]
) -> None:
    stays = [decision.snapshot for decision in plan(policy, images) if decision.keep]
    assert all(decision.keep for decision in plan(policy, stays))


@given(all_limits.filter(bool), all_limits, fleets())
def test_a_wider_policy_never_deletes_more(
    narrow: dict[str, int | Duration | None],
    more: dict[str, int | Duration | None],
    images: list[Image],
) -> None:
    wide = {name: wider(narrow.get(name, 0), more.get(name, 0)) for name in {*narrow, *more}}
    goes = {d.snapshot.id for d in plan(policy_of(wide), images) if not d.keep}
    assert goes <= {d.snapshot.id for d in plan(policy_of(narrow), images) if not d.keep}


def wider(one: int | Duration | None, other: int | Duration | None) -> int | Duration | None:
    if one is None or other is None:
        return None
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    units = [
        sum(getattr(limit, unit) for limit in (one, other) if isinstance(limit, Duration))
        for unit in ("years", "months", "days", "hours")
    ]
    return Duration(*units)


def test_pruning_night_by_night_ends_where_pruning_once_does() -> None:
    policy, stays = parse_policy("daily7-weekly4-monthly6"), list[Image]()
    for night in nights(365):
        stays = [d.snapshot for d in plan(policy, [*stays, night]) if d.keep]
    assert sorted(image.id for image in stays) == kept(str(policy), nights(365))


# What is never deleted


@given(all_limits.map(policy_of), fleets())
def test_the_newest_good_one_always_stays(policy: Policy, images: list[Image]) -> None:
    good = [
        decision for decision in plan(policy, images) if decision.snapshot.status == "available"
    ]
    assert all(decision.keep for decision in good[:1])


def test_the_newest_good_one_stays_even_if_no_rule_keeps_it() -> None:
    newest, *others = plan(Policy(()), [*nights(3), Image(9, NOW, status="creating")])[1:]
    assert (newest.snapshot.id, newest.keep, newest.reason) == (2, True, "the newest good one")
    assert not any(decision.keep for decision in others)


@given(policies, fleets())
def test_only_available_snapshots_count_and_only_those_without_protection_go(
    policy: Policy, images: list[Image]
) -> None:
    stays = {decision.snapshot.id for decision in plan(policy, images) if decision.keep}
    assert {image.id for image in images if image.protected or image.status != "available"} <= stays
    good = [replace(image, protected=False) for image in images if image.status == "available"]
    by_rule = set(kept(str(policy), good))
    assert by_rule <= stays
    assert (
        stays - by_rule
        == {image.id for image in images if image.protected or image.status != "available"}
        - by_rule
    )


def test_what_is_not_available_stays_and_does_not_count() -> None:
    images = [*nights(3), Image(3, NOW, "creating"), Image(4, NOW, "unavailable")]
    assert reasons("last1", images) == [
        "not available but unavailable", "not available but creating", "last 1 of 1",
        "no rule keeps it", "no rule keeps it",
    ]  # fmt: skip


def test_what_is_protected_stays_and_counts() -> None:
    images = nights(5)
    images[0] = replace(images[0], protected=True)
    images[4] = replace(images[4], protected=True)
    assert reasons("last2", images) == [
        "last 1 of 2", "last 2 of 2", "no rule keeps it", "no rule keeps it", "protected",
    ]  # fmt: skip


def test_what_is_from_the_future_stays_and_does_not_count() -> None:
    images = [
        *nights(3),
        Image(8, NOW + timedelta(seconds=1)),
        Image(9, NOW + timedelta(days=9999)),
    ]
    decisions = plan(parse_policy("last1-within1d"), images, now=NOW)
    assert [decision.reason for decision in decisions] == [
        "created in the future", "created in the future",
        "last 1 of 1, within 1d of the newest", "no rule keeps it", "no rule keeps it",
    ]  # fmt: skip
    assert [decision.keep for decision in decisions] == [True, True, True, False, False]


def test_what_was_made_of_another_server_stays_and_does_not_count() -> None:
    images = [*nights(2), Image(8, NOW, made_of=7), Image(9, START, made_of=7)]
    decisions = plan(parse_policy("last1"), images, now=NOW)
    another = "made of server 7, whatever its labels say"
    assert [d.reason for d in decisions] == [another, "last 1 of 1", another, "no rule keeps it"]


def test_a_snapshot_of_this_very_moment_is_not_from_the_future() -> None:
    assert [d.reason for d in plan(parse_policy("last1"), [Image(1, NOW)], now=NOW)] == [
        "last 1 of 1"
    ]


@pytest.mark.parametrize(
    ("most", "words"), [(0, "0 deletions"), (1, "1 deletion"), (5, "5 deletions")]
)
def test_one_run_deletes_only_so_many_and_the_oldest_first(most: int, words: str) -> None:
    decisions = plan(parse_policy("last1"), nights(20), most_deletions=most)
    assert [d.snapshot.id for d in decisions if not d.keep] == list(reversed(range(most)))
    over = f"over this run's limit of {words}, next time"
    assert [d.reason for d in decisions[1 : 20 - most]] == [over] * (19 - most)


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    policy = parse_policy("last1")
    for most in (3, 4, 99):
        assert plan(policy, nights(4), most_deletions=most) == plan(policy, nights(4))


@given(count_policies, fleets(), st.integers(1, 5))
def test_a_limit_only_delays_what_a_count_deletes(
    policy: Policy, images: list[Image], most: int
) -> None:
    stays: list[Image] = images
    for _ in range(len(images) + 1):
        decisions = plan(policy, stays, most_deletions=most)
        assert sum(not decision.keep for decision in decisions) <= most
        stays = [decision.snapshot for decision in decisions if decision.keep]
    assert sorted(image.id for image in stays) == kept(str(policy), images)


def test_a_decision_says_what_kind_it_is() -> None:
    images = [*nights(4), Image(4, NOW, "creating"), Image(5, NOW + timedelta(1))]
    images[2] = replace(images[2], protected=True)
    decisions = plan(parse_policy("last1"), images, now=NOW, most_deletions=1)
    kinds = ["exempt", "exempt", "rule", "protected", "postponed", "no rule"]
    assert [decision.kind for decision in decisions] == kinds
    assert [decision.keep for decision in decisions] == [kind != "no rule" for kind in kinds]


def test_no_snapshots_make_no_plan() -> None:
    assert plan(parse_policy("last1-daily1-within1d-withindaily1d"), [], now=NOW) == []
