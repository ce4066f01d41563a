"""reader.py: what a redis-server notices of somebody reading its reports ten times a second. No peers: with over without."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .allocators import OURS, Allocator
from .programs import ProgramError
from .session import Session

HERTZ = 10
REPORTS = ("buddyinfo", "pagetypeinfo")
REQUESTS = "400000"
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
            for who in allocators:
                with reading(session, command, process.pid) if who is ours else nobody() as reports:
                    rates = benchmark(socket)
                for name, rate in rates.items():
                    session.results.add(name, "ns", who, 1e9 / rate)
                if who is ours:
                    check(session, ours, reports)
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
    """Requests per second by command."""
    words = ["redis-benchmark", "-s", socket, "-t", "set,get", "-n", REQUESTS, "-r", "100000", "-d", "200", "--csv"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {name: float(rate) for name, rate in re.findall(r'^"(SET|GET)","([\d.]+)"', text, re.M)}


@contextmanager
def nobody() -> Iterator[list[str]]:
    yield []


@contextmanager
def reading(session: Session, command: Path, pid: int) -> Iterator[list[str]]:
    """Afterwards: which reports were not printed as often as they should have been."""
    wrong: list[str] = []
    outputs = {report: session.scratch / report for report in REPORTS}
    words = [str(command), f"--interval={1 / HERTZ}"]
    with ExitStack() as files:
        readers = [subprocess.Popen([*words, report, str(pid)], stdout=files.enter_context(path.open("w")))
                   for report, path in outputs.items()]
    start = time.monotonic()
    try:
        yield wrong
    finally:
        seconds = time.monotonic() - start
        for process in readers:
            process.terminate()
            process.wait()
    for report, path in outputs.items():
        count = path.read_text().count("Node 0, zone   Normal ")
        if count < 0.9 * HERTZ * seconds:
            wrong.append(f"{report}: {count} reports in {seconds:.1f} s")


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
