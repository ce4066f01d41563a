#!/usr/bin/env python3
"""test_limit.py: whole programs under BUDDYMALLOC_LIMIT, preloaded, also in a memory cgroup of their own where one can be made.

Programs exit with 3 when all is well and they were on buddymalloc.
"""
import contextlib
import os
import re
import sys
import tempfile

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
ON_US, KILLED = 3, -9
GROUP_MB = 200
GROWS = """
kept = []
try:
    while True:
        kept.append(bytearray(10 << 20))
except MemoryError:
    print(10 * len(kept))
kept.clear()
print(len(bytearray(150 << 20)) >> 20, sum(len(str(i)) for i in range(10**5)))
"""


def numbers(result):
    return [int(n) for n in re.findall(r"\d+", result.stdout)]


def by_option(tap, program, preloaded):
    limited = dict(preloaded, BUDDYMALLOC_LIMIT="256M", PYTHONMALLOC="malloc")
    result = harness.run([program, "exhaust"], env=limited)
    tap.check("256M: null, ENOMEM, and on with it after frees", result.returncode == ON_US, result.stderr)
    tap.check("256M: at least 230 MB of any size, never more than 256",
              numbers(result) and all(230 <= n <= 256 for n in numbers(result)), result.stdout)
    result = harness.run([sys.executable, "-c", GROWS], env=limited)
    got = numbers(result)
    tap.check("256M: python3 gets MemoryError and goes on", len(got) == 3 and 200 <= got[0] <= 256 and got[1] == 150,
              result.stdout + result.stderr)
    for bad in ["2X", "many", "-1", "300%", "100K"]:
        result = harness.run([program, "holes"], env=dict(preloaded, BUDDYMALLOC_LIMIT=bad))
        tap.check(f"{bad}: one line, and ignored", result.returncode == ON_US and result.stderr.count("\n") == 1
                  and result.stderr.startswith("buddymalloc: BUDDYMALLOC_LIMIT "), result.stderr)


@contextlib.contextmanager
def memory_group(megabytes):
    """The folder of a new memory cgroup beside our own, or None where that is not possible."""
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        own = dict(line.strip().split(":", 2)[1:] for line in lines)
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        mounts = [line.split() for line in lines]
    folder = limit = None
    for fields in mounts:
        kind = fields[fields.index("-") + 1]
        if kind == "cgroup" and "memory" in fields[-1].split(","):
            folder, limit = fields[4] + own.get("memory", "/"), "memory.limit_in_bytes"
        elif kind == "cgroup2" and limit is None and "" in own:
            folder, limit = os.path.dirname(fields[4] + own[""]), "memory.max"
    group = os.path.join(folder or "/no", f"buddymalloc-test-{os.getpid()}")
    try:
        os.mkdir(group)
    except OSError:
        yield None
        return
    try:
        for name, text in [(limit, f"{megabytes}M"), ("memory.swap.max", "0"), ("memory.memsw.limit_in_bytes", f"{megabytes}M")]:
            if name == limit or os.path.exists(os.path.join(group, name)):
                with open(os.path.join(group, name), "w", encoding="utf-8") as file:
                    file.write(text)
        yield group
    except OSError:
        yield None
    finally:
        os.rmdir(group)


def in_group(group, command, env):
    """Only the program itself is on the library, and in the group."""
    variables = [f"{name}={env[name]}" for name in ("LD_PRELOAD", "BUDDYMALLOC_LIMIT", "PYTHONMALLOC") if name in env]
    usage = [path for name in ("memory.current", "memory.usage_in_bytes") if os.path.exists(path := os.path.join(group, name))]
    variables += [f"GROUP_USAGE={path}" for path in usage]
    plain = {name: text for name, text in env.items() if name not in ("LD_PRELOAD", "PYTHONMALLOC")}
    shell = 'echo $$ > "$0/cgroup.procs" && exec env "$@"'
    return harness.run(["sh", "-c", shell, group, *variables, *command], env=plain)


def by_group(tap, program, preloaded):
    followed = dict(preloaded, BUDDYMALLOC_LIMIT="cgroup", PYTHONMALLOC="malloc")
    with memory_group(GROUP_MB) as group:
        if group is None:
            tap.skip("in a memory cgroup", "no such group can be made here")
            return
        result = in_group(group, [program, "holes"], preloaded)
        tap.equal("cgroup: 150 MB of holes and 120 MB more: killed without the option", result.returncode, KILLED)
        result = in_group(group, [program, "holes"], followed)
        tap.check("cgroup: the same with it goes on", result.returncode == ON_US, f"{result.returncode} {result.stderr}")
        tap.check("cgroup: the holes' hugepages are split, what is left is charged", numbers(result) and numbers(result)[0] < 40 << 20,
                  result.stdout)
        result = in_group(group, [program, "exhaust"], followed)
        tap.check("cgroup: null, ENOMEM, and on with it after frees", result.returncode == ON_US,
                  f"{result.returncode} {result.stderr}")
        tap.check("cgroup: most of the group's memory, of any size",
                  numbers(result) and all(130 <= n <= GROUP_MB for n in numbers(result)), result.stdout)
        result = in_group(group, [sys.executable, "-c", GROWS], followed)
        tap.check("cgroup: python3 gets MemoryError and goes on", numbers(result)[1:2] == [150],
                  f"{result.returncode} {result.stdout}{result.stderr}")


def main():
    args = harness.arguments(library="shared library", archive="static archive")
    preloaded = dict(os.environ, LD_PRELOAD=os.path.abspath(args.library))
    preloaded.pop("BUDDYMALLOC_LIMIT", None)
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="buddymalloc-test-") as folder:
        program = os.path.join(folder, "limit")
        built = harness.run([args.cc, "-O1", "-fno-builtin", "-w", os.path.join(HERE, "programs", "limit.c"), "-o", program])
        tap.check("limit.c: builds", built.returncode == 0, built.stderr)
        by_option(tap, program, preloaded)
        by_group(tap, program, preloaded)
    tap.finish()


if __name__ == "__main__":
    main()
