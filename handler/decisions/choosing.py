"""Which servers are restored, from which snapshots, and why not the others: pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zlib import crc32

from handler.decisions.due import AHEAD, newest_good
from handler.decisions.proof import looked_at
from handler.decisions.selecting import ID, named
from handler.documents.labels import (
    LABEL_DRILL,
    LABEL_PROBE,
    LABEL_SERVER_NAME,
    LABEL_THROW_AWAY,
    label_value,
)
from handler.documents.resources import Server, Snapshot
from handler.documents.restore_run import MOST_RESTORES, RestoreRun
from handler.documents.run import Selection

PROBE = re.compile(r"none|ssh(\.[1-9][0-9]{0,4})?", re.ASCII)
MOST_PORT = 65535
NO_SNAPSHOT = "it has no good snapshot"


@dataclass(frozen=True, slots=True)
class Choice:
    """A server, gone or there, and the snapshot that it is restored from; or why it is not."""

    id: int
    name: str
    server: Server | None = None
    snapshot: Snapshot | None = None
    probe: str = "ssh"
    skipped: str = ""  # a person has to correct something
    failed: str = ""  # it cannot be restored


@dataclass(frozen=True, slots=True)
class Chosen:
    choices: tuple[Choice, ...] = ()
    # Of a drill, in their order: who comes in the place of one that fits no server type. It would
    # be the first one in each drill.
    then: tuple[Choice, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ""  # why nothing is chosen


def choose(
    run: RestoreRun, servers: Sequence[Server], snapshots: Sequence[Snapshot], now: datetime
) -> Chosen:
    """Those that the event names, or for a drill those whose turn it is.

    `servers` and `snapshots` (ours) are complete listings.
    """
    there = {server.id: server for server in servers}
    newest = newest_good(snapshots, now + AHEAD)
    if run.snapshot is not None:
        return _of_snapshot(run, there, snapshots)
    if run.servers:
        found, unknown = named(Selection(run.servers), servers)
        ids = [*sorted(found)]
        gone = {name: _gone(name, snapshots, there) for name in unknown}
        missing = [name for name, server_id in gone.items() if server_id is None]
        ids += [server_id for server_id in gone.values() if server_id is not None]
        if missing:
            return Chosen(refused=_not_there(missing))
        return Chosen(
            tuple(
                _named_choice(run, there.get(id_), id_, newest.get(id_), snapshots)
                for id_ in dict.fromkeys(ids)
            )
        )
    choices, notes = _drillable(servers, newest)
    return _in_turn(run, choices, notes, looked_at(snapshots, now))


def problem_of(server: Server) -> str:
    """What is wrong with the labels for drills; empty if nothing is."""
    if server.is_called_copy:
        return (
            f"its label {LABEL_THROW_AWAY} is only for copies that restores make, and it is none; "
            "remove that label"
        )
    drill, probe = server.labels.get(LABEL_DRILL), server.labels.get(LABEL_PROBE)
    if drill not in (None, "true", "false"):
        return f"its label {LABEL_DRILL} is {drill!r}; write true or false"
    if probe is not None and not _is_probe(probe):
        return f"its label {LABEL_PROBE} is {probe!r}; write ssh, ssh.PORT (as ssh.2222) or none"
    return ""


def _is_probe(text: str) -> bool:
    return bool(PROBE.fullmatch(text)) and int(text.partition(".")[2] or 22) <= MOST_PORT


def _probe(server: Server | None) -> str:
    """As the label says; ssh if it is wrong, which keeps nothing from being restored."""
    said = server.labels.get(LABEL_PROBE, "ssh") if server else "ssh"
    return said if _is_probe(said) else "ssh"


def _of_snapshot(
    run: RestoreRun,
    there: dict[int, Server],
    snapshots: Iterable[Snapshot],
) -> Chosen:
    snapshot = next((each for each in snapshots if each.id == run.snapshot), None)
    if snapshot is None:
        return Chosen(
            refused=f"{run.snapshot} is no snapshot of ours in this project. Correct the field "
            "snapshot; the Hetzner console shows the ids."
        )
    id_ = snapshot.server_id
    if id_ is None or snapshot.is_of_another:
        return Chosen(refused=f"snapshot {snapshot.id} does not tell whose it is: not restored.")
    server = there.get(id_)
    name = server.name if server else snapshot.labels.get(LABEL_SERVER_NAME, f"server {id_}")
    if run.servers:
        [said] = run.servers
        if str(said) not in (name, str(id_)):
            return Chosen(refused=f"snapshot {snapshot.id} is of {name} ({id_}), not of {said}.")
    choice = Choice(id_, name, server, snapshot, _probe(server))
    if not snapshot.is_available:
        why = f"snapshot {snapshot.id} is {snapshot.status}; name one that is available"
        return Chosen((replace(choice, failed=why),))
    return Chosen((_heeding(run, choice),))


def _named_choice(
    run: RestoreRun,
    server: Server | None,
    id_: int,
    snapshot: Snapshot | None,
    snapshots: Iterable[Snapshot],
) -> Choice:
    of_it = (s.labels.get(LABEL_SERVER_NAME, "") for s in snapshots if s.server_id == id_)
    name = server.name if server else next(of_it, "") or f"server {id_}"
    choice = Choice(id_, name, server, snapshot, _probe(server))
    if server and server.is_copy:
        return replace(choice, failed="it is a copy that a drill has made; name its original")
    if snapshot is None:
        return replace(choice, failed=NO_SNAPSHOT)
    return _heeding(run, choice)


def _heeding(run: RestoreRun, choice: Choice) -> Choice:
    """The labels are for drills; what a person asks to keep does not depend on them."""
    if run.keep or choice.server is None:
        return choice
    if problem := problem_of(choice.server):
        return replace(choice, skipped=problem)
    if choice.server.labels.get(LABEL_DRILL) == "false":
        return replace(choice, skipped=f"its label {LABEL_DRILL} is false; remove it for a drill")
    return choice


def _drillable(
    servers: Iterable[Server],
    newest: Mapping[int, Snapshot],
) -> tuple[list[Choice], list[str]]:
    """The servers that drills are for, those with a bad label too; and why not the others."""
    choices, notes = [], []
    for server in servers:
        if server.is_copy:
            continue
        snapshot = newest.get(server.id)
        choice = Choice(server.id, server.name, server, snapshot, _probe(server))
        if problem := problem_of(server):
            choices.append(replace(choice, skipped=problem))
        elif server.labels.get(LABEL_DRILL) == "false":
            notes.append(f"{server.name}: left out, its label {LABEL_DRILL} is false")
        elif snapshot is None:
            notes.append(f"{server.name}: {NO_SNAPSHOT}")
        else:
            choices.append(choice)
    return choices, notes


def _in_turn(
    run: RestoreRun,
    choices: Sequence[Choice],
    notes: Sequence[str],
    looks: Mapping[int, datetime],
) -> Chosen:
    """Those whose last drill, or proof, is oldest."""

    def turn(choice: Choice) -> tuple[bool, float, int]:
        """Who was never looked at comes first, in an order of each drill's own: one that never
        comes back must not keep the others from their turn."""
        looked = looks.get(choice.id)
        chance = crc32(f"{run.id} {choice.id}".encode())
        return looked is not None, looked.timestamp() if looked else 0, chance

    wrong = [choice for choice in choices if choice.skipped]
    in_turn = sorted((choice for choice in choices if not choice.skipped), key=turn)
    first, later = in_turn[: run.drill_servers], in_turn[run.drill_servers :]
    room = MOST_RESTORES - len(first)
    more = [f"{each.name}: {each.skipped}" for each in wrong[room:]]
    return Chosen((*first, *wrong), tuple(later), (*more, *notes))


def _gone(name: str, snapshots: Iterable[Snapshot], there: dict[int, Server]) -> int | None:
    """The id of a server that is gone, of which we have snapshots: the one with the newest."""
    of_it = [
        (snapshot.created, snapshot.server_id)
        for snapshot in snapshots
        if snapshot.server_id is not None
        and snapshot.server_id not in there
        and (
            snapshot.labels.get(LABEL_SERVER_NAME) == label_value(name)
            or (ID.fullmatch(name) and snapshot.server_id == int(name))
        )
    ]
    return max(of_it)[1] if of_it else None


def _not_there(names: Sequence[str]) -> str:
    return (
        f"the project has neither a server nor a snapshot of {', '.join(names)}. Correct the "
        "field servers."
    )
