"""programs.py: the executables a suite runs: ours from the build folder, small helpers compiled on the spot."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path


class ProgramError(Exception):
    """What is missing, in words for the user."""


def built_program(root: Path, build: Path | None, library: Path | None, name: str) -> Path:
    """bench/NAME in the build folder given, else in one above our library, else in the newest under build/."""
    if build:
        folders = [build]
    else:
        above = list(library.parents) if library else []
        folders = [*above, *sorted(root.glob("build/*"), key=lambda path: path.stat().st_mtime, reverse=True)]
    for folder in folders:
        if (folder / "build.ninja").is_file():
            bring_up_to_date(folder, name)
        program = folder / "bench" / name
        if program.is_file() and os.access(program, os.X_OK):
            return program.resolve()
    tried = ", ".join(map(str, folders)) or f"{root}/build/*"
    raise ProgramError(f"bench/{name} is in none of: {tried}; build with meson -Dbench=enabled, or give --build-dir")


def bring_up_to_date(folder: Path, name: str) -> None:
    run = subprocess.run(["ninja", "-C", str(folder), f"bench/{name}"], capture_output=True, text=True)
    if run.returncode and "unknown target" not in run.stderr + run.stdout:
        raise ProgramError(f"building bench/{name} in {folder} failed:\n{run.stdout}{run.stderr}")


def compile_c(source: Path, output: Path, *flags: str) -> Path:
    command = [*shlex.split(os.environ.get("CC", "cc")), *flags, "-x", "c", str(source), "-o", str(output)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise ProgramError(f"{shlex.join(command)} failed:\n{run.stderr}")
    return output


def empty_library(folder: Path) -> Path:
    """Preloading it costs what preloading anything costs."""
    return compile_c(Path(os.devnull), folder / "empty.so", "-O2", "-shared", "-fPIC")


def probe_source(root: Path, name: str) -> Path:
    folder = Path(os.environ.get("BUDDYMALLOC_PROBES") or root.parent / "shared" / "probes")
    source = folder / name
    if not source.is_file():
        raise ProgramError(f"no {source}: the fastpath suite needs the probes; point BUDDYMALLOC_PROBES to their folder")
    return source
