"""results.py: samples by line and allocator, their medians, and how ours stands against the fastest peer.

Every line is a cost: lower is better.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from statistics import median

from .allocators import OURS, Allocator

NEAR = 1.15  # ours within 15 % of the fastest peer still counts as near


@dataclass
class Line:
    name: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)

    def median(self, allocator: str) -> float | None:
        samples = self.samples.get(allocator)
        return median(samples) if samples else None


@dataclass
class Results:
    allocators: list[Allocator]
    wanted: re.Pattern[str]
    lines: dict[str, Line] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)  # allocator, what happened
    notes: list[str] = field(default_factory=list)

    def add(self, line: str, unit: str, allocator: Allocator, value: float) -> None:
        if self.wanted.search(line):
            self.lines.setdefault(line, Line(line, unit)).samples.setdefault(allocator.name, []).append(value)

    def fail(self, allocator: Allocator, what: str) -> None:
        self.failures.append((allocator.name, what))

    def ours_failed(self) -> bool:
        return any(name == OURS for name, _ in self.failures)

    def fastest_peer(self, line: Line) -> str | None:
        peers = [a.name for a in self.allocators if a.name != OURS and not a.reference and a.name in line.samples]
        return min(peers, key=line.median, default=None)

    def ratio(self, line: Line) -> float | None:
        """Ours over the fastest peer; None without either, or where the peer's cost is nothing."""
        ours, peer = line.median(OURS), self.fastest_peer(line)
        best = line.median(peer) if peer else None
        return ours / best if ours is not None and best and best > 0 else None

    def standing(self) -> dict[str, int]:
        """How many lines are ahead (at most the fastest peer's cost), near (up to NEAR times it) and behind."""
        ratios = [ratio for ratio in map(self.ratio, self.lines.values()) if ratio is not None]
        ahead = sum(ratio <= 1 for ratio in ratios)
        behind = sum(ratio > NEAR for ratio in ratios)
        return {"ahead": ahead, "near": len(ratios) - ahead - behind, "behind": behind}
