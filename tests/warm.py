"""What boto3 and moto would make anew for each test, and comes out the same each time.

Nothing that a test could leave behind is kept: a client holds no state, a parsed definition is only
read, and nothing is sent over the TLS that is never used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
from antlr4 import CommonTokenStream, InputStream, ParserRuleContext
from botocore import httpsession
from moto.stepfunctions.parser.asl.antlr.runtime.ASLLexer import ASLLexer
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.parse.asl_parser import (
    AmazonStateLanguageParser,
    ASLParserException,
    SyntaxErrorListener,
)
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor


@contextmanager
def warm() -> Iterator[None]:
    """Inside of mock_aws, which takes boto3's session away."""
    with (
        patch("boto3.DEFAULT_SESSION", _session()),
        patch.object(httpsession, "create_urllib3_context", _tls),
        patch.object(lambda_eval_utils, "boto_client_for", _client_for),
        patch.object(AmazonStateLanguageParser, "parse", _parsed),
    ):
        yield


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()


_new_tls, _new_client = httpsession.create_urllib3_context, lambda_eval_utils.boto_client_for


@cache
def _tls() -> Any:
    return _new_tls()


def _client_for(region: str, service: str, state_credentials: Any = None) -> Any:
    """moto heeds no state's credentials either."""
    return _client(region, service)


@cache
def _client(region: str, service: str) -> Any:
    return _new_client(region, service)


def _parsed(definition: str) -> tuple[Any, ParserRuleContext]:
    tree = _tree(definition)
    return Preprocessor().visit(tree), tree


@cache
def _tree(definition: str) -> ParserRuleContext:
    """As moto's parser does it, which makes a program of the tree every time."""
    errors = SyntaxErrorListener()
    parser = ASLParser(CommonTokenStream(ASLLexer(InputStream(definition))))
    parser.removeErrorListeners()
    parser.addErrorListener(errors)
    tree = parser.state_machine()
    if errors.errors:
        raise ASLParserException(errors=errors.errors)
    return tree
