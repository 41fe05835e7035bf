"""`make restore`: what it refuses, says before it begins, shows on the way, and leaves to do."""

import io
import json
import os
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from deploy.__main__ import main
from deploy.events import OF_RESTORE
from deploy.restore_event import restore_event
from deploy.restore_words import what_is_left, what_is_made
from handler.documents.request import RUN_ID
from handler.documents.restore import RestoreResult
from handler.documents.restore_request import parse_restore_event
from local.common.variables import Unusable
from local.virtual.template import ROOT
from tests.deploy_shell import REGION, Stacks, a_stack, at_a_terminal, said
from tests.restore_histories import document, history, result, summarised

Capsys = pytest.CaptureFixture[str]
Shell = pytest.MonkeyPatch
CONSOLE = "https://eu-central-1.console.example/restore"
LINE = "Completed: Proven: sg5, snapshot 90016 of 2026-11-20, greets on ssh 94 s after its start"
THERE = {"copy_id": 7001, "name": "restore-1-42", "address": "203.0.113.9"}


@dataclass
class Restores:
    """StartRestore and RestoreRun: the events that came, and how each execution goes."""

    plan: list[dict[str, Any]]
    restore: list[dict[str, Any]]
    verdict: str = "Completed"
    refusal: str = ""
    broken: str = ""  # the error with which StartRestore ends
    events: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False
    lost: list[BaseException] = field(default_factory=list)  # in place of answers to the restore

    def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == "Invoke":
            assert arguments["FunctionName"] == "StartRestore"
            return self._start(json.loads(arguments["Payload"]))
        is_plan = arguments["executionArn"] == "arn:dry"
        if operation == "GetExecutionHistory":
            return {"events": (self.plan if is_plan else self.restore)[::-1]}
        if self.interrupted and not is_plan:
            return {"status": "RUNNING"}
        if is_plan or self.verdict == "Completed":
            return {"status": "SUCCEEDED"}
        return {"status": "FAILED", "error": self.verdict, "cause": LINE}

    def _start(self, event: dict[str, Any]) -> dict[str, Any]:
        self.events.append(event)
        arn = "arn:dry" if event.get("dry_run") else "arn:real"
        if arn == "arn:real" and self.lost:
            raise self.lost.pop(0)
        answer: dict[str, Any] = {
            "run_id": "20261129-abc",
            "executions": [{"project": "shop", "execution_arn": arn, "console": CONSOLE}],
            "warnings": [],
        }
        if self.broken and arn == "arn:real":
            answer = {"errorType": self.broken, "errorMessage": "Task timed out"}
            body = io.BytesIO(json.dumps(answer).encode())
            return {"Payload": body, "FunctionError": "Unhandled"}
        if self.refusal:
            answer = {"errorType": "EventRefused", "errorMessage": self.refusal}
        body = io.BytesIO(json.dumps(answer).encode())
        return {"Payload": body, **({"FunctionError": "Unhandled"} if self.refusal else {})}


@pytest.fixture
def restores(stacks: Stacks, account: None, shell: Shell) -> Restores:
    """A stack that restores, and a good restore of sg5."""
    found = a_stack(Restores="true")
    for name, value in (("StartRestoreFunction", "StartRestore"), ("RestoreRunArn", "arn:machine")):
        found["Outputs"].append({"OutputKey": name, "OutputValue": value})
    stacks[REGION, "hetzner-snapshots"] = found
    restores = Restores(
        history(summarised(result("planned"))),
        history(
            ("CreateServer", document("creating", "server 7001 is made", 2, copy_id=7001,
                                      copy_name="restore-1-42")),
            ("CheckServer", document("booting", "it is powered on", 61, copy_id=7001,
                                     copy_name="restore-1-42")),
            summarised(result("restored", **THERE), line=LINE),
        ),
    )  # fmt: skip
    to_aws = BaseClient._make_api_call
    ours = ("Invoke", "DescribeExecution", "GetExecutionHistory")

    def call(client: Any, operation: str, arguments: Any) -> Any:
        if operation in ours:
            return restores.call(operation, arguments)
        return to_aws(client, operation, arguments)

    shell.setattr(BaseClient, "_make_api_call", call)
    return restores


def test_what_will_be_made_is_said_first_then_asked_then_watched_to_its_end(
    restores: Restores, shell: Shell, capsys: Capsys
) -> None:
    asked = at_a_terminal(shell, "y")
    assert main("restore", os.environ) == 0
    assert asked == ["Make it? [y/N] "]
    plan, real = restores.events
    assert plan == {"keep": True, "servers": ["sg5"], "dry_run": True}
    assert RUN_ID.fullmatch(real.pop("run_id"))
    assert real == {"keep": True, "servers": ["sg5"], "snapshot": 90016}
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "A new server would be made; no other is touched:",
        "  snapshot  90016 of 2026-11-20 02:03 UTC, the disk of sg5 as it was then",
        "  type      cx23 in fsn1",
        "  price     0.0074 EUR per hour (net, with its IPv4 address) from its start until you "
        "delete it",
        f"  {CONSOLE}",
        "    0:02  sg5  creating the copy: server 7001 is made",
        "    1:01  sg5  booting: it is powered on",
        LINE,
        "The new server: restore-1-42 (id 7001) at 203.0.113.9, cx23 in fsn1, 0.0074 EUR per hour "
        "(net, with its IPv4 address) until you delete it.",
        "No other server was touched. What is left to do:",
        "     ssh root@203.0.113.9",
        "     hcloud firewall remove-from-resource --type server --server restore-1-42 "
        "hetzner-snapshots-hetzner-snapshots-isolation",
    ):
        assert line in lines, line


