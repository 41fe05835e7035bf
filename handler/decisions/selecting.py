"""Which servers a run is for, and why not the others: pure."""

import json
import re
from collections.abc import Collection, Sequence

from handler.documents.document import WithBackups, shortened
from handler.documents.job import NAME_BYTES, ServerItem, cut, short_name
from handler.documents.labels import (
    LABEL_ENABLED,
    LABEL_EVERY,
    LABEL_RETENTION,
    LABEL_THROW_AWAY,
)
from handler.documents.memory import LastLook
from handler.documents.policy import BadPolicy, parse_policy
from handler.documents.resources import Server
from handler.documents.rhythm import BadRhythm, parse_rhythm
from handler.documents.run import Concern, RunDocument, Selection

ID = re.compile(r"[0-9]{1,18}", re.ASCII)
A_COPY = "it is a copy that a restore throws away: no run takes it"
CALLED_COPY = (
    f"its label {LABEL_THROW_AWAY} is only for copies that restores make, and it is none: no "
    "snapshot is made of it. Remove that label"
)
MOST_NAMED = 10
MOST_NOTES = 15  # of servers, before a run; the table has room for 20 rows
MOST_WITNESSES = 5
PROBLEM_BYTES = 190  # of what is wrong with a label, in the batch; the log has it whole


def named(selection: Selection, listed: Sequence[Server]) -> tuple[set[int], tuple[str, ...]]:
    """The ids of the servers named in the event, and the names that no server has.

    A number is an id; a string is a name, and an id only if no server has that name.
    """
    ids = {server.id for server in listed}
    if not selection.servers:
        return ids, ()
    by_name = {server.name: server.id for server in listed}
    found, unknown = set(), []
    for name in selection.servers:
        is_number = isinstance(name, int) or bool(ID.fullmatch(name))
        server_id = by_name.get(str(name)) if isinstance(name, str) else None
        if server_id is None and is_number:
            server_id = int(name)
        if server_id in ids:
            found.add(server_id)
        else:
            unknown.append(str(name))
    return found, tuple(unknown)


def why_vanished(
    document: RunDocument, listed: Sequence[Server], left: int, is_known: bool = True
) -> str:
    """Why this is not the project that it was; empty if it may be.

    A project without servers is one that is new, unless `left` snapshots of ours say that it had
    some; and what a run has handed out it finds again, all but what was deleted meanwhile.
    """
    if left:
        return (
            f"the project has no servers, but {left} snapshots of servers that it had. Find out "
            "who deleted them; if that was meant, delete these snapshots or the project's token."
        )
    after_id = document.after_id
    if after_id and not any(server.id <= after_id for server in listed):
        return (
            "none of the servers that were listed before is in the project any more. Is its token "
            "another project's now?"
        )
    last_look = document.last_look if after_id == 0 else None
    if not_itself := why_not_itself(last_look, len(listed), is_known):
        event = json.dumps({"forget": document.run.project})
        then = (
            f"If it is, `make forget PROJECT={document.run.project} KEEP_TOKEN=1` or invoke "
            f"WatchServers with {event}, then start this run again."
        )
        return f"the project {not_itself} {then}"
    return ""


def why_not_itself(last: LastLook | None, server_count: int, is_known: bool) -> str:
    """Why this is not the project that was seen last; empty if it is, or nothing is known of it.

    `is_known`: one of the last look's two ids is found, or a snapshot of that server. Servers may
    all come and go; that their snapshots vanish as well, all at once, is another project.
    """
    if last is None or not last.at or not last.servers:
        return ""
    at = f"{last.at[:10]} {last.at[11:16]}Z"
    had = f"had {last.servers} server{'' if last.servers == 1 else 's'} on {at}"
    if not server_count:
        return f"{had}, now none: is it the right token?"
    if last.server and last.snapshot and not is_known:
        return (
            f"{had}, and neither server {last.server} nor snapshot {last.snapshot} of then is "
            "there any more: is it the right token?"
        )
    return ""


