"""watch.py: what a process holds while it runs: RSS, and the charge of a memory cgroup that is its alone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STEP = 0.05  # seconds between two looks
PAGE = os.sysconf("SC_PAGE_SIZE")
HIERARCHIES = (("memory", "memory.usage_in_bytes"), ("", "memory.current"))  # version 1, then 2


@dataclass(frozen=True)
class Sample:
    """Seconds since the start, and MiB."""

    seconds: float
    resident: float
    charge: float | None


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


@contextmanager
def watching(child: int, charge: Path | None) -> Iterator[list[Sample]]:
    """The list grows until the block ends."""
    samples: list[Sample] = []
    ended = threading.Event()
    start = time.perf_counter()

    def look() -> None:
        while not ended.wait(STEP):
            try:
                resident = int(Path(f"/proc/{child}/statm").read_text().split()[1]) * PAGE
                charged = int(charge.read_text()) if charge else None
            except (OSError, IndexError):
                return
            samples.append(Sample(time.perf_counter() - start, resident / 2**20, None if charged is None else charged / 2**20))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield samples
    finally:
        ended.set()
        looker.join()
