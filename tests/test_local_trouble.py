"""`FLEET=trouble`: a night that ends red for three reasons, and its resume."""

from datetime import UTC, datetime
from typing import Any

import pytest

from local import story
from local.common.variables import Unusable
from local.options import Options, refuse_for_a_cloud_that_is_up
from local.simulator import Clock, Simulator, World
from local.simulator.fleet import add_trouble_fleet
from local.virtual.template import Stack
from tests.aws import deployed
from tests.conftest import TOKEN

GONE = {"sg5": "failed", "git-1": "failed"}
DONE = dict.fromkeys(("web-1", "db-1", "mail-1", "worker-1"), "available")


def results(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {line["result"]["server"]: line["result"] for line in lines if "result" in line}


def statuses(lines: list[dict[str, Any]]) -> dict[str, str]:
    return {name: result["status"] for name, result in results(lines).items()}


def summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return dict([line["summary"] for line in lines if "summary" in line][-1])


def test_its_night_is_red_for_three_reasons_and_its_resume_is_complete_after_the_repair() -> None:
    world = World(Clock(start=datetime(2026, 11, 21, 2, 0, tzinfo=UTC)), seed=1)
    project = add_trouble_fleet(world)
    project.add_token(TOKEN)
    with (
        Simulator(world) as simulator,
        deployed(world.clock, Stack(HetznerEndpoint=simulator.url)) as aws,
    ):
        aws.store_token("default", TOKEN)
        aws.run({"scheduled_time": "2026-11-21T02:00:00Z"})
        assert summary(aws.logs)["verdict"] == "PartiallyFailed"
        assert statuses(aws.logs) == GONE | DONE
        found = results(aws.logs)
        assert "locked by change_type" in found["sg5"]["reason"]
        assert "limit of snapshots" in found["git-1"]["reason"]
        assert not found["web-1"].get("pruned", True) and "3daily" in found["web-1"]["reason"]
        made = len(project.images)
        night = len(aws.logs)

        told = story.repair(simulator.url)
        assert [what.split(":")[0] for what in told] == ["sg5", "git-1", "web-1"]
        assert story.repair(simulator.url) == []

        aws.run({"run_id": "20261121T020000Z", "project": "default"})
        assert summary(aws.logs)["verdict"] == "Completed"
        assert set(statuses(aws.logs[night:]).values()) == {"available"}
        assert all(result.get("pruned", True) for result in results(aws.logs[night:]).values())
    assert len(project.images) == made + 2
    assert not project.lock_holders()


@pytest.mark.parametrize("fleet", ["default", "trouble", "1", "30", "random:30", "1000"])
def test_a_fleet_is_taken_by_its_name(fleet: str) -> None:
    assert Options.from_env({"FLEET": f" {fleet} "}).fleet == fleet


@pytest.mark.parametrize("fleet", ["Trouble", "troubles", "0", "-1", "1001", "random:", "random:x",
                                   "5:random", "1.5", "\u0663"])  # fmt: skip
def test_an_unknown_fleet_is_refused_with_those_there_are(fleet: str) -> None:
    with pytest.raises(Unusable, match=r"There is no FLEET=.*: (there are default, trouble|a fl)"):
        Options.from_env({"FLEET": fleet})


@pytest.mark.parametrize("other", [{"REAL": "1"}, {"HCLOUD_ENDPOINT": "http://127.0.0.1:9/v1"}])
def test_a_fleet_is_the_simulators(other: dict[str, str]) -> None:
    with pytest.raises(Unusable, match="FLEET=trouble is the simulator's"):
        Options.from_env({"FLEET": "trouble", "HCLOUD_TOKEN": TOKEN, **other})


@pytest.mark.parametrize("name", ["FLEET", "PARAMETERS"])
def test_a_cloud_that_is_up_takes_no_other_fleet_or_parameters(name: str) -> None:
    refuse_for_a_cloud_that_is_up({name: " "})
    with pytest.raises(Unusable, match=f"make up {name}="):
        refuse_for_a_cloud_that_is_up({name: "trouble"})


def test_the_mail_is_shown_without_its_long_links() -> None:
    text = "Failed: x\n\nTo make\n  {}\n\nThe execution, and more:\n  https://long\n"
    assert list(story.message({"Subject": "s", "Message": text}))[2:] == [
        *("  | Subject: s", "  |", "  | Failed: x", "  |", "  | To make", "  |   {}", "  |"),
        "  | (and links: to the execution, to its log)",
    ]


def test_on_a_terminal_the_mail_is_wrapped_between_words_and_what_is_copied_is_not() -> None:
    row = "  failed  sg5  " + "no snapshot made after an hour " * 5
    event = '  {"run_id": "' + "x" * 80 + '"}'
    lines = list(story.message({"Subject": "s", "Message": f"{row}\n{event}"}, 80))
    assert f"  | {event}" in lines
    assert all(len(line) < 80 for line in lines if "run_id" not in line)
    assert " ".join(" ".join(lines).replace("|", "").split()).count("after an hour") == 5


def test_what_is_to_be_typed_is_a_command() -> None:
    lines = list(story.how_to_go_on({"run_id": "r1", "project": "default"}))
    assert "`make repair`" in lines[0]
    assert lines[1].strip() == """make invoke EVENT='{"run_id": "r1", "project": "default"}'"""
