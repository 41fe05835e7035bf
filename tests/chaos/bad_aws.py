"""Faults of AWS."""

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from local.virtual.cloud import Fate
from tests.chaos.troubles import Mild, Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()

FUNCTIONS = ("ListServers", "CreateSnapshot", "CheckSnapshot", "PruneSnapshots", "SummariseRun")


@TROUBLES.one
def trouble_with_ssm(night: "Stage", rng: random.Random) -> str:
    code = rng.choice(["ThrottlingException", "InternalServerError", "ParameterNotFound"])
    before, times = rng.choice([0, 1, 5]), rng.choice([1, 3, 30])
    night.cloud.ssm_errors += [""] * before + [code] * times
    return f"SSM {code}, {times} times after {before}"


@TROUBLES.one
def a_missing_parameter(night: "Stage", rng: random.Random) -> str:
    at = rng.choice([0, 60, 300])
    night.later(at, lambda: night.cloud.tokens.pop(night.parameter, None))
    return f"the parameter is gone at {at} s"


@TROUBLES.frequent
def a_lambda_in_trouble(night: "Stage", rng: random.Random) -> str:
    what = rng.choice(["throttled", "dies", "dies", "dies", "hangs", "unheard", "lost", "bug"])
    function = rng.choice([*FUNCTIONS, "CreateSnapshot", "PruneSnapshots", "any", "StartRun"])
    nth, pause = rng.choice([1, 1, 2, 3, 5]), rng.choice([1, 2, 4, 5, 6, 7, 8, 10, 99])
    times = rng.choice([1, 1, 2, 6])
    # Each one counts its invocations from the moment when the one before has taken effect.
    fates = [Fate(what, function, nth if n == 0 else 1, pause) for n in range(times)]
    night.cloud.fates += fates
    said = f"{function} {what}, invocation {nth} (+{times}), at pause {pause}"
    return Mild(said) if times <= 2 and what != "bug" else said


@TROUBLES.one
def lambdas_api_throttles(night: "Stage", rng: random.Random) -> str:
    """Calls that have not begun: on AWS with an error name of its own, in no emulator."""
    function, times = rng.choice(FUNCTIONS), rng.choice([4, 8, 15])
    night.cloud.fates += [Fate("throttled", function, 1) for _ in range(times)]
    return Mild(f"Lambda throttles {function} {times} times")


@TROUBLES.one
def a_start_that_fails(night: "Stage", rng: random.Random) -> str:
    project, times = rng.choice(list(night.cloud.tokens)).rsplit("/", 1)[-1], rng.choice([1, 2, 9])
    night.cloud.start_errors[project] = times
    return f"StartExecution fails {times} times for {project}"


@TROUBLES.one
def clocks_that_differ(night: "Stage", rng: random.Random) -> str:
    night.cloud.skew = timedelta(minutes=rng.choice([-90, -7, 7, 90]))
    return Mild(f"our clock is off by {night.cloud.skew}")
