"""Advice is of use: each reason that has some is brought about, and what it says is done."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from handler.documents.job import RESULT_BYTES, Result
from local.simulator import Fault, Project, World
from local.simulator.faults import status
from tests.aws import Aws, LambdaDied, Night
from tests.conftest import TOKEN
from tests.eventful import Inbox
from tests.snapshots import available, ours
from tests.test_operating import TREES, fits

CREATE = r"/servers/\d+/actions/create_image"


@dataclass
class Place:
    """One project with one server, sg5; `mend` takes the cause away."""

    aws: Aws
    world: World
    project: Project
    mend: Callable[[], Any] = lambda: None

    @property
    def server(self) -> Any:
        return next(iter(self.project.servers.values()))


def locked(place: Place) -> None:
    lock = place.project.lock(place.server, seconds=None)
    place.mend = lambda: setattr(lock, "ends_at", place.world.clock.now())


def refused(code: str, number: int, message: str = "no") -> Callable[[Place], None]:
    def arrange(place: Place) -> None:
        fault = Fault(status(number, code, message), method="POST", path=CREATE, times=None)
        place.world.faults.add(fault)
        place.mend = place.world.faults.clear

    return arrange


def token_taken_away(place: Place) -> None:
    """After the listing."""

    def revoke(function: str, _: Any) -> None:
        if function == "CreateSnapshot":
            place.project.revoke_token(TOKEN)

    place.aws.before = revoke

    def mend() -> None:
        place.aws.before = None
        place.project.add_token(TOKEN)

    place.mend = mend


def actions_fail(place: Place) -> None:
    place.project.next_action_fails(place.server, times=5, after_seconds=20)


def never_done(place: Place) -> None:
    place.project.snapshot_seconds[place.server.id] = 4 * 3600
    place.mend = lambda: place.world.clock.advance(7200)


def vanishes(place: Place) -> None:
    def vanish(function: str, _: Any) -> None:
        if function == "PruneSnapshots":
            place.project.images.clear()

    place.aws.before = vanish
    place.mend = lambda: setattr(place.aws, "before", None)


def turns_unavailable(place: Place) -> None:
    def turn(function: str, _: Any) -> None:
        if function == "PruneSnapshots":
            for image in place.project.images.values():
                image.status = "unavailable"

    place.aws.before = turn
    place.mend = lambda: setattr(place.aws, "before", None)


def dies(place: Place) -> None:
    def die(function: str, _: Any) -> None:
        if function == "CreateSnapshot":
            raise KeyError("a bug")

    place.aws.before = die
    place.mend = lambda: setattr(place.aws, "before", None)


def loses_its_result(place: Place) -> None:
    """And nothing was made."""

    def lose(function: str, event: Any) -> None:
        if function == "CreateSnapshot":
            raise LambdaDied
        if function == "SummariseRun":
            event["batch"] = [None]

    place.aws.before = lose
    place.mend = lambda: setattr(place.aws, "before", None)


def of_another_version(place: Place) -> None:
    def change(function: str, event: Any) -> None:
        if function == "SummariseRun":
            event["batch"] = [result | {"status": "paused"} for result in event["batch"]]
            place.project.images.clear()

    place.aws.before = change
    place.mend = lambda: setattr(place.aws, "before", None)


FAILURES = {
    "locked too long": (locked, "no snapshot made after 60 min"),
    "quota": (refused("resource_limit_exceeded", 403), "the account's limit of snapshots"),
    "refused": (refused("invalid_input", 400), "Hetzner refused"),
    "refused at length": (refused("invalid_input", 400, "because " * 200), "Hetzner refused"),
    "locked by Hetzner": (refused("resource_locked", 422), "Ask Hetzner's support"),
    "token": (token_taken_away, "Check or replace that token"),
    "action fails": (actions_fail, "failed 5 times"),
    "never done": (never_done, "not available after"),
    "vanishes": (vanishes, "vanished"),
    "unavailable": (turns_unavailable, "To look again"),
    "a bug": (dies, "a function broke off"),
    "no result": (loses_its_result, "its branch ended"),
    "another version": (of_another_version, "ended as paused"),
}


@pytest.fixture
def place(aws: Aws, world: World, project: Project) -> Place:
    project.add_server("sg5")
    return Place(aws, world, project)


def event_in(text: str) -> dict[str, Any]:
    """The event that a text tells people to start."""
    [found] = re.findall(r"\{[^{}]*\}", text)
    return dict(json.loads(found))


def followed(place: Place, event: dict[str, Any]) -> Night:
    place.mend()
    return place.aws.run(event)


@pytest.mark.parametrize("failure", FAILURES)
def test_what_a_failed_servers_reason_advises_makes_its_snapshot(
    place: Place, inbox: Inbox, failure: str
) -> None:
    arrange, said = FAILURES[failure]
    arrange(place)
    night = place.aws.run({"scheduled_time": "2026-11-21T02:00:00Z"})
    [result] = night.results.values()
    assert result["status"] == "failed" and said in result["reason"], result
    assert len(json.dumps(Result(**result).to_dict())) <= RESULT_BYTES
    event = event_in(result["reason"])
    SEEN.append(result["reason"])
    # The message says the same.
    [message] = inbox.messages()
    assert json.dumps(event) in message["Message"].split("start StartRun with")[1]
    again = followed(place, event)
    assert again.results["sg5"]["status"] == "available", again.results
    assert available(place.project, night.run_id) == {"sg5": 1}


SEEN: list[str] = []


def advising(tree: ast.AST) -> Iterator[str]:
    """The texts into which the event is filled."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        names = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        if "run_again" in names:
            values = node.values
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in values)


