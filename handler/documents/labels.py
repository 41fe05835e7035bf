"""Our labels: on servers written by people, on snapshots by us. All begin `hetzner-snapshots/`."""

import re

# On servers.
LABEL_ENABLED = "hetzner-snapshots/enabled"
LABEL_RETENTION = "hetzner-snapshots/retention"
LABEL_EVERY = "hetzner-snapshots/every"
LABEL_DRILL = "hetzner-snapshots/drill"
LABEL_PROBE = "hetzner-snapshots/probe"
# On the servers that we make of snapshots.
LABEL_RESTORE_ID = "hetzner-snapshots/restore-id"
LABEL_THROW_AWAY = "hetzner-snapshots/throw-away"
# On snapshots.
LABEL_MANAGED_BY = "hetzner-snapshots/managed-by"
LABEL_RUN_ID = "hetzner-snapshots/run-id"
LABEL_SERVER_ID = "hetzner-snapshots/server-id"
LABEL_SERVER_NAME = "hetzner-snapshots/server-name"
LABEL_PROVEN_AT = "hetzner-snapshots/proven-at"
LABEL_PROVEN_BY = "hetzner-snapshots/proven-by"
LABEL_UNPROVEN_AT = "hetzner-snapshots/unproven-at"
LABEL_SERVER_PROVEN_AT = "hetzner-snapshots/server-proven-at"
LABEL_SERVER_DRILLED_AT = "hetzner-snapshots/server-drilled-at"


def label_value(text: str) -> str:
    """The text as a Hetzner label value: at most 63 of [A-Za-z0-9._-], alphanumeric at its ends."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text).strip("._-")[:63].rstrip("._-")
