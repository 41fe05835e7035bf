"""Labels and label selectors: what the API accepts, and what matches."""

import re
from collections.abc import Callable, Mapping

from local.simulator.errors import invalid_input

Labels = Mapping[str, str]
Selector = Callable[[Labels], bool]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_DNS_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PREFIX = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_TERM = re.compile(
    r"""\s*(?:
        !\s*(?P<absent>[\w./-]+)
        | (?P<key>[\w./-]+)\s*(?:
            (?P<operator>==|=|!=)\s*(?P<value>[\w.-]*)
            | (?<=\s)(?P<set>in|notin)\s*\((?P<values>[\w.,\s-]*)\)
        )?
    )\s*""",
    re.VERBOSE | re.ASCII,
)


def parse_labels(labels: object) -> dict[str, str]:
    """The labels of a request's body; raises `invalid_input`."""
    if not isinstance(labels, dict):
        raise invalid_input("labels", "must be an object")
    for key, value in labels.items():
        if not _is_key(key) or key.startswith("hetzner.cloud/"):
            raise invalid_input("labels", f"invalid label key '{key}'")
        if not isinstance(value, str) or not _is_value(value):
            raise invalid_input("labels", f"invalid value of label '{key}'")
    return dict(labels)


def parse_selector(text: str) -> Selector:
    """What `label_selector=` selects; raises `invalid_input`.

    As in Kubernetes, a resource without the key satisfies `k!=v` and `k notin (v)`.
    """
    terms = []
    position = 0
    while True:  # Each round either moves on by at least one character or raises.
        match = _TERM.match(text, position)
        if match is None:
            raise _invalid_selector(text)
        terms.append(_term(match, text))
        position = match.end()
        if position == len(text):
            return lambda labels: all(term(labels) for term in terms)
        if text[position] != ",":
            raise _invalid_selector(text)
        position += 1


def _term(match: re.Match[str], text: str) -> Selector:
    key = match["key"] or match["absent"]
    if match["operator"]:
        values = {match["value"]}
    elif match["set"]:
        values = {value.strip() for value in match["values"].split(",")}
    else:
        values = set()
    if not _is_key(key) or not all(_is_value(value) for value in values):
        raise _invalid_selector(text)
    if match["absent"]:
        return lambda labels: key not in labels
    if match["operator"] in ("=", "==") or match["set"] == "in":
        return lambda labels: labels.get(key) in values
    if match["operator"] == "!=" or match["set"] == "notin":
        return lambda labels: labels.get(key) not in values
    return lambda labels: key in labels


def _is_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        return False
    return _NAME.fullmatch(name) is not None


def _is_value(value: str) -> bool:
    return value == "" or _NAME.fullmatch(value) is not None


def _invalid_selector(text: str) -> Exception:
    return invalid_input("label_selector", f"invalid label selector '{text}'")
