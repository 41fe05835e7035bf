"""Histories of executions of RestoreRun, as Step Functions tells them."""

import json
from typing import Any

GOOD_LINE = (
    "Completed: Proven: sg5, snapshot 90016 of 2026-11-20, greets on ssh 94 s after its start, "
    "cx23 in fsn1, removed, 0.01 EUR"
)


def result(status: str = "proven", **more: Any) -> dict[str, Any]:
    return {
        **{"server": "sg5", "id": 42, "status": status, "image_id": 90016, "seconds": 94},
        **{"server_type": "cx23", "location": "fsn1", "price_per_hour": "0.0074 EUR"},
        **{"snapshot_created": "2026-11-20T02:03:00Z", **more},
    }


def document(status: str, reason: str = "", elapsed_s: int = 0, **more: Any) -> dict[str, Any]:
    return {
        **{"status": status, "reason": reason, "stopwatch": {"elapsed_s": elapsed_s}},
        **{"server": {"id": 42, "name": "sg5"}, "copy_name": "drill-1-42", **more},
    }


def history(*exits: tuple[str, dict[str, Any]], first: int = 1) -> list[dict[str, Any]]:
    """The events with which these states are left, their outputs as text."""
    return [
        {
            "id": number,
            "type": "TaskStateExited",
            "stateExitedEventDetails": {"name": name, "output": json.dumps(output)},
        }
        for number, (name, output) in enumerate(exits, first)
    ]


def summarised(*results: dict[str, Any], verdict: str = "Completed", line: str = GOOD_LINE) -> Any:
    return "SummariseRestore", {
        "status": verdict,
        "summary": line,
        "results": list(results),
        "restores": [],
    }


def drill(line: str = GOOD_LINE) -> list[dict[str, Any]]:
    """One that goes well."""
    there = {"copy_id": 7001}
    return history(
        ("CreateServer", document("creating", "server 7001 (drill-1-42) is made", 2, **there)),
        ("CheckServer", document("creating", "create_server, 40 %", 30, **there)),
        ("CheckServer", document("booting", "it is powered on", 60, **there)),
        (
            "CheckServer",
            document("booting", "running for 60 s, refused", 120, **there, greeting="refused"),
        ),
        ("CheckServer", document("removing", "greets on ssh 94 s after its start", 154, **there)),
        ("RemoveServer", document("removing", "server 7001 is being deleted", 156, **there)),
        ("RemoveServer", document("proven", "removed", 166, **there, result=result())),
        summarised(result(cost="0.01 EUR"), line=line),
    )
