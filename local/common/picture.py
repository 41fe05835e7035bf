"""The picture of a run: a bar for each server. SVG whose colours are CSS variables."""

import io
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from local.common.timeline import Bar, Kind, Phase, Timeline

# Matplotlib knows no CSS variables: each stands for one while it draws.
COLOURS = {
    name: f"#fe00{number:02x}"
    for number, name in enumerate(
        [
            *("text", "muted", "line", "page"),
            *("locked", "waiting", "snapshotting", "unseen", "pruning", "failed", "failed-soft"),
        ]
    )
}
KIND_WORDS: dict[Kind, str] = {
    "locked": "locked",
    "waiting": "waiting, not for a lock",
    "snapshotting": "snapshotting",
    "unseen": "done, not yet noticed",
    "pruning": "pruning",
    "failed": "attempt that failed",
}
WIDTH = 1000  # points, as everything here
TOP, BOTTOM = 26, 28
LABEL_CHARACTERS = 30
CHARACTER = 6.3
# The share of the width that is left free, for the words after the longest bar.
FOR_WORDS = 0.2
TICKS_S = [*(5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600), *(7200, 14400, 28800, 86400)]
MOST_TICKS = 9
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hetzner-snapshots",
    "text.parse_math": False,
    "font.size": 11.5,
    "hatch.linewidth": 1.2,
    "text.color": COLOURS["text"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["text"],
}


def ordered(timeline: Timeline) -> list[Bar]:
    """By project; what went wrong first, then the longest."""
    return sorted(
        timeline.bars,
        key=lambda bar: (bar.project, not bar.bad, -bar.end_s, bar.server),
    )


def picture(timeline: Timeline) -> str:
    """An SVG element to stand in an HTML page that defines --text, --locked and so on.

    A server's phases are groups with the ids phase-{row}-{number}, rows as `ordered`.
    """
    bars = ordered(timeline)
    several = len({bar.project for bar in bars}) > 1
    labels = [_cut(f"{bar.project}/{bar.server}" if several else bar.server) for bar in bars]
    row = 25 if len(bars) <= 30 else 18
    height = TOP + BOTTOM + row * len(bars)
    left = 16 + CHARACTER * max(map(len, labels), default=0)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / 72, height / 72))
        axes = figure.add_axes(
            (left / WIDTH, BOTTOM / height, 1 - (left + 4) / WIDTH, row * len(bars) / height)
        )
        _scale(axes, timeline, labels)
        for number, bar in enumerate(bars):
            _draw(axes, number, bar)
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    return _for_a_page(file.getvalue(), dict(_titles(timeline, bars)), len(bars))


def words(seconds: int) -> str:
    """Never rounded: the table of servers has the same times to the second."""
    if seconds < 120:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60) if minutes >= 120 else (0, minutes)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def _scale(axes: Axes, timeline: Timeline, labels: list[str]) -> None:
    end_s = max(timeline.end_s, 10)
    axes.set_xlim(-end_s * 0.004, end_s / (1 - FOR_WORDS))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_yticks(range(len(labels)), labels=labels)
    step = next((step for step in TICKS_S if end_s / step <= MOST_TICKS), TICKS_S[-1])
    offset = 0
    if timeline.began:
        midnight = timeline.began.replace(hour=0, minute=0, second=0, microsecond=0)
        offset = -round((timeline.began - midnight).total_seconds()) % step
    moments = list(range(offset, end_s + 1, step))
    axes.set_xticks(moments, labels=[_moment(timeline, moment, step) for moment in moments])
    axes.tick_params(length=0, labeltop=len(labels) > 12)
    axes.grid(axis="x", color=COLOURS["line"], linewidth=0.8)
    axes.set_axisbelow(True)


def _moment(timeline: Timeline, seconds: int, step: int = 1) -> str:
    if not timeline.began:
        return words(seconds)
    moment = timeline.began + timedelta(seconds=seconds)
    return f"{moment:%H:%M}" if step % 60 == 0 else f"{moment:%H:%M:%S}"


def _draw(axes: Axes, number: int, bar: Bar) -> None:
    for index, phase in enumerate(bar.phases):
        lost = phase.kind == "failed"
        axes.barh(
            number,
            phase.seconds,
            left=phase.start_s,
            height=0.6,
            color=COLOURS["failed-soft" if lost else phase.kind],
            edgecolor=COLOURS["failed"] if lost else "none",
            linewidth=0,
            hatch="///" if lost else None,
        ).patches[0].set_gid(f"phase-{number}-{index}")
    for moment in bar.failed_actions_s:
        _mark(axes, moment, number, "X", "failed", 9)
    colour, mark = _end(bar)
    _mark(axes, bar.end_s, number, mark, colour, 9 if mark == "X" else 8)
    axes.annotate(
        _outcome(bar),
        (bar.end_s, number),
        xytext=(10, 0),
        textcoords="offset points",
        verticalalignment="center_baseline",
        color=COLOURS["failed" if bar.bad else "muted"],
        annotation_clip=False,
    )


def _mark(axes: Axes, x: int, y: int, mark: str, colour: str, size: int) -> None:
    axes.plot(
        x,
        y,
        mark,
        markersize=size,
        color=COLOURS[colour],
        markeredgecolor=COLOURS["page"],
        markeredgewidth=1,
        clip_on=False,
    )


def _end(bar: Bar) -> tuple[str, str]:
    if bar.status == "failed":
        return "failed", "X"
    if not bar.pruned:
        return "failed", "o"
    return ("pruning", "o") if bar.status in ("available", "pruned") else ("waiting", "o")


def _outcome(bar: Bar) -> str:
    took = words(bar.end_s - bar.start_s)
    if bar.status not in ("available", "pruned", "planned"):
        return f"{bar.status}, {took}"
    parts = [bar.status] if bar.status == "planned" else [took]
    parts += [] if bar.pruned else ["not pruned"]
    would = "would delete " if bar.status == "planned" else ""
    parts += [f"{would}{bar.deleted}" + ("" if would else " deleted")] if bar.deleted else []
    return ", ".join(parts)


def _titles(timeline: Timeline, bars: list[Bar]) -> Iterator[tuple[str, str]]:
    for number, bar in enumerate(bars):
        for index, phase in enumerate(bar.phases):
            yield f"phase-{number}-{index}", f"{bar.server}: {_told(timeline, phase)}"


def _told(timeline: Timeline, phase: Phase) -> str:
    times = f"{_moment(timeline, phase.start_s)} to {_moment(timeline, phase.end_s)}"
    reason = f": {phase.reason}" if phase.reason else ""
    return f"{KIND_WORDS[phase.kind]} {words(phase.seconds)}, {times}{reason}"


def _for_a_page(svg: str, titles: Mapping[str, str], servers: int) -> str:
    """The SVG for a page: without a file's header, with the page's colours and with titles."""
    svg = svg[svg.index("<svg") :]
    about = f"One bar for each of {servers} servers; the table below has the same facts."
    svg = re.sub(r'<svg ([^>]*?)width="\S+" height="\S+"', r"<svg \1", svg, count=1)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{about}" ', 1)
    # The page says which font.
    svg = re.sub(r"font-family: [^;]+; ", "", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return re.sub(
        r'<g id="(phase-\d+-\d+)">',
        lambda found: f"{found[0]}<title>{escape(titles[found[1]])}</title>",
        svg,
    )


def _cut(label: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in label)
    whole = len(printable) <= LABEL_CHARACTERS
    return printable if whole else printable[: LABEL_CHARACTERS - 1] + "…"
