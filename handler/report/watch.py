"""What the watch tells: its answer, and the message about what is newly overdue. Pure."""

import json
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from typing import Any

from handler.decisions.overdue import (
    ANOTHER,
    COPIES,
    EMPTY,
    NO_TOKEN,
    OF_MEMORY,
    TWICE,
    UNSEEN,
    Overdue,
    ProjectState,
    ServerState,
)
from handler.decisions.proof import proven_of
from handler.decisions.watching import View
from handler.documents.document import format_time
from handler.documents.labels import LABEL_EVERY
from handler.documents.printable import printable
from handler.report.notification import as_subject

MOST_NAMED, MOST_IN_SUBJECT = 100, 3
USUAL_STACK = "hetzner-snapshots"  # the one that make means if STACK= is not said
SWEPT = "StartRestore is asked to remove it, now and once a day; if it stays: "
BY_HAND = "Look at it in the Hetzner console and delete it there if nobody needs it."


def answer_of(
    view: View, token_path: str, running: Collection[str], *, has_restores: bool, stack: str = ""
) -> dict[str, Any]:
    """What WatchServers answers, and `make status` shows. Sizes in GB, times RFC 3339."""
    return {
        "looked_at": format_time(view.looked_at),
        "overdue": len(view.overdue),
        "memory": view.problem,
        "projects": [_project(each) for each in sorted(view.projects, key=_name)],
        "overdue_now": [
            {
                "project": each.project,
                "server": each.server,
                "since": format_time(each.since),
                "reason": each.reason,
                "advice": advice_for(each, token_path, has_restores, stack),
            }
            for each in view.overdue
        ],
        "told": view.told,
        "running": sorted(running),
    }


def subject(view: View, stack: str) -> str:
    """One line of printable ASCII, as SNS requires."""
    if view.told == "all clear":
        return as_subject(f"{stack}: all clear, nothing is overdue any more")
    names = [_called(each) for each in view.news]
    more = len(names) - MOST_IN_SUBJECT
    behind = f" and {more} more" if more > 0 else ""
    return as_subject(f"{stack}: overdue: {', '.join(names[:MOST_IN_SUBJECT])}{behind}")


def text(
    view: View, token_path: str, *, has_restores: bool = False, not_swept: str = "", stack: str = ""
) -> str:
    """What is newly overdue, since when and why, and what to do.

    `not_swept`: why StartRestore could not be asked to remove what drills have left.
    """
    at = f"{view.looked_at:%Y-%m-%d %H:%MZ}"
    look = _make("status", stack)
    where = f'All that the watch sees: {look}, or WatchServers with {{"only_look": true}}.'
    if view.told == "all clear":
        return f"{_all_clear(view, at)}\n\n{where}\n"
    news = view.news[:MOST_NAMED]
    rows = [f"  {_called(each)}: {_since(each)}" for each in news]
    more = len(view.news) - len(rows)
    rows += [f"  and {more} more: the answer of WatchServers has all"] if more > 0 else []
    parts = ["\n".join([f"Overdue at {at}:", *rows])]
    # The same advice is said once.
    advice = dict.fromkeys(advice_for(each, token_path, has_restores, stack) for each in news)
    parts.append("\n".join(["What to do:", *(f"- {each}" for each in advice)]))
    if not_swept:
        parts.append(not_swept)
    if before := len(view.overdue) - len(view.news):
        parts.append(f"{before} more were told before and still are overdue.")
    parts.append("This is told once. When nothing is overdue any more you are told that, too.")
    return "\n\n".join([*parts, where]) + "\n"


def _all_clear(view: View, at: str) -> str:
    line = f"Nothing is overdue any more ({at})"
    unseen = [f"{each.look.project} ({printable(each.look.why)})" for each in view.projects
              if each.look.survey is None]  # fmt: skip
    if not unseen and not view.has_limit:
        return f"{line}."
    if not unseen:
        return f"{line}: every server that runs take has a good snapshot in time, or time for one."
    more = len(unseen) - MOST_IN_SUBJECT
    behind = f" and {more} more" if more > 0 else ""
    seen = ", ".join(unseen[:MOST_IN_SUBJECT])
    return f"{line}, as far as it could be seen. Not seen this time: {seen}{behind}."


