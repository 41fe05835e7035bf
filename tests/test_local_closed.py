"""The local cloud is closed to other users of the machine and to web pages.

Each attack here got the token out of the local AWS when that was open to everybody.
"""

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.access import Access
from local.aws import connection, store_token
from local.cloud import Cloud, running
from local.daemon import Daemon
from local.environment import ACCESS_KEY, REGION
from local.options import Options
from tests.leaks import a_token, piece_of

TOKEN = a_token("of the closed cloud")
GIVEN = Options("given", "unused", "http://127.0.0.1:1/v1", wait_scale=1)
READ = json.dumps({"Path": "/hetzner-snapshots/tokens", "WithDecryption": True}).encode()
AS_SSM = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AmazonSSM.GetParametersByPath",
}
PAGE = {"Origin": "https://a-page.example"}

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    # As build/ in a checkout: everybody may look into it, unlike pytest's own folders.
    with tempfile.TemporaryDirectory() as build:
        Path(build).chmod(0o755)
        daemon = Daemon(Path(build))
        try:
            yield daemon
        finally:
            daemon.stop()


@pytest.fixture(scope="module")
def cloud(daemon: Daemon) -> Cloud:
    cloud = daemon.start(GIVEN)
    store_token(cloud.aws, TOKEN)
    return cloud


def ask(
    aws: Access, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
) -> tuple[int, dict[str, str], str]:
    client = http.client.HTTPConnection(urlsplit(aws.url).netloc, timeout=30)
    try:
        client.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            client.putheader(name, value)
        client.endheaders(body)
        answer = client.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        client.close()


def signed(
    aws: Access,
    headers: Mapping[str, str] = AS_SSM,
    *,
    secret: str = "",
    key: str = ACCESS_KEY,
    body: bytes = READ,
) -> dict[str, str]:
    """The headers of a request that reads the token, with a signature."""
    request = AWSRequest("POST", aws.url + "/", dict(headers), body)
    SigV4Auth(Credentials(key, secret or aws.secret), "ssm", REGION).add_auth(request)
    return dict(request.headers.items())


def host(aws: Access) -> str:
    return urlsplit(aws.url).netloc


def refused(answer: tuple[int, dict[str, str], str]) -> bool:
    status, headers, text = answer
    shared = [name for name in headers if name.lower().startswith("access-control-")]
    return status == 403 and not shared and not piece_of(TOKEN, text)


# Ours, and the functions'.
@pytest.mark.parametrize("key", [ACCESS_KEY, "000000000000"])
def test_who_has_the_key_reads_the_token(cloud: Cloud, key: str) -> None:
    status, _, text = ask(cloud.aws, "POST", "/", signed(cloud.aws, key=key), READ)
    assert status == 200
    assert TOKEN in text


def test_who_has_no_key_does_not(cloud: Cloud) -> None:
    assert refused(ask(cloud.aws, "POST", "/", AS_SSM, READ))


@pytest.mark.parametrize("secret", ["test", "0" * 64])
@pytest.mark.parametrize("key", [ACCESS_KEY, "000000000000", "AKIAIOSFODNN7EXAMPLE"])
def test_another_key_opens_nothing(cloud: Cloud, key: str, secret: str) -> None:
    guessed = signed(cloud.aws, secret=secret, key=key)
    assert refused(ask(cloud.aws, "POST", "/", guessed, READ))


def test_a_signature_is_for_one_request(cloud: Cloud) -> None:
    harmless = b'{"Path": "/nothing"}'
    assert refused(ask(cloud.aws, "POST", "/", signed(cloud.aws, body=harmless), READ))
    hashed = {**AS_SSM, "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    assert refused(ask(cloud.aws, "POST", "/", signed(cloud.aws, hashed), READ))


def test_a_signature_ends(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    then = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: then)
    headers = signed(cloud.aws)
    assert headers["X-Amz-Date"] == then.strftime("%Y%m%dT%H%M%SZ")
    assert refused(ask(cloud.aws, "POST", "/", headers, READ))


def test_a_signature_in_an_address_is_none(cloud: Cloud) -> None:
    request = AWSRequest("POST", cloud.aws.url + "/", dict(AS_SSM), READ)
    credentials = Credentials(ACCESS_KEY, cloud.aws.secret)
    SigV4QueryAuth(credentials, "ssm", REGION).add_auth(request)
    path = request.url.removeprefix(cloud.aws.url)
    assert "X-Amz-Signature=" in path
    assert refused(ask(cloud.aws, "POST", path, AS_SSM, READ))


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        # Asks whether the page may send what follows.
        ("OPTIONS", {**PAGE, "Access-Control-Request-Method": "POST"}, b""),
        ("POST", {**PAGE, **AS_SSM}, READ),
        # What a browser sends for any page without asking: a form, text.
        (
            "POST",
            {"Content-Type": "application/x-www-form-urlencoded"},
            b"Action=ListStacks&Version=2010-05-15",
        ),
        ("POST", {"Origin": "null", "Content-Type": "text/plain"}, READ),
        ("GET", {}, b""),
    ],
)
def test_a_web_page_gets_nothing(
    cloud: Cloud, method: str, headers: dict[str, str], body: bytes
) -> None:
    assert refused(ask(cloud.aws, method, "/", headers, body))


def test_a_web_page_gets_nothing_even_with_the_key(cloud: Cloud) -> None:
    assert refused(ask(cloud.aws, "POST", "/", {**signed(cloud.aws), **PAGE}, READ))


