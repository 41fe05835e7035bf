"""Disks that are emptied, in whole runs: what Hetzner holds afterwards, and who is told."""

import json
import re
from typing import Any

import pytest

from handler.documents.request import EventRefused, parse_event
from local.simulator import Project, World
from local.virtual.template import ROOT
from tests.aws import Aws
from tests.eventful import Inbox
from tests.snapshots import available, ours


def test_an_emptied_disk_is_told_once_and_keeps_a_snapshot_from_before_until_it_is_accepted(
    aws: Aws, world: World, project: Project, inbox: Inbox
) -> None:
    server, other = project.add_server("db-1"), project.add_server("web-1")
    server.used_gb = other.used_gb = 20.0
    old = [ours(project, server, days).id for days in (3, 2, 1)]
    verdicts, told = [], []
    for used_gb in (20.0, 0.9, 0.8, 0.9, 1.1):
        server.used_gb = used_gb
        night = aws.run({"retention": "daily2"})
        verdicts.append(night.verdict())
        told.append(night.results["db-1"]["reason"])
        world.clock.advance(86_400 - 600)
    assert verdicts == ["Completed", "PartiallyFailed", "Completed", "Completed", "Completed"]
    sizes = {i.id: i.image_size or 0 for i in project.images.values() if "db-1" in i.description}
    [larger] = [id_ for id_, size_gb in sizes.items() if size_gb > 10]
    assert larger not in old
    assert told[0] == ""
    assert re.match(r"made, not pruned: 0\.\d+ GB after (19|20|21)(\.\d+)? GB \(snapshot ", told[1])
    assert f"(snapshot {larger}): was the disk emptied? A larger one stays" in told[1]
    assert all(reason.startswith(f"snapshot {larger} (2") for reason in told[2:])
    assert available(project) == {"db-1": 3, "web-1": 2}
    [message] = inbox.messages()
    assert "db-1" in message["Message"] and "was the disk emptied?" in message["Message"]
    # It goes only as the note and the manual say.
    assert aws.run({"prune_only": True, "servers": ["db-1"]}).verdict() == "Completed"
    assert larger in project.images
    assert all(reason.endswith("; to let it go: accept_smaller") for reason in told[2:])
    [text] = re.findall(
        r"--event '(\{.*accept_smaller.*\})'", (ROOT / "docs/operating.md").read_text()
    )
    event = json.loads(text) | {"retention": "daily2"}
    planned = aws.run(event | {"dry_run": True})
    assert (planned.results["db-1"]["deleted"], larger in project.images) == (1, True)
    accepted = aws.run(event)
    assert (accepted.results["db-1"]["deleted"], larger in project.images) == (1, False)
    world.clock.advance(86_400)
    assert aws.run({"retention": "daily2"}).results["db-1"]["reason"] == ""


def test_the_night_a_disk_is_emptied_nothing_of_that_server_goes(
    aws: Aws, world: World, project: Project
) -> None:
    server, other = project.add_server("db-1"), project.add_server("web-1")
    server.used_gb = 20.0
    old = {ours(project, server, days).id for days in range(1, 5)}
    ours(project, other, 1)
    server.used_gb = 0.4
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "PartiallyFailed"
    assert (night.results["db-1"]["deleted"], night.results["db-1"]["pruned"]) == (0, False)
    assert old <= project.images.keys()
    assert available(project) == {"db-1": 5, "web-1": 1}
    # Filled again: the policy alone decides.
    server.used_gb = 20.0
    world.clock.advance(86_400)
    assert aws.run({"retention": "last1"}).verdict() == "Completed"
    assert available(project) == {"db-1": 1, "web-1": 1}


def test_who_does_not_only_prune_accepts_nothing_whatever_is_resumed(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("db-1")
    old = [ours(project, server, days, size_gb=gb).id for days, gb in ((2, 9.0), (1, 0.4))]
    server.used_gb = 0.4
    accepting = {"prune_only": True, "servers": ["db-1"], "accept_smaller": True}
    dry = aws.run(accepting | {"dry_run": True, "retention": "last1"})
    again = aws.run({"run_id": dry.run_id, "dry_run": False, "prune_only": False})
    document = json.loads(again.executions["default"]["input"])
    assert document["run"]["accept_smaller"] is True
    assert again.results["db-1"]["reason"].startswith(f"snapshot {old[0]} (9 GB) is kept")
    assert set(old) & project.images.keys() == {old[0]}
    # The run resumed as it was: it accepts.
    aws.run({"run_id": dry.run_id, "dry_run": False, "max_deletions": 20})
    assert old[0] not in project.images


@pytest.mark.parametrize(
    "event",
    [
        {"accept_smaller": True},
        {"accept_smaller": True, "servers": ["db-1"]},
        {"accept_smaller": True, "prune_only": True},
        {"accept_smaller": True, "prune_only": False, "servers": ["db-1"]},
        {"accept_smaller": True, "run_id": "20261121T020000Z"},
    ],
    ids=str,
)
def test_only_a_run_that_only_prunes_named_servers_may_accept_smaller_ones(
    event: dict[str, Any],
) -> None:
    with pytest.raises(EventRefused, match=r"^accept_smaller needs .* prune_only and servers"):
        parse_event(event)
    assert parse_event({"accept_smaller": False}).accept_smaller is False
