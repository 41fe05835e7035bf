"""The deployed stack on a local AWS that enforces the functions' roles: a hard night, and what
happens when a permission is missing.

What this cannot show: MiniStack does not enforce the state machine's and the schedule's roles, nor
what Lambda does in a role's name (logs, dead letters). It checks ssm:GetParametersByPath against *
whatever path is asked for, so StartRun is allowed that here. All these are compared in
test_permissions.py.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from local.aws import STACK, LogTail, connection, deploy, outputs, store_token
from local.cloud import Cloud
from local.environment import clean
from local.ministack import answers, start_aws
from local.run import Refused, start
from local.service import remove
from local.simulator import Clock, Fault, Project, Simulator, World
from local.simulator.faults import drop, hook
from tests.built import make_build
from tests.snapshots import available, ours, writes

SPEED = 60
NIGHT_SECONDS = 100

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def token_of(name: str) -> str:
    """A token as Hetzner makes them: no 8 characters of it are a word."""
    return hashlib.sha256(name.encode()).hexdigest()


@dataclass
class Deployed:
    cloud: Cloud
    function: str
    world: World

    def client(self, service: str) -> Any:
        return boto3.client(service, **connection(self.cloud.aws))

    def project(self, name: str) -> Project:
        """A new one, whose token no function has read yet."""
        project = self.world.project(name)
        project.add_token(token_of(name))
        store_token(self.cloud.aws, token_of(name), name)
        return project

    def run(self, **event: Any) -> tuple[str, dict[str, str]]:
        """The run id, and by project the verdict of its execution."""
        answer = start(self.cloud, self.function, event)
        arns = {started["project"]: started["execution_arn"] for started in answer["executions"]}
        return answer["run_id"], {project: self.verdict_of(arn) for project, arn in arns.items()}

    def verdict_of(self, arn: str) -> str:
        deadline = time.monotonic() + NIGHT_SECONDS
        step_functions = self.client("stepfunctions")
        while time.monotonic() < deadline:
            execution = step_functions.describe_execution(executionArn=arn)
            if execution["status"] != "RUNNING":
                output = json.loads(execution.get("output", "{}"))
                return str(output.get("verdict", execution.get("error")))
            time.sleep(0.2)
        raise AssertionError(f"{arn} does not end:\n{self.log()}")

    def log(self) -> str:
        group = outputs(self.cloud.aws)["LogGroupName"]
        return "\n".join(LogTail(self.cloud.aws, group, since=0).all_lines())

    def named(self, logical_id: str) -> str:
        """What the resource of the template is called here."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName=STACK, LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    @contextmanager
    def without(self, function: str, action: str) -> Iterator[None]:
        """The function lacks one permission, for a while; others that share its role keep it."""
        functions = self.client("lambda")
        config = functions.get_function_configuration(FunctionName=self.named(function))
        # With the timeout, though it stays: for a role alone MiniStack starts no new container.
        own = {key: config[key] for key in ("FunctionName", "Role", "Timeout")}
        role = own["Role"].rpartition("/")[2]
        lesser = self.role_without(action, role, f"without-{function}")
        functions.update_function_configuration(**own | {"Role": lesser})
        try:
            yield
        finally:
            functions.update_function_configuration(**own)

    def role_without(self, action: str, role: str, name: str) -> str:
        """The ARN of a new role that allows what that role does, but for one action."""
        iam = self.client("iam")
        statements = [
            statement
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]
            for statement in iam.get_role_policy(RoleName=role, PolicyName=policy)[
                "PolicyDocument"
            ]["Statement"]
        ]
        left = [statement for statement in statements if statement["Action"] != action]
        assert len(left) == len(statements) - 1
        trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        document = {"Version": "2012-10-17", "Statement": left}
        iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=json.dumps(document))
        return str(made["Role"]["Arn"])


@pytest.fixture(scope="module")
def stack() -> Iterator[Deployed]:
    make_build()
    folder = Path(tempfile.mkdtemp(prefix="hetzner-snapshots-enforced-"))
    world = World(Clock(datetime.now(UTC), SPEED), seed=1)
    with patch.dict(os.environ, clean(os.environ), clear=True), Simulator(world) as simulator:
        aws, access = start_aws(folder, 1 / SPEED, AUTH="true")
        try:
            aws.wait_until(lambda: answers(access))
            cloud = Cloud(access, "given", simulator.url, 1 / SPEED, str(folder))
            made = deploy(access, folder, {"HetznerEndpoint": simulator.url})
            deployed = Deployed(cloud, made["StartRunFunction"], world)
            grant = {"Effect": "Allow", "Action": "ssm:GetParametersByPath", "Resource": "*"}
            deployed.client("iam").put_role_policy(
                RoleName=deployed.named("StartRunRole"),
                PolicyName="WhatMiniStackAsksFor",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [grant]}),
            )
            yield deployed
        finally:
            aws.stop()
            remove(folder)


