"""`make destroy`: removes the stack, and says what remains."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from botocore.exceptions import ClientError

from deploy.account import (
    Account,
    Failed,
    Stack,
    command,
    connect,
    find_stack,
    owner_of,
    stack_in,
    stacks_of_owner,
)
from deploy.bring import profile_of, sam
from deploy.elsewhere import agree_to_account
from deploy.reach import addresses_stored, parameter_of
from deploy.running import runs_going_on, stop, told
from deploy.settings import Settings
from deploy.terminal import agreed, has_terminal
from deploy.tokens import stored_tokens
from deploy.trouble import DENIED
from handler.decisions.isolating import firewall_name
from local.common.variables import Unusable

DELETE_SECONDS = 3600
GONE_SECONDS = 300
POLL_SECONDS = 2.0
# The stack of the bucket for uploads of `sam deploy --resolve-s3`, one per account and region.
SAM_STACK = "aws-sam-cli-managed-default"


def destroy(settings: Settings) -> int:
    account = connect(settings)
    agree_to_account(settings, account)
    stack = stack_in(account, settings)
    runs = runs_going_on(account, stack)
    print(
        f"This removes the stack {stack.name} in {account.region} with its schedule, logs, alarms "
        "and dashboard: no snapshot is made or pruned any more. Snapshots and tokens stay."
    )
    if runs:
        print(
            f"{told(runs)} A removal has to stop that before: snapshots that Hetzner has begun are "
            "finished there, and nothing is pruned."
        )
    if any(run.kind == "restore" for run in runs):
        print(
            "A drill that is stopped leaves its copy at Hetzner, which goes on costing. Better let "
            "it end."
        )
    if not _agreed(settings, stack, bool(runs)):
        print("Nothing was removed.")
        return 1
    # Read before the removal, so that it can be printed even if something fails.
    secrets = stored_tokens(account, stack) + _addresses(account, stack)
    same_owner = _others_of_owner(account, stack)
    now = runs_going_on(account, stack)
    if begun := [run for run in now if run not in runs]:
        raise Unusable(f"{told(begun)} Begun meanwhile, so nothing was removed. Try again.")
    stop(account, now)
    stays = [f"  {line}" for line in _what_stays(settings, account, stack, secrets, same_owner)]
    try:
        _delete(settings, account)
    except BaseException:
        # A second `make destroy` may find no stack any more of which it could say this.
        print(f"\nWhat stays, whether the stack {stack.name} is gone or not:", *stays, sep="\n")
        raise
    print(f"\nThe stack {stack.name} is gone. What stays:", *stays, sep="\n")
    return 0


def _agreed(settings: Settings, stack: Stack, runs_go_on: bool) -> bool:
    """Whether to remove it, and to stop what goes on. Raises Unusable if nobody can say."""
    asks_removal = not settings.yes
    asks_stop = runs_go_on and not settings.stop
    if (asks_removal or asks_stop) and not has_terminal():
        words, later = "YES=1", ""
        if runs_go_on:
            words, later = "YES=1 STOP=1", " To let the runs end, try again later."
        raise Unusable(
            "Nobody is there to be asked, so nothing was removed. If you mean it: "
            f"{command('destroy', settings, words)}.{later}"
        )
    if asks_removal and not agreed(f"Remove the stack {stack.name}?"):
        return False
    return not asks_stop or agreed("Stop what is going on first?")


def _others_of_owner(account: Account, stack: Stack) -> list[str]:
    """Those in this region; none if the credentials may not list stacks."""
    try:
        names = stacks_of_owner(account, owner_of(stack))
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        return []
    return [name for name in names if name != stack.name]


def _addresses(account: Account, stack: Stack) -> list[str]:
    """The parameter of `make tell`, also if these credentials may not say whether there is one."""
    try:
        return [parameter_of(stack)] if addresses_stored(account, stack) else []
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        return [parameter_of(stack)]


def _delete(settings: Settings, account: Account) -> None:
    sources = find_stack(account, SAM_STACK)
    bucket = sources.outputs.get("SourceBucket") if sources else None
    arguments = [
        *("--stack-name", settings.stack, "--region", account.region, "--no-prompts"),
        *(("--s3-bucket", bucket, "--s3-prefix", settings.stack) if bucket else ()),
        *profile_of(settings),
    ]
    with tempfile.TemporaryDirectory() as folder:
        # SAM would take what is not said here, a profile for example, from samconfig.toml.
        nothing = Path(folder) / "samconfig.toml"
        nothing.write_text("version = 0.1\n")
        try:
            sam("delete", [*arguments, "--config-file", str(nothing)], DELETE_SECONDS)
        except Failed as failure:
            # SAM empties its bucket first, and without one it never comes to the stack.
            raise Failed(
                f"{failure} If it says NoSuchBucket, SAM's bucket for uploads was removed; "
                "the stack goes without it: `aws cloudformation delete-stack --region "
                f"{account.region} --stack-name {settings.stack}`."
            ) from None
    deadline = time.monotonic() + GONE_SECONDS
    while stack := find_stack(account, settings.stack):
        if stack.status == "DELETE_FAILED" or time.monotonic() > deadline:
            raise Failed(
                f"The stack {stack.name} is {stack.status}. Its events in the CloudFormation "
                f"console say what is in the way; then {command('destroy', settings)} again."
            )
        time.sleep(POLL_SECONDS)


def _what_stays(
    settings: Settings, account: Account, stack: Stack, secrets: list[str], same_owner: list[str]
) -> Iterator[str]:
    owner = owner_of(stack)
    images = f"hcloud image list -t snapshot -l hetzner-snapshots/managed-by={owner}"
    yield "the snapshots at Hetzner, which cost what they cost. To list them, project by project:"
    yield f"    {images}"
    if same_owner:
        yield (
            f"  They are also those of {', '.join(same_owner)}, which has the same owner {owner}: "
            "do not delete them."
        )
    else:
        yield f"  and, if no other stack anywhere has the owner {owner}, to delete them for ever:"
        yield f"    hcloud image delete $({images} -o noheader -o columns=id)"
    if stack.parameters.get("Restores") == "true":
        yield "the servers that restores have made, and copies of drills that were broken off:"
        yield f"    hcloud server list -l hetzner-snapshots/managed-by={owner}"
        yield f"the firewall {firewall_name(owner)} in each project, which costs nothing"
    for name in secrets:
        if name == parameter_of(stack):
            yield f"the addresses of `make tell`, if stored, {name} in SSM. To remove them:"
        else:
            yield f"the token {name} in SSM (another stack may use it). To remove it:"
        yield f"    aws ssm delete-parameter --region {account.region} --name {name}"
    yield "the API tokens themselves: delete them in the Hetzner console, Security, API tokens"
    if settings.last_deploy:
        again = command("deploy", settings)
        yield f"the answers in {settings.samconfig.name}, for the next {again}"
    yield f"SAM's bucket for uploads, in the stack {SAM_STACK}, which other SAM applications share"
