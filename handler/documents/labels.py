"""Our labels: on servers written by people, on snapshots by us. All begin `hetzner-snapshots/`."""

import re

# On servers.
LABEL_ENABLED = "hetzner-snapshots/enabled"
LABEL_RETENTION = "hetzner-snapshots/retention"
LABEL_EVERY = "hetzner-snapshots/every"
# On snapshots.
LABEL_MANAGED_BY = "hetzner-snapshots/managed-by"
LABEL_RUN_ID = "hetzner-snapshots/run-id"
LABEL_SERVER_ID = "hetzner-snapshots/server-id"
LABEL_SERVER_NAME = "hetzner-snapshots/server-name"


def label_value(text: str) -> str:
    """The text as a Hetzner label value: at most 63 of [A-Za-z0-9._-], alphanumeric at its ends."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text).strip("._-")[:63].rstrip("._-")
