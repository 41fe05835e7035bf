"""The copies that a day's restores have made, as they truly were, and what people did to them."""

from copy import copy as copied
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from handler.documents.labels import LABEL_RESTORE_ID, LABEL_THROW_AWAY
from local.simulator import Project, Server
from local.simulator.catalog import PRICING, SERVER_TYPES, SYSTEM_IMAGES
from local.simulator.server_lifecycle import rebuild
from local.virtual.cloud import Invocation

# A day of day.py, which imports this.
Day = Any
# How the watch says that something is left.
LEFT = ("that a drill made is still there", "that drills made are still there",
        "what drills have left may still be there")  # fmt: skip


@dataclass
class Copied:
    """A server that was made through the API, as it was when it was made."""

    id: int
    project: str
    name: str
    labels: dict[str, str]
    image_id: int
    server_type: str
    location: str
    created: datetime
    gone: datetime | None = None  # when it was seen to be

    @property
    def is_drills(self) -> bool:
        return self.labels.get(LABEL_THROW_AWAY) == "true"


class Copies(dict[int, Copied]):
    """By id, in the order in which they were made."""

    def __init__(self, day: Day) -> None:
        super().__init__()
        self.day = day
        # Who has said SSH-, when and as a copy of which image.
        self.greetings: list[tuple[datetime, int, int]] = []
        day.world.after_settling.append(self._look)

    @property
    def thrown_away(self) -> set[int]:
        return {each.id for each in self.values() if each.is_drills}

    @property
    def greeted(self) -> set[int]:
        """The images."""
        return {image_id for _, _, image_id in self.greetings}

    def _look(self) -> None:
        for project in self.day.projects:
            for server in project._servers.values():
                if server.source_id is not None and server.id not in self:
                    self[server.id] = Copied(
                        server.id, project.name, server.name, dict(server.labels),
                        server.image_id, server.server_type["name"], server.location["name"],
                        server.created,
                    )  # fmt: skip
        for each in self.values():
            if each.gone is None and each.id not in self.day.project_of(each.project)._servers:
                each.gone = self.day.world.clock.now()

    def note_greeting(self, address: str, text: str) -> None:
        for project in self.day.projects:
            for server in project._servers.values():
                is_its_own = server.source_id and server.rescue != "runs"
                if server.ipv4 == address and text.startswith("SSH-") and is_its_own:
                    now = self.day.world.clock.now()
                    self.greetings.append((now, server.id, server.image_id or 0))


class Person:
    """What somebody does to copies by hand."""

    TAKES = ("renames", "takes the labels off", "changes a label", "rebuilds it")
    ACTS = (*TAKES, "deletes", "switches it on", "protects", "rescales")

    def __init__(self, day: Day) -> None:
        self.day = day
        self.own: set[int] = set()  # copies that are a person's now
        self.kept: set[int] = set()  # that nobody can delete
        self.rescaled: set[int] = set()
        self.removed: set[int] = set()
        self.meddled: list[float] = []  # when something was attached or a firewall changed

    def act(self, kind: str, project: Project, copy: Server) -> None:
        match kind:
            case "deletes":
                self.removed.add(copy.id)
                project.delete_server(copy)
            case "switches it on":
                copy.status, copy.powered_at = "running", self.day.world.clock.now()
            case "renames":
                copy.name = f"mine-{copy.id}"
            case "takes the labels off":
                copy.labels.clear()
            case "changes a label":
                copy.labels[LABEL_RESTORE_ID] = "mine"
            case "rebuilds it":
                rebuild(project, copy, next(iter(SYSTEM_IMAGES.values())))
            case "protects":
                self.kept.add(copy.id)
                copy.protected = True
            case "rescales":
                self.rescaled.add(copy.id)
                copy.server_type = SERVER_TYPES["cx33"]
        if kind in self.TAKES:
            self.own.add(copy.id)


class Before:
    """The projects before the day: servers and the labels of the snapshots."""

    def __init__(self, day: Day) -> None:
        self.servers = {
            s.id: (p.name, s.name, dict(s.labels), s.status)
            for p in day.projects for s in p._servers.values()
        }  # fmt: skip
        self.images = {i.id: copied(i) for p in day.projects for i in p._images.values()}
        for image in self.images.values():
            image.labels = dict(image.labels)


class Look:
    """One look of the watch: what drills had left as it began, and what it answered."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.started = day.world.clock.now()
        self.there = there(day)
        self.skew = day.cloud.skew
        self.opens = self._opened()
        self.invocation: Invocation | None = None

    def end(self, invocation: Invocation | None) -> None:
        self.invocation = invocation
        still = there(self.day)
        self.there = [each for each in self.there if each in still]
        self.ended = self.day.world.clock.now()
        self.opens &= self._opened()

    def _opened(self) -> set[str]:
        """The projects whose stored tokens open them."""
        day = self.day
        tokens = {name.rpartition("/")[2]: token for name, token in day.cloud.tokens.items()}
        access = {name: day.world.access(token) for name, token in tokens.items()}
        return {name for name, each in access.items() if each and each.project.name == name}

    def is_itself(self, project: str) -> bool:
        return project in self.opens

    @property
    def heard(self) -> bool:
        return self.invocation is not None and self.invocation.heard

    @property
    def says_left(self) -> bool:
        output = self.invocation.output if self.invocation and self.heard else {}
        reasons = [each["reason"] for each in output.get("overdue_now", ())]
        return any(words in reason for reason in reasons for words in LEFT)

    def seen(self, project: str) -> bool:
        """Whether it has seen that project whole."""
        output = self.invocation.output if self.invocation and self.heard else {}
        return any(p["project"] == project and p["seen"] for p in output.get("projects", ()))


def there(day: Day) -> list[Copied]:
    """The drills' copies in the projects that have kept the labels by which they are known."""
    return [
        each
        for each in day.copies.values()
        if each.is_drills
        and (server := day.project_of(each.project)._servers.get(each.id))
        and each.labels.items() <= server.labels.items()
    ]


def price_of(server_type: str, location: str) -> tuple[Decimal, Decimal]:
    """Net per hour, of the server and of its address."""
    [of_server] = [
        Decimal(price["price_hourly"]["net"])
        for price in SERVER_TYPES[server_type]["prices"]
        if price["location"] == location
    ]
    [of_address] = [
        Decimal(price["price_hourly"]["net"])
        for each in PRICING["primary_ips"] if each["type"] == "ipv4"
        for price in each["prices"] if price["location"] == location
    ]  # fmt: skip
    return of_server, of_address
