"""That something is over is told only when it was seen to be over."""

from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from handler.aws import runtime, tokens
from handler.decisions.due import AHEAD
from handler.decisions.freshness import last_good
from handler.decisions.overdue import Look
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_RUN_ID, LABEL_SERVER_ID
from handler.documents.memory import Memory
from handler.report import watch
from handler.triggers import watch_servers
from local.simulator import Fault, Project
from local.simulator.faults import status
from local.virtual.stage import START
from tests.aws import Aws
from tests.eventful import Inbox
from tests.snapshots import ours
from tests.test_overdue import HOUR, KNOWN, NOW, good, look_again, overdue, seen, server
from tests.test_watch import ALL_CLEAR, BOTH, Days, theirs
from tests.test_watch_servers import remembered as remembered_text

OTHERS = [server(2)], [good(1, 2, 22)]
FAILED = Look("shop", None, "HTTP 502")


@pytest.fixture
def days() -> Days:
    return Days()


def test_an_outage_is_no_all_clear_for_a_token_of_another_project(days: Days) -> None:
    days.night(0)
    token, other = days.cloud.tokens[days.stage.parameter], theirs(days)
    fault = Fault(status(503, "unavailable"), times=None)
    days.at(5, lambda: days.store(other))
    days.at(7, lambda: days.stage.world.faults.add(fault))
    days.at(9, days.stage.world.faults.clear)
    days.at(12, lambda: days.store(token))
    days.play(15)
    days.tells((5, "overdue: default"), (12, ALL_CLEAR))


def test_ssm_that_does_not_list_the_tokens_is_no_all_clear_for_one_that_is_gone(
    days: Days,
) -> None:
    days.night(0)
    days.at(5, lambda: days.cloud.tokens.pop(days.stage.parameter))
    days.at(5, tokens.parameters.cache_clear)
    days.play(6)
    memory = Memory.parse(days.cloud.memory)
    # Without the names nobody knows that it has no token: its look fails.
    unknown = Look("default", None, "the token cannot be read (ParameterNotFound)")
    view = look_again(memory, unknown)
    assert (view.told, [each.told_as for each in view.overdue]) == ("", ["t"])
    assert view.memory.projects["default"].told_of_project == {"t"}


def test_a_run_by_hand_is_no_all_clear_before_it_has_made_a_snapshot(days: Days) -> None:
    days.night(0)
    days.at(26.8, lambda: [days.project.lock(s, seconds=20 * 3600) for s in (days.db, days.web)])
    # As the message advises; the servers are locked, and it fails an hour later.
    days.at(27, lambda: days.cloud.deliver({}, "aaaaaaaa-0000-4000-8000-000000000000"))
    days.play(40)
    days.tells((26, BOTH))


@pytest.mark.parametrize("letter", ["t", "e", "a", "d", "u"])
def test_what_was_told_of_a_project_stands_while_it_cannot_be_seen(letter: str) -> None:
    told = Memory({"shop": replace(KNOWN, told_of_project=frozenset(letter))})
    view = look_again(told, FAILED)
    assert (view.told, [each.told_as for each in view.overdue]) == ("", [letter])
    assert view.overdue[0].reason == (
        "what was told of it still stands, because it cannot be seen now: HTTP 502"
    )
    assert look_again(view.memory, seen(snapshots=[good(1)])).told == "all clear"


def test_a_token_stored_twice_is_so_until_both_were_seen() -> None:
    both = seen(snapshots=[good(1)]), seen(snapshots=[good(1)], project="copy")
    first = look_again(Memory(), *both)
    assert (first.told, len(first.overdue)) == ("overdue", 2)
    second = look_again(first.memory, both[0], replace(FAILED, project="copy"))
    assert (second.told, len(second.overdue)) == ("", 2)
    assert look_again(second.memory, *both).told == ""
    apart = seen(*OTHERS, project="copy")
    third = look_again(second.memory, both[0], apart)
    assert {each.project for each in third.overdue} == {"copy"}
    # The copy was forgotten, or its token deleted.
    assert (
        look_again(first.memory, both[0], Look("copy", has_token=False)).overdue[0].told_as == "t"
    )


def test_no_limit_any_more_is_no_all_clear(aws: Aws, project: Project, inbox: Inbox) -> None:
    ours(project, project.add_server("sg5"), 3)
    assert aws.invoke("WatchServers", {})["told"] == "overdue"
    aws.stack.parameters["FreshnessHours"] = "0"
    runtime.watch_settings.cache_clear()
    answer = aws.invoke("WatchServers", {})
    assert (answer["told"], answer["overdue"], len(inbox.messages())) == ("", 0, 1)


