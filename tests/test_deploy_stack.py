"""A stack is deployed, gets a token, is tried, changed and removed, with the make commands."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import boto3
import pytest

from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RUN_ID,
    LABEL_SERVER_ID,
    LABEL_SERVER_NAME,
)
from handler.documents.memory import Memory
from local.aws import ROOT
from local.environment import REGION
from local.simulator import Fault, Image
from local.simulator.faults import status
from tests.deploy_place import Place, a_place
from tests.leaks import a_token, piece_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

STACK, OTHER = "hetzner-snapshots", "staging"
PARAMETER = "/hetzner-snapshots/tokens/default"
QUESTION = "Bring the stack"
TOKEN = a_token("that is shown nowhere")
SECOND = a_token("of a second project")
READ_ONLY = a_token("that may only read")
HOLDS_STATE = (
    "LogGroup", "SnapshotRunLogGroup", "Notifications", "SnapshotRun", "DeadLetters",
    "ScheduleGroup", "WatchMemory",
)  # fmt: skip


@dataclass
class Step:
    """What a command showed, and the code it ended with."""

    code: int
    shown: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with a_place(tmp_path_factory.mktemp("deploy")) as place:
        project = place.world.project("default")
        project.add_token(TOKEN)
        project.add_token(READ_ONLY, read_only=True)
        project.add_server("web-1")
        built = place.make("build")
        assert built.returncode == 0, built.stdout
        yield place


def night_of(place: Place, owner: str, days_ago: int) -> Image:
    """A snapshot that an earlier night of that stack has left."""
    project = place.world.project("default")
    [server] = project.servers.values()
    created = place.world.clock.now() - timedelta(days=days_ago)
    labels = {
        LABEL_MANAGED_BY: owner,
        LABEL_RUN_ID: f"{created:%Y%m%dT%H%M%SZ}",
        LABEL_SERVER_ID: str(server.id),
        LABEL_SERVER_NAME: server.name,
    }
    return project.add_snapshot(server, created=created, labels=labels)


def local_parameters(place: Place) -> str:
    """MiniStack cannot deploy the queries; and no run must start by itself."""
    return (
        f"SavedQueries=false ScheduleState=DISABLED HetznerEndpoint={place.hetzner} "
        # So long goes on what waits for an API that is down.
        "LockWaitMinutes=1440 "
        # Here a day is over in 24 minutes.
        "FreshnessHours=1000"
    )


@pytest.fixture(scope="module")
def before(place: Place) -> dict[str, set[str]]:
    return place.everything()


@pytest.fixture(scope="module")
def not_there(place: Place) -> Step:
    done = place.make("smoke", REGION=REGION)
    return Step(done.returncode, done.stdout)


@pytest.fixture(scope="module")
def deployed(place: Place, before: dict[str, set[str]], not_there: Step) -> Step:
    answers = [
        ("E-mail", "nobody"),
        ("E-mail", "ops@example.com"),
        ("Which snapshots", "daily2"),
        ("When to run", "cron(0 2 * * *)"),
        ("When to run", ""),
        ("time zone", "Berlin"),
        ("time zone", "Europe/Berlin"),
    ]
    return Step(*place.at_a_terminal("deploy", *answers, PARAMETERS=local_parameters(place)))


@pytest.fixture(scope="module")
def tokens(place: Place, deployed: Step) -> dict[str, Step]:
    tried = {
        "none stored": place.make("smoke"),
        "nothing": place.make("token", given="\n"),
        "no token": place.make("token", given="two words\n"),
        "wrong": place.make("token", given="of-nobody\n"),
        "read-only": place.make("token", given=f"{READ_ONLY}\n"),
    }
    steps = {name: Step(done.returncode, done.stdout) for name, done in tried.items()}
    stored = place.client("ssm").describe_parameters()["Parameters"]
    names = [p["Name"] for p in stored if p["Type"] == "SecureString"]
    steps["left by these"] = Step(0, " ".join(names))
    steps["piped"] = Step(
        (done := place.make("token", given=f" {TOKEN}\n")).returncode, done.stdout
    )
    typed = place.at_a_terminal("token", ("(typed unseen): ", TOKEN))
    return {**steps, "typed": Step(*typed)}


@dataclass
class Update:
    declined: Step
    step: Step
    before: dict[str, str]
    after: dict[str, str]
    remembered: tuple[str, str]  # by the watch, before and after it


def memory_of(place: Place) -> str:
    parameter = place.ids(STACK)["WatchMemory"]
    return str(place.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"])


@pytest.fixture(scope="module")
def updated(place: Place, tokens: dict[str, Step]) -> Update:
    ids = place.ids(STACK)
    looked = place.client("lambda").invoke(FunctionName=ids["WatchServers"], Payload=b"{}")
    assert "FunctionError" not in looked, looked["Payload"].read()
    remembered = memory_of(place)
    declined = Step(*place.at_a_terminal("deploy", (QUESTION, "n"), PARAMETERS="Notify=always"))
    assert place.parameters(STACK)["Notify"] == "problems"
    changes = "Retention=daily1 LogRetentionDays=30 Notify=always"
    done = Step(*place.at_a_terminal("deploy", (QUESTION, "y"), PARAMETERS=changes))
    return Update(declined, done, ids, place.ids(STACK), (remembered, memory_of(place)))


@pytest.fixture(scope="module")
def elsewhere(place: Place, updated: Update) -> dict[str, Step]:
    tried = {
        "other region": place.make("deploy", REGION="eu-west-1", YES="1"),
        "other account": place.make("deploy", AWS_ACCESS_KEY_ID="999999999999", YES="1"),
        "other account's token": place.make(
            "token", given=f"{TOKEN}\n", AWS_ACCESS_KEY_ID="999999999999"
        ),
        "unasked": place.make("deploy", PARAMETERS="Notify=problems"),
    }
    steps = {name: Step(done.returncode, done.stdout) for name, done in tried.items()}
    declined = place.at_a_terminal("deploy", ("Deploy there", "n"), REGION="eu-west-1")
    return {**steps, "declined": Step(*declined)}


@dataclass
class Beside:
    """Two stacks on one project: by stack its snapshots, and those that it decided about."""

    trial: str
    report: Step
    ids: dict[str, set[str]]
    account: dict[str, set[str]]
    own: dict[str, set[int]]
    decided: dict[str, set[int | None]]


@pytest.fixture(scope="module")
def beside(place: Place, elsewhere: dict[str, Step]) -> Beside:
    nights = {
        owner: [night_of(place, owner, days) for days in (1, 2, 3)] for owner in (STACK, OTHER)
    }
    made = place.make(
        "deploy", STACK=OTHER, PARAMETERS=f"Retention=daily1 {local_parameters(place)}"
    )
    assert made.returncode == 0, made.stdout
    for stack in (STACK, OTHER):
        trial = place.make("smoke", STACK=stack)
        assert trial.returncode == 0, trial.stdout
    report = place.make("report", STACK=OTHER)
    return Beside(
        trial.stdout,
        Step(report.returncode, report.stdout),
        {stack: set(place.ids(stack).values()) for stack in (STACK, OTHER)},
        place.everything(),
        {owner: {image.id for image in images} for owner, images in nights.items()},
        {
            stack: {
                line["decision"]["image_id"] for line in place.lines(stack) if "decision" in line
            }
            for stack in (STACK, OTHER)
        },
    )


@dataclass
class Watched:
    """What `make status` and `make forget` show, and what the other stack's watch remembers."""

    steps: dict[str, Step]
    remembered: str


