"""What a look of the watch means: what is news, what is told, what is remembered. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from handler.decisions.due import newest_good
from handler.decisions.overdue import COPIES, OF_MEMORY, Look, Overdue, ProjectState
from handler.documents.memory import EPOCH, Memory, Remembered

LATE = timedelta(minutes=30)  # looks are an hour apart

Told = Literal["", "overdue", "all clear"]


@dataclass(frozen=True, slots=True)
class View:
    """The projects as they are now; `memory` is what to remember once people have been told."""

    looked_at: datetime
    projects: tuple[ProjectState, ...]
    overdue: tuple[Overdue, ...]
    news: tuple[Overdue, ...]
    told: Told
    memory: Memory
    problem: str  # with the memory
    has_limit: bool  # FreshnessHours is not 0


def in_order(names: Iterable[str], memory: Memory) -> list[str]:
    """All projects, longest unseen first: those that were never seen whole come before all."""

    def unseen(name: str) -> tuple[float, str]:
        remembered = memory.projects.get(name)
        last = remembered.last_seen if remembered else None
        return (last.timestamp() if last else 0.0, name)

    return sorted({*names, *memory.projects}, key=unseen)


def late(memory: Memory) -> frozenset[str]:
    """The projects that the last looks did not see whole."""
    seen = [each.last_seen for each in memory.projects.values() if each.last_seen]
    since = max(seen) - LATE if seen else None
    return frozenset(
        name
        for name, each in memory.projects.items()
        if since is None or each.last_seen is None or each.last_seen < since
    )


def in_turns(names: Sequence[str], unseen: Collection[str], now: datetime) -> list[str]:
    """The same order, but that those unseen take turns, by the hour, in being the first."""
    first = [name for name in names if name in unseen]
    turn = int(now.timestamp() // 3600) % len(first) if first else 0
    return [*first[turn:], *first[:turn], *(name for name in names if name not in unseen)]


def worth_a_look(looks: Iterable[Look], memory: Memory) -> list[Look]:
    """Without the projects that have no token and never had a server or a snapshot to lose."""

    def had_something(name: str) -> bool:
        remembered = memory.projects.get(name)
        return bool(remembered and (remembered.servers or remembered.snapshot))

    return [look for look in looks if look.has_token or had_something(look.project)]


def concluded(
    states: Sequence[ProjectState], memory: Memory, now: datetime, has_limit: bool = True
) -> View:
    """The view, from the states of all projects and the memory before.

    What only a limit makes overdue is not over because there is no limit any more.
    """
    draft = Memory({each.look.project: _after(each, now) for each in states}, problem_told=True)
    after = draft.fitted()
    problem = memory.problem or after.problem
    of_memory = Overdue("", "", now, f"the watch's memory: {problem}", OF_MEMORY)
    overdue = [*([of_memory] if problem else []), *(o for each in states for o in each.overdue)]
    if not problem:
        after = replace(draft, problem_told=False).fitted()
    news = [each for each in overdue if _is_news(each, memory, after)]
    was_told = memory.problem_told or any(each.is_told for each in memory.projects.values())
    is_over = has_limit or not any(map(_is_told_by_limit, memory.projects.values()))
    all_clear = is_over and was_told and not overdue
    told: Told = "overdue" if news else "all clear" if all_clear else ""
    return View(now, tuple(states), tuple(overdue), tuple(news), told, after, problem, has_limit)


def _is_told_by_limit(remembered: Remembered) -> bool:
    """Whether something is told that only a limit makes overdue: all but what drills have left."""
    told = remembered.told or remembered.all_told or remembered.told_of_project - {COPIES}
    return bool(told)


def without(memory: Memory, *forgotten: str) -> Memory:
    """The memory after a person said that these projects are to be forgotten."""
    projects = {name: each for name, each in memory.projects.items() if name not in forgotten}
    return replace(memory, projects=projects)


def unheard(after: Memory, before: Memory) -> Memory:
    """The memory after a look of which nobody was told: who was told is as before."""
    nobody = Remembered(first_seen=EPOCH)
    projects = {}
    for name, each in after.projects.items():
        was = before.projects.get(name, nobody)
        projects[name] = replace(
            each,
            told=was.told,
            all_told=was.all_told,
            told_of_project=was.told_of_project,
            copies=was.copies,
        )
    return Memory(projects, after.problem, before.problem_told).fitted()


def _after(state: ProjectState, now: datetime) -> Remembered:
    """What to remember of the project, all that is overdue now told."""
    remembered, survey = state.remembered, state.look.survey
    if survey and state.is_itself:
        server = min((server.id for server in survey.servers), default=None)
        # Of another server if there is one: a server that goes with all its snapshots must leave
        # something by which the project is known again.
        newest = max(
            newest_good(survey.snapshots).values(),
            key=lambda snapshot: (snapshot.server_id != server, snapshot.created, snapshot.id),
            default=None,
        )
        remembered = replace(
            remembered,
            last_seen=now,
            servers=len(survey.servers),
            server=server,
            snapshot=newest.id if newest else None,
        )
    marks = [each.told_as for each in state.overdue]
    return replace(
        remembered,
        told=frozenset(mark for mark in marks if isinstance(mark, int)),
        all_told="*" in marks,
        told_of_project=frozenset(m for m in marks if isinstance(m, str) and m != "*"),
        copies=frozenset(each.copy for each in state.overdue if each.copy is not None)
        if survey
        else remembered.copies,
    )


def _is_news(overdue: Overdue, memory: Memory, after: Memory) -> bool:
    """Whether people have not been told of it yet.

    What cannot be remembered is not told by name: it would be told again each hour.
    """
    if overdue.told_as == OF_MEMORY:
        return not memory.problem_told
    if overdue.project not in after.projects:
        return False
    before = memory.projects.get(overdue.project)
    if before is None:
        return True
    if isinstance(overdue.told_as, int):
        return not (before.all_told or overdue.told_as in before.told)
    if overdue.copy is not None and before.copies and COPIES in before.told_of_project:
        return overdue.copy not in before.copies
    return overdue.told_as not in ("*", *before.told_of_project)
