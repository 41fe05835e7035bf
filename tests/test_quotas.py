"""What AWS limits, with the longest names and values the template lets through.

Where AWS's own API models say how long a text may be, they are asked; the other figures are those
of its documentation. That results and batches fit a state is held in test_structure.py, that
execution names are legal in test_start_run.py, that the package is small in test_package.py.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from checks.translate import translated
from handler.aws.settings import RunSettings
from handler.decisions import pacing
from handler.decisions.pacing import Budget
from handler.documents.document import Look, Wait
from local.virtual import template as cloudformation
from local.virtual.functions import FUNCTIONS, RESTORING
from local.virtual.template import REGION, ROOT, Stack
from tests.test_structure import MACHINES, all_states

STACK_NAME = "s" * 128
TEXT_PARAMETERS = {
    # As long as their MaxLength or AllowedPattern lets them be.
    "TokenPath": "/" + "t" * 199,
    "Owner": "o" * 63,
    "LabelSelector": "l" * 1000,
    "Retention": "-".join(
        f"{rule}999999999" for rule in ("last", "hourly", "daily", "weekly", "monthly", "yearly")
    ),
    "HetznerEndpoint": "https://" + "h" * 192,
    "ScheduleTimezone": "America/Argentina/ComodRivadavia",
}
# Type of resource, its property, and the limit: a figure, or a text of a service's API.
TEXTS: list[tuple[str, str, int | tuple[str, str]]] = [
    ("AWS::CloudWatch::Alarm", "AlarmDescription", ("cloudwatch", "AlarmDescription")),
    ("AWS::CloudWatch::Dashboard", "DashboardName", 255),
    ("AWS::Events::Rule", "Description", ("events", "RuleDescription")),
    ("AWS::Logs::LogGroup", "LogGroupName", ("logs", "LogGroupName")),
    ("AWS::Logs::QueryDefinition", "Name", ("logs", "QueryDefinitionName")),
    ("AWS::Logs::QueryDefinition", "QueryString", ("logs", "QueryDefinitionString")),
    ("AWS::Serverless::Function", "Description", ("lambda", "Description")),
    ("AWS::SNS::Topic", "DisplayName", 100),
]
# It names nothing, people see it in their mail.
ONLY_SHOWN = "DisplayName"


@pytest.fixture(autouse=True)
def longest_name() -> Iterator[None]:
    with patch.dict(cloudformation.PSEUDO, {"AWS::StackName": STACK_NAME}):
        yield


def longest() -> Stack:
    stack = Stack(**TEXT_PARAMETERS)
    for name, parameter in stack.template["Parameters"].items():
        if "MaxValue" in parameter:
            stack.parameters[name] = str(parameter["MaxValue"])
    return stack


def resources(stack: Stack, kind: str) -> dict[str, Any]:
    return {
        name: resource["Properties"]
        for name, resource in stack.resolved()["Resources"].items()
        if resource["Type"] == kind
    }


def at_most(service: str, shape: str) -> int:
    model = boto3.client(service, REGION).meta.service_model
    return int(model.shape_for(shape).metadata["max"])


def compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))


def test_the_template_is_within_cloudformations_quotas() -> None:
    # From a bucket, where SAM puts it; an inline one may have 51,200 bytes.
    assert len((ROOT / "template.yaml").read_bytes()) <= 1_000_000
    template = translated(ROOT / "template.yaml")
    assert len(json.dumps(template)) <= 1_000_000
    assert len(template["Resources"]) <= 500
    assert len(template["Parameters"]) <= 200
    assert len(template["Outputs"]) <= 200
    assert len(template["Description"]) <= 1024
    for name, parameter in template["Parameters"].items():
        assert len(name) <= 255
        assert len(parameter["Description"]) <= 4000
        value = longest().parameters[name]
        assert len(str(value)) <= parameter.get("MaxLength", 4096), name


@pytest.mark.parametrize(("kind", "field", "limit"), TEXTS)
def test_every_name_and_text_is_short_enough(
    kind: str, field: str, limit: int | tuple[str, str]
) -> None:
    found = resources(longest(), kind)
    assert found
    most = limit if isinstance(limit, int) else at_most(*limit)
    for name, properties in found.items():
        assert 0 < len(str(properties[field])) <= most, name


def test_every_name_that_the_template_gives_is_checked_and_has_the_stacks_in_it() -> None:
    stack = longest()
    checked = {(kind, field) for kind, field, *_ in TEXTS}
    for name, resource in stack.resolved()["Resources"].items():
        for field, value in resource.get("Properties", {}).items():
            # A metric's and a policy's names are no resource's.
            if field.endswith("Name") and field not in ("MetricName", "PolicyName"):
                assert (resource["Type"], field) in checked, f"{name}: {field}"
                is_ours = field == ONLY_SHOWN or STACK_NAME in value
                assert is_ours, f"two stacks cannot both have {name}"


def test_two_regions_can_have_a_stack_of_the_same_name() -> None:
    """A dashboard's name is taken once for all regions; roles are named by CloudFormation."""
    here = longest()
    with patch.dict(cloudformation.PSEUDO, {"AWS::Region": "us-east-1"}):
        [there] = resources(longest(), "AWS::CloudWatch::Dashboard").values()
    [dashboard] = resources(here, "AWS::CloudWatch::Dashboard").values()
    assert dashboard["DashboardName"] != there["DashboardName"]
    for kind in ("AWS::IAM::Role", "AWS::S3::Bucket"):
        for properties in resources(here, kind).values():
            assert not {"RoleName", "BucketName"} & properties.keys()


