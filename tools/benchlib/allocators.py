"""allocators.py: which allocators can be compared on this machine, found and tried before anything is timed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OURS = "ours"
GLIBC = "glibc"

# Column name, Debian package, file name of the library to preload.
DEBIAN_PEERS = (
    ("jemalloc", "libjemalloc2", "libjemalloc.so.2"),
    ("mimalloc2", "libmimalloc2.0", "libmimalloc.so.2*"),
    ("tcmalloc", "libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
    ("tbbmalloc", "libtbbmalloc2", "libtbbmalloc_proxy.so.2"),
)
FETCHED_PEER = ("mimalloc3", "libmimalloc3", "libmimalloc.so.3*")


@dataclass(frozen=True)
class Allocator:
    """One column. A reference (a floor, an empty library) is shown but never competed with."""

    name: str
    library: Path | None
    version: str
    reference: bool = False

    def environment(self) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
        if self.library:
            environment["LD_PRELOAD"] = str(self.library)
        return environment


def preload_problem(library: Path) -> str | None:
    """Why /bin/true cannot run under the library, or None: ld.so only warns about one it cannot load."""
    if not library.is_file():
        return "no such file"
    run = subprocess.run(["/bin/true"], env=Allocator("", library, "").environment(), capture_output=True, text=True)
    if run.returncode or "cannot be preloaded" in run.stderr:
        return run.stderr.strip() or f"/bin/true ended with status {run.returncode}"
    return None


def package_field(package: str, field: str) -> str:
    """Nothing where the package, or dpkg, is not there."""
    query = ["dpkg-query", "-W", "-f", f"${{{field}}}", package]
    return subprocess.run(query, capture_output=True, text=True).stdout if shutil.which("dpkg-query") else ""


def package_version(package: str) -> str:
    version = package_field(package, "Version")
    return f"{package} {version}" if version else "unknown version"


def package_installed(package: str) -> bool:
    return package_field(package, "db:Status-Status") == "installed"


def source_version(root: Path) -> str:
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    run = subprocess.run(describe, capture_output=True, text=True)
    return run.stdout.strip() or "no commit yet"


def newest(folder: Path, pattern: str) -> Path | None:
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def our_library(root: Path, given: Path | None) -> tuple[Path | None, str]:
    """The library under test, or None and the reason."""
    if given:
        return given.resolve(), ""
    command = [str(root / "tools" / "run"), "--print-lib"]
    try:
        run = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        return None, f"{command[0]}: {error.strerror}"
    if run.returncode or not run.stdout.strip():
        return None, " ".join(run.stderr.split()) or f"{' '.join(command)} printed nothing"
    return Path(run.stdout.strip()), ""


class Finder:
    """Collects the allocators of this machine; what is missing becomes a note, not an error."""

    def __init__(self, root: Path, library: Path | None, wanted: str | None):
        self.root = root
        self.wanted = wanted.split(",") if wanted else None
        self.notes: list[str] = []
        self.found: dict[str, Allocator] = {}
        if self.wanted is None or OURS in self.wanted:
            self._add_ours(library)
        self._add(Allocator(GLIBC, None, " ".join(os.confstr("CS_GNU_LIBC_VERSION").split())))
        self._add_fetched()
        libraries = Path("/usr/lib") / f"{platform.machine()}-linux-gnu"
        for name, package, pattern in DEBIAN_PEERS:
            path = newest(libraries, pattern)
            if path:
                self._add(Allocator(name, path, package_version(package)))
            else:
                self.notes.append(f"{name} left out: package {package} is not installed")

    def _add(self, allocator: Allocator) -> None:
        problem = allocator.library and preload_problem(allocator.library)
        if problem:
            self.notes.append(f"{allocator.name} left out: {problem}")
        else:
            self.found[allocator.name] = allocator

    def _add_ours(self, given: Path | None) -> None:
        library, problem = our_library(self.root, given)
        if library:
            self._add(Allocator(OURS, library, f"buddymalloc {source_version(self.root)}, {library}"))
        else:
            self.notes.append(f"{OURS} left out: {problem}")

    def _add_fetched(self) -> None:
        name, package, pattern = FETCHED_PEER
        path = newest(self.root / "build" / "peers", f"{package}_*/usr/lib/*/{pattern}")
        if path:
            folder = path.parents[3].name
            self._add(Allocator(name, path, folder.replace("_", " ")))
        else:
            self.notes.append(f"{name} left out: tools/bench --fetch-mimalloc gets it")

    def select(self) -> list[Allocator]:
        """The allocators wanted (NAME or NAME=LIBRARY), or all; ValueError names what cannot be had."""
        if self.wanted is None:
            return list(self.found.values())
        return [self._named(name) for name in self.wanted]

    def _named(self, name: str) -> Allocator:
        name, _, path = name.partition("=")
        if path:
            problem = preload_problem(Path(path).resolve())
            if problem:
                raise ValueError(f"{path}: {problem}")
            return Allocator(name, Path(path).resolve(), path)
        if name not in self.found:
            raise ValueError("; ".join([f"no allocator {name!r}", f"there are {', '.join(self.found)}", *self.notes]))
        return self.found[name]
