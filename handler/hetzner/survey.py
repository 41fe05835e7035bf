"""Takes the survey of a project: complete, or not at all."""

from collections.abc import Sequence

from handler.documents.errors import HetznerError, NotFound
from handler.documents.memory import LastLook
from handler.documents.resources import Server
from handler.documents.survey import Survey
from handler.hetzner.api import Hetzner


def take_survey(
    hetzner: Hetzner, owner: str, label_selector: str, *, with_price: bool = False
) -> Survey:
    """The project's servers and our snapshots. Raises HetznerError, except for the price."""
    snapshots = hetzner.snapshots(owner)
    servers = no_copies(hetzner.servers())
    matching = hetzner.servers(label_selector) if label_selector else servers
    price, price_error = None, ""
    if with_price:
        try:
            price = hetzner.price()
        except HetznerError as error:
            price_error = str(error)
    return Survey(
        servers=tuple(servers),
        matching=frozenset(server.id for server in matching),
        snapshots=tuple(snapshots),
        now=hetzner.answered_at,
        requests_left=hetzner.requests_left,
        price=price,
        price_error=price_error,
    )


def take_look(hetzner: Hetzner, owner: str, label_selector: str) -> Survey:
    """The same in fewest requests: only servers that match, unless there are none.

    Raises HetznerError.
    """
    snapshots = hetzner.snapshots(owner)
    servers = no_copies(hetzner.servers(label_selector))
    matching = frozenset(server.id for server in servers)
    if label_selector and not servers:
        servers = no_copies(hetzner.servers())
    return Survey(
        tuple(servers), matching, tuple(snapshots), hetzner.answered_at, hetzner.requests_left
    )


def no_copies(servers: Sequence[Server]) -> list[Server]:
    """Without the copies that restores throw away: they come and go, and are nobody's loss."""
    return [server for server in servers if not server.is_copy]


def is_found_again(
    hetzner: Hetzner, last: LastLook | None, listed: Sequence[Server], owner: str
) -> bool:
    """Whether the last look's server or snapshot is in the project, or one of that server.

    Where it did not know both of them nothing can be concluded. Raises HetznerError.
    """
    if last is None or last.server is None or last.snapshot is None:
        return True
    if any(server.id == last.server for server in listed):
        return True
    try:
        hetzner.snapshot(last.snapshot)
        return True
    except NotFound:
        return bool(hetzner.snapshots(owner, last.server))
