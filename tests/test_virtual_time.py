"""The stories' own clock: what a test leaves going on ends with it."""

import threading
from typing import Any

from local.simulator import Simulator, World
from local.virtual.template import Stack
from tests.aws import deployed
from tests.conftest import TOKEN


def test_what_a_test_leaves_going_on_does_not_act_in_the_next_ones_time(
    world: World, project: object, simulator: Simulator
) -> None:
    stack = Stack(HetznerEndpoint=simulator.url)
    reached, may_go_on = threading.Event(), threading.Event()

    def held(function: str, _: Any) -> None:
        if function == "ListServers":
            reached.set()
            may_go_on.wait(10)

    with deployed(world.clock, stack) as first:
        first.store_token("default", TOKEN)
        first.before = held
        first.invoke("StartRun", {})
        assert reached.wait(10)
        threading.Timer(0.5, may_go_on.set).start()
    assert may_go_on.is_set(), "what goes on was not waited for"
    with deployed(world.clock, stack) as second:
        second.store_token("default", TOKEN)
        assert second.run({}).verdict() == "Completed"
    assert [each.function for each in first.invocations] == ["StartRun", "ListServers"]
    assert [each.function for each in second.invocations].count("ListServers") == 1
