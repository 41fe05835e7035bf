"""`make logs`: what the functions have logged, for people."""

import json
from typing import Any

import pytest

from local.common.variables import Unusable
from local.logs import readable

RUN = "20261121T020000Z"


def line(message: str, **fields: Any) -> str:
    return json.dumps(
        {"level": "INFO", "message": message, "run_id": RUN, "project": "default", **fields}
    )


def step(server: str, status: str, now: str, wait_seconds: int = 0, reason: str = "") -> str:
    return line(
        f"{server}: {status}",
        **{"server": server, "server_id": 42, "status": status, "reason": reason, "elapsed_s": 0},
        **{"wait_seconds": wait_seconds, "now": f"2026-11-21T{now}Z"},
    )


LOG = [
    "INIT_START Runtime Version: python:3.13",
    "START RequestId: 1 Version: $LATEST",
    line("default: started: https://console"),
    line("sg5 (42; cx23, fsn1): selected", server="sg5", server_id=42, status="selected"),
    step("sg5", "waiting", "23:59:50", 30, "locked by change_type (action 17, 40 %)"),
    step("web", "creating", "23:59:51", 20),
    "END RequestId: 1",
    "REPORT RequestId: 1 Duration: 5 ms",
    step("sg5", "available", "23:59:58", 0, "snapshot 9001, after 60 s"),
    line("sg5: keep snapshot 9001: daily 1 of 3", server="sg5", server_id=42, decision={}),
    line("sg5: available, 2 kept", result={"server": "sg5", "id": 42, "status": "available"}),
    line("Completed: 2 of 2 servers", summary={"verdict": "Completed"}, new={"field": 1}),
]


def shown(log: list[str], server: str = "") -> list[str]:
    return [text.plain for text in readable(log, server)]


def test_each_step_says_why_it_waits_and_until_when() -> None:
    assert shown(LOG) == [
        f"run {RUN}",
        "           default  started: https://console",
        "           sg5      sg5 (42; cx23, fsn1): selected",
        "23:59:50Z  sg5      waiting, next look at 00:00:20Z (in 30 s): "
        "locked by change_type (action 17, 40 %)",
        "23:59:51Z  web      creating, next look at 00:00:11Z (in 20 s)",
        "23:59:58Z  sg5      available: snapshot 9001, after 60 s",
        "23:59:58Z  sg5      keep snapshot 9001: daily 1 of 3",
        "23:59:58Z  default  sg5: available, 2 kept",
        "23:59:58Z  default  Completed: 2 of 2 servers",
    ]


@pytest.mark.parametrize("name", ["sg5", "42"])
def test_one_servers_night_is_its_lines_and_no_others(name: str) -> None:
    log = [each for each in LOG if '"web"' not in each]
    found = shown(log, name)
    assert [text[11:14] for text in found[1:]] == ["sg5", "sg5", "sg5", "sg5", "def"]
    assert found[2].startswith("23:59:50Z  ") and "until" not in found[0]


def test_a_server_that_is_not_there_is_said_to_be_unknown_with_those_that_are() -> None:
    with pytest.raises(Unusable, match=r"server sg9\. Known are: sg5, web\."):
        shown(LOG, "sg9")
    with pytest.raises(Unusable, match="nor of any other server yet"):
        shown([], "sg9")


def test_each_run_has_a_heading_and_a_clock_of_its_own() -> None:
    later = line("again", run_id="r2", server="sg5")
    assert shown([LOG[4], later])[2:] == ["run r2", "           sg5  again"]


def test_servers_of_several_projects_are_told_apart() -> None:
    log = [line("one", server="web"), line("two", server="web", project="second")]
    assert shown(log)[1:] == ["           default/web  one", "           second/web   two"]


def test_trouble_is_shown_with_its_level_and_whole() -> None:
    log = [
        line("it broke", level="ERROR", exception="Traceback\n  here\nValueError: odd"),
        "2026-11-21T02:00:00Z 1 Task timed out after 30.00 seconds",
        "REPORT RequestId: 1 Duration: 30000 ms Status: timeout",
        "{broken",
        "",
    ]
    assert shown(log)[1:] == [
        "           default  ERROR it broke",
        "            Traceback",
        "              here",
        "            ValueError: odd",
        *log[1:4],
    ]
