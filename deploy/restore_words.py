"""What `make restore` says: what would be made, and what is left to do afterwards. Pure."""

from collections.abc import Iterator

from handler.decisions.isolating import firewall_name
from handler.documents.restore import RestoreResult
from handler.report.restore import not_to_be_used, that_lifts
from local.common.restores import of_day


def what_is_made(plan: RestoreResult, asked_name: str, owner: str) -> Iterator[str]:
    """Said before the question, from what a dry run has decided."""
    named = f" named {asked_name}" if asked_name else ""
    yield f"A new server{named} would be made; no other is touched:"
    yield f"  snapshot  {plan.image_id}{of_day(plan)}, the disk of {plan.server} as it was then"
    yield f"  type      {plan.server_type} in {plan.location}"
    yield f"  price     {price(plan)} from its start until you delete it"
    yield f"  firewall  {firewall_name(owner)}: it can be reached by SSH, and reaches nothing"
    yield (
        "If Hetzner has none of that type there just now, the next one that fits is taken; the end "
        "says which. Networks, volumes and addresses of the original are not attached."
    )


def price(result: RestoreResult) -> str:
    if not result.price_per_hour:
        return "what it costs Hetzner does not tell, and it costs that"
    return f"{result.price_per_hour} per hour (net, with its IPv4 address)"


def what_is_left(result: RestoreResult, owner: str) -> Iterator[str]:
    """After the end, if there is a new server: what the message tells in fewer words."""
    name, original = result.name, result.server
    at = f" at {result.address}" if result.address else ""
    yield f"The new server: {name} (id {result.copy_id}){at}, {result.server_type} in " + (
        f"{result.location}, {price(result)} until you delete it."
    )
    if result.unguarded:
        yield not_to_be_used(result)
        return
    yield "No other server was touched. What is left to do:"
    yield "1. Look at it. It has the users, passwords and keys of the snapshot:"
    port = result.probe.partition(".")[2]
    yield f"     ssh {f'-p {port} ' if port else ''}root@{result.address or 'ADDRESS'}"
    yield (
        f"2. Only one of {original} and {name} may do cron jobs, mail and whatever calls others. "
        f"So far nothing leaves the new one. Go on when {original} is off."
    )
    yield (
        f"3. Give it what {original} has and no snapshot holds: first its firewalls, because "
        "without ours and without these all ports are open; networks, which no firewall filters; "
        "volumes with what is on them; floating and primary IPs, IPv6 (it has none), DNS names; "
        "load balancer targets, labels, Backups."
    )
    yield "4. Lift our firewall, in the Hetzner console (the server, Firewalls) or with:"
    yield f"     {that_lifts(result, owner)}"
    yield (
        "From the next night on it gets snapshots like any server that your settings select. It "
        "is never removed by this stack."
    )