def test_every_advice_was_followed() -> None:
    """Runs after the ones above, which are in the same file."""
    if len(SEEN) < len(FAILURES):
        pytest.skip("only some of the failures were played")
    texts = {text for tree in TREES for text in advising(tree)}
    assert len(texts) >= 5
    assert not {text for text in texts if not any(fits(text, reason) for reason in SEEN)}


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_server_that_was_renamed_is_run_again_as_its_note_says(place: Place, by: str) -> None:
    other = place.project.add_server("other")
    locks = [place.project.lock(server, seconds=None) for server in (place.server, other)]
    at = {"scheduled_time": "2026-11-21T02:00:00Z"}
    night = place.aws.run(at | {"servers": ["sg5", "other"]})
    for lock in locks:
        lock.ends_at = place.world.clock.now()
    place.server.name = "renamed"
    resumed = place.aws.run({"run_id": night.run_id})
    assert available(place.project, night.run_id) == {"other": 1}
    # The run cannot know that the one left out is the one that it misses.
    assert resumed.summary().startswith("Completed: 1 of 3 servers, 1 skipped, 1 left out;")
    advice = "If it was renamed, start a new run with its new name or id"
    assert f"sg5: no server of this name or id in this project any more: skipped. {advice}" in (
        place.aws.messages()
    )
    new = place.aws.run({"servers": ["renamed" if by == "name" else place.server.id]})
    assert new.results["renamed"]["status"] == "available"


@pytest.mark.parametrize(
    ("event", "said", "corrected"),
    [
        ({"servers": ["sg55"]}, "with the right names in the event's field servers", "servers"),
        ({"label_selector": "env in ("}, "then start a new run", "label_selector"),
        ({"label_selector": "env=no"}, "then start a new run", "label_selector"),
    ],
)
def test_a_wrong_selection_is_not_told_to_resume(
    place: Place, inbox: Inbox, event: dict[str, Any], said: str, corrected: str
) -> None:
    place.server.labels["env"] = "prod"
    night = place.aws.run({"scheduled_time": "2026-11-21T02:00:00Z"} | event)
    assert night.verdict() == "Failed"
    assert said in night.summary().replace("Then", "then")
    [message] = inbox.messages()
    assert "start StartRun with" not in message["Message"]
    [summary] = [line["summary"] for line in place.aws.logs if "summary" in line]
    assert summary["advice"] == []
    # A resume would indeed fail in the same way, and one with the right selection does not.
    assert place.aws.run({"run_id": night.run_id}).verdict() == "Failed"
    right: dict[str, Any] = {corrected: ["sg5"] if corrected == "servers" else "env=prod"}
    assert place.aws.run(right).verdict() == "Completed"
    if corrected == "servers":
        assert place.aws.run({"run_id": night.run_id} | right).verdict() == "Completed"


def test_what_is_wrong_at_length_still_ends_in_what_to_do(place: Place) -> None:
    night = place.aws.run({"servers": [f"typo-{number}" for number in range(800)]})
    assert "no server typo-0, typo-1, " in night.summary()
    assert "and 790 more" in night.summary()
    assert night.summary().endswith("it looks for the same names.")


def test_a_resume_that_names_nobody_right_is_told_to_name_them(place: Place) -> None:
    first = place.aws.run({})
    night = place.aws.run({"run_id": first.run_id, "servers": ["sg6"]})
    assert "no server sg6 in this project, which has sg5." in night.summary()
    again = place.aws.run({"run_id": first.run_id, "servers": ["sg5"]})
    assert again.verdict() == "Completed" and available(place.project) == {"sg5": 1}


def unpruned(place: Place) -> list[Any]:
    """Two snapshots too many, and a label that forbids to delete them."""
    place.server.labels["hetzner-snapshots/retention"] = "nonsense"
    place.mend = place.server.labels.clear
    return [ours(place.project, place.server, days) for days in range(1, 6)]


