"""What `make bench` writes: build/bench.json, and the figures in docs/benchmark.md."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.cold import ColdStart
from bench.deployed import Deployed
from bench.figures import Group, Line
from bench.nights import Nights
from bench.promises import Promise
from bench.pure import Scaled
from bench.table import Rows, of_bounds, of_deployed, of_groups, of_lines, of_scaled

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass
class Report:
    seeds: int
    cold: ColdStart
    lines: list[Line]
    groups: dict[int, list[Group]]
    nights: Nights
    scaled: list[Scaled]
    promises: list[Promise] = field(default_factory=list)
    deployed: Deployed | None = None
    not_deployed: str = ""

    def tables(self) -> list[Rows]:
        found = [of_lines(self.lines), of_bounds(self.lines), of_groups(self.groups)]
        if self.deployed:
            found.append(of_deployed(self.deployed, self.line("ours", self.deployed.servers)))
        found.append(of_scaled(self.scaled))
        return [table for table in found if table.rows]

    def line(self, way: str, servers: int) -> Line | None:
        return next((x for x in self.lines if (x.way, x.servers) == (way, servers)), None)

    def write_json(self, path: Path) -> None:
        document = asdict(self) | {
            "nights": [
                {name: value for name, value in asdict(night).items() if name != "samples"}
                for some in self.nights.values()
                for night in some
            ]
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")

    def write_into(self, page: Path) -> None:
        """Between the marks of that page; raises ValueError if it has none."""
        before, _, rest = page.read_text().partition(BEGIN)
        _, mark, after = rest.partition(END)
        if not mark:
            raise ValueError(f"{page} has no {BEGIN} … {END}")
        page.write_text(f"{before}{BEGIN}\n{self._figures()}\n{END}{after}")

    def _figures(self) -> str:
        parts = [f"### {table.title}\n\n{table.markdown()}" for table in self.tables()]
        if self.not_deployed:
            parts.append(f"The local cloud was not played on: {self.not_deployed}")
        parts.append(f"### What was promised\n\n{listed(self.promises)}")
        return "\n\n".join(parts)


def listed(promises: Sequence[Promise]) -> str:
    return "\n".join(
        f"- {'ok' if promise.holds else '**not ok**'}: {promise.text}: {promise.figure}"
        for promise in promises
    )
