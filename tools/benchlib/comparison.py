"""comparison.py: the published comparison, tools/bench --all: every task of two suites, each allocator against the virtual best."""

from __future__ import annotations

from dataclasses import dataclass, field

from .allocators import OURS
from .costs import UNITS
from .packaged import measure_programs
from .report import Report, number
from .session import Session
from .shares import allocator_shares
from .versus import Mean, Versus, mean, versus
from .workloads import measure_workloads

PEERS = ("glibc", "jemalloc", "mimalloc3", "tcmalloc", "tbbmalloc")
BUSY = 0.10  # of the processor time in malloc and free
TABLES = ("time", "peak")
EXCEPTIONS = {"time": 1.10, "peak": 1.25}
HEADINGS = {"time": "seconds", "peak": "MiB at the peak", "cpu": "processor seconds", "faults": "page faults"}


def interval(low_and_high: tuple[float, float]) -> str:
    return "[{:.2f}, {:.2f}]".format(*low_and_high)


def mean_cell(found: Mean | None, of: int) -> str:
    if found is None:
        return "-"
    return "{:.3f} [{:.3f}, {:.3f}]".format(found.ratio, *found.interval) + (f" of {found.tasks}" if found.tasks < of else "")


@dataclass
class Comparison(Report):
    """The tasks are named in the order of the tables; shares: of their processor time in malloc, where perf has measured it."""

    tasks: list[str] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = [allocator.name for allocator in self.results.allocators]
        self.peers = [name for name in self.names if name != OURS]
        self.against = {unit: self.of_unit(unit) for unit in UNITS}

    def of_unit(self, unit: str) -> dict[str, Versus]:
        lines = {task: self.results.lines.get(f"{task} {unit}") for task in self.tasks}
        found = {task: versus(line.samples, self.peers, line.name) for task, line in lines.items() if line}
        return {task: against for task, against in found.items() if against}

    def header(self) -> list[str]:
        return [
            *super().header(),
            "best: the virtual best, the peer with the least median of the odd rounds; what it costs, and all ratios to it, are by "
            "medians of the even rounds; in brackets 95 % of a bootstrap over rounds",
        ]

    def groups(self) -> dict[str, list[str]]:
        everything = {"all": self.tasks}
        if not self.shares:
            return everything
        busy = [task for task in self.tasks if self.shares.get(task, 0) >= BUSY]
        rest = [task for task in self.shares if task not in busy]
        return {f"{BUSY * 100:.0f} % or more in malloc": busy, "the rest": rest} | everything

    def tables(self) -> list[list[list[str]]]:
        return [*(self.table(unit) for unit in TABLES), self.means()]

    def table(self, unit: str) -> list[list[str]]:
        head = [HEADINGS[unit], "best peer", "in malloc", "ours", "best", "ours/best", "95 %", *self.peers]
        return [head, *(self.row(task, unit, against) for task, against in self.against[unit].items())]

    def row(self, task: str, unit: str, against: Versus) -> list[str]:
        share = f"{self.shares[task] * 100:.0f} %" if task in self.shares else "-"
        ours = number(self.results.lines[f"{task} {unit}"].median(OURS))
        ratio = number(against.ratios.get(OURS))
        between = interval(against.interval(OURS)) if OURS in against.ratios else "-"
        others = [number(against.ratios.get(peer)) for peer in self.peers]
        return [task, against.best, share, ours, number(against.cost), ratio, between, *others]

    def means(self) -> list[list[str]]:
        rows = [["geometric means", "tasks", *self.names]]
        for unit in UNITS:
            for group, tasks in self.groups().items():
                having = self.having(unit, tasks)
                cells = [mean_cell(mean(having, name), len(having)) for name in self.names]
                rows.append([f"{HEADINGS[unit]}, {group}", str(len(having)), *cells])
        return rows

    def having(self, unit: str, tasks: list[str]) -> list[Versus]:
        return [self.against[unit][task] for task in tasks if task in self.against[unit]]

    def exceptions(self) -> list[str]:
        return [
            f"exception: {task}: {HEADINGS[unit]} {against.ratios[OURS]:.2f} {interval(against.interval(OURS))} of {against.best}'s"
            for unit, most in EXCEPTIONS.items()
            for task, against in self.against[unit].items()
            if against.ratios.get(OURS, 0) > most
        ]

    def footer(self) -> list[str]:
        bounds = " or ".join(f"above {most:.2f} in {HEADINGS[unit]}" for unit, most in EXCEPTIONS.items())
        found = self.exceptions()
        return [*self.failures(), *found, f"{len(found)} exceptions: ours {bounds} of the virtual best"]

    def content(self) -> dict:
        return super().content() | {
            "tasks": {task: self.task_content(task) for task in self.tasks},
            "means": {unit: {group: self.mean_content(unit, tasks) for group, tasks in self.groups().items()} for unit in UNITS},
            "exceptions": self.exceptions(),
        }

    def task_content(self, task: str) -> dict:
        of_units = {unit: self.against[unit][task] for unit in UNITS if task in self.against[unit]}
        return {"share": self.shares.get(task)} | {
            unit: {"best": a.best, "cost": a.cost, "ratios": a.ratios, "intervals": {name: a.interval(name) for name in a.ratios}}
            for unit, a in of_units.items()
        }

    def mean_content(self, unit: str, tasks: list[str]) -> dict:
        found = {name: mean(self.having(unit, tasks), name) for name in self.names}
        return {name: {"ratio": m.ratio, "interval": m.interval, "tasks": m.tasks} for name, m in found.items() if m}


def compare(session: Session) -> Comparison:
    """Both suites, workloads and programs, against the virtual best of the peers."""
    if session.rounds_or(11) < 2:
        raise ValueError("the virtual best takes two rounds: it is chosen in the odd ones and timed in the even ones")
    tasks = [*measure_workloads(session), *measure_programs(session)]
    if not tasks:
        raise ValueError(f"no workload or program matches {session.wanted.pattern!r}")
    shares = allocator_shares(session, tasks)
    names = sorted((task.name for task in tasks), key=lambda name: -shares.get(name, 0))
    return Comparison("all", session.rounds, session.results, session.placement, names, shares)
