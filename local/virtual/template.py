"""The template as CloudFormation would read it with given parameters: short and incomplete.

Knows the functions template.yaml uses; anything else raises, so that a test cannot pass on a value
that was not resolved.
"""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ACCOUNT, REGION = "123456789012", "eu-central-1"
PSEUDO = {
    "AWS::StackName": "hetzner-snapshots",
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
}


# Their Ref is a name.
NAMED = ("AWS::CloudWatch::Dashboard", "AWS::Scheduler::ScheduleGroup")


class Tags(yaml.CSafeLoader):
    """YAML with CloudFormation's short tags, as {"Fn::Sub": …} and the like."""


def _tag(loader: Tags, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


Tags.add_multi_constructor("!", _tag)


def read_template() -> dict[str, Any]:
    # The loader is SafeLoader with tags that build plain dictionaries.
    template: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), Loader=Tags)
    return template


class Stack:
    """template.yaml with these parameters. A resource's Ref is its ARN, for some types its name."""

    def __init__(self, **parameters: str) -> None:
        self.template = read_template()
        defaults = {n: p["Default"] for n, p in self.template["Parameters"].items()}
        unknown = parameters.keys() - defaults
        assert not unknown, unknown
        self.parameters = {**defaults, **parameters}

    def resource(self, name: str) -> Any:
        return self.resolve(self.template["Resources"][name])

    def module(self, function: str) -> str:
        """The module that holds the function's handler."""
        handler = str(self.template["Resources"][function]["Properties"]["Handler"])
        return handler.rpartition(".")[0]

    def resolved(self) -> Any:
        return self.resolve(
            {
                "Globals": self.template["Globals"],
                "Resources": {
                    name: resource
                    for name, resource in self.template["Resources"].items()
                    if "Condition" not in resource or self.condition(resource["Condition"])
                },
            }
        )

    def environment(self, function: str) -> dict[str, str]:
        shared = self.resolve(self.template["Globals"]["Function"]["Environment"]["Variables"])
        own = self.resource(function)["Properties"].get("Environment", {}).get("Variables", {})
        return {name: str(value) for name, value in {**shared, **own}.items()}

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref":
                return self.ref(argument)
            if name == "Fn::GetAtt":
                return self.attribute(argument)
            if name == "Fn::Sub":
                text, own = argument if isinstance(argument, list) else (argument, {})
                own = self.resolve(own)
                return re.sub(r"\$\{([^}]+)\}", lambda m: str(self.sub(m[1], own)), text)
            if name == "Fn::FindInMap":
                mapping, key, field = self.resolve(argument)
                return self.template["Mappings"][mapping][key][field]
            if name == "Fn::If":
                return self.resolve(argument[1 if self.condition(argument[0]) else 2])
            assert not name.startswith("Fn::"), f"{name} is not known here"
        return {key: self.resolve(item) for key, item in value.items()}

    def condition(self, name: str) -> bool:
        return self.holds(self.template["Conditions"][name])

    def holds(self, condition: dict[str, Any]) -> bool:
        if "Fn::And" in condition:
            return all(self.holds(each) for each in condition["Fn::And"])
        if "Fn::Not" in condition:
            return not self.holds(condition["Fn::Not"][0])
        left, right = self.resolve(condition["Fn::Equals"])
        return str(left) == str(right)

    def ref(self, name: str) -> Any:
        if name in PSEUDO or name in self.parameters:
            return {**PSEUDO, **self.parameters}[name]
        resource = self.template["Resources"][name]
        if resource["Type"] == "AWS::Logs::LogGroup":
            return self.resolve(resource["Properties"]["LogGroupName"])
        if resource["Type"] == "AWS::SSM::Parameter":
            return f"CFN-{name}"  # as CloudFormation names it, without a path
        return name if resource["Type"] in NAMED else self.arn(name)

    def sub(self, name: str, own: dict[str, Any] | None = None) -> Any:
        if own and name in own:
            return own[name]
        return self.attribute(name) if "." in name else self.ref(name)

    def attribute(self, name: str) -> str:
        resource, attribute = name.split(".")
        return self.arn(resource) if attribute == "Arn" else resource

    def arn(self, name: str) -> str:
        kind = self.template["Resources"][name]["Type"]
        service, part = {
            "AWS::Serverless::Function": ("lambda", f"function:{name}"),
            "AWS::Serverless::StateMachine": ("states", f"stateMachine:{name}"),
            "AWS::IAM::Role": ("iam", f"role/{name}"),
            "AWS::Logs::LogGroup": ("logs", f"log-group:{name}"),
            "AWS::SNS::Topic": ("sns", name),
            "AWS::SQS::Queue": ("sqs", name),
            "AWS::Events::Rule": ("events", f"rule/{name}"),
            "AWS::CloudWatch::Alarm": ("cloudwatch", f"alarm:{name}"),
            "AWS::CloudWatch::Dashboard": ("cloudwatch", f"dashboard/{name}"),
            "AWS::Scheduler::ScheduleGroup": ("scheduler", f"schedule-group/{name}"),
        }[kind]
        region = "" if service == "iam" else REGION
        return f"arn:aws:{service}:{region}:{ACCOUNT}:{part}"

    def definition(self, machine: str = "SnapshotRun") -> str:
        """A state machine's definition with its substitutions, as Step Functions gets it."""
        properties = self.resource(machine)["Properties"]
        text = ROOT / self.template["Resources"][machine]["Properties"]["DefinitionUri"]
        definition: str = text.read_text()
        for name, value in properties["DefinitionSubstitutions"].items():
            definition = definition.replace(f"${{{name}}}", value)
        assert "${" not in definition
        return definition
