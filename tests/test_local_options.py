"""Which options a person has given, and what must not be read as an option."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local.common.parameters import template_parameters
from local.common.variables import Unusable
from local.environment import clean
from local.options import NOT_HERE, REAL_ENDPOINT, Options
from local.run import load_event
from local.service import take_port

TOKEN = "a-real-token"


def test_without_anything_it_is_the_simulator_at_sixty_times_the_speed() -> None:
    options = Options.from_env({})
    assert (options.api, options.endpoint, options.notices) == ("simulator", None, ())
    assert options.wait_scale == pytest.approx(1 / 60)


@pytest.mark.parametrize("name", ["HCLOUD_TOKEN", "HERTZNER_API_KEY"])
def test_a_token_lying_around_is_ignored_and_said_to_be(name: str) -> None:
    options = Options.from_env({name: TOKEN})
    assert options.api == "simulator"
    assert options.token != TOKEN
    assert f"{name} is set and ignored" in options.notices[0]
    assert TOKEN not in repr(options)


@pytest.mark.parametrize("name", ["HCLOUD_TOKEN", "HERTZNER_API_KEY"])
def test_the_real_api_is_used_only_when_asked_for(name: str) -> None:
    options = Options.from_env({name: f"{TOKEN}\n", "REAL": "1"})
    assert (options.api, options.endpoint, options.token) == ("real", REAL_ENDPOINT, TOKEN)
    assert options.wait_scale == 1
    assert TOKEN not in repr(options)


def test_two_different_tokens_are_said_to_be() -> None:
    options = Options.from_env({"REAL": "1", "HCLOUD_TOKEN": "one", "HERTZNER_API_KEY": "two"})
    assert options.token == "one"
    assert "using HCLOUD_TOKEN" in options.notices[0]


def test_another_endpoint_is_taken_as_given() -> None:
    options = Options.from_env(
        {"HCLOUD_ENDPOINT": "http://127.0.0.1:9/v1/", "HCLOUD_TOKEN": TOKEN, "WAIT_SCALE": "0.5"}
    )
    assert (options.api, options.token, options.wait_scale) == ("given", TOKEN, 0.5)
    assert options.endpoint == "http://127.0.0.1:9/v1"


def test_the_real_address_as_endpoint_is_still_the_real_api() -> None:
    options = Options.from_env({"HCLOUD_ENDPOINT": REAL_ENDPOINT, "HCLOUD_TOKEN": TOKEN})
    assert options.api == "real"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"REAL": "1"}, "HCLOUD_TOKEN or HERTZNER_API_KEY"),
        ({"HCLOUD_ENDPOINT": "http://127.0.0.1:9/v1"}, "HCLOUD_TOKEN"),
        ({"HCLOUD_ENDPOINT": "127.0.0.1:9", "HCLOUD_TOKEN": TOKEN}, "HCLOUD_ENDPOINT"),
        ({"REAL": "perhaps", "HCLOUD_TOKEN": TOKEN}, "REAL"),
        ({"WAIT_SCALE": "0"}, "WAIT_SCALE"),
        ({"WAIT_SCALE": "-1"}, "WAIT_SCALE"),
        ({"WAIT_SCALE": "nan"}, "WAIT_SCALE"),
        ({"WAIT_SCALE": "fast"}, "WAIT_SCALE"),
        ({"AWS_PORT": "0"}, "AWS_PORT"),
        ({"AWS_PORT": "http"}, "AWS_PORT"),
        ({"SIMULATOR_PORT": "65536"}, "SIMULATOR_PORT"),
        ({"PARAMETERS": "Retention"}, "Retention has no value"),
        ({"PARAMETERS": "Retentoin=daily7"}, "There is no parameter Retentoin. There are: Sch"),
        ({"PARAMETERS": "Retention=7daily"}, "Retention is '7daily'"),
        ({"PARAMETERS": "Retention=daily7-daily7"}, "PARAMETERS: Retention: "),
        ({"PARAMETERS": "MaxDeletions=many"}, "MaxDeletions is 'many'; it must be a number"),
        ({"PARAMETERS": 'Retention="daily7'}, "cannot be read"),
        ({"PARAMETERS": "Retention=daily7 Retention=daily3"}, "Retention is there twice"),
    ],
)
def test_what_cannot_be_done_is_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(Unusable, match=named):
        Options.from_env(environ)


def test_parameters_are_those_of_deploy() -> None:
    options = Options.from_env({"PARAMETERS": " Retention=daily7 LockWaitMinutes='5' "})
    assert options.parameters == {"Retention": "daily7", "LockWaitMinutes": "5"}


@pytest.mark.parametrize("name", NOT_HERE)
def test_parameters_that_mean_nothing_here_are_refused_with_the_reason(name: str) -> None:
    assert name in template_parameters()
    with pytest.raises(Unusable) as refusal:
        Options.from_env({"PARAMETERS": f"{name}=x"})
    assert f"{name} can only be deployed: {NOT_HERE[name]}." in str(refusal.value)


@pytest.mark.parametrize(
    "wrong", [{"FLEET": "troubles"}, {"PARAMETERS": "Retentoin=daily7"}, {"FLEET": "0"}]
)
@pytest.mark.parametrize("command", ["run", "drill", "up"])
def test_a_typo_is_refused_before_anything_starts(
    tmp_path: Path, command: str, wrong: dict[str, str]
) -> None:
    done = cli(tmp_path, command, **wrong)
    assert done.returncode == 2
    assert next(iter(wrong.values())).partition("=")[0] in done.stdout
    assert "Starting" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_nothing_personal_reaches_our_processes() -> None:
    personal = {
        "AWS_PROFILE": "work",
        "AWS_ACCESS_KEY_ID": "AKIAPERSONAL",
        "AWS_SESSION_TOKEN": "session",
        "AWS_ENDPOINT_URL": "https://example.com",
        "AWS_CONFIG_FILE": "/home/me/.aws/config",
        "HCLOUD_TOKEN": TOKEN,
        "HERTZNER_API_KEY": TOKEN,
        "MAKEFLAGS": f" -- HCLOUD_TOKEN={TOKEN}",
        "PERSIST_STATE": "1",
    }
    cleaned = clean({**personal, "PATH": "/usr/bin", "no_proxy": "intranet"})
    assert not set(cleaned.values()) & set(personal.values())
    assert cleaned["PATH"] == "/usr/bin"
    assert cleaned["AWS_CONFIG_FILE"] == cleaned["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert cleaned["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_a_busy_port_is_refused_and_a_free_one_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        busy = server.getsockname()[1]
        with pytest.raises(Unusable, match=f"Port {busy} .* AWS_PORT="):
            take_port(busy, "AWS_PORT")
        assert take_port(None, "AWS_PORT") != busy


def cli(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        env={"PATH": "/usr/bin:/bin", "CLOUD_DIR": str(tmp_path), **environ},
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not json", "is not JSON"),
        ('{"key1": "value1"}', 'unknown field "key1"'),
        ("[]", "must be a JSON object"),
        ('{"dry_run": "true"}', "dry_run"),
    ],
)
def test_an_event_that_would_be_refused_starts_nothing(
    tmp_path: Path, content: str, said: str
) -> None:
    event = tmp_path / "event.json"
    event.write_text(content)
    stale = tmp_path / "run.json"
    stale.write_text("{}")
    done = cli(tmp_path, "run", EVENT=str(event))
    assert done.returncode == 2
    assert said in done.stdout
    assert "Starting" not in done.stdout
    assert stale.exists(), "of the last run that there was"


@pytest.mark.parametrize("variable", ["AWS_PORT", "SIMULATOR_PORT"])
def test_a_busy_port_ends_a_run_before_anything_is_started(tmp_path: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        done = cli(tmp_path, "run", **{variable: port})
    assert done.returncode == 2
    assert f"Port {port} cannot be used" in done.stdout and f"{variable}=" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["[]", " [1]", '"all"', "17", "null", "true"])
def test_json_that_is_no_object_is_said_to_be_so(tmp_path: Path, text: str) -> None:
    done = cli(tmp_path, "run", EVENT=text)
    assert done.returncode == 2
    assert "must be a JSON object" in done.stdout
    assert "No such file" not in done.stdout and "Starting" not in done.stdout


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{", "is not JSON"),
        ("{'dry_run': true}", "is not JSON"),
        ("events", "is a folder"),
        ("   ", "EVENT is empty"),
        ("x" * 5000, "File name too long"),
        ("[" * 100_000, "is not JSON that"),
        ('{"servers":' * 100_000, "is not JSON"),
        ("/dev/zero", "is no regular file"),
    ],
)
def test_nonsense_as_event_is_said_to_be_so(event: str, said: str) -> None:
    with pytest.raises(Unusable) as refusal:
        load_event(event)
    assert said in str(refusal.value)
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x7fELF\x00\xff\xfe", "is not text"),
        (b"{}" + b" " * 300_000, "at most 262144 bytes"),
        ("{}".encode("utf-16"), "is not text"),
    ],
)
def test_a_file_that_holds_no_event_is_said_to_be_so(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "event.json"
    path.write_bytes(content)
    with pytest.raises(Unusable) as refusal:
        load_event(str(path))
    assert str(refusal.value).startswith(f"EVENT={path} ") and said in str(refusal.value)


def test_an_event_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text('{"dry_run": true}', encoding="utf-8-sig")
    assert load_event(str(path)) == {"dry_run": True}


def test_a_missing_event_is_named_with_those_there_are(tmp_path: Path) -> None:
    done = cli(tmp_path, "run", EVENT="events/nope.json")
    assert done.returncode == 2
    assert "events/nope.json: No such file" in done.stdout
    assert "events/dry-run.json" in done.stdout


def test_without_a_terminal_the_real_api_is_not_touched(tmp_path: Path) -> None:
    done = cli(tmp_path, "run", REAL="1", HCLOUD_TOKEN=TOKEN)
    assert done.returncode == 2
    assert "YES=1" in done.stdout
    assert "Starting" not in done.stdout
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["invoke", "logs"])
def test_without_a_cloud_the_commands_say_how_to_get_one(tmp_path: Path, command: str) -> None:
    done = cli(tmp_path, command)
    assert done.returncode == 2
    assert "make up" in done.stdout


def test_taking_down_nothing_is_fine(tmp_path: Path) -> None:
    done = cli(tmp_path, "down")
    assert (done.returncode, done.stdout) == (0, "No local cloud is up.\n")
