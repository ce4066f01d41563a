"""reader.py: what a redis-server notices of somebody reading its reports ten times a second. No peers: with over without."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from .allocators import OURS, Allocator
from .programs import ProgramError
from .session import Session

HERTZ = 10
REPORTS = ("buddyinfo", "pagetypeinfo")
TURNS = 10  # of each in a round: a turn is half a second of each command, so that what else the machine does meets both
REQUESTS = 40_000  # of each command in a turn
WITHOUT = Allocator("unread", None, "the same server, read by nobody")
MOST = 1 / 0.99  # ns per request over those without a reader


def reader(session: Session) -> None:
    """redis-server on ours, its buddyinfo and pagetypeinfo read at 10 Hz or not: ns per request; and do their sums agree."""
    session.rounds_or(11)
    ours = next((a for a in session.allocators if a.name == OURS), None)
    if ours is None:
        raise ProgramError("the reader suite is about our own library")
    command = Path(ours.library).parent / "buddymalloc"
    if session.build:
        command = session.build / "buddymalloc"
    session.allocators[:] = [ours, WITHOUT]
    for _, allocators in session.interleaved():
        with server(session, ours) as (process, socket):
            benchmark(socket)  # fills the keys
            with Readers(session, command, process.pid) as readers:
                spent = {who.name: Counter() for who in allocators}
                for _, who in itertools.product(range(TURNS), allocators):
                    with readers.reading() if who is ours else nullcontext():
                        spent[who.name].update(benchmark(socket))
            for who in allocators:
                for name, seconds in spent[who.name].items():
                    session.results.add(name, "ns", who, seconds * 1e9 / (TURNS * REQUESTS))
            check(session, ours, readers.late())
            check(session, ours, agreement(command, process))
    for name, line in session.results.lines.items():
        ratio = session.results.ratio(line)
        check(session, ours, [f"{name}: {ratio:.4f} of a server that nobody reads"] if ratio and ratio > MOST else [])


@contextmanager
def server(session: Session, ours: Allocator) -> Iterator[tuple[subprocess.Popen, str]]:
    socket = str(session.scratch / "redis.socket")
    words = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
    try:
        process = subprocess.Popen(words, env=ours.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise ProgramError("no redis-server: install the package redis-server") from None
    try:
        for _ in range(100):
            time.sleep(0.05)
            if subprocess.run(["redis-cli", "-s", socket, "ping"], capture_output=True).stdout == b"PONG\n":
                break
        yield process, socket
    finally:
        process.kill()
        process.wait()


def benchmark(socket: str) -> dict[str, float]:
    """Seconds that the requests of each command took."""
    words = ["redis-benchmark", "-s", socket, "-t", "set,get", "-n", str(REQUESTS), "-r", "100000", "-d", "200", "--csv"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {name: REQUESTS / float(rate) for name, rate in re.findall(r'^"(SET|GET)","([\d.]+)"', text, re.M)}


class Readers:
    """A command for each report, stopped unless it is reading."""

    def __init__(self, session: Session, command: Path, pid: int) -> None:
        self.outputs = {report: session.scratch / report for report in REPORTS}
        self.words = {report: [str(command), f"--interval={1 / HERTZ}", report, str(pid)] for report in REPORTS}
        self.seconds = 0.0

    def __enter__(self) -> Readers:
        self.files = [path.open("w") for path in self.outputs.values()]
        self.processes = [subprocess.Popen(words, stdout=file) for words, file in zip(self.words.values(), self.files)]
        time.sleep(2 / HERTZ)  # they have found the heap
        self.send(signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        self.send(signal.SIGKILL)
        for process, file in zip(self.processes, self.files):
            process.wait()
            file.close()

    def send(self, which: signal.Signals) -> None:
        for process in self.processes:
            process.send_signal(which)

    @contextmanager
    def reading(self) -> Iterator[None]:
        start = time.monotonic()
        self.send(signal.SIGCONT)
        try:
            yield
        finally:
            self.send(signal.SIGSTOP)
            self.seconds += time.monotonic() - start

    def late(self) -> list[str]:
        """Which reports were not printed as often as they should have been."""
        counts = {report: path.read_text().count("Node 0, zone   Normal ") for report, path in self.outputs.items()}
        return [f"{report}: {count} reports in {self.seconds:.1f} s"
                for report, count in counts.items() if count < 0.9 * HERTZ * self.seconds]


def agreement(command: Path, process: subprocess.Popen) -> list[str]:
    """Free pages as three reports tell them, of a server that has been stopped."""
    process.send_signal(signal.SIGSTOP)
    try:
        text = {r: subprocess.run([str(command), r, str(process.pid)], capture_output=True, text=True).stdout
                for r in (*REPORTS, "zoneinfo")}
    finally:
        process.send_signal(signal.SIGCONT)
    sums = {
        "buddyinfo": sum(pages(line) for line in re.findall(r"^Node \d+, zone\s+\w+ (.*)$", text["buddyinfo"], re.M)),
        "pagetypeinfo": sum(pages(line) for line in re.findall(r", type\s+\w+ (.*)$", text["pagetypeinfo"].split("Number")[0], re.M)),
        "zoneinfo": sum(map(int, re.findall(r"pages free\s+(\d+)", text["zoneinfo"]))),
    }
    return [] if len(set(sums.values())) == 1 and sums["zoneinfo"] else [f"free pages do not agree: {sums}"]


def pages(row: str) -> int:
    return sum(int(count) << order for order, count in enumerate(row.split()))


def check(session: Session, ours: Allocator, wrong: list[str]) -> None:
    for text in wrong:
        session.results.fail(ours, text)
