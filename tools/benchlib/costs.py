"""costs.py: what a task costs: wall and processor seconds, peak memory, page faults; every allocator, round after round."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .allocators import Allocator
from .programs import compile_c
from .session import Session
from .watch import Watch

UNITS = {"time": "s", "peak": "MiB", "cpu": "s", "faults": ""}
LEAST_PEAK = 1.0  # MiB; what a task holds beyond a trivial program's memory counts as no less


@dataclass(frozen=True)
class Task:
    name: str
    command: list[str]
    without: frozenset[str] = frozenset()  # allocators it says nothing about

    def line(self, unit: str) -> str:
        return f"{self.name} {unit}"


class Meter:
    """Runs commands one at a time. Not on one core: tasks have threads and processes of their own, as some allocators have."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.program = compile_c(Path(__file__).with_name("spent.c"), session.scratch / "spent", "-O2")
        self.figures = session.scratch / "figures"

    def cost(self, allocator: Allocator, command: list[str], watched: Watch | None = None) -> dict[str, float] | None:
        """By UNITS. The peak is the largest process's, or of everything together as far as watching has seen it."""
        words = [str(self.program), str(self.figures), *command]
        run = self.session.run(allocator, words, pinned=False, watched=watched)
        if not run:
            return None
        wall, processor, faults, resident = map(float, self.figures.read_text().split())
        peak = max((sample.resident for sample in run.samples), default=resident / 1024)
        return {"time": wall, "peak": peak, "cpu": processor, "faults": faults}


def measure(session: Session, tasks: list[Task], watched: Watch | None = None, trivial: Path | None = None) -> None:
    """Fills in a line for each task and unit. Of the peaks, what the trivial program takes under that allocator is deducted."""
    session.rounds_or(11)
    session.warm_mib = 512
    session.placement = "on all cores"
    session.results.wanted = re.compile("")  # the filter has chosen tasks
    if not tasks:
        return
    meter = Meter(session)
    for number, allocators in session.interleaved():
        idle = {a: meter.cost(a, [str(trivial)]) for a in allocators} if trivial else {}
        for allocator, cost in idle.items():
            if cost:
                session.results.add("trivial program peak", "MiB", allocator, cost["peak"])
        for at, task in enumerate(tasks):
            session.progress(f"round {number + 1} of {session.rounds}, {task.name}")
            for allocator in session.rotated(number + at):
                cost = None if allocator.name in task.without else meter.cost(allocator, task.command, watched)
                if not cost:
                    continue
                if base := idle.get(allocator):
                    cost["peak"] = max(LEAST_PEAK, cost["peak"] - base["peak"])
                for unit, value in cost.items():
                    session.results.add(task.line(unit), UNITS[unit], allocator, value)