def test_all_that_is_said_to_make_is_asked_for(restores: Restores, shell: Shell) -> None:
    given = {"SNAPSHOT": "90015", "NAME": "sg5-back", "TYPE": "cx33", "LOCATION": "nbg1"}
    for name, value in {**given, "PROJECT": "shop", "YES": "1"}.items():
        shell.setenv(name, value)
    assert main("restore", os.environ) == 0
    assert restores.events[0] == {
        "keep": True, "project": "shop", "servers": ["sg5"], "snapshot": 90015,
        "name": "sg5-back", "server_type": "cx33", "location": "nbg1", "dry_run": True,
    }  # fmt: skip
    # What was planned is what is made.
    assert restores.events[1]["snapshot"] == 90016


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "Which server? Say its name or id, as in `make restore SERVER=sg5`, or the id of a"),
        ({"NAME": "back"}, "Which server?"),
        ({"SNAPSHOT": "newest"}, "SNAPSHOT=newest is no id of a snapshot, which is a number."),
        ({"SNAPSHOT": "-5"}, "SNAPSHOT=-5 is no id"),
        ({"SNAPSHOT": "0"}, "SNAPSHOT=0 cannot be used"),
        ({"SERVER": "sg5", "NAME": "my_server"}, "NAME=my_server cannot be used: it must be a ser"),
        ({"SERVER": "sg5", "NAME": "-a"}, "NAME=-a cannot be used"),
        ({"SERVER": "sg5", "TYPE": "CX 23"}, "TYPE=CX 23 cannot be used: it must be a Hetzner ser"),
        ({"SERVER": "sg5", "LOCATION": "Falkenstein!"}, "LOCATION=Falkenstein! cannot be used"),
        ({"SERVER": "sg5", "PROJECT": "a/b"}, "PROJECT=a/b is no name for a project"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_aws_is_asked(
    shell: Shell, capsys: Capsys, given: dict[str, str], expected: str
) -> None:
    shell.delenv("AWS_ACCESS_KEY_ID")
    shell.delenv("SERVER")
    for name, value in given.items():
        shell.setenv(name, value)
    assert expected in said("restore", capsys)


@pytest.mark.parametrize("name", OF_RESTORE)
def test_the_events_for_start_restores_test_tab_are_taken(name: str) -> None:
    event = json.loads((ROOT / f"events/{name}.json").read_text())
    assert parse_restore_event(event).keep is (name == "restore")


def test_a_number_is_a_servers_id() -> None:
    assert restore_event({"SERVER": "42"}, None) == {"keep": True, "servers": [42]}
    assert restore_event({"SNAPSHOT": "90016"}, "shop") == {
        "keep": True, "project": "shop", "snapshot": 90016,
    }  # fmt: skip
    with pytest.raises(Unusable):
        restore_event({"SERVER": "", "SNAPSHOT": ""}, None)


def test_a_stack_that_does_not_restore_says_how_to_turn_it_on(
    stack: None, stacks: Stacks, shell: Shell, capsys: Capsys
) -> None:
    text = said("restore", capsys)
    assert "`make deploy PARAMETERS=Restores=true REGION=eu-central-1`" in text
    assert "It is of an older version, too." in text
    stacks[REGION, "hetzner-snapshots"] = a_stack(Restores="false")
    assert "older version" not in said("restore", capsys)


def test_nobody_at_the_terminal_gets_the_plan_and_the_command_that_means_it(
    restores: Restores, capsys: Capsys, shell: Shell
) -> None:
    shell.setenv("TYPE", "cx33")
    shell.setenv("PROJECT", "shop")
    assert main("restore", os.environ) == 2
    told = capsys.readouterr()
    assert "type      cx23 in fsn1" in told.out
    assert "`make restore SERVER=sg5 TYPE=cx33 PROJECT=shop YES=1 REGION=eu-central-1`" in told.err
    assert [event["dry_run"] for event in restores.events] == [True]


def test_who_says_no_gets_nothing(restores: Restores, shell: Shell, capsys: Capsys) -> None:
    at_a_terminal(shell, "n")
    assert main("restore", os.environ) == 1
    assert capsys.readouterr().out.endswith("Nothing was made.\n")
    assert len(restores.events) == 1


def test_what_cannot_be_restored_is_told_with_the_reason(
    restores: Restores, capsys: Capsys
) -> None:
    restores.plan = history(
        summarised(result("failed", reason="it has no good snapshot"), line="Failed: 1 of 1")
    )
    assert main("restore", os.environ) == 1
    out = capsys.readouterr().out
    assert "Failed: 1 of 1\nsg5: failed: it has no good snapshot\nNothing was made.\n" in out
    assert len(restores.events) == 1


def test_what_start_restore_refuses_is_told_in_its_words(
    restores: Restores, capsys: Capsys
) -> None:
    restores.refusal = "There are several projects, so the field project is needed."
    assert restores.refusal in said("restore", capsys)


def test_a_new_server_that_does_not_greet_is_told_with_all_that_is_to_do(
    restores: Restores, shell: Shell, capsys: Capsys
) -> None:
    shell.setenv("YES", "1")
    restores.verdict = "PartiallyFailed"
    restores.restore = history(
        summarised(result("restored", reason="no greeting on port 22", **THERE), line=LINE)
    )
    assert main("restore", os.environ) == 1
    out = capsys.readouterr().out
    assert "sg5: restored: no greeting on port 22" in out
    assert "The new server: restore-1-42" in out and "What is left to do" in out


def test_where_nothing_was_made_nothing_is_left_to_do(
    restores: Restores, shell: Shell, capsys: Capsys
) -> None:
    shell.setenv("YES", "1")
    restores.verdict = "Failed"
    restores.restore = history(summarised(result("failed", reason="no stock"), line=LINE))
    assert main("restore", os.environ) == 1
    out = capsys.readouterr().out
    assert "sg5: failed: no stock" in out and "The new server" not in out


def test_who_leaves_is_told_that_it_goes_on_and_where(
    restores: Restores, shell: Shell, capsys: Capsys
) -> None:
    def leave(_: float) -> None:
        raise KeyboardInterrupt

    shell.setenv("YES", "1")
    restores.interrupted = True
    shell.setattr("deploy.restore.time.sleep", leave)
    assert main("restore", os.environ) == 130
    err = capsys.readouterr().err
    assert "The restore goes on at AWS. The new server is restore-1-42." in err
    assert CONSOLE in err


@pytest.mark.parametrize(
    ("lost", "code"),
    [
        (ReadTimeoutError(endpoint_url="https://lambda"), 2),
        (ConnectionClosedError(endpoint_url="https://lambda"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_start_without_an_answer_may_have_started_and_that_is_said(
    restores: Restores, shell: Shell, capsys: Capsys, lost: BaseException, code: int
) -> None:
    """Whoever starts it again without looking pays for two servers."""
    shell.setenv("YES", "1")
    restores.lost = [lost]
    assert main("restore", os.environ) == code
    run_id = restores.events[-1]["run_id"]
    told = capsys.readouterr().err
    assert f"it may have started the restore {run_id} all the same" in told
    assert f"a new server restore-{run_id}-" in told and "before you start another one" in told


def test_a_start_that_broke_off_may_have_started_and_that_is_said(
    restores: Restores, shell: Shell, capsys: Capsys
) -> None:
    shell.setenv("YES", "1")
    shell.setenv("NAME", "again")
    restores.broken = "Sandbox.Timedout"
    assert main("restore", os.environ) == 1
    assert "there will be a new server again, which" in capsys.readouterr().err


def test_the_port_of_the_probe_is_the_one_to_look_at() -> None:
    there = RestoreResult.from_dict(result("restored", **THERE, probe="ssh.2222"))
    assert "     ssh -p 2222 root@203.0.113.9" in list(what_is_left(there, "owner"))


def test_of_one_that_may_act_it_is_not_said_that_nothing_leaves_it() -> None:
    there = RestoreResult.from_dict(result("unproven", **THERE, unguarded=True))
    words = "\n".join(what_is_left(there, "owner"))
    assert "restore-1-42 (id 7001)" in words and "it must not run" in words
    assert "nothing leaves" not in words and "ssh" not in words and "hcloud" not in words


def test_its_own_firewalls_come_before_ours_is_lifted() -> None:
    words = "\n".join(what_is_left(RestoreResult.from_dict(result("restored", **THERE)), "owner"))
    assert words.index("first its firewalls") < words.index("hcloud firewall remove-from-resource")
    assert "IPv6 (it has none)" in words


def test_nothing_that_is_said_tells_anybody_to_change_or_delete_the_original() -> None:
    there = RestoreResult.from_dict(result("restored", **THERE))
    words = "\n".join([*what_is_made(there, "", "owner"), *what_is_left(there, "owner")])
    assert "no other is touched" in words and "No other server was touched" in words
    assert "rebuild" not in words and "server delete" not in words
    unknown = RestoreResult("sg5", 42, "planned", 90016)
    assert "what it costs Hetzner does not tell" in "\n".join(what_is_made(unknown, "b", "owner"))
