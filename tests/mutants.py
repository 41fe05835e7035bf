"""python -m tests.mutants: do the random nights and days notice mistakes?

Each sabotage breaks one line of the product, in a copy of the repository. Then the random nights,
or the days with drills, must fail, or, if none can show it (because another line protects, too),
the named test must fail; of some, both. Exit 1 if a sabotage is not noticed, or no longer fits the
code.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = (
    "handler", "statemachine", "local", "deploy", "tests", "events", "tell", "docs", "bench",
    "template.yaml", "pyproject.toml",
)  # fmt: skip
NIGHTS, DAYS = 250, 60


@dataclass(frozen=True)
class Mutant:
    what: str
    file: str
    old: str
    new: str
    test: str = ""  # In place of the nights.
    also: str = ""  # A test that must fail beside the nights.
    kind: str = "night"  # What notices it: nights or days.


GATHER, CREATING = "handler/snapshot_run/create_snapshot.py", "handler/decisions/creating.py"
CHECKING, PRUNING = "handler/decisions/checking.py", "handler/decisions/pruning.py"
PACING, RETENTION = "handler/decisions/pacing.py", "handler/decisions/retention.py"
PLANNING, GONE = "handler/decisions/planning.py", "handler/decisions/gone_servers.py"
ORPHANS = "handler/decisions/orphans.py"
DOCUMENT, API = "handler/documents/document.py", "handler/hetzner/api.py"
PAGES = "handler/hetzner/listing.py"
READING = "handler/documents/reading.py"
SUMMARY, RESULTS = "handler/report/summary.py", "handler/report/results.py"
MACHINE = "statemachine/snapshot_run.asl.json"
OVERDUE, WATCHING = "handler/decisions/overdue.py", "handler/decisions/watching.py"
WATCH, SELECTING = "handler/triggers/watch_servers.py", "handler/decisions/selecting.py"
LISTING, DUE = "handler/snapshot_run/list_servers.py", "handler/decisions/due.py"

MUTANTS = [
    Mutant(
        "a snapshot of a copy",
        "handler/hetzner/survey.py",
        "if not server.is_copy]",
        "if True]",
        test="tests/test_proof_stories.py",
    ),
    Mutant(
        "a drill passes over a server that is called a copy by mistake, and tells nobody",
        "handler/decisions/choosing.py",
        "        if server.is_copy:\n            continue",
        "        if server.is_copy or server.is_called_copy:\n            continue",
        test="tests/test_planning_restore.py",
    ),
    Mutant(
        "who asked for a server in the console is not told where it is",
        "handler/restore_run/summarise_restore.py",
        "is_news = run.sweep or is_kept or any(",
        "is_news = run.sweep or any(",
        test="tests/test_restore_summary.py",
    ),
    Mutant(
        "nobody is told of a server that is called a copy by mistake",
        "handler/decisions/listed.py",
        "[server for server in listed if server.is_called_copy]",
        "[]",
        test="tests/test_proof_stories.py",
    ),
    Mutant(
        "a proof of a copy that only ran",
        "handler/decisions/proof.py",
        "if labels.get(LABEL_PROVEN_BY) == SSH:",
        "if LABEL_PROVEN_BY in labels:",
        test="tests/test_proof_stories.py",
    ),
    Mutant(
        "a proof that goes with its snapshot",
        "handler/decisions/proof.py",
        "LABEL_SERVER_PROVEN_AT: last_proofs(snapshots, now).get(server_id),",
        "LABEL_SERVER_PROVEN_AT: None,",
        test="tests/test_proof_stories.py",
    ),
    Mutant(
        "a last drill that goes with its snapshot: one that never comes back is always the first",
        "handler/decisions/proof.py",
        "LABEL_SERVER_DRILLED_AT: looked_at(snapshots, now).get(server_id),",
        "LABEL_SERVER_DRILLED_AT: None,",
        test="tests/test_drill_turns.py",
    ),
    Mutant(
        "the alarm about proofs ends when another project's run ends an hour later",
        "template.yaml",
        """      EvaluationPeriods: 24
      DatapointsToAlarm: 1
      TreatMissingData: ignore
""",
        """      EvaluationPeriods: 1
      TreatMissingData: ignore
