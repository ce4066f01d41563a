#!/usr/bin/env python3
"""test_inspect.py: the command buddymalloc on whole processes, which print the same reports from inside, and on cores."""
import contextlib
import glob
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import harness

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
REPORTS = ["buddyinfo", "pagetypeinfo", "zoneinfo", "slabinfo"]
INDICES = ["extfrag", "unusable"]
NOBODY = 65534


class Inspected:
    """A running program that obeys letters; answers end with a line of two dashes."""

    def __init__(self, path, folder, env=None):
        limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=folder,
                                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, limits))
        self.pid = str(self.process.pid)
        self.ready = self.answer()

    def answer(self):
        lines = []
        for line in iter(self.process.stdout.readline, b"--\n"):
            if not line:
                break
            lines.append(line.decode())
        return "".join(lines)

    def reports(self):
        self.send("r")
        return {name: self.answer() for name in REPORTS}

    def send(self, letter):
        self.process.stdin.write(letter.encode())
        self.process.stdin.flush()


@contextlib.contextmanager
def running(path, folder, env=None):
    inspected = Inspected(path, folder, env)
    try:
        yield inspected
    finally:
        inspected.process.kill()
        inspected.process.wait()


class Setting:
    def __init__(self, args, folder):
        self.folder = folder
        self.cc = args.cc
        self.archive = os.path.abspath(args.archive)
        self.preload = dict(os.environ, LD_PRELOAD=os.path.abspath(args.library))
        self.command = os.path.abspath(args.command)

    def build(self, tap, source, name, *options):
        path = os.path.join(self.folder, name)
        built = harness.run([self.cc, "-O0", "-fno-builtin", "-w", "-pthread", "-D_GNU_SOURCE", os.path.join(HERE, source), "-o",
                             path, *options])
        tap.check(f"{name}: builds", built.returncode == 0, built.stderr)
        return path

    def inspect(self, *words):
        return harness.run([self.command, *words])


def expect_failure(tap, name, result, words):
    tap.equal(f"{name}: nothing on stdout, status 1", (result.stdout, result.returncode), ("", 1))
    tap.check(f"{name}: says so", words in result.stderr and result.stderr.startswith("buddymalloc: "), result.stderr)


def same_from_outside(tap, setting, name, target, inside):
    for report in REPORTS:
        result = setting.inspect(report, target)
        tap.equal(f"{name}: {report} is the same from outside", (result.stdout, result.stderr, result.returncode),
                  (inside[report], "", 0))
    for report in INDICES:
        result = setting.inspect(report, target)
        tap.check(f"{name}: {report}", result.returncode == 0 and result.stdout.startswith("Node 0, zone   Normal "),
                  result.stdout + result.stderr)


def core_of(inspected, folder):
    """Path of the core file that the program leaves, or of gcore's where the kernel does not write one here; or None."""
    gcore = shutil.which("gcore")
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as pattern:
        if "/" in pattern.read():
            if gcore:
                harness.run([gcore, "-o", os.path.join(folder, "core"), inspected.pid])
        else:
            inspected.send("x")
            inspected.process.wait(timeout=120)
    cores = glob.glob(os.path.join(folder, "core*"))
    return cores[0] if cores else None


def alive_and_dead(tap, setting):
    """The same reports from inside, from outside, and from the core file, however the program got its malloc."""
    ways = {
        "preloaded": ([], setting.preload),
        "static": (["-DBM_STATIC", "-static", setting.archive], None),
        "static-pie": (["-DBM_STATIC", "-static-pie", setting.archive], None),
    }
    for name, (options, env) in ways.items():
        path = setting.build(tap, "inspected.c", f"inspected_{name}", *options)
        folder = tempfile.mkdtemp(dir=setting.folder)
        with running(path, folder, env) as inspected:
            inside = inspected.reports()
            tap.check(f"{name}: there is something to see", len(inside["slabinfo"].splitlines()) > 20, inside)
            same_from_outside(tap, setting, f"{name}, alive", inspected.pid, inside)
            core = core_of(inspected, folder)
        if core is None:
            print(f"# no core files on this machine: {name} is not tested on one")
            continue
        same_from_outside(tap, setting, f"{name}, core", core, inside)


