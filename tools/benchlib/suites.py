"""suites.py: the comparisons, each of which fills session.results, where every line is a cost; and pages, without peers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from .allocators import GLIBC, Allocator
from .memory import memory
from .packaged import programs
from .pages import pages
from .programs import built_program, compile_c, empty_library, probe_source
from .reader import reader
from .real import real
from .session import Session
from .workloads import workloads

EMPTY = "empty.so"
# The one line of the probe that lives on page faults, in a process of its own: by the time the whole probe comes to it,
# memory that was warmed for it may have gone back to the host (see warm_memory).
ALONE = """#define main whole_probe
#include "{probe}"
#undef main
int main(void) {{
  (void)whole_probe;
  printf("churn 65536 alone %.2f\\n", best(randchurn, 65536, 2));
  return 0;
}}
"""
TOO_SLOW = 20.0  # seconds; after such a run of the realloc ramp the allocator sits out the later rounds


def program(session: Session, name: str) -> Path:
    return built_program(session.root, session.build, session.our_library(), name)


def micro(session: Session) -> None:
    """malloc/free patterns by size, ns per pair: Google Benchmark, a fresh process for each line."""
    session.rounds_or(7)
    binary = str(program(session, "micro"))
    listed = session.run(Allocator(GLIBC, None, ""), [binary, "--benchmark_list_tests"])
    names = [name for name in listed.output.split() if session.wanted.search(name)] if listed else []
    options = [f"--benchmark_min_time={session.min_time}", "--benchmark_format=json"]
    for number, _ in session.interleaved():
        for at, name in enumerate(names):
            session.progress(f"round {number + 1} of {session.rounds}, {name}")
            for allocator in session.rotated(number + at):
                command = [binary, f"--benchmark_filter=^{re.escape(name)}$", *options]
                run = session.run(allocator, command, pinned=not name.startswith("threads_"))
                if run:
                    session.results.add(name, "ns", allocator, nanoseconds(json.loads(run.output)["benchmarks"][0]))


def nanoseconds(result: dict) -> float:
    """Per item where items are counted (real time for threads_ lines), else processor time per iteration."""
    rate = result.get("items_per_second")
    return 1e9 / rate if rate else result["cpu_time"]


def fastpath(session: Session) -> None:
    """The fastpath probe, with the floor (a thread-local pop and push) shown beside the peers."""
    session.rounds_or(7)
    session.warm_mib = 1536
    source = probe_source(session.root, "fastpath.c")
    probe = compile_c(source, session.scratch / "fastpath", "-O2", "-fno-builtin")
    alone_source = session.scratch / "alone.c"
    alone_source.write_text(ALONE.format(probe=source))
    alone = compile_c(alone_source, session.scratch / "alone", "-O2", "-fno-builtin")
    flags = ("-O2", "-fno-builtin-malloc", "-shared", "-fPIC")
    floor = compile_c(probe_source(session.root, "floor.c"), session.scratch / "floor.so", *flags)
    session.add_reference(Allocator("floor", floor, "a thread-local pop and push", reference=True))
    for _, allocators in session.interleaved():
        for allocator in allocators:
            for program_ in probe, alone:
                run = session.run(allocator, [str(program_)])
                for line, value in run.figures().items() if run else ():
                    session.results.add(line, "ns", allocator, value)


def realloc(session: Session) -> None:
    """One buffer grown from 64 KiB to 1 GiB by realloc, every new page written; seconds and peak memory."""
    session.rounds_or(3)
    session.warm_mib = 2560
    binary = str(program(session, "realloc_ramp"))
    too_slow = set()
    for number, allocators in session.interleaved():
        for allocator in allocators:
            if allocator.name in too_slow:
                continue
            session.progress(f"round {number + 1} of {session.rounds}, {allocator.name}")
            run = session.run(allocator, [binary])
            if not run:
                continue
            session.results.add("realloc ramp", "s", allocator, run.figures()["seconds"])
            session.results.add("peak memory", "MiB", allocator, run.figures()["VmHWM"] / 1024)
            if run.seconds > TOO_SLOW:
                too_slow.add(allocator.name)


def ping_pong(session: Session) -> None:
    """500 MB allocated, touched and freed fifty times over, in blocks of 1 MiB or 200 bytes, by one thread or two: seconds a cycle."""
    session.rounds_or(5)
    session.warm_mib = 1024
    binary = str(program(session, "ping_pong"))
    for _, allocators in session.interleaved():
        for load in range(4):
            for allocator in allocators:
                run = session.run(allocator, [binary, str(load)], pinned=load < 2)
                for line, value in run.figures().items() if run else ():
                    session.results.add(line, "ms", allocator, value * 1000)


MIXES, SEEDS = 7, (1, 2, 3)


def mixes(session: Session) -> None:
    """200 MB of other mixes, three seeds, of which one object in 200 stays: MiB of RSS a second after the rest has gone."""
    session.rounds_or(1)
    session.warm_mib = 512
    binary = str(program(session, "mixes"))
    for number, allocators in session.interleaved():
        for mix in range(MIXES):
            session.progress(f"round {number + 1} of {session.rounds}, mix {mix}")
            for seed in SEEDS:
                for allocator in allocators:
                    run = session.run(allocator, [binary, str(mix), str(seed)], pinned=True)
                    for line, value in run.figures().items() if run else ():
                        session.results.add(line, "MiB", allocator, value)


CONTENTION_LOADS = ("churn", "fill", "exchange", "large")
CONTENTION_THREADS = (2, 4, 8, 16, 32, 64)


def contention(session: Session) -> None:
    """The same work shared out among 2 to 64 threads: ns of wall time per object."""
    session.rounds_or(3)
    session.warm_mib = 512
    binary = str(program(session, "contention"))
    for number, allocators in session.interleaved():
        for load in CONTENTION_LOADS:
            for threads in CONTENTION_THREADS:
                if not session.wanted.search(f"{load} {threads} threads"):
                    continue
                session.progress(f"round {number + 1} of {session.rounds}, {load}, {threads} threads")
                for allocator in allocators:
                    run = session.run(allocator, [binary, load, str(threads)], pinned=False)
                    if run:
                        line = f"{load} {threads} threads"
                        session.results.add(line, "ns", allocator, run.figures()[line])


LARGE_LOADS = 10


def large(session: Session) -> None:
    """400 MB in blocks above 64 KiB that come and go, or grow: processor seconds, and peak RSS in percent of what was live."""
    session.rounds_or(5)
    session.warm_mib = 1536
    binary = str(program(session, "large_blocks"))
    for number, allocators in session.interleaved():
        for load in range(LARGE_LOADS):
            session.progress(f"round {number + 1} of {session.rounds}, load {load}")
            for allocator in allocators:
                run = session.run(allocator, [binary, str(load)], pinned=True)
                for line, value in run.figures().items() if run else ():
                    if session.wanted.search(line):
                        session.results.add(line, "s" if line.endswith("time") else "%", allocator, value)


def startup(session: Session) -> None:
    """A trivial program, started 200 times: time over preloading an empty .so, memory over plain glibc."""
    session.rounds_or(200)
    binary = str(program(session, "startup"))
    session.allocators[:] = [a for a in session.allocators if a.name != GLIBC]
    session.add_reference(Allocator(GLIBC, None, "nothing preloaded", reference=True))
    session.add_reference(Allocator(EMPTY, empty_library(session.scratch), "an empty library preloaded", reference=True))
    session.allocators[:] = [written_at_once(a, session.scratch) for a in session.allocators]
    for _, allocators in session.interleaved():
        round_ = {a: session.run(a, [binary]) for a in allocators}
        add_startup_round(session, {a: run for a, run in round_.items() if run})


def written_at_once(allocator: Allocator, folder: Path) -> Allocator:
    """The same with a library as a package leaves it. What the linker has just written, piece by piece, is in the page cache in
    pages of 4 KiB each, which costs every start some 15 us more, until the file is read anew."""
    if allocator.library is None:
        return allocator
    copy = folder / f"{allocator.name}-preloaded.so"
    copy.write_bytes(allocator.library.read_bytes())
    return replace(allocator, library=copy)


def add_startup_round(session: Session, runs: dict) -> None:
    base = {allocator.name: run for allocator, run in runs.items() if allocator.reference}
    for allocator, run in runs.items():
        resident = run.figures()["VmRSS"]
        session.results.add("start", "us", allocator, run.seconds * 1e6)
        session.results.add("VmRSS", "KiB", allocator, resident)
        session.results.add("VmHWM", "KiB", allocator, run.figures()["VmHWM"])
        if allocator.reference:
            continue
        if EMPTY in base:
            session.results.add(f"start over {EMPTY}", "us", allocator, (run.seconds - base[EMPTY].seconds) * 1e6)
        if GLIBC in base:
            session.results.add("VmRSS over glibc", "KiB", allocator, resident - base[GLIBC].figures()["VmRSS"])


def small_heap(session: Session) -> None:
    """Memory of a small program: 1 MB live in mixed objects of 16 to 1024 bytes, after churn."""
    session.rounds_or(7)
    binary = str(program(session, "mixed_heap"))
    for _, allocators in session.interleaved():
        for allocator in allocators:
            run = session.run(allocator, [binary])
            for line, value in run.figures().items() if run else ():
                session.results.add(line, "KiB", allocator, value)


SUITES = {"micro": micro, "fastpath": fastpath, "realloc": realloc, "ping-pong": ping_pong, "contention": contention, "mixes": mixes, "large": large, "startup": startup,
          "small-heap": small_heap, "pages": pages, "reader": reader, "memory": memory, "real": real, "workloads": workloads,
          "programs": programs}
