"""Takes the survey of a project: complete, or not at all."""

from handler.documents.errors import HetznerError
from handler.documents.survey import Survey
from handler.hetzner.api import Hetzner


def take_survey(
    hetzner: Hetzner, owner: str, label_selector: str, *, with_price: bool = False
) -> Survey:
    """The project's servers and our snapshots. Raises HetznerError, except for the price."""
    snapshots = hetzner.snapshots(owner)
    servers = hetzner.servers()
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
    servers = hetzner.servers(label_selector)
    matching = frozenset(server.id for server in servers)
    if label_selector and not servers:
        servers = hetzner.servers()
    return Survey(
        tuple(servers), matching, tuple(snapshots), hetzner.answered_at, hetzner.requests_left
    )
