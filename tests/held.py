"""What tests.operators changes: each file, its tests, which changes may survive, and why."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Held:
    """`allowed`: how the text of a change begins, and the reason why no test can or should fail."""

    tests: tuple[str, ...]
    allowed: dict[str, str] = field(default_factory=dict)


TYPED = "mypy asks for it: what was decided before says the same"
WATCHED = "CheckSnapshot decides about no job without a snapshot"
NEVER_EQUAL = "a whole number and a product of logarithms are not equal"
CLIPPED = "the limits of the wait hide it"

# Tests that need no fixture of conftest.py; the quick files first: the first test that fails ends
# it.
HELD = {
    "handler/documents/policy.py": Held(("tests/test_retention.py",)),
    "handler/decisions/retention.py": Held(("tests/test_retention.py", "tests/test_shrinking.py")),
    "handler/decisions/shrinking.py": Held(
        ("tests/test_shrinking.py",),
        {
            "warning: (snapshot.created, snapshot.id) < (new.created, new.id) -> "
            "(snapshot.created, snapshot.id) <=": "that is this run's own, which does not count",
            "warning: (None, 0.0) -> (None, ": "without one there is no size to look at",
        },
    ),
    "handler/decisions/orphans.py": Held(("tests/test_orphans.py",)),
    "handler/decisions/gone_servers.py": Held(
        ("tests/test_orphans.py",), {"MOST_GONE: ": "one more or less makes no difference"}
    ),
    "handler/decisions/planning.py": Held(
        ("tests/test_checking.py", "tests/test_orphans.py", "tests/test_shrinking.py")
    ),
    "handler/decisions/pacing.py": Held(
        ("tests/test_waits.py", "tests/test_budgets.py", "tests/test_pacing.py"),
        {
            "while_locked: holder.elapsed_s if holder else 0 -> ": CLIPPED,
            "in_trouble: min(attempts, 20) -> min(attempts, ": CLIPPED,
            "while_creating: usual_s -> True": "nothing is usual where it is 0: long after",
            "while_creating: at.seconds > usual_s * math.exp(2.5 * deviation) -> at.seconds >=": (
                NEVER_EQUAL
            ),
            "_by_progress: max(low, at_least) > 1.05 * min(high, at_most) -> max(": (
                "what is exactly at the edge of a tolerance may be either"
            ),
            "_by_history: elapsed_s < 0.9 * first_s -> elapsed_s <=": NEVER_EQUAL,
            "_by_history: elapsed_s < usual_s * math.exp(2.5 * deviation) -> elapsed_s <=": (
                NEVER_EQUAL
            ),
            "_by_history: elapsed_s + step_s >= usual_s -> elapsed_s + step_s >": NEVER_EQUAL,
            "_usual: (0.0, 0.0) -> (-1.0, ": "nor where it is less",
            "_usual: (0.0, 0.0) -> (0.0, ": "what varies is asked for only if something is usual",
        },
    ),
    "handler/decisions/isolating.py": Held(
        ("tests/test_isolating.py",),
        {
            "being_applied: running[0] -> running[-1]": "one of them is named, whichever",
            "why_off: firewall -> True": TYPED,
        },
    ),
    "handler/decisions/removing.py": Held(("tests/test_removing.py",)),
    "handler/decisions/creating.py": Held(
        ("tests/test_creating.py", "tests/test_budgets.py"),
        {
            "_locked: found[0] -> found[-1]": "it is the only one",
            "_not_created: pacing.while_locked(0, Budget.of_both(job), jitter) -> ": CLIPPED,
        },
    ),
    "handler/decisions/checking.py": Held(
        ("tests/test_checking.py", "tests/test_budgets.py"),
        {
            "decide: job.snapshot -> True": WATCHED,
            "decide: job.snapshot.image_id if job.snapshot else 0 -> ": WATCHED,
            "_available: job.snapshot is not None -> True": WATCHED,
            "_creating: job.snapshot and job.snapshot.action_id -> job.snapshot.action_id": WATCHED,
            "_give_up: job.snapshot -> True": WATCHED,
            "_give_up: job.snapshot.image_id if job.snapshot else 0 -> ": WATCHED,
        },
    ),
    "handler/decisions/pruning.py": Held(
        ("tests/test_checking.py", "tests/test_orphans.py", "tests/test_shrinking.py"),
        {
            "_not_yet: arrival.snapshot is None or arrival.kind != 'early' or (not now) -> "
            "arrival.kind": TYPED,
            "_missing: job.snapshot is not None -> True": TYPED,
            "after_deleting: limited -> True": "None is waited for as any trouble is",
        },
    ),
    "handler/report/results.py": Held(
        ("tests/test_results.py", "tests/test_orphans.py", "tests/test_rollback.py")
    ),
    "handler/report/summary.py": Held(
        ("tests/test_summary.py",), {"rows: default=0 -> ": "without rows no column has a width"}
    ),
    "handler/decisions/booting.py": Held(
        ("tests/test_booting.py",),
        {
            "_looked: restore.firewall_id or 0 -> ": "no firewall has such an id",
            "_off: restore.firewall_id or 0 -> ": "no firewall has such an id",
            "_off: seen.firewall -> True": TYPED,
            "_after_error: restore.deadline_s or 0 -> ": "a copy that is on has a deadline",
        },
    ),
    "handler/decisions/looking.py": Held(
        ("tests/test_booting.py",),
        {"by_time: since_s or 0 -> since_s or ": "a second makes no difference"},
    ),
    "handler/decisions/listening.py": Held(("tests/test_booting.py",)),
    "handler/decisions/marking.py": Held(("tests/test_booting.py",)),
    "handler/decisions/restoring.py": Held(("tests/test_restoring.py",)),
    "handler/decisions/clearing.py": Held(("tests/test_clearing.py",)),
    "handler/decisions/candidates.py": Held(
        ("tests/test_planning_restore.py",),
        {
            "_why_unfit: original.disk_gb if original else 0 -> original.disk_gb if original": (
                "every disk has more than a GB"
            ),
        },
    ),
    "handler/decisions/choosing.py": Held(
        ("tests/test_planning_restore.py",),
        {
            "choose: server_id is not None -> True": TYPED,
            "_is_probe: text.partition('.')[2] or 22 -> text.partition('.')[2] or 2": (
                "any of these is a port"
            ),
            "_in_turn.turn: looked.timestamp() if looked else 0 -> looked.timestamp() if looked": (
                "it is compared only with others that were never looked at"
            ),
        },
    ),
    "handler/decisions/planning_restore.py": Held(
        ("tests/test_planning_restore.py",),
        {
            "_restore: (format_time(snapshot.created) if snapshot else '') or '' -> format": TYPED,
            "_restore: snapshot is None or choice.failed or choice.skipped -> choice": TYPED,
            "_left_over: format_time(made_of.created) or '' -> format": TYPED,
        },
    ),
    "handler/decisions/proof.py": Held(("tests/test_proven.py", "tests/test_planning_restore.py")),
    "handler/decisions/copies_left.py": Held(("tests/test_copies_left.py",)),
    "handler/decisions/overdue.py": Held(
        ("tests/test_overdue.py", "tests/test_watch_doubts.py"),
        {
            "_project: state.overdue and state.due_at -> state.overdue": TYPED,
            "_troubles: look.survey is not None and (not look.survey.servers) -> not look": TYPED,
        },
    ),
    "handler/decisions/watching.py": Held(
        ("tests/test_watch_order.py", "tests/test_overdue.py", "tests/test_watch_doubts.py"),
        {
            "in_order.unseen: last.timestamp() if last else 0.0 -> last.timestamp()": (
                "it is long before all looks"
            ),
            "late: since is None or each.last_seen is None or each.last_seen < since -> each": (
                TYPED
            ),
            "_after: survey and state.is_itself -> state.is_itself": TYPED,
            "in_turns: int(now.timestamp() // 3600) % len(first) if first else 0 -> int(": (
                "nobody is unseen"
            ),
        },
    ),
    "handler/decisions/due.py": Held(
        ("tests/test_rhythm.py", "tests/test_overdue.py", "tests/test_watch_doubts.py"),
        {
            "newest_good: known.created < snapshot.created -> known.created <= snapshot": (
                "of two of one moment either may count"
            ),
        },
    ),
    "handler/documents/memory.py": Held(
        ("tests/test_memory.py", "tests/test_overdue.py"),
        {
            "_entry_of: newest and each.last_seen -> each.last_seen": TYPED,
            "_remembered_in: newest and late is not None -> late is not None": TYPED,
            "_remembered_in: 1: -> ": "int() reads a copy's mark as a sign",
        },
    ),
}
