"""docs/operating.md says what is there: reasons, figures, permissions, events, names."""

import ast
import json
import math
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from bench.night import play
from deploy.settings import Settings
from handler.aws.tokens import TOKEN_CACHE_SECONDS
from handler.decisions.checking import MOST_FAILED_ACTIONS
from handler.decisions.inventory import Inventory, Stock
from handler.decisions.isolating import firewall_name
from handler.documents.job import run_again
from handler.documents.labels import LABEL_ENABLED
from handler.documents.request import parse_event
from handler.documents.restore_request import parse_restore_event
from handler.documents.run import MOST_ATTENTION, Concern, RunDocument, Selection, Totals
from handler.documents.watch_request import parse_watch_event
from handler.hetzner.api import PER_PAGE
from handler.report import metrics, notification
from handler.report.advice import advice_for
from handler.report.metrics import NAMESPACE
from handler.report.summary import Verdict, summary_line
from handler.restore_run.plan_restore import PLAN_MINUTES
from local.common.parameters import check
from local.logs import readable
from local.simulator import Project, World
from local.virtual.template import ROOT, Stack, read_template
from tests.aws import Aws
from tests.cloudwatch import series_of_widget, widgets
from tests.documents import RUN
from tests.snapshots import ours

TEXT = (ROOT / "docs" / "operating.md").read_text()
# What AWS gives each account each month.
FREE_METRICS, FREE_ALARMS, FREE_TRANSITIONS = 10, 10, 4000
HANDLERS = sorted((ROOT / "handler").rglob("*.py"))
NIGHTS = 30
HOURS = LOOKS = 30 * 24


def section(title: str) -> str:
    [found] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def table(text: str, head: str) -> list[list[str]]:
    [found] = re.findall(rf"^\| {re.escape(head)}.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found.splitlines()]


def texts(tree: ast.AST) -> Iterator[str]:
    """The strings of two words and more, docstrings apart; … where a value is filled in."""
    parts = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr():
                parts.add(id(node.value))
            case ast.JoinedStr():
                parts |= {id(value) for value in node.values}
            case ast.keyword(arg="kind"):  # of a decision, for the code
                parts.add(id(node.value))
    for node in (node for node in ast.walk(tree) if id(node) not in parts):
        match node:
            case ast.JoinedStr(values=values):
                text = "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in values)
            case ast.Constant(value=str(text)):
                pass
            case _:
                continue
        if " " in text and len(re.findall(r"[A-Za-z]{2,}", text)) >= 2:
            yield text


def given_as_reasons(tree: ast.AST) -> Iterator[str]:
    """What a function answers with, refuses with, or logs as trouble; a ValueError is a bug's."""
    for node in ast.walk(tree):
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id="ValueError"))):
                pass
            case ast.Return(value=ast.Call() as call) | ast.Raise(exc=ast.Call() as call):
                yield from texts(call)
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="logger"), attr="warning" | "error")
            ):
                yield from texts(node)


def fits(pattern: str, text: str) -> bool:
    wanted = ".*?".join(re.escape(part) for part in pattern.strip().split("…"))
    return bool(re.search(wanted, text, re.DOTALL))


REASONS = section("What each reason means")
# In the page's other sections, too: the summary's line, an alarm's way out.
SAID = [span for span in re.findall(r"`([^`\n]+)`", TEXT) if " " in span]
TREES = [ast.parse(path.read_text()) for path in HANDLERS]


def test_every_reason_that_a_function_gives_is_explained() -> None:
    given = {text for tree in TREES for text in given_as_reasons(tree)}
    missing = {text for text in given if not any(fits(said, text) for said in SAID)}
    assert not missing, f"write what it means and what to do into docs/operating.md: {missing}"
    assert len(given) > 60


def test_every_reason_that_is_explained_can_be_said() -> None:
    examples = {"daily 3 of 7 (2026-11-18)"}
    rows = re.findall(r"^\| (`.*?) \|", REASONS, re.MULTILINE)
    said = {span for row in rows for span in re.findall(r"`([^`]+)`", row) if " " in span}
    can_be_said = {text for tree in TREES for text in texts(tree)}
    gone = {each for each in said - examples if not any(fits(each, text) for text in can_be_said)}
    assert not gone, gone


