"""The stack's alarms, and which of them are red."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from deploy.account import Account, Stack

# Of one that is red for want of data: after its first deployment it has none for a while.
MORE_THAN_ITS_PERIODS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Alarm:
    name: str  # the template's
    state: str
    since: datetime | None
    about: str
    red: bool


def alarms_of(account: Account, stack: Stack, now: datetime) -> list[Alarm]:
    """By name. Raises botocore's errors."""
    # Not by the prefix of their names: the stack `backup` would have those of `backup-2`, too.
    pages = (
        account.client("cloudformation")
        .get_paginator("list_stack_resources")
        .paginate(StackName=stack.name)
    )
    names = {
        each["PhysicalResourceId"]: each["LogicalResourceId"]
        for page in pages
        for each in page["StackResourceSummaries"]
        if each["ResourceType"] == "AWS::CloudWatch::Alarm" and each.get("PhysicalResourceId")
    }
    if not names:
        return []
    found = (
        account.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNames=sorted(names))
    )
    alarms = [
        _alarm(names[each["AlarmName"]], each, now)
        for page in found
        for each in page["MetricAlarms"]
    ]
    return sorted(alarms, key=lambda alarm: (not alarm.red, alarm.name))


def _alarm(name: str, found: Mapping[str, Any], now: datetime) -> Alarm:
    return Alarm(
        name,
        found["StateValue"],
        found.get("StateUpdatedTimestamp"),
        str(found.get("AlarmDescription", "")),
        red=found["StateValue"] == "ALARM" or _is_silent(found, now),
    )


def _is_silent(found: Mapping[str, Any], now: datetime) -> bool:
    """Whether it is one that tells that there is no data, and there is none."""
    if found["StateValue"] != "INSUFFICIENT_DATA" or not found.get("InsufficientDataActions"):
        return False
    changed = found.get("AlarmConfigurationUpdatedTimestamp")
    looks_at = timedelta(seconds=found.get("Period", 0) * found.get("EvaluationPeriods", 1))
    return changed is None or now - changed > looks_at + MORE_THAN_ITS_PERIODS
