"""What can go wrong for drills at Hetzner's API and AWS; some of it is what nights have, too."""

import random
from datetime import timedelta

from local.simulator import Fault
from local.simulator.faults import dated, drop, html, rate_limited, slow, status
from local.virtual.cloud import Fate
from tests.chaos import bad_answers, bad_aws, bad_luck, bad_runs, bad_tokens, bad_watch
from tests.chaos.copies import Day
from tests.chaos.troubles import Troubles

TROUBLES = Troubles(
    [
        bad_answers.slow_answers, bad_answers.an_outage, bad_answers.flaky,
        bad_answers.a_refusal, bad_answers.a_bad_second_page, bad_aws.trouble_with_ssm,
        bad_aws.a_missing_parameter, bad_aws.a_start_that_fails, bad_aws.clocks_that_differ,
        bad_luck.a_tight_budget, bad_luck.a_revoked_token, bad_runs.throttled_executions,
        bad_tokens.another_projects_token, bad_watch.a_message_that_fails,
        bad_watch.a_memory_that_fails, bad_watch.a_look_in_trouble, bad_watch.a_long_outage,
    ]
)  # fmt: skip
REQUESTS = [
    "/servers", r"/servers/\d+", r"/servers/\d+/actions/.*", "/firewalls", r"/firewalls/.*",
    "/images", r"/images/\d+", "/ssh_keys", "/server_types", r"/actions/\d+", ".*",
]  # fmt: skip
FUNCTIONS = ["StartRestore", "PlanRestore", "CreateServer", "CheckServer", "RemoveServer",
             "SummariseRestore", "any"]  # fmt: skip
WRONG_CLOCK = "a wrong clock"


@TROUBLES.frequent
def faults(day: Day, rng: random.Random) -> str:
    effects = {
        "drop": drop(), "500": html(500), "503": status(503, "unavailable"), "429": rate_limited(),
        "slow": slow(16.0),
        WRONG_CLOCK: dated(lambda call: None, timedelta(hours=rng.choice([-4, 4]))),
        "locked": status(423, "locked"), "404": status(404, "not_found"),
        "stock": status(412, "resource_unavailable"),
        "limit": status(403, "resource_limit_exceeded"),
    }  # fmt: skip
    name = rng.choice(sorted(effects))
    when = "after" if name in ("drop", "500", "503") and rng.random() < 0.6 else "before"
    path, method = rng.choice(REQUESTS), rng.choice([None, "GET", "POST", "DELETE", "PUT"])
    nth, times = rng.choice([1, 2, 3, 5, 9]), rng.choice([1, 1, 2, 8, 40])
    if name == "404":  # a token that sees nothing, for a while
        path, method, times = ".*", None, rng.choice([1, 5])
    if name in ("stock", "limit", "locked"):
        method = rng.choice(["POST", "DELETE"])
    if name == WRONG_CLOCK:
        when = "after"
    if name == "slow":
        day.wire.may_be_late = True
    fault = Fault(effects[name], path=path, method=method, nth=nth, times=times, when=when)  # type: ignore[arg-type]
    day.world.faults.add(fault)
    return f"{name} {when} {method or 'any'} {path}, request {nth} (+{times - 1})"


@TROUBLES.frequent
def a_function_in_trouble(day: Day, rng: random.Random) -> str:
    what = rng.choice(["throttled", "dies", "hangs", "unheard", "lost", "bug"])
    function, nth, pause = rng.choice(FUNCTIONS), rng.choice([1, 2, 3, 4, 6]), rng.randint(1, 12)
    times = rng.choice([1, 1, 2, 7])
    # Each counts from the one before.
    nths = [nth, *[1] * (times - 1)]
    day.cloud.fates += [Fate(what, function, each, pause) for each in nths]
    return f"{function} {what}, invocation {nth} (+{times - 1}), at pause {pause}"


@TROUBLES.one
def no_summary(day: Day, rng: random.Random) -> str:
    """SummariseRestore never answers, while the watch looks each hour."""
    what, pause = rng.choice(["dies", "lost", "bug"]), rng.choice([1, 2, 99])
    day.cloud.fates += [Fate(what, "SummariseRestore", 1, pause) for _ in range(20)]
    return f"each SummariseRestore {what} at pause {pause}"


@TROUBLES.frequent
def a_stop(day: Day, rng: random.Random) -> str:
    """A person stops all restores, at any moment."""
    at = round(rng.choice([1, 10, 60, 300, 5000]) * 2 * rng.random(), 1)
    with_copy = rng.random() < 0.6

    def stop(*_: object) -> None:
        for execution in day.cloud.restores.values():
            day.cloud.stop(execution)

    if with_copy:
        at %= 200
        day.when_there(at, stop)
    else:
        day.later(at, stop)
    return f"restores stopped at {at:.1f} s{' after a copy is there' if with_copy else ''}"


@TROUBLES.one
def a_deploy_without_restores(day: Day, rng: random.Random) -> str:
    """What starts drills is gone; those that run go on, or break off and are forgotten."""
    at, back = rng.choice([5.0, 60.0, 300.0, 7000.0]), rng.choice([600.0, 7 * 3600.0, 12 * 3600.0])
    deletes = rng.random() < 0.5
    day.later(at, lambda: day.redeploy(restores=False, deletes=deletes))
    day.later(at + back, lambda: day.redeploy(restores=True))
    what = ", which deletes all of it" if deletes else ""
    return f"deployed without Restores at {at:.0f} s{what}, with it {back:.0f} s later"