def test_a_hard_night_needs_no_more_than_the_roles_allow(stack: Deployed) -> None:
    project, other = stack.project("default"), stack.project("other")
    free, locked = project.add_server("free"), project.add_server("locked")
    failing, lost = project.add_server("failing"), project.add_server("lost")
    project.snapshot_seconds |= dict.fromkeys([free.id, locked.id, failing.id, lost.id], 60)
    other.snapshot_seconds[other.add_server("elsewhere").id] = 60
    old = [ours(project, free, days) for days in range(1, 6)]
    lock = project.lock(locked, seconds=None)
    project.next_action_fails(failing, after_seconds=20)
    # However slow this machine is: the lock is there at the first look, and ends later.
    ends = Fault(
        hook(lambda world, *_: setattr(lock, "ends_at", world.clock.now() + timedelta(minutes=1))),
        path=f"/servers/{locked.id}/actions",
    )
    path = f"/servers/{lost.id}/actions/create_image"
    stack.world.faults.add(ends)
    stack.world.faults.add(Fault(drop(), method="POST", path=path, when="after"))

    run_id, verdicts = stack.run()

    assert verdicts == {"default": "Completed", "other": "Completed"}
    assert available(project, run_id) == dict.fromkeys(("free", "locked", "failing", "lost"), 1)
    assert available(other, run_id) == {"elsewhere": 1}
    said = re.findall(r'"message":"((?:locked|failing): [^"]*)"', stack.log())
    assert any(line.startswith("locked: waiting") for line in said), said
    assert any(line.startswith("failing: waiting") for line in said), said
    creates = [write for write in writes(stack.world) if write.startswith("POST")]
    # Once each, and once more where the action failed; the lost answer was not asked for again.
    assert len(creates) == 6 and creates.count(f"POST {path}") == 1
    # daily3: the new one and the two nights before it.
    assert [image.id in project.images for image in old] == [True, True, False, False, False]

    written = writes(stack.world)
    assert stack.run(project="default", run_id=run_id) == (run_id, {"default": "Completed"})
    assert stack.run(project="default", dry_run=True)[1] == {"default": "Completed"}
    assert writes(stack.world) == written


@pytest.mark.parametrize(
    "function", ["ListServers", "CreateSnapshot", "CheckSnapshot", "PruneSnapshots"]
)
def test_without_its_permission_to_read_the_token_a_function_says_so(
    stack: Deployed, function: str
) -> None:
    project = stack.project(function)
    server = project.add_server("sg5")
    # Longer than CreateSnapshot expects, so that CheckSnapshot gets its look.
    project.snapshot_seconds[server.id] = 90
    with stack.without(function, "ssm:GetParameter"):
        run_id, verdicts = stack.run(project=function)
    # One server, and it failed; or its snapshot was made and not pruned.
    assert verdicts[function] in ("Failed", "PartiallyFailed")
    parameter = f"/hetzner-snapshots/tokens/{function}"
    assert f"{parameter} cannot be read (AccessDeniedException)" in stack.log()
    assert stack.run(project=function, run_id=run_id) == (run_id, {function: "Completed"})
    assert available(project, run_id) == {"sg5": 1}


def test_without_its_permission_to_start_runs_start_run_says_so(stack: Deployed) -> None:
    stack.project("unstarted")
    with (
        stack.without("StartRun", "states:StartExecution"),
        pytest.raises(Refused, match=r"AccessDenied.*states:StartExecution"),
    ):
        stack.run(project="unstarted")
    assert stack.run(project="unstarted")[1] == {"unstarted": "Completed"}


def test_without_its_permission_to_publish_a_summary_says_that_nobody_was_told(
    stack: Deployed,
) -> None:
    stack.project("untold").add_server("sg5")
    asked = {"project": "untold", "servers": ["nobody"]}
    with stack.without("SummariseRun", "sns:Publish"):
        assert stack.run(**asked)[1] == {"untold": "Failed.NotificationFailed"}
    assert stack.run(**asked)[1] == {"untold": "Failed"}
