"""The built package, deployed to the local AWS: by hand, by schedule, and taken down again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.aws import STACK, LogTail, connection, deploy, outputs
from local.cloud import Cloud
from local.commands import Commands
from local.common.board import Board
from local.common.console import plain_console
from local.daemon import Daemon
from local.environment import clean
from local.inbox import Inbox
from local.run import start, watch, write_record
from local.show import Show
from local.simulator import Clock, Fault, Simulator, World
from local.simulator.faults import status
from tests.leaks import a_token, piece_of

ROOT = Path(__file__).parent.parent
TOKEN = a_token("of the local stack")
LABEL = "hetzner-snapshots/"

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def environment(build: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {**kept, "CLOUD_DIR": str(build), "SIMULATOR_TOKEN": TOKEN, **more}


def cli(build: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        env=environment(build, **more),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


@dataclass
class Up:
    """A cloud that `make up` left running, and all that was printed about it."""

    build: Path
    cloud: Cloud
    said: str

    def make(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        done = cli(self.build, *arguments, **more)
        self.said += done.stdout
        return done

    def event(self, **event: Any) -> str:
        path = self.build / "event.json"
        path.write_text(json.dumps(event))
        return str(path)

    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.build / "run.json").read_text()))

    def page(self) -> str:
        return (self.build / "run.html").read_text()

    def hetzner(self) -> dict[str, Any]:
        address = self.cloud.endpoint.removesuffix("/v1") + "/_sim/state"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return dict(json.load(answer)["projects"]["default"])

    def snapshots(self, run_id: str) -> dict[str, list[dict[str, Any]]]:
        """The available snapshots of a run, by server."""
        found: dict[str, list[dict[str, Any]]] = {}
        for image in self.hetzner()["images"]:
            labels = image["labels"]
            if labels.get(LABEL + "run-id") == run_id and image["status"] == "available":
                found.setdefault(image["created_from"]["name"], []).append(image)
        return found

    def log(self) -> str:
        group = outputs(self.cloud.aws)["LogGroupName"]
        return "\n".join(LogTail(self.cloud.aws, group, since=0).lines())


@pytest.fixture(scope="module", autouse=True)
def nobodys_environment() -> Iterator[None]:
    """boto3 in the tests must not use the user's AWS profile."""
    with pytest.MonkeyPatch.context() as patch:
        cleaned = clean(os.environ)
        for name in set(os.environ) - set(cleaned):
            patch.delenv(name)
        for name, value in cleaned.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    build = tmp_path_factory.mktemp("cloud")
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    subprocess.run(["make", "build"], cwd=ROOT, env=plain, check=True, timeout=200)
    started = cli(build, "up")
    try:
        cloud = Daemon(build).find()
        assert started.returncode == 0 and cloud, started.stdout
        yield Up(build, cloud, started.stdout)
    finally:
        done = cli(build, "down")
    assert done.stdout == "Down.\n"
    assert not Path(cloud.folder).exists()
    assert not listening(session_members(cloud.folder))


def assert_one_snapshot_each(up: Up, record: dict[str, Any]) -> None:
    selected = {
        server["name"]
        for server in up.hetzner()["servers"]
        if server["labels"].get(LABEL + "enabled") != "false"
    }
    made = up.snapshots(record["run_id"])
    assert {name: len(images) for name, images in made.items()} == dict.fromkeys(selected, 1)
    assert {row["server"]: row["image_id"] for row in record["servers"]} == {
        name: images[0]["id"] for name, images in made.items()
    }


def test_a_run_by_hand_makes_one_snapshot_of_each_selected_server(up: Up) -> None:
    done = up.make("invoke", EVENT="events/all.json")
    assert done.returncode == 0, done.stdout
    record = up.record()
    assert record["verdict"] == record["projects"]["default"]["verdict"] == "Completed"
    assert {row["status"] for row in record["servers"]} == {"available"}
    assert_one_snapshot_each(up, record)
    for row in record["servers"]:
        kept = [
            image
            for image in up.hetzner()["images"]
            if image["labels"].get(LABEL + "server-name") == row["server"]
            and image["status"] == "available"
        ]
        assert len(kept) == row["kept"]
        assert row["server"] in done.stdout
        assert f'<td class="name">{row["server"]}</td>' in up.page()
    assert "scratch-1        left out" in done.stdout
    assert record["projects"]["default"]["line"] in done.stdout
    assert "make what is missing" not in done.stdout + up.page()


