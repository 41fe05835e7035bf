"""What the headers of Hetzner's answers tell: its clock, its rate limit."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

FAR = timedelta(minutes=5)  # no function takes so long
MOST_DIGITS = 7  # of a number of requests; more is none


class Headers:
    """`answered_at` is the API's clock at its last answer, `requests_left` of `requests_per_hour`
    its rate limit, `actions_left` of `actions_per_hour` that of requests under /actions; None
    before an answer has told it."""

    def __init__(self) -> None:
        self.answered_at: datetime | None = None
        self._doubted: datetime | None = None
        self.requests_left: int | None = None
        self.requests_per_hour: int | None = None
        self.actions_left: int | None = None
        self.actions_per_hour: int | None = None

    def heed(self, headers: Mapping[str, str], of_actions: bool = False) -> None:
        """Takes what an answer tells, if it is the API's: a proxy has a clock of its own."""
        if time := _time(headers.get("Date", "")):
            self._hear(time)
        left = _number(headers.get("RateLimit-Remaining", ""))
        # 0 counts as not told: it would be a divisor.
        limit = _number(headers.get("RateLimit-Limit", "")) or None
        if of_actions:
            self.actions_left = self.actions_left if left is None else left
            self.actions_per_hour = limit or self.actions_per_hour
        else:
            self.requests_left = self.requests_left if left is None else left
            self.requests_per_hour = limit or self.requests_per_hour

    def has_less_than(self, percent: int) -> bool:
        """Whether less of the requests per hour is left; not before an answer has told it."""
        if self.requests_left is None or self.requests_per_hour is None:
            return False
        return self.requests_left < self.requests_per_hour * percent / 100

    def _hear(self, time: datetime) -> None:
        """A clock that is far from the one before has to be told twice."""
        known = [moment for moment in (self.answered_at, self._doubted) if moment]
        if not known or any(abs(time - moment) <= FAR for moment in known):
            self.answered_at, self._doubted = time, None
        else:
            self._doubted = time


def _time(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None
