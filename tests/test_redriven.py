"""A run that somebody stopped and then redrives in the console, nights later.

Step Functions goes on with the state that had not ended, and the input it had then. No emulator
has a redrive, so the states are walked through here, on the way that the definition says.
"""

import json
from typing import Any

import pytest

from handler.documents.labels import LABEL_RUN_ID
from local.simulator import Project, World
from tests.aws import Aws
from tests.snapshots import available

DAY = 24 * 3600


def walk(aws: Aws, world: World, name: str, document: Any) -> Any:
    """What a child comes to that begins with this state."""
    machine = json.loads(aws.stack.definition())
    states = machine["States"]["SnapshotServers"]["ItemProcessor"]["States"]
    for _ in range(100):
        state = states[name]
        match state["Type"]:
            case "Task":
                document = aws.invoke(name, document)
            case "Wait":
                world.clock.advance(document[state["SecondsPath"].removeprefix("$.")])
            case "Choice":
                rules = {rule["StringEquals"]: rule["Next"] for rule in state["Choices"]}
                name = rules.get(document["status"], state["Default"])
                continue
            case "Pass":
                return document["result"]
        name = state["Next"]
    raise AssertionError("no end")


@pytest.mark.parametrize("state", ["CreateSnapshot", "CheckSnapshot", "PruneSnapshots"])
def test_a_redriven_child_deletes_nothing_that_later_nights_made(
    aws: Aws, world: World, project: Project, state: str
) -> None:
    project.add_server("sg5")
    nights = []
    for _ in range(3):
        nights.append(aws.run({"retention": "last1"}).run_id)
        world.clock.advance(DAY)
    [made] = project.images.values()
    assert made.labels[LABEL_RUN_ID] == nights[2]
    [*_, stopped] = [
        invocation.event
        for invocation in aws.invocations
        if invocation.function == state and invocation.event["run"]["id"] == nights[0]
    ]
    result = walk(aws, world, state, stopped)
    assert result["status"] in ("available", "failed")
    assert made in project.images.values()
    assert available(project)["sg5"] <= 2
