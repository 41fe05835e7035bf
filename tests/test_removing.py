"""What may be deleted and what is somebody's: a table, one row per clause of the rule."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.decisions.removing import Expected, labels_of, why_not_ours, why_not_removed
from handler.documents.copies import Copy
from handler.documents.labels import (
    LABEL_MANAGED_BY,
    LABEL_RESTORE_ID,
    LABEL_SERVER_ID,
    LABEL_THROW_AWAY,
)
from local.virtual.template import ROOT

BEGAN = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
OURS = Expected("me", "drill-1", 4711, "sg5-drill-1", 7, BEGAN)
LABELS = labels_of(OURS, keep=False)
COPY = Copy(
    id=1, name=OURS.name, status="running", created=BEGAN, labels=LABELS, image_id=OURS.image_id
)


def without(label: str) -> dict[str, Any]:
    return {"labels": {name: value for name, value in LABELS.items() if name != label}}


def relabelled(label: str, value: str) -> dict[str, Any]:
    return {"labels": LABELS | {label: value}}


NOT_OURS = [
    (without(LABEL_MANAGED_BY), "it has no label hetzner-snapshots/managed-by=me"),
    (relabelled(LABEL_MANAGED_BY, "you"), "it has no label hetzner-snapshots/managed-by=me"),
    (without(LABEL_RESTORE_ID), "it has no label hetzner-snapshots/restore-id=drill-1"),
    (relabelled(LABEL_RESTORE_ID, "x"), "it has no label hetzner-snapshots/restore-id=drill-1"),
    (without(LABEL_SERVER_ID), "it has no label hetzner-snapshots/server-id=4711"),
    (relabelled(LABEL_SERVER_ID, "4"), "it has no label hetzner-snapshots/server-id=4711"),
    ({"name": "mine-now"}, "it is not called sg5-drill-1"),
    (
        {"created": BEGAN - timedelta(seconds=1)},
        "it was created at 2026-11-21T01:59:59Z, before the restore began at 2026-11-21T02:00:00Z",
    ),
    ({"image_id": 8}, "it was made of image 8, not of snapshot 7"),
]


def test_a_copy_that_this_restore_has_made_to_throw_away_is_removed() -> None:
    assert why_not_removed(COPY, OURS) == ""


def test_it_is_removed_when_its_snapshot_was_pruned_meanwhile() -> None:
    assert why_not_removed(replace(COPY, image_id=None), OURS) == ""


@pytest.mark.parametrize(("changes", "reason"), NOT_OURS)
def test_what_is_not_ours_stays(changes: dict[str, Any], reason: str) -> None:
    copy = replace(COPY, **changes)
    assert why_not_removed(copy, OURS) == reason
    assert why_not_ours(copy, OURS) == reason


@pytest.mark.parametrize(
    "changes", [without(LABEL_THROW_AWAY), relabelled(LABEL_THROW_AWAY, "false")]
)
def test_a_copy_that_is_not_labelled_to_be_thrown_away_stays(changes: dict[str, Any]) -> None:
    copy = replace(COPY, **changes)
    assert why_not_removed(copy, OURS) == "it has no label hetzner-snapshots/throw-away=true"
    assert why_not_ours(copy, OURS) == ""


def test_a_copy_that_is_kept_has_never_the_label_by_which_it_would_be_removed() -> None:
    labels = labels_of(OURS, keep=True)
    assert labels == {
        LABEL_MANAGED_BY: "me", LABEL_RESTORE_ID: "drill-1", LABEL_SERVER_ID: "4711"
    }  # fmt: skip
    assert why_not_removed(replace(COPY, labels=labels), OURS)


def test_nothing_is_removed_when_it_is_not_known_when_the_restore_began() -> None:
    assert why_not_removed(COPY, replace(OURS, began=None)) == (
        "it is not known when the restore began"
    )


def test_only_remove_server_deletes_servers_and_only_check_server_switches_them() -> None:
    code = {path: path.read_text() for path in (ROOT / "handler").rglob("*.py")}

    def where(pattern: str) -> set[str]:
        return {path.name for path, text in code.items() if re.search(pattern, text)}

    assert where(r"\.delete_copy\b") == {"remove_server.py"}
    assert where(r"\.power_off\(|\.power_on\(") == {"check_server.py"}
    # These are behind those names, and nothing else of the kind is asked for anywhere.
    assert where(r'"DELETE", f?"/servers') == where(r"/actions/power") == {"copies.py"}
    assert where(r"/actions/(rebuild|reset|reboot|shutdown)|client\.servers") == set()
    # Of an image and of a server.
    assert where(r'"DELETE"') == {"api.py", "copies.py"}
