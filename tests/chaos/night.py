"""A random night from a seed: servers, old snapshots, events, troubles."""

import json
import random
from datetime import timedelta
from typing import Any

from handler.documents.labels import (
    LABEL_ENABLED,
    LABEL_EVERY,
    LABEL_MANAGED_BY,
    LABEL_RETENTION,
)
from local.simulator import Server
from local.virtual.stage import FIRST_REQUEST, START, Stage
from tests.chaos import (
    bad_answers,
    bad_aws,
    bad_beliefs,
    bad_children,
    bad_luck,
    bad_runs,
    bad_tokens,
    bad_words,
    bad_worlds,
)
from tests.chaos.gone import draw
from tests.chaos.less import Less
from tests.chaos.sights import HOUR
from tests.chaos.troubles import Mild, Trouble
from tests.chaos.watched import arrange, hours_before

# Drawn by their place in this list: its order is part of every seed.
TROUBLES: list[Trouble] = [
    *bad_answers.TROUBLES,
    *bad_luck.TROUBLES,
    *bad_aws.TROUBLES,
    *bad_worlds.TROUBLES,
    *bad_tokens.TROUBLES,
    *bad_children.TROUBLES,
    *bad_runs.TROUBLES,
    *bad_beliefs.TROUBLES,
    *bad_words.TROUBLES,
]
POLICIES = ["last1", "last3", "daily3", "daily2-weekly1", "within2d", "hourly2-last1", "last9"]
RHYTHMS = ["1h", "12h", "1d", "2d", "3d", "1w", "4w", "weekly", "0d", "99w"]
STORIES = ["once"] * 6 + ["twice", "thrice", "overlap", "same id", "stopped", "again", "next"]


