"""AWS's errors explained, with what to do about them."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    InvalidRegionError,
    MissingDependencyException,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

HOW_TO_LOG_IN = (
    "Name a profile of ~/.aws/config with AWS_PROFILE=name, make one with `aws configure` or "
    "`aws configure sso`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)
NOT_TAKEN = ("InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException",
    "AuthFailure", "InvalidAccessKeyId")  # fmt: skip
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def explain(error: BotoCoreError | ClientError) -> str:
    """One or two sentences. They hold no secret: AWS's own messages have none."""
    match error:
        case NoCredentialsError():
            return f"There are no AWS credentials here. {HOW_TO_LOG_IN}"
        case PartialCredentialsError():
            return f"Half of the AWS credentials is missing ({error}). {HOW_TO_LOG_IN}"
        case ProfileNotFound():
            return f"{error}. `aws configure list-profiles` lists those there are."
        case MissingDependencyException():
            return (
                "This AWS profile is one of `aws login`, which the AWS library here cannot read. "
                'Pass its credentials on: eval "$(aws configure export-credentials --format env)"'
            )
        case SSOError() | TokenRetrievalError() | CredentialRetrievalError():
            return f"The AWS credentials cannot be had: {error}. `aws sso login` may renew them."
        case NoRegionError():
            return (
                "Which AWS region? Say REGION=eu-central-1, for example: the one where the stack "
                "is, or is to be."
            )
        case InvalidRegionError() | ConnectionError():
            return (
                f"AWS does not answer: {error}. Look whether the region is written as in "
                "REGION=eu-central-1, and whether this machine reaches the Internet."
            )
        case ClientError():
            return _explain_answer(error)
        case _:
            return f"AWS: {error}"


def _explain_answer(error: ClientError) -> str:
    code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in NOT_TAKEN:
        return f"AWS does not take these credentials ({code}). {HOW_TO_LOG_IN}"
    if code in EXPIRED:
        return f"The AWS credentials have expired ({code}). Log in again, as with `aws sso login`."
    if code in DENIED:
        return (
            f"AWS does not allow {error.operation_name} with these credentials: {said} "
            "Use credentials that may (AWS_PROFILE=name), or ask who looks after the account."
        )
    return f"AWS refused {error.operation_name}: {said} ({code})"
