"""Rules of firewalls: what the API accepts, and what they let through."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any

from local.simulator.errors import invalid_input

MAX_RULES = 50
MAX_IPS = 100
FIELDS = {"direction", "protocol", "port", "source_ips", "destination_ips", "description"}
PROTOCOLS = ("tcp", "udp", "icmp", "esp", "gre")
NOWHERE = IPv4Network("192.0.2.0/24")  # For documentation; nobody has it.
Rule = dict[str, Any]


def parse_rules(rules: object) -> list[Rule]:
    """The rules of a request's body, with all their fields; raises `invalid_input`."""
    if not isinstance(rules, list) or len(rules) > MAX_RULES:
        raise invalid_input("rules", f"must be a list of at most {MAX_RULES}")
    return [_parse(rule, f"rules.{number}") for number, rule in enumerate(rules)]


def allows_in(rules: Iterable[Rule], port: int, source: str) -> bool:
    """Whether a TCP connection from there passes; what no rule names is dropped."""
    return any(
        rule["direction"] == "in"
        and rule["protocol"] == "tcp"
        and _covers(rule["port"], port)
        and any(ip_address(source) in ip_network(cidr) for cidr in rule["source_ips"])
        for rule in rules
    )


def destinations(rules: Iterable[Rule]) -> list[str]:
    """Where outbound rules lead to; with one of them all else is denied, without any nothing is."""
    return [
        cidr for rule in rules if rule["direction"] == "out" for cidr in rule["destination_ips"]
    ]


def leads_nowhere(cidr: str) -> bool:
    network = ip_network(cidr)
    return isinstance(network, IPv4Network) and network.subnet_of(NOWHERE)


def _parse(rule: object, where: str) -> Rule:
    if not isinstance(rule, dict) or not FIELDS.issuperset(rule):
        raise invalid_input(where, f"has fields {', '.join(sorted(FIELDS))}")
    direction, protocol, port = (rule.get(name) for name in ("direction", "protocol", "port"))
    if direction not in ("in", "out"):
        raise invalid_input(f"{where}.direction", "must be one of in, out")
    if protocol not in PROTOCOLS:
        raise invalid_input(f"{where}.protocol", f"must be one of {', '.join(PROTOCOLS)}")
    if protocol in ("tcp", "udp"):
        if not isinstance(port, str) or _ports(port) is None:
            raise invalid_input(f"{where}.port", "must be a port, a range, or any, as a string")
    elif port is not None:
        raise invalid_input(f"{where}.port", f"must not be given for {protocol}")
    here, there = "source_ips", "destination_ips"
    if direction == "out":
        here, there = there, here
    if not rule.get(here):
        raise invalid_input(f"{where}.{here}", f"must not be empty for direction {direction}")
    if rule.get(there):
        raise invalid_input(f"{where}.{there}", f"must be empty for direction {direction}")
    description = rule.get("description")
    if description is not None and not (isinstance(description, str) and len(description) <= 255):
        raise invalid_input(f"{where}.description", "must be a string of at most 255 characters")
    return {
        "direction": direction,
        "protocol": protocol,
        "port": port,
        here: _parse_ips(rule[here], f"{where}.{here}"),
        there: [],
        "description": description,
    }


def _parse_ips(cidrs: object, where: str) -> list[str]:
    if not isinstance(cidrs, list) or len(cidrs) > MAX_IPS:
        raise invalid_input(where, f"must be a list of at most {MAX_IPS}")
    for cidr in cidrs:
        try:
            if not isinstance(cidr, str) or "/" not in cidr:
                raise ValueError(cidr)
            ip_network(cidr)  # Bits of the host are refused, too.
        except ValueError:
            raise invalid_input(where, f"'{cidr}' is not a network in CIDR notation") from None
    return list(cidrs)


def _ports(port: str) -> range | None:
    if port == "any":
        return range(1, 65536)
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", port, re.ASCII)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return range(first, last + 1) if 1 <= first <= last <= 65535 else None


def _covers(ports: str, port: int) -> bool:
    return port in (_ports(ports) or ())