class Night(Stage):
    """A night whose every event follows from the seed; each part has its own random generator."""

    def __init__(self, seed: int, less: Less | None = None, troubles: int | None = None) -> None:
        before = hours_before(seed)
        super().__init__(seed, HOUR * (before or 0))
        self.less = less or Less()
        self._fleet()
        if self.stream("with backups").random() < 0.3:
            self.cloud.environment["WITH_BACKUPS"] = "skip"
        self.event = self._event(self.stream("event"))
        if self.event.get("prune_only") and self.stream("accept").random() < 0.5:
            servers = [server.id for server in self.project.servers.values()]
            self.event |= {"servers": servers, "accept_smaller": True}
        self.story = self.stream("story").choice(STORIES)
        self.mild = True
        self._troubles(troubles)
        self._deliveries()
        if before is not None:
            self.watch = arrange(self, before, self.story == "next", self.less.troubles)

    def drawn(self) -> list[str]:
        """What is random in it, in words."""
        return [
            f"story: {self.story}; event: {json.dumps(self.event)}",
            f"servers: {len(self.project.servers)}; images: {len(self.project.images)}",
            *self.troubles,
            *self.watch,
            *sorted(self.beliefs),
        ]

    def _fleet(self) -> None:
        count = self.stream("size").choice([1, 1, 2, 2, 3, 4, 6, 9, 12])
        for number in range(count):
            rng = self.stream(f"server {number}")
            labels = {"env": rng.choice(["prod", "prod", "test"])}
            if rng.random() < 0.1:
                labels[LABEL_ENABLED] = rng.choice(["true", "false", "no"])
            if rng.random() < 0.2:
                labels[LABEL_RETENTION] = rng.choice([*POLICIES, "keep-all", "last0"])
            name = f"s{number}" if rng.random() < 0.9 else f"s{number}-" + "é" * 250
            ipv4 = rng.random() < 0.9
            server = self.project.add_server(name, labels, ipv4=ipv4)
            self._odd(server, self.stream(f"odd {number}"))
            for _ in range(rng.choice([0, 1, 3, 6, 9])):
                self._old(server, rng)
            if (emptied := self.stream(f"emptied {number}")).random() < 0.2:
                self._empty(server, emptied)
            if number in self.less.servers and len(self.project.servers) > 1:
                del self.project.servers[server.id]
        if self.stream("orphans").random() < 0.3:
            gone = self.project.add_server("gone")
            self._old(gone, self.stream("orphans"))
            self.project.delete_server(gone)
        draw(self, self.stream("gone"))

    def _odd(self, server: Server, rng: random.Random) -> None:
        """With a rhythm of its own, Hetzner's Backups, volumes."""
        if rng.random() < 0.3:
            server.labels[LABEL_EVERY] = rng.choice(RHYTHMS)
        if rng.random() < 0.2:
            server.backup_window = "22-02"
        server.volumes = list(range(rng.choice([0, 0, 0, 1, 2])))

    def _old(self, server: Server, rng: random.Random) -> None:
        days = rng.choice([0.01, 0.04, 0.5, 1, 1, 2, 3, 5, 8, 20, 400, -0.5]) + rng.random() / 10
        kind = rng.choice(["ours"] * 7 + ["protected", "foreign", "manual", "bad", "backup"])
        match kind:
            case "protected":
                self.old_snapshot(server, days, protected=True)
            case "foreign":
                self.old_snapshot(server, days, labels={LABEL_MANAGED_BY: "another-stack"})
            case "bad":
                status = rng.choice(["unavailable", "creating"])
                self.old_snapshot(server, days, status=status)
            case "manual":
                created = START - timedelta(days=days)
                self.project.add_snapshot(server, created=created, labels={"by": "hand"})
            case "backup":
                self.project.add_snapshot(server, type="backup")
            case _:
                self.old_snapshot(server, days)

    def _empty(self, server: Server, rng: random.Random) -> None:
        """Its disk was emptied so many days ago: its snapshots since then are small."""
        since, left = START - timedelta(days=rng.choice([0, 0, 1.5, 4, 10])), rng.uniform(0, 0.6)
        server.used_gb *= left
        for image in self.project.images.values():
            if image.created > since and image.created_from == {
                "id": server.id,
                "name": server.name,
            }:
                image.image_size = image.image_size and round(image.image_size * left, 2)

    def _event(self, rng: random.Random) -> dict[str, Any]:
        event: dict[str, Any] = {}
        if rng.random() < 0.15:
            named: list[int | str] = [
                s.id for s in self.project.servers.values() if rng.random() < 0.6
            ]
            event |= {"servers": named or [self.any_server(rng).name]}
        if rng.random() < 0.1:
            event["label_selector"] = rng.choice(["env=prod", "env in (prod,test)", "env=none"])
        if rng.random() < 0.2:
            event["on_locked"] = "skip"
        if rng.random() < 0.5:
            event["retention"] = rng.choice(POLICIES)
        if rng.random() < 0.3:
            event["max_deletions"] = rng.choice([1, 2, 50])
        if rng.random() < 0.1:
            event[rng.choice(["dry_run", "prune_only"])] = True
        elif rng.random() < 0.6:
            event["scheduled_time"] = START.strftime("%Y-%m-%dT%H:%M:%SZ")
        else:
            event |= {"run_id": "by-hand", "new": True}
        return event

    def _troubles(self, count: int | None) -> None:
        rng = self.stream("troubles")
        drawn = rng.choice([0, 1, 1, 2, 2, 3, 4, 6]) if count is None else count
        for number in range(drawn):
            which = rng.choice(TROUBLES)
            if number not in self.less.troubles:
                # A random generator of its own: it stays the same when another one is left out.
                said = which(self, self.stream(f"trouble {number}"))
                self.mild = self.mild and isinstance(said, Mild)
                self.troubles.append(f"{number}. {which.__name__}: {said}")

    def _deliveries(self) -> None:
        rng = self.stream("deliveries")
        self.cloud.deliver(self.event, FIRST_REQUEST, after=-self.loop.now)
        apart = rng.choice([0.0, 0.1, 1.0, 40.0, 200.0])
        match self.story:
            case "twice" | "thrice":
                for number in range(1 if self.story == "twice" else 2):
                    self._again(apart * (number + 1), self.event)
            case "overlap":
                other = {"run_id": "the-other", "new": True, "retention": rng.choice(POLICIES)}
                self._again(apart, other)
            case "same id":
                self._again(apart, self.event | {"max_deletions": 3})
            case "stopped":
                self.later(rng.choice([1, 40, 100, 200, 400]), self._stop_and_resume)
            case "again":
                self.later(rng.choice([900, 4000]), self._resume)
            case "next":
                self._again(86_400, {"run_id": "the-next", "new": True})

    def _again(self, seconds: float, event: dict[str, Any]) -> None:
        request_id = f"{len(event):04x}{int(seconds * 10):04x}-0000-4000-8000-000000000000"
        self.later(seconds, lambda: self.cloud.deliver(event, request_id))

    def _stop_and_resume(self) -> None:
        for execution in list(self.cloud.executions.values()):
            self.cloud.stop(execution)
        self._resume()

    def _resume(self) -> None:
        for execution in list(self.cloud.executions.values())[:1]:
            run_id = execution.input["run"]["id"]
            self._again(self.stream("resume").choice([0, 1, 60]), {"run_id": run_id})
