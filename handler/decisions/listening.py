"""Whether what greets is the system of the snapshot: pure."""

from collections.abc import Iterable

from handler.documents.resources import Action

SSH = "SSH-"
# After these something else than the snapshot may be what has started.
OTHER_SYSTEMS = ("enable_rescue", "attach_iso", "rebuild_server")


def is_greeting(heard: str) -> bool:
    return heard.startswith(SSH)


def why_no_proof(done: Iterable[Action]) -> str:
    """Why a greeting of the copy says nothing about its snapshot, by what was done to the copy."""
    for action in done:
        if action.command in OTHER_SYSTEMS:
            return f"it greets, but {action.command} was used on it: that is no proof."
    return ""