@pytest.fixture(scope="module")
def watched(place: Place, beside: Beside) -> Watched:
    """With a second project, which is empty."""
    second = place.world.project("second")
    second.add_token(SECOND)
    given = {"STACK": OTHER, "PROJECT": "second"}
    steps = {}

    def step(name: str, *targets: str, **more: str) -> None:
        done = place.make(*targets, **more)
        steps[name] = Step(done.returncode, done.stdout)

    step("unknown", "forget", STACK=OTHER, PROJECT="second", YES="1")
    step("token", "token", given=f"{SECOND}\n", **given)
    place.client("lambda").invoke(FunctionName=place.ids(OTHER)["WatchServers"], Payload=b"{}")
    step("status", "status", STACK=OTHER)
    step("for programs", "status", STACK=OTHER, JSON="1")
    step("unasked", "forget", **given)
    step("forgotten", "forget", **given, YES="1")
    [memory] = place.client("ssm").get_parameters(Names=[place.ids(OTHER)["WatchMemory"]])[
        "Parameters"
    ]
    step("overdue", "status", STACK=OTHER)
    return Watched(steps, memory["Value"])


@pytest.fixture(scope="module")
def removed(place: Place, beside: Beside, watched: Watched) -> dict[str, Step]:
    unasked = place.make("destroy")
    place.world.faults.add(Fault(status(503, "unavailable"), times=None))
    place.client("lambda").invoke(FunctionName=place.ids(STACK)["StartRun"], Payload=b"{}")
    running = place.make("destroy", YES="1")
    refused = place.at_a_terminal("destroy", ("Remove the stack", "n"))
    steps = {"unasked": Step(unasked.returncode, unasked.stdout), "refused": Step(*refused)}
    still_there = place.ids(STACK)
    steps["running"] = Step(running.returncode, running.stdout)
    answers = [("Remove the stack", "y"), ("Stop what", "y")]
    steps["agreed"] = Step(*place.at_a_terminal("destroy", *answers))
    assert still_there
    place.world.faults.clear()
    other = place.make("smoke", STACK=OTHER)
    steps["the other after that"] = Step(other.returncode, other.stdout)
    done = place.make("destroy", STACK=OTHER, YES="1")
    return {**steps, "the other": Step(done.returncode, done.stdout)}


