"""The built package, booted as Lambda boots it: every function, one after the other, for one night.

The handlers' names and the environment are the template's; AWS is the local one, Hetzner the
simulator. Whatever would keep a deployed function from starting must fail here, with that error.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.access import Access
from local.aws import connection
from local.ministack import answers, start_aws
from local.simulator import Clock, Project, Simulator, World
from local.virtual.template import ACCOUNT, REGION, ROOT, Stack
from tests.boot import Report, booted, emulator, lambdas_python
from tests.built import Function, make_build
from tests.leaks import a_token, piece_of
from tests.receivers import SECRET, SLACK, receivers

TOKEN = a_token("of the booted functions")
INVOCATIONS = 2  # a cold one and a warm one

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not emulator(), reason="SAM CLI has no Lambda emulator for this machine"),
]


@dataclass
class Lambda:
    """The functions of the template; each container starts with its function's first event."""

    functions: dict[str, Function]
    stack: Stack
    aws: Access
    folder: Path
    reports: dict[str, Report] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        """What Lambda itself sets, and what the template does."""
        template = self.stack.template
        properties = {
            **template["Globals"]["Function"],
            **template["Resources"][name]["Properties"],
        }
        return {
            **self.aws.environment(),
            # An account's number makes that the account on the local AWS.
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(properties["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(properties["Timeout"]),
            **self.stack.environment(name),
        }

    def invoke(self, name: str, event: Any) -> list[Any]:
        """The answers to this event, cold and warm."""
        function = self.functions[name]
        log = self.folder / f"{name}.log"
        with booted(
            function.package, function.handler, self.environment(name), self.beside, log
        ) as container:
            answers = [container.invoke(event) for _ in range(INVOCATIONS)]
            assert not [a for a in answers if "errorType" in a], answers
            self.reports[name] = container.report(INVOCATIONS)
        return answers

    def error(self, function: Function, environment: dict[str, str], event: Any) -> Any:
        """The error of the function's first invocation, as Lambda reports it."""
        log = self.folder / "sabotaged.log"
        with booted(function.package, function.handler, environment, self.beside, log) as container:
            return container.invoke(event)

    @property
    def beside(self) -> Path:
        return self.folder / "lambdas-python"


@pytest.fixture(scope="module")
def world() -> World:
    return World(Clock(start=datetime(2026, 11, 21, 2, 0, tzinfo=UTC)), seed=1)


@pytest.fixture(scope="module")
def project(world: World) -> Project:
    project = world.project("default")
    project.add_token(TOKEN)
    return project


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    folder = tmp_path_factory.mktemp("aws")
    service, access = start_aws(folder, wait_scale=1)
    try:
        service.wait_until(lambda: answers(access))
        yield access
    finally:
        service.stop()


@pytest.fixture(scope="module")
def on_lambda(
    world: World, project: Project, aws: Access, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lambda]:
    functions = make_build()
    folder = tmp_path_factory.mktemp("lambda")
    with ExitStack() as running:
        simulator = running.enter_context(Simulator(world))
        stack = Stack(HetznerEndpoint=simulator.url, Restores="true")
        deployed = Lambda(functions, stack, aws, folder)
        lambdas_python(deployed.beside)
        fill(deployed)
        yield deployed


def client(on_lambda: Lambda, service: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        **connection(on_lambda.aws) | {"region_name": REGION, "aws_access_key_id": ACCOUNT},
    )


def fill(on_lambda: Lambda) -> None:
    """Makes what the functions need from the stack: a token, the state machine, the topics."""
    client(on_lambda, "ssm").put_parameter(
        Name=f"{on_lambda.stack.parameters['TokenPath']}/default", Value=TOKEN, Type="SecureString"
    )
    client(on_lambda, "ssm").put_parameter(
        Name=on_lambda.stack.ref("WatchMemory"), Value="{}", Type="String"
    )
    for name in ("SnapshotRun", "RestoreRun"):
        # Only the input that it gets matters here; it does nothing.
        machine = client(on_lambda, "stepfunctions").create_state_machine(
            name=name,
            definition='{"StartAt": "Nothing", "States": {"Nothing": {"Type": "Succeed"}}}',
            roleArn=on_lambda.stack.arn(f"{name}Role"),
        )
        assert machine["stateMachineArn"] == on_lambda.stack.arn(name)
    for name in on_lambda.functions:
        for value in on_lambda.stack.environment(name).values():
            if value.startswith("arn:aws:sns:"):
                topic = client(on_lambda, "sns").create_topic(Name=value.rsplit(":", 1)[1])
                assert topic["TopicArn"] == value


def child_input(on_lambda: Lambda, run: dict[str, Any], server: dict[str, Any]) -> dict[str, Any]:
    """What the definition's Map hands to a child."""
    states = json.loads(on_lambda.stack.definition())["States"]
    selector: dict[str, Any] = states["SnapshotServers"]["ItemSelector"]
    given = {"$$.Map.Item.Value": server, **{f"$.{key}": value for key, value in run.items()}}
    return {
        key.removesuffix(".$"): given[value] if key.endswith(".$") else value
        for key, value in selector.items()
    }


def started(on_lambda: Lambda, answer: dict[str, Any]) -> Any:
    """The input of the execution that StartRun or StartRestore started."""
    execution = client(on_lambda, "stepfunctions").describe_execution(
        executionArn=answer["executions"][0]["execution_arn"]
    )
    return json.loads(execution["input"])


@pytest.fixture(scope="module")
def night(on_lambda: Lambda, project: Project, world: World) -> dict[str, Any]:
    """The warm answers of all functions, each given what the one before has answered cold."""
    server = project.add_server("sg5")
    answers: dict[str, list[Any]] = {}

    def invoke(name: str, event: Any) -> Any:
        answers[name] = on_lambda.invoke(name, event)
        return answers[name][0]

    run = invoke("StartRun", json.loads((ROOT / "events" / "all.json").read_text()))
    run = invoke("ListServers", started(on_lambda, run))
    old = dict.fromkeys(("run-id", "server-name"), "old") | {
        "managed-by": run["run"]["owner"],
        "server-id": str(server.id),
    }
    for days in range(1, 5):
        project.add_snapshot(
            server,
            created=world.clock.now() - timedelta(days=days),
            labels={f"hetzner-snapshots/{name}": value for name, value in old.items()},
        )
    job = invoke("CreateSnapshot", child_input(on_lambda, run, run["batch"][0]))
    world.clock.advance(3600)
    job = invoke("CheckSnapshot", job)
    job = invoke("PruneSnapshots", job)
    invoke("SummariseRun", run | {"batch": [job["result"]]})
    drill = started(on_lambda, invoke("StartRestore", {"servers": ["sg5"]}))
    drill = invoke("PlanRestore", drill)
    copy = invoke("CreateServer", drill["restores"][0])
    world.clock.advance(3600)
    copy = invoke("CheckServer", copy)
    world.clock.advance(60)  # while it is powered on it is locked
    copy = invoke("RemoveServer", copy | {"status": "removing", "outcome": "unproven"})
    world.clock.advance(60)  # a delete takes a while
    result = {"server": "sg5", "id": server.id, "status": "proven"}
    invoke("SummariseRestore", drill | {"restores": [result]})
    invoke("WatchServers", {})
    invoke("Tell", {"Records": [{"Sns": {"MessageId": "1", "Subject": "s", "Message": "m"}}]})
    assert answers.keys() == on_lambda.functions.keys(), "a function that was never booted"
    return {name: warm for name, (_, warm) in answers.items()}


def test_the_night_makes_one_snapshot_and_prunes(night: dict[str, Any], project: Project) -> None:
    assert night["SummariseRun"]["verdict"] == "Completed"
    run_id = night["ListServers"]["run"]["id"]
    made = [
        image
        for image in project.images.values()
        if image.labels.get("hetzner-snapshots/run-id") == run_id
    ]
    # Each function was invoked twice.
    assert [image.status for image in made] == ["available"]
    old = [i for i in project.images.values() if i.labels.get("hetzner-snapshots/run-id") == "old"]
    assert len(old) == 2  # daily3


def test_the_drill_makes_one_copy_and_removes_it(night: dict[str, Any], project: Project) -> None:
    assert night["PlanRestore"]["status"] == "ready"
    assert night["CreateServer"]["status"] == "creating"
    assert night["CheckServer"]["status"] == "booting"
    assert night["SummariseRestore"]["verdict"] == "Completed"
    assert [server.name for server in project.servers.values()] == ["sg5"]


def test_tell_sends_with_what_is_in_its_own_package(on_lambda: Lambda, tmp_path: Path) -> None:
    function = on_lambda.functions["Tell"]
    environment = on_lambda.environment("Tell")
    with receivers(tmp_path) as services:
        client(on_lambda, "ssm").put_parameter(
            Name=environment["TELL_PARAMETER"],
            Value="\n".join([services.webhook, SLACK, f"slack://{SECRET}"]),
            Type="SecureString",
        )
        services.statuses["hooks.slack.com"] = 404
        log = on_lambda.folder / "Tell-try.log"
        routed = environment | services.environment()
        with booted(function.package, function.handler, routed, on_lambda.beside, log) as container:
            answers = [container.invoke({"try": position}) for position in range(3)]
            sns = {"address": 1, "title": "t", "body": "b", "kind": "info", "sent": ""}
            failed = container.invoke(sns | {"about_dead_letters": False})
    assert answers[0] == {"where": "JSON at 127.0.0.1", "failed": ""}
    assert answers[1] == {"where": "Slack", "failed": "it answered HTTP 404"}
    assert answers[2]["failed"].startswith("Slack needs more, or something else")
    assert failed["errorType"] == "NotTold"
    assert failed["errorMessage"] == "Slack (address 2 of 3): it answered HTTP 404"
    assert len(services.received) == 3
    assert "A try to Slack (address 2)" in log.read_text()
    assert not piece_of(SECRET, log.read_text() + json.dumps([answers, failed]))


def test_init_and_billed_duration_are_reported(night: dict[str, Any], on_lambda: Lambda) -> None:
    memory = on_lambda.stack.template["Globals"]["Function"]["MemorySize"]
    for name, report in on_lambda.reports.items():
        assert report.memory_mb == memory, name
        assert report.init_ms > 0, name
        assert len(report.handler_ms) == len(report.billed_ms) == INVOCATIONS, name
        assert report.billed_ms[0] >= report.init_ms, name
    figures = {name: asdict(report) for name, report in on_lambda.reports.items()}
    (ROOT / "build" / "boot.json").write_text(json.dumps(figures, indent=1) + "\n")


def test_a_wrong_handler_name_does_not_get_past(on_lambda: Lambda) -> None:
    package = on_lambda.functions["ListServers"].package
    environment = on_lambda.environment("ListServers")
    error = on_lambda.error(
        Function(package, "handler.snapshot_run.list_servers.handle"), environment, {}
    )
    assert error["errorType"] == "Runtime.HandlerNotFound"
    assert "'handle'" in error["errorMessage"]
    error = on_lambda.error(
        Function(package, "handler.snapshot_run.list_server.handler"), environment, {}
    )
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "'handler.snapshot_run.list_server'" in error["errorMessage"]


# hcloud is ours and in the environment of the tests, urllib3 is boto3's too.
@pytest.mark.parametrize(
    ("missing", "module"),
    [
        ("hcloud", "hcloud"),
        ("urllib3", "urllib3"),
        ("document.py", "handler.documents.document"),
    ],
)
def test_a_missing_module_does_not_get_past(
    on_lambda: Lambda, tmp_path: Path, missing: str, module: str
) -> None:
    function = on_lambda.functions["CheckSnapshot"]
    package = tmp_path / "package"
    shutil.copytree(function.package, package, ignore=lambda _, names: {missing} & set(names))
    environment = on_lambda.environment("CheckSnapshot")
    error = on_lambda.error(Function(package, function.handler), environment, {})
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert f"No module named '{module}'" in error["errorMessage"]


@pytest.mark.parametrize(
    ("name", "variable"), [("StartRun", "TOKEN_PATH"), ("CheckSnapshot", "HETZNER_ENDPOINT")]
)
def test_an_unset_variable_does_not_get_past(
    on_lambda: Lambda, night: dict[str, Any], name: str, variable: str
) -> None:
    environment = on_lambda.environment(name)
    del environment[variable]
    event = {} if name == "StartRun" else night["CreateSnapshot"]
    error = on_lambda.error(on_lambda.functions[name], environment, event)
    assert error["errorType"] == "BadSetting"
    assert variable in error["errorMessage"]
