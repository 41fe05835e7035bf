"""A project that vanishes or turns into another is not Completed; no 404 is simply believed."""

from dataclasses import replace

from handler.decisions.selecting import MOST_WITNESSES, why_vanished
from handler.documents.run import RunDocument, Selection
from local.simulator import Fault, Project, World
from local.simulator.faults import hook, status
from tests.aws import Aws
from tests.conftest import TOKEN
from tests.snapshots import available, ours
from tests.test_freshness import server
from tests.test_hetzner import RUN

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