def test_a_stack_that_is_not_there_is_said_with_where_it_was_looked_for(not_there: Step) -> None:
    assert not_there.code == 2
    assert f"There is no stack {STACK} in {REGION} of the account" in not_there.shown
    assert "`make deploy REGION=us-east-1 SAMCONFIG=" in not_there.shown
    assert "Traceback" not in not_there.shown


def test_the_first_deployment_asks_in_words_and_keeps_the_answers(
    place: Place, deployed: Step
) -> None:
    assert deployed.code == 0, deployed.shown
    assert "NotificationEmail is 'nobody'; it must be one e-mail address" in deployed.shown
    given = place.parameters(STACK)
    assert given["Retention"] == "daily2"
    assert given["ScheduleTimezone"] == "Europe/Berlin"
    assert given["NotificationEmail"] == "ops@example.com"
    assert given["HetznerEndpoint"] == place.hetzner
    assert "AWS writes to ops@example.com once" in deployed.shown
    assert "Schedule is 'cron(0 2 * * *)': cron has six fields" in deployed.shown
    assert "the nearest is Europe/Berlin." in deployed.shown
    kept = (place.folder / "samconfig.toml").read_text()
    assert 'Retention = "daily' in kept
    account = place.client("sts").get_caller_identity()["Account"]
    assert f'[default.account]\nid = "{account}"' in kept
    kept_in = f"SAMCONFIG={place.folder / 'samconfig.toml'}"
    assert (
        f"Next: `make token PROJECT=default {kept_in}`, `make smoke {kept_in}`." in deployed.shown
    )


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("none stored", "There is no Hetzner API token under /hetzner-snapshots/tokens yet."),
        ("nothing", "No token was given, so nothing was stored."),
        ("no token", "This is no API token, so nothing was stored"),
        ("wrong", "Hetzner does not take this token, so nothing was stored"),
        ("read-only", "The token may only read, so it was not stored."),
    ],
)
def test_a_token_that_will_not_do_is_refused_with_the_remedy(
    tokens: dict[str, Step], case: str, said: str
) -> None:
    assert tokens[case].code == 2
    assert said in tokens[case].shown
    assert "read and write permission" in tokens[case].shown
    assert "Traceback" not in tokens[case].shown
    assert tokens["left by these"].shown == ""


