"""A project that vanishes or turns into another is not Completed; no 404 is simply believed."""

from dataclasses import replace

import boto3

from handler.decisions.selecting import MOST_WITNESSES, why_vanished
from handler.documents.labels import LABEL_ENABLED
from handler.documents.run import RunDocument, Selection
from local.simulator import Fault, Project, World
from local.simulator.faults import hook, status
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.documents import RUN
from tests.snapshots import available, ours
from tests.test_freshness import server

DOCUMENT = RunDocument(run=RUN, selection=Selection(), status="new")


def test_a_project_whose_servers_are_all_gone_is_not_completed(aws: Aws, project: Project) -> None:
    gone = project.add_server("sg5")
    old = ours(project, gone, 1)
    project.delete_server(gone)
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert "the project has no servers, but 1 snapshots of servers that it had" in night.summary()
    assert old.id in project.images


def test_what_was_listed_before_is_found_again_or_the_project_is_another() -> None:
    second = replace(DOCUMENT, after_id=2, remaining=1)
    assert why_vanished(second, [server(2), server(3)], 0) == ""
    assert "another project's now?" in why_vanished(second, [server(3)], 0)
    assert "another project's now?" in why_vanished(second, [], 0)
    assert why_vanished(DOCUMENT, [server(3)], 0) == ""
    assert why_vanished(DOCUMENT, [], 0) == ""
    assert "has no servers, but 7 snapshots" in why_vanished(DOCUMENT, [], 7)


def to_another_project(world: World, project: Project, *names: str) -> Project:
    """As soon as the servers are listed the token is another project's."""
    another = world.project("another")
    for name in names:
        another.add_server(name)

    def turn(*_: object) -> None:
        world.revoke_token(TOKEN)
        another.add_token(TOKEN)

    world.faults.add(Fault(hook(turn), "GET", "/servers", when="after"))
    return another


def test_a_token_that_has_become_another_projects_deleted_no_server(
    aws: Aws, world: World, project: Project
) -> None:
    project.add_server("sg5")
    project.add_server("web-1")
    another = to_another_project(world, project, "theirs")
    night = aws.run({})
    assert night.verdict() == "Failed"
    for result in night.results.values():
        assert result["status"] == "failed"
        assert "sees neither the server nor another one of this run" in result["reason"]
        assert "Check or replace that token" in result["reason"]
    assert not another.images and not project.images


def test_a_404_of_a_server_that_is_listed_is_waited_for(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    path = f"/servers/{server.id}/actions"
    world.faults.add(Fault(status(404, "not_found"), "GET", path, times=2))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}
    assert "does not find the server, and lists it" in aws.messages()


def test_a_server_with_snapshots_or_company_may_be_deleted_in_the_middle(
    aws: Aws, world: World, project: Project
) -> None:
    doomed = project.add_server("doomed")
    ours(project, doomed, 1)
    deletion = hook(lambda *_: project.delete_server(doomed))
    world.faults.add(Fault(deletion, path=f"/servers/{doomed.id}/actions"))
    night = aws.run({})
    assert night.results["doomed"]["status"] == "skipped"
    assert "the server was deleted during the run" in night.results["doomed"]["reason"]


def test_a_create_that_finds_no_server_is_not_simply_believed_either(
    aws: Aws, world: World, project: Project
) -> None:
    server = project.add_server("sg5")
    create = f"/servers/{server.id}/actions/create_image"
    world.faults.add(Fault(status(404, "not_found"), "POST", create))
    night = aws.run({})
    assert night.verdict() == "Completed"
    assert available(project) == {"sg5": 1}


def test_a_run_keeps_few_witnesses(aws: Aws, project: Project) -> None:
    ids = [project.add_server(f"sg{number}").id for number in range(MOST_WITNESSES + 2)]
    aws.run({})
    [listed] = [i.output for i in aws.invocations if i.function == "ListServers"]
    assert listed["run"]["witnesses"] == ids[:MOST_WITNESSES]


