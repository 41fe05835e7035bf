"""What was truly there while the watch looked, so that what it says can be judged."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from handler.aws import tokens
from handler.documents.labels import LABEL_ENABLED, LABEL_EVERY
from local.simulator import Server
from local.simulator.labels import parse_selector
from local.virtual.cloud import Invocation
from local.virtual.machine import Failed
from local.virtual.stage import START, Stage
from local.virtual.truth import is_ours
from tests.chaos.gone import HIDDEN

HOUR = 3600.0
AHEAD = timedelta(hours=1)
LONGER = {"1h": 1, "12h": 12, "1d": 24, "2d": 48, "3d": 72, "1w": 168, "4w": 672}
NOTHING, NOBODYS = "", "?"  # no parameter; a token that opens no project


@dataclass(frozen=True)
class Saved:
    """A server as it truly was: whether it has to be saved, its newest good snapshot, its limit."""

    name: str
    created: datetime
    newest: datetime | None
    ahead: bool  # one seems to be from the future: whether it counts depends on the clock
    included: bool
    hours: int


@dataclass(frozen=True)
class Sight:
    """One moment: which project the stored token opens, what is in ours, whether a run goes on."""

    at: float
    opens: str
    running: bool
    servers: dict[int, Saved]
    images: dict[int, int]  # our good snapshots: of which server each is


@dataclass
class Look:
    """One invocation of the watch; `invocation` is None if Lambda did not start it."""

    started: float
    ended: float = 0.0
    invocation: Invocation | None = None
    sights: list[Sight] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether the project was seen whole, by the answer that got through."""
        return self.entry is not None and bool(self.entry["seen"])

    @property
    def entry(self) -> dict[str, Any] | None:
        """The project in the answer; None also if there was no answer."""
        if self.invocation is None or not self.invocation.heard:
            return None
        found = [each for each in self.invocation.output["projects"] if each["project"] == OURS]
        return found[0] if found else None

    @property
    def heard(self) -> bool:
        return self.invocation is not None and self.invocation.heard


OURS = "default"


def take(stage: Stage) -> Sight:
    token, truth = stage.cloud.tokens.get(stage.parameter), stage.truth
    access = stage.world.access(token) if token else None
    running = any(
        e.status == "RUNNING" and e.input["run"]["project"] == OURS
        for e in stage.cloud.executions.values()
    )
    images = {
        image.id: image
        for image in truth.project.images.values()
        if is_ours(image)
        and image.status == "available"
        and image.created_from
        and is_ours(image, image.created_from["id"])
    }
    return Sight(
        at=stage.loop.now,
        opens=access.project.name if access else NOBODYS if token else NOTHING,
        running=running,
        servers={
            server.id: _saved(stage, server, images.values())
            for server in truth.project.servers.values()
            if server.name != HIDDEN
        },
        images={id_: image.created_from["id"] for id_, image in images.items()},
    )


def _saved(stage: Stage, server: Server, images: Iterable[Any]) -> Saved:
    environment = stage.cloud.environment
    selector = environment.get("LABEL_SELECTOR", "")
    skipped = server.backup_window and environment.get("WITH_BACKUPS") == "skip"
    disabled = server.labels.get(LABEL_ENABLED) == "false"
    matches = not selector or parse_selector(selector)(server.labels)
    every = LONGER.get(server.labels.get(LABEL_EVERY, ""), 0)
    now = START + timedelta(seconds=stage.loop.now)
    of_it = [i.created for i in images if i.created_from["id"] == server.id]
    made = [created for created in of_it if created < now + AHEAD]
    return Saved(
        name=server.name,
        created=server.created,
        newest=max(made, default=None),
        ahead=len(made) < len(of_it),
        included=bool(matches and not skipped and not disabled),
        hours=int(environment["FRESHNESS_HOURS"]) + every,
    )


class Looks(list[Look]):
    """All looks of a night; `look` is one."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        # What was there at each request of a run's listing.
        self.listings: list[tuple[Invocation, Sight]] = []
        stage.cloud.on_listing = self._request

    def _request(self, invocation: Invocation) -> None:
        if invocation.execution:
            self.listings.append((invocation, take(self.stage)))
            return
        for look in self[-2:]:
            if look.invocation in (None, invocation) and look.started <= invocation.started:
                look.sights.append(take(self.stage))

    def look(self) -> None:
        """An hour has passed: what a container has kept of tokens has expired."""
        tokens.parameters.cache_clear()
        look = Look(self.stage.loop.now, sights=[take(self.stage)])
        self.append(look)
        count = len(self.stage.cloud.invocations)
        with suppress(Failed):
            self.stage.cloud.invoke("WatchServers", {}, 900, None)
        begun = self.stage.cloud.invocations[count:]
        mine = [i for i in begun if i.function == "WatchServers" and i.event == {}]
        look.invocation = mine[0] if mine else None
        look.ended = self.stage.loop.now
        look.sights.append(take(self.stage))