def advice_for(
    overdue: Overdue, token_path: str, has_restores: bool = False, stack: str = ""
) -> str:
    """What a person can do about it."""
    name = overdue.project
    parameter = f"{token_path}/{name}"
    forget = f"invoke WatchServers with {json.dumps({'forget': name})}"
    make_forget = _make(f"forget PROJECT={name}", stack)
    by_make = f"`{make_forget}`, or delete that parameter and {forget}"
    match overdue.told_as:
        case str(letter) if letter == NO_TOKEN:
            return (
                f"Store the token of {name} again in the SSM parameter {parameter}; if the project "
                f"is no longer to be saved: `{make_forget}`, or {forget}."
            )
        case str(letter) if letter in (EMPTY, ANOTHER):
            return (
                f"Look whether {parameter} holds the token of the project {name}, and store the "
                f"right one. If it is as it should be: `{make_forget} KEEP_TOKEN=1`, "
                f"or {forget}; then it is learned anew."
            )
        case str(letter) if letter == TWICE:
            return (
                f"Store each project's own token in {parameter}. If {name} is one too many: "
                f"{by_make}."
            )
        case str(letter) if letter == UNSEEN:
            return (
                f"Mend what the reason says: replace the token in {parameter} if it is wrong. If "
                f"the project is gone: {by_make}."
            )
        case str(letter) if letter == COPIES:
            return f"{SWEPT if has_restores else ''}{BY_HAND}"
        case str(letter) if letter == OF_MEMORY:
            return (
                "Compare the projects in the answer of WatchServers with those that you have: what "
                "is missing there is not watched. Fewer projects in a stack, or shorter names, "
                "need less room."
            )
    event = json.dumps({"project": name})
    return (
        "The notification and the log of the last run say why there is no newer snapshot; if there "
        "was no run, look whether the schedule is enabled and at the dead letters. Mend that and "
        f"start StartRun with {event}."
    )


def _make(target: str, stack: str) -> str:
    """The command for this stack: without STACK= it would be for another one's project."""
    return f"make {target}{f' STACK={stack}' if stack not in ('', USUAL_STACK) else ''}"


def _called(overdue: Overdue) -> str:
    if not overdue.project:
        return "the memory"
    return printable("/".join([overdue.project, *([overdue.server] if overdue.server else [])]))


def _since(overdue: Overdue) -> str:
    return f"{printable(overdue.reason)} (since {overdue.since:%Y-%m-%d %H:%MZ})"


def _name(state: ProjectState) -> str:
    return state.look.project


def _project(state: ProjectState) -> dict[str, Any]:
    look, remembered = state.look, state.remembered
    survey = look.survey
    snapshots = survey.snapshots if survey else ()
    last = survey.now if survey and state.is_itself else remembered.last_seen
    return {
        "project": look.project,
        "seen": survey is not None,
        "why": look.why,
        "first_seen": format_time(remembered.first_seen),
        "last_seen": format_time(last),
        "servers": [_server(each) for each in state.servers],
        "snapshots": len(snapshots) if survey else None,
        "stored_gb": _sum(s.size_gb for s in snapshots) if survey else None,
        "overdue": [each.reason for each in state.overdue if not each.server],
        "requests_left": survey.requests_left if survey else None,
        "proven": _proven(state),
    }


def _proven(state: ProjectState) -> str:
    """What of it is proven to come back, in words; empty if nothing is, or it is not known."""
    survey = state.look.survey
    if survey is None or survey.now is None:
        return ""
    taken = [each.server for each in state.servers if not each.left_out]
    proven = proven_of(taken, survey.snapshots, survey.now)
    return str(proven) if proven.proven else ""


def _server(state: ServerState) -> dict[str, Any]:
    server, newest = state.server, state.newest
    return {
        "id": server.id,
        "name": server.name,
        "included": not state.left_out,
        "why_left_out": state.left_out,
        "newest": format_time(newest.created) if newest else None,
        "image_id": newest.id if newest else None,
        "size_gb": newest.size_gb if newest else None,
        "limit_hours": state.limit_hours,
        "due_at": format_time(state.due_at),
        "overdue": state.overdue,
        "every": server.labels.get(LABEL_EVERY),
        "volumes": server.volumes,
        "backups": server.backups,
    }


def _sum(sizes: Iterable[float | None]) -> float:
    return float(sum((Decimal(str(size or 0)) for size in sizes), Decimal(0)))


def rows_of(view: View) -> Iterator[tuple[Overdue, str]]:
    """Each thing overdue with the line that is logged of it."""
    for each in view.overdue:
        yield each, f"{_called(each)} is overdue: {_since(each)}"
