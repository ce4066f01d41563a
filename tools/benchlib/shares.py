"""shares.py: how much of a task's processor time is spent in malloc and free, sampled once by perf.

Under glibc, whose functions Debian's libc6-dbg names; a task that says nothing about glibc, under ours. What the kernel does on the
allocator's behalf is not counted.
"""

from __future__ import annotations

import re
import shutil
import subprocess

from .allocators import GLIBC, OURS, Allocator, package_installed
from .costs import Task
from .session import Session

GLIBC_FUNCTIONS = re.compile(
    r"(_int_|__libc_|_mid_|__|c)?(malloc|free|calloc|realloc|reallocarray|memalign|aligned_alloc|posix_memalign|valloc|pvalloc)"
    r"(_consolidate|_usable_size|_trim)?|unlink_chunk|sysmalloc|sysmalloc_mmap|systrim|heap_trim|grow_heap|shrink_heap|new_heap"
    r"|alloc_new_heap|arena_get2|arena_get_retry|tcache_init|tcache_thread_shutdown|munmap_chunk|mremap_chunk"
    r"|alloc_perturb|free_perturb|sbrk|brk|__sbrk|__brk"
)
OPERATORS = re.compile(r"operator (new|delete)\b.*")


def in_allocator(library: str, function: str, ours: str) -> bool:
    if library == ours:
        return True
    if library.startswith("libstdc++.so"):
        return OPERATORS.fullmatch(function) is not None
    return library == "libc.so.6" and GLIBC_FUNCTIONS.fullmatch(re.split(r"[.@]", function)[0]) is not None


def share(report: str, ours: str) -> float:
    """Of perf's report, lines of `PERCENT% ;LIBRARY ;[.] FUNCTION`."""
    rows = [line.split(";", 2) for line in report.splitlines() if line.count(";") >= 2]
    spent = [float(percent.strip().rstrip("%")) for percent, library, symbol in rows
             if in_allocator(library.strip(), symbol.strip().partition(" ")[2].strip(), ours)]
    return round(sum(spent) / 100, 4)


def why_not() -> str | None:
    if not shutil.which("perf"):
        return "there is no perf (package linux-perf)"
    if not package_installed("libc6-dbg"):
        return "the package libc6-dbg is not installed"
    return None


def sampled(session: Session, task: Task, allocator: Allocator) -> float | None:
    data = session.scratch / "perf.data"
    preload = [f"LD_PRELOAD={allocator.library}"] if allocator.library else []
    record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "-o", str(data), "--", "env", *preload, *task.command]
    show = ["perf", "report", "-q", "-i", str(data), "--stdio", "--sort", "dso,sym", "-F", "overhead,dso,sym", "-t", ";"]
    clean = Allocator(GLIBC, None, "").environment()
    if subprocess.run(record, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        return None
    report = subprocess.run(show, env=clean, capture_output=True, text=True, errors="replace").stdout
    return share(report, allocator.library.name if allocator.library else "") if report.strip() else None


def allocator_shares(session: Session, tasks: list[Task]) -> dict[str, float]:
    """By task, of those that could be sampled; the rest, and why, are notes."""
    if reason := why_not():
        session.results.notes.append(f"all in one group: the allocator's share of the time was not measured, as {reason}")
        return {}
    ours = next((a for a in session.allocators if a.name == OURS), None)
    shares = {}
    for task in tasks:
        session.progress(f"perf, {task.name}")
        under = ours if GLIBC in task.without else Allocator(GLIBC, None, "")
        found = sampled(session, task, under) if under else None
        if found is None:
            session.results.notes.append(f"{task.name}: the allocator's share of its time could not be measured")
        else:
            shares[task.name] = found
    session.progress("")
    return shares
