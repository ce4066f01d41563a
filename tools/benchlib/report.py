"""report.py: one result set as a table for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from .allocators import OURS
from .results import NEAR, Line, Results

LEFT = 2  # so many columns of a table are names, not numbers


def first_match(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "unknown")


def thp_mode() -> str:
    try:
        return Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        return "unavailable"


def machine() -> dict[str, str]:
    return {
        "machine": f"{first_match('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, "
        f"{first_match('/proc/meminfo', 'MemTotal')} memory",
        "kernel": f"{platform.system()} {platform.release()}",
        "thp": thp_mode(),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def aligned(rows: list[list[str]]) -> list[str]:
    """As a table of text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def padded(row: list[str]) -> str:
        cells = enumerate(zip(row, widths))
        return "  ".join(cell.ljust(width) if column < LEFT else cell.rjust(width) for column, (cell, width) in cells).rstrip()

    return [padded(row) for row in rows]


def markdown_table(rows: list[list[str]]) -> list[str]:
    head, *others = rows
    rule = ["---" if column < LEFT else "---:" for column in range(len(head))]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *others)]


@dataclass
class Report:
    suite: str
    rounds: int
    results: Results
    placement: str = "single-threaded lines on one core"

    def header(self) -> list[str]:
        about = [f"{key}: {value}" for key, value in machine().items()]
        about.append(f"method: medians of {self.rounds} interleaved rounds, {self.placement}; lower is better")
        about += [f"{a.name}: {a.version}{' (a reference, no peer)' if a.reference else ''}" for a in self.results.allocators]
        return about + [f"note: {note}" for note in self.results.notes]

    def has_ours(self) -> bool:
        return any(allocator.name == OURS for allocator in self.results.allocators)

    def cells(self, line: Line) -> list[str]:
        medians = [number(line.median(allocator.name)) for allocator in self.results.allocators]
        if not self.has_ours():
            return [line.name, line.unit, *medians]
        ratio = self.results.ratio(line)
        mark = "" if ratio is None else " BEHIND" if ratio > NEAR else ""
        peer = self.results.fastest_peer(line) or "-"
        return [line.name, line.unit, *medians, peer, number(ratio) + mark]

    def rows(self) -> list[list[str]]:
        head = ["line", "unit", *(allocator.name for allocator in self.results.allocators)]
        if self.has_ours():
            head += ["best peer", "ours/best"]
        return [head, *(self.cells(line) for line in self.results.lines.values())]

    def tables(self) -> list[list[list[str]]]:
        return [self.rows()]

    def failures(self) -> list[str]:
        return [f"FAILED {name}: {what}" for name, what in self.results.failures]

    def footer(self) -> list[str]:
        lines = self.failures()
        if self.has_ours():
            standing = self.results.standing()
            lines.append(f"ours: {standing['ahead']} lines ahead, {standing['near']} within 15 %, {standing['behind']} behind")
        return lines

    def text(self) -> str:
        tables = [line for table in self.tables() for line in (*aligned(table), "")]
        return "\n".join([f"bench {self.suite}", *self.header(), "", *tables, *self.footer()])

    def markdown(self) -> str:
        about = [f"- {line}" for line in self.header()]
        tables = [line for table in self.tables() for line in (*markdown_table(table), "")]
        footer = [f"- {line}" for line in self.footer()]
        return "\n".join([f"## bench {self.suite}", "", *about, "", *tables, *footer, ""])

    def json(self) -> str:
        return json.dumps(self.content(), indent=1)

    def content(self) -> dict:
        lines = [
            {
                "name": line.name,
                "unit": line.unit,
                "medians": {name: line.median(name) for name in line.samples},
                "samples": line.samples,
                "best_peer": self.results.fastest_peer(line),
                "ratio": self.results.ratio(line),
            }
            for line in self.results.lines.values()
        ]
        allocators = [
            {"name": a.name, "library": str(a.library or ""), "version": a.version, "reference": a.reference}
            for a in self.results.allocators
        ]
        return {
            "suite": self.suite,
            **machine(),
            "rounds": self.rounds,
            "allocators": allocators,
            "notes": self.results.notes,
            "lines": lines,
            "standing": self.results.standing() if self.has_ours() else None,
            "failures": [{"allocator": name, "what": what} for name, what in self.results.failures],
        }
