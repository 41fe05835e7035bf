"""What a request may carry: query parameters and JSON bodies, read strictly."""

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from flask import request

from local.simulator.errors import ApiError, invalid_input

MAX_ID = 2**53 - 1
DEFAULT_PER_PAGE = 25
MAX_PER_PAGE = 50
PAGING = frozenset({"page", "per_page"})

Item = TypeVar("Item")


class Query:
    """The query parameters of the request; one that is not accepted is an error."""

    def __init__(self, accepted: Collection[str] = ()) -> None:
        self._values: dict[str, list[str]] = request.args.to_dict(flat=False)
        for name in self._values:
            if name not in accepted:
                raise invalid_input(name, "unknown parameter")

    def one(self, name: str, choices: Collection[str] | None = None) -> str | None:
        values = self.many(name, choices)
        if values is not None and len(values) > 1:
            raise invalid_input(name, "must be given once")
        return values[0] if values else None

    def many(self, name: str, choices: Collection[str] | None = None) -> list[str] | None:
        """All values of a parameter that may be repeated; None when it is absent."""
        values = self._values.get(name)
        for value in values or []:
            if choices is not None and value not in choices:
                raise invalid_input(name, f"must be one of {', '.join(sorted(choices))}")
        return values

    def integer(self, name: str, default: int, highest: int) -> int:
        value = self.one(name)
        return default if value is None else _integer(name, value, highest)

    def ids(self, name: str) -> list[int] | None:
        values = self.many(name)
        return None if values is None else [_integer(name, value, MAX_ID) for value in values]

    def sort(self, items: Sequence[Item], fields: Collection[str]) -> list[Item]:
        """The items in the order of `sort`; by id without it."""
        ordered = sorted(items, key=lambda item: getattr(item, "id"))  # noqa: B009
        choices = {f"{field}{order}" for field in fields for order in ("", ":asc", ":desc")}
        for value in reversed(self.many("sort", choices) or []):
            field, _, order = value.partition(":")
            ordered.sort(key=_sort_key(field), reverse=order == "desc")
        return ordered

    def page(
        self, key: str, items: Sequence[Item], to_json: Callable[[Item], dict[str, Any]]
    ) -> dict[str, Any]:
        """One page of the items, and where it stands."""
        page = self.integer("page", 1, MAX_ID)
        per_page = self.integer("per_page", DEFAULT_PER_PAGE, MAX_PER_PAGE)
        last_page = max(1, math.ceil(len(items) / per_page))
        shown = items[(page - 1) * per_page : page * per_page]
        return {
            key: [to_json(item) for item in shown],
            "meta": {
                "pagination": {
                    "page": page,
                    "per_page": per_page,
                    "previous_page": page - 1 if page > 1 else None,
                    "next_page": page + 1 if page < last_page else None,
                    "last_page": last_page,
                    "total_entries": len(items),
                }
            },
        }


def read_body(fields: Mapping[str, type | tuple[type, ...]], *, required: bool) -> dict[str, Any]:
    """The JSON object of the request, with no other fields than these, of these types."""
    raw = request.get_data()
    if not raw and not required:
        return {}
    if request.mimetype != "application/json":
        raise ApiError("json_error", "the content type must be application/json")
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise ApiError("json_error", "invalid JSON in the request") from error
    if not isinstance(body, dict):
        raise ApiError("json_error", "the body must be an object")
    for name, value in body.items():
        if name not in fields:
            raise invalid_input(name, "unknown field")
        if not isinstance(value, fields[name]) or (
            isinstance(value, bool) and fields[name] is not bool
        ):
            raise invalid_input(name, "has the wrong type")
    return body


def find_by_id_or_name(items: Mapping[int, Item], wanted: object, kind: str) -> Item:
    """What a body names by its id (a number or its digits) or its name."""
    text = str(wanted)
    if text.isdecimal() and int(text) in items:
        return items[int(text)]
    for item in items.values():
        name = item["name"] if isinstance(item, dict) else getattr(item, "name", None)
        if name == text:
            return item
    raise invalid_input(kind, f"{kind} '{text}' not found")


def _integer(name: str, value: str, highest: int) -> int:
    if not re.fullmatch(r"[0-9]{1,16}", value) or not 1 <= int(value) <= highest:
        raise invalid_input(name, f"must be an integer from 1 to {highest}")
    return int(value)


def _sort_key(field: str) -> Callable[[object], tuple[bool, Any]]:
    def key(item: object) -> tuple[bool, Any]:
        value = getattr(item, field)
        return value is not None, value if value is not None else 0

    return key
