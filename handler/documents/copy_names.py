"""What the copies are called. A name is derived, so that a create that comes twice is refused."""


def drill_name(restore_id: str, server_id: int) -> str:
    """A throw-away copy's name: a host name of at most 63 characters."""
    return f"drill-{restore_id}-{server_id}".lower()


def restore_name(restore_id: str, server_id: int) -> str:
    """A kept copy's name, if a person gives it none."""
    return f"restore-{restore_id}-{server_id}".lower()
