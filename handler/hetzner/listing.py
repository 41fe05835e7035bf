"""Listings of one page or many, and what proves that they are complete."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from handler.documents.errors import IncompleteListing

MOST_PAGES = 400
MOST_LISTINGS = 3


@dataclass(frozen=True, slots=True)
class Listing:
    """What the pages held, by id; `proven` if nothing can be missing."""

    items: dict[int, dict[str, Any]]
    proven: bool
    repeats: bool  # an id was on two pages

    def misses_nothing_beside(self, later: "Listing") -> bool:
        """Whether the next listing proves this one.

        An entry slips to a page already read only if one before it goes away between two pages.
        One that was read is missing in the next listing then; one that was not read had been
        created meanwhile, and moved an entry on to the next page, which was read twice.
        """
        return not self.repeats and self.items.keys() <= later.items.keys()


def complete(key: str, page_of: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    """All entries; `page_of` asks for a page of them, newest first. Raises IncompleteListing.

    The total proves it, which Hetzner may leave out, or that there is only one page; if not, the
    next listing does.
    """
    last = _read(key, page_of)
    counts = [len(last.items)]
    while not last.proven:
        if len(counts) == MOST_LISTINGS:
            seen = " then ".join(str(count) for count in counts)
            raise IncompleteListing(f"the listing of {key} does not add up: {seen} of unknown")
        again = _read(key, page_of)
        if last.misses_nothing_beside(again):
            return list(again.items.values())
        last = again
        counts.append(len(last.items))
    return list(last.items.values())


def _read(key: str, page_of: Callable[[int], dict[str, Any]]) -> Listing:
    found: dict[int, dict[str, Any]] = {}
    totals, entries = [], 0
    for page in range(1, MOST_PAGES + 1):
        answer = page_of(page)
        found |= {item["id"]: item for item in answer[key]}
        entries += len(answer[key])
        pagination = answer["meta"]["pagination"]
        totals.append(pagination.get("total_entries"))  # it may be null
        if pagination["next_page"] != page + 1:
            break
    # A total that moved between pages means that an entry may have slipped to a page already
    # read, even if the sum is right.
    told = {total for total in totals if total is not None}
    if told - {len(found)} or pagination["next_page"] is not None:
        seen = " then ".join(str(total) for total in sorted(told)) or "unknown"
        raise IncompleteListing(f"the listing of {key} does not add up: {len(found)} of {seen}")
    proven = len(totals) == 1 or None not in totals
    return Listing(found, proven, repeats=entries > len(found))