def looked_at(aws: Aws) -> None:
    """The watch has looked: from here on it is known what the project was."""
    aws.invoke("WatchServers", {})


def test_a_project_that_had_servers_at_the_last_look_and_has_none_is_not_completed(
    aws: Aws, project: Project
) -> None:
    server = project.add_server("sg5")
    looked_at(aws)
    project.delete_server(server)
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert night.summary() == (
        "Failed: the project had 1 server on 2026-11-21 02:00Z, now none: is it the right token? "
        "If it is, `make forget PROJECT=default KEEP_TOKEN=1` or invoke WatchServers with "
        '{"forget": "default"}, then start this run again.'
    )


def test_a_token_of_another_project_makes_no_snapshot_there(
    aws: Aws, world: World, project: Project
) -> None:
    ours(project, project.add_server("sg5"), 1)
    looked_at(aws)
    other = world.project("other")
    ours(other, other.add_server("theirs"), 1)
    world.revoke_token(TOKEN)
    other.add_token(TOKEN)
    night = aws.run({})
    assert night.verdict() == "Failed"
    assert "the project had 1 server on 2026-11-21 02:00Z, and neither server" in night.summary()
    assert available(other) == {"theirs": 1}
    # A person says that it is well.
    aws.invoke("WatchServers", {"forget": "default"})
    again = aws.run({"run_id": night.run_id})
    assert again.verdict() == "Completed"
    assert available(other) == {"theirs": 2}


def test_a_fleet_whose_servers_all_come_and_go_is_not_refused(aws: Aws, project: Project) -> None:
    gone = project.add_server("ci-1")
    old = ours(project, gone, 1)
    looked_at(aws)
    project.delete_server(gone)
    project.add_server("ci-2")
    assert aws.run({}).verdict() == "Completed"
    # Nor if the snapshot of the last look was pruned since, and another one of its server is there.
    ours(project, gone, 2)
    del project._images[old.id]
    assert aws.run({}).verdict() == "Completed"


def test_a_fleet_without_any_snapshot_is_not_refused(aws: Aws, project: Project) -> None:
    gone = project.add_server("ci-1", labels={LABEL_ENABLED: "false"})
    looked_at(aws)
    project.delete_server(gone)
    project.add_server("ci-2")
    assert aws.run({}).verdict() == "Completed"


def test_the_first_run_of_a_new_stack_has_no_memory_and_goes_on(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    assert aws.run({}).verdict() == "Completed"
    [listed] = [i.event for i in aws.invocations if i.function == "ListServers"]
    assert listed["last_look"] is None


def test_a_memory_that_cannot_be_read_holds_up_no_run(aws: Aws, project: Project) -> None:
    project.add_server("sg5")
    ssm = boto3.client("ssm", region_name="eu-central-1")
    ssm.put_parameter(Name="CFN-WatchMemory", Value="{", Type="String", Overwrite=True)
    assert aws.run({}).verdict() == "Completed"
    assert "What the watch saw last is not wholly known: what the watch" in aws.messages()
    ssm.delete_parameter(Name="CFN-WatchMemory")
    assert aws.run({}).verdict() == "Completed"
    assert "What the watch saw last is not known: SSM does not give" in aws.messages()


def test_another_projects_look_that_fails_is_asked_for_again(
    aws: Aws, world: World, project: Project
) -> None:
    """Whether the snapshot of the last look is there is not known while Hetzner does not answer."""
    gone = project.add_server("ci-1")
    ours(project, gone, 1)
    looked_at(aws)
    project.delete_server(gone)
    project.add_server("ci-2")
    fault = world.faults.add(Fault(status(503, "unavailable"), "GET", r"/images/\d+", times=2))
    assert aws.run({}).verdict() == "Completed"
    assert fault.hits == 2
    assert aws.waits
