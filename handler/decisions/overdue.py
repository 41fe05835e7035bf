"""Who is overdue, why, and what to do about it: pure.

A server is overdue when its newest good snapshot is older than its limit. A project is overdue as
a whole when what was known of it is not to be seen any more: no run can miss what it does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from handler.decisions.copies_left import left_behind, why_left
from handler.decisions.due import AHEAD, newest_good
from handler.decisions.selecting import why_not_itself, why_not_taken
from handler.documents.document import WithBackups
from handler.documents.job import short_name
from handler.documents.memory import LastLook, Remembered
from handler.documents.resources import Server, Snapshot
from handler.documents.rhythm import hours_added
from handler.documents.survey import Survey

# A project's own troubles; memory has a letter for each.
NO_TOKEN, EMPTY, ANOTHER, TWICE, UNSEEN, COPIES = "t", "e", "a", "d", "u", "c"
OF_MEMORY = "m"  # the trouble of no project


@dataclass(frozen=True, slots=True)
class Limits:
    """Which servers have to be saved, and how old a newest good snapshot may be.

    `freshness_hours` 0: as old as it likes.
    """

    freshness_hours: int
    run_minutes: int = 0  # so much longer while a run of the project goes on
    label_selector: str = ""
    with_backups: WithBackups = "include"
    copy_minutes: int = 0  # the longest that a restore needs its copy; 0: they are not looked at

    @property
    def longest_copy(self) -> timedelta:
        return timedelta(minutes=self.copy_minutes)

    def hours_of(self, server: Server) -> int:
        """The server's own limit, longer by its rhythm."""
        return self.freshness_hours + hours_added(server.labels)


@dataclass(frozen=True, slots=True)
class Look:
    """One project as it was seen just now: whole, or `why` not."""

    project: str
    survey: Survey | None = None
    why: str = ""
    has_token: bool = True
    is_running: bool = False  # a run of it is going on, or that is not known


@dataclass(frozen=True, slots=True)
class Overdue:
    """Something overdue; `server` is empty if it is the project, `project` too if it is memory.

    `told_as`: the server's id, or the letter of the project's trouble.
    """

    project: str
    server: str
    since: datetime
    reason: str
    told_as: int | str
    copy: int | None = None  # the id of a copy that a drill has left


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server's newest good snapshot and whether that is too old; `due_at` None: no limit."""

    server: Server
    newest: Snapshot | None
    left_out: str  # why it gets no snapshots
    limit_hours: int
    due_at: datetime | None = None
    overdue: str = ""


@dataclass(frozen=True, slots=True)
class ProjectState:
    look: Look
    remembered: Remembered  # before this look; of a project that is new, what is known of it now
    servers: tuple[ServerState, ...]
    overdue: tuple[Overdue, ...]
    # Whether it is the project that is remembered: only then is what was seen now remembered.
    is_itself: bool


def judged(
    looks: Sequence[Look],
    remembered: Mapping[str, Remembered],
    now: datetime,
    limits: Limits,
) -> tuple[ProjectState, ...]:
    """Every project's state; `now` is by our own clock, a survey has Hetzner's.

    Either may be wrong: what becomes overdue is so by both of them, what was told stays so until
    both say that it is over.
    """
    twins = _twins(looks)
    # Whose token is stored twice cannot be seen while one of the two cannot.
    all_seen = all(look.survey or not look.has_token for look in looks)
    return tuple(
        _project(look, remembered.get(look.project), twins, all_seen, now, limits) for look in looks
    )


def is_known_again(last: LastLook, survey: Survey) -> bool:
    """Whether the survey has the server or the snapshot of the last look, or one of that server."""
    return any(server.id == last.server for server in survey.servers) or any(
        last.snapshot == snapshot.id or last.server == snapshot.server_id
        for snapshot in survey.snapshots
    )


def _project(
    look: Look,
    before: Remembered | None,
    twins: Mapping[str, str],
    all_seen: bool,
    now: datetime,
    limits: Limits,
) -> ProjectState:
    remembered = before or Remembered(first_seen=now)
    not_itself = ""
    if look.survey:
        last = remembered.last_look
        is_known = is_known_again(last, look.survey)
        not_itself = why_not_itself(last, len(look.survey.servers), is_known)
    troubles = _troubles(look, remembered, not_itself, twins, now, limits)
    if not troubles and limits.freshness_hours:
        troubles = _standing(look, remembered, all_seen)
    of_its_own = not not_itself and bool(look.survey)
    servers = _servers(look, remembered, limits, now, of_its_own)
    overdue = [
        Overdue(look.project, short_name(state.server.name, state.server.id), state.due_at,
                state.overdue, state.server.id)
        for state in servers
        if state.overdue and state.due_at
    ]  # fmt: skip
    hidden = [] if of_its_own or not limits.freshness_hours else _hidden(look, remembered, now)
    overdue += _copies(look, remembered, limits, now)
    return ProjectState(
        look, remembered, tuple(servers), (*troubles, *hidden, *overdue), of_its_own
    )


def _copies(look: Look, remembered: Remembered, limits: Limits, now: datetime) -> list[Overdue]:
    """What dead drills have left, one by one: it costs money, whatever FreshnessHours is."""
    if look.survey is None and COPIES in remembered.told_of_project:
        # A look that failed ends nothing: it would be told again after each.
        since = remembered.last_seen or remembered.first_seen
        why = f"what drills have left may still be there: it cannot be seen now: {look.why}"
        return [Overdue(look.project, "", since, why, COPIES)]
    return [
        Overdue(look.project, copy.name, copy.created + limits.longest_copy, why_left(copy, now),
                COPIES, copy.id)
        for copy in left_of(look, limits, now)
    ]  # fmt: skip