def while_it_changes(tap, setting):
    path = setting.build(tap, "inspected.c", "inspected_busy")
    with running(path, setting.folder, setting.preload) as inspected:
        inspected.send("a")
        tap.equal("busy: the heap is changing", inspected.answer(), "changing\n")
        exact = total = 0
        for _ in range(50):
            result = setting.inspect("pagetypeinfo", inspected.pid)
            total += result.returncode == 0
            rows = [line.split() for line in result.stdout.splitlines() if ", type " in line]
            exact += sum(len(row) for row in rows) == 6 * 17
        tap.equal("busy: 50 snapshots of 50, each whole", (total, exact), (50, 50))
        zone = setting.inspect("zoneinfo", inspected.pid).stdout
        tap.check("busy: zoneinfo as well", zone.startswith("Node 0, zone   Normal\n  pages free "), zone)
        tap.check("busy: it runs on", inspected.process.poll() is None)


def again_and_again(tap, setting):
    """--interval: a report each time, an empty line between, status 0 at the end of the process."""
    path = setting.build(tap, "inspected.c", "inspected_again")
    with running(path, setting.folder, setting.preload) as inspected:
        once = setting.inspect("buddyinfo", inspected.pid).stdout
        reader = subprocess.Popen([setting.command, "--interval=0.05", "buddyinfo", inspected.pid], stdout=subprocess.PIPE,
                                  text=True)
        seen = [reader.stdout.readline() for _ in range(5)]
        tap.equal("interval: the same report, an empty line, the same", seen, [once, "\n", once, "\n", once])
        reader.send_signal(signal.SIGSTOP)
        time.sleep(1)  # twenty are missed
        start = time.monotonic()
        reader.send_signal(signal.SIGCONT)
        for _ in range(20):  # ten reports
            reader.stdout.readline()
        tap.check("interval: what was missed in a stop does not come in a burst", time.monotonic() - start > 0.3)
        inspected.process.kill()
        inspected.process.wait()
        rest = reader.communicate(timeout=60)[0]
        tap.equal("interval: ends with the process", (set(rest.splitlines()) <= {"", once.rstrip("\n")}, reader.returncode),
                  (True, 0))
        result = setting.inspect("--interval=0.05", "buddyinfo", inspected.pid)
        expect_failure(tap, "interval: no such process from the start", result, "no such process")
    expect_failure(tap, "interval: a file", setting.inspect("--interval=1", "buddyinfo", __file__), "is no process id")


def hugepages(tap, setting):
    """The line of the statistics from outside, and a table in which the pageblock that lost a page stands out."""
    path = setting.build(tap, "inspected.c", "inspected_hugepages")
    folder = tempfile.mkdtemp(dir=setting.folder)
    with running(path, folder, setting.preload) as inspected:
        inspected.send("h")
        line = inspected.answer().splitlines()[-1] + "\n"
        tap.check("hugepages: the statistics have their line", line.startswith("coverage "), line)
        tap.equal("hugepages: the same line from outside", setting.inspect("hugepages", inspected.pid).stdout, line)
        table = setting.inspect("--blocks", "hugepages", inspected.pid).stdout.splitlines(keepends=True)
        tap.equal("hugepages: a row for each pageblock, then the line", (table[0][:11], table[-1]), ("# pageblock", line))
        rows = [row.split() for row in table[1:-1]]
        names = table[0].lstrip("#").split()
        resident, asked, backing = (names.index(name) for name in ("resident", "asked", "backing"))
        tap.equal("hugepages: small pages are asked for in the first 32 MiB", [row[asked] for row in rows],
                  ["4K"] * 16 + ["huge"] * (len(rows) - 16))
        split = [row for row in rows if row[resident] == "511"]
        tap.equal("hugepages: one pageblock has lost a page", len(split), 1)
        if ", huge 0," in line or "unknown" in line:
            print("# no hugepages on this machine: not tested that they are seen")
            return
        tap.equal("hugepages: it has no hugepage any more", [row[backing] for row in split], ["4K"])
        whole = [row[resident] for row in rows if row[backing] == "huge"]
        tap.check("hugepages: others have", whole and set(whole) == {"512"}, table)
        tap.check("hugepages: and are counted", f", huge {len(whole)}, split " in line, line)
        core = core_of(inspected, folder)
    if core is not None:
        expect_failure(tap, "hugepages: of a core file", setting.inspect("hugepages", core), "a core file does not tell")
    expect_failure(tap, "hugepages: of a process that has ended", setting.inspect("hugepages", inspected.pid), "no such process")