def test_the_statuses_are_those_of_the_functions() -> None:
    given = {"available", "planned"}  # chosen before, and handed over by name
    for tree in TREES:
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="moved_to" | "waiting" | "done"), args=[first, *_]
                ):
                    below = ast.walk(first)
                    given |= {n.value for n in below if isinstance(n, ast.Constant)}
    listed = [row[0].strip("`") for row in table(REASONS, "status")]
    assert set(listed) - {"due"} == {status for status in given if status} - {"due"}
    assert "due" in listed and len(listed) == len(set(listed))


def test_a_bad_nights_reasons_are_explained(aws: Aws, project: Project) -> None:
    locked, bad, unpruned, gone = (
        project.add_server(name) for name in ("locked", "bad", "unpruned", "gone")
    )
    project.lock(locked, command="change_type", seconds=None)
    project.next_action_fails(bad, times=99, after_seconds=20)
    unpruned.labels["hetzner-snapshots/retention"] = "nonsense"
    ours(project, gone, 50)
    project.delete_server(gone)
    aws.run({})
    reasons = [line["reason"] for line in aws.logs if line.get("reason")]
    assert len(set(reasons)) > 6
    for reason in reasons:
        assert any(fits(said, reason) for said in SAID), reason


def test_the_night_of_a_server_is_what_make_logs_prints(
    aws: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.5)
    server = project.add_server("sg5")
    for days in range(1, 4):
        ours(project, server, days)
    project.snapshot_seconds[server.id] = 180
    project.lock(server, command="change_type", seconds=540)
    aws.run({"scheduled_time": "2026-11-21T02:00:00Z"})
    printed = "\n".join(line.plain.rstrip() for line in readable(map(json.dumps, aws.logs), "sg5"))
    assert f"```\n{printed}\n```" in section("Reading a run"), printed


def test_the_message_is_the_one_that_is_sent() -> None:
    run = replace(RUN, id="20261121T020000Z", project="default")
    locked = "locked by change_type (action 17, 40 %, since 02:01Z)"
    totals = Totals(
        available=6, failed=1, left_out=1, deleted=2, longest="web-1", longest_s=431
    ).noting(
        Concern(
            "failed",
            "sg5",
            f"no snapshot made after 60 min: {locked}. To retry, {run_again(run, 1)}.",
        ),
        Concern("note", "db-1", "1 kept only by delete protection"),
    )
    line = summary_line("PartiallyFailed", totals, run, took_s=3660)
    stock = Stock(23, 180.0, "2026-11-18", 1.98, "EUR")
    inventory = Inventory(stock, Stock(0, 0.0, "", 0.0, "EUR"))
    links = dict.fromkeys(
        (
            "The execution, and in it the Map run with a child for each server",
            "The log of this run",
        ),
        "https://…",
    )
    subject = notification.subject("PartiallyFailed", totals, run, "hetzner-snapshots")
    night = RunDocument(run=run, selection=Selection(), status="ready")
    advice = advice_for(night, totals, "")
    text = notification.text(f"{line}; {inventory}", totals.attention, advice, links)
    assert f"```\n{subject}\n\n{text}```" in section("Reading a run")


def figures() -> dict[str, float]:
    return {row[0]: float(row[1]) for row in table(section("What it costs"), "figure")}


def cost_row(servers: int, of: dict[str, float]) -> str:
    """A month's cost, from the figures that the page itself gives."""
    server_nights = servers * NIGHTS
    transitions = round(
        server_nights * of["transitions of a server's night"]
        + NIGHTS * of["transitions of a run besides"]
    )
    machine = transitions * of["$ for 1,000 transitions"] / 1000
    seconds = server_nights * of["seconds of Lambda of a server's night"]
    invocations = server_nights * of["invocations of a server's night"]
    functions = (
        seconds * 256 / 1024 * of["$ for a GB-second"]
        + invocations * of["$ for 1,000,000 invocations"] / 1e6
    )
    logs = server_nights * of["kB of log of a server's night"] * 1e-6 * of["$ for a GB of log"]
    hourly = of["of these each hour"]
    hours = (of["metrics"] - hourly) * NIGHTS + hourly * HOURS  # one hour each night
    watched = hours * of["$ for a metric"] / HOURS + of["alarms"] * of["$ for an alarm"]
    looks = cost_of_looks(servers, of)
    costs = (machine, functions, logs, watched, looks, machine + functions + logs + watched + looks)
    return f"| {servers:,} | {transitions:,} | " + " | ".join(f"${c:.2f}" for c in costs) + " |"


