#!/usr/bin/env python3
"""test_shared_lines.py: what malloc and free write while a bin answers is the calling thread's alone, and slow paths lock per batch.

programs/shared_lines.c notes every access to writable memory outside the threads' stacks and TLS, by three threads one after another.
A call that makes no atomic access has taken no lock: it is a fast one. malloc's may write the bin's top and nothing else, free's
a slot besides, silent stores included; no other thread's fast calls may read or write the lines of these.
"""
import collections
import os
import tempfile

import harness

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
ON_US = 3
LINE = 64
STORES = {"malloc": 1, "free": 2}
SIZES = (1, 32, 100, 1024, 4096, 65536, 524288)
THREADS = 3
ROW = 4  # calls of a row, all fast
SLOW = ("64", "5000")  # bytes and objects: more than a bin holds
# Objects per atomic access, at least; a lock takes two, and one more for a word of another thread's frees.
OBJECTS_PER_ATOMIC = {"fill": 16, "drain": 1, "merge": 8}


class Trace:
    """Accesses by call: (operation, bytes, thread, call) to a list of (kind, address)."""

    def __init__(self, text):
        first, *lines = text.splitlines()
        self.library, self.library_end = (int(word, 16) for word in first.split()[1:])
        self.calls = collections.defaultdict(list)
        for line in lines:
            operation, thread, call, kind, address = line.split("|")
            name, size = operation.rsplit(" ", 1)
            self.calls[name, int(size), int(thread), int(call)].append((kind, int(address, 16)))

    def fast(self):
        """Of rows and sweeps, in which every bin keeps its array: what the later operations give back another thread takes."""
        return {call: accesses for call, accesses in self.calls.items()
                if call[0].split()[-1] in STORES and all(kind != "a" for kind, _ in accesses)}

    def of(self, operation, size=None):
        return [accesses for call, accesses in self.calls.items() if call[0] == operation and size in (None, call[1])]

    def name(self, address):
        inside = self.library <= address < self.library_end
        return f"library+{address - self.library:#x}" if inside else f"{address:#x}"


def stores(accesses):
    return [address for kind, address in accesses if kind != "r"]


def check_rows(tap, trace):
    for operation, count in STORES.items():
        for size in SIZES:
            calls = trace.of(operation, size)
            odd = [list(map(trace.name, stores(call))) for call in calls if len(stores(call)) != count]
            tap.check(f"{operation} {size}: {count} write{'s' * (count > 1)} in each call", len(calls) == ROW * THREADS and not odd, f"{len(calls)} calls; writes of those that differ: {odd[:3]}")


def check_fast(tap, trace):
    fast = trace.fast()
    swept = [call for call in fast if call[0].startswith("sweep")]
    tap.check("most calls of a sweep through the bins are fast", len(swept) > 0.9 * len(
        [call for call in trace.calls if call[0].startswith("sweep")]), f"{len(swept)} are")
    more = [(call, list(map(trace.name, stores(fast[call])))) for call in swept
            if len(stores(fast[call])) != STORES[call[0].split()[1]]]
    tap.check("and write no more", not more, more[:3])
    touched = collections.defaultdict(set)
    written = {}
    for call, accesses in fast.items():
        for kind, address in accesses:
            touched[address // LINE].add(call[2])
            if kind != "r":
                written[address // LINE] = (call, trace.name(address))
    shared = [written[line] for line in written if len(touched[line]) > 1]
    tap.check(f"no line of the {len(written)} that fast calls write is touched by another thread's", written and not shared,
              shared[:5])


def check_slow(tap, trace):
    objects = int(SLOW[1]) * THREADS
    for operation, least in OBJECTS_PER_ATOMIC.items():
        atomic = sum(kind == "a" for call in trace.of(operation) for kind, _ in call)
        tap.check(f"{operation}: {least} objects or more per atomic access", 0 < atomic * least <= objects,
                  f"{atomic} for {objects} objects")


def locks(trace, operation):
    """Holds of each lock: its address to the lines touched in each hold. A lock is a word with two atomic accesses a hold."""
    holds = collections.defaultdict(list)
    for accesses in trace.of(operation):
        taken = {}
        for kind, address in accesses:
            if kind == "a" and address in taken:
                holds[address].append(taken.pop(address))
                continue
            for lines in taken.values():
                lines.add(address // LINE)
            if kind == "a":
                taken[address] = {address // LINE}
    return holds


def report_locks(trace):
    """For docs/scaling.md: what moves with a lock, as other cores' holds touch it, too."""
    for operation in "fill", "drain":
        touched = collections.defaultdict(collections.Counter)
        all_holds = locks(trace, operation)
        for address, holds in all_holds.items():
            for lines in holds:
                touched[address].update(lines)
        for address, holds in sorted(all_holds.items(), key=lambda item: -len(item[1])):
            if len(holds) < THREADS:
                continue
            mean = sum(map(len, holds)) / len(holds)
            often = sum(count > len(holds) / 2 for count in touched[address].values())
            print(f"# {operation} {SLOW[0]}: lock {trace.name(address)}: a hold per {int(SLOW[1]) * THREADS / len(holds):.1f} objects,"
                  f" of {mean:.1f} lines, {often} of them in most holds")


def report_remote(trace):
    calls = trace.of("take away")
    atomic = sum(kind == "a" for accesses in calls for kind, _ in accesses)
    print(f"# freed by another thread: {sum(map(len, calls)) / len(calls):.1f} accesses an object, {atomic / len(calls):.2f} of them atomic")


def main():
    args = harness.arguments(library="shared library", archive="static archive")
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="buddymalloc-test-") as folder:
        program = os.path.join(folder, "shared_lines")
        source = os.path.join(HERE, "shared_lines.c")
        built = harness.run([args.cc, "-O0", "-fno-builtin", "-pthread", "-Wl,-z,now", source, "-o", program])
        tap.check("builds", built.returncode == 0, built.stderr)
        environment = dict(os.environ, LD_PRELOAD=os.path.abspath(args.library), BUDDYMALLOC_BACKGROUND="0")
        result = harness.run([program, *SLOW], env=environment)
        good = result.returncode == ON_US
        tap.check("is on us", good, f"status {result.returncode}\n{result.stdout[:500]}{result.stderr}")
    if good:
        trace = Trace(result.stdout)
        check_rows(tap, trace)
        check_fast(tap, trace)
        check_slow(tap, trace)
        report_locks(trace)
        report_remote(trace)
    tap.finish()


if __name__ == "__main__":
    main()
