"""The template: every parameter has an effect, and no setting is outside the parameters."""

import re
from typing import Any

import pytest

import deploy.account
from deploy.reach import TELL_PATH, parameter_of
from handler.aws.settings import (
    ApiSettings,
    RestoreSettings,
    RunSettings,
    SummarySettings,
    TellSettings,
)
from handler.documents.request import Request
from handler.documents.restore_request import RestoreRequest
from handler.documents.restore_run import RestoreRun
from handler.triggers import start_restore
from handler.triggers.start_run import first_document
from local.virtual.functions import APART, FUNCTIONS, RESTORING
from local.virtual.template import Stack

CHANGED = {
    "Schedule": "cron(30 4 * * ? *)",
    "ScheduleTimezone": "Europe/Berlin",
    "ScheduleState": "DISABLED",
    "TokenPath": "/elsewhere",
    "Owner": "somebody",
    "LabelSelector": "env=prod",
    "WithBackups": "skip",
    "Retention": "last7",
    "MaxDeletions": "2",
    "OrphanDays": "30",
    "OnLocked": "skip",
    "LockWaitMinutes": "5",
    "SnapshotMinutes": "50",
    "ServersAtATime": "3",
    "RateLimitFloorPercent": "50",
    "NotificationEmail": "me@example.org",
    "Notify": "always",
    "FreshnessHours": "50",
    "Restores": "true",
    "DrillSchedule": "rate(30 days)",
    "DrillScheduleState": "ENABLED",
    "DrillServers": "3",
    "RestoreMinutes": "90",
    "BootMinutes": "30",
    "ProofDays": "60",
    "SavedQueries": "false",
    "LogRetentionDays": "7",
    "LogLevel": "DEBUG",
    "Architecture": "x86_64",
    "HetznerEndpoint": "http://127.0.0.1:1/v1",
}


RESTORES = {"Restores": "true"}
# These change nothing without it.
OF_RESTORES = (
    "DrillSchedule", "DrillScheduleState", "DrillServers", "RestoreMinutes", "BootMinutes",
    "ProofDays",
)  # fmt: skip


def schedule(stack: Stack) -> Any:
    return stack.resource("StartRun")["Properties"]["Events"]["Nightly"]["Properties"]


def run(stack: Stack) -> dict[str, Any]:
    settings = RunSettings.from_env(stack.environment("StartRun"))
    return first_document(Request(), "run", "default", settings).to_dict()


def test_every_parameter_is_described_and_has_a_default() -> None:
    parameters = Stack().template["Parameters"]
    assert parameters.keys() == CHANGED.keys()
    for name, parameter in parameters.items():
        assert parameter["Description"], name
        assert "Default" in parameter, name
        if name != "LabelSelector":  # its grammar is Hetzner's to judge
            limits = {"AllowedPattern", "AllowedValues", "MinValue"}
            assert limits & parameter.keys(), name


@pytest.mark.parametrize("name", CHANGED)
def test_every_parameter_changes_what_is_deployed(name: str) -> None:
    base = RESTORES if name in OF_RESTORES else {}
    before, after = Stack(**base).resolved(), Stack(**{**base, name: CHANGED[name]}).resolved()
    assert before != after


def test_without_the_parameter_nothing_of_restoring_is_deployed() -> None:
    apart = (
        Stack(**RESTORES).resolved()["Resources"].keys() - Stack().resolved()["Resources"].keys()
    )
    assert {*RESTORING, "RestoreRun", "RestoreRunRole", "StartRestoreRole"} <= apart
    nothing = [name for name in Stack().resolved()["Resources"] if re.search("Restor|Drill", name)]
    assert not nothing
    changed = {name: CHANGED[name] for name in OF_RESTORES}
    assert Stack(**changed).resolved() == Stack().resolved()


def test_a_drill_by_schedule_is_off_until_it_is_asked_for() -> None:
    def drill(stack: Stack) -> Any:
        return stack.resource("StartRestore")["Properties"]["Events"]["Drill"]["Properties"]

    assert drill(Stack(**RESTORES))["State"] == "DISABLED"
    assert drill(Stack(**CHANGED))["State"] == "ENABLED"
    assert drill(Stack(**CHANGED))["ScheduleExpression"] == "rate(30 days)"


def test_the_parameters_of_restores_reach_the_restore() -> None:
    settings = RestoreSettings.from_env(Stack(**CHANGED).environment("StartRestore"))
    run = start_restore.first_document(RestoreRequest(), "r", "p", settings).run
    assert run == RestoreRun(
        "r", "p", "somebody", drill_servers=3, restore_minutes=90, boot_minutes=30,
        rate_limit_floor=50,
    )  # fmt: skip
    told = TellSettings.from_env(Stack(**CHANGED).environment("SummariseRestore"))
    assert told.notify_always