def test_one_servers_night_is_read_from_the_log(up: Up) -> None:
    done = up.make("logs", SERVER="sg5")
    assert done.returncode == 0
    # Its lock may have ended while the cloud was deployed.
    assert re.search(
        r"Z  sg5  (waiting|creating|due), next look at [\d:]+Z \(in \d+ s\)", done.stdout
    )
    assert re.search(r"Z  sg5  available, snapshot \d+", done.stdout)
    assert "mail-1" not in done.stdout
    unknown = up.make("logs", SERVER="nobody")
    assert unknown.returncode == 2
    assert "Known are: build-1, db-1, " in unknown.stdout


def test_resuming_a_finished_run_makes_nothing_new(up: Up) -> None:
    up.make("invoke", EVENT=up.event(servers=["web-1", "db-1"]))
    before, run_id = up.hetzner()["images"], up.record()["run_id"]
    done = up.make("invoke", EVENT=up.event(servers=["web-1", "db-1"], run_id=run_id))
    assert done.returncode == 0, done.stdout
    assert up.record()["run_id"] == run_id
    assert up.hetzner()["images"] == before


def test_a_dry_run_leaves_the_servers_and_snapshots_alone(up: Up) -> None:
    before = up.hetzner()
    done = up.make("invoke", EVENT="events/dry-run.json")
    assert done.returncode == 0, done.stdout
    assert {row["status"] for row in up.record()["servers"]} == {"planned"}
    after = up.hetzner()
    assert (after["images"], after["actions"]) == (before["images"], before["actions"])


def test_what_start_run_refuses_is_said_plainly_and_leaves_no_record(up: Up) -> None:
    done = up.make("invoke", EVENT=up.event(project="nope"))
    assert done.returncode == 2
    assert '"nope"' in done.stdout and "Traceback" not in done.stdout
    assert not (up.build / "run.json").exists()


def test_a_run_that_does_not_complete_exits_with_an_error(up: Up) -> None:
    done = up.make("invoke", EVENT=up.event(servers=["nobody"]))
    assert done.returncode == 1
    assert up.record()["verdict"] == "Failed"
    assert "nobody" in up.record()["projects"]["default"]["line"]
    assert "nobody" in up.page()
    # A resume would look for the same server again.
    assert "Start it again with the right names" in done.stdout
    assert "make what is missing" not in done.stdout


def test_when_a_server_fails_screen_and_page_name_it_and_say_how_to_go_on(up: Up) -> None:
    world = World(Clock(datetime.now(UTC), 60), seed=1)
    project = world.project("default")
    project.add_token(TOKEN)
    full = project.add_server("full")
    project.add_server("free")
    path = f"/servers/{full.id}/actions/create_image"
    quota = status(403, "resource_limit_exceeded")
    world.faults.add(Fault(quota, method="POST", path=path, times=None))
    with Simulator(world) as simulator:
        done = up.make(
            "run",
            EVENT="{}",
            HCLOUD_ENDPOINT=simulator.url,
            HCLOUD_TOKEN=TOKEN,
            WAIT_SCALE=str(up.cloud.wait_scale),
        )
    assert done.returncode == 1, done.stdout
    record = up.record()
    assert record["verdict"] == "PartiallyFailed"
    assert [server["status"] for server in record["servers"]] == ["available", "failed"]
    assert re.search(r"^Needs attention:\n  full  failed +the account's limit", done.stdout, re.M)
    resume = json.dumps({"run_id": record["run_id"], "project": "default"})
    for told in (done.stdout, unescape(up.page())):
        assert resume in told and "the account's limit of snapshots is reached" in told


