"""The parameters that hold the tokens; never shows what is in one."""

from botocore.exceptions import ClientError

from deploy.account import Account, Stack
from deploy.trouble import DENIED
from local.common.variables import Unusable

# What SSM says of a parameter that these credentials, or nobody, can decrypt.
UNREADABLE = (*DENIED, "InvalidKeyId")
GONE = "ParameterNotFound"


def stored_tokens(account: Account, stack: Stack) -> list[str]:
    """The names of the parameters that hold the tokens; reads no token."""
    pages = (
        account.client("ssm")
        .get_paginator("get_parameters_by_path")
        .paginate(Path=stack.parameters["TokenPath"], WithDecryption=False)
    )
    return [parameter["Name"] for page in pages for parameter in page["Parameters"]]


def refuse_second_name(account: Account, stack: Stack, name: str, token: str) -> str:
    """Raises Unusable if another parameter holds the token; says what could not be looked at."""
    unread = []
    try:
        for other in stored_tokens(account, stack):
            if other != name and not _differs(account, other, token):
                unread.append(other)
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        unread.append("their list")
    if not unread:
        return ""
    named = ", ".join(unread[:3]) + (f" and {len(unread) - 3} more" if len(unread) > 3 else "")
    return (
        "Whether this token is stored under another name already could not be checked: with these "
        f"credentials SSM does not give {named}. One Hetzner project under two names would have "
        "two runs a night, each of which may delete MaxDeletions."
    )


def _differs(account: Account, other: str, token: str) -> bool:
    """False if it may not be read. Raises Unusable if it holds the token."""
    try:
        stored = account.client("ssm").get_parameter(Name=other, WithDecryption=True)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in UNREADABLE or code == GONE:
            return code == GONE
        raise
    if stored["Parameter"]["Value"].strip() == token:
        raise Unusable(
            f"This token is stored already, as the SSM parameter {other}, so nothing was stored. "
            "One Hetzner project under two names would have two runs a night, each of which may "
            "delete MaxDeletions. For another project give a token that was made in that one. To "
            "give this project another name, first remove the one it has: "
            f"`aws ssm delete-parameter --region {account.region} --name {other}`."
        )
    return True
