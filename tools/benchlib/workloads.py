"""workloads.py: the workloads of bench/workloads, which follow the field's malloc benchmarks, each a process of its own."""

from __future__ import annotations

from .allocators import GLIBC, Allocator
from .costs import Task, measure
from .programs import built_program
from .session import Session


def workload_tasks(session: Session) -> list[Task]:
    binary = str(built_program(session.root, session.build, session.our_library(), "workloads"))
    listed = session.run(Allocator(GLIBC, None, ""), [binary, "--list"])
    names = listed.output.split() if listed else []
    return [Task(name, [binary, name]) for name in names if session.wanted.search(name)]


def measure_workloads(session: Session) -> list[Task]:
    tasks = workload_tasks(session)
    measure(session, tasks, trivial=built_program(session.root, session.build, session.our_library(), "startup"))
    return tasks


def workloads(session: Session) -> None:
    """Patterns of malloc benchmarks, bench/workloads: seconds, MiB of peak RSS beyond a trivial program's, processor seconds, faults."""
    measure_workloads(session)
