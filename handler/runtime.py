"""What a container keeps between invocations: logger, settings, clients, tokens."""

import json
import os
import re
from collections.abc import Iterable
from datetime import timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.buffer import LoggerBufferConfig
from aws_lambda_powertools.utilities.parameters import SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import ClientError

from document import format_time
from hetzner import Busy, Hetzner, Trouble, Unauthorized, client_for
from job import Job
from settings import ApiSettings, RunSettings, SummarySettings

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

TOKEN_CACHE_SECONDS = 300
# A read of the token, a request that times out, and something to spare.
ONE_REQUEST_MS = 40_000
# One try each: what to do about trouble is decided in the states.
AWS_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1})
FINAL_SSM_ERRORS = ("ParameterNotFound", "AccessDeniedException", "InvalidKeyId")

# Of the detail at DEBUG a line is kept back, and written only if the invocation meets an error;
# what exceeds the buffer drops the oldest. With LogLevel DEBUG all of it is written at once.
DETAIL_BYTES = 200_000
AT_ONCE = os.environ.get("POWERTOOLS_LOG_LEVEL") == "DEBUG"

logger = Logger(
    utc=True, buffer_config=None if AT_ONCE else LoggerBufferConfig(max_bytes=DETAIL_BYTES)
)
# One session for each token and address; more than one only after a token was changed.
hcloud_client = lru_cache(maxsize=64)(client_for)


@cache
def run_settings() -> RunSettings:
    return RunSettings.from_env(os.environ)


@cache
def api_settings() -> ApiSettings:
    return ApiSettings.from_env(os.environ)


@cache
def summary_settings() -> SummarySettings:
    return SummarySettings.from_env(os.environ)


@cache
def step_functions() -> "SFNClient":
    return boto3.client("stepfunctions", config=AWS_CONFIG)


@cache
def sns() -> Any:
    return boto3.client("sns", config=AWS_CONFIG)


@cache
def ssm() -> "SSMClient":
    return boto3.client("ssm", config=AWS_CONFIG)


# It takes 60 ms of a whole CPU, which Lambda gives while it starts a container and not after that.
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    ssm()


@cache
def _parameters() -> SSMProvider:
    return SSMProvider(boto3_client=ssm())


def hetzner_for(project: str, context: LambdaContext) -> Hetzner:
    """The project's API for this invocation. The token is read with the first request.

    No request starts that could outlive the invocation: what has been done must still be said.
    """
    settings = api_settings()
    parameter = f"{settings.token_path}/{project}"

    return Hetzner(
        lambda: hcloud_client(_token(parameter), settings.hetzner_endpoint),
        parameter,
        lambda: context.get_remaining_time_in_millis() < ONE_REQUEST_MS,
        lambda: hcloud_client(_token(parameter, anew=True), settings.hetzner_endpoint),
        logger.debug,
    )


def put_metrics(lines: Iterable[dict[str, Any]]) -> None:
    """Writes lines in the embedded metric format: CloudWatch makes metrics of them."""
    for line in lines:
        print(json.dumps(line))


def put_parameter_command(parameter: str) -> str:
    """The one-liner that stores a token without it being seen or kept in the shell's history."""
    return (
        "read -rs TOKEN && aws ssm put-parameter --type SecureString --overwrite "
        f'--name {parameter} --value "$TOKEN"; unset TOKEN'
    )


def _token(parameter: str, anew: bool = False) -> str:
    """The token, without the newline that pasting leaves. Raises Unauthorized or Trouble."""
    try:
        text = str(
            _parameters().get(
                parameter, decrypt=True, max_age=TOKEN_CACHE_SECONDS, force_fetch=anew
            )
        )
    except GetParameterError as error:
        cause = error.__context__
        code = cause.response["Error"]["Code"] if isinstance(cause, ClientError) else ""
        if code in FINAL_SSM_ERRORS:
            raise Unauthorized(
                f"the token in the SSM parameter {parameter} cannot be read ({code}); store it "
                f"with: {put_parameter_command(parameter)}"
            ) from None
        kind = Busy if code == "ThrottlingException" else Trouble
        raise kind(f"SSM does not give {parameter}: {code or type(cause).__name__}") from None
    token = text.strip()
    # Anything else could not stand in a header, and the error would quote it.
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):
        raise Unauthorized(
            f"the SSM parameter {parameter} holds no API token (a token is letters and digits); "
            f"store it with: {put_parameter_command(parameter)}"
        )
    return token


def job_from(event: dict[str, Any]) -> Job:
    """The job in a state's input; every log line from here on names its run and server."""
    job = Job.from_dict(event)
    logger.append_keys(
        run_id=job.run.id, project=job.run.project, server=job.server.name, server_id=job.server.id
    )
    logger.debug(f"{job.server.name}: input", extra={"input": event})
    return job


def output_of(job: Job) -> dict[str, Any]:
    """The state's output; logged in one line: where the server stands, why, what comes next."""
    until = job.watch.now and job.watch.now + timedelta(seconds=job.wait_seconds)
    at = f" at {until:%H:%M:%S}Z" if until else ""
    then = f", again{at} (in {job.wait_seconds} s)" if job.wait_seconds else ""
    colon = f": {job.reason}" if job.reason else ""
    # An error brings the detail that was kept back.
    log = logger.error if job.status == "failed" else logger.info
    log(
        str(job.result) if job.result else f"{job.server.name}: {job.status}{then}{colon}",
        extra={
            "status": job.status,
            "reason": job.reason,
            "wait_seconds": job.wait_seconds,
            "until": format_time(until) if job.wait_seconds else None,
            "now": format_time(job.watch.now),
            "elapsed_s": job.watch.elapsed_s,
            "waited_s": job.waited_s if job.waited_s is not None else job.watch.elapsed_s,
            "requests_left": job.requests_left,
        },
    )
    return job.to_dict()