@pytest.mark.parametrize("asked", [{}, {"prune_only": True}, {"servers": ["sg5"]}], ids=str)
def test_what_could_not_be_pruned_is_pruned_by_the_event_in_the_message(
    place: Place, inbox: Inbox, asked: dict[str, Any]
) -> None:
    old = unpruned(place)
    other = place.project.add_server("other")
    others = [ours(place.project, other, days) for days in range(1, 6)]
    night = place.aws.run(asked | {"retention": "last4"})
    assert night.verdict() == "PartiallyFailed"
    [message] = inbox.messages()
    told = message["Message"].split("start StartRun with")
    assert len(told) == 2, "one advice, and no resume where nothing is missing"
    event = event_in(told[1])
    assert event["prune_only"] and event["retention"] == "last4"
    there = len(place.project.images)
    again = followed(place, event)
    assert again.verdict() == "Completed"
    assert again.results["sg5"]["deleted"] == (1 if "prune_only" in asked else 2)
    assert len(place.project.images) < there
    assert {image.id for image in old} & place.project.images.keys()
    # Not wider than what was asked.
    if "servers" in asked:
        assert {image.id for image in others} <= place.project.images.keys()


def test_a_server_of_a_pruning_that_broke_off_is_pruned_as_its_reason_says(place: Place) -> None:
    for days in range(1, 6):
        ours(place.project, place.server, days)
    dies(place)
    night = place.aws.run({"prune_only": True})
    event = event_in(night.results["sg5"]["reason"])
    assert event["servers"] == [place.server.id]
    again = followed(place, event)
    assert again.results["sg5"]["status"] == "pruned"
    assert again.results["sg5"]["deleted"] == 2


def test_a_dry_run_that_broke_off_is_repeated_as_its_reason_says(place: Place) -> None:
    dies(place)
    night = place.aws.run({"prune_only": True, "dry_run": True})
    again = followed(place, event_in(night.results["sg5"]["reason"]))
    assert again.results["sg5"]["status"] == "planned"


def test_a_dry_run_of_pruning_plans_deletions_only(place: Place) -> None:
    locked(place)
    old = [ours(place.project, place.server, days) for days in range(1, 6)]
    night = place.aws.run({"prune_only": True, "dry_run": True})
    assert night.summary().startswith(
        "Completed: 1 of 1 server; dry run: nothing deleted, 2 would be deleted;"
    )
    assert night.results["sg5"]["reason"] == ""
    assert (night.results["sg5"]["deleted"], night.results["sg5"]["kept"]) == (2, 3)
    said = place.aws.messages()
    assert "sg5: planned, 2 would be deleted, 3 kept" in said
    assert "would be made" not in said and "the new snapshot" not in said
    assert "dry run: nothing is deleted; all servers; only pruning" in said
    assert "locked" not in said
    assert {image.id for image in old} == place.project.images.keys()


def test_a_failed_server_is_told_with_what_there_is_to_fall_back_on(place: Place) -> None:
    other = place.project.add_server("other")
    old = ours(place.project, other, 3)
    for server in (place.server, other):
        place.project.lock(server, seconds=None)
    night = place.aws.run({})
    lines = {line["server"]: line for line in place.aws.logs if "result" in line}
    assert lines["sg5"]["last_good"] == "It has no good snapshot."
    newest = f"Its newest good snapshot is of {old.created:%Y-%m-%d %H:%MZ}."
    assert lines["other"]["last_good"] == newest
    for line in lines.values():
        assert line["message"].endswith(f". {line['last_good']}")
    # What `make smoke` prints is the execution's cause.
    assert "It has no good snapshot." in night.executions["default"]["cause"]
    assert newest in night.executions["default"]["cause"]


def test_servers_that_swap_their_names_during_a_run_keep_their_own_snapshots(place: Place) -> None:
    failed, other = place.server, place.project.add_server("other")
    newest = ours(place.project, failed, 3)
    place.project.lock(failed, seconds=None)

    def swap(function: str, _: Any) -> None:
        if function == "SummariseRun":
            failed.name, other.name = "other", "sg5"

    place.aws.before = swap
    night = place.aws.run({})
    said = f"Its newest good snapshot is of {newest.created:%Y-%m-%d %H:%MZ}."
    assert night.results["sg5"]["status"] == "failed"
    [line] = [line for line in place.aws.logs if line.get("server") == "sg5" and "result" in line]
    assert line["last_good"] == said
    assert said in night.executions["default"]["cause"]


def test_a_lock_that_will_outlast_its_deadline_is_said_while_waiting(place: Place) -> None:
    place.project.lock(place.server, seconds=4 * 3600)
    place.aws.run({})
    said = [line["reason"] for line in place.aws.logs if line.get("status") == "waiting"]
    too_long = [
        re.search(r"for about (\d+) min more, which is too long: it is given up in (\d+) min", text)
        for text in said
    ]
    minutes = [tuple(map(int, found.groups())) for found in too_long if found]
    assert minutes and all(held > left for held, left in minutes)
    assert not any("no snapshot made" in text for text in said)
