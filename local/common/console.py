"""How a run is printed: the console, the colours of statuses, times."""

from typing import TextIO

from rich.console import Console

COLOURS = {
    "creating": "cyan",
    "due": "cyan",
    "waiting": "yellow",
    "available": "green",
    "pruning": "green",
    "pruned": "green",
    "planned": "blue",
    "skipped": "yellow",
    "failed": "red",
    "left_out": "dim",
    "Completed": "bold green",
    "PartiallyFailed": "bold red",
    "Failed": "bold red",
}


def plain_console(file: TextIO | None = None) -> Console:
    """Prints text as it is: names and reasons must not be read as markup."""
    return Console(file=file, highlight=False, markup=False, emoji=False)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
