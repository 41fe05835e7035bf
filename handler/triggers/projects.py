"""The Hetzner projects: each has a token below the token path in SSM."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handler.aws.tokens import put_parameter_command
from handler.documents.request import PROJECT, EventRefused

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class NoProjects(Exception):
    """No token is stored; the message says how to store one."""


@dataclass(frozen=True, slots=True)
class Projects:
    """The projects found under the token path, and what is wrong there."""

    names: tuple[str, ...]
    warnings: tuple[str, ...]  # wrong, but runs are possible
    unusable: tuple[str, ...]  # wrong, and no run is possible


def choose(projects: Projects, token_path: str, project: str | None, field: str) -> tuple[str, ...]:
    """The projects that an event is for: the one that it names, or all.

    `field` names what is in one project only, if the event has that. Raises EventRefused or
    NoProjects.
    """
    if project is not None and project not in projects.names:
        raise EventRefused(
            f"The field project is {json.dumps(project)}; accepted are: "
            f"{', '.join(projects.names) or 'none, there is no token yet'}. Nothing was started."
        )
    chosen = (project,) if project else projects.names
    if not chosen and not projects.unusable:
        command = put_parameter_command(f"{token_path}/default")
        raise NoProjects(
            f"There is no Hetzner API token under {token_path}. Make one with read and "
            f"write permission in the Hetzner console and store it with: {command}"
        )
    if field and len(chosen) > 1:
        raise EventRefused(
            f"The field {field} needs the field project beside it, there are several: "
            f"{', '.join(chosen)}. Nothing was started."
        )
    return chosen


def find_projects(ssm: "SSMClient", token_path: str) -> Projects:
    """The parameters directly below the path, one project each. Reads no token."""
    names, warnings, unusable = [], [], []
    for parameter in _parameters(ssm, token_path):
        full = parameter["Name"]
        name = full.removeprefix(token_path + "/")
        if not PROJECT.fullmatch(name):
            unusable.append(
                f"the SSM parameter {full} is no project: its name must be right below "
                f"{token_path} and have 1 to 29 letters, digits and dashes"
            )
            continue
        if parameter["Type"] != "SecureString":
            warnings.append(
                f"the SSM parameter {full} is a {parameter['Type']}, readable without "
                f"decryption; store it again with: aws ssm delete-parameter --name {full}; "
                f"{put_parameter_command(full)}"
            )
        names.append(name)
    return Projects(tuple(sorted(names)), tuple(warnings), tuple(unusable))


def _parameters(ssm: "SSMClient", token_path: str) -> Iterator[Any]:
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path=token_path, Recursive=True, WithDecryption=False
    )
    for page in pages:
        yield from page["Parameters"]
