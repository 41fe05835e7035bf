"""What is deleted, and above all what is not: whole runs, and what Hetzner holds afterwards."""

import json
from datetime import timedelta
from typing import Any

import pytest

from handler.documents.labels import LABEL_MANAGED_BY, LABEL_RUN_ID, LABEL_SERVER_ID
from local.simulator import Fault, Project, World
from local.simulator.faults import drop, edited, hook, html, malformed, status, truncated
from tests.aws import Aws, LambdaDied
from tests.snapshots import available, ours, writes

IMAGES = "/images"


def test_pruning_touches_only_our_unprotected_available_snapshots_of_that_server(
    aws: Aws, world: World, project: Project
) -> None:
    server, other = project.add_server("sg5"), project.add_server("other")
    manual = project.add_snapshot(server, created=world.clock.now() - timedelta(days=900))
    foreign = ours(project, server, 800)
    foreign.labels[LABEL_MANAGED_BY] = "another-stack"
    protected = ours(project, server, 700, protected=True)
    failed = ours(project, server, 600, status="unavailable")
    others = ours(project, other, 500)
    unkept = ours(project, server, 400)
    aws.run({"servers": ["sg5"], "retention": "last1"})
    left = project.images.keys()
    assert {i.id for i in (manual, foreign, protected, failed, others)} <= left
    assert unkept.id not in left


def test_nothing_is_deleted_when_the_listing_breaks_off(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = {ours(project, server, days).id for days in range(1, 61)}
    # The first listing is CreateSnapshot's; pruning never gets its second page.
    world.faults.add(
        Fault(
            status(500, "server_error"),
            method="GET",
            path="/images",
            nth=4,
            times=None,
        )
    )
    night = aws.run({})
    assert night.verdict() == "PartiallyFailed"
    assert old <= project.images.keys()
    assert night.results["sg5"]["status"] == "available"
    assert night.results["sg5"]["reason"].startswith("made, not pruned: ")


def test_one_run_deletes_only_so_many_and_says_that_more_are_to_go(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5")
    for days in range(1, 12):
        ours(project, server, days)
    night = aws.run({})
    assert night.results["sg5"]["deleted"] == 5
    assert available(project) == {"sg5": 7}
    assert night.results["sg5"]["reason"] == "4 more to delete next time (at most 5 in one run)"
    again = aws.run({"max_deletions": 9})
    assert again.results["sg5"]["deleted"] == 5
    # Two of today's and the nights before them.
    assert available(project) == {"sg5": 3}


def test_a_run_that_only_prunes_makes_nothing(aws: Aws, world: World, project: Project) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days) for days in (4, 3, 2, 1)]
    night = aws.run({"prune_only": True, "retention": "last2"})
    assert night.verdict() == "Completed"
    assert project.images.keys() == {image.id for image in old[2:]}
    assert night.results["sg5"]["status"] == "pruned"
    assert night.results["sg5"]["deleted"] == 2


