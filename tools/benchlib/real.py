"""real.py: programs as people run them, each in a memory cgroup of its own: seconds, and anonymous memory of all its processes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .allocators import GLIBC, Allocator
from .programs import ProgramError
from .reader import server
from .session import Session, warm_memory
from .watch import PEAKS, anonymous_of, inside, memory_cgroup, watching

KEYS = 1_000_000
STAY = 10  # every tenth key is not deleted
WAIT = 5  # seconds after the last deletion

PYTHON = """
import json, random
random.seed(7)
def record(i):
    return {"id": i, "name": "n" * random.randrange(4, 60), "tags": [str(random.random()) for _ in range(random.randrange(8))],
            "at": (i, i * 1.5, None), "text": "x" * random.randrange(400)}
total = 0
for phase in range(4):
    records = [record(i) for i in range(120_000)]
    by_name = {}
    for r in records:
        by_name.setdefault(len(r["name"]), []).append(r)
    text = json.dumps(records)
    back = json.loads(text)
    total += len(text) + sum(len(r["tags"]) for r in back if r["id"] % 3)
    back.sort(key=lambda r: r["text"])
    kept = random.sample(records, 500)
print(total)
"""


def real(session: Session) -> None:
    """Real programs: redis emptied to a tenth, CPython, g++, PostgreSQL: seconds, and MiB of anonymous memory at the peak."""
    session.rounds_or(3)
    session.warm_mib = 2048
    source = preprocessed(session)
    for number, allocators in session.interleaved():
        for name, run in (("redis", redis), ("python", python), ("g++", compiler(source)), ("postgresql", postgresql)):
            if not session.wanted.search(name):
                continue
            for allocator in allocators:
                session.progress(f"round {number + 1} of {session.rounds}, {name}, {allocator.name}")
                try:
                    run(session, allocator)
                except (OSError, subprocess.SubprocessError) as error:
                    session.results.fail(allocator, f"{name}: {error}")


@contextmanager
def measured(session: Session, allocator: Allocator, name: str, idle: float = 0) -> Iterator[None]:
    """The bench is in the cgroup as well, and counts with what it allocates in the block. Idle: seconds spent waiting on purpose."""
    with memory_cgroup() as charge:
        if charge is None:
            raise ProgramError("real programs are measured in memory cgroups, and there are none to be had here (root has them)")
        warm_memory(session.warm_mib)
        start = time.perf_counter()
        with watching(lambda: anonymous_of(charge), PEAKS) as samples, inside(charge):
            yield
        session.results.add(f"{name} time", "s", allocator, time.perf_counter() - start - idle)
        session.results.add(f"{name} peak", "MiB", allocator, max(sample.resident for sample in samples))


def redis(session: Session, allocator: Allocator) -> None:
    if allocator.name == GLIBC:  # Debian's redis-server is linked with jemalloc
        return
    keys = random.Random(11)
    fill = b"".join(command(b"SET", b"key:%d" % i, b"v" * keys.randrange(1, 600)) for i in range(KEYS))
    empty = b"".join(command(b"DEL", b"key:%d" % i) for i in keys.sample(range(KEYS), KEYS - KEYS // STAY))
    with measured(session, allocator, "redis", WAIT), server(session, allocator) as (process, socket):
        send(socket, fill)
        send(socket, empty)
        time.sleep(WAIT)
        status = Path(f"/proc/{process.pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
        session.results.add(f"redis {WAIT} s after", "MiB", allocator, resident)


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def send(socket: str, commands: bytes) -> None:
    subprocess.run(["redis-cli", "-s", socket, "--pipe"], input=commands, stdout=subprocess.DEVNULL, check=True)


def python(session: Session, allocator: Allocator) -> None:
    with measured(session, allocator, "python"):
        quiet(["/usr/bin/python3", "-c", PYTHON], allocator)


def preprocessed(session: Session) -> Path:
    """A large translation unit: Catch2 with its main."""
    source, output = session.scratch / "large.cc", session.scratch / "large.ii"
    source.write_text("#define CATCH_CONFIG_MAIN\n#include <catch2/catch.hpp>\n#include <regex>\n")
    subprocess.run(["g++", "-std=c++20", "-E", str(source), "-o", str(output)], check=True)
    return output


def compiler(source: Path) -> Callable[[Session, Allocator], None]:
    def run(session: Session, allocator: Allocator) -> None:
        with measured(session, allocator, "g++"):
            quiet(["g++", "-std=c++20", "-O1", "-c", str(source), "-o", os.devnull], allocator)

    return run


def postgresql(session: Session, allocator: Allocator) -> None:
    """As a user of its own: initdb refuses to run as root."""
    data = session.scratch / "postgresql"
    script = f"""set -e; export PATH={postgresql_programs()}:$PATH PGHOST={data} PGUSER=me PGDATABASE=postgres; cd {data}
    initdb --no-locale --encoding=UTF8 --auth=trust --username=me --no-sync data
    pg_ctl -D data -w -o "-c listen_addresses= -c fsync=off -c work_mem=64MB -k {data}" start
    trap 'pg_ctl -D data -m immediate stop' EXIT
    pgbench --initialize --quiet --scale=10
    pgbench --random-seed=42 --client=4 --jobs=2 --transactions=3000
    psql -c 'select aid % 1001, count(*), string_agg(filler, aid::text order by aid) from pgbench_accounts group by 1' > /dev/null"""
    data.mkdir()
    try:
        nobodys_folder(session, data)
        with measured(session, allocator, "postgresql"):
            quiet(["setpriv", "--reuid=nobody", "--clear-groups", "sh", "-c", script], allocator)
    finally:
        subprocess.run(["rm", "-rf", str(data)], check=True)


def postgresql_programs() -> Path:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        raise ProgramError("no PostgreSQL: install the package postgresql")
    return folders[-1]


def nobodys_folder(session: Session, folder: Path) -> None:
    """In the scratch folder, which others may then pass through."""
    shutil.chown(folder, "nobody")
    folder.chmod(0o700)
    session.scratch.chmod(0o711)


def quiet(words: list[str], allocator: Allocator) -> None:
    subprocess.run(words, env=allocator.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
