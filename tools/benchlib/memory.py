"""memory.py: what comes back, in MiB of RSS: the memory probe's modes, a fresh process each."""

from __future__ import annotations

import re

from .programs import compile_c, probe_source
from .session import Session

# Mode and arguments, and which of the probe's phases are lines of the table.
MODES = (
    (("drop", "700"), ("freed", "idle1s", "trim")),
    (("churn", "200", "6"), ("RESULT",)),
    (("sites", "200"), ("idle1s", "trim")),
    (("survivors", "400", "128"), ("idle1s", "trim")),
    (("threads", "400"), ("freed+1s",)),
    (("pages", "200", "60"), ("round59",)),
)
RSS = re.compile(r"^(?:RESULT churn rss at troughs|(\S+) .*? rss) ([\d.]+)")


def memory(session: Session) -> None:
    """What comes back: RSS in MiB after phases of the memory probe, and seconds for the whole of it."""
    session.rounds_or(3)
    session.warm_mib = 1024
    probe = str(compile_c(probe_source(session.root, "memory.c"), session.scratch / "memory", "-O2", "-fno-builtin", "-lpthread"))
    for number, _ in session.interleaved():
        for at, (arguments, phases) in enumerate(MODES):
            name = " ".join(arguments)
            session.progress(f"round {number + 1} of {session.rounds}, {name}")
            for allocator in session.rotated(number + at):
                run = session.run(allocator, [probe, *arguments], pinned=arguments[0] != "threads")
                if not run:
                    continue
                figures = last_figures(run.output)
                for phase in phases:
                    session.results.add(f"{name} {phase}", "MiB", allocator, figures[phase])
                session.results.add(f"{name} time", "s", allocator, run.seconds)


def last_figures(output: str) -> dict[str, float]:
    """RSS by phase; of a phase that comes again, the last."""
    found = filter(None, map(RSS.match, output.splitlines()))
    return {match[1] or "RESULT": float(match[2]) for match in found}