def test_another_name_for_this_machine_opens_nothing(cloud: Cloud) -> None:
    port = urlsplit(cloud.aws.url).port
    for name in ("a-page.example", "localhost", "ssm.us-east-1.localhost"):
        headers = signed(cloud.aws, {**AS_SSM, "Host": f"{name}:{port}"})
        assert refused(ask(cloud.aws, "POST", "/", headers, READ))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_ministack/health"),
        ("POST", "/_ministack/reset"),
        ("POST", "/_ministack/config"),
        ("GET", "/_ministack/lambda-code/anything"),
        ("GET", "/_ministack/sqs/messages"),
        ("GET", "/2015-03-31/functions/"),
        ("GET", "/a-bucket"),
    ],
)
def test_no_path_is_open(cloud: Cloud, method: str, path: str) -> None:
    assert refused(ask(cloud.aws, method, path, {}))


def test_no_websocket_is_open(cloud: Cloud) -> None:
    upgrade = {
        **{"Connection": "Upgrade", "Upgrade": "websocket"},
        **{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
        # MiniStack would answer as AWS IoT.
        **{"Sec-WebSocket-Protocol": "mqtt", "Host": "any.iot.us-east-1.localhost"},
    }
    with socket.create_connection(("127.0.0.1", urlsplit(cloud.aws.url).port or 0)) as client:
        client.settimeout(30)
        lines = ["GET /mqtt HTTP/1.1", *(f"{name}: {value}" for name, value in upgrade.items())]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        assert client.recv(100).startswith(b"HTTP/1.1 403 ")


def test_nobody_else_makes_a_function(cloud: Cloud) -> None:
    asked = {"FunctionName": "theirs", "Runtime": "python3.13", "Role": "any", "Handler": "a.b"}
    body = json.dumps({**asked, "Code": {"ZipFile": ""}}).encode()
    assert refused(ask(cloud.aws, "POST", "/2015-03-31/functions", {}, body))
    functions = boto3.client("lambda", **connection(cloud.aws)).list_functions()
    assert functions["Functions"] == []


def test_what_lies_in_files_is_the_owners(daemon: Daemon, cloud: Cloud) -> None:
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in daemon.build.iterdir()}
    assert files == {"cloud.json": 0o600, "cloud.lock": 0o600, "cloud.log": 0o600}
    assert stat.S_IMODE(Path(cloud.folder).stat().st_mode) == 0o700


def test_a_file_that_others_may_read_is_closed_first(tmp_path: Path) -> None:
    lock = tmp_path / "cloud.lock"
    lock.touch(0o644)
    daemon = Daemon(tmp_path)
    try:
        daemon.start(GIVEN)
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    finally:
        daemon.stop()


def test_what_all_users_see_of_the_processes_is_no_secret(daemon: Daemon, cloud: Cloud) -> None:
    ours = processes(daemon, cloud)
    assert len(ours) == 2
    for process in ours:
        assert not piece_of(cloud.aws.secret, (process / "cmdline").read_text())
        # A crash writes no memory to a file.
        assert (
            "Max core file size        0                    0" in (process / "limits").read_text()
        )
    assert not piece_of(cloud.aws.secret, repr(cloud))


def processes(daemon: Daemon, cloud: Cloud) -> list[Path]:
    """The daemon and its local AWS, in /proc."""
    if not Path("/proc/self/limits").exists():
        pytest.skip("reads /proc")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if str(daemon.build) in arguments or cloud.folder in arguments:
            found.append(process)
    return found


# Python's own modules may lie where that user cannot read: all that is needed is imported before.
AS_NOBODY = """
import encodings.idna, fcntl, http.client, json, os, sys
given = json.load(sys.stdin)
os.setgroups([]); os.setgid(given["id"]); os.setuid(given["id"])
assert os.getresuid() == (given["id"],) * 3
got = {}
for path in given["files"]:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            got[path] = file.read().decode(errors="replace")
    except BlockingIOError:
        got[path] = "could be locked, if it were not"
    except OSError as error:
        got[path] = type(error).__name__
for name, headers in given["requests"].items():
    client = http.client.HTTPConnection(given["host"], timeout=30)
    client.request("POST", "/", given["body"], headers)
    answer = client.getresponse()
    got[name] = f"{answer.status} {answer.read().decode()}"
print(json.dumps(got))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_nothing(daemon: Daemon, cloud: Cloud) -> None:
    files = [str(daemon.build / name) for name in ("cloud.json", "cloud.lock", "cloud.log")]
    files += [f"{cloud.folder}/aws.log"]
    files += [f"{process}/environ" for process in processes(daemon, cloud)]
    requests = {"unsigned": AS_SSM, "guessed": signed(cloud.aws, secret="test")}
    given = {"id": 65534, "files": files, "requests": requests, "body": READ.decode()}
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        input=json.dumps({**given, "host": host(cloud.aws)}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    assert {path: got[path] for path in files} == dict.fromkeys(files, "PermissionError")
    assert {name: got[name][:4] for name in requests} == dict.fromkeys(requests, "403 ")
    assert not piece_of(TOKEN, done.stdout) and not piece_of(cloud.aws.secret, done.stdout)


def test_the_port_of_a_local_aws_that_died_is_nobody_elses(cloud: Cloud) -> None:
    with running(GIVEN) as (other, servers):
        assert other.aws.secret != cloud.aws.secret
        [aws] = servers._started
        os.killpg(aws.process.pid, signal.SIGKILL)
        aws.process.wait(timeout=20)
        port = urlsplit(other.aws.url).port
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port or 0))
    # The connection that waited for the one that died may still be closing.
    with socket.create_server(("127.0.0.1", port or 0)) as free:
        assert free.getsockname()[1] == port
