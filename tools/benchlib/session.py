"""session.py: running one program under each allocator in turn, and noting what it cost."""

from __future__ import annotations

import mmap
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from .allocators import OURS, Allocator
from .results import Results
from .watch import Sample, Watch, inside, memory_cgroup, watching

TIMEOUT = 300  # seconds; a run which takes longer is reported as failed
HUGEPAGE = 2 << 20
MADV_POPULATE_WRITE = 23


def warm_memory(mib: int) -> None:
    """Touches that much memory in hugepages and frees it again.

    A virtual machine that reports free pages has none behind what has lain idle for two seconds: whoever touches it
    first pays the host, twenty times the price of a fault. Before every run, so that none of the allocators does.
    """
    if not mib:
        return
    with mmap.mmap(-1, (mib << 20) + HUGEPAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        try:
            memory.madvise(MADV_POPULATE_WRITE)
        except OSError:  # before Linux 5.14
            for at in range(0, len(memory), 4096):
                memory[at] = 1


@contextmanager
def on_one_core() -> Iterator[None]:
    """What is started inside stays on the last core this process may use."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def wait(child: int) -> int:
    """The exit status, or minus the signal: SIGKILL when it ran into the timeout."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(TIMEOUT)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


def ending(status: int, seconds: float) -> str:
    if seconds >= TIMEOUT:
        return f"still running after {TIMEOUT} s"
    return f"status {status}" if status > 0 else f"signal {-status}"


@dataclass(frozen=True)
class Run:
    """One finished process."""

    output: str
    seconds: float
    samples: tuple[Sample, ...] = ()  # of a run that was watched

    def figures(self) -> dict[str, float]:
        """Its output, where that is lines of a name and a number."""
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in self.output.splitlines())}


@dataclass
class Session:
    """What every suite needs: where things are, what to compare, and the results so far."""

    root: Path
    scratch: Path
    build: Path | None
    allocators: list[Allocator]
    wanted: re.Pattern[str]
    rounds: int | None
    min_time: float
    results: Results
    warm_mib: int = 0  # what a run may touch at most: a suite's own affair
    placement: str = "single-threaded lines on one core"
    series: dict = field(default_factory=dict)  # over time, by mode and allocator, of the suites that watch

    def rounds_or(self, default: int) -> int:
        if self.rounds is None:
            self.rounds = default
        return self.rounds

    def our_library(self) -> Path | None:
        return next((allocator.library for allocator in self.allocators if allocator.name == OURS), None)

    def add_reference(self, allocator: Allocator) -> None:
        self.allocators.append(allocator)

    def interleaved(self) -> Iterator[tuple[int, list[Allocator]]]:
        """Each round with the allocators in the order of that round: rotated by one, so none is always first."""
        for number in range(self.rounds or 0):
            self.progress(f"round {number + 1} of {self.rounds}")
            yield number, self.rotated(number)
        self.progress("")

    def rotated(self, by: int) -> list[Allocator]:
        start = by % len(self.allocators)
        return self.allocators[start:] + self.allocators[:start]

    def progress(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def run(self, allocator: Allocator, command: list[str], pinned: bool = True, watched: Watch | None = None) -> Run | None:
        """None, and a failure in the results, when the process failed. Watched: in a memory cgroup of its own, where MEMCG
        names the file with its charge."""
        with on_one_core() if pinned else nullcontext():
            if watched is None:
                return self._run(allocator, command)
            with memory_cgroup() as charge:
                return self._run(allocator, command, charge, watched)

    def _run(self, allocator: Allocator, command: list[str], charge: Path | None = None, watched: Watch | None = None) -> Run | None:
        output, errors = self.scratch / "output", self.scratch / "errors"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        redirections = [(os.POSIX_SPAWN_OPEN, fd, str(path), flags, 0o600) for fd, path in ((1, output), (2, errors))]
        warm_memory(self.warm_mib)
        environment = allocator.environment() | ({"MEMCG": str(charge)} if charge else {})
        with inside(charge):
            start = time.perf_counter()
            child = os.posix_spawn(command[0], command, environment, file_actions=redirections)
        with watching(lambda: watched.look(child, charge), watched.step) if watched else nullcontext([]) as samples:
            status = wait(child)
        seconds = time.perf_counter() - start
        if status:
            end = ending(status, seconds)
            last = errors.read_text(errors="replace").strip().rpartition("\n")[2]
            self.results.fail(allocator, f"{' '.join([Path(command[0]).name, *command[1:]])}: {end} {last}".rstrip())
            return None
        return Run(output.read_text(), seconds, tuple(samples))
