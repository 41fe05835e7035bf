"""What is left on the screen when a run has ended: verdict, what needs attention, each server."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from local.common.attention import advice, attention
from local.common.board import Board
from local.common.console import COLOURS, duration

# More rows would push the verdict off the screen; the page has all.
MOST_GOOD_SERVERS = 40
# So many servers left out are named; if there are more, only their number is printed.
MOST_OF_A_REASON = 3
# A narrower last column would be a tower of half words.
LEAST_FOR_TEXT = 36
NUMBERS = {"waited", "took", "deleted", "kept", "would delete", "would keep"}

Row = list[Text]


def print_summary(console: Console, board: Board) -> None:
    record = board.record()
    several = len(board.projects) > 1
    console.print()
    for name, project in record["projects"].items():
        where = f"{name}: " if several else ""
        line = Text(f"{where}{project['line']}", COLOURS.get(project["verdict"], "bold red"))
        console.print(line, soft_wrap=not console.is_terminal)
    print_servers(console, board)
    for what, event in advice(board):
        # On a terminal on a line of its own, so that it can be copied whole.
        gap = "\n  " if console.is_terminal else " "
        console.print(f"\n{what}, start StartRun with the event{gap}{event}", soft_wrap=True)
    console.print()


def print_servers(console: Console, board: Board) -> None:
    """What needs attention, and each server; of a dry run with its plan."""
    several = len(board.projects) > 1
    if concerns := attention(board):
        console.print("\nNeeds attention:")
        colours = {"failed": "red", "no result": "red", "note": "dim"}
        _print(
            console,
            [
                [
                    Text("  " + (f"{each.project}/{each.server}" if several else each.server)),
                    Text(each.what, colours.get(each.what, "yellow")),
                    Text(each.reason),
                ]
                for each in concerns
            ],
        )
    if rows := _servers(board, board.record()["servers"]):
        console.print()
        _print(console, rows)


def _servers(board: Board, servers: list[dict[str, Any]]) -> list[Row]:
    """The table of servers: heading, those with a problem, then the others."""
    servers = sorted(servers, key=lambda server: server["status"] != "failed")
    good = [server for server in servers if server["status"] != "failed"]
    if not servers and not _by_reason(board):
        return []
    names = ("would delete", "would keep") if board.dry_run else ("deleted", "kept")
    heading = ("server", "status", "waited", "took", *names, "snapshot", "note")
    rows = [[Text(name, "dim") for name in heading]]
    concerned = {(each.project, each.server) for each in attention(board)}
    for server in servers[: len(servers) - len(good) + MOST_GOOD_SERVERS]:
        told = (server["project"], server["server"]) in concerned
        rows.append(_row(server, "" if told else str(server["reason"] or "")))
        rows += [_decided(decision) for decision in server.get("plan", ())]
    if (more := len(good) - MOST_GOOD_SERVERS) > 0:
        rows.append([Text(f"and {more} more that did not fail", "dim")])
    empty = [Text("")] * 5
    for reason, unselected in _by_reason(board).items():
        many = len(unselected) > MOST_OF_A_REASON
        number = f"{len(unselected)} {'others' if servers else 'servers'}"
        for name in [number] if many else unselected:
            rows.append([Text(name), Text("left out", "dim"), *empty, Text(reason, "dim")])
    return rows


def _by_reason(board: Board) -> dict[str, list[str]]:
    """The servers that were left out."""
    found: dict[str, list[str]] = {}
    for row in board.rows.values():
        if row.status == "left_out":
            found.setdefault(row.reason, []).append(row.server)
    return found


def _row(server: Mapping[str, Any], note: str) -> Row:
    status = str(server["status"])
    facts = [
        duration(server["waited_s"]) if server["waited_s"] else "",
        duration(server["snapshot_s"]) if server["snapshot_s"] else "",
        str(server["deleted"] or ""),
        "" if server["kept"] is None else str(server["kept"]),
        str(server["image_id"] or ""),
        note,
    ]
    return [Text(str(server["server"])), Text(status, COLOURS.get(status, "")), *map(Text, facts)]


def _decided(decision: Mapping[str, Any]) -> Row:
    """A line of a dry run's plan: what would become of a snapshot, and why."""
    verb, colour = ("keep", "") if decision.get("keep") else ("delete", "red")
    image = decision.get("image_id") or "the new one"
    why = f"{decision.get('created')}, {decision.get('reason')}"
    return [Text(""), Text(verb, colour), *(Text(""),) * 4, Text(str(image)), Text(why)]


def _print(console: Console, rows: list[Row]) -> None:
    """Columns: folded to a terminal's width; without a terminal one line each, for grep."""
    columns = max(map(len, rows))
    numbers = {column for column, cell in enumerate(rows[0]) if cell.plain in NUMBERS}
    whole = [row for row in rows if len(row) == columns]
    widths = [max(row[column].cell_len for row in whole) for column in range(columns - 1)]
    if console.is_terminal and console.width - sum(widths) - 2 * len(widths) < LEAST_FOR_TEXT:
        _print_narrow(console, rows, widths, numbers)
        return
    if console.is_terminal:
        table = Table.grid(padding=(0, 2))
        for column in range(columns):
            last = column == columns - 1
            table.add_column(
                justify="right" if column in numbers else "left",
                no_wrap=not last,
                overflow="fold" if last else "ellipsis",
            )
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    for row in rows:
        line = "  ".join(
            cell.plain.rjust(width) if column in numbers else cell.plain.ljust(width)
            for column, (cell, width) in enumerate(zip(row, [*widths, 0], strict=False))
        )
        console.print(line.rstrip(), soft_wrap=True)


def _print_narrow(console: Console, rows: list[Row], widths: list[int], numbers: set[int]) -> None:
    """The last column's text below its row, over the whole width."""
    for place, row in enumerate(rows):
        line = Text()
        for column, (cell, width) in enumerate(zip(row, widths, strict=False)):
            padded = cell.copy()
            padded.align("right" if column in numbers else "left", max(width, cell.cell_len))
            line.append_text(padded).append("  ")
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ellipsis")
        if place and len(row) > len(widths) and row[-1].plain:
            console.print(Padding(row[-1], (0, 0, 0, 4)))
