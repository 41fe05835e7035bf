"""The tokens in SSM: read with decryption, cached for some minutes, never logged or returned."""

import re
from functools import cache

from aws_lambda_powertools.utilities.parameters import SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.exceptions import ClientError

from handler.aws.clients import ssm
from handler.documents.errors import RateLimited, TransientError, Unauthorized

TOKEN_CACHE_SECONDS = 300
FINAL_SSM_ERRORS = ("ParameterNotFound", "AccessDeniedException", "InvalidKeyId")


def put_parameter_command(parameter: str) -> str:
    """The command that stores a token: in no shell history and in no list of processes."""
    return (
        'read -rs TOKEN && printf %s "$TOKEN" | aws ssm put-parameter --type SecureString '
        f"--overwrite --name {parameter} --value file:///dev/stdin; unset TOKEN"
    )


@cache
def parameters() -> SSMProvider:
    return SSMProvider(boto3_client=ssm())


def token_in(parameter: str, anew: bool = False) -> str:
    """The token, without the newline that pasting leaves.

    `anew`: read from SSM, not from the cache. Raises Unauthorized, TransientError or RateLimited.
    """
    try:
        text = str(
            parameters().get(parameter, decrypt=True, max_age=TOKEN_CACHE_SECONDS, force_fetch=anew)
        )
    except GetParameterError as error:
        cause = error.__context__
        code = cause.response["Error"]["Code"] if isinstance(cause, ClientError) else ""
        if code in FINAL_SSM_ERRORS:
            raise Unauthorized(
                f"the token in the SSM parameter {parameter} cannot be read ({code}); store it "
                f"with: {put_parameter_command(parameter)}"
            ) from None
        kind = RateLimited if code == "ThrottlingException" else TransientError
        raise kind(f"SSM does not give {parameter}: {code or type(cause).__name__}") from None
    token = text.strip()
    # Other characters are not allowed in a header, and the error would quote the token.
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):
        raise Unauthorized(
            f"the SSM parameter {parameter} holds no API token (a token is letters and digits); "
            f"store it with: {put_parameter_command(parameter)}"
        )
    return token
