"""How long a plan for 100,000 snapshots takes: `.venv/bin/python bench/retention.py`."""

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "handler"))

from handler.decisions.retention import plan
from handler.documents.policy import parse_policy

SNAPSHOTS = 100_000
POLICIES = [
    "daily3",
    "last3-daily7-weekly4-monthly6-yearlyunlimited-within30d",
    "lastunlimited-hourlyunlimited-dailyunlimited-weeklyunlimited-monthlyunlimited"
    "-yearlyunlimited-within99y-withinhourly99y-withindaily99y-withinweekly99y"
    "-withinmonthly99y-withinyearly99y",
]


@dataclass(frozen=True, slots=True)
class Image:
    id: int
    created: datetime
    status: str = "available"
    protected: bool = False


def main() -> None:
    last = datetime(2026, 11, 21, 2, tzinfo=UTC)
    images = [Image(nr, last - timedelta(minutes=40 * nr)) for nr in range(SNAPSHOTS)]
    for text in POLICIES:
        started = time.perf_counter()
        decisions = plan(parse_policy(text), images, now=last, most_deletions=5)
        seconds = time.perf_counter() - started
        print(f"{seconds:5.2f} s for {len(decisions):,} snapshots under {text}")


if __name__ == "__main__":
    main()
