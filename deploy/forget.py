"""`make forget`: a project is no longer to be saved: its token goes, and the watch forgets it."""

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import (
    Account,
    Failed,
    Stack,
    command,
    connect,
    owner_of,
    refuse_unready,
    stack_in,
)
from deploy.elsewhere import agree_to_account
from deploy.running import runs_going_on, told
from deploy.settings import Settings
from deploy.terminal import agreed, has_terminal
from deploy.tokens import stored_tokens
from deploy.trouble import explain
from deploy.watch import Refused, ask_watch, function_of
from local.common.variables import Unusable


def forget(settings: Settings) -> int:
    if not settings.names_project:
        raise Unusable("Which project? Say PROJECT=name. `make status` shows those that there are.")
    account = connect(settings)
    agree_to_account(settings, account)
    stack = stack_in(account, settings)
    refuse_unready(stack, settings)
    function_of(stack, settings)  # else the token would be gone, and nothing forgotten
    name = f"{stack.parameters['TokenPath']}/{settings.project}"
    has_token = name in stored_tokens(account, stack)
    removes = has_token and not settings.keep_token
    if removes:
        _refuse_while_it_runs(account, stack, settings)
    _explain(stack, settings, name, has_token)
    if not _agreed(settings):
        print("Nothing was changed.")
        return 1
    if removes:  # one may have begun while the question stood
        _refuse_while_it_runs(account, stack, settings)
    # In this order: if the second step fails, the project is told as overdue until it is forgotten.
    # In the other, it would be learned anew by its token.
    if removes:
        _remove(account, name)
        print(f"The SSM parameter {name} is removed.")
        print(_forgotten(account, stack, settings))
        print(
            "The API token itself is still good: delete it in the Hetzner console, Security, API "
            "tokens. The project's snapshots stay, and cost what they cost: hcloud image list -t "
            f"snapshot -l hetzner-snapshots/managed-by={owner_of(stack)}"
        )
    else:
        ask_watch(account, stack, settings, {"forget": settings.project})
        print(f"The project {settings.project} is forgotten.")
    return 0


def _forgotten(account: Account, stack: Stack, settings: Settings) -> str:
    """Of a project whose token is gone already. Raises Failed, which says that."""
    try:
        ask_watch(account, stack, settings, {"forget": settings.project})
    except Refused:
        return "The watch had not seen the project yet, so there was nothing to forget."
    except (Failed, BotoCoreError, ClientError) as error:
        why = str(error) if isinstance(error, Failed) else explain(error)
        again = command("forget", settings, f"PROJECT={settings.project}")
        raise Failed(
            f"{why} The token is removed, but the project is not forgotten, so it will be told as "
            f"overdue. When that is mended, {again} once more."
        ) from None
    return f"The project {settings.project} is forgotten."


def _refuse_while_it_runs(account: Account, stack: Stack, settings: Settings) -> None:
    mine = [
        run
        for run in runs_going_on(account, stack)
        if run.name.split("_")[1:2] == [settings.project]
    ]
    if mine:
        raise Unusable(
            f"{told(mine)} Without its token it would break off, so nothing was changed. Try again "
            "when it has ended."
        )


def _explain(stack: Stack, settings: Settings, name: str, has_token: bool) -> None:
    project = settings.project
    if not has_token:
        print(
            f"The project {project} has no token in {name}. Forgotten, it is no longer told as "
            "overdue."
        )
    elif settings.keep_token:
        print(
            f"The watch forgets the project {project} and learns it anew at its next look: from "
            "then on what its token shows is how it is meant to be."
        )
    else:
        print(
            f"This removes the token {name} of the project {project}: the stack {stack.name} makes "
            "and prunes no snapshot of it any more, and nobody is told that it has none. Its "
            "snapshots stay."
        )


def _agreed(settings: Settings) -> bool:
    """Raises Unusable if nobody can say."""
    if settings.yes:
        return True
    words = f"PROJECT={settings.project}{' KEEP_TOKEN=1' if settings.keep_token else ''} YES=1"
    if not has_terminal():
        raise Unusable(
            "Nobody is there to be asked, so nothing was changed. If you mean it: "
            f"{command('forget', settings, words)}."
        )
    return agreed(f"Forget the project {settings.project}?")


def _remove(account: Account, name: str) -> None:
    ssm = account.client("ssm")
    try:
        ssm.delete_parameter(Name=name)
    except ssm.exceptions.ParameterNotFound:
        return  # somebody else was faster
