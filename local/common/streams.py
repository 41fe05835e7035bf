"""A command's streams: one may be closed, in another coding, or shown what others have written."""

import io
import os
import sys
from pathlib import Path

from handler.documents.printable import printable_lines


class Plain(io.TextIOWrapper):
    """Writes lines of text, and in them nothing that a terminal would obey."""

    def write(self, text: str) -> int:
        super().write(printable_lines(text))
        return len(text)


def steady_streams() -> None:
    """From here on no stream raises for what it lacks: being open, or a character."""
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - as long as the process
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace" if stream is sys.stdin else "backslashreplace")


def plain_streams() -> None:
    """The same, for a command that shows text of AWS and Hetzner and no colours."""
    steady_streams()
    for name in ("stdout", "stderr"):
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            coding, errors = stream.encoding, stream.errors
            plain = Plain(stream.detach(), coding, errors, line_buffering=True)
            setattr(sys, name, plain)