def test_planning_a_run_that_only_prunes_writes_nothing(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    for days in (4, 3, 2, 1):
        ours(project, server, days)
    night = aws.run({"prune_only": True, "dry_run": True})
    assert night.results["sg5"]["deleted"] == 1
    assert writes(world) == []


def test_a_bad_label_costs_that_server_its_pruning_and_nothing_else(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5", labels={"hetzner-snapshots/retention": "lots"})
    own = project.add_server("own", labels={"hetzner-snapshots/retention": "last1"})
    old = [ours(project, server, days).id for days in range(1, 6)]
    ours(project, own, 1)
    night = aws.run({})
    assert night.verdict() == "PartiallyFailed"
    assert available(project, night.run_id) == {"sg5": 1, "own": 1}
    assert available(project)["own"] == 1
    assert set(old) <= project.images.keys()
    assert "its label hetzner-snapshots/retention: 'lots'" in night.results["sg5"]["reason"]


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("effect", [drop(), html(502), malformed(), truncated()])
def test_no_page_of_the_listing_may_fail(
    aws: Aws, world: World, project: Project, page: int, effect: Any
) -> None:
    server = project.add_server("sg5")
    old = {ours(project, server, days).id for days in range(1, 61)}
    world.faults.add(
        Fault(effect, method="GET", path=IMAGES, nth=2 + page, times=None, when="after")
    )
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "PartiallyFailed"
    assert old <= project.images.keys()
    assert night.results["sg5"]["reason"].startswith("made, not pruned: ")
    assert "tried for 60 min" in night.results["sg5"]["reason"]


def test_a_listing_that_does_not_add_up_deletes_nothing(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = {ours(project, server, days).id for days in range(1, 61)}

    def one_less(call: Any) -> Any:
        answer = call.response.get_json()
        answer["meta"]["pagination"]["total_entries"] += 1
        call.response.data = json.dumps(answer)
        return call.response

    world.faults.add(Fault(one_less, method="GET", path=IMAGES, nth=3, times=None, when="after"))
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "PartiallyFailed"
    assert "does not add up" in night.results["sg5"]["reason"]
    assert old <= project.images.keys()


def test_nothing_is_deleted_when_this_runs_snapshot_is_not_in_the_listing(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = {ours(project, server, days).id for days in range(1, 6)}

    def unlabel(*_: Any) -> None:
        for image in project.images.values():
            if image.id not in old:
                image.labels.clear()

    world.faults.add(Fault(hook(unlabel), method="GET", path=IMAGES, nth=2, times=None))
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "PartiallyFailed"
    assert old <= project.images.keys()
    assert "were its labels taken off?" in night.results["sg5"]["reason"]


@pytest.mark.parametrize("now", ["unavailable", "gone"])
def test_nothing_is_deleted_when_this_runs_snapshot_is_lost_after_its_action(
    aws: Aws, world: World, project: Project, now: str
) -> None:
    server = project.add_server("sg5")
    old = {ours(project, server, days).id for days in range(1, 6)}

    def lose(*_: Any) -> None:
        for image in list(project.images.values()):
            if image.id not in old and now == "gone":
                del project.images[image.id]
            elif image.id not in old:
                image.status = "unavailable"

    world.faults.add(Fault(hook(lose), method="GET", path=IMAGES, nth=2, times=None))
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Failed"
    assert night.results["sg5"]["status"] == "failed"
    assert old <= project.images.keys()


def test_nothing_is_deleted_while_this_runs_snapshot_is_still_creating(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = {ours(project, server, days).id for days in range(1, 6)}

    def unfinish(*_: Any) -> None:
        for image in project.images.values():
            if image.id not in old:
                image.status = "creating"

    world.faults.add(Fault(hook(unfinish), method="GET", path=IMAGES, nth=2, times=None))
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Failed"
    assert night.results["sg5"]["status"] == "failed"
    assert "is creating, though its action succeeded" in night.results["sg5"]["reason"]
    assert old <= project.images.keys()


@pytest.mark.parametrize("state", ["creating", "unavailable"])
def test_what_is_not_available_neither_counts_nor_goes_and_is_reported(
    aws: Aws, project: Project, state: Any
) -> None:
    server = project.add_server("sg5")
    unready = [ours(project, server, days, status=state).id for days in (1, 2, 3)]
    good = [ours(project, server, days).id for days in (4, 5)]
    night = aws.run({"retention": "last3"})
    assert {*unready, *good} <= project.images.keys()
    assert f"keep snapshot {unready[0]}" in aws.messages()
    assert f"not available but {state}" in aws.messages()
    if state == "unavailable":
        assert "unavailable, of no use: snapshot" in night.results["sg5"]["reason"]


def test_protected_ones_stay_and_are_reported(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    protected = [ours(project, server, days, protected=True).id for days in (8, 9)]
    plain = ours(project, server, 7).id
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Completed"
    assert set(protected) <= project.images.keys()
    assert plain not in project.images
    assert night.results["sg5"]["reason"] == "2 kept only by delete protection"


def test_one_protected_between_listing_and_delete_stays(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = ours(project, server, 7)

    def protect(*_: Any) -> None:
        old.protected = True

    world.faults.add(Fault(hook(protect), method="DELETE"))
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Completed"
    assert old.id in project.images
    assert (night.results["sg5"]["deleted"], night.results["sg5"]["kept"]) == (0, 2)


def test_a_snapshot_whose_label_was_taken_off_is_never_touched(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    kept = []
    for label in (LABEL_MANAGED_BY, LABEL_SERVER_ID):
        image = ours(project, server, 100)
        del image.labels[label]
        kept.append(image.id)
    aws.run({"retention": "last1"})
    assert set(kept) <= project.images.keys()


def test_a_snapshot_from_the_future_stays_and_pushes_nothing_out(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5")
    future = [ours(project, server, -days).id for days in (1, 2, 3)]
    past = [ours(project, server, days).id for days in (1, 2)]
    aws.run({"retention": "last3"})
    assert {*future, *past} <= project.images.keys()
    assert "created in the future" in aws.messages()


def test_one_of_another_server_with_our_labels_stays_and_pushes_nothing_out(
    aws: Aws, project: Project
) -> None:
    server, golden = project.add_server("sg5"), project.add_server("golden")
    past = [ours(project, server, days).id for days in (1, 2)]
    copied = [ours(project, server, days) for days in (0, 30)]
    for image in copied:
        image.created_from = {"id": golden.id, "name": golden.name}
    night = aws.run({"retention": "last3", "servers": ["sg5"]})
    assert {*past, *(image.id for image in copied)} <= project.images.keys()
    assert f"made of server {golden.id}, whatever its labels say" in aws.messages()
    assert night.results["sg5"]["kept"] == 5


def test_one_of_another_server_with_this_runs_labels_is_not_taken_over(
    aws: Aws, project: Project
) -> None:
    copied = ours(project, project.add_server("sg5"), 0)
    copied.created_from = {"id": 7, "name": "golden"}
    copied.labels[LABEL_RUN_ID] = "20261121T020000Z"
    night = aws.run({"scheduled_time": "2026-11-21T02:00:00Z"})
    assert not night.results["sg5"]["adopted"]
    assert night.results["sg5"]["image_id"] != copied.id


def test_one_that_is_deleted_and_still_listed_pushes_nothing_out(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    images = [ours(project, server, days).id for days in (1, 2, 3, 4)]
    going = set(images[:2])

    def deleted(body: Any) -> None:
        for image in body["images"]:
            image["deleted"] = "2026-11-21T01:00:00Z" if image["id"] in going else None

    world.faults.add(Fault(edited(deleted), "GET", "/images", times=None, when="after"))
    night = aws.run({"retention": "last3"})
    assert images[2] in project.images and images[3] in project.images
    assert night.results["sg5"]["kept"] == 3


def test_a_delete_of_what_is_gone_already_is_a_success(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = ours(project, server, 7)
    world.faults.add(Fault(hook(lambda *_: project.images.pop(old.id)), method="DELETE"))
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Completed"
    assert f"snapshot {old.id} was gone already" in aws.messages()


def test_a_delete_that_fails_leaves_the_others_going_and_is_partial(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days).id for days in (7, 8, 9)]
    refused = f"/images/{old[1]}"
    world.faults.add(
        Fault(status(422, "service_refused"), method="DELETE", path=refused, times=None)
    )
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "PartiallyFailed"
    assert set(old) & project.images.keys() == {old[1]}
    assert night.results["sg5"]["status"] == "available"
    assert f"snapshot {old[1]} not deleted" in night.results["sg5"]["reason"]


def test_three_runs_in_one_day_do_not_replace_three_nights(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    nights = [ours(project, server, days).id for days in (1, 2)]
    for _ in range(3):
        aws.run({})
    assert set(nights) <= project.images.keys()


def test_only_pruning_is_as_careful_as_a_whole_run(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = {ours(project, server, days).id for days in range(1, 61)}
    world.faults.add(Fault(html(502), method="GET", path=IMAGES, nth=2, times=None))
    night = aws.run({"prune_only": True, "retention": "last1"})
    assert night.verdict() == "Failed"
    assert "not pruned" in night.results["sg5"]["reason"]
    assert old <= project.images.keys()


def test_only_pruning_is_the_way_out_of_a_full_quota(aws: Aws, project: Project) -> None:
    server = project.add_server("sg5")
    for days in range(1, 6):
        ours(project, server, days)
    project.image_limit = len(project.images)
    assert aws.run({"retention": "last2"}).verdict() == "Failed"
    assert len(project.images) == 5
    assert aws.run({"prune_only": True, "retention": "last2"}).verdict() == "Completed"
    assert len(project.images) == 2
    assert aws.run({"retention": "last2"}).verdict() == "Completed"


def test_snapshots_of_servers_that_are_gone_are_counted_and_never_deleted(
    aws: Aws, project: Project
) -> None:
    gone, _ = project.add_server("gone"), project.add_server("sg5")
    orphans = [ours(project, gone, days, size_gb=50.0).id for days in (400, 300)]
    project.delete_server(gone)
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Completed"
    assert set(orphans) <= project.images.keys()
    assert (
        "2 of them of servers that no longer exist (100 GB, 1.10 EUR/month net, oldest 2025-10-17)"
        in night.summary()
    )
    [summary] = [line["summary"] for line in aws.logs if "summary" in line]
    assert summary["inventory"]["orphans"]["count"] == 2
    assert summary["inventory"]["all"]["count"] == 3


def test_a_count_that_fails_is_said_and_changes_no_verdict(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    world.faults.add(Fault(html(502), path="/pricing", times=None))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert "The snapshots could not be counted" in aws.messages()


def test_a_plan_says_for_each_snapshot_what_and_why(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5", labels={"hetzner-snapshots/retention": "daily2-weekly2"})
    images = [ours(project, server, days) for days in (1, 2, 6, 9)]
    aws.run({"dry_run": True})
    said = aws.messages()
    assert "would keep the new snapshot of 2026-11-21 02:00Z: daily 1 of 2 (2026-11-21)" in said
    assert f"would keep snapshot {images[0].id} of 2026-11-20 02:00Z: daily 2 of 2" in said
    assert f"would delete snapshot {images[1].id} of 2026-11-19 02:00Z: no rule keeps it" in said
    assert f"would keep snapshot {images[2].id} of 2026-11-15 02:00Z: weekly 2 of 2" in said
    assert writes(world) == []


def test_a_listing_wider_than_asked_for_deletes_nothing(
    aws: Aws, world: World, project: Project
) -> None:
    server, other = project.add_server("sg5"), project.add_server("other")
    others = {ours(project, other, days).id for days in range(1, 6)}

    def unfiltered(call: Any) -> Any:
        answer = call.response.get_json()
        answer["images"] = [i.to_json() for i in project.images.values()]
        answer["meta"]["pagination"]["total_entries"] = len(answer["images"])
        call.response.data = json.dumps(answer)
        return call.response

    project.snapshot_seconds[server.id] = 60
    world.faults.add(Fault(unfiltered, method="GET", path=IMAGES, nth=2, times=None, when="after"))
    night = aws.run({"servers": ["sg5"], "retention": "last1"})
    assert others <= project.images.keys()
    assert "holds others than those asked for" in night.results["sg5"]["reason"]


def test_lost_answers_make_no_room_for_more_deletions(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days).id for days in range(1, 21)]
    world.faults.add(Fault(html(502), method="DELETE", times=None, when="after"))
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Completed"
    assert set(old) - project.images.keys() == set(old[-5:])
    assert (night.results["sg5"]["deleted"], night.results["sg5"]["at_least"]) == (0, True)
    assert "15 more to delete next time" in night.results["sg5"]["reason"]


def test_a_run_resumed_late_never_prunes_its_own_snapshot(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    first = aws.run({})
    world.clock.advance(3600)
    aws.run({})
    again = aws.run({"run_id": first.run_id, "retention": "last1", "max_deletions": 9})
    assert again.results["sg5"]["image_id"] == first.results["sg5"]["image_id"]
    assert again.results["sg5"]["image_id"] in project.images


def test_a_delete_that_meets_a_lock_is_tried_again(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    old = ours(project, server, 7).id
    world.faults.add(Fault(status(423, "locked"), method="DELETE", times=2))
    assert aws.run({"retention": "last1"}).verdict() == "Completed"
    assert old not in project.images


def test_a_run_never_prunes_what_another_one_makes_meanwhile(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    project.snapshot_seconds[server.id] = 300
    meanwhile: list[int] = []

    def another_run(*_: Any) -> None:
        if not meanwhile:
            made = ours(project, server, 0)
            made.created = world.clock.now() - timedelta(seconds=1)
            meanwhile.append(made.id)

    world.faults.add(Fault(hook(another_run), method="GET", path=r"/actions/\d+"))
    # Ours is taken for the newer one, so that last1 would delete the other.
    world.faults.add(
        Fault(hook(lambda *_: _make_newest(project, meanwhile)), method="GET", path=IMAGES, nth=2)
    )
    night = aws.run({"retention": "last1"})
    assert night.verdict() == "Completed"
    assert meanwhile[0] in project.images
    assert "of another run that may be going on" in aws.messages()


def _make_newest(project: Project, others: list[int]) -> None:
    for image in project.images.values():
        if image.id not in others:
            image.created = project.world.clock.now()


def test_a_twin_of_this_runs_snapshot_is_reported_and_never_deleted(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    first = aws.run({})
    twin = ours(project, server, 0)
    twin.labels[LABEL_RUN_ID] = first.run_id
    night = aws.run({"run_id": first.run_id, "retention": "last1", "max_deletions": 9})
    assert len(project.images) == 2
    assert f"also of this run: snapshot {twin.id}" in night.results["sg5"]["reason"]


def test_a_function_that_dies_after_its_deletes_makes_no_room_for_more(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5")
    old = [ours(project, server, days).id for days in range(1, 21)]
    died: list[str] = []

    def die(function: str, _: Any, output: Any) -> None:
        if function == "PruneSnapshots" and output["status"] == "available" and len(died) < 2:
            died.append(function)
            raise LambdaDied

    aws.after = die
    night = aws.run({"retention": "last1"})
    assert len(died) == 2
    assert night.verdict() == "Completed"
    assert set(old) - project.images.keys() == set(old[-5:])
    # Somebody else may have deleted them.
    assert night.results["sg5"]["deleted"] == 0
    assert "at least 0 deleted" in night.summary()


def test_what_a_run_that_is_going_on_has_made_is_not_pruned_by_a_later_one(
    aws: Aws, world: World, project: Project
) -> None:
    first, slow = project.add_server("sg5"), project.add_server("slow")
    project.snapshot_seconds |= {first.id: 30, slow.id: 3600}
    earlier = aws.invoke("StartRun", {"run_id": "earlier", "new": True})
    aws.time.pass_until(lambda: "sg5: available" in aws.messages())
    later = aws.run({"servers": ["sg5"], "retention": "last1"})
    kept = available(project, "earlier")["sg5"]
    assert later.verdict() == "Completed"
    assert json.loads(later.executions["default"]["input"])["run"]["concurrent_runs"] == ["earlier"]
    assert kept == 1
    aws.finish(earlier)
