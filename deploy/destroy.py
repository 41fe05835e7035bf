"""`make destroy`: removes the stack, and says what remains."""

import time
from collections.abc import Iterator

from deploy.account import Account, Failed, Stack, command, connect, find_stack, stack_in
from deploy.bring import sam
from deploy.give_token import stored_tokens
from deploy.settings import Settings
from deploy.terminal import agreed, has_terminal
from local.common.variables import Unusable

DELETE_SECONDS = 3600
GONE_SECONDS = 300
POLL_SECONDS = 2.0
# The stack of the bucket for uploads of `sam deploy --resolve-s3`, one per account and region.
SAM_STACK = "aws-sam-cli-managed-default"


def destroy(settings: Settings) -> int:
    account = connect(settings)
    stack = stack_in(account, settings)
    for line in _consequences(account, stack):
        print(line)
    if not settings.yes:
        if not has_terminal():
            raise Unusable(
                "Nobody is there to be asked, so nothing was removed. If you mean it: "
                f"{command('destroy', settings, 'YES=1')}"
            )
        if not agreed(f"Remove the stack {stack.name}?"):
            print("Nothing was removed.")
            return 1
    # Read before the removal, so that it can be printed even if something fails.
    tokens = stored_tokens(account, stack)
    _delete(settings, account)
    print(f"\nThe stack {stack.name} is gone. What stays:")
    for line in _what_stays(settings, account, stack, tokens):
        print(f"  {line}")
    return 0


def _consequences(account: Account, stack: Stack) -> Iterator[str]:
    yield (
        f"This removes the stack {stack.name} with its schedule, logs, alarms and dashboard: no "
        "snapshot is made or pruned any more. Snapshots and tokens stay."
    )
    if machine := stack.outputs.get("SnapshotRunArn"):
        running = account.client("stepfunctions").list_executions(
            stateMachineArn=machine, statusFilter="RUNNING"
        )["executions"]
        for execution in running:
            yield (
                f"The run {execution['name']} is going on: it would break off. What Hetzner has "
                "begun is ended there, and nothing is pruned."
            )


def _delete(settings: Settings, account: Account) -> None:
    sources = find_stack(account, SAM_STACK)
    bucket = sources.outputs.get("SourceBucket") if sources else None
    sam(
        "delete",
        [
            *("--stack-name", settings.stack, "--region", account.region, "--no-prompts"),
            *(("--s3-bucket", bucket, "--s3-prefix", settings.stack) if bucket else ()),
        ],
        DELETE_SECONDS,
    )
    deadline = time.monotonic() + GONE_SECONDS
    while stack := find_stack(account, settings.stack):
        if stack.status == "DELETE_FAILED" or time.monotonic() > deadline:
            raise Failed(
                f"The stack {stack.name} is {stack.status}. Its events in the CloudFormation "
                f"console say what is in the way; then {command('destroy', settings)} again."
            )
        time.sleep(POLL_SECONDS)


def _what_stays(
    settings: Settings, account: Account, stack: Stack, tokens: list[str]
) -> Iterator[str]:
    owner = stack.parameters.get("Owner") or stack.name
    images = f"hcloud image list -t snapshot -l hetzner-snapshots/managed-by={owner}"
    yield "the snapshots at Hetzner, which cost what they cost. To list them, project by project:"
    yield f"    {images}"
    yield "  and to delete them for ever:"
    yield f"    hcloud image delete $({images} -o noheader -o columns=id)"
    for name in tokens:
        yield f"the token {name} in SSM (another stack may use it). To remove it:"
        yield f"    aws ssm delete-parameter --region {account.region} --name {name}"
    yield "the API tokens themselves: delete them in the Hetzner console, Security, API tokens"
    if settings.last_deploy:
        again = command("deploy", settings)
        yield f"the answers in {settings.samconfig.name}, for the next {again}"
    yield f"SAM's bucket for uploads, in the stack {SAM_STACK}, which other SAM applications share"
