"""The probe: real sockets that greet, are silent, drip, or refuse."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from handler.hetzner.greeting import greeting

ADDRESS = "127.0.0.1"


@contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port at which one connection is served."""

    def run() -> None:
        try:
            connection, _ = server.accept()
        except OSError:  # nobody came
            return
        with connection:
            serve(connection)

    with socket.create_server((ADDRESS, 0)) as server:
        server.settimeout(10)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\nmore", "SSH-2.0-OpenSSH_9.2p1 Debian-2"),
        (b"220 mail ready\r\n", "220 mail ready"),
        (b"SSH-\x1b[2J\x00\n", "SSH-\\x1b[2J\\x00"),
        (b"\xff\xfe\n", "\\ufffd\\ufffd"),
        (b"SSH-" + b"x" * 10_000, "SSH-" + "x" * 76),
        (b"", "a connection, and no greeting"),
        (b"\r\n", "a connection, and no greeting"),
    ],
)
def test_the_first_line_is_told_short_and_harmless(said: bytes, heard: str) -> None:
    with listener(lambda connection: connection.sendall(said)) as port:
        assert greeting(ADDRESS, port, 10).replace("\ufffd", "\\ufffd") == heard


def test_a_greeting_that_comes_in_pieces_is_one() -> None:
    def serve(connection: socket.socket) -> None:
        for piece in (b"SS", b"H-2.0", b"-x\n"):
            connection.sendall(piece)

    with listener(serve) as port:
        assert greeting(ADDRESS, port, 10) == "SSH-2.0-x"


def test_one_that_is_silent_is_given_up() -> None:
    ended = threading.Event()
    with listener(lambda _: ended.wait(10) and None) as port:
        assert greeting(ADDRESS, port, 0.2) == "a connection, and no greeting"
        ended.set()


def test_one_that_never_ends_its_line_is_given_up() -> None:
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        while not ended.wait(0.05):
            connection.sendall(b"S")

    with listener(drip) as port:
        assert set(greeting(ADDRESS, port, 0.5)) == {"S"}
        ended.set()


def test_a_port_that_is_closed_is_told_and_no_error() -> None:
    with socket.create_server((ADDRESS, 0)) as server:
        port = server.getsockname()[1]
    assert greeting(ADDRESS, port, 10) == "no connection: Connection refused"


@pytest.mark.parametrize(
    ("address", "port"), [("localhost", 22), ("", 22), ("::1", 22), (ADDRESS, 70_000)]
)
def test_what_is_no_address_is_not_asked(address: str, port: int) -> None:
    assert greeting(address, port, 10).startswith("no connection: ")
