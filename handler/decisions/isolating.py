"""What keeps a copy of production from acting: its firewall, and nothing else attached. Pure.

A function here answers with why not; an empty answer means that it may.
"""

from collections.abc import Iterable

from handler.documents.copies import Copy, Firewall, Rule
from handler.documents.labels import LABEL_MANAGED_BY
from handler.documents.resources import Action

MOST_NAME_CHARACTERS = 128  # of a firewall
SSH_PORT = 22
APPLIED = "applied"
# A firewall with one outbound rule denies all else that goes out. This one leads nowhere: the
# network is reserved for documentation.
NOWHERE = Rule("out", "tcp", "1", frozenset({"192.0.2.1/32"}))
FROM_ANYWHERE = frozenset({"0.0.0.0/0"})  # copies have no IPv6


def firewall_name(owner: str) -> str:
    name = f"hetzner-snapshots-{owner}-isolation"
    return name[:MOST_NAME_CHARACTERS]


def rules(port: int) -> frozenset[Rule]:
    """What our firewall must say while a copy is probed on that port.

    Port 22 is always open: what a restore has kept stays behind the same firewall.
    """
    ports = {SSH_PORT, port or SSH_PORT}
    return frozenset({NOWHERE} | {Rule("in", "tcp", str(one), FROM_ANYWHERE) for one in ports})


def of_another(firewall: Firewall, owner: str) -> str:
    """Why the firewall of our name is not ours."""
    if firewall.name != firewall_name(owner):
        return f"firewall {firewall.id} has another name than {firewall_name(owner)}"
    if firewall.labels.get(LABEL_MANAGED_BY) != owner:
        return f"firewall {firewall.id} has our name and not our label {LABEL_MANAGED_BY}={owner}"
    return ""


def not_ours(firewall: Firewall | None, firewall_id: int, owner: str) -> str:
    """Why the firewall that the copy was made behind says nothing about it any more."""
    if firewall is None:
        return f"our firewall {firewall_id} is gone"
    return of_another(firewall, owner)


def wrong_rules(firewall: Firewall, port: int) -> str:
    """Why the firewall must be set right before a copy is made or powered on behind it."""
    if firewall.rules == rules(port):
        return ""
    return lets_out(firewall) or f"firewall {firewall.id} has other inbound rules than ours"


def lets_out(firewall: Firewall) -> str:
    """Why something behind the firewall could reach others."""
    outbound = {rule for rule in firewall.rules if rule.direction == "out"}
    if outbound == {NOWHERE}:
        return ""
    return f"firewall {firewall.id} has other outbound rules than the one that leads nowhere"


def attached(copy: Copy, firewall_id: int) -> str:
    """What is at the copy and not ours: it has attached itself, or somebody has attached it."""
    others = [one for one, _ in copy.firewalls or () if one != firewall_id]
    return (
        _of("firewall", others)
        or _of("load balancer", copy.load_balancers or ())
        or _of("network", copy.networks or ())
        or _of("volume", copy.volumes or ())
        or _of("floating IP", copy.floating_ips or ())
        or ("an IPv6 address is on it" if copy.ipv6 else "")
    )


def not_told(copy: Copy) -> str:
    """What the answer leaves out: it is not taken for none."""
    told = {
        "firewalls": copy.firewalls,
        "load balancers": copy.load_balancers,
        "networks": copy.networks,
        "volumes": copy.volumes,
        "floating IPs": copy.floating_ips,
        "IPv6 address": copy.ipv6,
    }
    missing = [name for name, value in told.items() if value is None]
    return f"Hetzner does not tell its {' and '.join(missing)}" if missing else ""


def not_behind(copy: Copy, firewall_id: int) -> str:
    """Why the copy is not behind our firewall."""
    if firewall_id not in {one for one, _ in copy.firewalls or ()}:
        return f"our firewall {firewall_id} is not on it"
    return ""


def not_applied(copy: Copy, firewall_id: int) -> str:
    """Why our firewall does not work on the copy yet."""
    for one, status in copy.firewalls or ():
        if one == firewall_id and status != APPLIED:
            return f"our firewall {firewall_id} is {status} on it"
    return ""


def being_applied(applying: Iterable[Action] | None, copy_id: int) -> str:
    """Why other rules than those that are read may work on the copy: they are still being applied.

    Hetzner does not say whether the firewall's status at the server shows that.
    """
    if applying is None:
        return "it is not known whether the rules of our firewall are being applied"
    running = [
        one for one in applying
        if one.is_running and (not one.server_ids or copy_id in one.server_ids)
    ]  # fmt: skip
    return f"the rules of our firewall are being applied: {running[0]}" if running else ""


def why_not_on(copy: Copy, firewall: Firewall, applying: Iterable[Action] | None, port: int) -> str:
    """Why the copy may not be powered on; all of it has just been read, the copy last."""
    return (
        attached(copy, firewall.id)
        or not_told(copy)
        or not_behind(copy, firewall.id)
        or not_applied(copy, firewall.id)
        or wrong_rules(firewall, port)
        or being_applied(applying, copy.id)
    )


def why_off(
    copy: Copy, firewall: Firewall | None, firewall_id: int, owner: str, *, was_applied: bool
) -> str:
    """Why the copy, which is on, must be switched off.

    `firewall`: None if it is gone. One that `was_applied` and is being applied again is no reason:
    until it is applied the rules before it work. One that never was lets everything out.
    """
    if why := not_ours(firewall, firewall_id, owner):
        return why
    assert firewall
    return (
        attached(copy, firewall_id)
        or not_told(copy)
        or not_behind(copy, firewall_id)
        or lets_out(firewall)
        or ("" if was_applied else not_applied(copy, firewall_id))
    )


def _of(what: str, ids: Iterable[int]) -> str:
    found = sorted(ids)
    named = ", ".join(str(one) for one in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f"{what} {named}{more} is on it" if found else ""
