"""Hundreds of bad inputs: each gets one clear message, and nothing is started.

A message is clear if it names the field and the value and says what would be right.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from handler.aws.settings import ApiSettings, BadSetting, RunSettings
from handler.decisions.selecting import item_of
from handler.documents.policy import BadPolicy, parse_policy
from handler.documents.request import FIELDS, EventRefused, parse_event
from handler.documents.resources import Server
from local.simulator import Project, World
from local.virtual.template import Stack, read_template
from tests.aws import Aws

LABEL_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,61}[A-Za-z0-9]", re.ASCII)
NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
NOT_TEXT: list[Any] = [None, True, 0, 1, -1, 1.5, [], ["x"], {}, {"x": 1}]
NOT_BOOL: list[Any] = [None, "true", "false", "", "yes", 0, 1, 1.0, [], {}]
BAD_POLICIES = [
    "", " ", "-", "last", "last0", "last00", "last-1", "-last3", "last3-", "last3--daily1", "3",
    "last 3", "last3 ", " last3", "LAST3", "Last3", "last3,daily7", "last3 daily7", "last=3",
    "keep-last3", "--keep-last 3", "daily", "dailyx", "daily7d", "daily1.5", "daily+7", "daily1e3",
    "daily9999999999", "days7", "week4", "monthly", "yearly0", "unlimited", "lastunlimite",
    "lastUnlimited", "last-unlimited", "within", "within0d", "within30", "within30x", "within30D",
    "withind", "within30d30d", "within1w", "within-30d", "withindaily", "withindaily7", "within1d2",
    "withinminutely5d", "withinlast3d", "last3-last4", "daily7-daily7", "last\u0663", "last3\n",
    "last3\t-daily7", "last3\u2013daily7", "none", "all", "null", "last3;rm", "x" * 200,
]  # fmt: skip
# A pattern cannot count: these pass the template, and StartRun refuses them.
LEFT_TO_START_RUN = ("within0d", "last3-last4", "daily7-daily7", "within30d30d")
BAD_EVENTS: list[tuple[str, Any]] = [
    *(("project", value) for value in [*NOT_TEXT, "", " ", "x" * 5000]),
    *(("label_selector", value) for value in [*NOT_TEXT, "", " ", "x" * 5000]),
    *(("dry_run", value) for value in NOT_BOOL),
    *(("prune_only", value) for value in NOT_BOOL),
    *(("accept_smaller", value) for value in NOT_BOOL),
    *(("servers", value) for value in [None, True, 1, "sg5", "", {}, [], [None], [True], [0], [-1],
                                       [1.5], [""], [" "], [[]], [{}], ["sg5", None]]),
    *(("on_locked", value) for value in [*NOT_TEXT, "", "Wait", "SKIP", "wait ", "fail", "never"]),
    *(("retention", value) for value in [*NOT_TEXT, *BAD_POLICIES]),
    *(("max_deletions", value) for value in [None, True, "5", "", 0, -1, 1001, 2.5, [], {}]),
    *(("run_id", value) for value in [*NOT_TEXT, "", " ", "a b", "a_b", "a.b", "a/b", "a:b", "ä",
                                      "a\n", "a" * 33, "2026-11-21T02:00:00Z", "../../x"]),
    *(("scheduled_time", value) for value in [*NOT_TEXT, "", "now", "02:00", "2026-11-21",
                                              "2026-11-21T02:00:00", "2026-13-01T00:00:00Z",
                                              "21.11.2026 02:00", "1763690400"]),
]  # fmt: skip
UNKNOWN_FIELDS = ["key1", "Servers", "server", "dryrun", "dry-run", "DRY_RUN", "", "token", "runid",
                  "policy", "keep", "selector", "\u0440roject", "servers "]  # fmt: skip
BAD_SETTINGS = [
    *(("TOKEN_PATH", v) for v in ("", " ")),
    *(("HETZNER_ENDPOINT", v) for v in ("", " ")),
    *(("STATE_MACHINE_ARN", v) for v in ("", " ")),
    *(("OWNER", v) for v in ("", " ", "x" * 64)),
    *(("ON_LOCKED", v) for v in ("", "maybe", "WAIT", "wait,skip")),
    *(("RETENTION", v) for v in ("", "last0", "keep3", "daily7,weekly4")),
    *((name, v) for name in ("LOCK_WAIT_MINUTES", "SNAPSHOT_MINUTES", "SERVERS_AT_A_TIME",
                             "MAX_DELETIONS")
      for v in ("", "0", "-1", "1.5", "ten", "99999", "1 000", "\u0663", "0x10")),
]  # fmt: skip
BAD_PARAMETERS = [
    *(("Schedule", v) for v in ("", "02:00", "0 2 * * *", "cron()", "every night", "cron 0 2")),
    *(("ScheduleTimezone", v) for v in ("", "+01:00", "Europe Berlin", "1")),
    *(("ScheduleState", v) for v in ("", "enabled", "ON", "true")),
    *(("TokenPath", v) for v in ("", "/", "tokens", "/tokens/", "//x", "/a b", "/a/*")),
    *(("Owner", v) for v in ("-x", "x-", "a b", "a/b", "x" * 64, "\u00e4")),
    *(("Retention", v) for v in BAD_POLICIES if v not in LEFT_TO_START_RUN),
    *(("MaxDeletions", v) for v in ("0", "-1", "1001", "five", "")),
    *(("OrphanDays", v) for v in ("-1", "3651", "1.5", "never", "")),
    *(("OnLocked", v) for v in ("", "Wait", "fail")),
    *(("LockWaitMinutes", v) for v in ("0", "1441", "an hour", "")),
    *(("SnapshotMinutes", v) for v in ("0", "4", "1441", "")),
    *(("ServersAtATime", v) for v in ("0", "1001", "")),
    *(("LogRetentionDays", v) for v in ("0", "2", "forever")),
    *(("LogLevel", v) for v in ("", "info", "TRACE")),
    *(("HetznerEndpoint", v) for v in ("", "api.hetzner.cloud", "ftp://x/v1", "https://x/v1/",
                                       "http://api.hetzner.cloud/v1", "https://x y/v1")),
]  # fmt: skip


def shown(value: Any) -> str:
    """The beginning of a value as a message quotes it."""
    return json.dumps(value, ensure_ascii=False)[:60]


def test_there_are_hundreds_of_them() -> None:
    cases = [BAD_EVENTS, UNKNOWN_FIELDS, BAD_POLICIES, BAD_SETTINGS, BAD_PARAMETERS]
    assert sum(map(len, cases)) >= 400


@pytest.mark.parametrize(("field", "value"), BAD_EVENTS)
def test_a_bad_value_is_answered_with_field_value_and_remedy(field: str, value: Any) -> None:
    with pytest.raises(EventRefused) as refusal:
        parse_event({field: value})
    message = str(refusal.value)
    assert f"The field {field} is " in message
    assert shown(value) in message
    assert FIELDS[field] in message
    assert "Nothing was started" in message
    assert len(message) < 600 and "\n" not in message


@pytest.mark.parametrize("field", UNKNOWN_FIELDS)
def test_an_unknown_field_is_answered_with_those_there_are(field: str) -> None:
    with pytest.raises(EventRefused) as refusal:
        parse_event({"servers": ["sg5"], field: "x"})
    assert f"unknown field {shown(field)}" in str(refusal.value)
    assert ", ".join(FIELDS) in str(refusal.value)


def test_none_of_them_starts_anything(aws: Aws, world: World, project: Project) -> None:
    project.add_server("sg5")
    events: Iterator[Any] = iter([{f: v} for f, v in BAD_EVENTS] + [{f: 1} for f in UNKNOWN_FIELDS])
    for event in [*events, None, [], "", "all", 1, True]:
        with pytest.raises(EventRefused):
            aws.invoke("StartRun", event)
    assert world.requests == []


@pytest.mark.parametrize("text", BAD_POLICIES)
def test_a_bad_policy_is_answered_with_the_bad_token_and_a_good_one(text: str) -> None:
    with pytest.raises(BadPolicy) as refusal:
        parse_policy(text)
    message = str(refusal.value)
    assert "write for example daily7-weekly4-monthly6" in message
    assert any(repr(token[:40]) in message for token in text.split("-"))


@pytest.mark.parametrize("text", [t for t in BAD_POLICIES if LABEL_VALUE.fullmatch(t)])
def test_a_bad_label_names_itself_and_its_remedy(text: str) -> None:
    labels = {"hetzner-snapshots/retention": text}
    server = Server(1, "sg5", "running", None, None, None, None, labels, NOW)
    problem = item_of(server).problem
    assert problem is not None
    assert problem.startswith("its label hetzner-snapshots/retention: ")
    assert "write for example" in problem


@pytest.mark.parametrize("value", ["no", "0", "off", "False", "FALSE", "disabled", "", "true."])
def test_a_bad_enabled_label_names_itself_and_its_remedy(value: str) -> None:
    labels = {"hetzner-snapshots/enabled": value}
    server = Server(1, "sg5", "running", None, None, None, None, labels, NOW)
    assert item_of(server).problem == (
        f"its label hetzner-snapshots/enabled is {value!r}; write true or false"
    )


@pytest.mark.parametrize(("name", "value"), BAD_SETTINGS)
def test_a_bad_environment_value_is_named(name: str, value: str) -> None:
    environment = Stack().environment("StartRun") | {name: value}
    kind = ApiSettings if name == "HETZNER_ENDPOINT" else RunSettings
    with pytest.raises(BadSetting) as refusal:
        kind.from_env(environment)
    assert name in str(refusal.value)
    assert value.strip() in str(refusal.value) or not value.strip()


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS)
def test_a_bad_parameter_is_refused_by_the_template(name: str, value: str) -> None:
    """As CloudFormation does: a String by AllowedPattern (whole) and AllowedValues, a Number."""
    parameter = read_template()["Parameters"][name]
    allowed = [str(choice) for choice in parameter.get("AllowedValues", [])]
    if allowed:
        assert value not in allowed
    elif parameter["Type"] == "Number":
        low, high = parameter["MinValue"], parameter["MaxValue"]
        assert not (re.fullmatch(r"-?[0-9]+", value) and low <= int(value) <= high)
    else:
        assert not re.fullmatch(parameter["AllowedPattern"], value)
        assert parameter["ConstraintDescription"]


def test_the_templates_pattern_takes_every_policy_the_documentation_shows() -> None:
    pattern = read_template()["Parameters"]["Retention"]["AllowedPattern"]
    for text in ("daily3", "last3-daily7-weekly4-monthly6-yearlyunlimited-within30d",
                 "withindaily7d-withinweekly1m-withinmonthly1y", "within1y5m7d2h"):  # fmt: skip
        assert re.fullmatch(pattern, text), text
        parse_policy(text)
