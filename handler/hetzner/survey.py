"""Takes the survey of a project: complete, or not at all."""

from collections.abc import Sequence

from handler.documents.errors import HetznerError, NotFound
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_THROW_AWAY
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


def take_look(
    hetzner: Hetzner, owner: str, label_selector: str, *, has_restores: bool = False
) -> Survey:
    """The same in fewest requests: only servers that match, unless there are none.

    `has_restores`: copies that do not match are asked for as well. Raises HetznerError.
    """
    snapshots = hetzner.snapshots(owner)
    listed = hetzner.servers(label_selector)
    servers = no_copies(listed)
    matching = frozenset(server.id for server in servers)
    if label_selector and not servers:
        listed = hetzner.servers()
        servers = no_copies(listed)
    elif label_selector and has_restores:
        listed = hetzner.servers(f"{LABEL_THROW_AWAY}==true")
    copies = (s for s in listed if s.is_copy and s.labels.get(LABEL_MANAGED_BY) == owner)
    return Survey(
        servers=tuple(servers),
        matching=matching,
        snapshots=tuple(snapshots),
        now=hetzner.answered_at,
        requests_left=hetzner.requests_left,
        copies=tuple(copies),
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
