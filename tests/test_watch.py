"""The watch over days: nights and hourly looks on the simulator, in virtual time.

What went wrong is told by name within an hour of its limit, once, and its end once.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from handler.aws import tokens
from handler.documents.labels import (
    LABEL_ENABLED,
    LABEL_MANAGED_BY,
    LABEL_RESTORE_ID,
    LABEL_SERVER_ID,
    LABEL_THROW_AWAY,
)
from handler.documents.memory import Memory
from handler.triggers import watch_servers
from local.simulator import Fault, Project
from local.simulator.faults import dated, status
from local.virtual.stage import START, Stage

HOUR = 3600.0
FIRST_LOOK = 0.5  # hours after the first night begins


class Days:
    """A stage with nights at 02:00 and a look each hour, and what people were told."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.project = self.stage.project
        self.cloud = self.stage.cloud
        self.db = self.project.add_server("db-1")
        self.web = self.project.add_server("web-1")
        self.answers: list[dict[str, Any]] = []

    def at(self, hours: float, act: Callable[[], Any]) -> None:
        self.stage.loop.spawn(act, after=hours * HOUR)

    def night(self, *days: float, **more: Any) -> None:
        for day in days:
            at = START + timedelta(days=day)
            event = {"scheduled_time": at.isoformat(), **more}
            request = f"{int(day * 100):08x}-0000-4000-8000-000000000000"
            self.at(
                24 * day, lambda event=event, request=request: self.cloud.deliver(event, request)
            )

    def store(self, token: str) -> None:
        self.cloud.tokens[self.stage.parameter] = token
        tokens.parameters.cache_clear()  # it lasts for minutes, of real time

    def look(self) -> None:
        self.answers.append(self.cloud.invoke("WatchServers", {}, 900, None))

    def play(self, hours: float, first_look: float = FIRST_LOOK) -> None:
        """All that was arranged, with a look each hour until then."""
        for hour in range(int(hours - first_look) + 1):
            self.at(first_look + hour, self.look)
        self.stage.play()
        assert self.cloud.surprises == []

    @property
    def told(self) -> list[tuple[float, str]]:
        """The hour and the subject of each message of the watch."""
        return [
            (i.started / HOUR, m["Subject"].removeprefix("hetzner-snapshots: "))
            for i in self.cloud.invocations
            if i.function == "WatchServers"
            for m in i.messages
        ]

    def tells(self, *expected: tuple[float, str]) -> None:
        """Exactly this, each within an hour of its time."""
        assert [subject for _, subject in self.told] == [subject for _, subject in expected]
        for (hour, subject), (due, _) in zip(self.told, expected, strict=True):
            assert due <= hour <= due + 1.1, subject


@pytest.fixture
def days() -> Days:
    return Days()


ALL_CLEAR = "all clear, nothing is overdue any more"
BOTH = "overdue: default/db-1, default/web-1"


def test_a_night_without_a_run_rings_after_the_limit_and_ends_with_the_next_run(
    days: Days,
) -> None:
    days.night(0, 2, 3)
    days.play(80)
    days.tells((26, BOTH), (48, ALL_CLEAR))


def test_runs_that_never_start_again_are_told_once(days: Days) -> None:
    days.night(0)
    days.play(24 * 8)
    days.tells((26, BOTH))
    assert days.answers[-1]["overdue"] == 2


def test_a_server_that_fails_night_after_night_rings_though_the_others_are_fine(
    days: Days,
) -> None:
    days.night(0, 1, 2, 3, 4)
    days.at(20, lambda: days.project.lock(days.db, seconds=60 * HOUR))
    days.play(24 * 5)
    days.tells((26, "overdue: default/db-1"), (96, ALL_CLEAR))


def taken_again(days: Days) -> None:
    days.db.labels[LABEL_ENABLED] = "false"
    days.night(0, 1, 2, 3)
    days.at(52, lambda: days.db.labels.clear())


def test_a_server_that_is_taken_again_counts_at_once(days: Days) -> None:
    taken_again(days)
    days.play(80)
    days.tells((52, "overdue: default/db-1"), (72, ALL_CLEAR))


