"""Events at Hetzner during a run: locks, failures, other people's changes, limits, tokens."""

import random
from typing import TYPE_CHECKING

from handler.documents.labels import (
    LABEL_ENABLED,
    LABEL_MANAGED_BY,
    LABEL_RETENTION,
    LABEL_RUN_ID,
    LABEL_SERVER_ID,
)
from local.simulator import Fault
from local.simulator.faults import hook, status
from tests.chaos.troubles import Mild, Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()


@TROUBLES.one
def a_lock(night: "Stage", rng: random.Random) -> str:
    server = night.any_server(rng)
    at, seconds = rng.choice([0, 0, 20, 300]), rng.choice([60, 600, 3000, 5000, None])
    command = rng.choice(["change_type", "rebuild_server", "enable_backup"])
    night.later(at, lambda: night.project.lock(server, command, seconds), server)
    said = f"{server.name} locked by {command} at {at} s for {seconds} s"
    return Mild(said) if seconds and seconds <= 600 else said


@TROUBLES.one
def a_hidden_lock(night: "Stage", rng: random.Random) -> str:
    server, seconds = night.any_server(rng), rng.choice([60, 600, 5000])
    server.hidden_lock = True
    night.later(seconds, lambda: setattr(server, "hidden_lock", False))
    return f"{server.name} locked for {seconds} s with no action to show"


@TROUBLES.one
def a_lock_between_look_and_create(night: "Stage", rng: random.Random) -> str:
    server, seconds = night.any_server(rng), rng.choice([60, 600])
    lock = hook(lambda *_: server.id in night.project._servers and night.project.lock(
        server, seconds=seconds))  # fmt: skip
    path = f"/servers/{server.id}/actions/create_image"
    night.world.faults.add(Fault(lock, "POST", path, times=rng.choice([1, 3])))
    return Mild(f"{server.name} locked for {seconds} s just before its create")


@TROUBLES.one
def somebody_elses_create(night: "Stage", rng: random.Random) -> str:
    server, at = night.any_server(rng), rng.choice([0, 1, 60])
    labels = rng.choice(
        [
            {},
            {"env": "test"},
            {
                LABEL_MANAGED_BY: "another-stack",
                LABEL_SERVER_ID: str(server.id),
                LABEL_RUN_ID: "20261121T020000Z",
            },
        ]
    )
    create = night.project.create_image
    night.later(at, lambda: create(server, description="by hand", labels=labels), server)
    return f"somebody makes an image of {server.name} at {at} s, labels {labels}"


@TROUBLES.one
def failing_actions(night: "Stage", rng: random.Random) -> str:
    server, times = night.any_server(rng), rng.choice([1, 1, 2, 4, 9])
    after, image = rng.choice([0, 1, 40, 900]), rng.choice(["vanishes", "unavailable"])
    code = rng.choice(["unknown_error", "action_failed", "locked", "timeout"])
    message = rng.choice(["Unknown error", "server is locked", "", "y" * 100_000])
    night.project.next_action_fails(server, times, after, code, image, message)  # type: ignore[arg-type]
    said = f"{times} creates of {server.name} fail ({code}) after {after} s, image {image}"
    return Mild(said) if times <= 2 and after <= 40 else said


@TROUBLES.one
def an_action_for_ever(night: "Stage", rng: random.Random) -> str:
    server = night.any_server(rng)
    night.project.snapshot_seconds[server.id] = rng.choice([9000, 12_000, 10**6])
    night.world.progress = rng.choice(["linear", "stuck", "steps"])
    return f"creates of {server.name} take {night.project.snapshot_seconds[server.id]} s"


