"""Nothing is done unasked in another account or region than that of the last `make deploy`."""

from deploy.account import Account, find_stack
from deploy.settings import Settings
from deploy.terminal import agreed, has_terminal
from local.common.variables import Unusable


def agree_to_account(settings: Settings, account: Account) -> None:
    """For what acts on a stack that is there. Raises Unusable if it is another account's."""
    last = settings.last_deploy
    if last is None or last.account in (None, account.id):
        return
    _agree(
        settings,
        f"The last `make deploy` of {settings.stack} was in the account {last.account}; these "
        f"credentials are of the account {account.id}.",
        "Go on there?",
        "Use the credentials of the other (AWS_PROFILE=name).",
    )


def agree_to_place(settings: Settings, account: Account, owner: str) -> None:
    """For `make deploy`. Raises Unusable if it would make a second stack and nobody wants that."""
    last = settings.last_deploy
    if last is None:
        return
    other_account = last.account not in (None, account.id)
    other_region = last.region not in (None, account.region)
    if not other_account and not other_region:
        return
    was = f"in {last.region or account.region}"
    if last.account:
        was += f" of the account {last.account}"
    if last.account == account.id and find_stack(account, settings.stack, last.region) is None:
        print(f"The stack that was deployed {was} is gone. This one takes its place.")
        return
    _agree(
        settings,
        f"The last `make deploy` of {settings.stack} was {was}; this is {account.region} of the "
        f"account {account.id}. With both there, both snapshot the same servers, and since both "
        f"have the owner {owner}, each deletes the other's snapshots by its own policy. "
        f"{settings.samconfig.name} would from now on hold the answers of the new one.",
        "Deploy there all the same?",
        "To change the stack that there is, use its credentials (AWS_PROFILE=name) and "
        f"REGION={last.region or account.region}. A second stack gets a name of its own: "
        "`make deploy STACK=name`.",
    )


def _agree(settings: Settings, situation: str, question: str, remedy: str) -> None:
    # YES=1 does not answer this: scripts say it always, whatever credentials they run with.
    if not has_terminal():
        raise Unusable(
            f"{situation} Nothing was done. {remedy} If you mean this place, say so at a terminal, "
            f"or keep its answers in a file of its own: SAMCONFIG=name.toml."
        )
    print(situation)
    if not agreed(question):
        raise Unusable(f"Nothing was done. {remedy}")