def test_a_run_of_it_at_once_rings_nobody(days: Days) -> None:
    taken_again(days)
    days.night(52.1 / 24, servers=["db-1"])
    days.play(80)
    assert days.told == []


def test_no_night_at_all_is_told_by_the_time_since_the_first_look(days: Days) -> None:
    days.play(40)
    days.tells((FIRST_LOOK + 26, BOTH))


def test_a_deleted_token_is_told_within_the_hour_and_when_it_is_back(days: Days) -> None:
    days.night(0, 1)
    token = days.cloud.tokens[days.stage.parameter]
    days.at(5, lambda: days.cloud.tokens.pop(days.stage.parameter))
    days.at(9, lambda: days.store(token))
    days.play(24)
    days.tells((5, "overdue: default"), (9, ALL_CLEAR))


def theirs(days: Days) -> str:
    """The token of a project that the stack does not know; it has snapshots of the same owner."""
    other = days.stage.world.project("other")
    server = other.add_server("theirs")
    labels = {LABEL_MANAGED_BY: "hetzner-snapshots", LABEL_SERVER_ID: str(server.id)}
    other.add_snapshot(server, created=START - timedelta(hours=1), labels=labels)
    token = "t" * 64
    other.add_token(token)
    return token


def test_a_token_of_another_project_is_told_and_no_run_takes_it_for_the_right_one(
    days: Days,
) -> None:
    days.night(0, 1, 2)
    token, other = days.cloud.tokens[days.stage.parameter], theirs(days)
    days.at(5, lambda: days.store(other))
    days.at(30, lambda: days.store(token))
    days.play(60)
    # Put right at 30 h, the servers themselves have been late since 26 h.
    days.tells((5, "overdue: default"), (30, BOTH), (48, ALL_CLEAR))
    second = list(days.cloud.executions.values())[1]
    assert (second.status, second.error) == ("FAILED", "Failed")
    assert "had 2 servers on 2026-11-21 06:30Z, and neither server " in second.cause
    assert 'invoke WatchServers with {"forget": "default"}' in second.cause
    assert not [i for i in days.stage.world.project("other").images.values() if i.created > START]


def test_a_server_that_goes_with_its_snapshots_makes_its_project_no_other_one(days: Days) -> None:
    """The oldest one, of which the newest snapshot was: all that the project could be known by."""
    days.night(0, 1)
    event = {"run_id": "by-hand", "new": True, "servers": ["db-1"]}
    days.at(3, lambda: days.cloud.deliver(event, "0" * 8 + "-0000-4000-8000-" + "1" * 12))

    def goes() -> None:
        for image in days.stage.truth.ours(days.db.id):
            days.stage.vanish(image.id)
        days.project.delete_server(days.db)

    days.at(5, goes)
    days.play(30)
    assert days.told == []
    assert [e.status for e in days.cloud.executions.values()] == ["SUCCEEDED"] * 3


def test_a_listing_that_fails_for_a_day_is_told_with_its_reason(days: Days) -> None:
    days.night(0, 1, 2)
    fault = Fault(status(503, "unavailable"), path="/images", times=None)
    days.at(10, lambda: days.stage.world.faults.add(fault))
    days.at(40, days.stage.world.faults.clear)
    days.play(60)
    last_seen = FIRST_LOOK + 9
    days.tells((last_seen + 26, "overdue: default"), (40, BOTH), (48, ALL_CLEAR))
    [message] = [m["Message"] for i in days.cloud.invocations for m in i.messages
                 if m["Subject"].endswith("overdue: default")]  # fmt: skip
    assert "it has not been seen whole since 2026-11-21 11:30Z: " in message
    assert "unavailable" in message


