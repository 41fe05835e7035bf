"""From log lines to a table, a verdict and run.json."""

from typing import Any

from local.common.board import Board, parse

RUN = "20261121T020000Z"


def line(project: str = "default", run_id: str = RUN, **fields: Any) -> dict[str, Any]:
    return {"level": "INFO", "run_id": run_id, "project": project, **fields}


def result(server: str, status: str = "available", **fields: Any) -> dict[str, Any]:
    return line(result={"server": server, "id": 1, "status": status, "reason": "", **fields})


def summary(verdict: str, project: str = "default") -> dict[str, Any]:
    return line(project, summary={"verdict": verdict, "line": f"{verdict}: 1 of 1 servers"})


def board(*lines: dict[str, Any], projects: tuple[str, ...] = ("default",)) -> Board:
    board = Board(RUN, list(projects))
    for each in lines:
        board.add(each)
    return board


def test_a_row_shows_the_last_step_of_its_server() -> None:
    rows = board(
        line(server="web", status="selected"),
        line(server="web", status="waiting", reason="locked", waited_s=30, elapsed_s=30),
        line(server="web", status="creating", reason="20 %", elapsed_s=60),
    ).rows
    row = rows["default", "web"]
    assert (row.status, row.reason, row.waited_s, row.elapsed_s) == ("creating", "20 %", 30, 60)
    assert not row.ended


def test_a_line_that_says_nothing_new_is_not_a_change() -> None:
    filled = board(line(server="web", status="creating", reason="20 %"))
    assert filled.add(line(server="web", status="creating", reason="20 %")) is None
    assert filled.add(line(server="web", status="creating", reason="30 %")) is not None
    assert filled.add(result("web", "creating", reason="30 %")) is None


def test_a_server_is_done_once_its_snapshot_is_available_and_pruned() -> None:
    filled = board(line(server="web", status="available"))
    row = filled.rows["default", "web"]
    assert not row.ended
    filled.add(line(server="web", status="pruning", reason="1 more to delete"))
    assert not row.ended
    filled.add(line(server="web", status="available"))
    filled.add(result("web"))
    assert row.ended


def test_a_step_without_a_reason_leaves_none_of_the_step_before() -> None:
    rows = board(
        line(server="web", status="waiting", reason="locked"),
        line(server="web", status="creating", reason=None),
    ).rows
    assert rows["default", "web"].reason == ""


def test_lines_of_other_runs_and_of_nobody_change_nothing() -> None:
    filled = board(
        line(server="web", status="failed", run_id="another"),
        {"message": "cold start", "level": "INFO"},
        line(message="a line about the run"),
    )
    assert filled.rows == {}


def test_servers_of_the_same_name_in_two_projects_are_two() -> None:
    filled = board(
        line("one", server="web", status="creating"),
        line("two", server="web", status="waiting"),
        projects=("one", "two"),
    )
    assert len(filled.rows) == 2


def test_a_server_whose_function_died_gets_its_state_from_the_result() -> None:
    filled = board(
        line(server="web", status="creating"), result("web", "failed", reason="Sandbox.Timedout")
    )
    row = filled.rows["default", "web"]
    assert (row.status, row.reason, row.ended) == ("failed", "Sandbox.Timedout", True)


def test_a_reason_that_was_cut_for_the_result_is_known_whole_from_the_servers_line() -> None:
    whole = "its label says sometimes; write daily7"
    filled = board(
        line(server="web", status="available", reason=whole),
        result("web", reason="its label says somet..."),
        result("db", reason="nothing was logged of..."),
    )
    assert (
        filled.results["default", "web"]["reason"] == filled.rows["default", "web"].reason == whole
    )
    assert filled.results["default", "db"]["reason"] == "nothing was logged of..."


def test_the_verdict_is_the_worst_over_the_projects() -> None:
    both = ("one", "two")
    good, partly, bad = "Completed", "PartiallyFailed", "Failed"
    for first, second, worst in [
        (good, good, good),
        (good, partly, partly),
        (bad, partly, bad),
        (good, bad, bad),
    ]:
        filled = board(summary(first, "one"), summary(second, "two"), projects=both)
        assert filled.verdict() == worst


def test_a_project_without_a_summary_has_failed() -> None:
    filled = board(summary("Completed", "one"), projects=("one", "two"))
    assert not filled.complete()
    assert filled.verdict() == "Failed"
    assert filled.record()["projects"]["two"]["verdict"] == "Failed"


def test_no_project_at_all_has_failed() -> None:
    assert board(projects=()).verdict() == "Failed"


def test_an_unknown_verdict_is_not_a_success() -> None:
    assert board(summary("Splendid")).verdict() == "Failed"


def test_the_record_has_every_result_and_nothing_that_was_left_out() -> None:
    record = board(
        line(server="web", status="selected"),
        line(server="old", status="left_out", reason="its label says so"),
        line(server="web", status="pruned"),
        result("web", image_id=9001, waited_s=0, snapshot_s=180, deleted=1, kept=3),
        summary("Completed"),
    ).record()
    assert record == {
        "run_id": RUN,
        "verdict": "Completed",
        "projects": {"default": {"verdict": "Completed", "line": "Completed: 1 of 1 servers"}},
        "servers": [
            {
                "server": "web",
                "project": "default",
                "status": "available",
                "reason": "",
                "waited_s": 0,
                "snapshot_s": 180,
                "image_id": 9001,
                "deleted": 1,
                "kept": 3,
            }
        ],
    }


def test_without_a_result_the_record_has_what_was_last_seen() -> None:
    record = board(
        line(server="web", status="waiting", reason="locked", waited_s=90, elapsed_s=90)
    ).record()
    server = record["servers"][0]
    assert (server["status"], server["reason"], server["waited_s"]) == ("waiting", "locked", 90)
    assert server["image_id"] is None
    assert record["verdict"] == "Failed"


def test_the_platforms_own_lines_are_not_ours() -> None:
    for text in ("START RequestId: 1 Version: $LATEST", "{broken", "[1]", "", "{} trailing"):
        assert parse(text) is None
    assert parse('{"run_id": "a"}') == {"run_id": "a"}
