"""watch.py: what a process holds while it runs, and memory cgroups of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STEP = 0.05  # seconds between two looks
PEAKS = 0.005  # for what is short: CPython's peak lasts some 30 ms
PAGE = os.sysconf("SC_PAGE_SIZE")
HIERARCHIES = (("memory", "memory.usage_in_bytes"), ("", "memory.current"))  # version 1, then 2


@dataclass(frozen=True)
class Sample:
    """Seconds since the start, and MiB."""

    seconds: float
    resident: float


def own_cgroup(controller: str) -> str:
    """Where this process is in the controller's hierarchy, or in the unified one."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.lstrip("/")
    return ""


@contextmanager
def memory_cgroup() -> Iterator[Path | None]:
    """The file with the charge of a new, empty cgroup inside our own; None where this user may not make one."""
    for hierarchy, charge in HIERARCHIES:
        folder = Path("/sys/fs/cgroup", hierarchy, own_cgroup(hierarchy), f"bench-{os.getpid()}")
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if (folder / charge).is_file():
                yield folder / charge
                return
        finally:
            remove(folder)
    yield None


def remove(folder: Path) -> None:
    """The kernel lets go of what has ended a moment later."""
    for _ in range(50):
        try:
            return folder.rmdir()
        except OSError:
            time.sleep(0.02)


@contextmanager
def inside(charge: Path | None) -> Iterator[None]:
    """What is started in the block is born in the cgroup: what it had before entering would be charged elsewhere."""
    if charge is None:
        yield
        return
    group = charge.parent
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()))


def resident_of(child: int) -> float:
    return int(Path(f"/proc/{child}/statm").read_text().split()[1]) * PAGE / 2**20


def anonymous_of(charge: Path) -> float:
    """What all processes of the cgroup have that is no file's. The first word of the line in version 1, and in 2."""
    lines = (charge.parent / "memory.stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(("rss ", "anon "))) / 2**20


@dataclass(frozen=True)
class Watch:
    """What to look at, of a process and the file with its cgroup's charge, and every how many seconds."""

    look: Callable[[int, Path], float]
    step: float


RESIDENT = Watch(lambda child, _: resident_of(child), STEP)
ANONYMOUS = Watch(lambda _, charge: anonymous_of(charge), PEAKS)


@contextmanager
def watching(look: Callable[[], float], step: float = STEP) -> Iterator[list[Sample]]:
    """Looks every `step` seconds; the list grows until the block ends."""
    samples: list[Sample] = []
    ended = threading.Event()
    start = time.perf_counter()

    def watch() -> None:
        while not ended.wait(step):
            try:
                samples.append(Sample(time.perf_counter() - start, look()))
            except (OSError, IndexError):
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        ended.set()
        watcher.join()