def requests_of_a_look(servers: int) -> int:
    """With three snapshots of each, as daily3 keeps."""
    return math.ceil(servers / PER_PAGE) + math.ceil(3 * servers / PER_PAGE)


def cost_of_looks(servers: int, of: dict[str, float]) -> float:
    """A month's looks at one project: function, log, decryption of the token, schedule."""
    seconds = of["seconds of a look besides its requests"]
    seconds += requests_of_a_look(servers) * of["seconds of a request"]
    return LOOKS * (
        seconds * 256 / 1024 * of["$ for a GB-second"]
        + of["$ for 1,000,000 invocations"] / 1e6
        + of["kB of log of a look"] * 1e-6 * of["$ for a GB of log"]
        + of["$ for 10,000 decryptions"] / 1e4
        + of["$ for 1,000,000 schedules"] / 1e6
    )


def test_the_costs_follow_from_the_figures() -> None:
    for servers in (1, 10, 100, 1000):
        row = cost_row(servers, figures())
        assert row in section("What it costs"), row


def test_what_the_watch_costs_and_asks_follows_from_the_figures() -> None:
    of = figures()
    for servers in (1, 50, 100, 1000):
        cost = f"{requests_of_a_look(servers)} | ${cost_of_looks(servers, of):.2f}"
        assert f"| {servers:,} | {cost} |" in section("The watch"), cost
    looks = cost_of_looks(50, of)
    assert requests_of_a_look(50) < 5 and looks < 0.02
    said = " ".join(section("The watch").split())
    assert "less than $0.02 where" in said
    # The metric and the alarms cost more than the looks, unless the free ones are left.
    metric = of["of these each hour"] * of["$ for a metric"]
    alarms = of["alarms of the watch"] * of["$ for an alarm"]
    assert (metric, alarms) == (pytest.approx(0.30), pytest.approx(0.30))
    assert f"costs ${looks + metric + alarms:.2f} a month at list prices" in said
    metrics = (of["metrics"] - of["of these each hour"]) * NIGHTS / HOURS + of["of these each hour"]
    assert metrics < 2 <= FREE_METRICS and of["alarms"] <= FREE_ALARMS
    # Beyond the free transitions nothing of a stack is billed there.
    for servers in (10, 100):
        row = cost_row(servers, of).split(" | ")
        beyond = int(row[1].replace(",", "")) - FREE_TRANSITIONS
        price = beyond * of["$ for 1,000 transitions"] / 1000
        assert f"${price:.2f} for {servers}" in " ".join(section("What it costs").split())


def test_a_look_asks_and_logs_as_much_as_said(aws: Aws, world: World, project: Project) -> None:
    for number in range(60):
        server = project.add_server(f"web-{number}")
        for days in range(1, 4):
            ours(project, server, days)
    assert aws.invoke("WatchServers", {})["overdue"] == 0
    assert len(world.requests) == requests_of_a_look(60)
    assert log_size(aws) / 1000 <= figures()["kB of log of a look"] <= 3 * log_size(aws) / 1000


def test_the_tokens_decryptions_are_at_most_as_many_as_said() -> None:
    of, costs = figures(), " ".join(section("What it costs").split())
    most = round(100 * NIGHTS * of["invocations of a server's night"])
    price = most * of["$ for 10,000 decryptions"] / 1e4
    assert f"For 100 servers that is at most {most:,} a month, ${price:.2f}" in costs
    assert f"once each {TOKEN_CACHE_SECONDS} seconds" in costs


def test_the_watchs_metric_is_the_only_one_with_values_each_hour() -> None:
    lines = [line for line in metrics.of_watch(2) if "_aws" in line]
    assert [
        m["Name"] for line in lines for m in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    ] == [metrics.OVERDUE]
    assert figures()["of these each hour"] == 1
    watch = ("WatchErrorsAlarm", "WatchSilentAlarm", "OverdueAlarm")
    assert figures()["alarms of the watch"] == len(watch)
    assert set(watch) <= read_template()["Resources"].keys()