@pytest.mark.parametrize(("how", "version"), [("piped", 1), ("typed", 2)])
def test_a_token_is_tried_and_stored_encrypted(
    place: Place, tokens: dict[str, Step], how: str, version: int
) -> None:
    assert tokens[how].code == 0, tokens[how].shown
    assert "It reads: 1 server, web-1 among them." in tokens[how].shown
    assert "It may write." in tokens[how].shown
    assert f"{PARAMETER} (SecureString, version {version})" in tokens[how].shown
    stored = place.client("ssm").get_parameter(Name=PARAMETER, WithDecryption=True)["Parameter"]
    assert (stored["Value"], stored["Type"]) == (TOKEN, "SecureString")


def test_the_trial_reads_all_and_writes_nothing(place: Place, beside: Beside) -> None:
    verdict = "default: Completed: 1 of 1 server; dry run: nothing made or deleted"
    assert f"{verdict}, 3 would be deleted" in beside.trial
    assert "https://us-east-1.console.aws.amazon.com/states/home" in beside.trial
    # The only writes are those with which `make token` tries a token; they change nothing.
    writes = [r for r in place.world.requests if r.method != "GET"]
    assert {(r.method, r.status) for r in writes} == {("PUT", 401), ("PUT", 404)}


def test_the_trials_page_is_made_from_its_log(beside: Beside) -> None:
    assert beside.report.code == 0, beside.report.shown
    assert "The page about it is build/report.html." in beside.report.shown
    html = (ROOT / "build/report.html").read_text()
    assert "web-1" in html and "a dry run: nothing was made or deleted" in html


def test_the_status_is_what_the_watch_sees(watched: Watched) -> None:
    shown = watched.steps["status"].shown
    assert watched.steps["status"].code == 0, shown
    assert "default: 1 server, 3 snapshots, " in shown
    assert re.search(
        r"^  web-1 +20\d\d-\d\d-\d\d \d\d:\d\d +\d+ h +41 d +40 d +[\d.]+$", shown, re.M
    )
    assert "second: 0 servers, 0 snapshots, 0.0 GB" in shown
    assert re.search(r"^Alarms: none of \d+ is red\.$", shown, re.M)
    assert "\nMessages reach " in shown
    assert "All is well: nothing is overdue, no alarm is red." in shown
    text = watched.steps["for programs"].shown
    told = json.loads(text[text.index("\n{") :])
    assert told["well"] is True and len(told["watch"]["projects"]) == 2


def test_a_project_that_is_forgotten_is_gone_from_ssm_and_from_memory(watched: Watched) -> None:
    unknown, unasked = watched.steps["unknown"], watched.steps["unasked"]
    assert "'second', which is not remembered; remembered are: none." in unknown.shown
    assert unasked.code == 2 and "`make forget PROJECT=second YES=1 STACK=staging" in unasked.shown
    forgotten = watched.steps["forgotten"]
    assert forgotten.code == 0, forgotten.shown
    assert "The SSM parameter /hetzner-snapshots/tokens/second is removed." in forgotten.shown
    assert "default" in watched.remembered and "second" not in watched.remembered
    assert "second:" not in watched.steps["overdue"].shown
    assert "second:" in watched.steps["status"].shown
    assert watched.steps["overdue"].code == 0


def test_an_update_changes_what_was_asked_and_replaces_nothing_that_holds_state(
    place: Place, updated: Update
) -> None:
    assert updated.step.code == 0, updated.step.shown
    assert "With the answers in samconfig.toml" in updated.step.shown
    assert "Retention: daily2 becomes daily1\r\n" in updated.step.shown
    assert updated.declined.code != 0 and "Nothing was changed." in updated.declined.shown
    given = place.parameters(STACK)
    assert (given["Retention"], given["Notify"]) == ("daily1", "always")
    assert given["NotificationEmail"] == "ops@example.com"
    kept = {name: updated.before[name] for name in HOLDS_STATE}
    assert {name: updated.after[name] for name in HOLDS_STATE} == kept
    [group] = place.client("logs").describe_log_groups(
        logGroupNamePrefix=f"/hetzner-snapshots/{STACK}"
    )["logGroups"]
    assert group["retentionInDays"] == 30


