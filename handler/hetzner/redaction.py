"""Takes out of Hetzner's texts what must not be told or shown: secrets and control characters.

Its 429, for one, quotes the first 32 characters of our token. Names are what people have written.
"""

import re
from collections.abc import Iterable
from typing import Any

from handler.documents.printable import printable

PIECE = 8  # a text that holds so many characters of a token in a row is redacted
HIDDEN = "[token]"
SECRET_FIELDS = frozenset({"root_password"})  # in the answer to the create of a server
# Letters and digits in a long run. What is all lower-case hex is a correlation id.
LONG_RUN = re.compile(r"[A-Za-z0-9]{20,}", re.ASCII)
# What is quoted as a token, or sent as one: a function does not know one that has been replaced.
QUOTED = re.compile(
    r"""(\btokens?[\s:=]{1,3}['"`]|\bBearer\s+)[A-Za-z0-9]{8,}""", re.ASCII | re.IGNORECASE
)
CORRELATION_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")


class Redaction:
    """Knows the tokens that were used."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        self._pieces: set[str] = set()
        self._may_hold = re.compile("(?!)")
        for token in tokens:
            self.add(token)

    def add(self, token: str) -> None:
        self._pieces |= {token[at : at + PIECE] for at in range(len(token) - PIECE + 1)}
        if self._pieces:
            used = "".join(map(re.escape, sorted(set().union(*self._pieces))))
            self._may_hold = re.compile(f"[{used}]{{{PIECE}}}")

    def text(self, text: str) -> str:
        """A text of Hetzner's in one line, without these tokens and what looks like another."""
        return redacted(self._without(text))

    def values(self, value: Any) -> Any:
        """An answer, each text in one line without these tokens; names may look like a token.

        Fields that hold a secret are left out.
        """
        match value:
            case str():
                return self._without(value)
            case list():
                return [self.values(item) for item in value]
            case dict():
                for name in SECRET_FIELDS & value.keys():
                    self.add(str(value[name] or ""))
                value = {key: item for key, item in value.items() if key not in SECRET_FIELDS}
                return {self._without(key): self.values(item) for key, item in value.items()}
        return value

    def _without(self, text: str) -> str:
        # Most texts hold no run of the tokens' characters; a listing has thousands of texts.
        first = self._may_hold.search(text)
        starts = range(first.start() if first else len(text), len(text) - PIECE + 1)
        shown, end = "", 0
        for at in (at for at in starts if text[at : at + PIECE] in self._pieces):
            if at > end or not shown:
                shown += text[end:at] + HIDDEN
            end = at + PIECE
        return printable(shown + text[end:])


def redacted(text: str) -> str:
    """The text without what looks like a token."""
    return LONG_RUN.sub(_hidden, QUOTED.sub(rf"\1{HIDDEN}", text))


def _hidden(run: re.Match[str]) -> str:
    text = run[0]
    is_word = text.isalpha() or text.isdigit()
    return text if is_word or CORRELATION_ID.fullmatch(text) else HIDDEN
