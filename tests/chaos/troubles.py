"""What can go wrong in a night: each trouble arranges one random fault and returns its text."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.virtual.stage import Stage


class Mild(str):
    """The text of a trouble after which every server must still get its snapshot."""

    __slots__ = ()


Trouble = Callable[["Stage", random.Random], str]


class Troubles(list[Trouble]):
    """A file's troubles, in the file's order; some are chosen more often."""

    def one(self, trouble: Trouble) -> Trouble:
        self.append(trouble)
        return trouble

    def frequent(self, trouble: Trouble) -> Trouble:
        self.extend([trouble] * 4)
        return trouble