def test_the_schedule_is_nightly_and_has_its_own_retry_policy() -> None:
    nightly = schedule(Stack())
    assert nightly["ScheduleExpression"] == "cron(0 2 * * ? *)"
    assert nightly["ScheduleExpressionTimezone"] == "UTC"
    assert nightly["State"] == "ENABLED"
    assert nightly["OmitName"] is True
    assert nightly["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 3600


def test_the_schedules_parameters_reach_the_schedule() -> None:
    changed = schedule(Stack(**CHANGED))
    assert changed["ScheduleExpression"] == "cron(30 4 * * ? *)"
    assert changed["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert changed["State"] == "DISABLED"


def test_the_runs_parameters_reach_the_run() -> None:
    assert run(Stack())["run"] | {"id": "", "project": ""} == {
        "id": "",
        "project": "",
        "owner": "hetzner-snapshots",
        "retention": "daily3",
        "on_locked": "wait",
        "dry_run": False,
        "prune_only": False,
        "accept_smaller": False,
        "max_deletions": 5,
        "orphan_days": 0,
        "servers_at_a_time": 200,
        "lock_wait_minutes": 60,
        "snapshot_minutes": 180,
        "concurrent_runs": (),
        "rate_limit_floor": 20,
        "began": None,
        "server_count": None,
        "earlier_deletions": 0,
        "witnesses": (),
        "first_began": None,
        "earliest_began": None,
        "with_backups": "include",
    }
    changed = run(Stack(**CHANGED))
    assert changed["selection"]["label_selector"] == "env=prod"
    assert changed["run"] | {"id": "", "project": ""} == {
        "id": "",
        "project": "",
        "owner": "somebody",
        "retention": "last7",
        "on_locked": "skip",
        "dry_run": False,
        "prune_only": False,
        "accept_smaller": False,
        "max_deletions": 2,
        "orphan_days": 30,
        "servers_at_a_time": 3,
        "lock_wait_minutes": 5,
        "snapshot_minutes": 50,
        "concurrent_runs": (),
        "rate_limit_floor": 50,
        "began": None,
        "server_count": None,
        "earlier_deletions": 0,
        "witnesses": (),
        "first_began": None,
        "earliest_began": None,
        "with_backups": "skip",
    }


def test_the_other_parameters_reach_the_functions_and_the_log_group() -> None:
    stack = Stack(**CHANGED)
    assert stack.resource("LogGroup")["Properties"]["RetentionInDays"] == "7"
    for function in (*FUNCTIONS, *RESTORING):
        environment = stack.environment(function)
        assert ApiSettings.from_env(environment) == ApiSettings(
            "/elsewhere", "http://127.0.0.1:1/v1"
        )
        assert environment["POWERTOOLS_LOG_LEVEL"] == "DEBUG"


def test_all_functions_write_to_the_one_log_group() -> None:
    template = Stack().template
    assert template["Globals"]["Function"]["LoggingConfig"] == {"LogGroup": {"Ref": "LogGroup"}}
    for function in (*FUNCTIONS, *RESTORING, APART):
        assert "LoggingConfig" not in template["Resources"][function]["Properties"]


def test_what_summarise_run_is_told_reaches_it() -> None:
    assert SummarySettings.from_env(Stack().environment("SummariseRun")) == SummarySettings(
        stack="hetzner-snapshots",
        log_group="/hetzner-snapshots/hetzner-snapshots",
        topic_arn="arn:aws:sns:eu-central-1:123456789012:Notifications",
        notify_always=False,
        label_selector="",
        freshness_hours=26,
        orphan_days=0,
        tell_parameter="/hetzner-snapshots-tell/hetzner-snapshots",
    )
    changed = SummarySettings.from_env(Stack(**CHANGED).environment("SummariseRun"))
    assert (changed.notify_always, changed.freshness_hours) == (True, 50)
    assert changed.orphan_days == 30
    assert changed.label_selector == "env=prod"


def test_no_token_is_in_any_environment() -> None:
    for function in (*FUNCTIONS, *RESTORING, APART):
        names = Stack().environment(function).keys()
        assert not [name for name in names if "TOKEN" in name and name != "TOKEN_PATH"]


def test_tells_addresses_are_below_no_token_path() -> None:
    stack = Stack()
    environment = stack.environment(APART)
    deployed = deploy.account.Stack(environment["POWERTOOLS_SERVICE_NAME"], "", {}, {})
    assert environment["TELL_PARAMETER"] == parameter_of(deployed)
    pattern = stack.template["Parameters"]["TokenPath"]["AllowedPattern"]
    for path in ("/hetzner-snapshots-tell", "/hetzner-snapshots-tell/a", f"{TELL_PATH}/x/y"):
        assert not re.search(pattern, path)
    for path in ("/hetzner-snapshots/tokens", "/a", "/hetzner-snapshots-tells/a", "/a/b.c"):
        assert re.search(pattern, path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TOKEN_PATH", "", "TOKEN_PATH is missing"),
        ("STATE_MACHINE_ARN", "", "STATE_MACHINE_ARN is missing"),
        ("OWNER", "x" * 64, "longer than the 63 characters"),
        ("RETENTION", "last0", "RETENTION: 'last0'"),
        ("ON_LOCKED", "maybe", "ON_LOCKED is 'maybe'; it must be wait or skip"),
        ("WITH_BACKUPS", "", "WITH_BACKUPS is missing"),
        ("WITH_BACKUPS", "no", "WITH_BACKUPS is 'no'; it must be include or skip"),
        ("LOCK_WAIT_MINUTES", "soon", "LOCK_WAIT_MINUTES is 'soon'; it must be a whole number"),
        ("SNAPSHOT_MINUTES", "0", "SNAPSHOT_MINUTES is '0'"),
        ("SERVERS_AT_A_TIME", "1001", "SERVERS_AT_A_TIME is '1001'"),
        ("ORPHAN_DAYS", "3651", "ORPHAN_DAYS is '3651'; it must be a whole number from 0 to 3650"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str, said: str) -> None:
    environment = Stack().environment("StartRun") | {name: value}
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        RunSettings.from_env(environment)