@pytest.mark.parametrize(("answer", "made"), [("n\n", 0), ("y\n", 1)])
def test_on_the_real_api_the_plan_comes_first_and_then_a_question(
    up: Up, monkeypatch: pytest.MonkeyPatch, answer: str, made: int
) -> None:
    asked = []
    monkeypatch.setattr(Commands, "agreed", lambda *_: asked.append(1) or answer == "y\n")
    with (up.build / "said.txt").open("w") as said:
        commands = Commands(plain_console(said), up.build)
        real = replace(up.cloud, api="real")
        before = {image["id"] for image in up.hetzner()["images"]}
        code = commands.run_on(real, {"servers": ["git-1"]}, yes=False)
    text = (up.build / "said.txt").read_text()
    assert text.index("First what it would do") < text.index("planned")
    assert (len(asked), code) == (1, 1 - made)
    assert len({image["id"] for image in up.hetzner()["images"]} - before) == made


def test_the_same_schedule_time_twice_is_one_run(up: Up) -> None:
    first = up.make("invoke", EVENT="events/scheduled.json")
    images, record = up.hetzner()["images"], up.record()
    second = up.make("invoke", EVENT="events/scheduled.json")
    assert (first.returncode, second.returncode) == (0, 0), second.stdout
    assert "was started before" in second.stdout
    assert up.hetzner()["images"] == images
    assert up.record() == record


def test_another_hetzner_api_is_used_as_given_and_nothing_is_asked(up: Up) -> None:
    done = up.make(
        "run",
        EVENT=up.event(servers=["mail-1"]),
        HCLOUD_ENDPOINT=up.cloud.endpoint,
        HCLOUD_TOKEN=TOKEN,
        WAIT_SCALE=str(up.cloud.wait_scale),
    )
    assert done.returncode == 0, done.stdout
    assert "left alone: this run gets one of its own" in done.stdout
    assert "nothing of it is left" in done.stdout
    assert [row["server"] for row in up.record()["servers"]] == ["mail-1"]
    assert list(up.snapshots(up.record()["run_id"])) == ["mail-1"]
    assert Daemon(up.build).find() == up.cloud


def test_starting_it_twice_says_so_and_changes_nothing(up: Up) -> None:
    again = up.make("up")
    assert again.returncode == 0
    assert f"up already: AWS at {up.cloud.aws.url}" in again.stdout
    assert Daemon(up.build).find() == up.cloud


