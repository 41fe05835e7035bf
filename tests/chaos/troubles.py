"""What can go wrong in a night: each trouble arranges one thing, drawn, and says what it was."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.virtual.stage import Stage


class Mild(str):
    """A trouble that every run must get over: each server gets its snapshot all the same."""

    __slots__ = ()


Trouble = Callable[["Stage", random.Random], str]


class Troubles(list[Trouble]):
    """A file's troubles, in its order; some are drawn more often."""

    def one(self, trouble: Trouble) -> Trouble:
        self.append(trouble)
        return trouble

    def frequent(self, trouble: Trouble) -> Trouble:
        self.extend([trouble] * 4)
        return trouble
