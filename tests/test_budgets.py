"""Answers under /actions have a rate limit of their own: what is left comes from what is asked."""

from dataclasses import replace
from datetime import timedelta

from handler.decisions import checking, creating, pacing
from handler.decisions.pacing import Budget
from handler.documents.errors import RateLimited, TransientError
from handler.documents.job import Job, StartedSnapshot
from tests.test_creating import NONE, NOW, action
from tests.test_creating import job as a_job

SPENT = {"requests_left": 3000, "actions_left": 0, "actions_per_hour": 7200}
FULL = {"requests_left": 0, "actions_left": 7000, "actions_per_hour": 7200}


def test_each_wait_goes_by_what_is_asked_next() -> None:
    seen = checking.Seen(action=action(progress=0, minutes_ago=1))
    watching = a_job(60, snapshot=StartedSnapshot(7, 17), waited_s=0)
    by_image = replace(watching, snapshot=StartedSnapshot(7))
    for left, kept_short in ((SPENT, False), (FULL, True)):
        wait = checking.decide(replace(watching, **left), seen, 0.0)
        assert ("0 of 7200 requests per hour left" not in wait.reason) is kept_short
        wait = checking.decide(replace(by_image, **left), seen, 0.0)
        assert ("0 of 3600 requests per hour left" in wait.reason) is kept_short
    created = replace(NONE, created=StartedSnapshot(7, 17))
    assert "0 of 7200" in creating.decide(a_job(**SPENT), created, 0.0).job.reason
    assert "requests per hour" not in creating.decide(a_job(**FULL), created, 0.0).job.reason


def test_a_lock_is_asked_about_in_both() -> None:
    held = creating.Seen(locked=True, actions=(action(),))
    assert "0 of 7200" in creating.decide(a_job(**SPENT), held, 0.0).job.reason
    assert "0 of 3600" in creating.decide(a_job(**FULL), held, 0.0).job.reason


def test_who_was_refused_waits_for_what_refused() -> None:
    of_actions = RateLimited("too many")
    of_actions.of_actions = True
    for left, error in ((SPENT, of_actions), (FULL, RateLimited("too many"))):
        refused = pacing.after_error(error, a_job(**left), 0.0)
        assert refused.why.startswith("0 of ") and refused.seconds >= 700
    assert pacing.after_error(of_actions, a_job(**FULL), 0.0).seconds < 60


def test_an_outage_is_waited_for_whatever_is_left() -> None:
    for left in ({}, SPENT, FULL):
        assert pacing.after_error(TransientError("down"), a_job(**left), 0.0).seconds == 39


def test_while_the_actions_tell_no_limit_the_other_one_counts() -> None:
    job = a_job(requests_left=5, requests_per_hour=300)
    assert Budget.of(job, of_actions=True) == Budget.of(job)
    told = replace(job, actions_left=9, actions_per_hour=None)
    assert (Budget.of(told, of_actions=True).left, Budget.of(told).left) == (9, 5)
    assert Budget.of(told, of_actions=True).per_hour == 300


def test_who_works_at_the_same_time_shares_it() -> None:
    asked = [(100, 3), (100, 500), (100, None), (1, 3)]
    shared = [
        Budget.of(a_job(run={"servers_at_a_time": at_a_time, "server_count": count})).sharing
        for at_a_time, count in asked
    ]
    assert shared == [3, 100, 100, 1]


def test_both_are_carried_from_state_to_state() -> None:
    class Api:
        answered_at = NOW + timedelta(seconds=1)
        requests_left: int | None = None
        requests_per_hour: int | None = None
        actions_left: int | None = 8
        actions_per_hour: int | None = 7200

    looked = a_job(requests_left=5).observed(Api())
    assert (looked.requests_left, looked.actions_left, looked.actions_per_hour) == (5, 8, 7200)
    assert Job.from_dict(looked.to_dict()).actions_left == 8
