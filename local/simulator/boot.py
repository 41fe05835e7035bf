"""How a server greets whoever connects to it, by the time since it was powered on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from local.simulator.model import Server

SSH = "SSH-2.0-OpenSSH_10.0p2 Debian-7\r\n"


@dataclass(frozen=True)
class Boot:
    """After so many simulated seconds a program listens at the port and says this.

    `says=None`: nothing ever listens. `says=""`: it listens and says nothing. A port below 1024
    needs root where it is to be a real socket.
    """

    after_s: float = 30.0
    says: str | None = SSH
    port: int = 22


RESCUE = Boot(20.0)


@dataclass(frozen=True)
class Greeting:
    """What a connection comes to: a text, "" if nothing is said, or why there is none."""

    text: str | None
    why: Literal["", "refused", "timeout"] = ""


REFUSED = Greeting(None, "refused")
TIMEOUT = Greeting(None, "timeout")


def listens(server: Server, boot: Boot, now: datetime) -> bool:
    return (
        server.status == "running"
        and server.powered_at is not None
        and boot.says is not None
        and now >= server.powered_at + timedelta(seconds=boot.after_s)
    )


def greeting(server: Server, boot: Boot, port: int, now: datetime, *, passes: bool) -> Greeting:
    """Whoever connects now; `passes`: its firewalls let the connection in."""
    if server.status != "running" or server.powered_at is None or not passes:
        return TIMEOUT
    if not listens(server, boot, now) or port != boot.port:
        return REFUSED
    return Greeting(boot.says)