def test_the_figures_of_the_cost_are_those_of_a_night() -> None:
    of, night = figures(), play("ours", 100, seed=1)
    assert abs(night.transitions / 100 - of["transitions of a server's night"]) <= 2
    assert night.invocations / 100 <= of["invocations of a server's night"]
    # A cold start is about a second.
    seconds = night.waiting_s + night.computing_s + night.cold_starts
    assert seconds / 100 <= of["seconds of Lambda of a server's night"]


def log_size(aws: Aws) -> int:
    # CloudWatch counts 26 bytes more for each; START, END and REPORT of an invocation are 430.
    lines = [*aws.logs, *aws.metrics]
    return sum(len(json.dumps(line)) + 26 for line in lines) + 430 * len(aws.invocations)


def test_the_log_of_a_night_is_as_large_as_said(aws: Aws, project: Project) -> None:
    for number in range(5):
        server = project.add_server(f"web-{number}")
        for days in range(1, 4):
            ours(project, server, days)
    assert aws.run({}).verdict() == "Completed"
    per_server = log_size(aws) / 5 / 1000
    # A run of few servers has its own lines, too.
    assert per_server <= 1.2 * figures()["kB of log of a server's night"]


def test_metrics_and_alarms_are_counted_right() -> None:
    # What the dashboard and the alarms read is what is emitted; other tests hold that.
    resources = Stack().resolved()["Resources"].values()
    alarms = [r["Properties"] for r in resources if r["Type"] == "AWS::CloudWatch::Alarm"]
    series = {
        (one.name, one.dimensions)
        for widget in widgets(Stack().resource("Dashboard"), "metric")
        for one in series_of_widget(widget["metrics"])
    } | {
        (alarm["MetricName"], frozenset(d["Name"] for d in alarm["Dimensions"]))
        for alarm in alarms
        if alarm["Namespace"] == NAMESPACE
    }
    of_project = sum("project" in dimensions for _, dimensions in series)
    of_stack = len(series) - of_project
    assert figures()["metrics"] == of_project + of_stack
    assert figures()["alarms"] == len(alarms)
    assert f"{of_project} of a project, {of_stack} of the stack" in section("What it costs")
    costs = " ".join(section("What it costs").split())
    assert f"Each further project adds {of_project}" in costs


