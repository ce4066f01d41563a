"""fetch.py: the newest mimalloc, as Debian packages it in sid, unpacked under build/peers and never installed.

apt works in a temporary root of its own, with the mirror and the keys this machine already trusts; the
machine's apt configuration, package lists and packages stay as they are.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlparse

from .allocators import FETCHED_PEER, newest, preload_problem

SUITE = "sid"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class FetchError(Exception):
    """What went wrong, in words for the user."""


def debian_mirror() -> str:
    """The archive this machine's apt sources name."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"]
    targets = subprocess.run(command, capture_output=True, text=True)
    for origin, uri in (line.rsplit(" ", 1) for line in targets.stdout.splitlines()):
        path = Path(urlparse(uri).path)
        if (origin == "Debian" or path.name == "debian") and "security" not in path.name:
            return uri
    raise FetchError("no Debian mirror among this machine's apt sources")


def temporary_apt(folder: Path, mirror: str) -> list[str]:
    """The apt options which confine it to the folder and to one suite of the mirror."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    signed_by = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (folder / "sources.list").write_text(f"deb {signed_by}{mirror} {SUITE} main\n")
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": getpass.getuser(),
        "Acquire::Languages": "none",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def run(command: list[str], folder: Path) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        raise FetchError(f"{command[0]} {command[-1]} failed: {result.stderr.strip()}")


def fetch_mimalloc(root: Path) -> str:
    """Downloads, unpacks and tries the library; returns a sentence that names its version and place."""
    _, package, pattern = FETCHED_PEER
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise FetchError("apt-get and dpkg are needed: fetching works on Debian and its relatives")
    peers = root / "build" / "peers"
    with tempfile.TemporaryDirectory(prefix="bench-apt-") as name:
        folder = Path(name)
        options = temporary_apt(folder, debian_mirror())
        run(["apt-get", *options, "update"], folder)
        run(["apt-get", *options, "download", package], folder)
        archive = next(folder.glob(f"{package}_*.deb"))
        version = archive.name.split("_")[1].replace("%3a", ":")
        for old in peers.glob(f"{package}_*"):
            shutil.rmtree(old)
        target = peers / f"{package}_{version}"
        target.mkdir(parents=True)
        run(["dpkg", "-x", str(archive), str(target)], folder)
    library = newest(target, f"usr/lib/*/{pattern}")
    problem = preload_problem(library) if library else f"no {pattern} in {archive.name}"
    if problem:
        raise FetchError(f"{package} {version} does not run: {problem}")
    return f"{package} {version}, unpacked to {target}; /bin/true runs under it"
