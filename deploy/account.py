"""The AWS account and region, and the stack in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, NoRegionError
from botocore.utils import JSONFileCache

from deploy.settings import Settings
from local.common.variables import Unusable

# The template's, in all its versions. Also a stack that failed has it.
DESCRIPTION = "Nightly snapshots of Hetzner Cloud servers - one Step Functions branch per server"
# Deleted, or only a change set that was never executed.
NOTHING_THERE = ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS")
# In these states no update is possible: the first deployment or a removal has failed.
DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")

# No update is possible, but what there is can be rescued.
STUCK = "UPDATE_ROLLBACK_FAILED"


class Failed(Exception):
    """An operation of AWS started and failed; the text is for people."""


@dataclass(frozen=True, slots=True)
class Account:
    session: boto3.Session
    id: str
    region: str

    def client(
        self, service: str, attempts: int = 3, region: str | None = None, longest_s: int = 90
    ) -> Any:
        """`longest_s`: so long an answer may take; an invocation of StartRun takes up to 60 s."""
        # Of a long invocation nothing is heard until it ends, and routers drop what is silent.
        config = Config(
            connect_timeout=5,
            read_timeout=longest_s,
            tcp_keepalive=True,
            retries={"total_max_attempts": attempts},
        )
        return self.session.client(  # type: ignore[call-overload]
            service, region_name=region or self.region, config=config
        )


@dataclass(frozen=True, slots=True)
class Stack:
    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


def connect(settings: Settings) -> Account:
    """The account of these credentials. Raises botocore's errors."""
    session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
    # SAM has the same cache: of a role with MFA the code is asked for once, not once by each.
    roles = session._session.get_component("credential_provider").get_provider("assume-role")
    roles.cache = JSONFileCache()
    if not session.region_name:
        raise NoRegionError
    account = Account(session, "", session.region_name)
    try:
        identity = account.client("sts").get_caller_identity()
    except EOFError:
        raise Unusable(
            "This AWS profile asks for an MFA code, and nobody is at the terminal to type one. Log "
            "in first, or run the command in a terminal without a file as its input."
        ) from None
    print(
        f"AWS account {identity['Account']}, region {account.region}, stack {settings.stack}, "
        f"as {identity['Arn']}."
    )
    return Account(session, identity["Account"], account.region)


def find_stack(account: Account, name: str, region: str | None = None) -> Stack | None:
    cloudformation = account.client("cloudformation", region=region)
    try:
        [found] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        # CloudFormation has no error code of its own for a missing stack.
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    return None if found["StackStatus"] in NOTHING_THERE else _stack(found)


def _stack(found: Mapping[str, Any]) -> Stack:
    return Stack(
        name=found["StackName"],
        status=found["StackStatus"],
        parameters={p["ParameterKey"]: p["ParameterValue"] for p in found.get("Parameters", [])},
        outputs={o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])},
    )


def stacks_of_owner(account: Account, owner: str) -> list[str]:
    """The names of our stacks in this region that have this owner."""
    pages = account.client("cloudformation").get_paginator("describe_stacks").paginate()
    stacks = [_stack(found) for page in pages for found in page["Stacks"]]
    return [
        stack.name
        for stack in stacks
        if stack.status not in NOTHING_THERE
        and owner_of(stack) == owner
        and is_ours(account, stack)
    ]


def owner_of(stack: Stack) -> str:
    return stack.parameters.get("Owner") or stack.name


def is_ours(account: Account, stack: Stack) -> bool:
    # Not by its outputs: a stack that failed has none.
    if not {"TokenPath", "Owner"} <= stack.parameters.keys():
        return False
    template = account.client("cloudformation").get_template_summary(StackName=stack.name)
    return bool(template.get("Description") == DESCRIPTION)


def stack_in(account: Account, settings: Settings) -> Stack:
    """The deployed stack, in any state. Raises Unusable if it does not exist or is not ours."""
    stack = find_stack(account, settings.stack)
    if stack is None:
        raise Unusable(
            f"There is no stack {settings.stack} in {account.region} of the account {account.id}. "
            "If it is elsewhere, say REGION=, STACK= or AWS_PROFILE=; if it is nowhere yet: "
            f"{command('deploy', settings)}"
        )
    refuse_foreign(account, stack)
    return stack


def refuse_foreign(account: Account, stack: Stack) -> None:
    if not is_ours(account, stack):
        raise Unusable(
            f"The stack {stack.name} is not one of hetzner-snapshots, so it is left alone: it was "
            "made from another template. Say which one you mean with STACK=."
        )


def refuse_unready(stack: Stack, settings: Settings) -> None:
    if stack.status == STUCK:
        region = f" --region {settings.region}" if settings.region else ""
        raise Unusable(
            f"The stack {stack.name} is {stack.status}: an update failed, and CloudFormation could "
            "not take it back either, so that parts are old and parts are new. Its events in the "
            "CloudFormation console say what is in the way. Remove that, then: "
            f"`aws cloudformation continue-update-rollback{region} --stack-name {stack.name}`, "
            f"then {command('deploy', settings)}. Until then its nights may fail."
        )
    if stack.status in DEAD:
        raise Unusable(
            f"The stack {stack.name} is {stack.status}: it can neither be used nor updated. Its "
            "events in the CloudFormation console say why. Remove it with "
            f"{command('destroy', settings)}, then {command('deploy', settings)}."
        )
    if stack.status.endswith("_IN_PROGRESS"):
        raise Unusable(
            f"The stack {stack.name} is being changed just now ({stack.status}). Try again when "
            "that has ended; the CloudFormation console shows it."
        )


def command(target: str, settings: Settings, more: str = "") -> str:
    """The make command to type: without another word it is for this stack and no other."""
    words = ["make", target, *([more] if more else [])]
    if settings.environment != "default":
        words.append(f"STACK={settings.stack}")
    known = settings.last_deploy.region if settings.last_deploy else None
    if settings.region and settings.region != known:
        words.append(f"REGION={settings.region}")
    if settings.other_samconfig:
        words.append(f"SAMCONFIG={quote(settings.other_samconfig)}")
    return f"`{' '.join(words)}`"
