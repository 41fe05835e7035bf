"""The clients for AWS: made once in a container, one try each."""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

# No retries here: what to do about errors is decided in the states.
AWS_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1})


@cache
def step_functions() -> "SFNClient":
    return boto3.client("stepfunctions", config=AWS_CONFIG)


@cache
def sns() -> Any:
    return boto3.client("sns", config=AWS_CONFIG)


@cache
def functions() -> Any:
    return boto3.client("lambda", config=AWS_CONFIG)


@cache
def ssm() -> "SSMClient":
    return boto3.client("ssm", config=AWS_CONFIG)


# Takes 60 ms of a full CPU. Lambda gives a full CPU only while it starts a container.
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    ssm()
