"""What a retention policy keeps: `make plan POLICY=daily7-weekly4 [SNAPSHOTS=file.json]`.

Without a file it looks back, at the end of a year, on a year of nightly snapshots. FORMAT=json
prints a list of {"created", "keep", "reason"} in the file's order. Exit code 2 and one line on
stderr if what was asked for cannot be done.
"""

import json
import os
import re
import sys
from calendar import monthrange
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from handler.decisions.retention import Decision, plan
from handler.documents.policy import BadPolicy, Policy, parse_policy
from handler.documents.resources import Snapshot
from local.common.streams import plain_streams

YEAR = 2026  # fixed, so that a policy's calendar is the same whenever it is printed
MOST_LISTED = 60
RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
LEGEND = "# kept   . deleted   2-9 so many kept that day, + more"


class Unplannable(Exception):
    """The plan cannot be made as asked; the text is for people."""


def main(environ: Mapping[str, str]) -> int:
    try:
        print(planned(environ))
    except Unplannable as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def planned(environ: Mapping[str, str]) -> str:
    """What to print; raises Unplannable."""
    form = environ.get("FORMAT") or "text"
    if form not in ("text", "json"):
        raise Unplannable(f"FORMAT is {form!r}; write text or json.")
    if not (text := environ.get("POLICY")):
        raise Unplannable("POLICY is missing; write for example POLICY=daily7-weekly4.")
    try:
        policy = parse_policy(text)
    except BadPolicy as error:
        raise Unplannable(f"POLICY: {error}.{_meant(text)}") from None
    path = environ.get("SNAPSHOTS")
    snapshots = _read(Path(path)) if path else _nights()
    # A file's times may be in the future: a plan has no present time.
    decisions = plan(policy, snapshots)
    return as_json(snapshots, decisions) if form == "json" else as_text(policy, decisions)


def _meant(text: str) -> str:
    """The right spelling, if only what stands between the rules is wrong."""
    spelled = "-".join(re.findall(r"[a-z0-9]+", text.lower()))
    try:
        parse_policy(spelled)
    except BadPolicy:
        return ""
    return f" You may mean POLICY={spelled}."


def _nights() -> list[Snapshot]:
    first = datetime(YEAR, 1, 1, 2, tzinfo=UTC)
    nights = [
        first + timedelta(days=day) for day in range((date(YEAR + 1, 1, 1) - first.date()).days)
    ]
    return [_snapshot(nr, f"{night:%Y-%m-%dT%H:%M:%SZ}", night) for nr, night in enumerate(nights)]


def _read(path: Path) -> list[Snapshot]:
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise Unplannable(f"SNAPSHOTS: cannot read {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise Unplannable(f"SNAPSHOTS: {path} is not JSON: {error}.") from None
    if not isinstance(entries, list):
        raise Unplannable(f"SNAPSHOTS: {path} is not a JSON list of times.")
    return [_listed(nr, entry, path) for nr, entry in enumerate(entries)]


def _listed(nr: int, entry: object, path: Path) -> Snapshot:
    where = f"SNAPSHOTS: entry {nr + 1} of {path}, {json.dumps(entry)[:80]},"
    match = RFC_3339.fullmatch(entry) if isinstance(entry, str) else None
    if not match:
        raise Unplannable(f'{where} is not a time such as "{YEAR}-11-21T02:00:00Z".')
    if not match[2]:
        raise Unplannable(f"{where} has no offset from UTC; add Z or for example +01:00.")
    try:
        created = datetime.fromisoformat(match[0].upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unplannable(f"{where} is no time: {error}.") from None
    return _snapshot(nr, match[0], created)


def _snapshot(nr: int, text: str, created: datetime) -> Snapshot:
    """The snapshot of a file's entry. Of two of one time, restic takes the first for the newer."""
    return Snapshot(-nr, created, description=text)


def as_json(snapshots: Sequence[Snapshot], decisions: Sequence[Decision]) -> str:
    by_id = {decision.snapshot.id: decision for decision in decisions}
    rows = [
        {"created": s.description, "keep": by_id[s.id].keep, "reason": by_id[s.id].reason}
        for s in snapshots
    ]
    return json.dumps(rows, indent=2)


def as_text(policy: Policy, decisions: Sequence[Decision]) -> str:
    """The calendars of the years, oldest first, then the snapshots that stay, newest first."""
    kept = [decision for decision in decisions if decision.keep]
    all_days = Counter(decision.snapshot.created.date() for decision in decisions)
    kept_days = Counter(decision.snapshot.created.date() for decision in kept)
    lines = [f"{policy} keeps {len(kept)} of {len(decisions)} snapshots."]
    for year in sorted({day.year for day in all_days}):
        lines += ["", *_calendar(year, all_days, kept_days)]
    if decisions:
        lines += ["", LEGEND, ""]
    for decision in kept[:MOST_LISTED]:
        lines.append(f"{decision.snapshot.created:%Y-%m-%d %H:%M}Z  {decision.reason}")
    if len(kept) > MOST_LISTED:
        lines.append(f"and {len(kept) - MOST_LISTED} older ones; FORMAT=json lists them all")
    return "\n".join(lines)


def _calendar(year: int, all_days: Counter[date], kept_days: Counter[date]) -> Iterator[str]:
    yield f"{year:04}" + "".join(f"{day:3}" for day in range(1, 32))
    for month in range(1, 13):
        days = [date(year, month, day + 1) for day in range(monthrange(year, month)[1])]
        marks = [_mark(kept_days[day]) if day in all_days else " " for day in days]
        yield f"{days[0]:%b} {''.join(f'{mark:>3}' for mark in marks)}".rstrip()


def _mark(kept: int) -> str:
    return ".#23456789"[kept] if kept < 10 else "+"


if __name__ == "__main__":
    plain_streams()
    try:
        sys.exit(main(os.environ))
    except BrokenPipeError:
        # The reader has closed the pipe; without this, Python would print an error at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
