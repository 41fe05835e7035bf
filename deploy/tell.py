"""`make tell`: stores where messages go (Slack, Discord, Telegram, ntfy …) in SSM, and tries it.

An address is a secret: it is read from standard input or typed unseen, and never shown again.
"""

import getpass
import json
import sys
from collections.abc import Sequence

from botocore.exceptions import ClientError

from deploy.account import Account, Stack, command, connect, refuse_unready, stack_in
from deploy.elsewhere import agree_to_account
from deploy.reach import parameter_of, told_by
from deploy.settings import Settings
from deploy.terminal import agreed
from local.common.variables import Unusable
from tell.addresses import MOST_ADDRESSES, Address, NoAddress, address_of, lines_of

# What a standard parameter holds.
MOST_BYTES = 4096


def tell(settings: Settings) -> int:
    """0 if all is as asked, 1 if an address has not got the try."""
    # Before AWS is asked: see give_token.
    piped = None if sys.stdin.isatty() else sys.stdin.read(2 * MOST_BYTES)
    account = connect(settings)
    agree_to_account(settings, account)
    stack = stack_in(account, settings)
    refuse_unready(stack, settings)
    if not (function := stack.outputs.get("TellFunction")):
        raise Unusable(
            f"The stack {stack.name} is of an older version, which sends nothing to such "
            f"addresses. First {command('deploy', settings)}."
        )
    if settings.remove:
        return _remove(account, stack)
    stored = _stored(account, stack)
    print(said_of(stored))
    text = _typed(bool(stored)) if piped is None else piped
    if not lines_of(text):
        if piped is None and stored and agreed("Remove what is stored?"):
            return _remove(account, stack)
        print(
            "Nothing was given, so nothing was changed. One address a line, as in ntfy://topic; "
            f"to remove what is stored: {command('tell', settings, 'REMOVE=1')}."
        )
        return 0
    addresses = usable(text)
    version = _store(account, stack, addresses)
    print(
        f"Stored as the SSM parameter {parameter_of(stack)} (SecureString, version {version})"
        f"{', in place of what was' if stored else ''}: {_names(addresses)}."
    )
    sent = [_tried(account, function, at, each) for at, each in enumerate(addresses)]
    print(told_by(settings, account, stack))
    if all(sent):
        return 0
    print(f"To store others: {command('tell', settings)}. All of them, these are replaced.")
    return 1


def usable(text: str) -> list[Address]:
    """The addresses in what was typed or read. Raises Unusable, which quotes nothing of it."""
    lines = lines_of(text)
    if len(lines) > MOST_ADDRESSES:
        raise Unusable(f"More than {MOST_ADDRESSES} addresses, so nothing was stored.")
    if "\ufffd" in text or "\0" in text:
        raise Unusable("What was given is not text in UTF-8, so nothing was stored.")
    if len("\n".join(lines).encode()) > MOST_BYTES:
        raise Unusable(f"More than {MOST_BYTES} bytes of addresses, so nothing was stored.")
    addresses, refused = [], []
    for number, line in enumerate(lines, start=1):
        try:
            addresses.append(address_of(line))
        except NoAddress as error:
            refused.append(f"The address {number} is none: {error}.")
    if refused:
        raise Unusable("\n".join([*refused, "Nothing was stored."]))
    return addresses


def said_of(lines: Sequence[str]) -> str:
    """What is stored, by service and host alone."""
    if not lines:
        return "No address is stored."
    known = []
    for line in lines:
        try:
            known.append(address_of(line))
        except NoAddress:
            continue
    others = len(lines) - len(known)
    more = f"; {others} that Apprise does not take (any more)" if others else ""
    return f"Stored: {_names(known) or 'no address'}{more}."


def _names(addresses: Sequence[Address]) -> str:
    return ", ".join(address.where for address in addresses)


def _typed(replaces: bool) -> str:
    lines: list[str] = []
    print(
        "Type or paste one address after the other, unseen; an empty one ends. "
        f"{'They take the place of what is stored.' if replaces else ''}".strip()
    )
    while len(lines) <= MOST_ADDRESSES:
        if not (line := getpass.getpass(f"Address {len(lines) + 1}: ").strip()):
            break
        lines.append(line)
    return "\n".join(lines)


def _stored(account: Account, stack: Stack) -> list[str]:
    try:
        answer = account.client("ssm").get_parameter(Name=parameter_of(stack), WithDecryption=True)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return []
        raise
    return lines_of(answer["Parameter"]["Value"])


def _store(account: Account, stack: Stack, addresses: Sequence[Address]) -> int:
    answer = account.client("ssm").put_parameter(
        Name=parameter_of(stack),
        Value="\n".join(address.url for address in addresses),
        Type="SecureString",
        Overwrite=True,
    )
    return int(answer["Version"])


def _remove(account: Account, stack: Stack) -> int:
    try:
        account.client("ssm").delete_parameter(Name=parameter_of(stack))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        print("No address was stored.")
        return 0
    print(
        f"The SSM parameter {parameter_of(stack)} is removed: messages go to no address any more."
    )
    return 0


def _tried(account: Account, function: str, position: int, address: Address) -> bool:
    """Whether the service has taken a try, which Tell sends from AWS; says what became of it."""
    # A second attempt would be a second message.
    answer = account.client("lambda", attempts=1).invoke(
        FunctionName=function, Payload=json.dumps({"try": position}).encode()
    )
    found = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        # Not its message: whatever went wrong, no piece of an address is shown.
        failed = f"Tell ended with an error ({found.get('errorType')}); its log says more"
    else:
        failed = found["failed"]
    print(f"  {address.where}: {f'NOT sent: {failed}' if failed else 'a try was sent'}.")
    return not failed
