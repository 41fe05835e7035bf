"""What a person sees of a run: a live table, or plain lines where there is no terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local.common.board import Board, Row
from local.common.console import COLOURS, duration


class Show:
    """`clock_speed`: how many of the API's seconds pass in one of ours."""

    def __init__(self, console: Console, clock_speed: float) -> None:
        self.console = console
        self._speed = clock_speed
        self._live: Live | None = None

    @contextmanager
    def run(self, board: Board) -> Iterator[None]:
        if not self.console.is_interactive:
            yield
            return
        with Live(
            console=self.console, get_renderable=lambda: self._table(board), transient=True
        ) as self._live:
            yield
        self._live = None

    def changed(self, row: Row) -> None:
        # Servers that are selected will have lines of their own.
        if self._live is None and row.status != "selected":
            until = f" until {row.until}" if row.until and row.status == "waiting" else ""
            reason = f": {row.reason}" if row.reason else ""
            status = row.status.replace("_", " ")
            self.console.print(
                f"{duration(row.elapsed_s):>8}  {row.server:<16} {status}{until}{reason}",
                soft_wrap=True,
            )

    def _table(self, board: Board) -> Table:
        now = time.monotonic()
        several = len(board.projects) > 1
        # A copy: this runs in the display's own thread.
        rows = sorted(
            list(board.rows.values()), key=lambda row: (row.ended, row.project, row.server)
        )
        space = max(self.console.height - 6, 3)
        ended = sum(row.ended for row in rows)
        table = Table(
            title=f"run {board.run_id}",
            caption=f"{ended} of {len(rows)} servers done",
            box=SIMPLE,
            expand=True,
        )
        for name in ("project",) * several + ("server", "state"):
            table.add_column(name, no_wrap=True)
        for name in ("waited", "elapsed"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("", ratio=1, no_wrap=True, overflow="ellipsis")
        for row in rows[:space]:
            since = 0.0 if row.ended else (now - row.seen) * self._speed
            table.add_row(
                *(row.project,) * several,
                row.server,
                Text(row.status.replace("_", " "), COLOURS.get(row.status, "")),
                duration(row.waited_s + (since if row.status == "waiting" else 0)),
                duration(row.elapsed_s + since),
                Text(row.reason),
            )
        return table
