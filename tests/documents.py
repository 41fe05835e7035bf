"""Documents that many tests start from."""

from handler.documents.document import Run

RUN = Run(
    id="night",
    project="default",
    owner="me",
    retention="last3",
    on_locked="wait",
    dry_run=False,
    prune_only=False,
    max_deletions=5,
    servers_at_a_time=100,
    lock_wait_minutes=60,
    snapshot_minutes=180,
)
