"""packaged.py: programs of Debian as people run them: each bench/programs/*.sh, in a memory cgroup of its own.

A script begins with `# key: value` lines: `needs`, the packages it takes; `without`, an allocator it says nothing about (and
why, in brackets). It is run by sh with a folder of its own as its argument, and ends with status 0.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from .allocators import package_installed, package_version
from .costs import Task, measure
from .programs import ProgramError
from .real import nobodys_folder, postgresql_programs, preprocessed
from .session import Session
from .watch import ANONYMOUS, memory_cgroup

KEY = re.compile(r"# (needs|without): ([^(]*)")


def header(script: Path) -> dict[str, list[str]]:
    return {match[1]: match[2].split() for match in map(KEY.match, script.read_text().splitlines()) if match}


def scripts(root: Path) -> list[Path]:
    return sorted((root / "bench" / "programs").glob("*.sh"))


def missing(script: Path) -> list[str]:
    return [package for package in header(script)["needs"] if not package_installed(package)]


def missing_notes(root: Path) -> list[str]:
    return [f"{script.stem} left out: apt-get install --no-install-recommends {' '.join(packages)}"
            for script in scripts(root) if (packages := missing(script))]


def large_source(session: Session, folder: Path) -> None:
    preprocessed(session).rename(folder / "large.ii")


def database(session: Session, folder: Path) -> None:
    """Empty, and nobody's: PostgreSQL refuses to run as root."""
    nobodys_folder(session, folder)
    options = ["--no-locale", "--encoding=UTF8", "--auth=trust", "--username=me", "--no-sync"]
    initdb = [str(postgresql_programs() / "initdb"), *options, str(folder / "data")]
    subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", *initdb], check=True, stdout=subprocess.DEVNULL)


# What a script finds in its folder; made once, and not measured.
PREPARATIONS: dict[str, Callable[[Session, Path], None]] = {"g++": large_source, "postgresql": database}


def task(session: Session, script: Path) -> Task:
    folder = session.scratch / script.stem
    folder.mkdir()
    if script.stem in PREPARATIONS:
        PREPARATIONS[script.stem](session, folder)
    return Task(script.stem, ["/bin/sh", str(script), str(folder)], frozenset(header(script).get("without", ())))


def program_tasks(session: Session) -> list[Task]:
    chosen = [script for script in scripts(session.root) if session.wanted.search(script.stem)]
    session.results.notes += [note for note in missing_notes(session.root) if session.wanted.search(note.split()[0])]
    packages = sorted({package for script in chosen for package in header(script)["needs"]})
    versions = [package_version(package) for package in packages if package_installed(package)]
    session.results.notes += [f"programs: {', '.join(versions)}"] if versions else []
    return [task(session, script) for script in chosen if not missing(script)]


def measure_programs(session: Session) -> list[Task]:
    tasks = program_tasks(session)
    with memory_cgroup() as charge:
        if tasks and charge is None:
            raise ProgramError("programs are measured in memory cgroups, and there are none to be had here (root has them)")
    measure(session, tasks, watched=ANONYMOUS)
    return tasks


def programs(session: Session) -> None:
    """Debian's programs, bench/programs/*.sh: seconds, MiB of anonymous memory at the peak, processor seconds, page faults."""
    measure_programs(session)
