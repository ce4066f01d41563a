"""pages.py: the page API and the page layer, by order and fill level, in pairs of the floor; and fragmentation by round.

Unlike the other suites nothing is preloaded and no peer takes part: bench/pages and bench/fragmentation link our core. The
floor is loaded into bench/pages itself and timed between the operations of each line, which gives that line's ratio.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from .allocators import GLIBC, Allocator
from .programs import built_program, compile_c, probe_source
from .report import machine
from .session import Session

MANAGED_MIB = 1024
POLICIES = {  # of bench/fragmentation
    "api": "bm_pages_*",
    "zone": "pages::Zone",
    "fullest": "model: fullest pageblock first",
    "lifo": "model: last freed first",
}
SHOWN_ROUNDS = (0, 1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
SEEDS = (1, 2, 3)
BARS = {"repeat/api/0/1": 4, "bulk_alloc/api/0/1": 12, "bulk_free/api/0/1": 12}  # floor pairs
LEAST_WHOLE = 0.85  # of the free memory, in the last round


class Outcome:
    """What tools/bench asks of a suite's results."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def ours_failed(self) -> bool:
        return bool(self.failures)


@dataclass
class PagesReport:
    rounds: int
    ratios: dict[str, list[float]]
    floors: list[float]
    shares: dict[str, dict[int, list[float]]]
    results: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        for name, bar in BARS.items():
            if name in self.ratios and median(self.ratios[name]) > bar:
                self.results.failures.append(f"{name} costs {median(self.ratios[name]):.1f} floor pairs, more than {bar}")
        for policy in ("api", "zone"):
            if policy in self.shares and min(self.shares[policy][SHOWN_ROUNDS[-1]]) < LEAST_WHOLE:
                self.results.failures.append(f"fragmentation: {policy} ends below {LEAST_WHOLE:.0%}")

    def cell(self, name: str) -> str:
        return f"{median(self.ratios[name]):.2f}" if name in self.ratios else "-"

    def by_order(self) -> list[str]:
        columns = [(family, of, threads) for family in ("repeat", "bulk_alloc", "bulk_free", "random_free")
                   for of in ("api", "zone") for threads in (1, 2)]
        head = [f"{family.replace('_', ' ')} {of} {threads}t" for family, of, threads in columns]
        rows = [[str(order), *(self.cell(f"{family}/{of}/{order}/{threads}") for family, of, threads in columns)]
                for order in range(10)]
        return table(["order", *head], rows)

    def by_level(self) -> list[str]:
        columns = [(family, of) for of in ("api", "zone") for family in ("fill_repeat", "fill_bulk_alloc", "fill_bulk_free")]
        head = [f"{family.removeprefix('fill_').replace('_', ' ')} {of}" for family, of in columns]
        rows = [[f"{level} %", *(self.cell(f"{family}/{of}/{level}/1") for family, of in columns)] for level in range(0, 100, 10)]
        return table(["in use", *head], rows)

    def by_round(self) -> list[str]:
        rows = [[str(number), *(f"{median(self.shares[policy][number]):.1%}" for policy in self.shares)] for number in SHOWN_ROUNDS]
        return table(["round", *(POLICIES[policy] for policy in self.shares)], rows)

    def markdown(self) -> str:
        lines = ["## bench pages", "", *(f"- {key}: {value}" for key, value in machine().items())]
        lines.append(f"- method: medians of {self.rounds} rounds; costs in pairs of the floor, timed in between in the "
                     f"same process (median {median(self.floors):.2f} ns)" if self.floors else "- method: no timing")
        if self.ratios:
            lines += ["", "Cost of an operation by order (1t, 2t: threads):", "", *self.by_order()]
            lines += ["", f"Order 0 while so much of {MANAGED_MIB} MiB is in use, the rest free at random:", "", *self.by_level()]
        if self.shares:
            lines += ["", f"Share of free memory in whole hugepages, {MANAGED_MIB} MiB half in use, a tenth replaced per round:"]
            lines += ["", *self.by_round()]
        lines += [f"\nFAILED {failure}" for failure in self.results.failures]
        return "\n".join(lines) + "\n"

    text = markdown

    def json(self) -> str:
        content = {**machine(), "rounds": self.rounds, "floor_ns": self.floors, "floor_pairs": self.ratios, "whole_share": self.shares}
        return json.dumps(content, indent=1)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ["---:"] * len(head), *rows]]


def line_name(benchmark: str) -> str:
    """repeat/api/3/real_time/threads:2 -> repeat/api/3/2"""
    family, of, number, *rest = benchmark.split("/")
    threads = next((part.partition(":")[2] for part in rest if part.startswith("threads:")), "1")
    return "/".join((family, of, number, threads))


def time_round(session: Session, binary: str, floor: str, ratios: dict[str, list[float]], floors: list[float]) -> None:
    """One process per thread count; single-threaded lines stay on one core."""
    for threads, chosen in (1, "/threads:1$|^fill_"), (2, "/threads:2$"):
        command = ["/usr/bin/env", f"BUDDYMALLOC_FLOOR={floor}", binary, f"--benchmark_filter={chosen}",
                   f"--benchmark_min_time={session.min_time}", "--benchmark_format=json"]
        run = session.run(Allocator(GLIBC, None, ""), command, pinned=threads == 1)
        for entry in json.loads(run.output)["benchmarks"] if run else ():
            ratios[line_name(entry["name"])].append(entry["ns"] / entry["floor"])
            floors.append(entry["floor"])


def pages(session: Session) -> PagesReport:
    """Pages by order and fill level, in pairs of the floor, and fragmentation; of our own core, without peers."""
    session.rounds_or(5)
    binary = str(built_program(session.root, session.build, session.our_library(), "pages"))
    source = probe_source(session.root, "floor.c")
    floor = compile_c(source, session.scratch / "floor.so", "-O2", "-fno-builtin-malloc", "-shared", "-fPIC")
    ratios: dict[str, list[float]] = defaultdict(list)
    floors: list[float] = []
    for number in range(session.rounds):
        session.progress(f"round {number + 1} of {session.rounds}")
        time_round(session, binary, str(floor), ratios, floors)
    session.progress("")
    wanted = {name: values for name, values in ratios.items() if session.wanted.search(name)}
    shares = fragmentation(session) if session.wanted.search("fragmentation") else {}
    return PagesReport(session.rounds, wanted, floors, shares)


def fragmentation(session: Session) -> dict[str, dict[int, list[float]]]:
    binary = str(built_program(session.root, session.build, session.our_library(), "fragmentation"))
    shares: dict[str, dict[int, list[float]]] = {}
    for policy in POLICIES:
        of_policy = shares.setdefault(policy, defaultdict(list))
        for seed in SEEDS:
            run = session.run(Allocator(GLIBC, None, ""), [binary, policy, str(MANAGED_MIB), str(seed)])
            for line in run.output.splitlines() if run else ():
                _, number, share = line.split()
                of_policy[int(number)].append(float(share))
    return shares
