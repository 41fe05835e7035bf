"""A server's own rhythm: how it is written, and who is due when, as tables and over many nights."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from handler.decisions.due import heeds_rhythms, newest_good, why_not_due
from handler.decisions.selecting import left_out, notes_on, problem_of, why_not_taken
from handler.documents.document import WithBackups, format_time
from handler.documents.labels import LABEL_ENABLED, LABEL_EVERY, LABEL_RUN_ID, LABEL_SERVER_ID
from handler.documents.resources import Server, Snapshot
from handler.documents.rhythm import BadRhythm, hours_added, parse_rhythm, rhythm_in
from handler.documents.run import RunDocument, Selection
from tests.documents import RUN

NIGHT = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def server(every: str | None, id_: int = 1) -> Server:
    labels = {} if every is None else {LABEL_EVERY: every}
    return Server(id_, f"s{id_}", "running", None, None, None, None, labels, NIGHT - 99 * DAY)


def good(made: datetime, id_: int = 1, run_id: str = "earlier") -> Snapshot:
    labels = {LABEL_SERVER_ID: str(id_), LABEL_RUN_ID: run_id}
    return Snapshot(int(made.timestamp()), made, labels=labels, made_of=id_)


def run_of(
    began: datetime | None = NIGHT, ours: datetime | None = NIGHT, first: datetime | None = None
) -> RunDocument:
    """A run that began at these times by Hetzner's clock and by ours; by ours its first execution
    was started at `first`."""
    return RunDocument(
        run=replace(RUN, began=format_time(began)),
        selection=Selection(),
        status="new",
        started=format_time(ours),
        first_started=format_time(first or ours),
    )


def reason(document: RunDocument, every: str | None, snapshots: Sequence[Snapshot]) -> str:
    return why_not_due(document, [server(every)], snapshots).get(1, "")


@pytest.mark.parametrize(
    ("text", "hours", "due_after_hours"),
    [
        ("1h", 1, 0.5),
        ("12h", 12, 6),
        ("24h", 24, 12),
        ("1d", 24, 12),
        ("2d", 48, 36),
        ("1w", 168, 156),
        ("007d", 168, 156),
        ("8736h", 8736, 8724),
        ("364d", 8736, 8724),
        ("52w", 8736, 8724),
    ],
)
def test_a_rhythm_is_a_whole_number_of_hours_days_or_weeks(
    text: str, hours: int, due_after_hours: float
) -> None:
    rhythm = parse_rhythm(text)
    assert (rhythm.text, rhythm.every) == (text, hours * HOUR)
    assert rhythm.due_after == due_after_hours * HOUR
    assert rhythm_in({LABEL_EVERY: text}) == rhythm
    assert hours_added({LABEL_EVERY: text}) == hours


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is no whole number of h, d or w; write for example 12h, 2d or 1w"),
        *((text, f"{text!r} is no whole number of h, d or w; write for example 12h, 2d or 1w")
          for text in ("daily", "1", "d", "1m", "1D", "1 d", "1.5d", "-1d", "1d2h", "12345h", "²d",
                       "1d\n")),
        ("0h", "'0h' is less than 1h; write for example 12h, 2d or 1w"),
        ("0w", "'0w' is less than 1h; write for example 12h, 2d or 1w"),
        ("53w", "'53w' is more than 52w; write for example 12h, 2d or 1w"),
        ("365d", "'365d' is more than 52w; write for example 12h, 2d or 1w"),
        ("8737h", "'8737h' is more than 52w; write for example 12h, 2d or 1w"),
    ],
)  # fmt: skip
def test_a_rhythm_that_is_wrong_says_how_to_write_one_and_every_run_takes_the_server(
    text: str, said: str
) -> None:
    with pytest.raises(BadRhythm) as error:
        parse_rhythm(text)
    assert str(error.value) == said
    assert rhythm_in({LABEL_EVERY: text}) is None
    assert hours_added({LABEL_EVERY: text}) == 0
    assert reason(run_of(), text, [good(NIGHT - HOUR)]) == ""
    [note] = notes_on([server(text)], dry_run=False)
    assert str(note) == f"s1: its label {LABEL_EVERY}: {said}. Until then every run takes it"
    # It is pruned as usual.
    assert problem_of(server(text)) == ""


def test_a_server_without_the_label_has_no_rhythm_and_no_note() -> None:
    assert rhythm_in({}) is None
    assert hours_added({}) == 0
    assert notes_on([server(None), server("1w")], dry_run=False) == []


@pytest.mark.parametrize(
    ("every", "hours", "said"),
    [
        (None, 1, ""),
        ("1w", 156, ""),
        ("1w", 168, ""),
        ("1w", 155.99, "not due: newest good snapshot 6 d old, every 1w"),
        ("1w", 72, "not due: newest good snapshot 3 d old, every 1w"),
        ("1w", 47.9, "not due: newest good snapshot 47 h old, every 1w"),
        ("1w", 48, "not due: newest good snapshot 2 d old, every 1w"),
        ("4w", 24 * 23, "not due: newest good snapshot 23 d old, every 4w"),
        ("2d", 36, ""),
        ("2d", 35.99, "not due: newest good snapshot 35 h old, every 2d"),
        ("1d", 12, ""),
        ("1d", 11.99, "not due: newest good snapshot 11 h old, every 1d"),
        ("12h", 6, ""),
        ("12h", 5.99, "not due: newest good snapshot 5 h old, every 12h"),
        ("1h", 0.5, ""),
        ("1h", 0.49, "not due: newest good snapshot 0 h old, every 1h"),
        # Made while the run was going on.
        ("1w", 0, ""),
        ("1w", -1, ""),
    ],
)
def test_a_server_is_due_from_its_rhythm_on_less_half_of_it_and_at_most_12_hours(
    every: str | None, hours: float, said: str
) -> None:
    assert reason(run_of(), every, [good(NIGHT - hours * HOUR)]) == said
    # The newest counts, in whatever order they come.
    older = [good(NIGHT - hours * HOUR - DAY * days) for days in (30, 9)]
    assert reason(run_of(), every, [older[0], good(NIGHT - hours * HOUR), older[1]]) == said


def test_only_a_good_snapshot_of_the_server_itself_makes_it_wait() -> None:
    fresh = good(NIGHT - HOUR)
    assert reason(run_of(), "1w", [fresh])
    assert reason(run_of(), "1w", []) == ""
    for bad in (
        replace(fresh, status="creating"),
        replace(fresh, status="unavailable"),
        replace(fresh, made_of=2),
        good(NIGHT - HOUR, id_=2),
        replace(fresh, labels={}),
    ):
        assert reason(run_of(), "1w", [bad]) == ""
        assert reason(run_of(), "1w", [good(NIGHT - 7 * DAY), bad]) == ""
    assert newest_good([replace(fresh, labels={}, made_of=None)]) == {}


def test_what_the_run_has_begun_it_goes_on_with() -> None:
    """A snapshot of an earlier attempt is adopted and pruned, though another one is young."""
    for status in ("available", "creating", "unavailable"):
        mine = replace(good(NIGHT + HOUR, run_id=RUN.id), status=status)
        assert reason(run_of(), "1w", [good(NIGHT - DAY), mine]) == ""
    assert reason(run_of(), "1w", [good(NIGHT - DAY), good(NIGHT + HOUR, run_id="other")])


def test_a_resume_decides_as_of_the_runs_beginning() -> None:
    later = run_of(NIGHT + 30 * HOUR, NIGHT + 30 * HOUR, first=NIGHT)
    assert reason(later, "2d", [good(NIGHT - DAY)]) == reason(run_of(), "2d", [good(NIGHT - DAY)])
    assert reason(later, "2d", [good(NIGHT - DAY)])
    # Of another run, meanwhile.
    assert reason(later, "2d", [good(NIGHT - 2 * DAY), good(NIGHT + HOUR)]) == ""


@pytest.mark.parametrize("hours", [-24 * 9, -30, -13, 13, 30, 24 * 9])
def test_no_wrong_clock_makes_a_server_wait_that_is_due(hours: int) -> None:
    off = timedelta(hours=hours)
    snapshots = [good(NIGHT - 7 * DAY)]
    for document in (run_of(NIGHT + off, NIGHT), run_of(NIGHT, NIGHT + off)):
        assert reason(document, "1w", snapshots) == ""
        assert reason(document, "5d", snapshots) == ""


def test_where_nobody_tells_the_time_all_are_due() -> None:
    assert reason(run_of(None), "1w", [good(NIGHT - HOUR)]) == ""
    # Of a run whose documents another version has begun, Hetzner's clock alone is known.
    assert reason(run_of(NIGHT, None), "1w", [good(NIGHT - HOUR)])


def test_a_run_that_names_servers_or_only_prunes_asks_nobody_whether_he_is_due() -> None:
    document = run_of()
    assert heeds_rhythms(document)
    assert heeds_rhythms(replace(document, run=replace(RUN, dry_run=True)))
    assert not heeds_rhythms(replace(document, selection=Selection(("s1",))))
    assert not heeds_rhythms(replace(document, run=replace(RUN, prune_only=True)))


def test_documents_of_a_version_without_rhythms_are_read() -> None:
    document = run_of().to_dict()
    del document["run"]["with_backups"], document["totals"]["not_due"]
    read = RunDocument.from_dict(document)
    assert (read.run.with_backups, read.totals.not_due) == ("include", 0)
    assert read == run_of()


@pytest.mark.parametrize(
    ("labels", "backups", "with_backups", "why"),
    [
        ({}, False, "skip", ""),
        ({}, True, "include", ""),
        ({}, True, "skip", "it has Hetzner's Backups, and WithBackups is skip"),
        ({LABEL_EVERY: "1w"}, False, "skip", ""),
        ({LABEL_ENABLED: "false"}, True, "skip", f"its label {LABEL_ENABLED} is false"),
        ({LABEL_ENABLED: "true"}, True, "include", ""),
    ],
)
def test_which_servers_runs_never_take(
    labels: dict[str, str], backups: bool, with_backups: WithBackups, why: str
) -> None:
    each = replace(server(None), labels=labels, backups=backups)
    assert why_not_taken(each, {1}, "env=prod", with_backups) == why
    unmatched = "does not match the label selector 'env=prod'"
    assert why_not_taken(each, {2}, "env=prod", with_backups) == unmatched
    run = run_of()
    run = replace(run, run=replace(run.run, with_backups=with_backups))
    assert left_out(run, [each], [each]) == {1: why}
    # Who names it wants it, but for what its own label says.
    named = left_out(replace(run, selection=Selection(("s1",))), [each, server(None, 2)], [each])
    assert named == {1: why if "label" in why else "", 2: "not named in the event"}


RHYTHMS = {None: 1, "1h": 1, "12h": 1, "1d": 1, "24h": 1, "2d": 2, "72h": 3, "1w": 7, "2w": 14,
           "4w": 28}  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_over_sixty_nights_each_server_has_its_rhythm_to_the_night(seed: int) -> None:
    """Nights begin up to 4 h early or late, one is 7 h late, some do not happen; each snapshot is
    made within an hour. Nights between two snapshots: its rhythm, or the next night that happens.
    """
    rng = random.Random(seed)
    servers = [server(every, id_) for id_, every in enumerate(RHYTHMS, 1)]
    nights_of = dict(zip((s.id for s in servers), RHYTHMS.values(), strict=True))
    snapshots: list[Snapshot] = []
    last: dict[int, int] = {}
    late = rng.randrange(60)
    for night in range(60):
        if rng.random() < 0.1:
            continue
        jitter = 7 if night == late else rng.uniform(-4, 4)
        began = NIGHT + night * DAY + jitter * HOUR
        not_due = why_not_due(run_of(began, began), servers, snapshots)
        for each in servers:
            is_time = each.id not in last or night - last[each.id] >= nights_of[each.id]
            assert (each.id not in not_due) == is_time, (night, each.labels, not_due.get(each.id))
            if is_time:
                last[each.id] = night
                snapshots.append(good(began + rng.random() * HOUR, each.id))