def actions(resource: dict[str, Any]) -> Iterator[str]:
    properties = resource["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    for document in [*documents, properties.get("PolicyDocument") or {"Statement": []}]:
        for statement in document["Statement"]:
            allowed = statement["Action"]
            yield from [allowed] if isinstance(allowed, str) else allowed


def test_the_permissions_are_those_of_the_template() -> None:
    granted: set[tuple[str, str]] = set()
    for name, resource in read_template()["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            granted |= {(name, action) for action in actions(resource)}
        elif resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            for role in resource["Properties"]["Roles"]:
                granted |= {(role["Ref"], action) for action in actions(resource)}
    listed: set[tuple[str, str]] = set()
    for roles, may, _, because in table(section("Permissions"), "role"):
        assert because, may
        for role in re.findall(r"`(\w+)`", roles):
            listed |= {(role, action) for action in re.findall(r"`(\w+:\w+)`", may)}
    assert listed == granted


def test_every_alarm_has_its_row() -> None:
    resources = read_template()["Resources"].items()
    alarms = {name for name, resource in resources if resource["Type"].endswith("::Alarm")}
    rows = table(section("Troubleshooting"), "alarm")
    assert {row[0].strip("`") for row in rows} == alarms


def test_what_is_to_be_seen_of_the_alarms_counts_them_all() -> None:
    [count] = re.findall(
        r"\*\*The alarms\*\*.*?To be seen: (\w+)\.",
        (ROOT / "docs" / "first-deploy.md").read_text(),
        re.DOTALL,
    )
    assert ["six", "seven", "eight", "nine", "ten"].index(count) + 6 == figures()["alarms"]


# As `hcloud` 1.30.3 printed it of the simulator.
HCLOUD = """hcloud() {
    if [ "$1" = server ]; then printf '%s  \\n' 1001 10; return; fi
    for id in 1001 1002 1002 1002 1001 1003 100; do
        at="hetzner-snapshots/managed-by=hetzner-snapshots, hetzner-snapshots/run-id=r1"
        echo "$at, hetzner-snapshots/server-id=$id, hetzner-snapshots/server-name=a-server-id=1001"
    done
}
"""


def test_the_recipe_counts_the_snapshots_of_each_server_that_is_gone(tmp_path: Path) -> None:
    [recipe] = re.findall(r"```sh\n(hcloud server list.*?)```", TEXT, re.DOTALL)
    done = subprocess.run(
        ["bash", "-c", HCLOUD + recipe],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    counted = [line.split() for line in done.stdout.splitlines()]
    assert counted[0] == ["3", "1002"]
    assert sorted(counted[1:]) == [["1", "100"], ["1", "1003"]]


def test_every_name_is_one_of_the_templates() -> None:
    template = read_template()
    definition = json.loads((ROOT / "statemachine" / "snapshot_run.asl.json").read_text())
    known = {
        *template["Parameters"], *template["Resources"], *template["Outputs"],
        *definition["States"], *get_args(Verdict),
    }  # fmt: skip
    names = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)(?:=[^`]*)?`", TEXT))
    assert len(names) > 15
    assert names <= known, names - known


def test_every_parameter_given_to_make_is_taken_by_deploy(tmp_path: Path) -> None:
    found = re.findall(r"PARAMETERS=('[^']*'|[^\s`]+)", TEXT)
    assert len(found) > 4
    for given in found:
        environ = {"PARAMETERS": given.strip("'"), "SAMCONFIG": str(tmp_path / "none.toml")}
        parameters = Settings.from_env(environ).parameters
        assert parameters
        check(parameters)


def test_a_restored_server_is_not_left_out_of_the_nights_unless_one_is_told_how_to_end_that() -> (
    None
):
    restoring = section("Restoring a snapshot")
    for block in re.findall(r"```sh\n(.*?)```", restoring, re.DOTALL):
        assert LABEL_ENABLED not in block
    assert f"`--label {LABEL_ENABLED}=false`" in restoring
    assert f"`hcloud server remove-label sg5-restored {LABEL_ENABLED}`" in restoring


def test_a_lost_server_gets_its_own_firewalls_before_ours_is_lifted() -> None:
    steps = " ".join(section("A server is lost: what now").split())
    lifted = steps.index("hcloud firewall remove-from-resource --type server --server sg5-restored")
    assert steps.index("switch the other one off") < steps.index("firewalls first") < lifted
    assert steps.count(firewall_name("hetzner-snapshots")) == 2
    place = section("Restoring a snapshot").split("### When the new server takes the old one's")[1]
    order = re.findall(r"^- \*\*(\w+)", place, re.MULTILINE)
    assert order[:3] == ["Firewalls", "Networks", "Volumes"]


def test_every_event_can_be_pasted() -> None:
    spans = re.findall(r"`(\{[^`]*\})`|--event '(\{.*?\})'", TEXT)
    events = [a or b for a, b in spans if "…" not in a + b]
    assert len(events) > 10
    of_watch = 0
    for event in map(json.loads, events):
        if event.keys() & {"only_look", "forget"}:
            parse_watch_event(event)
            of_watch += 1
        elif event.keys() & {"keep", "sweep"}:
            parse_restore_event(event)
        else:
            parse_event(event)
    assert of_watch >= 2


def test_numbers_in_the_text_are_those_of_the_code() -> None:
    parameters = read_template()["Parameters"]
    assert TOKEN_CACHE_SECONDS == 300 and "300 seconds" in section("Rotating a token")
    assert MOST_FAILED_ACTIONS == 5 and "tried again, up to five times" in REASONS
    assert PLAN_MINUTES == 60 and "gives up after an hour" in REASONS
    assert MOST_ATTENTION == 20 and "the table names twenty" in REASONS
    assert parameters["MaxDeletions"]["Default"] == 5
    assert "`MaxDeletions` snapshots of a server (5)" in section("Changing retention")
    alarm = Stack().resource("RunNotCompletedAlarm")["Properties"]
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 24 * 3600
    assert "`RunNotCompletedAlarm` stays red for 24 hours" in TEXT
    queries = [
        resource["Properties"]["Name"]["Fn::Sub"].rsplit("/", 1)[1][0]
        for resource in read_template()["Resources"].values()
        if resource["Type"] == "AWS::Logs::QueryDefinition"
    ]
    assert set(re.findall(r"saved query (\d)", TEXT)) == set(queries)