def test_an_all_clear_says_what_was_not_seen() -> None:
    told = look_again(Memory(), seen(snapshots=[good(27)])).memory
    fine = seen(snapshots=[good(1)])
    assert "every server that runs take has a good snapshot" in watch.text(
        look_again(told, fine), "/tokens"
    )
    blind = look_again(told, fine, replace(FAILED, project="blog"))
    assert blind.told == "all clear"
    assert "as far as it could be seen. Not seen this time: blog (HTTP 502)." in watch.text(
        blind, "/tokens"
    )


def test_a_snapshot_from_the_future_makes_no_server_fresh_for_ever(days: Days) -> None:
    labels = {
        LABEL_MANAGED_BY: "hetzner-snapshots",
        LABEL_RUN_ID: "old",
        LABEL_SERVER_ID: str(days.db.id),
    }
    days.project.add_snapshot(days.db, created=START + timedelta(days=900), labels=labels)
    days.night(0)
    days.play(24 * 3)
    days.tells((26, BOTH))


def test_a_server_created_in_the_future_counts_from_its_first_look() -> None:
    ahead = server(1, created=NOW + 900 * timedelta(days=1))
    known = replace(KNOWN, first_seen=NOW - 27 * HOUR)
    assert len(overdue(seen([ahead]), known)) == 1
    near = server(1, created=NOW + AHEAD / 2)
    assert overdue(seen([near]), known) == []


def test_a_runs_table_takes_no_age_from_the_future() -> None:
    survey = seen(snapshots=[good(-48), good(30, id=12)]).survey
    assert survey is not None
    [found] = last_good(survey, "include")
    assert found.since == NOW - 30 * HOUR


def test_a_name_or_reason_with_lines_of_its_own_writes_none_of_the_message() -> None:
    evil = "db\n\nAll clear\x1b[2J"
    late = seen([replace(server(), name=evil)], [good(27)])
    blind = Look("blog", None, evil)
    known = {"blog": replace(KNOWN, last_seen=NOW - 30 * HOUR)}
    view = look_again(Memory(known), late, blind)
    clear = look_again(look_again(Memory(), late).memory, seen(snapshots=[good(1)]), blind)
    rows = [line for _, line in watch.rows_of(view)]
    for text in (watch.text(view, "/tokens"), watch.text(clear, "/tokens"), *rows):
        assert "\\n\\nAll clear\\x1b[2J" in text
        assert "\nAll clear" not in text and "\x1b" not in text


def test_what_nobody_could_hear_is_told_again_until_somebody_can(
    aws: Aws, project: Project
) -> None:
    sg5 = project.add_server("sg5")
    ours(project, sg5, 3)
    # Tell's is the only subscription, and no address is stored.
    assert aws.invoke("WatchServers", {})["told"] == "overdue"
    assert "Messages reach nobody" in str(aws.logs)
    inbox = Inbox()
    assert aws.invoke("WatchServers", {})["told"] == "overdue"
    assert aws.invoke("WatchServers", {})["told"] == ""
    [message] = inbox.messages()
    assert message["Subject"] == "hetzner-snapshots: overdue: default/sg5"
    ours(project, sg5, 0)
    assert aws.invoke("WatchServers", {})["told"] == "all clear"


def test_what_nobody_heard_has_no_end_to_be_told(aws: Aws, project: Project) -> None:
    sg5 = project.add_server("sg5")
    ours(project, sg5, 3)
    aws.invoke("WatchServers", {})
    ours(project, sg5, 0)
    assert aws.invoke("WatchServers", {})["told"] == ""
    # The look itself is remembered.
    remembered = Memory.parse(remembered_text()).projects["default"]
    assert (remembered.servers, remembered.server) == (1, sg5.id)


def test_whether_somebody_hears_is_taken_for_yes_while_sns_does_not_say(
    aws: Aws, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours(project, project.add_server("sg5"), 3)
    refused = ClientError({"Error": {"Code": "AuthorizationError"}}, "GetTopicAttributes")

    def why_unreached(*_: str) -> str:
        raise refused

    monkeypatch.setattr(watch_servers, "why_unreached", why_unreached)
    assert aws.invoke("WatchServers", {})["told"] == "overdue"
    assert aws.invoke("WatchServers", {})["told"] == ""
