"""Slack, Discord, Telegram, ntfy and a webhook of one's own, on this machine.

They are reached as in the Internet: by their own names over TLS, through a proxy that the
environment names, or directly over HTTP.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.environment import LOOPBACK
from tests.leaks import a_token

HOSTS = ("hooks.slack.com", "discord.com", "api.telegram.org", "ntfy.sh")
SECRET = a_token("of the addresses")
# Of each service's form; SECRET is where their secrets are.
SLACK = f"slack://T0123456789/B0123456789/{SECRET[:24]}"
DISCORD = f"discord://123456789012345678/{SECRET}"
TELEGRAM = f"tgram://123456789:{SECRET[:35]}/987654321"
NTFY = f"ntfy://{SECRET}"


@dataclass(frozen=True, slots=True)
class Received:
    host: str
    path: str
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receivers:
    """What came; and what is answered, by host (the default: 200)."""

    port: int
    certificate: Path
    received: list[Received] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        return {
            "HTTPS_PROXY": f"http://{LOOPBACK}:{self.port}",
            "REQUESTS_CA_BUNDLE": str(self.certificate),
        }

    @property
    def webhook(self) -> str:
        return f"json://{LOOPBACK}:{self.port}/{SECRET}"

    def of(self, host: str) -> list[Received]:
        return [each for each in self.received if each.host == host]

    def wait_for(self, host: str, count: int, seconds: float = 30) -> list[Received]:
        deadline = time.monotonic() + seconds
        while len(self.of(host)) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.of(host)


@contextmanager
def receivers(folder: Path) -> Iterator[Receivers]:
    context, certificate = _identity(folder)
    with ThreadingHTTPServer((LOOPBACK, 0), BaseHTTPRequestHandler) as server:
        world = Receivers(server.server_port, certificate)
        server.RequestHandlerClass = _handler(world, context)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield world
        finally:
            server.shutdown()
            thread.join(timeout=5)


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server((LOOPBACK, 0)) as once:
        return int(once.getsockname()[1])


def _handler(world: Receivers, context: ssl.SSLContext) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        behind = ""

        def do_CONNECT(self) -> None:
            self.behind = self.path.partition(":")[0]
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.wfile.flush()
            plain = (self.connection, self.rfile, self.wfile)
            with (
                suppress(OSError),
                context.wrap_socket(self.connection, server_side=True) as tls,
                tls.makefile("rb") as self.rfile,
                tls.makefile("wb") as self.wfile,
            ):
                self.connection = tls
                self.handle_one_request()
            self.connection, self.rfile, self.wfile = plain
            self.close_connection = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            host = self.behind or LOOPBACK
            # Before it is recorded: a test that sees the request may change what comes next.
            status = world.statuses.get(host, 200)
            world.received.append(Received(host, self.path, body.decode()))
            time.sleep(world.seconds.get(host, 0))
            answer = b"ok" if host == "hooks.slack.com" else b'{"ok": true, "result": {}}'
            with suppress(OSError):
                self.send_response(status)
                # To where this very request would be taken.
                self.send_header("Location", f"http://{LOOPBACK}:{world.port}/elsewhere")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            """Nothing is written."""

    return Handler


def _identity(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS with a certificate of its own for all hosts, and that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the receivers of the tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in HOSTS]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "receivers.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    both = folder / "receivers-key.pem"
    both.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, folder / "receivers.pem"
