"""What one execution of RestoreRun was asked, and what its restores are made of."""

from dataclasses import dataclass
from typing import Any, Self

from handler.documents.document import Document
from handler.documents.reading import demand, is_whole, known

MOST_RESTORES = 20  # of one execution: its history has room for so many, one after the other


@dataclass(frozen=True, slots=True)
class RestoreRun:
    """What one execution was asked to do: the same in all its documents, whatever is deployed.

    Only `began` comes later, from PlanRestore.
    """

    id: str
    project: str
    owner: str
    dry_run: bool = False
    keep: bool = False
    sweep: bool = False
    servers: tuple[str | int, ...] = ()  # none: a drill chooses by itself
    snapshot: int | None = None
    name: str = ""  # with keep only, as the next two
    server_type: str = ""
    location: str = ""
    drill_servers: int = 1
    restore_minutes: int = 60  # from the create until the copy is there
    boot_minutes: int = 15  # from the power on until it greets
    rate_limit_floor: int = 20
    began: str | None = None  # by Hetzner's clock
    # The project's restores that Step Functions knows; None: not known. Of a sweep.
    restores: tuple["KnownRestore", ...] | None = ()

    @property
    def servers_at_a_time(self) -> int:
        return 1

    @property
    def server_count(self) -> int:
        return 1

    @classmethod
    def from_dict(cls, run: dict[str, Any]) -> Self:
        demand("RestoreRun", run, ("dry_run", "keep", "sweep"))
        found = known(cls, run)
        restores = run.get("restores")
        return cls(
            **found
            | {
                "servers": tuple(found.get("servers") or ()),
                "restores": None
                if restores is None
                else tuple(
                    KnownRestore(**known(KnownRestore, each))
                    for each in restores
                    if is_whole(KnownRestore, each)
                ),
            }
        )


@dataclass(frozen=True, slots=True)
class KnownRestore:
    """An execution of RestoreRun in the same project: its restore id and when it was started."""

    id: str
    started: str
    is_running: bool


@dataclass(frozen=True, slots=True)
class Original:
    """The server that a copy is made of; it may be gone. `probe` is ssh, ssh.PORT or none."""

    id: int
    name: str
    probe: str = "ssh"

    @property
    def port(self) -> int:
        """The port of the probe; 0: it is not probed."""
        if self.probe == "none":
            return 0
        _, _, port = self.probe.partition(".")
        return int(port) if port else 22


@dataclass(frozen=True, slots=True)
class Source:
    """The snapshot that a copy is made from."""

    image_id: int
    created: str
    disk_gb: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server type in a location, and what it costs per hour with its address, net.

    `per_hour` is a decimal, and empty if Hetzner does not tell it.
    """

    server_type: str
    location: str
    per_hour: str = ""
    currency: str = ""

    def __str__(self) -> str:
        return f"{self.server_type} in {self.location}"

    @property
    def price(self) -> str:
        """For people: `0.0074 EUR`; empty if it is not known."""
        return f"{self.per_hour} {self.currency}".strip() if self.per_hour else ""


@dataclass(frozen=True, kw_only=True)
class OfRestoreRun(Document):
    """A document of the machine that restores."""

    run: RestoreRun

    @classmethod
    def parts(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The fields found in a state's input, run and stopwatch already built."""
        found = super().parts(document)
        return found | {"run": RestoreRun.from_dict(found["run"])}
