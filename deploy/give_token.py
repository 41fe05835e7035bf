"""`make token`: tries a Hetzner project's API token and stores it in SSM; never shows it."""

import getpass
import re
import sys
from typing import Literal

import requests
from hcloud import APIException, Client

from deploy.account import Account, command, connect, refuse_unready, stack_in
from deploy.elsewhere import agree_to_account
from deploy.settings import Settings
from deploy.tokens import refuse_second_name
from handler.hetzner.api import client_for
from handler.hetzner.redaction import Redaction
from local.common.variables import Unusable

TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+", re.ASCII)
MOST_CHARACTERS = 4096
# The largest integer that is exact in every JSON parser; no image has an id near it.
NO_IMAGE = 2**53 - 1
HETZNER = "https://api.hetzner.cloud/v1"
WHERE = (
    "Make one with read and write permission: Hetzner console, the project, Security, API tokens"
)


def give_token(settings: Settings) -> int:
    # Before AWS is asked: without a terminal botocore would take the token for the answer to its
    # question for an MFA code.
    piped = None if sys.stdin.isatty() else sys.stdin.read(MOST_CHARACTERS + 1)
    account = connect(settings)
    agree_to_account(settings, account)
    stack = stack_in(account, settings)
    refuse_unready(stack, settings)
    name = f"{stack.parameters['TokenPath']}/{settings.project}"
    endpoint = stack.parameters["HetznerEndpoint"]
    if endpoint != HETZNER:
        print(f"The token is sent to {endpoint}, which is not Hetzner's address.")
    question = f"API token of the Hetzner project {settings.project} (typed unseen): "
    token = usable(getpass.getpass(question) if piped is None else piped)
    if unchecked := refuse_second_name(account, stack, name, token):
        print(unchecked)
    client = client_for(token, endpoint)
    print(f"It reads: {seen_with(client, token)}.")
    match may_write(client, token):
        case "yes":
            print("It may write.")
        case "no":
            raise Unusable(f"The token may only read, so it was not stored. {WHERE}.")
        case unclear:
            print(f"Whether it may write could not be told: {unclear}. It is stored all the same.")
    version = _store(account, name, token)
    print(f"Stored as the SSM parameter {name} (SecureString, version {version}).")
    print(f"Next: {command('smoke', settings)}.")
    return 0


def usable(text: str) -> str:
    """The token in what was typed or read. Raises Unusable."""
    token = text.strip()
    if not token:
        raise Unusable(f"No token was given, so nothing was stored. {WHERE}.")
    if "\ufffd" in token or "\0" in token:
        raise Unusable(
            "What was given is not text in UTF-8, so nothing was stored. PowerShell, for one, "
            "writes files in UTF-16: save the file as UTF-8, or type the token."
        )
    if len(token) > MOST_CHARACTERS or not TOKEN.fullmatch(token):
        raise Unusable(
            "This is no API token, so nothing was stored: a token is one word of letters and "
            f"digits. {WHERE}."
        )
    return token


def seen_with(client: Client, token: str = "") -> str:
    """What the project holds, to see whether it is the right one. Raises Unusable."""
    said = Redaction([token])
    try:
        answer = client.request("GET", "/servers", params={"per_page": 1}, allow_redirects=False)
        count, servers = answer["meta"]["pagination"]["total_entries"], answer["servers"]
    except APIException as error:
        why = said.text(str(error.message))
        if error.code == "unauthorized":
            raise Unusable(
                f"Hetzner does not take this token, so nothing was stored ({why}). "
                f"It may be cut off, deleted or of another service. {WHERE}."
            ) from None
        raise Unusable(_not_now(said.text(f"{error.message} ({error.code})"))) from None
    except (requests.RequestException, KeyError, TypeError) as error:
        raise Unusable(_not_now(type(error).__name__)) from None
    first = f", {servers[0]['name']} among them" if servers else ""
    if count is None:  # Hetzner may leave it out
        count = "some" if servers else 0
    return f"{count} server{'' if count == 1 else 's'}{first}"


def may_write(client: Client, token: str = "") -> Literal["yes", "no"] | str:
    """By a request that can change nothing; if that does not tell, what it was answered."""
    try:
        client.request("PUT", f"/images/{NO_IMAGE}", json={"labels": {}}, allow_redirects=False)
    except APIException as error:
        if error.code == "not_found":
            return "yes"
        if error.code in ("token_readonly", "forbidden", "unauthorized"):
            return "no"
        return Redaction([token]).text(f"Hetzner said {error.message} ({error.code})")
    except (requests.RequestException, KeyError, TypeError) as error:
        return f"no clear answer from Hetzner ({type(error).__name__})"
    return "Hetzner knows an image that cannot exist"


def _not_now(said: str) -> str:
    return (
        f"The token could not be tried, so nothing was stored: {said}. Try again in a while; "
        "https://status.hetzner.com tells of outages."
    )


def _store(account: Account, name: str, token: str) -> int:
    answer = account.client("ssm").put_parameter(
        Name=name, Value=token, Type="SecureString", Overwrite=True
    )
    return int(answer["Version"])