def left_of(look: Look, limits: Limits, now: datetime) -> list[Server]:
    """The copies in the project that no restore can need any more."""
    if look.survey is None or not limits.copy_minutes:
        return []
    clocks = (look.survey.now or now, now)
    return left_behind(look.survey.copies, limits.longest_copy, clocks)


def _troubles(
    look: Look,
    remembered: Remembered,
    not_itself: str,
    twins: Mapping[str, str],
    now: datetime,
    limits: Limits,
) -> list[Overdue]:
    """What is wrong with the project as a whole: at most one thing, the worst."""

    def trouble(letter: str, since: datetime, reason: str) -> list[Overdue]:
        return [Overdue(look.project, "", since, reason, letter)]

    if not limits.freshness_hours:
        return []
    last = remembered.last_seen or remembered.first_seen
    if not look.has_token:
        return trouble(NO_TOKEN, last, "its token is gone")
    if not_itself:
        is_empty = look.survey is not None and not look.survey.servers
        twin = twins.get(look.project, "")
        also = f" It is that of the project {twin}" if twin else ""
        return trouble(EMPTY if is_empty else ANOTHER, last, not_itself + also)
    if other := twins.get(look.project):
        reason = f"its token and that of {other} see the same servers: one token is stored twice"
        return trouble(TWICE, last, reason)
    limit = timedelta(hours=limits.freshness_hours)
    if look.survey is None and now - last > limit:
        whole = f"not been seen whole since {last:%Y-%m-%d %H:%MZ}"
        return trouble(UNSEEN, last + limit, f"it has {whole}: {look.why}")
    return []


def _standing(look: Look, remembered: Remembered, all_seen: bool) -> list[Overdue]:
    """What was told of the project and is not seen to be over: a look that failed ends nothing."""
    if look.survey is None:
        letters = remembered.told_of_project - {COPIES}
        why = f"it cannot be seen now: {look.why}"
    else:
        letters = remembered.told_of_project & ({TWICE} if not all_seen else set())
        why = "another project cannot be seen now"
    since = remembered.last_seen or remembered.first_seen
    reason = f"what was told of it still stands, because {why}"
    return [Overdue(look.project, "", since, reason, letter) for letter in sorted(letters)]


def _twins(looks: Sequence[Look]) -> dict[str, str]:
    """Of each project that sees a server of another one, the first such other."""
    seen: dict[int, list[str]] = {}
    for look in looks:
        for server in look.survey.servers if look.survey else ():
            seen.setdefault(server.id, []).append(look.project)
    found: dict[str, str] = {}
    for names in seen.values():
        for name in names if len(names) > 1 else ():
            found.setdefault(name, min(other for other in names if other != name))
    return found


def _servers(
    look: Look,
    remembered: Remembered,
    limits: Limits,
    now: datetime,
    is_judged: bool,
) -> list[ServerState]:
    if look.survey is None:
        return []
    matching = look.survey.matching
    clocks = (look.survey.now or now, now)
    # What seems to be made later than this, by either clock, tells no age.
    future = max(clocks) + AHEAD
    newest = newest_good(look.survey.snapshots, future)
    states = []
    for server in look.survey.servers:
        good, hours = newest.get(server.id), limits.hours_of(server)
        left_out = why_not_taken(server, matching, limits.label_selector, limits.with_backups)
        if left_out:
            states.append(ServerState(server, good, left_out, hours))
            continue
        created = server.created if server.created < future else remembered.first_seen
        since = good.created if good else max(created, remembered.first_seen)
        due_at = since + timedelta(hours=hours) if limits.freshness_hours else None
        # A run that has only begun mends nothing: what was told stands until there is a snapshot.
        was_told = remembered.all_told or server.id in remembered.told
        has_longer = look.is_running and not was_told
        grace = timedelta(minutes=limits.run_minutes if has_longer else 0)
        at = max(clocks) if was_told else min(clocks)
        is_late = is_judged and due_at is not None and at > due_at + grace
        reason = _why_late(good, server, since, at) if is_late else ""
        states.append(ServerState(server, good, "", hours, due_at, reason))
    return states


def _why_late(good: Snapshot | None, server: Server, since: datetime, at: datetime) -> str:
    days = f"{(at - since) / timedelta(days=1):.1f} days"
    moment = f"{since:%Y-%m-%d %H:%MZ}"
    if good:
        return f"its newest good snapshot is {days} old, of {moment}"
    counted = "created" if since == server.created else "first seen"
    return f"it has no good snapshot, {days} after it was {counted}, {moment}"


def _hidden(look: Look, remembered: Remembered, now: datetime) -> list[Overdue]:
    """Servers that were overdue when they were last seen, and cannot be seen now."""
    since = remembered.last_seen or now
    why = "it was overdue when it was last seen"
    found = [
        Overdue(look.project, f"server {id_}", since, why, id_) for id_ in sorted(remembered.told)
    ]
    some = Overdue(look.project, "some servers", since, "they were overdue when last seen", "*")
    return [*found, *([some] if remembered.all_told else [])]
