"""Permissions: each role allows what its functions need, on what they need it for, no more.

This is compared for every function by itself, so functions that share a role have the same needs.

What is asked is taken from the code, from calls recorded while stories run, from the definition and
from the template, and compared both ways. What cannot be known here is what AWS itself asks in a
role's name: for that the words of its documentation stand in this file.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checks.translate import translated
from local.simulator import Clock, Simulator, World
from local.virtual.functions import APART, FUNCTIONS, RESTORING
from local.virtual.template import ACCOUNT, REGION, ROOT, Stack
from tests.aws import deployed
from tests.calls import actions_in_code, recorded, unrecognised
from tests.conftest import TOKEN
from tests.test_structure import MACHINES, all_states
from tests.test_watch import COPY

Pairs = set[tuple[str, str]]  # IAM action and resource
# To set up log delivery Step Functions needs these; the Service Authorization Reference has no
# resource type for any of them.
LOG_DELIVERY = {
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}
INVOKE = "lambda:InvokeFunction"  # IAM's name of Lambda's operation Invoke
OTHER_PATH = "/elsewhere/tokens"
ALL = (*FUNCTIONS, *RESTORING)


def whole(**parameters: str) -> Stack:
    """The stack with all that may be deployed."""
    return Stack(TokenPath=OTHER_PATH, Restores="true", **parameters)


@pytest.fixture(scope="module")
def asked() -> Iterator[dict[str, Pairs]]:
    """What the functions ask of AWS in nights that need all they can do."""
    world = World(Clock(start=datetime(2026, 11, 21, 2, 0, tzinfo=UTC)), seed=1)
    with Simulator(world) as simulator:
        stack = whole(HetznerEndpoint=simulator.url)
        with deployed(world.clock, stack) as aws, recorded(aws) as made:
            for name in ("default", "second"):
                project = world.project(name)
                project.add_token(TOKEN + name)
                aws.store_token(name, TOKEN + name)
                project.add_server("good")
                project.next_action_fails(project.add_server("bad"), times=99)
            night = aws.run({})
            assert night.verdict() == "PartiallyFailed"
            assert aws.run({"run_id": night.run_id}).verdict() == "PartiallyFailed"
            drill = aws.restore({"project": "default", "servers": ["good"]})
            assert drill.verdict() == "Failed"  # it never greets
            aws.invoke("WatchServers", {})
            # The projects' servers are late by then, which is told; one more is a dead drill's.
            world.clock.advance(timedelta(days=2).total_seconds())
            made_at = world.clock.now() - timedelta(hours=5)
            world.project("default").add_server("left", COPY, created=made_at)
            assert aws.invoke("WatchServers", {})["told"] == "overdue"
            yield made


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed_by(document: dict[str, Any]) -> Pairs:
    for statement in document["Statement"]:
        assert statement.keys() == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
    return {
        (action, json.dumps(resource) if isinstance(resource, dict) else resource)
        for statement in document["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def allowed(stack: Stack) -> dict[str, Pairs]:
    """What the roles of the template allow."""
    found: dict[str, Pairs] = {}
    for name, resource in stack.resolved()["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            assert resource["Properties"].keys() == {"AssumeRolePolicyDocument", "Policies"}
            policies = resource["Properties"]["Policies"]
            found[name] = set().union(*(allowed_by(p["PolicyDocument"]) for p in policies))
    for resource in stack.resolved()["Resources"].values():
        if resource["Type"] == "AWS::IAM::Policy":
            for role in resource["Properties"]["Roles"]:
                found[role.rpartition("/")[2]] |= allowed_by(
                    resource["Properties"]["PolicyDocument"]
                )
    return found


def needed_by(function: str, stack: Stack, asked: dict[str, Pairs]) -> Pairs:
    """What is asked in the name of the function: by its code, and by Lambda."""
    properties = stack.resource(function)["Properties"]
    group = stack.arn(stack.template["Globals"]["Function"]["LoggingConfig"]["LogGroup"]["Ref"])
    # Lambda writes the log, and what failed for good, in the function's name.
    needs = {
        (INVOKE if action == "lambda:Invoke" else action, on) for action, on in asked[function]
    }
    needs |= {("logs:CreateLogStream", group), ("logs:PutLogEvents", group)}
    # The watch keeps nothing that failed: it looks again an hour later.
    if "DestinationConfig" in properties.get("EventInvokeConfig", {}):
        failed = properties["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
        assert failed["Type"] == "SQS"
        needs.add(("sqs:SendMessage", failed["Destination"]))
    return needs


def needed_by_the_machine(stack: Stack, name: str) -> Pairs:
    needs: Pairs = set()
    machine = stack.arn(name)
    for _, state in all_states(json.loads(stack.definition(name))):
        if state["Type"] == "Task":
            needs.add(("lambda:InvokeFunction", state["Resource"]))
        if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
            needs.add(("states:StartExecution", machine))
            # AWS documents the first; a child's ARN has the Map's label in it.
            for of in (name, f"{name}/{state['Label']}"):
                children = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{of}:*"
                needs |= {(f"states:{a}Execution", children) for a in ("Describe", "Stop")}
    if stack.resource(name)["Properties"]["Logging"]["Destinations"]:
        needs |= {(action, "*") for action in LOG_DELIVERY}
    return needs


def role_of(name: str, stack: Stack) -> str:
    """The logical id of the role of a function or of the state machine."""
    return str(stack.resource(name)["Properties"]["Role"]).rpartition("/")[2]


def asked_by_tell(stack: Stack) -> Pairs:
    """The addresses, and itself, once for each of them."""
    parameter = stack.environment(APART)["TELL_PARAMETER"]
    return {
        ("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{parameter}"),
        ("lambda:InvokeFunction", stack.arn(APART)),
    }


def differences(stack: Stack, asked: dict[str, Pairs]) -> list[str]:
    """What a function's role lacks, and what it allows though the function does not need it."""
    # No night asks anything of Tell: test_tell_stack.py does, where its role is enforced.
    asked = asked | {APART: asked_by_tell(stack)}
    needs = {function: needed_by(function, stack, asked) for function in (*ALL, APART)}
    needs |= {machine: needed_by_the_machine(stack, machine) for machine in MACHINES}
    found = []
    for name, need in sorted(needs.items()):
        have = allowed(stack)[role_of(name, stack)]
        found += [f"{name} lacks {action} on {on}" for action, on in sorted(need - have)]
        found += [f"{name} need not have {action} on {on}" for action, on in sorted(have - need)]
    return found