def some_of(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    some = [shortened(name, NAME_BYTES) for name in names[:MOST_NAMED]] or ["none"]
    return ", ".join(some) + (f" and {more} more" if more > 0 else "")


def left_out(
    document: RunDocument, listed: Sequence[Server], matching: Sequence[Server]
) -> dict[int, str]:
    """Of each listed server why it is left out, by id; empty if it is selected."""
    selection, ids = document.selection, {server.id for server in matching}
    chosen, _ = named(selection, listed)
    # Who names a server wants it.
    with_backups: WithBackups = "include" if selection.servers else document.run.with_backups
    return {
        server.id: "not named in the event"
        if server.id not in chosen
        else why_not_taken(server, ids, selection.label_selector, with_backups)
        for server in listed
    }


def why_not_taken(
    server: Server, matching: Collection[int], label_selector: str, with_backups: WithBackups
) -> str:
    """Why runs never take the server; empty if they do, each or in its own rhythm.

    `matching` holds the ids of those that the selector matches.
    """
    if server.is_copy:
        return A_COPY
    if server.is_called_copy:
        return CALLED_COPY
    if server.id not in matching:
        return f"does not match the label selector {label_selector!r}"
    if server.labels.get(LABEL_ENABLED) == "false":
        return f"its label {LABEL_ENABLED} is false"
    if server.backups and with_backups == "skip":
        return "it has Hetzner's Backups, and WithBackups is skip"
    return ""


def notes_on(
    servers: Sequence[Server], dry_run: bool, called_copies: Sequence[Server] = ()
) -> list[Concern]:
    """What people should know about the servers of a run: one that is left out by a mistake, a
    rhythm that is wrong, and, before they rely on it, what no snapshot has."""
    found = [(server, CALLED_COPY) for server in called_copies]
    found += [(server, problem_of_rhythm(server)) for server in servers]
    found += [(server, without_volumes(server)) for server in servers if dry_run]
    notes = [Concern("note", short_name(s.name, s.id), why) for s, why in found if why]
    more = len(notes) - MOST_NOTES
    if more > 0:
        rest = f"{more} more on labels and volumes of servers: the log has all"
        return [*notes[:MOST_NOTES], Concern("note", "", rest)]
    return notes


def without_volumes(server: Server) -> str:
    """What no snapshot of the server has; empty if it has no volumes."""
    if not server.volumes:
        return ""
    what = "volume is" if server.volumes == 1 else f"{server.volumes} volumes are"
    return f"its {what} in no snapshot"


def problem_of_rhythm(server: Server) -> str:
    """What is wrong with the label that says how often; empty if nothing is."""
    every = server.labels.get(LABEL_EVERY)
    try:
        if every is not None:
            parse_rhythm(every)
    except BadRhythm as error:
        return f"its label {LABEL_EVERY}: {error}. Until then every run takes it"
    return ""


def problem_of(server: Server) -> str:
    """What is wrong with the labels that people set on the server; empty if nothing is."""
    enabled, retention = server.labels.get(LABEL_ENABLED), server.labels.get(LABEL_RETENTION)
    problem = ""
    if enabled not in (None, "true", "false"):
        problem = f"its label {LABEL_ENABLED} is {enabled!r}; write true or false"
    if retention is not None:
        try:
            parse_policy(retention)
        except BadPolicy as error:
            problem = f"its label {LABEL_RETENTION}: {error}"
    return problem


def item_of(server: Server, start_s: int = 0) -> ServerItem:
    """The server as an item of the Map. With a label that is wrong no policy of its own counts."""
    name = short_name(server.name, server.id)
    if problem := problem_of(server):
        return ServerItem(server.id, name, None, cut(problem, PROBLEM_BYTES), start_s)
    return ServerItem(server.id, name, server.labels.get(LABEL_RETENTION), None, start_s)
