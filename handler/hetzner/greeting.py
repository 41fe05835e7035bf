"""The probe: what a server says first when somebody connects to it."""

import ipaddress
import socket
import time

from handler.documents.printable import printable

MOST_BYTES = 255  # as RFC 4253 allows an SSH server's first line
SHOWN_CHARACTERS = 80


def greeting(address: str, port: int, timeout_s: float) -> str:
    """The beginning of the first line that comes from there, or why there is none.

    Takes `timeout_s` seconds at most, nothing is sent, and no error of the network is raised.
    """
    ends = time.monotonic() + timeout_s
    try:
        ipaddress.IPv4Address(address)  # a name would be looked up, for any time
        with socket.create_connection((address, port), timeout_s) as connection:
            line = _first_line(connection, ends)
    except (ValueError, OverflowError) as error:
        return f"no connection: {type(error).__name__}"
    except OSError as error:
        return f"no connection: {error.strerror or 'timed out'}"
    return line or "a connection, and no greeting"


def _first_line(connection: socket.socket, ends: float) -> str:
    """Up to the end of the line, of the connection, or of the time."""
    heard = b""
    while b"\n" not in heard and len(heard) < MOST_BYTES:
        left_s = ends - time.monotonic()
        if left_s <= 0:
            break
        connection.settimeout(left_s)
        try:
            more = connection.recv(MOST_BYTES - len(heard))
        except OSError:
            break
        if not more:
            break
        heard += more
    line = heard.split(b"\n")[0].decode("ascii", "replace").rstrip("\r")
    return printable(line)[:SHOWN_CHARACTERS]