""",
        test="tests/test_proof_alarm.py",
    ),
    Mutant(
        "tell only the first one that drills have left",
        WATCHING,
        "return overdue.copy not in before.copies",
        "return False",
        test="tests/test_watch.py::test_a_second_one_that_is_left_is_told_by_its_name",
    ),
    Mutant(
        "two stacks of one owner drill by the same id",
        "handler/triggers/start_restore.py",
        'return f"{run_id}-{crc32(state_machine_arn.encode()):08x}" if request.scheduled_time',
        "return run_id if request.scheduled_time",
        test="tests/test_restore_request.py",
    ),
    Mutant(
        "switch restores off while a drill goes on",
        "deploy/bring.py",
        'if restores := [run for run in runs_going_on(account, stack) if run.kind == "restore"]:',
        "if restores := []:",
        test="tests/test_deploy.py::test_restores_are_not_switched_off_while_one_goes_on",
    ),
    Mutant(
        "switch restores off while a drill goes on that began behind the question",
        "deploy/bring.py",
        "_refuse_to_break_off(account, stack, values)  # one may",
        "pass  # one may",
        test="tests/test_deploy.py::test_a_drill_that_begins_while_a_deployment_is_asked_about_keeps_restores",
    ),
    Mutant(
        "a proof goes with the snapshot that a night prunes before the next is made",
        "handler/restore_run/remove_server.py",
        "if newest := marking.for_newest(restore, now, listed):",
        "if False:",
        test="tests/test_drill_stories.py",
    ),
    Mutant(
        "a drill that made nothing had no turn",
        "handler/restore_run/remove_server.py",
        'if step.kind == "end":',
        "if False:",
        test="tests/test_drill_turns.py",
    ),
    Mutant(
        "a server that fits no type takes the turn of another in each drill",
        "handler/decisions/planning_restore.py",
        'missing = sum(restore.status == "unproven" for restore in restores)',
        "missing = 0",
        test="tests/test_drill_turns.py",
    ),
    Mutant(
        "believe a drill in the future",
        "handler/decisions/proof.py",
        "if not (now and now < moment):\n                found",
        "if True:\n                found",
        test="tests/test_drill_turns.py",
    ),
    Mutant(
        "tell names and errors as they are, control characters and all",
        "handler/hetzner/redaction.py",
        "return printable(shown + text[end:])",
        "return shown + text[end:]",
    ),
    Mutant(
        "create without a look before",
        GATHER,
        "listed = hetzner.snapshots(job.run.owner, job.server.id)",
        "listed: list[Any] = []",
    ),
    Mutant(
        "adopt any run's snapshot",
        CREATING,
        "tuple(snapshot for snapshot in snapshots if job.run.made(snapshot))",
        "tuple(snapshots)",
    ),
    Mutant(
        "adopt an unavailable image",
        CREATING,
        "if s.is_available or s.is_pending]",
        "]",
        "tests/test_chaos.py::test_an_image_of_this_run_that_is_of_no_use_is_not_adopted",
    ),
    Mutant(
        "take a foreign create_image for ours",
        GATHER,
        "return replace(seen, snapshots=creating.of_this_run(job, [snapshot]))",
        "return replace(seen, snapshots=(snapshot,))",
    ),
    Mutant(
        "create in a dry run",
        CREATING,
        'if job.run.dry_run:\n        return Step("plan", job.moved_to("planned", "would',
        'if False:\n        return Step("plan", job.moved_to("planned", "would',
    ),
    Mutant(
        "never give a locked server up",
        CREATING,
        "    if job.overdue:\n        return _give_up(job, reason)",
        "    if False:\n        return _give_up(job, reason)",
    ),
    Mutant(
        "treat a failed action as done", CHECKING, 'case "success":', 'case "success" | "error":'
    ),
    Mutant(
        "wait beyond the snapshot's deadline",
        DOCUMENT,
        "seconds = max(1, min(wait.seconds, self.left_s))",
        "seconds = wait.seconds",
    ),
    Mutant(
        "prune on an incomplete listing",
        PAGES,
        'if told - {len(found)} or pagination["next_page"] is not None:',
        "if False:",
        "tests/test_pruning.py::test_a_listing_that_does_not_add_up_deletes_nothing",
    ),
    Mutant("retry inside the SDK", API, "_retry_max_retries = 0", "_retry_max_retries = 5"),
    Mutant("no timeout", API, "timeout=TIMEOUT_SECONDS", "timeout=None"),
    Mutant(
        "take no answer for a no",
        API,
        'return OutcomeUnknown(f"no answer from Hetzner',
        'return Refused(f"no answer from Hetzner',
    ),
    Mutant(
        "take a gateway's error for a no",
        API,
        'return OutcomeUnknown(f"HTTP {error.code}"',
        'return Refused(f"HTTP {error.code}"',
    ),
    Mutant(
        "tell the request, token and all",
        API,
        'no answer from Hetzner: {type(error).__name__}"',
        'no answer from Hetzner: {error.request and error.request.headers}"',
    ),
    Mutant(
        "prune before the new snapshot is available",
        PRUNING,
        "if not available:",
        "if False:",
        "tests/test_pruning.py::test_nothing_is_deleted_while_this_runs_snapshot_is_still_creating",
    ),
    Mutant(
        "choose anew what to delete after a lost answer",
        PRUNING,
        "if not job.to_delete:",
        "if True:",
    ),
    Mutant("no limit of deletions", PLANNING, "most = job.run.most_deletions", "most = None"),
    Mutant(
        "prune by a policy label that is wrong",
        PLANNING,
        "policy = parse_policy(job.server.retention or job.run.retention)",
        "policy = parse_policy(job.run.retention)",
    ),
    Mutant(
        "delete what is protected",
        RETENTION,
        "elif snapshot.protected:",
        "elif False:",
    ),
    Mutant(
        "delete what is not available",
        RETENTION,
        'if snapshot.status != "available":',
        "if False:",
    ),
    Mutant(
        "let the last snapshot from before a disk was emptied go",
        RETENTION,
        "if not accept_smaller:",
        "if False:",
    ),
    Mutant(
        "tell nobody that a disk was emptied",
        PRUNING,
        "smaller = shrinking.warning(job, seen.snapshots)",
        'smaller = ""',
    ),
    Mutant(
        "accept smaller ones in a run that makes snapshots",
        PLANNING,
        "accept = job.run.prune_only and job.run.accept_smaller",
        "accept = job.run.accept_smaller",
        "tests/test_emptied.py",
    ),
    Mutant(
        "call a run Completed that left something unpruned",
        SUMMARY,
        "totals.failed or totals.not_pruned or totals.gone_not_pruned",
        "totals.failed or totals.gone_not_pruned",
    ),
    Mutant(
        "forget servers without a result",
        RESULTS,
        "for server_id, item in missing.items():",
        "for server_id, item in {}.items():  # type: ignore[var-annotated]",
        "tests/test_stories.py::test_a_branch_that_ends_without_a_result_is_a_failure",
    ),
    Mutant(
        "spend the whole rate limit",
        PACING,
        "return in_turn_s + self.refill_s(-self.spare)",
        "return 0.0",
        "tests/test_rate_limit.py",
    ),
    Mutant(
        "ask again at once when refused",
        PACING,
        "seconds = max(in_trouble(attempts, jitter).seconds, budget.refill_s(-budget.spare))",
        "seconds = 1.0",
        "tests/test_pacing.py::test_all_who_were_refused_do_not_come_back_at_once",
    ),
    Mutant(
        "start whatever is left of the rate limit",
        PACING,
        "    if missing <= 0:",
        "    if True:",
        "tests/test_rate_limit.py::test_a_run_that_finds_the_limit_used_up_waits_before_it_starts",
    ),
    Mutant(
        "end green whatever the verdict",
        MACHINE,
        '"Default": "RunFailed"',
        '"Default": "RunCompleted"',
    ),
    Mutant(
        "jitter on the create task's retry",
        MACHINE,
        '"IntervalSeconds": 130,',
        '"IntervalSeconds": 130, "JitterStrategy": "FULL",',
        "tests/test_structure.py::test_a_create_is_tried_again_only_when_the_lost_one_can_be_seen",
    ),
    Mutant(
        "no retry of a function that died",
        MACHINE,
        '"Runtime.ExitError",',
        "",
        "tests/test_chaos.py::test_a_function_in_trouble_once_costs_time_only",
    ),
    Mutant(
        "give up when Lambda's API throttles",
        MACHINE,
        '"Lambda.TooManyRequestsException"',
        '"Lambda.SomethingElse"',
    ),
    Mutant(
        "a redriven run deletes what later nights made",
        PLANNING,
        "snapshot.created >= since",
        "False",
        "tests/test_redriven.py",
    ),
    Mutant(
        "tell an action's error as it is",
        API,
        "return self._redaction.values(answer)",
        "return answer",
        also="tests/test_redaction.py",
    ),
    Mutant(
        "demand what no decision needs",
        "handler/hetzner/answers.py",
        'size = item.get("image_size")',
        'size = item["image_size"]',
        "tests/test_answers.py::test_what_is_optional_may_be_missing",
    ),
    Mutant(
        "demand a total",
        PAGES,
        "if told - {len(found)} or",
        "if told != {len(found)} or",
        also="tests/test_answers.py",
    ),
    Mutant(
        "take many pages without a total for a whole listing",
        PAGES,
        "proven = len(totals) == 1 or None not in totals",
        "proven = True",
        also="tests/test_hetzner.py::"
        "test_what_is_deleted_between_pages_without_totals_hides_nothing",
    ),
    Mutant(
        "take a listing that had an id twice for proven by the next",
        PAGES,
        "return not self.repeats and",
        "return",
        "tests/test_hetzner.py::"
        "test_a_server_that_comes_and_goes_again_while_pages_are_read_hides_no_other",
    ),
    Mutant(
        "take any answer to a delete for a yes",
        API,
        "if self._status != NO_CONTENT:",
        "if False:",
        also="tests/test_answers.py::test_only_a_204_deletes",
    ),
    Mutant(
        "take any running action for the lock's",
        CREATING,
        "return self.makes_image or self.locked is True",
        "return any(action.is_running for action in self.actions)",
    ),
    Mutant(
        "create beside another create",
        CREATING,
        "return self.makes_image or self.locked is True",
        "return self.locked is True",
        "tests/test_locks.py::test_there_is_no_create_while_somebody_elses_snapshot_is_made",
    ),
    Mutant(
        "mix the budget of actions with the other",
        "handler/hetzner/api.py",
        'return "actions" in path.split("/")',
        "return False",
        "tests/test_hetzner.py::test_what_is_left_is_kept_apart",
    ),
    Mutant(
        "believe one clock alone",
        DOCUMENT,
        "agrees = abs(answered_at - assumed) <= slack",
        "agrees = True",
        also="tests/test_clock.py",
    ),
    Mutant(
        "let a proxy set the clock",
        API,
        "self._status, self._headers = response.status_code, response.headers",
        "self._status = response.status_code; self.heed(response.headers)",
        "tests/test_clock.py",
    ),
    Mutant(
        "judge an image whose status is new",
        "handler/documents/resources.py",
        'return self.status not in ("available", UNAVAILABLE)',
        'return self.status == "creating"',
        also="tests/test_answers.py",
    ),
    Mutant(
        "judge an action whose status is new",
        "handler/documents/resources.py",
        'return self.status not in ("success", "error")',
        'return self.status == "running"',
        "tests/test_creating.py",
    ),
    # Counts, vanished projects, other versions' documents.
    Mutant(
        "count what is gone as deleted for certain",
        PRUNING,
        "at_least = job.at_least or not set(gone) <= set(job.went)",
        "at_least = job.at_least",
    ),
    Mutant(
        "forget in a broken-off branch what was deleted",
        RESULTS,
        'item.get("was", "pruning") in MAY_HAVE_DELETED',
        "False",
        "tests/test_truth.py::test_a_server_whose_pruning_is_killed_for_good_has_its_snapshot",
    ),
    Mutant(
        "tell a run twice when its answer is lost",
        "handler/aws/telling.py",
        "if answer := told.get(asked):",
        "if answer := told.get(None):",
        "tests/test_truth.py::test_a_summary_whose_answer_is_lost_is_told_once",
    ),
    Mutant(
        "delete by labels that were read at the start",
        PRUNING,
        "return Step(job, asks_labels=True) if asks and seen.server is None else step",
        "return step",
        "tests/test_labels_heeded.py",
    ),
    Mutant(
        "take a project that lost its servers for an empty one",
        "handler/snapshot_run/list_servers.py",
        "return Seen(left=len(hetzner.snapshots(owner)), copies=copies)",
        "return Seen()",
    ),
    Mutant(
        "believe every 404 of a server",
        GONE,
        "if set(listed).isdisjoint(job.run.witnesses):",
        "if False:",
    ),
    Mutant(
        "forget a failed child's error",
        RESULTS,
        "                missing[server_id] = item",
        "                pass",
        "tests/test_rollback.py",
    ),
    # Documents of other versions.
    Mutant(
        "take what another version has added",
        READING,
        "    for field in fields(kind):",
        "    known |= found\n    for field in fields(kind):",
        "tests/test_rollback.py",
    ),
    Mutant(
        "blame no server for a child that Step Functions has ended",
        RESULTS,
        "missing[server_id] = item",
        "pass",
        "tests/test_results.py",
    ),
    Mutant(
        "forget what the first version had decided to delete",
        READING,
        '    "doomed": "to_delete",\n',
        "",
        "tests/test_upgrades.py::test_a_run_of_the_first_version_goes_on_after_a_deploy_at_any_moment",
    ),
    Mutant(
        "begin the deadlines of the first version anew",
        READING,
        '    "give_up_s": "deadline_s",\n',
        "",
        "tests/test_upgrades.py::test_what_the_first_version_has_written_is_read_by_its_names_of_today",
    ),
    Mutant(
        "prune without knowing this run's snapshot",
        PRUNING,
        "    if not (job.snapshot or job.run.dry_run or job.run.prune_only or job.server.gone):",
        "    if False:",
        "tests/test_upgrades.py::test_a_document_that_lacks_a_field_is_read_or_refused",
    ),
    Mutant(
        "call a listing that ended in an unknown way a project without servers",
        RESULTS,
        'if not document.handed_out and document.status != "done":',
        "if False:",
        "tests/test_upgrades.py::test_a_listing_that_ended_in_an_unknown_way_is_no_success",
    ),
    Mutant(
        "count from nothing what another version has counted",
        "handler/documents/run.py",
        '        demand("Totals", document["totals"], COUNTED)\n',
        "",
        "tests/test_upgrades.py::test_a_document_that_lacks_a_field_is_read_or_refused",
    ),
    Mutant(
        "let the token change while one invocation looks",
        "handler/hetzner/api.py",
        "client = self._client = self._client or self._connect()",
        "client = self._connect()",
        "tests/test_hetzner.py::test_what_one_invocation_sees_is_seen_with_one_token",
    ),
    Mutant(
        "take a delete for none that had no clear answer before an outage",
        "handler/decisions/pruning.py",
        "job = replace(job, unclear=True)",
        "pass",
        "tests/test_checking.py::test_a_delete_without_a_clear_answer_may_have_happened_if_no_later_look_succeeds",
    ),
    # What drills have left.
    Mutant(
        "ask for a sweep at each look",
        "handler/decisions/copies_left.py",
        "hours == AGAIN_HOURS or hours % 24 == 0",
        "True",
        "tests/test_watch.py::test_what_a_dead_drill_has_left_is_told_once_and_swept",
    ),
    Mutant(
        "sweep though somebody only looks",
        WATCH,
        "        not_swept = sweep(seen.looks, limits, now, settings)\n",
        "    not_swept = sweep(seen.looks, limits, now, settings)\n    if not request.only_look:\n",
        "tests/test_watch.py::test_a_look_alone_sweeps_nothing",
    ),
    Mutant(
        "tell what drills have left again after each look that failed",
        "handler/decisions/overdue.py",
        "if look.survey is None and COPIES in remembered.told_of_project:",
        "if False:",
        "tests/test_overdue.py::test_what_drills_have_left_stands_while_nothing_is_seen",
    ),
    # Servers that are gone.
    Mutant(
        "delete the newest good one of a server that is gone with the others",
        ORPHANS,
        'reason) if decision.kind == "rule" else decision',
        'reason, kind="no rule") if decision.kind == "rule" else decision',
        also="tests/test_orphans.py::test_what_goes_of_a_server_that_is_gone",
    ),
    Mutant(
        "take the oldest snapshot of a server that is gone for its newest",
        ORPHANS,
        "return now - max(good) if good else None",
        "return now - min(good) if good else None",
    ),
    Mutant(
        "take a server that no listing shows for gone, though it is there",
        "handler/decisions/heeding.py",
        "there = isinstance(server, Server)",
        "there = False",
        also="tests/test_gone_servers.py::test_a_server_that_the_listing_lacks_loses_nothing",
    ),
    Mutant(
        "look at the servers that match, not at all, for those that are gone",
        "handler/snapshot_run/list_servers.py",
        "selected, seen.everything, hetzner",
        "selected, seen.matching, hetzner",
        "tests/test_gone_servers.py::test_a_server_that_is_not_selected_is_not_gone",
    ),
    Mutant(
        "believe a 404 of a token that is another project's by now",
        "handler/snapshot_run/prune_snapshots.py",
        "return (_doubt(job, hetzner) or error) if job.server.gone else error",
        "return error",
        "tests/test_gone_servers.py::test_a_token_that_has_become_another_projects_deletes_nothing_in_either",
    ),
    Mutant(
        "judge the age of what is left by one clock alone",
        PLANNING,
        "earlier = min(now, began) if began else now",
        "earlier = now",
        "tests/test_orphans.py::test_a_clock_that_is_ahead_when_it_is_pruned_makes_nothing_older",
    ),
    Mutant(
        "judge by one clock alone what an overlapping run has made",
        PLANNING,
        "job.run.earliest_began or job.run.began",
        "job.run.began",
        "tests/test_resuming.py::test_one_wrong_clock_at_the_beginning_gives_no_other_runs_snapshot_away",
    ),
    Mutant(
        "tell a time in which no run can have ended",
        "handler/report/conclusion.py",
        "took_s < totals.longest_s",
        "False",
        "tests/test_summary.py::test_a_time_that_is_shorter_than_its_longest_server_is_not_told",
    ),
    Mutant(
        "delete snapshots of gone servers in a run for other servers",
        "handler/triggers/start_run.py",
        "run = replace(run, orphan_days=0)",
        "pass",
        "tests/test_orphans.py::test_only_a_run_over_all_servers_is_for_those_that_are_gone",
    ),
    Mutant(
        "call a run Completed that left snapshots of gone servers",
        SUMMARY,
        "totals.failed or totals.not_pruned or totals.gone_not_pruned",
        "totals.failed or totals.not_pruned",
        "tests/test_gone_servers.py::test_deletes_that_fail_are_tried_again_and_then_people_are_told",
    ),
    # Servers with a rhythm of their own, or with Hetzner's Backups.
    Mutant(
        "take every server every night, whatever its rhythm",
        LISTING,
        "not_due = due.why_not_due(document, taken, seen.snapshots)",
        "not_due = {}",
    ),
    Mutant(
        "let a night that begins a little earlier skip a server",
        DUE,
        "age := latest - last.created) < rhythm.due_after",
        "age := latest - last.created) < rhythm.every",
    ),
    Mutant(
        "let a snapshot that is of no use make a server wait",
        DUE,
        "is_good = snapshot.is_available and not snapshot.is_of_another",
        "is_good = True",
    ),
    Mutant(
        "lose the night where who is due cannot be told",
        LISTING,
        "return replace(seen, snapshots_error=error)",
        "return replace(seen, error=error)",
        "tests/test_rhythm_nights.py::test_if_our_snapshots_can_never_be_listed_all_are_taken_and_that_is_told",
    ),
    Mutant(
        "forget in a resume what the run has begun",
        DUE,
        " or server.id in mine",
        "",
        "tests/test_rhythm.py",
    ),
    Mutant(
        "let one wrong clock skip a server",
        DUE,
        "by_hetzner, latest = beginnings",
        "by_hetzner = latest = beginnings[0]",
        "tests/test_rhythm.py",
    ),
    Mutant(
        "take servers with Backups whatever is set",
        SELECTING,
        'if server.backups and with_backups == "skip":',
        "if False:",
    ),
    # The watch.
    Mutant(
        "watch: be patient with servers as if a run went on",
        OVERDUE,
        "limits.run_minutes if has_longer else 0",
        "limits.run_minutes",
    ),
    Mutant(
        "watch: ring while a run goes on",
        OVERDUE,
        "limits.run_minutes if has_longer else 0",
        "0",
    ),
    Mutant(
        "watch: ring for servers that are left out",
        OVERDUE,
        "        if left_out:\n",
        "        if False:\n",
    ),
    Mutant(
        "watch: ring at the first look for servers that are only new to the stack",
        OVERDUE,
        "max(created, remembered.first_seen)",
        "created",
    ),
    Mutant(
        "watch: ring for servers by their rhythm's nights alone",
        OVERDUE,
        "return self.freshness_hours + hours_added(server.labels)",
        "return self.freshness_hours",
    ),
    Mutant(
        "watch: ring by Hetzner's clock alone",
        OVERDUE,
        "at = max(clocks) if was_told else min(clocks)",
        "at = clocks[0]",
        "tests/test_watch.py::test_nobody_is_told_of",
    ),
    Mutant(
        "watch: let one clock end what was told",
        OVERDUE,
        "at = max(clocks) if was_told else min(clocks)",
        "at = min(clocks)",
        "tests/test_watch.py::test_one_wrong_clock_ends_nothing_that_was_told",
    ),
    Mutant(
        "watch: take a snapshot that is of no use for a good one",
        DUE,
        "is_good = snapshot.is_available and not snapshot.is_of_another",
        "is_good = not snapshot.is_of_another",
    ),
    Mutant(
        "watch: tell nobody of a token that is gone",
        OVERDUE,
        "if not look.has_token:",
        "if False:",
    ),
    Mutant(
        "watch: tell nobody of a project that is not seen",
        OVERDUE,
        "if look.survey is None and now - last > limit:",
        "if False:",
    ),
    Mutant(
        "watch: tell nobody of another project",
        OVERDUE,
        "    if not_itself:\n",
        "    if False:\n",
    ),
    Mutant(
        "watch: take another project for the one that is remembered",
        OVERDUE,
        "of_its_own = not not_itself and bool(look.survey)",
        "of_its_own = bool(look.survey)",
    ),
    Mutant(
        "watch: tell the same each hour",
        WATCHING,
        "return not (before.all_told or overdue.told_as in before.told)",
        "return True",
    ),
    Mutant(
        "watch: remember what nobody was told",
        WATCH,
        "        if view.told:\n",
        "        write_memory(ssm, settings.memory, view.memory)\n        if view.told:\n",
    ),
    Mutant(
        "watch: tell all clear each hour",
        WATCHING,
        "all_clear = is_over and was_told and not overdue",
        "all_clear = is_over and not overdue",
    ),
    Mutant(
        "watch: tell all clear while something is overdue",
        WATCHING,
        "all_clear = is_over and was_told and not overdue",
        "all_clear = was_told and not news",
    ),
    Mutant(
        "watch: never tell all clear",
        WATCHING,
        "all_clear = is_over and was_told and not overdue",
        "all_clear = False",
    ),
    Mutant(
        "watch: forget what is overdue in a project that is not seen now",
        OVERDUE,
        "[] if of_its_own or not limits.freshness_hours else _hidden(look, remembered, now)",
        "[]",
    ),
    Mutant(
        "watch: ring though who was told is not known",
        WATCH,
        "    if seen.unknown:\n",
        "    if False:\n",
    ),
    Mutant(
        "watch: tell when it is asked only to look",
        WATCH,
        "    if not request.only_look:\n",
        "    if True:\n",
    ),
    Mutant(
        "watch: write at Hetzner",
        "handler/hetzner/survey.py",
        "    snapshots = hetzner.snapshots(owner)\n    listed = hetzner.servers(label_selector)\n",
        "    snapshots = hetzner.snapshots(owner)\n    listed = hetzner.servers(label_selector)\n"
        "    hetzner.delete_snapshot(0)\n",
    ),
    Mutant(
        "watch: tell the token in a message",
        WATCH,
        "                    stack=settings.stack,\n                ),\n",
        "                    stack=settings.stack,\n                )\n"
        "                + str(ssm.get_parameter(Name=settings.token_path + '/default')),\n",
    ),
    Mutant(
        "run whatever project the token opens",
        SELECTING,
        "    if last is None or not last.at or not last.servers:\n",
        "    if True:\n",
    ),
    Mutant(
        "hand no run on what the watch has seen last",
        "handler/triggers/start_run.py",
        "        last_look=last_look,\n",
        "        last_look=None,\n",
    ),
    Mutant(
        "watch: know a project by its oldest server and that one's snapshot alone",
        WATCHING,
        "snapshot.server_id != server, snapshot.created",
        "snapshot.server_id == server, snapshot.created",
        "tests/test_watch.py::"
        "test_a_server_that_goes_with_its_snapshots_makes_its_project_no_other_one",
    ),
    Mutant(
        "refuse a run when its oldest server is gone",
        "handler/hetzner/survey.py",
        "        hetzner.snapshot(last.snapshot)\n        return True\n",
        "        hetzner.snapshot(last.snapshot)\n        return False\n",
    ),
    # Resumed and overlapping runs.
    Mutant(
        "resume the last resume, not the run",
        "handler/triggers/start_run.py",
        "first = earlier[project][0]",
        "first = earlier[project][-1]",
    ),
    Mutant(
        "let each execution of a run delete anew",
        DOCUMENT,
        "return max(0, self.max_deletions - self.earlier_deletions)",
        "return self.max_deletions",
        "tests/test_resuming.py::test_the_same_id_asked_differently_deletes_no_more_in_all",
    ),
    Mutant(
        "begin a run with its first listing",
        "handler/documents/run.py",
        "return answered_at - max(waited, now - started if started else waited)",
        "return answered_at",
        "tests/test_resuming.py::test_a_run_that_starts_while_another_cannot_list_keeps_its_snapshot",
    ),
    Mutant(
        "spare nothing when the runs that are going on are not known",
        PLANNING,
        "LONGEST_RUN if blind else LISTED_WITHIN",
        "LISTED_WITHIN",
        "tests/test_resuming.py::test_nothing_recent_is_deleted_when_it_is_not_known_which_runs_are_going_on",
    ),
    # Restores and drills: what a copy may do, and what may be removed.
    Mutant(
        "copies: start a copy when it is made",
        "handler/hetzner/copies.py",
        '"start_after_create": False',
        '"start_after_create": True',
        "tests/test_create_server.py::test_a_copy_is_made_off_behind_our_firewall_with_our_labels_alone",
    ),
    Mutant(
        "copies: make a copy behind no firewall",
        "handler/hetzner/copies.py",
        '"firewalls": [{"firewall": wanted.firewall_id}]',
        '"firewalls": []',
        "tests/test_create_server.py::test_a_copy_is_made_off_behind_our_firewall_with_our_labels_alone",
    ),
    Mutant(
        "copies: give a copy an IPv6 address",
        "handler/hetzner/copies.py",
        '"enable_ipv6": False',
        '"enable_ipv6": True',
        "tests/test_create_server.py::test_a_copy_is_made_off_behind_our_firewall_with_our_labels_alone",
    ),
    Mutant(
        "copies: give a copy the labels of its original",
        "handler/decisions/restoring.py",
        "labels=removing.labels_of(expected(restore), keep=restore.keep),",
        'labels=removing.labels_of(expected(restore), keep=restore.keep) | {"role": "web"},',
        "tests/test_create_server.py::test_a_copy_is_made_off_behind_our_firewall_with_our_labels_alone",
    ),
    Mutant(
        "copies: make a copy without a look by its name",
        "handler/restore_run/create_server.py",
        "if copy := copies.find_copy(restore.copy_name):",
        "if False and (copy := copies.find_copy(restore.copy_name)):",
        "tests/test_create_server.py::test_a_function_that_died_after_its_create_makes_no_second_copy",
    ),
    Mutant(
        "copies: take any server of the copy's name for it",
        "handler/decisions/restoring.py",
        '    if why:\n        reason = f"server {copy.id}',
        '    if False:\n        reason = f"server {copy.id}',
        "tests/test_create_server.py::test_a_server_of_the_copys_name_that_is_somebodys_is_left_alone",
    ),
    Mutant(
        "copies: believe that the rules are set",
        "handler/hetzner/isolation.py",
        "rules)\n    return copies.firewall(found.id)\n",
        "rules)\n    return Firewall(found.id, found.name, found.labels, rules)\n",
        "tests/test_create_server.py::test_nothing_is_made_while_the_rules_that_are_read_back_are_not_ours",
    ),
    Mutant(
        "copies: power on at the look that sets the rules right",
        "handler/restore_run/check_server.py",
        "        copies.set_rules(firewall.id, right)\n    return firewall\n",
        "        copies.set_rules(firewall.id, right)\n"
        "        return copies.firewall(firewall.id)\n    return firewall\n",
        "tests/test_restore_isolation.py::test_at_the_look_that_sets_its_rules_right_nothing_is_powered_on",
    ),
    Mutant(
        "copies: believe that a firewall was made as wanted",
        "handler/hetzner/isolation.py",
        "return copies.firewall(made.id)",
        "return made",
        "tests/test_create_server.py::test_nothing_is_made_while_the_rules_that_are_read_back_are_not_ours",
    ),
    Mutant(
        "copies: leave a changed firewall as it is",
        "handler/hetzner/isolation.py",
        "    if found.rules == rules or not is_ours(found):\n",
        "    if True:\n",
        "tests/test_create_server.py::test_a_firewall_that_somebody_has_changed_is_set_right_before_it_is_used",
    ),
    Mutant(
        "copies: set the rules of somebody's firewall",
        "handler/decisions/isolating.py",
        "    if firewall.labels.get(LABEL_MANAGED_BY) != owner:",
        "    if False:",
        "tests/test_create_server.py::test_a_firewall_of_our_name_that_is_somebodys_is_not_touched",
    ),
    Mutant(
        "copies: make a copy behind whatever rules",
        "handler/decisions/restoring.py",
        "if why := isolating.wrong_rules(seen.firewall, restore.server.port):",
        "if False and (why := isolating.wrong_rules(seen.firewall, restore.server.port)):",
        "tests/test_create_server.py::test_nothing_is_made_while_the_rules_that_are_read_back_are_not_ours",
    ),
    Mutant(
        "copies: let a copy out to everywhere",
        "handler/decisions/isolating.py",
        'frozenset({"192.0.2.1/32"})',
        'frozenset({"0.0.0.0/0"})',
        "tests/test_create_server.py::test_the_firewall_is_made_once_and_lets_only_the_probe_in",
    ),
    Mutant(
        "copies: mind no other firewall at a copy",
        "handler/decisions/isolating.py",
        '        _of("firewall", others)\n        or _of("load balancer"',
        '        _of("load balancer"',
        "tests/test_check_server.py::test_a_copy_to_which_something_attaches_itself_later_is_switched_off",
    ),
    Mutant(
        "copies: mind no load balancer at a copy",
        "handler/decisions/isolating.py",
        '        or _of("load balancer", copy.load_balancers or ())\n',
        "",
        "tests/test_check_server.py::test_a_copy_to_which_something_has_attached_itself_is_never_powered_on",
    ),
    Mutant(
        "copies: mind no network at a copy",
        "handler/decisions/isolating.py",
        '        or _of("network", copy.networks or ())\n',
        "",
        "tests/test_check_server.py::test_a_copy_to_which_something_has_attached_itself_is_never_powered_on",
    ),
    Mutant(
        "copies: mind no volume at a copy",
        "handler/decisions/isolating.py",
        '        or _of("volume", copy.volumes or ())\n',
        "",
        "tests/test_check_server.py::test_a_copy_to_which_something_has_attached_itself_is_never_powered_on",
    ),
    Mutant(
        "copies: mind no floating IP at a copy",
        "handler/decisions/isolating.py",
        '        or _of("floating IP", copy.floating_ips or ())\n',
        "",
        "tests/test_check_server.py::test_a_copy_to_which_something_has_attached_itself_is_never_powered_on",
    ),
    Mutant(
        "copies: mind no IPv6 address at a copy",
        "handler/decisions/isolating.py",
        '        or ("an IPv6 address is on it" if copy.ipv6 else "")\n',
        "",
        "tests/test_check_server.py::test_a_copy_to_which_something_has_attached_itself_is_never_powered_on",
    ),
    Mutant(
        "copies: take what is not told for none",
        "handler/decisions/isolating.py",
        "    missing = [name for name, value in told.items() if value is None]",
        "    missing: list[str] = []",
        "tests/test_check_server.py::test_an_answer_that_does_not_tell_what_is_attached_powers_nothing_on",
    ),
    Mutant(
        "copies: power on without a firewall",
        "handler/decisions/isolating.py",
        "    if firewall_id not in {one for one, _ in copy.firewalls or ()}:",
        "    if False:",
        "tests/test_check_server.py::test_a_firewall_that_somebody_takes_away_switches_the_copy_off",
    ),
    Mutant(
        "copies: power on while the firewall is not applied",
        "handler/decisions/isolating.py",
        "        if one == firewall_id and status != APPLIED:",
        "        if False:",
        "tests/test_restore_isolation.py"
        "::test_where_its_actions_are_not_found_the_status_at_the_copy_decides",
    ),
    Mutant(
        "copies: mind no outbound rule",
        "handler/decisions/isolating.py",
        "    if outbound == {NOWHERE}:",
        "    if True:",
        "tests/test_check_server.py::test_a_firewall_that_is_opened_or_deleted_switches_the_copy_off",
    ),
    Mutant(
        "copies: mind no firewall that is gone",
        "handler/decisions/isolating.py",
        '    if firewall is None:\n        return f"our firewall {firewall_id} is gone"\n',
        '    if firewall is None:\n        return ""\n',
        "tests/test_check_server.py::test_a_firewall_that_is_opened_or_deleted_switches_the_copy_off",
    ),
    Mutant(
        "copies: power on whatever is at the copy",
        "handler/decisions/booting.py",
        "    if why := isolating.why_not_on(",
        "    if False and isolating.why_not_on(",
        "tests/test_check_server.py::test_it_is_powered_on_once_its_firewall_is_applied_and_not_before",
    ),
    Mutant(
        "copies: look at what is attached only before the power on",
        "handler/decisions/booting.py",
        "    if not is_off and (\n",
        "    if False and (\n",
        "tests/test_check_server.py::test_a_copy_to_which_something_attaches_itself_later_is_switched_off",
    ),
    Mutant(
        "copies: leave a copy on that was started before its firewall was applied",
        "handler/decisions/isolating.py",
        '        or ("" if was_applied else not_applied(copy, firewall_id))\n',
        "",
        "tests/test_restore_isolation.py::test_a_copy_that_hetzner_starts_before_its_firewall_is_applied_is_switched_off",
    ),
    Mutant(
        "copies: power on while other rules than those that are read may work",
        "handler/decisions/isolating.py",
        "        or being_applied(applying, copy.id)\n",
        "",
        "tests/test_restore_isolation.py::test_nothing_is_powered_on_while_the_rules_are_being_applied_whatever_the_status_says",
    ),
    Mutant(
        "copies: set the rules of a firewall that has become somebody's",
        "handler/restore_run/check_server.py",
        "    if firewall is None or isolating.of_another(firewall, restore.run.owner):\n",
        "    if firewall is None:\n",
        "tests/test_restore_isolation.py::test_a_firewall_that_somebody_has_made_theirs_keeps_its_rules_and_the_copy_is_off",
    ),
    Mutant(
        "copies: lose a proof that was seen when the copy goes before it is written",
        "handler/decisions/booting.py",
        '    if restore.outcome and (why or copy.status == "deleting"):\n',
        "    if False:\n",
        "tests/test_check_server.py::test_what_happens_to_the_copy_after_its_greeting_costs_no_proof",
    ),
    Mutant(
        "copies: probe the address that the copy had",
        "handler/decisions/booting.py",
        'address=copy.ipv4 or "",',
        "address=copy.ipv4 or restore.address,",
        "tests/test_check_server.py::test_an_address_that_has_become_another_servers_proves_nothing",
    ),
    Mutant(
        "copies: take the greeting of a rescue system for a proof",
        "handler/decisions/listening.py",
        'OTHER_SYSTEMS = ("enable_rescue", ',
        "OTHER_SYSTEMS = (",
        "tests/test_check_server.py::test_what_greets_after_somebody_has_started_another_system_is_no_proof",
    ),
    Mutant(
        "copies: forget a server to keep that a lost create may have made",
        "handler/decisions/restoring.py",
        "_may_be_there(restore) if restore.maybe_posted else",
        "_may_be_there(restore) if False else",
        "tests/test_restoring.py::test_a_server_to_keep_that_may_be_there_and_billed_is_told",
    ),
    Mutant(
        "copies: power a server on that is no copy any more",
        "handler/decisions/booting.py",
        "    why = removing.why_not_ours(copy, expected(restore))\n",
        '    why = ""\n',
        "tests/test_check_server.py::test_a_copy_that_somebody_has_taken_over_is_left_as_it_is",
    ),
    Mutant(
        "copies: leave a kept copy on when a poweroff fails",
        "handler/decisions/booting.py",
        "    if not restore.keep:\n        return _end_switched_off",
        "    if True:\n        return _end_switched_off",
        "tests/test_check_server.py::test_a_poweroff_that_fails_is_tried_again_until_the_kept_copy_is_off",
    ),
    Mutant(
        "copies: take any greeting for a proof",
        "handler/decisions/listening.py",
        "    return heard.startswith(SSH)",
        "    return bool(heard)",
        "tests/test_check_server.py::test_a_copy_that_never_greets_is_unproven_after_its_minutes",
    ),
    Mutant(
        "copies: lose other labels of a proven snapshot",
        "handler/decisions/marking.py",
        "return {name: value for name, value in labels.items() if name not in past} | dict(ours)",
        "return dict(ours)",
        "tests/test_check_server.py::test_a_copy_that_greets_is_proven_and_its_snapshot_says_so",
    ),
    Mutant(
        "copies: believe that a proof is written",
        "handler/hetzner/copies.py",
        "if not wanted.items() <=",
        "if False and not wanted.items() <=",
        "tests/test_check_server.py::test_a_proof_that_somebody_overwrites_is_written_again",
    ),
    Mutant(
        "copies: count a copy that runs as a proof by ssh",
        "handler/decisions/marking.py",
        'LABEL_PROVEN_BY: "running"',
        'LABEL_PROVEN_BY: "ssh"',
        "tests/test_check_server.py::test_one_that_is_not_probed_is_restored_when_it_runs",
    ),
    Mutant(
        "copies: remove what is not labelled to be thrown away",
        "handler/decisions/removing.py",
        "return _kept(copy) or why_not_ours(copy, expected)",
        "return why_not_ours(copy, expected)",
        "tests/test_remove_server.py::test_what_somebody_has_made_theirs_stays_and_the_proof_counts",
    ),
    Mutant(
        "copies: remove another owner's server",
        "handler/decisions/removing.py",
        "        _of_another_owner(copy, expected)\n        or _of_another_restore",
        "        _of_another_restore",
        "tests/test_remove_server.py::test_what_somebody_has_made_theirs_stays_and_the_proof_counts",
    ),
    Mutant(
        "copies: remove another restore's server",
        "handler/decisions/removing.py",
        "        or _of_another_restore(copy, expected)\n",
        "",
        "tests/test_remove_server.py::test_what_somebody_has_made_theirs_stays_and_the_proof_counts",
    ),
    Mutant(
        "copies: remove another server's copy",
        "handler/decisions/removing.py",
        "        or _of_another_server(copy, expected)\n",
        "",
        "tests/test_remove_server.py::test_what_somebody_has_made_theirs_stays_and_the_proof_counts",
    ),
    Mutant(
        "copies: remove a server of another name",
        "handler/decisions/removing.py",
        "        or _of_another_name(copy, expected)\n",
        "",
        "tests/test_remove_server.py::test_what_somebody_has_made_theirs_stays_and_the_proof_counts",
    ),
    Mutant(
        "copies: remove what is older than the restore",
        "handler/decisions/removing.py",
        "        or _older(copy, expected)\n",
        "",
        "tests/test_remove_server.py::test_what_somebody_has_made_theirs_stays_and_the_proof_counts",
    ),
    Mutant(
        "copies: remove what was made of another image",
        "handler/decisions/removing.py",
        "        or _of_another_image(copy, expected)\n",
        "",
        "tests/test_remove_server.py::test_what_somebody_has_made_theirs_stays_and_the_proof_counts",
    ),
    Mutant(
        "copies: leave a copy whose snapshot was pruned",
        "handler/decisions/removing.py",
        "if copy.image_id in (None, expected.image_id):",
        "if copy.image_id == expected.image_id:",
        "tests/test_remove_server.py::test_it_is_removed_also_when_its_snapshot_was_pruned",
    ),
    Mutant(
        "copies: label what is kept to be thrown away",
        "handler/decisions/removing.py",
        'return labels if keep else labels | {LABEL_THROW_AWAY: "true"}',
        'return labels | {LABEL_THROW_AWAY: "true"}',
        "tests/test_create_server.py::test_what_is_kept_is_never_labelled_to_be_thrown_away",
    ),
    Mutant(
        "copies: remove what a person asked to keep",
        "handler/restore_run/remove_server.py",
        '    assert not restore.keep, "what a person asked to keep is never removed"\n',
        "",
        "tests/test_remove_server.py::test_what_is_kept_is_never_removed_even_if_it_got_here",
    ),
    Mutant(
        "copies: believe a 404 of another project's token",
        "handler/decisions/clearing.py",
        "    if not seen.sees_project:",
        "    if False:",
        "tests/test_remove_server.py::test_a_404_of_a_token_that_sees_another_project_is_no_removal",
    ),
    Mutant(
        "copies: look once for a copy whose create had no answer",
        "handler/decisions/clearing.py",
        "        if _so_far_s(restore) < LOST_SECONDS:",
        "        if False:",
        "tests/test_remove_server.py::test_a_lost_create_that_is_listed_late_is_found_and_removed",
    ),
    Mutant(
        "copies: look for nothing that broke off",
        "handler/decisions/clearing.py",
        "            maybe_posted=True,\n",
        "",
        "tests/test_remove_server.py::test_what_broke_off_and_is_listed_late_is_removed",
    ),
    Mutant(
        "copies: take a delete that was accepted for a removal",
        "handler/decisions/clearing.py",
        "return _wait(sent, reason, _longer(sent, LOOK_SECONDS))",
        'return _end(replace(sent, copy_id=None), "removed")',
        "tests/test_remove_server.py::test_a_delete_whose_answer_is_lost_is_looked_for",
    ),
    Mutant(
        "copies: tell the root password",
        "handler/hetzner/redaction.py",
        'SECRET_FIELDS = frozenset({"root_password"})',
        "SECRET_FIELDS: frozenset[str] = frozenset()",
        "tests/test_copies.py::test_the_root_password_is_in_no_answer_error_or_log",
    ),
    Mutant(
        "copies: wait where there is no stock",
        "handler/hetzner/api.py",
        '        "placement_error": NoStock,\n',
        "",
        "tests/test_create_server.py::test_no_stock_is_the_next_candidates_turn",
    ),
    Mutant(
        "copies: a restore began when it was first looked at",
        "handler/decisions/restoring.py",
        "began = min(began or looked, looked)",
        "began = looked",
        "tests/test_restore_deaths.py",
    ),
    # What reviewers found last, and the nights cannot show.
    Mutant(
        "compare sizes with an image of another server",
        "handler/decisions/shrinking.py",
        "if each.is_available and not each.is_of_another)",
        "if each.is_available)",
        "tests/test_shrinking.py::test_one_of_another_server_is_compared_with_nothing_and_hides_nothing",
    ),
    Mutant(
        "count a snapshot that somebody has just protected as gone",
        PRUNING,
        "step.kept + len(deleted.protected)",
        "step.kept",
        "tests/test_pruning.py::test_one_protected_between_listing_and_delete_stays",
    ),
    Mutant(
        "watch: give up at the first listing that changes meanwhile",
        WATCH,
        "MOST_TRIES = 4",
        "MOST_TRIES = 1",
        "tests/test_watch.py::test_hourly_runs_that_begin_as_the_watch_looks_hide_nothing_from_it",
    ),
    Mutant(
        "tell of a failed server what another one has to fall back on",
        "handler/snapshot_run/summarise_run.py",
        "said.get(result.id,",
        "said.get(max(said, default=0),",
        "tests/test_advice.py::test_servers_that_swap_their_names_during_a_run_keep_their_own_snapshots",
    ),
    Mutant(
        "forget a project whose run has begun while the question stood",
        "deploy/forget.py",
        "    if removes:  # one may have begun",
        "    if False:  # one may have begun",
        "tests/test_deploy_forget.py::test_a_run_that_begins_while_the_question_stands_is_not_broken_off",
    ),
    # What the days with drills hold.
    Mutant(
        "days: remove what is a person's now",
        "handler/decisions/removing.py",
        "return _kept(copy) or why_not_ours(copy, expected)",
        'return ""',
        kind="day",
    ),
    Mutant(
        "days: switch on what is not behind our firewall yet",
        "handler/decisions/booting.py",
        "if why := isolating.why_not_on(copy, seen.firewall, seen.applying, restore.server.port):",
        'if why := "":',
        kind="day",
    ),
    Mutant(
        "copies: leave on what something has attached itself to",
        "handler/decisions/booting.py",
        'return Step("power_off", replace(restore, off_reason=why))',
        "pass",
        "tests/test_check_server.py",
    ),
    Mutant(
        "days: sweep nothing",
        WATCH,
        "if not (settings.has_restores and is_time):",
        "if True:",
        kind="day",
    ),
    Mutant(
        "days: sweep what is still drilled",
        "handler/decisions/planning_restore.py",
        "elif not its.is_running:",
        "else:",
        kind="day",
    ),
    Mutant(
        "days: tell nobody what drills have left",
        OVERDUE,
        "overdue += _copies(look, remembered, limits, now)",
        "pass",
        kind="day",
    ),
    Mutant(
        "days: tell of what is left without its price",
        "handler/decisions/copies_left.py",
        'if copy.hourly_net else ""',
        'if False else ""',
        kind="day",
    ),
    Mutant(
        "copies: no all clear without FreshnessHours",
        WATCHING,
        "all_clear = is_over and",
        "all_clear = has_limit and",
        "tests/test_overdue.py::test_without_a_limit_only_what_drills_had_left_is_told_to_be_over",
    ),
    Mutant(
        "days: an outcome takes the place of all labels",
        "handler/decisions/marking.py",
        "{name: value for name, value in labels.items() if name not in past} | dict(ours)",
        "dict(ours)",
        kind="day",
    ),
    Mutant(
        "copies: take copies for servers that are to be saved",
        "handler/hetzner/survey.py",
        "if not server.is_copy]",
        "if True]",
        "tests/test_proof_stories.py::test_no_survey_of_a_project_has_its_copies",
    ),
    Mutant(
        "days: whatever is heard is a proof",
        "handler/decisions/listening.py",
        'SSH = "SSH-"',
        'SSH = ""',
        kind="day",
    ),
    Mutant(
        "days: one that only ran counts as proven",
        "handler/decisions/proof.py",
        "if labels.get(LABEL_PROVEN_BY) == SSH:",
        "if LABEL_PROVEN_BY in labels:",
        kind="day",
    ),
    Mutant(
        "days: take a delete that was accepted for a removal",
        "handler/decisions/clearing.py",
        "return _wait(sent, reason, _longer(sent, LOOK_SECONDS))",
        'return _end(replace(sent, copy_id=None), "removed")',
        kind="day",
    ),
    Mutant(
        "days: tell a cost that is not the copy's",
        "handler/decisions/clearing.py",
        "hours = max(1, math.ceil((now - created).total_seconds() / HOUR))",
        "hours = 9",
        kind="day",
    ),
    Mutant(
        "days: leave the address out of the price",
        "handler/decisions/candidates.py",
        "offer.per_hour + address",
        "offer.per_hour",
        kind="day",
    ),
    Mutant(
        "days: tell the first type and location that was tried",
        "handler/documents/restore.py",
        "candidate, started = self.candidate, self.powered_on_s",
        "candidate, started = (*self.candidates, None)[0], self.powered_on_s",
        kind="day",
    ),
    Mutant(
        "days: count the seconds to a greeting from the restore's beginning",
        "handler/documents/restore.py",
        "(self.greeted_s or 0) - (started or 0)",
        "(self.greeted_s or 0)",
        kind="day",
    ),
    Mutant(
        "days: an unproven server is a good end",
        "handler/documents/restore.py",
        'GOOD_ENDS = ("proven",',
        'GOOD_ENDS = ("unproven", "proven",',
        kind="day",
    ),
    Mutant(
        "days: tell twice",
        "handler/aws/telling.py",
        "        sns().publish(TopicArn=topic_arn, Subject=subject, Message=text)\n",
        "        for _ in range(2):\n"
        "            sns().publish(TopicArn=topic_arn, Subject=subject, Message=text)\n",
        kind="day",
    ),
    Mutant(
        "days: tell nobody what a sweep has removed",
        "handler/restore_run/summarise_restore.py",
        "is_news = run.sweep or",
        "is_news = False or",
        kind="day",
    ),
    Mutant(
        "copies: try every server type for a snapshot that is gone",
        "handler/restore_run/create_server.py",
        "        if restore.tried and _is_gone(restore, copies):",
        "        if False and _is_gone(restore, copies):",
        "tests/test_drill_stories.py::test_a_snapshot_that_is_deleted_before_the_create_is_told_as_that",
    ),
    Mutant(
        "copies: leave unsaid that no night saves what a person has taken",
        "handler/decisions/clearing.py",
        "    if LABEL_THROW_AWAY in copy.labels:",
        "    if False:",
        "tests/test_drill_meddling.py::test_a_copy_that_a_person_takes_stays_theirs_and_no_sweep_takes_it",
    ),
    Mutant(
        "copies: sweep what a drill that is running has made",
        "handler/decisions/planning_restore.py",
        "        elif not its.is_running:",
        "        else:",
        "tests/test_drills_at_once.py::test_a_sweep_beside_a_drill_takes_nothing_of_it",
    ),
    Mutant(
        "copies: give the copies of two drills one name",
        "handler/documents/copy_names.py",
        'return f"drill-{restore_id}-{server_id}".lower()',
        'return f"drill-{server_id}".lower()',
        "tests/test_drills_at_once.py::test_two_drills_at_once_are_both_proven",
    ),
    Mutant(
        "copies: leave what broke off",
        "statemachine/restore_run.asl.json",
        '"BooleanEquals": false,\n                "Next": "RemoveServer"',
        '"BooleanEquals": false,\n                "Next": "RestoreBrokeOff"',
        "tests/test_drills_stopped.py::test_a_function_that_dies_for_good_leaves_nothing_after_some_hours",
    ),
    Mutant(
        "copies: ask for no sweep of what is left",
        "handler/decisions/copies_left.py",
        "    return any(hours == AGAIN_HOURS",
        "    return False and any(hours == AGAIN_HOURS",
        "tests/test_drills_stopped.py::test_a_drill_that_is_stopped_in_any_state_is_told_and_swept_if_it_leaves_a_copy",
    ),
    Mutant(
        "copies: tell nobody what a sweep has removed",
        "handler/restore_run/summarise_restore.py",
        "is_news = run.sweep or is_kept",
        "is_news = is_kept",
        "tests/test_drills_stopped.py::test_a_drill_that_is_stopped_in_any_state_is_told_and_swept_if_it_leaves_a_copy",
    ),
    Mutant(
        "copies: call a copy left while its drill is at work",
        "handler/decisions/copies_left.py",
        "if now - copy.created > longest]",
        "if True]",
        "tests/test_drill_meddling.py::test_behind_a_firewall_that_is_never_applied_nothing_is_switched_on",
    ),
    Mutant(
        "copies: ask for the same where there was no stock",
        "handler/decisions/restoring.py",
        "later = replace(restore, tried=restore.tried + 1)",
        "later = replace(restore, tried=restore.tried)",
        "tests/test_drill_stories.py::test_where_there_is_no_stock_the_next_location_is_taken",
    ),
    Mutant(
        "copies: end when a create fails later",
        "handler/decisions/booting.py",
        'if restore.powered_on_s is not None or not (action and action.status == "error"):',
        "if True:",
        "tests/test_drill_meddling.py::test_in_place_of_one_that_a_person_deletes_while_it_is_made_another_is",
    ),
    Mutant(
        "copies: say of each that is kept that nothing leaves it",
        "handler/documents/restore.py",
        "unguarded=self.keep and self.copy_id is not None and not self._is_guarded,",
        "unguarded=False,",
        "tests/test_drill_meddling.py::test_a_kept_server_that_is_not_alone_behind_our_firewall_is_not_said_to_be",
    ),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--only", default="", help="those with this in their name")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.what]
    survivors = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        tries = pool.map(lambda mutant: caught(mutant, options.nights), chosen)
        for mutant, (by, seconds) in zip(chosen, tries, strict=True):
            survivors += not by
            print(f"{mutant.what:52} {by or 'SURVIVES':60} {seconds:4.0f} s", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} caught.")
    return 1 if survivors else 0


def caught(mutant: Mutant, nights: int) -> tuple[str, float]:
    """What catches it, empty if nothing does; and how long that took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.pyc"))
            else:
                shutil.copy(ROOT / name, copy / name)
        file = copy / mutant.file
        text = file.read_text()
        if mutant.old not in text:
            return "", 0.0
        file.write_text(text.replace(mutant.old, mutant.new))
        count = nights if mutant.kind == "night" else DAYS
        by_test = mutant.test
        found = _by_test(by_test, copy) if by_test else _by_chaos(copy, mutant.kind, count)
        if found and mutant.also and not _by_test(mutant.also, copy):
            found = ""
    return found, time.monotonic() - began


def _by_chaos(copy: Path, kind: str, count: int) -> str:
    arguments = ["-m", "tests.chaos", "--only", kind, "--quick", "--most", "1"]
    arguments += ["--runs", str(count)]
    said = _python(arguments, copy)
    seeds = [line for line in said.stdout.splitlines() if line.startswith("Seed ")]
    lines = said.stdout.partition(" fails:\n")[2].strip().splitlines()
    return f"{seeds[0].removesuffix(' fails:')}: {lines[0].strip()[:48]}" if seeds else ""


def _by_test(test: str, copy: Path) -> str:
    arguments = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", test]
    said = _python(arguments, copy)
    failed = [line for line in said.stdout.splitlines() if line.startswith("FAILED ")]
    return failed[0].partition("::")[2].partition(" - ")[0][:60] if failed else ""


def _python(arguments: list[str], copy: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