def test_every_role_allows_what_each_of_its_functions_needs_and_nothing_else(
    asked: dict[str, Pairs],
) -> None:
    assert differences(whole(), asked) == []


def test_the_stories_ask_for_all_that_the_code_can_ask_for(asked: dict[str, Pairs]) -> None:
    assert unrecognised() == []
    for function in ALL:
        made = {action for action, _ in asked[function]}
        assert made == actions_in_code(whole(), function), function
    asked_by_code = {a.removesuffix("Function") for a, _ in asked_by_tell(Stack())}
    assert actions_in_code(Stack(), APART) == asked_by_code


def statements(stack: Stack, role: str) -> list[dict[str, Any]]:
    policies = stack.template["Resources"][role]["Properties"]["Policies"]
    found: list[dict[str, Any]] = policies[0]["PolicyDocument"]["Statement"]
    return found


def test_a_permission_that_is_missing_too_much_or_too_wide_is_found(
    asked: dict[str, Pairs],
) -> None:
    def changed(role: str) -> tuple[Stack, list[dict[str, Any]]]:
        stack = whole()
        return stack, statements(stack, role)

    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:Notifications"
    tokens = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{OTHER_PATH}/*"

    stack, policy = changed("SummariseRunRole")
    policy.remove(
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": {"Ref": "Notifications"}}
    )
    assert differences(stack, asked) == [f"SummariseRun lacks sns:Publish on {topic}"]

    stack, policy = changed("StartRunRole")
    policy.append({"Effect": "Allow", "Action": "sns:Publish", "Resource": topic})
    assert differences(stack, asked) == [f"StartRun need not have sns:Publish on {topic}"]

    stack, policy = changed("HetznerRole")
    policy[-1]["Resource"] = "*"
    assert differences(stack, asked) == [
        difference
        for function in (
            "CheckServer",
            "CheckSnapshot",
            "CreateServer",
            "CreateSnapshot",
            "ListServers",
            "PlanRestore",
            "PruneSnapshots",
            "RemoveServer",
        )
        for difference in (
            f"{function} lacks ssm:GetParameter on {tokens}",
            f"{function} need not have ssm:GetParameter on *",
        )
    ]

    stack, policy = changed("SnapshotRunRole")
    machine = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
    policy[0]["Resource"][0] = {"Fn::GetAtt": "StartRun.Arn"}
    assert differences(stack, asked) == [
        f"SnapshotRun lacks lambda:InvokeFunction on {machine}:ListServers",
        f"SnapshotRun need not have lambda:InvokeFunction on {machine}:StartRun",
    ]


def test_a_function_that_shares_a_role_but_not_its_needs_is_found(asked: dict[str, Pairs]) -> None:
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:Notifications"

    stack = whole()
    summarise, check = (
        stack.template["Resources"][name]["Properties"]
        for name in ("SummariseRun", "CheckSnapshot")
    )
    own, shared = summarise["Role"], check["Role"]
    summarise["Role"] = shared
    tell = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/hetzner-snapshots-tell/hetzner-snapshots"
    only = [
        f"sns:GetTopicAttributes on {topic}",
        f"sns:Publish on {topic}",
        f"ssm:ListTagsForResource on {tell}",
    ]
    assert differences(stack, asked) == [f"SummariseRun lacks {each}" for each in only]

    summarise["Role"], check["Role"] = own, own
    assert differences(stack, asked) == [f"CheckSnapshot need not have {each}" for each in only]


def test_every_role_is_used_and_only_its_service_may_take_it() -> None:
    stack = whole()
    services = {role_of(name, stack): "lambda.amazonaws.com" for name in (*ALL, APART)}
    services |= {role_of(name, stack): "states.amazonaws.com" for name in MACHINES}
    services |= dict.fromkeys(("ScheduleRole", "DrillScheduleRole"), "scheduler.amazonaws.com")
    assert services.keys() == allowed(stack).keys()
    for role, service in services.items():
        [trust] = stack.resource(role)["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": service}
        assert trust["Action"] == "sts:AssumeRole"
        # Scheduler and Step Functions document that they send it; Lambda does not.
        own = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
        assert trust.get("Condition") == (None if service == "lambda.amazonaws.com" else own), role


def test_sam_adds_no_role_and_the_schedules_is_as_narrow() -> None:
    resources = translated(ROOT / "template.yaml")["Resources"]
    iam = {name for name, r in resources.items() if r["Type"].startswith("AWS::IAM::")}
    added = iam - Stack().template["Resources"].keys()
    assert not added
    role = resources["ScheduleRole"]["Properties"]
    target = resources["StartRunNightly"]["Properties"]["Target"]
    assert target["RoleArn"] == {"Fn::GetAtt": ["ScheduleRole", "Arn"]}
    looks = resources["WatchServersHourly"]["Properties"]["Target"]
    assert looks["RoleArn"] == {"Fn::GetAtt": ["ScheduleRole", "Arn"]}
    assert "DeadLetterConfig" not in looks
    # It calls StartRun and WatchServers, and keeps what it could not deliver to StartRun.
    assert set().union(*(allowed_by(p["PolicyDocument"]) for p in role["Policies"])) == {
        ("lambda:InvokeFunction", json.dumps(target["Arn"])),
        ("lambda:InvokeFunction", json.dumps(looks["Arn"])),
        ("sqs:SendMessage", json.dumps(target["DeadLetterConfig"]["Arn"])),
    }
    drill = resources["StartRestoreDrill"]["Properties"]["Target"]
    assert drill["RoleArn"] == {"Fn::GetAtt": ["DrillScheduleRole", "Arn"]}
    assert resources["StartRestoreDrill"]["Condition"] == "HasRestores"
    policies = resources["DrillScheduleRole"]["Properties"]["Policies"]
    assert set().union(*(allowed_by(p["PolicyDocument"]) for p in policies)) == {
        ("lambda:InvokeFunction", json.dumps(drill["Arn"])),
        ("sqs:SendMessage", json.dumps(drill["DeadLetterConfig"]["Arn"])),
    }
    # Nobody else may call a function: the account's own callers go by their own policies. Only the
    # topic may call Tell.
    [may_call] = [r["Properties"] for r in resources.values() if "Lambda::Permission" in r["Type"]]
    assert may_call == {
        "Action": "lambda:InvokeFunction",
        "FunctionName": {"Ref": APART},
        "Principal": "sns.amazonaws.com",
        "SourceArn": {"Ref": "Notifications"},
    }


def test_only_the_stacks_topic_may_put_into_the_dead_letters_by_itself() -> None:
    policy = Stack().resource("DeadLettersPolicy")["Properties"]["PolicyDocument"]
    [statement] = policy["Statement"]
    topic, queue = (Stack().arn(name) for name in ("Notifications", "DeadLetters"))
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert (statement["Action"], statement["Resource"]) == ("sqs:SendMessage", queue)
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": topic}}
    redrive = Stack().resource(APART)["Properties"]["Events"]["Message"]["Properties"]
    assert redrive["RedrivePolicy"] == {"deadLetterTargetArn": queue}
    assert redrive["Topic"] == topic


def test_every_permission_in_the_template_has_its_reason_above_it() -> None:
    lines = [line.strip() for line in (ROOT / "template.yaml").read_text().splitlines()]
    seen = 0
    for above, line, below in zip(lines, lines[1:], lines[2:], strict=False):
        on_two = line == "- Effect: Allow" and not below.startswith("Principal")
        if on_two or line.startswith("- {Effect: Allow, Action:"):
            seen += 1
            assert above.startswith("# "), f"no reason above: {line} {below}"
    stack = whole()
    apart = [
        statement
        for name in ("SnapshotRunChildrenPolicy", "TellAddressesPolicy", "WatchServersSweepPolicy")
        for statement in stack.resource(name)["Properties"]["PolicyDocument"]["Statement"]
    ]
    inside = [statement for role in allowed(stack) for statement in statements(stack, role)]
    assert seen == len(inside) + len(apart)