def refusals(tap, setting):
    idle = setting.build(tap, "inspected.c", "idle", "-DBM_IDLE")
    with running(idle, setting.folder) as stranger:
        result = setting.inspect("buddyinfo", stranger.pid)
        expect_failure(tap, "a process on another malloc", result, "does not run on buddymalloc")
        gone = stranger.pid
    expect_failure(tap, "a process that has ended", setting.inspect("buddyinfo", gone), f"no such process: {gone}")
    with running(idle, setting.folder, setting.preload) as fresh:
        result = setting.inspect("buddyinfo", fresh.pid)
        expect_failure(tap, "a process that has not allocated", result, "not initialised yet")
        if os.geteuid() == 0:
            result = as_nobody(setting, "buddyinfo", fresh.pid)
            expect_failure(tap, "another user's process", result, f"not allowed to read process {fresh.pid}")
    other = setting.build(tap, "other_layout.c", "other_layout")
    with running(other, setting.folder) as inspected:
        result = setting.inspect("zoneinfo", inspected.pid)
        expect_failure(tap, "another layout", result, "has buddymalloc 77.8.9 with state layout 4711 of 1000 bytes")
    expect_failure(tap, "a file that is none of these", setting.inspect("buddyinfo", __file__), "is no process, core file")
    expect_failure(tap, "no file", setting.inspect("buddyinfo", "/nowhere"), "/nowhere is no process")


def as_nobody(setting, *words):
    """The command run by another user, from a copy that he may reach."""
    with tempfile.TemporaryDirectory(prefix="buddymalloc-test-") as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(setting.command, folder)
        return subprocess.run([copy, *words], user=NOBODY, group=NOBODY, extra_groups=[], text=True, capture_output=True,
                              check=False, timeout=60)


def words_and_texts(tap, setting):
    usage = setting.inspect("--help")
    tap.check("--help names every report", all(r in usage.stdout for r in REPORTS + INDICES + ["hugepages"]) and usage.returncode == 0, usage)
    version = setting.inspect("--version")
    tap.check("--version", version.stdout.startswith("buddymalloc ") and version.returncode == 0, version)
    for words in ([], ["buddyinfo"], ["nonsense", "1"], ["buddyinfo", "1", "2"], ["--interval=1", "buddyinfo"],
                  ["--blocks", "buddyinfo", "1"], ["--blocks", "1"],
                  ["--interval=0", "buddyinfo", "1"], ["--interval=x", "buddyinfo", "1"], ["--interval=1s", "buddyinfo", "1"]):
        result = setting.inspect(*words)
        tap.check(f"wrong usage: {words}", result.returncode == 2 and result.stderr.startswith("usage: "), result)
    text = os.path.join(setting.folder, "buddyinfo")
    line = "Node 0, zone   Normal      4      2      0      1      0      0      0      0      0      0      0 \n"
    with open(text, "w", encoding="ascii") as file:
        file.write(line)
    tap.equal("a saved buddyinfo is printed again", setting.inspect("buddyinfo", text).stdout, line)
    tap.equal("the index of a saved buddyinfo", setting.inspect("unusable", text).stdout,
              "Node 0, zone   Normal 0.000 0.250 0.500 0.500" + " 1.000" * 7 + " \n")
    expect_failure(tap, "zoneinfo of a saved buddyinfo", setting.inspect("zoneinfo", text), "does not have what zoneinfo needs")


def main():
    args = harness.arguments(library="shared library", archive="static archive", command="the command buddymalloc")
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="buddymalloc-test-") as folder:
        setting = Setting(args, folder)
        alive_and_dead(tap, setting)
        while_it_changes(tap, setting)
        again_and_again(tap, setting)
        hugepages(tap, setting)
        refusals(tap, setting)
        words_and_texts(tap, setting)
    tap.finish()


if __name__ == "__main__":
    main()
