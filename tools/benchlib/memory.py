"""memory.py: what comes back, in MiB of RSS and of a cgroup's charge: the memory probe's modes, a fresh process each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import mean, median

from .allocators import Allocator
from .programs import compile_c, probe_source
from .session import Run, Session
from .watch import RESIDENT

# Mode and arguments, and which of the probe's phases are lines of the table.
MODES = (
    (("drop", "700"), ("freed", "idle1s", "trim")),
    (("churn", "200", "6"), ("troughs",)),
    (("sites", "200"), ("idle1s", "trim")),
    (("survivors", "400", "128"), ("idle1s", "trim")),
    (("threads", "400"), ("freed+1s",)),
    (("pages", "200", "60"), ("round59",)),
)
SMALL_AT_PEAK, TIME = "small pages at peak", "time"
PEAKS = ("peak", "full")
SMALL = 32.0  # MiB: as much of a heap may be on small pages
LINE = re.compile(r"^(\S+) +t=([\d.]+) live [\d.]+ rss ([\d.]+) .* huge ([\d.]+) (charge|memdrop) (-?[\d.]+)")


@dataclass(frozen=True)
class Phase:
    """MiB, the probe's own arrays not counted."""

    name: str
    seconds: float
    resident: float
    huge: float
    charge: float | None

    @classmethod
    def of(cls, match: re.Match[str]) -> Phase:
        name, seconds, resident, huge, kind, charge = match.groups()
        return cls(name, float(seconds), float(resident), float(huge), float(charge) if kind == "charge" else None)


def memory(session: Session) -> None:
    """What comes back: RSS and a cgroup's charge in MiB after phases of the memory probe, and seconds for the whole of it."""
    session.rounds_or(3)
    session.warm_mib = 1024
    probe = str(compile_c(probe_source(session.root, "memory.c"), session.scratch / "memory", "-O2", "-fno-builtin", "-lpthread"))
    modes = [mode for mode in MODES if any(map(session.wanted.search, lines_of(*mode)))]
    for number, _ in session.interleaved():
        for at, (arguments, lines) in enumerate(modes):
            name = " ".join(arguments)
            session.progress(f"round {number + 1} of {session.rounds}, {name}")
            for allocator in session.rotated(number + at):
                run = session.run(allocator, [probe, *arguments], pinned=arguments[0] != "threads", watched=RESIDENT)
                if not run:
                    continue
                phases = phases_of(run.output)
                for line in lines:
                    add(session, allocator, f"{name} {line}", phases)
                for peak in (phase for phase in phases if phase.name in PEAKS):
                    share = 1 - peak.huge / (peak.resident - SMALL)
                    session.results.add(f"{name} {SMALL_AT_PEAK}", "%", allocator, max(0.0, 100 * share))
                session.results.add(f"{name} {TIME}", "s", allocator, run.seconds)
                session.series.setdefault(name, {})[allocator.name] = series(run, phases)


def lines_of(arguments: tuple[str, ...], lines: tuple[str, ...]) -> list[str]:
    """The table's lines of a mode."""
    return [" ".join((*arguments, line)) for line in (*lines, *(f"{line}, charge" for line in lines), SMALL_AT_PEAK, TIME)]


def phases_of(output: str) -> list[Phase]:
    return [Phase.of(match) for match in map(LINE.match, output.splitlines()) if match]


def add(session: Session, allocator: Allocator, line: str, phases: list[Phase]) -> None:
    """The last phase of that name; troughs: the mean of the later half of them, as the probe has it."""
    name = line.rpartition(" ")[2]
    found = [phase for phase in phases if phase.name == name]
    if name == "troughs":
        troughs = [phase for phase in phases if phase.name.startswith("trough")]
        found = troughs[len(troughs) // 2 :]
    else:
        found = found[-1:]
    session.results.add(line, "MiB", allocator, mean(phase.resident for phase in found))
    if all(phase.charge is not None for phase in found):
        session.results.add(f"{line}, charge", "MiB", allocator, max(0.0, mean(phase.charge for phase in found)))


def series(run: Run, phases: list[Phase]) -> dict[str, list[float]]:
    """Over time, less the probe's own arrays: what RSS is above what the probe has printed."""
    if not run.samples:
        return {}

    def beside(phase: Phase) -> float:
        return min(run.samples, key=lambda sample: abs(sample.seconds - phase.seconds)).resident - phase.resident

    own = median(map(beside, phases)) if phases else 0.0
    return {
        "seconds": [round(sample.seconds, 2) for sample in run.samples],
        "resident": [round(max(0.0, sample.resident - own), 1) for sample in run.samples],
    }