def test_a_run_of_its_own_can_be_interrupted_and_leaves_nothing(up: Up) -> None:
    command = [sys.executable, "-u", "-m", "local", "run"]
    with subprocess.Popen(
        command, env=environment(up.build), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        said = ""
        for said_line in run.stdout:
            said += said_line
            if said_line.startswith("Starting the local AWS"):
                run.send_signal(signal.SIGINT)
        run.wait(timeout=20)
    assert run.returncode == 128 + signal.SIGINT
    assert "left alone" in said and "nothing of it is left" in said and "SIGINT" in said
    assert Daemon(up.build).find() == up.cloud


@pytest.fixture(scope="module")
def inbox(up: Up) -> Inbox:
    return Inbox(up.cloud.aws)


def test_who_subscribes_is_told_once_what_failed_and_where_to_look(up: Up, inbox: Inbox) -> None:
    inbox.empty()
    up.make("invoke", EVENT=up.event(servers=["nobody"]))
    run_id = up.record()["run_id"]
    [message] = inbox.wait_for(1)
    assert message["Subject"] == f"hetzner-snapshots: Failed, default, run {run_id}"
    assert message["Message"].startswith(
        "Failed: no server nobody in this project, which has web-1, "
    )
    assert "https://us-east-1.console.aws.amazon.com/states/home?" in message["Message"]
    up.make("invoke", EVENT="events/dry-run.json")
    # The rule on the execution's status has not told it again, and a good run tells nothing.
    assert inbox.wait_for(1, seconds=1) == []


def test_a_run_that_is_stopped_is_told_by_the_rule(up: Up, inbox: Inbox) -> None:
    inbox.empty()
    answer = start(up.cloud, outputs(up.cloud.aws)["StartRunFunction"], {"dry_run": True})
    [execution] = answer["executions"]
    step_functions = boto3.client("stepfunctions", **connection(up.cloud.aws))
    step_functions.stop_execution(executionArn=execution["execution_arn"])
    [message] = inbox.wait_for(1)
    name = execution["execution_arn"].rsplit(":", 1)[1]
    assert f"the execution {name} ended ABORTED without a summary" in message["Message"]
    # Lines of text, and a link that is not glued to what follows it.
    assert len([json.loads(line) for line in message["Message"].splitlines()]) > 1
    assert execution["console"] in message["Message"].split()
    assert inbox.wait_for(1, seconds=1) == []


def test_the_metrics_are_lines_of_the_log_group(up: Up) -> None:
    up.make("invoke", EVENT=up.event(servers=["git-1"]))
    lines = [json.loads(line) for line in up.log().splitlines() if line.startswith('{"_aws"')]
    names = {m["Name"] for line in lines for m in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert {"ServersMade", "SnapshotSeconds", "RunsCompleted", "StoredGB"} <= names
    assert {line["service"] for line in lines} == {STACK}


def test_it_listens_on_loopback_only(up: Up) -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("reads /proc")
    addresses = listening(session_members(up.cloud.folder))
    assert len(addresses) >= 2
    assert set(addresses) == {"0100007F"}


def test_the_schedule_fires_by_itself(up: Up) -> None:
    began = time.time()
    tail = LogTail(up.cloud.aws, outputs(up.cloud.aws)["LogGroupName"], began)
    parameters = {"HetznerEndpoint": up.cloud.endpoint, "Schedule": "rate(1 minute)"}
    deployed = deploy(
        up.cloud.aws, Path(up.cloud.folder), {**parameters, "ScheduleState": "ENABLED"}
    )
    step_functions = boto3.client("stepfunctions", **connection(up.cloud.aws))
    fired: list[Any] = []
    deadline = time.monotonic() + 120
    while not fired and time.monotonic() < deadline:
        time.sleep(0.5)
        executions = step_functions.list_executions(stateMachineArn=deployed["SnapshotRunArn"])
        fired = [
            execution
            for execution in executions["executions"]
            if execution["startDate"].timestamp() > began
        ]
    assert len(fired) == 1
    run_id = fired[0]["name"].split("_")[0]
    answer = {
        "run_id": run_id,
        "executions": [{"project": "default", "execution_arn": fired[0]["executionArn"]}],
    }
    with (up.build / "scheduled.txt").open("w") as said:
        board: Board = watch(up.cloud, answer, tail, Show(plain_console(said), 60))
    write_record(board, up.build / "run.json")
    assert board.verdict() == "Completed"
    assert_one_snapshot_each(up, up.record())


def test_the_token_is_nowhere_but_in_the_local_ssm(up: Up) -> None:
    step_functions = boto3.client("stepfunctions", **connection(up.cloud.aws))
    machine = outputs(up.cloud.aws)["SnapshotRunArn"]
    told = [up.said, up.log(), up.make("logs").stdout]
    for execution in step_functions.list_executions(stateMachineArn=machine)["executions"]:
        arn = execution["executionArn"]
        pages = step_functions.get_paginator("get_execution_history").paginate(executionArn=arn)
        told += [json.dumps(page, default=str) for page in pages]
    files = [*up.build.rglob("*"), *Path(up.cloud.folder).rglob("*"), *(ROOT / "build").rglob("*")]
    told += [path.read_text(errors="replace") for path in files if path.is_file()]
    assert sum(map(len, told)) > 100_000
    assert not [text for text in told if piece_of(TOKEN, text)]
    stored = boto3.client("ssm", **connection(up.cloud.aws)).get_parameter(
        Name="/hetzner-snapshots/tokens/default"
    )["Parameter"]
    assert stored["Type"] == "SecureString"
    assert not piece_of(TOKEN, json.dumps(stored, default=str))


def session_members(folder: str) -> set[int]:
    """The processes that were started for the cloud in that folder."""
    members = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if folder.encode() in (entry / "cmdline").read_bytes():
                members.add(int(entry.name))
        except OSError:
            continue
    return members


def listening(processes: set[int]) -> list[str]:
    """The addresses, as /proc has them, at which these processes listen."""
    sockets = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            try:
                sockets.add(str(descriptor.readlink()))
            except OSError:
                continue
    found = []
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.append(fields[1].split(":")[0])
    return found