def test_the_schedule_is_within_its_quotas() -> None:
    schedule = longest().resource("StartRun")["Properties"]["Events"]["Nightly"]["Properties"]
    assert len(schedule["Description"]) <= at_most("scheduler", "Description")
    zone = at_most("scheduler", "ScheduleExpressionTimezone")
    assert len(schedule["ScheduleExpressionTimezone"]) <= zone
    assert schedule["OmitName"] is True


def test_the_rule_is_within_its_quotas() -> None:
    rule = longest().resource("RunBrokeOffRule")["Properties"]
    # A state machine's name may have 80 characters.
    assert len(compact(rule["EventPattern"])) + 80 <= 2048
    [target] = rule["Targets"]
    template = target["InputTransformer"]["InputTemplate"]
    assert len(template) <= at_most("events", "TransformerInput")


@pytest.mark.parametrize("function", (*FUNCTIONS, *RESTORING))
def test_a_functions_environment_fits_into_four_kilobytes(function: str) -> None:
    stack = longest()
    stack.parameters["Retention"] = "r" * stack.template["Parameters"]["Retention"]["MaxLength"]
    environment = stack.environment(function)
    # What CloudFormation names is longer than here: a topic's name may have 256 characters.
    assert sum(len(name) + len(value) for name, value in environment.items()) + 500 <= 4096


def test_with_the_longest_values_a_run_can_be_started() -> None:
    settings = RunSettings.from_env(longest().environment("StartRun"))
    assert settings.owner == "o" * 63


def test_a_stacks_name_that_is_no_label_needs_an_owner_and_is_told_so() -> None:
    with pytest.raises(ValueError, match="OWNER"):
        RunSettings.from_env(Stack().environment("StartRun"))


def test_policies_are_short_enough() -> None:
    stack = longest()
    for name, role in resources(stack, "AWS::IAM::Role").items():
        assert len(compact([p["PolicyDocument"] for p in role["Policies"]])) <= 10_240, name
        assert len(compact(role["AssumeRolePolicyDocument"])) <= 2048, name
    for policy in resources(stack, "AWS::SNS::TopicPolicy").values():
        assert len(compact(policy["PolicyDocument"])) <= 30_720


def test_the_definition_is_within_step_functions_quotas() -> None:
    for machine in MACHINES:
        text = Stack().definition(machine)
        assert len(text) <= at_most("stepfunctions", "Definition")
        for level, state in all_states(json.loads(text)):
            assert all(len(name) <= 80 for name in level["States"])
            assert len(state.get("Label", "")) <= 40


def test_no_alarm_looks_back_further_than_cloudwatch_does() -> None:
    for name, alarm in resources(longest(), "AWS::CloudWatch::Alarm").items():
        day = 86_400
        limit = 7 * day if alarm["Period"] >= 3600 else day
        assert alarm["Period"] * int(alarm["EvaluationPeriods"]) <= limit, name


def test_the_dashboard_has_no_more_widgets_and_metrics_than_it_may() -> None:
    [dashboard] = resources(longest(), "AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    assert len(widgets) <= 500
    assert max(len(widget["properties"].get("metrics", [])) for widget in widgets) <= 500


def looks(wait: Callable[[int], Wait], minutes: float) -> int:
    """How often one looks in so many minutes."""
    count = elapsed_s = 0
    while elapsed_s < minutes * 60:
        elapsed_s += wait(elapsed_s).seconds
        count += 1
    return count


def test_the_longest_waits_one_after_the_other_fit_a_childs_history() -> None:
    parameters = longest().parameters
    locked_m, snapshot_m = (float(parameters[n]) for n in ("LockWaitMinutes", "SnapshotMinutes"))
    count = looks(lambda s: pacing.while_locked(s, Budget(), 0.0), locked_m)
    # With its progress stuck just before the end, as often as it can be.
    count += looks(
        lambda s: pacing.while_creating(s, [Look(s, 99)] if s else [], [], Budget(), 0.0),
        snapshot_m,
    )
    # A task has five events, a wait and a choice have two each; half of it is for retries.
    assert count * (5 + 2 + 2) <= 25_000 / 2
