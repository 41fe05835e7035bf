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
    return with_rules(copies, found, rules) if is_ours(found) else found


def with_rules(copies: Copies, firewall: Firewall, rules: frozenset[Rule]) -> Firewall:
    """The firewall as it is read, after its rules were set right if they were others."""
    if firewall.rules == rules:
        return firewall
    copies.set_rules(firewall.id, rules)
    return copies.firewall(firewall.id)


def firewall_now(copies: Copies, firewall_id: int) -> Firewall | None:
    """The firewall as it is now; None: it is gone. Raises HetznerError."""
    try:
        return copies.firewall(firewall_id)
    except NotFound:
        return None
