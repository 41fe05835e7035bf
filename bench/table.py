"""The figures as rows of text: for the terminal, and for docs/benchmark.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.deployed import Deployed
from bench.figures import Group, Line
from bench.pure import Scaled

NAMES = {"ours": "ours", "script": "plain script", "naive": "naive fan-out"}


@dataclass(frozen=True, slots=True)
class Rows:
    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def show(self, console: Console) -> None:
        table = Table(title=self.title, title_justify="left")
        for head in self.heads:
            table.add_column(head, justify="left" if head == "way" else "right")
        firsts = [row[0] for row in self.rows]
        in_groups = len(set(firsts)) < len(firsts)
        for row, following in zip(self.rows, [*firsts[1:], ""], strict=True):
            table.add_row(*row, end_section=in_groups and row[0] != following)
        console.print(table)

    def markdown(self) -> str:
        lines = [self.heads, tuple("---" if h == "way" else "--:" for h in self.heads), *self.rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def of_lines(lines: Sequence[Line]) -> Rows:
    heads = (
        *("servers", "way", "seeds", "makespan", "x bound", "worst", "requests", "429"),
        *("least left", "polls", "overshoot", "p95", "unlock", "transitions"),
        *("Lambda ms", "$/1,000", "failed"),
    )
    return Rows("Nights, median of the seeds", heads, [_line(line) for line in lines])


def _line(line: Line) -> tuple[str, ...]:
    refused = f"{line.refused:,.0f} ({line.refused_share:.1%})" if line.refused_share else "0"
    on_aws = line.way != "script"
    return (
        f"{line.servers:,}",
        NAMES[line.way],
        f"{line.seeds}",
        duration(line.makespan_s),
        f"{line.ratio:.2f}",
        f"{line.worst_ratio:.2f}",
        f"{line.requests:.1f}",
        refused,
        f"{line.least_left:,}",
        f"{line.polls:.0f}",
        f"{line.overshoot.median_s:.0f} s",
        f"{line.overshoot.p95_s:.0f} s",
        "-" if line.unlocked_s is None else f"{line.unlocked_s:.0f} s",
        f"{line.transitions:.1f}" if on_aws else "-",
        f"{line.lambda_ms:,.0f}" if on_aws else "-",
        f"{line.dollars:.2f}" if on_aws else "a host",
        f"{line.failed}",
    )


def of_bounds(lines: Sequence[Line]) -> Rows:
    heads = ("servers", "at once", "by the rate limit", "bound")
    ours = [line for line in lines if line.way == "ours"]
    rows = [
        (f"{b.servers:,}", duration(b.at_once_s), duration(b.by_rate_s), duration(b.bound_s))
        for b in ours
    ]
    return Rows("The lower bound", heads, rows)


def of_groups(groups: dict[int, list[Group]]) -> Rows:
    heads = (
        *("servers", "history", "progress", "sample", "polls", "overshoot", "p95"),
        *("of max(15 s, 10 %), median", "of max(15 s, 20 %), p95"),
    )
    rows = [_group(servers, group) for servers, some in groups.items() for group in some]
    return Rows("Ours, by what is known of a server", heads, rows)


def _group(servers: int, group: Group) -> tuple[str, ...]:
    return (
        f"{servers:,}",
        "yes" if group.has_history else "no",
        group.style,
        f"{group.servers}",
        f"{group.polls:.0f}",
        f"{group.overshoot.median_s:.0f} s",
        f"{group.overshoot.p95_s:.0f} s",
        f"{group.overshoot.median_of_promise:.2f}",
        f"{group.overshoot.p95_of_promise:.2f}",
    )


def of_scaled(scaled: Sequence[Scaled]) -> Rows:
    heads = (
        *("servers", "projects", "makespan", "requests", "429", "polls, mean", "transitions"),
        *("all requests", "all transitions", "$ a night"),
    )
    rows = [
        (
            f"{each.servers:,}",
            f"{each.projects}",
            duration(each.makespan_s),
            f"{each.requests:.1f}",
            f"{each.refused_share:.1%}" if each.refused_share else "0",
            f"{each.polls:.1f}",
            f"{each.transitions:.1f}",
            f"{each.all_requests:,}",
            f"{each.all_transitions:,}",
            f"{each.dollars:.2f}",
        )
        for each in scaled
    ]
    return Rows("The pacing alone, up to 500 servers a project", heads, rows)


def of_deployed(played: Deployed, line: Line | None) -> Rows:
    """`line`: ours in virtual time, to compare with."""
    heads = ("servers", "way", "makespan", "x bound", "requests", "failed", "real time")
    rows = [
        (
            f"{played.servers:,}",
            f"deployed on the local cloud, time times {played.scale}",
            duration(played.makespan_s),
            f"{played.ratio:.2f}",
            f"{played.requests:.1f}",
            f"{played.failed}",
            f"{played.real_s:.0f} s",
        )
    ]
    if line:
        rows.append(
            (
                f"{line.servers:,}",
                "in virtual time, median of the seeds",
                duration(line.makespan_s),
                f"{line.ratio:.2f}",
                f"{line.requests:.1f}",
                f"{line.failed}",
                "-",
            )
        )
    return Rows("The same on real processes and sockets", heads, rows)


def duration(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s"
