"""The picture: makespan and requests against the size of the fleet, on light and on dark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.bound import REQUESTS_PER_SERVER
from bench.figures import Line
from local.simulator.random_fleet import SHARE_WITH_HISTORY

SECONDS = {60: "1 min", 300: "5 min", 1200: "20 min", 3600: "1 h", 14_400: "4 h", 57_600: "16 h"}
REQUESTS = {5: "5", 10: "10", 20: "20", 40: "40", 80: "80"}


@dataclass(frozen=True)
class Theme:
    ink: str
    faint: str
    colours: dict[str, str]


LIGHT = Theme(
    "#1f2328",
    "#d1d9e0",
    {"ours": "#0969da", "script": "#9a6700", "naive": "#cf222e", "bound": "#59636e"},
)
DARK = Theme(
    "#e6edf3",
    "#3d444d",
    {"ours": "#4493f8", "script": "#d29922", "naive": "#f85149", "bound": "#9198a1"},
)
NAMES = {"ours": "ours", "script": "plain script", "naive": "naive fan-out", "bound": "lower bound"}


def draw(lines: Sequence[Line], folder: Path) -> list[Path]:
    """benchmark.svg and benchmark-dark.svg, the same bytes for the same lines."""
    settings: Any = {
        "svg.hashsalt": "hetzner-snapshots",
        "font.family": "DejaVu Sans",
        "font.size": 11,
    }
    paths = []
    for name, theme in (("benchmark.svg", LIGHT), ("benchmark-dark.svg", DARK)):
        path = folder / name
        with matplotlib.rc_context(settings):
            _figure(lines, theme).savefig(
                path, format="svg", transparent=True, metadata={"Date": None}
            )
        paths.append(path)
    return paths


def _figure(lines: Sequence[Line], theme: Theme) -> Figure:
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = sorted({line.servers for line in lines})
    bound = {line.servers: line.bound_s for line in lines if line.way == "ours"}
    fewest = dict.fromkeys(sizes, REQUESTS_PER_SERVER + SHARE_WITH_HISTORY)
    _panel(left, lines, lambda line: line.makespan_s, bound, theme, SECONDS)
    left.set_title("How long a night takes", color=theme.ink, loc="left", weight="bold")
    _panel(right, lines, lambda line: line.requests, fewest, theme, REQUESTS)
    right.set_title("Requests to Hetzner per server", color=theme.ink, loc="left", weight="bold")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, frameon=False, labelcolor=theme.ink
    )
    return figure


def _panel(
    axes: Any,
    lines: Sequence[Line],
    figure: Callable[[Line], float],
    least: dict[int, float],
    theme: Theme,
    ticks: dict[int, str],
) -> None:
    for way in ("script", "naive", "ours"):
        points = sorted((line.servers, figure(line)) for line in lines if line.way == way)
        width = 2.6 if way == "ours" else 1.8
        axes.plot(
            *zip(*points, strict=True), "o-", color=theme.colours[way], label=NAMES[way],
            linewidth=width, markersize=5,
        )  # fmt: skip
    axes.plot(
        list(least), list(least.values()), "--", color=theme.colours["bound"], label=NAMES["bound"]
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(least)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: ticks.get(round(value), "")))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("servers in one project", color=theme.ink)
    axes.tick_params(colors=theme.ink, length=0)
    axes.grid(color=theme.faint, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("bottom", "left"))
        spine.set_color(theme.faint)