def test_an_update_leaves_what_the_watch_remembers(updated: Update) -> None:
    before, after = updated.remembered
    assert after == before
    remembered = Memory.parse(after).projects["default"]
    assert (remembered.servers, remembered.told) == (1, frozenset())


def test_nothing_is_deployed_elsewhere_or_changed_unasked(
    place: Place, elsewhere: dict[str, Step]
) -> None:
    for name, said in {
        "other region": "this is eu-west-1 of the account 000000000000",
        "other account": "this is us-east-1 of the account 999999999999",
        "other account's token": "these credentials are of the account 999999999999",
        "unasked": "If you mean it: `make deploy YES=1",
        "declined": "Nothing was done.",
    }.items():
        assert elsewhere[name].code == 2, elsewhere[name].shown
        assert said in elsewhere[name].shown
    for region, account in (("eu-west-1", "test"), (REGION, "999999999999")):
        there = boto3.client(
            "cloudformation",
            region_name=region,
            endpoint_url=place.aws.url,
            aws_access_key_id=account,
            aws_secret_access_key=place.aws.secret,
        )
        assert there.describe_stacks()["Stacks"] == []
    assert place.parameters(STACK)["Notify"] == "always"
    assert f'region = "{REGION}"' in (place.folder / "samconfig.toml").read_text()


def test_two_stacks_in_one_account_have_nothing_in_common(beside: Beside) -> None:
    assert min(map(len, beside.ids.values())) > len(HOLDS_STATE)
    assert beside.ids[STACK].isdisjoint(beside.ids[OTHER])


def test_two_stacks_on_one_project_see_only_their_own_snapshots(beside: Beside) -> None:
    # A dry run decides about the snapshot that it would make, too: that one has no number yet.
    assert {stack: ids - {None} for stack, ids in beside.decided.items()} == beside.own


def test_the_snapshots_outlive_both_stacks(
    place: Place, beside: Beside, removed: dict[str, Step]
) -> None:
    left = place.world.project("default").images.keys()
    assert left == beside.own[STACK] | beside.own[OTHER]


def test_removing_asks_and_says_what_stays(place: Place, removed: dict[str, Step]) -> None:
    assert removed["unasked"].code == 2
    assert "`make destroy YES=1" in removed["unasked"].shown
    assert removed["refused"].code != 0
    assert "Nothing was removed." in removed["refused"].shown
    assert removed["running"].code == 2
    assert "One run is going on: " in removed["running"].shown
    assert "`make destroy YES=1 STOP=1" in removed["running"].shown
    agreed = removed["agreed"]
    assert " is stopped." in agreed.shown
    assert agreed.code == 0, agreed.shown
    assert f"The stack {STACK} is gone." in agreed.shown
    assert f"hcloud image list -t snapshot -l hetzner-snapshots/managed-by={STACK}" in agreed.shown
    assert f"aws ssm delete-parameter --region {REGION} --name {PARAMETER}" in agreed.shown
    assert place.client("ssm").get_parameter(Name=PARAMETER)
    assert removed["the other after that"].code == 0, removed["the other after that"].shown
    assert removed["the other"].code == 0, removed["the other"].shown


def test_nothing_is_left_of_the_stacks(
    place: Place, before: dict[str, set[str]], beside: Beside, removed: dict[str, Step]
) -> None:
    # What is looked at were all of these kinds, while the stacks were there.
    assert [kind for kind, found in beside.account.items() if not found > before[kind]] == []
    assert place.everything() == before


def test_what_the_watch_remembered_goes_with_the_stack(
    place: Place, updated: Update, removed: dict[str, Step]
) -> None:
    names = [p["Name"] for p in place.client("ssm").describe_parameters()["Parameters"]]
    assert updated.before["WatchMemory"] not in names


def test_the_token_was_shown_nowhere(place: Place, removed: dict[str, Step]) -> None:
    told = "".join(place.said)
    assert len(told) > 10_000
    assert not piece_of(TOKEN, told) and not piece_of(READ_ONLY, told)
    assert not piece_of(SECOND, told)
    assert (place.folder / "samconfig.toml").exists()
    files = [path for path in place.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if piece_of(TOKEN, path.read_text(errors="replace"))]
