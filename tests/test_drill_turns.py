"""Weeks of drills, with nights between that prune what was drilled: every server has its turn."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from handler.decisions.marking import marked, marks, marks_at_end
from handler.decisions.proof import handed_on, label_time, looked_at
from handler.documents.labels import (
    LABEL_PROVEN_AT,
    LABEL_SERVER_DRILLED_AT,
    LABEL_UNPROVEN_AT,
)
from handler.documents.resources import Snapshot
from handler.documents.restore import Restore
from local.simulator import Fault, Project, World, faults
from local.simulator.boot import Boot
from tests.aws import Aws
from tests.restores import Restoring, restoring
from tests.snapshots import ours
from tests.test_planning_restore import DAY, NOW, plan, restores, server, snapshot

WEEK = 7 * DAY
NAMES = {1: "a", 2: "b", 3: "c", 4: "d"}
# How the drills of server 1 end; those of all others are proven.
ENDS: dict[str, Callable[[Restore, datetime], dict[str, str]]] = {
    "it never greets": lambda restore, now: marks(replace(restore, outcome="unproven"), now),
    "its copy cannot be made": lambda restore, now: marks_at_end(
        replace(restore, outcome="failed"), now
    ),
}


def weeks(
    count: int, end: Callable[[Restore, datetime], dict[str, str]], probe: str = "ssh"
) -> str:
    """Who is drilled in each week. All of a server's snapshots but the newest are pruned."""
    servers = [server(id_, name, probe=probe if id_ == 1 else "ssh") for id_, name in NAMES.items()]
    kept: dict[int, Snapshot] = {}
    drilled = ""
    for week in range(count):
        now = NOW + week * WEEK
        for id_ in NAMES:
            before = [kept[id_]] if id_ in kept else []
            new = snapshot(100 * week + id_, id_, labels=handed_on(before, id_, now))
            kept[id_] = replace(new, created=now)
        document = plan(servers, kept.values(), id=f"drill-{week}", now=now)
        [restore] = restores(document)
        id_ = restore.server.id
        drilled += restore.server.name
        made = end(restore, now) if id_ == 1 else marks(replace(restore, outcome="proven"), now)
        kept[id_] = replace(kept[id_], labels=marked(kept[id_].labels, made))
    return drilled


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_one_that_never_comes_back_waits_for_its_turn_although_its_snapshots_go(
    end: Callable[[Restore, datetime], dict[str, str]],
) -> None:
    drilled = weeks(12, end)
    assert {"".join(sorted(drilled[at : at + 4])) for at in (0, 4, 8)} == {"abcd"}, drilled


def test_one_that_is_not_probed_has_its_turn_among_the_others() -> None:
    drilled = weeks(12, lambda r, now: marks(replace(r, outcome="restored"), now), probe="none")
    assert {"".join(sorted(drilled[at : at + 4])) for at in (0, 4, 8)} == {"abcd"}, drilled


def test_one_that_fits_no_server_type_takes_no_turn_from_the_others() -> None:
    snapshots = [snapshot(10, 1, disk_gb=9000), snapshot(20, 2), snapshot(30, 3)]
    servers = [server(id_, NAMES[id_]) for id_ in (1, 2, 3)]
    for number in range(6):
        planned = {
            r.server.name: r.status for r in restores(plan(servers, snapshots, id=str(number)))
        }
        assert list(planned.values()).count("new") == 1, planned
        assert planned.get("a", "unproven") == "unproven"
    everybody = restores(plan(servers, snapshots, drill_servers=3))
    assert sorted(r.status for r in everybody) == ["new", "new", "unproven"]


def test_what_does_not_fit_among_many_bad_labels_is_told_all_the_same() -> None:
    wrong = [server(id_, f"s{id_}", drill="no") for id_ in range(10, 40)]
    document = plan([server(1, "a"), *wrong], [snapshot(10, 1)])
    assert len(restores(document)) == 20 and restores(document)[0].status == "new"
    assert "s29: its label hetzner-snapshots/drill is 'no'; write true or false" in document.notes
    assert document.notes[-1].startswith("s39") or document.notes[-1].startswith("and ")


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        ({LABEL_UNPROVEN_AT: label_time(NOW - DAY)}, True),
        ({LABEL_SERVER_DRILLED_AT: label_time(NOW - DAY)}, True),
        # A server that was looked at in the future would never have its turn.
        ({LABEL_SERVER_DRILLED_AT: "20991231T000000Z"}, False),
        ({LABEL_PROVEN_AT: "20991231T000000Z"}, False),
    ],
)
def test_when_it_was_looked_at_is_not_believed_blindly(labels: dict[str, str], known: bool) -> None:
    assert (1 in looked_at([snapshot(10, 1, labels=labels)], NOW)) is known
    assert looked_at([snapshot(10, 1, labels=labels, made_of=2)], NOW) == {}


def test_a_night_hands_the_last_drill_on(aws: Aws, world: World, project: Project) -> None:
    old = ours(project, project.add_server("sg5"), 1)
    at = label_time(old.created)
    old.labels[LABEL_UNPROVEN_AT] = at
    assert aws.run({"retention": "last1"}).verdict() == "Completed"
    [left] = project.images.values()
    assert left.id != old.id and left.labels[LABEL_SERVER_DRILLED_AT] == at


@pytest.fixture
def drill() -> Iterator[Restoring]:
    with restoring() as drill:
        yield drill


def test_a_drill_that_made_nothing_had_its_turn(drill: Restoring) -> None:
    drill.project.server_limit = 1
    assert drill.end().status == "failed"
    assert LABEL_SERVER_DRILLED_AT in drill.image.labels
    assert LABEL_UNPROVEN_AT not in drill.image.labels
    assert drill.image.labels["people/wrote"] == "this"


def test_what_was_marked_is_not_marked_again(drill: Restoring) -> None:
    drill.project.boot = Boot(says=None)
    assert drill.end().status == "unproven"
    assert LABEL_UNPROVEN_AT in drill.image.labels
    assert LABEL_SERVER_DRILLED_AT not in drill.image.labels
    assert drill.sent("PUT", "/images/") == 1


def test_a_proof_that_could_not_be_written_is_written_at_the_end(drill: Restoring) -> None:
    refused = Fault(faults.status(503, "unavailable"), method="PUT", path=r"/images/\d+", times=6)
    drill.world.faults.add(refused)
    assert drill.end().status == "proven"
    assert LABEL_PROVEN_AT in drill.image.labels


def test_a_drill_ends_although_nothing_can_be_written(drill: Restoring) -> None:
    drill.project.server_limit = 1
    drill.until("removing")
    del drill.project.images[drill.image.id]
    assert drill.end().status == "failed"
