"""What each function asks of AWS: what its code can ask, read from the source, and what it did ask.

Reading follows names: from the handler to every name that it uses, module by module. It does not
follow objects, so a client may only be used under the name of the function that makes it, or as a
parameter with that function's type. Calls in any other way are reported by `unrecognised`.
"""

import ast
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3

from handler.aws import clients, tokens
from local.virtual.template import ACCOUNT, REGION, ROOT, Stack
from tests.aws import Aws

Node = tuple[str, str]  # module and name; "" is what a module does when it is imported
ON_IMPORT = ""
# Powertools' way to read a parameter.
PROVIDER, PROVIDED = "SSMProvider", {"get": "ssm:GetParameter"}
PAGED, WAITED = "get_paginator", "get_waiter"


@cache
def modules() -> dict[str, ast.Module]:
    paths = (path for folder in ("handler", "tell") for path in (ROOT / folder).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text())
        for path in paths
    }


@cache
def parts(module: str) -> dict[str, list[ast.stmt]]:
    """The statements behind each name of a module; the rest is behind ON_IMPORT."""
    found: dict[str, list[ast.stmt]] = defaultdict(list)
    for statement in modules()[module].body:
        names = [ON_IMPORT]
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names = [statement.name]
        elif isinstance(statement, ast.Assign):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        for name in names:
            found[name].append(statement)
    return found


@cache
def scope(module: str) -> dict[str, Node]:
    """What the names of a module stand for: its own and those it imports from ours."""
    known = {name: (module, name) for name in parts(module)}
    for statement in modules()[module].body:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                name = alias.asname or alias.name
                if f"{statement.module}.{alias.name}" in modules():
                    known[name] = (f"{statement.module}.{alias.name}", ON_IMPORT)
                elif statement.module in modules():
                    known[name] = (statement.module, alias.name)
    return known


def given(module: str, part: str) -> dict[str, Node]:
    """The parameters of a function that are clients, each with the getter of its type."""
    found = {}
    for function in (s for s in parts(module)[part] if isinstance(s, ast.FunctionDef)):
        for argument in function.args.args:
            if argument.annotation and (getter := typed().get(ast.dump(argument.annotation))):
                found[argument.arg] = getter
    return found


@cache
def typed() -> dict[str, Node]:
    """The getters by the type that they return."""
    return {
        ast.dump(statement.returns): (module, name)
        for module, name in getters()
        for statement in parts(module)[name]
        if isinstance(statement, ast.FunctionDef) and isinstance(statement.returns, ast.Constant)
    }


@cache
def getters() -> dict[Node, dict[str, str]]:
    """For each function that makes a client: the IAM action of each of the client's methods."""
    found = {}
    everything = [(module, *part) for module in modules() for part in parts(module).items()]
    for module, name, statements in everything:
        for call in (node for s in statements for node in ast.walk(s) if is_call(node, "client")):
            service = ast.literal_eval(call.args[0])
            client = boto3.client(
                service, REGION, aws_access_key_id="none", aws_secret_access_key="none"
            )
            prefix = client.meta.service_model.signing_name
            operations = client.meta.method_to_api_mapping.items()
            found[module, name] = {method: f"{prefix}:{op}" for method, op in operations}
        if any(is_call(node, PROVIDER) for s in statements for node in ast.walk(s)):
            found[module, name] = PROVIDED
    return found


def is_call(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called)):
            return called == name
    return False


def calls(module: str, part: str) -> Iterator[tuple[str, str]]:
    """Each method called in that part on a client from one of the getters, with its IAM action."""
    known = scope(module) | given(module, part)
    for node in (node for s in parts(module)[part] for node in ast.walk(s)):
        match node:
            case ast.Call(
                func=ast.Attribute(
                    attr=method, value=ast.Name(id=name) | ast.Call(func=ast.Name(id=name))
                )
            ):
                if actions := getters().get(known.get(name, (module, name))):
                    paged = method == PAGED and ast.literal_eval(node.args[0])
                    if action := actions.get(paged or method):
                        yield method, action


def unrecognised() -> list[str]:
    """Where a method of one of our clients is called on something that is not known to be one."""
    named = {method for actions in getters().values() for method in actions} - PROVIDED.keys()
    named |= {PAGED, WAITED}
    found = []
    for module in modules():
        methods = [
            node.func.attr
            for node in ast.walk(modules()[module])
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        seen = [method for part in parts(module) for method, _ in calls(module, part)]
        for method in named & set(methods):
            if methods.count(method) != seen.count(method):
                found.append(f"{module}: {method}")
    return found


def reached(start: Node) -> set[Node]:
    found: set[Node] = set()
    to_visit = [start]
    while to_visit:
        node = to_visit.pop()
        module, part = node
        if node in found or module not in modules():
            continue
        found.add(node)
        to_visit.append((module, ON_IMPORT))
        for inner in (inner for s in parts(module)[part] for inner in ast.walk(s)):
            match inner:
                case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                    other, _ = scope(module).get(name, (module, name))
                    if other != module:
                        to_visit.append((other, attribute))
                case ast.Name(id=name) if name in scope(module):
                    to_visit.append(scope(module)[name])
    return found


def actions_in_code(stack: Stack, function: str) -> set[str]:
    """The IAM actions behind all calls that the function's handler can reach."""
    start = (stack.module(function), "handler")
    return {action for node in reached(start) for _, action in calls(*node)}


def resource(action: str, asked: dict[str, Any]) -> str:
    """What IAM checks the action against, from the Service Authorization Reference.

    A * stands for names that are known only at run time: a project's or an execution's.
    """
    match action:
        case "ssm:GetParametersByPath":
            return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{asked['Path']}"
        case "ssm:GetParameter":
            path = asked["Name"].rpartition("/")[0]
            if not path:  # the watch's memory
                return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{asked['Name']}"
            return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{path}/*"
        case "ssm:PutParameter":
            return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{asked['Name']}"
        case "states:StartExecution" | "states:ListExecutions":
            return str(asked["stateMachineArn"])
        case "states:DescribeExecution":
            return str(asked["executionArn"]).rpartition(":")[0] + ":*"
        case "ssm:ListTagsForResource":
            return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{asked['ResourceId']}"
        case "lambda:Invoke":
            return str(asked["FunctionName"])
        case "sns:Publish" | "sns:GetTopicAttributes":
            return str(asked["TopicArn"])
    raise AssertionError(f"{action}: say here which resource IAM checks it against")


@contextmanager
def recorded(aws: Aws) -> Iterator[dict[str, set[tuple[str, str]]]]:
    """Per function the actions it really asks for and their resources, filled while it runs.

    Each invocation has a container of its own, so that no token is remembered.
    """
    made: dict[str, set[tuple[str, str]]] = defaultdict(set)
    running = threading.local()
    invoke = aws.invoke

    def watched(function: str, event: Any, request_id: str = "") -> Any:
        before, running.function = getattr(running, "function", None), function
        tokens.parameters.cache_clear()
        try:
            return invoke(function, event, request_id)
        finally:
            running.function = before

    def asked(params: dict[str, Any], model: Any, **_: Any) -> None:
        if function := getattr(running, "function", None):
            action = f"{model.service_model.signing_name}:{model.name}"
            made[function].add((action, resource(action, params)))

    for getter in (
        clients.ssm, clients.sns, clients.step_functions, clients.functions, tokens.parameters
    ):  # fmt: skip
        getter.cache_clear()
    boto3.setup_default_session()
    boto3._get_default_session().events.register("provide-client-params", asked)
    try:
        with patch.object(aws, "invoke", watched):
            yield made
    finally:
        boto3.setup_default_session()
