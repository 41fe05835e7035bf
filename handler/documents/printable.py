"""Text that somebody else may have written, made safe to show."""


def printable(text: str) -> str:
    """One line: control, direction and line-break characters are written as their escapes.

    A terminal, a mail or a log would obey them.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """The same for a text that has lines of its own."""
    return "\n".join(map(printable, text.split("\n")))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
