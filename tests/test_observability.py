"""What can be read in the log: by people, by the saved queries and by the dashboard."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from local.simulator import Fault, Project, World
from local.simulator.faults import status
from local.virtual.template import Stack
from tests.aws import Aws
from tests.cloudwatch import widgets
from tests.conftest import TOKEN
from tests.eventful import eventful_night
from tests.leaks import piece_of
from tests.snapshots import available, ours


def test_a_server_that_is_skipped_night_after_night_is_named_as_overdue(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5")
    ours(project, server, 3)
    project.lock(server, seconds=None)
    night = aws.run({"on_locked": "skip"})
    assert night.verdict() == "Completed"
    table = [line["attention"] for line in aws.logs if "attention" in line]
    assert [(row["rank"], row["what"], row["server"]) for row in table] == [
        (1, "overdue", "sg5"),
        (2, "note", "sg5"),
    ]
    assert "its newest good snapshot is 3.0 days old" in table[0]["reason"]


def test_a_run_without_trouble_says_so_in_the_table(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.run({})
    assert [line["attention"]["what"] for line in aws.logs if "attention" in line] == ["nothing"]
    assert "Nothing needs attention." in aws.messages()


def fields_of(query: str) -> set[str]:
    """The fields of ours that a Logs Insights query reads."""
    text = re.sub(r"\"[^\"]*\"|/[^/]*/|SOURCE '[^']*'", "", query)
    made = set(re.findall(r" as (\w+)", text))
    words = set(re.findall(r"(?<![@\w.])[a-z][\w.]*(?![\w.(])", text))
    keywords = {"fields", "filter", "sort", "limit", "stats", "by", "as", "and", "or", "in", "not",
                "like", "asc", "desc"}  # fmt: skip
    return words - keywords - made


def queries(stack: Stack) -> Iterator[tuple[str, str]]:
    for name, resource in stack.resolved()["Resources"].items():
        if resource["Type"] == "AWS::Logs::QueryDefinition":
            yield name, resource["Properties"]["QueryString"]
        elif resource["Type"] == "AWS::CloudWatch::Dashboard":
            for widget in widgets(resource, "log"):
                yield widget["title"], widget["query"]


def flat(line: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, value in line.items():
        yield before + name
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")


def test_every_field_a_query_reads_is_logged(aws: Aws, world: World, project: Project) -> None:
    eventful_night(aws, world, project)
    logged = {field for line in aws.logs for field in flat(line)}
    found = dict(queries(aws.stack))
    assert len(found) == 7
    for name, query in found.items():
        assert fields_of(query), name
        assert fields_of(query) <= logged, name


def test_what_the_queries_look_for_is_logged_in_those_words(
    aws: Aws, world: World, project: Project
) -> None:
    eventful_night(aws, world, project)
    to_delete = [line for line in aws.logs if ": to delete snapshot" in line["message"]]
    deleted = {line["deleted"] for line in aws.logs if "deleted" in line}
    assert len(deleted) == 2
    assert {line["decision"]["image_id"] for line in to_delete} == deleted
    concerns = [line["attention"]["what"] for line in aws.logs if "attention" in line]
    assert concerns[:2] == ["failed", "made, not pruned"]
    query = dict(queries(aws.stack))["FailuresQuery"]
    for what in ("failed", "made, not pruned", "overdue"):
        assert f'"{what}"' in query
    # One filter follows a server through the night.
    about = [line for line in aws.logs if line.get("server") == "locked"]
    assert {line["function_name"] for line in about} == {
        "ListServers", "CreateSnapshot", "CheckSnapshot", "PruneSnapshots", "SummariseRun",
    }  # fmt: skip
    for line in [*aws.logs, *aws.metrics]:
        assert line["run_id"] == about[0]["run_id"], line["message"]


def test_every_query_reads_the_stacks_one_log_group() -> None:
    stack = Stack()
    for resource in stack.resolved()["Resources"].values():
        if resource["Type"] == "AWS::Logs::QueryDefinition":
            [group] = resource["Properties"]["LogGroupNames"]
            assert group == stack.ref("LogGroup")
    for widget in widgets(stack.resource("Dashboard"), "log"):
        assert widget["query"].startswith(f"SOURCE '{stack.ref('LogGroup')}' | ")


def test_saved_queries_are_five_and_can_be_left_out() -> None:
    kinds = [r["Type"] for r in Stack().resolved()["Resources"].values()]
    assert kinds.count("AWS::Logs::QueryDefinition") == 5
    without = Stack(SavedQueries="false").resolved()["Resources"].values()
    assert "AWS::Logs::QueryDefinition" not in [r["Type"] for r in without]


def test_the_plan_of_a_run_is_logged_before_it_begins(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    aws.run({"servers": ["sg5"], "on_locked": "skip", "retention": "last7", "dry_run": True})
    plan = aws.logs[0]["message"]
    assert plan.startswith(
        "default: started, dry run: nothing is made or deleted; servers sg5; keeps last7, deletes "
        "at most 5 of each; skips locked ones: https://eu-central-1.console.aws.amazon.com/states/"
    )


def test_detail_is_written_only_when_something_went_wrong(aws: Aws, project: Project) -> None:
    bad, good = project.add_server("bad"), project.add_server("good")
    project.next_action_fails(bad, times=99, after_seconds=20)
    aws.run({})
    detail = [line for line in aws.logs if line["level"] == "DEBUG"]
    assert any(re.search(r"GET /v1/actions/\d+: 200 in ", line["message"]) for line in detail)
    assert any(line.get("input", {}).get("server", {}).get("name") == "bad" for line in detail)
    # The good server's lines, and those of the bad one's earlier steps, had none.
    assert {line.get("server") for line in detail} == {"bad", None}
    assert available(project) == {"good": 1} and good.name
    assert not piece_of(TOKEN, json.dumps(detail, default=str))


def test_detail_is_written_when_a_function_breaks_off(
    aws: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.add_server("sg5")
    monkeypatch.setattr("handler.decisions.planning.parse_policy", lambda _: 1 / 0)
    aws.run({})
    detail = [line for line in aws.logs if line["level"] == "DEBUG"]
    assert {line["function_name"] for line in detail} == {"PruneSnapshots", "SummariseRun"}


def test_the_state_machine_logs_what_breaks_off_and_no_data() -> None:
    stack = Stack()
    logging = stack.resource("SnapshotRun")["Properties"]["Logging"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)
    [destination] = logging["Destinations"]
    group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
    assert group == stack.attribute("SnapshotRunLogGroup.Arn")
    # Under another prefix the account's resource policy may run full.
    assert stack.ref("SnapshotRunLogGroup") == "/aws/vendedlogs/states/hetzner-snapshots"


def test_every_wait_is_logged_with_its_reason_and_its_end(
    aws: Aws, world: World, project: Project
) -> None:
    world.faults.add(Fault(status(503, "unavailable"), path="/servers", times=2))
    project.lock(project.add_server("locked"), command="change_type", seconds=300)
    aws.run({})
    waits = [line for line in aws.logs if line.get("wait_seconds")]
    assert {line["function_name"] for line in waits} == {
        "ListServers", "CreateSnapshot", "CheckSnapshot",
    }  # fmt: skip
    for line in waits:
        until = f"{datetime.fromisoformat(line['until']):%H:%M:%S}Z"
        said = f"again at {until} (in {line['wait_seconds']} s): "
        assert said in line["message"] and not line["message"].endswith(said)
