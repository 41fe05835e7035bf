"""The template's parameters: which there are, and whether a value fits."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.common.schedule import schedule_problem, timezone_problem
from local.common.variables import Unusable

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

# More than "does not match": what exactly is wrong.
EXPLAINED = {"Schedule": schedule_problem, "ScheduleTimezone": timezone_problem}


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    default: str
    pattern: str
    choices: tuple[str, ...]
    limits: tuple[int, int] | None  # of a number
    longest: int | None  # of a text
    wanted: str  # in words

    def problem(self, value: str) -> str | None:
        """What is wrong with the value; None if AWS will accept it as written."""
        if self.choices and value not in self.choices:
            return f"{self.name} is {value!r}; it must be one of {', '.join(self.choices)}."
        if self.longest is not None and len(value) > self.longest:
            return (
                f"{self.name} is {value[:40]!r}... and has {len(value)} characters; "
                f"at most {self.longest} are possible."
            )
        if explain := EXPLAINED.get(self.name):
            problem = explain(value, self.pattern)
            return f"{self.name} is {value!r}: {problem}." if problem else None
        # In CloudFormation the pattern has to match the whole value.
        if self.pattern and not re.fullmatch(self.pattern, value):
            return f"{self.name} is {value!r}; it must be {self.wanted}."
        if self.limits:
            lowest, highest = self.limits
            if not (value.isascii() and value.isdecimal() and lowest <= int(value) <= highest):
                return f"{self.name} is {value!r}; it must be a number from {lowest} to {highest}."
        return None


class _Loader(yaml.SafeLoader):
    """Reads YAML with CloudFormation's short tags; their values are not used."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def template_parameters() -> dict[str, Parameter]:
    document: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=_Loader)
    return {
        name: Parameter(
            name=name,
            default=str(given.get("Default", "")),
            pattern=given.get("AllowedPattern", ""),
            choices=tuple(str(choice) for choice in given.get("AllowedValues", ())),
            limits=(given["MinValue"], given["MaxValue"]) if "MinValue" in given else None,
            longest=given.get("MaxLength"),
            wanted=given.get("ConstraintDescription", given.get("Description", "")),
        )
        for name, given in document["Parameters"].items()
    }


def check(values: Mapping[str, str]) -> None:
    """Raises Unusable for a wrong name or value; SAM would ignore an unknown name."""
    known = template_parameters()
    for name, value in values.items():
        if name not in known:
            raise Unusable(f"There is no parameter {name}. There are: {', '.join(known)}.")
        if problem := known[name].problem(value):
            raise Unusable(problem)


def parse_parameters(text: str) -> dict[str, str]:
    """The values of `PARAMETERS='A=b C="d e"'`. Raises Unusable if they cannot be read."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Unusable(f"PARAMETERS={text} cannot be read: {error}.") from None
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals:
            raise Unusable(
                f"In PARAMETERS, {name} has no value. An example: "
                """PARAMETERS='Retention=daily7-weekly4 Schedule="cron(0 3 * * ? *)"'"""
            )
    values = {name: value for name, _, value in pairs}
    for name in values:
        if sum(each == name for each, _, _ in pairs) > 1:
            raise Unusable(f"In PARAMETERS, {name} is there twice.")
    return values
