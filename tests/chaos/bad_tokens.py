"""Tokens that open another door than before."""

import random
from typing import TYPE_CHECKING

from tests.chaos.troubles import Troubles

if TYPE_CHECKING:
    from local.virtual.stage import Stage

TROUBLES = Troubles()
BELIEF = "a token stays its project's"


@TROUBLES.one
def another_projects_token(night: "Stage", rng: random.Random) -> str:
    """Somebody stores the token of another project under this one's name."""
    at, revoked = rng.choice([0, 5, 30, 200, 400]), rng.choice([True, False])
    # Without servers: a run that lists another project's takes them for its own.
    another = night.world.project("another")
    night.beliefs.add(BELIEF)
    token = f"{night.seed:09d}another-token" * 3

    def happen() -> None:
        if token not in night.world._access:
            another.add_token(token)
        night.cloud.tokens[night.parameter] = token
        if revoked and night.token in night.world._access:
            night.world.revoke_token(night.token)

    night.later(at, happen)
    return f"the token is another project's at {at} s, the old one {revoked and 'revoked'}"


@TROUBLES.one
def an_emptied_project(night: "Stage", rng: random.Random) -> str:
    """All servers are deleted; their snapshots stay."""
    at = rng.choice([-1, 1, 100])
    servers = list(night.project._servers.values())
    for server in servers:
        if at < 0:
            night.old_snapshot(server, days=1)

    def happen() -> None:
        for image in night.project.images.values():
            if image.status == "creating":
                night.truth.meddle(image.id)
        for server in servers:
            if server.id in night.project._servers:
                night.project.delete_server(server)

    night.later(max(0, at), happen)
    return f"all servers are deleted at {at} s"