@TROUBLES.one
def things_that_vanish(night: "Stage", rng: random.Random) -> str:
    at = rng.choice([20, 60, 150, 300])
    kind = rng.choice(["action", "image", "turns unavailable", "stays creating", "old image"])
    seconds = rng.choice([60, 600, 10**6])

    def happen() -> None:
        made = [i for i in night.truth.created.values() if i.id in night.project._images]
        if kind == "action":
            for action in list(night.project._actions.values()):
                if action.command == "create_image":
                    del night.project._actions[action.id]
        elif kind == "old image":
            for image in [i for i in night.project._images.values() if i not in made][:2]:
                night.vanish(image.id)
        elif made and kind == "image":
            night.vanish(rng.choice(made).id)
        elif made:
            image = rng.choice(made)
            night.truth.meddle(image.id)
            image.status = "unavailable" if kind == "turns unavailable" else "creating"
            if kind == "stays creating":
                night.later(seconds, lambda: _becomes_available(night, image.id))

    night.later(at, happen)
    return f"{kind} at {at} s ({seconds} s)"


@TROUBLES.one
def a_server_that_changes(night: "Stage", rng: random.Random) -> str:
    server, at = night.any_server(rng), rng.choice([0, 1, 20, 120, 300])
    kind = rng.choice(["deleted", "renamed", "relabelled", "opted out"])

    def happen() -> None:
        if kind == "deleted":
            for image in night.project.images.values():
                if image.status == "creating":
                    night.truth.meddle(image.id)
            night.project.delete_server(server)
        elif kind == "renamed":
            server.name = "renamed-" + "n" * 200
        elif kind == "relabelled":
            server.labels[LABEL_RETENTION] = rng.choice(["last9", "daily1", "nonsense"])
            night.truth.note_labels(server.id)
        else:
            server.labels[LABEL_ENABLED] = "false"
            night.truth.note_labels(server.id)

    night.later(at, happen, server)
    return f"{server.name} {kind} at {at} s"


@TROUBLES.one
def images_that_change(night: "Stage", rng: random.Random) -> str:
    at, kind = rng.choice([0.5, 10, 150, 200]), rng.choice(["protected", "relabelled"])

    def happen() -> None:
        for image in list(night.project._images.values())[:4]:
            night.truth.meddle(image.id)
            if kind == "protected":
                image.protected = True
            else:
                image.labels = {}

    night.later(at, happen)
    return f"old images {kind} at {at} s"


@TROUBLES.one
def a_tight_budget(night: "Stage", rng: random.Random) -> str:
    limit = rng.choice([20, 60, 200])
    night.project.rate_limit = limit
    for at in range(0, 1800, 300):
        night.later(at, lambda: night.project.spend_budget(limit))
    return f"{limit} requests an hour, and another client eats them"


@TROUBLES.one
def a_quota(night: "Stage", rng: random.Random) -> str:
    night.project.image_limit = len(night.project.images) + rng.choice([0, 1, 2])
    return f"at most {night.project.image_limit} snapshots"


@TROUBLES.one
def a_revoked_token(night: "Stage", rng: random.Random) -> str:
    at, rotated = rng.choice([0, 30, 200, 400]), rng.choice([True, False])

    def happen() -> None:
        if night.token in night.world._access:
            night.world.revoke_token(night.token)
        if rotated and night.next_token not in night.world._access:
            night.project.add_token(night.next_token)
            night.cloud.tokens[night.parameter] = night.next_token

    night.later(at, happen)
    return f"token {'rotated' if rotated else 'revoked'} at {at} s"


@TROUBLES.one
def a_read_only_token(night: "Stage", rng: random.Random) -> str:
    code = rng.choice([None, "forbidden", "unauthorized", "token_readonly", "method_not_allowed"])
    night.world.revoke_token(night.token)
    night.project.add_token(night.token, read_only=True)
    for method in ("POST", "DELETE") if code else ():
        night.world.faults.add(Fault(status(403, str(code)), method, times=None))
    return f"read-only token, code {code}"


def _becomes_available(night: "Stage", image_id: int) -> None:
    if image := night.project.images.get(image_id):
        night.truth.meddle(image_id)
        image.status = "available"