@pytest.mark.parametrize("seconds", [0.0, 1.5])
def test_hourly_runs_that_begin_as_the_watch_looks_hide_nothing_from_it(
    days: Days, seconds: float
) -> None:
    """Both schedules are `rate(1 hour)`, counted from the deploy: they may meet each hour."""
    days.stage.wire.per_page = 6
    days.cloud.environment |= {"FRESHNESS_HOURS": "3", "RETENTION": "hourly4"}
    for server in [days.db, days.web, *(days.project.add_server(f"app-{n}") for n in range(8))]:
        for hour in range(1, 5):
            days.stage.old_snapshot(server, hour / 24)
    days.night(*(hour / 24 for hour in range(6)))
    days.play(6, first_look=seconds / HOUR)
    assert days.told == []


def test_a_weeks_schedule_has_a_limit_of_its_own(days: Days) -> None:
    days.cloud.environment = {"FRESHNESS_HOURS": "194"}
    days.night(0, 7, 21)
    days.play(24 * 21 + 3)
    days.tells((7 * 24 + 194, BOTH), (21 * 24, ALL_CLEAR))


def a_new_server(days: Days) -> None:
    days.at(13, lambda: days.project.add_server("new", created=days.stage.world.clock.now()))


def left_out(days: Days) -> None:
    days.project.add_server("idle", labels={LABEL_ENABLED: "false"})


def a_dry_run(days: Days) -> None:
    days.night(0.5, dry_run=True)


def an_outage(days: Days) -> None:
    fault = Fault(status(503, "unavailable"), times=None)
    days.at(5.2, lambda: days.stage.world.faults.add(fault))
    days.at(6.2, days.stage.world.faults.clear)


def a_long_night(days: Days) -> None:
    """The second night's first try fails after 2.5 hours: for a while 26 hours are over."""
    days.at(23, lambda: days.project.next_action_fails(days.db, times=1, after_seconds=9000))


def a_late_night(days: Days) -> None:
    """Step Functions does not tell which runs are going on, in a long night."""
    a_long_night(days)
    days.at(26.4, lambda: days.cloud.throttle(9))
    days.at(26.6, lambda: days.cloud.throttle(0))


def a_wrong_clock(days: Days) -> None:
    """One answer says that it is tomorrow, one in another look that it was yesterday."""
    for hour, off in ((0.4, -24), (3.4, 24), (9.4, -24)):
        effect = dated(lambda call: None, timedelta(hours=off))
        fault = Fault(effect, "GET", "/images", when="after")
        days.at(hour, lambda fault=fault: days.stage.world.faults.add(fault))


def nothing(days: Days) -> None:
    pass


@pytest.mark.parametrize(
    "also",
    [
        nothing,
        a_new_server,
        left_out,
        a_dry_run,
        an_outage,
        a_wrong_clock,
        a_long_night,
        a_late_night,
    ],
)
@pytest.mark.parametrize("first_night", [0, 0.3])
def test_nobody_is_told_of(days: Days, also: Callable[[Days], None], first_night: float) -> None:
    also(days)
    # The stack may be deployed hours before its first night.
    days.night(first_night, 1, 2)
    days.play(24 * 3)
    assert days.told == []
    assert all(answer["overdue"] == 0 for answer in days.answers)
    assert len(days.answers) >= 72
    metrics = [m for i in days.cloud.invocations if i.function == "WatchServers"
               for m in i.metrics]  # fmt: skip
    assert [m["ServersOverdue"] for m in metrics] == [[0]] * len(days.answers)


def test_one_wrong_clock_ends_nothing_that_was_told(days: Days) -> None:
    days.night(0)
    yesterday = Fault(
        dated(lambda call: None, timedelta(hours=-24)), "GET", "/images", when="after"
    )
    days.at(30, lambda: days.stage.world.faults.add(yesterday))
    days.play(34)
    days.tells((26, BOTH))
    assert days.answers[-1]["overdue"] == 2


