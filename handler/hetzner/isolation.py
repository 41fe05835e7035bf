"""Our firewall, as it must be before a copy is made or powered on behind it."""

from collections.abc import Callable

from handler.documents.copies import Firewall, Rule
from handler.documents.errors import NotFound
from handler.hetzner.copies import Copies


def ensured(
    copies: Copies,
    name: str,
    owner: str,
    rules: frozenset[Rule],
    is_ours: Callable[[Firewall], bool],
) -> Firewall:
    """The firewall of that name as it was last read: with these rules, if it is ours and takes
    them. It is made if there is none. Raises HetznerError.
    """
    found = copies.find_firewall(name)
    if found is None:
        made = copies.create_firewall(name, owner, rules)
        return copies.firewall(made.id)
    if found.rules == rules or not is_ours(found):
        return found
    copies.set_rules(found.id, rules)
    return copies.firewall(found.id)


def firewall_now(copies: Copies, firewall_id: int) -> Firewall | None:
    """The firewall as it is now; None: it is gone. Raises HetznerError."""
    try:
        return copies.firewall(firewall_id)
    except NotFound:
        return None