def test_a_long_night_would_ring_if_nobody_knew_that_it_goes_on(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the story of the long night tells something."""
    monkeypatch.setattr(watch_servers, "running_projects", lambda *_: frozenset())
    a_long_night(days)
    days.night(0, 1, 2)
    days.play(72)
    days.tells((26, "overdue: default/db-1"), (26.5, ALL_CLEAR))


def a_large_project(days: Days) -> Project:
    """280 pages of snapshots: 14,000, were the pages as long as Hetzner's."""
    days.stage.wire.per_page = 1
    large = days.stage.add_project("large")
    server = large.add_server("large")
    labels = {LABEL_MANAGED_BY: "hetzner-snapshots", LABEL_SERVER_ID: str(server.id)}
    for _ in range(280):
        large.add_snapshot(server, created=START - timedelta(hours=1), labels=labels)
    return large


def test_a_project_of_fourteen_thousand_snapshots_costs_no_other_its_look(days: Days) -> None:
    a_large_project(days)
    # A page takes four seconds: its listing takes longer than the function may.
    days.stage.wire.latency = lambda: 2.0
    days.stage.add_project("zoo").add_server("ape")
    days.play(2.5)
    for answer in days.answers:
        seen = {each["project"]: each["seen"] for each in answer["projects"]}
        assert seen == {"default": True, "large": False, "zoo": True}
        [why] = [each["why"] for each in answer["projects"] if not each["seen"]]
        assert why.startswith("no time left for GET /images")
    for invocation in days.cloud.invocations:
        assert invocation.heard
    # The one that is unseen is first, and has half of the time.
    started = [i for i in days.cloud.invocations if i.function == "WatchServers"]
    assert [m["ServersOverdue"] for i in started for m in i.metrics] == [[0]] * 3


def test_many_projects_that_take_too_long_cost_no_other_its_look(days: Days) -> None:
    a_large_project(days)
    for number in range(6):
        server = days.stage.add_project(f"large-{number}").add_server("large")
        labels = {LABEL_MANAGED_BY: "hetzner-snapshots", LABEL_SERVER_ID: str(server.id)}
        for _ in range(280):
            days.stage.world.project(f"large-{number}").add_snapshot(
                server, created=START - timedelta(hours=1), labels=labels
            )
    days.stage.wire.latency = lambda: 2.0
    days.stage.add_project("zoo").add_server("ape")
    days.play(12)
    for number, answer in enumerate(days.answers):
        seen = {each["project"] for each in answer["projects"] if each["seen"]}
        # One that is new among many has its turn within as many hours.
        assert seen == {"default", "zoo"} or (number < 8 and seen == {"default"})
    assert seen == {"default", "zoo"}


def test_the_same_project_is_seen_when_its_pages_come_as_usual(days: Days) -> None:
    a_large_project(days)
    days.play(1)
    assert [each["seen"] for each in days.answers[0]["projects"]] == [True, True]
    assert [each["snapshots"] for each in days.answers[0]["projects"]] == [0, 280]


def test_the_floor_of_the_rate_limit_is_left_to_others(days: Days) -> None:
    large = a_large_project(days)
    large.rate_limit = 300
    days.play(1)
    [answer] = days.answers
    found = {each["project"]: each["why"] for each in answer["projects"]}
    assert found == {"default": "", "large": "only 59 requests left in this hour"}


def test_what_is_remembered_fits_and_is_read_by_the_next_look(days: Days) -> None:
    days.night(0)
    days.play(3)
    memory = Memory.parse(days.cloud.memory)
    remembered = memory.projects["default"]
    assert (remembered.servers, remembered.server) == (2, days.db.id)
    # By two servers it can be known again: the newest snapshot that is not of the first.
    [of_web] = days.stage.truth.ours(days.web.id)
    assert remembered.snapshot == of_web.id
    assert isinstance(remembered.last_seen, datetime) and not memory.problem


COPY = {
    LABEL_MANAGED_BY: "hetzner-snapshots",
    LABEL_SERVER_ID: "1001",
    LABEL_RESTORE_ID: "drill-1",
    LABEL_THROW_AWAY: "true",
}


@pytest.mark.parametrize("hours", [0, 26])
def test_what_a_dead_drill_has_left_is_told_once_and_swept(days: Days, hours: int) -> None:
    """A restore of 60 + 15 minutes needs its copy for 4.25 hours at most."""
    days.cloud.environment |= {"RESTORE_FUNCTION": "StartRestore", "FRESHNESS_HOURS": str(hours)}
    days.night(0, 1, 2)
    left = days.project.add_server("sg5-left", COPY, created=START)
    days.at(36, lambda: days.project.delete_server(left))
    days.play(50)
    days.tells((4.25, "overdue: default/sg5-left"), (36, ALL_CLEAR))
    # At first, soon again, then daily.
    assert [round(at / HOUR, 1) for at, _, _ in days.cloud.asked] == [4.5, 7.5, 28.5]
    assert {(name, *event.items()) for _, name, event in days.cloud.asked} == {
        ("StartRestore", ("sweep", True))
    }
    [message] = [m for i in days.cloud.invocations if i.function == "WatchServers"
                 for m in i.messages if "left" in m["Subject"]]  # fmt: skip
    assert f"sg5-left ({left.id}, 4.5 hours old" in message["Message"]


@pytest.mark.parametrize("hours", [0, 26])
def test_a_second_one_that_is_left_is_told_by_its_name(days: Days, hours: int) -> None:
    days.cloud.environment |= {"RESTORE_FUNCTION": "StartRestore", "FRESHNESS_HOURS": str(hours)}
    days.night(0, 1)
    first = days.project.add_server("sg5-left", COPY, created=START)
    second = days.project.add_server("db-left", COPY, created=START + timedelta(hours=3))
    days.at(12, lambda: days.project.delete_server(first))
    days.at(20, lambda: days.project.delete_server(second))
    days.play(24)
    days.tells(
        (4.25, "overdue: default/sg5-left"), (7.25, "overdue: default/db-left"), (20, ALL_CLEAR)
    )
    texts = [m["Message"] for i in days.cloud.invocations for m in i.messages]
    assert "1 more were told before" in texts[1] and "sg5-left" not in texts[1]
    assert ("good snapshot in time" in texts[2]) is bool(hours)


@pytest.mark.parametrize(
    "labels",
    [{**COPY, LABEL_MANAGED_BY: "another-stack"}, {LABEL_THROW_AWAY: "true"}],
    ids=["another stack's", "called so by mistake"],
)
def test_what_is_not_ours_is_not_swept(days: Days, labels: dict[str, str]) -> None:
    days.cloud.environment["RESTORE_FUNCTION"] = "StartRestore"
    days.night(0)
    days.project.add_server("sg5-left", labels, created=START)
    days.play(10)
    days.tells()
    assert days.cloud.asked == []


def test_a_sweep_that_cannot_be_asked_for_hides_nothing(days: Days) -> None:
    days.cloud.environment["RESTORE_FUNCTION"] = "StartRestore"
    days.cloud.watch_errors["Invoke"] = ["TooManyRequestsException"]
    days.night(0)
    days.project.add_server("sg5-left", COPY, created=START)
    days.play(9)
    days.tells((4.25, "overdue: default/sg5-left"))
    assert [round(at / HOUR, 1) for at, _, _ in days.cloud.asked] == [7.5]
    [message] = [m for i in days.cloud.invocations if i.function == "WatchServers"
                 for m in i.messages]  # fmt: skip
    assert "StartRestore could not be asked to sweep: An error occurred" in message["Message"]


def test_a_look_alone_sweeps_nothing(days: Days) -> None:
    days.cloud.environment["RESTORE_FUNCTION"] = "StartRestore"
    days.project.add_server("sg5-left", COPY, created=START - timedelta(hours=4))
    days.at(0.5, lambda: days.cloud.invoke("WatchServers", {"only_look": True}, 900, None))
    days.stage.play()
    assert days.cloud.asked == []


def test_copies_that_the_selector_does_not_match_are_seen(days: Days) -> None:
    days.cloud.environment |= {"RESTORE_FUNCTION": "StartRestore", "LABEL_SELECTOR": "env=prod"}
    days.db.labels["env"] = days.web.labels["env"] = "prod"
    days.night(0)
    days.project.add_server("sg5-left", COPY, created=START)
    days.play(6)
    days.tells((4.25, "overdue: default/sg5-left"))
