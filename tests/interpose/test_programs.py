#!/usr/bin/env python3
"""test_programs.py: builds the programs of programs/ and runs them on the library, preloaded and linked statically.

Each program exits with 3 when all is well and its blocks were buddymalloc's, so that a test that never reached
buddymalloc cannot pass. contract.c is compared with itself under glibc.
"""
import os
import tempfile

import harness

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
INCLUDE = os.path.join(HERE, "..", "..", "..", "include")
ON_US, ON_ANOTHER = 3, 0
# Where we differ from glibc 2.36 on purpose: POSIX and the manual say so, glibc does otherwise.
DEVIATIONS = {
    "posix_memalign(8,SIZE_MAX)": "12 errno=kept",
    "mallopt(unknown)": "0 errno=kept",
}


class Programs:
    def __init__(self, args, folder):
        self.args = args
        self.folder = folder

    def build(self, source, name, *options):
        """Path of the program and the compiler's result."""
        path = os.path.join(self.folder, name)
        compiler = [self.args.cxx, "-std=c++17"] if source.endswith(".cc") else [self.args.cc]
        command = [*compiler, "-O0", "-fno-builtin", "-w", "-pthread", os.path.join(HERE, source), "-o", path, *options]
        return path, harness.run(command)

    def preloaded(self):
        return dict(os.environ, LD_PRELOAD=os.path.abspath(self.args.library))


def facts(text):
    return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)


def contract(tap, programs):
    path, built = programs.build("contract.c", "contract", "-D_GNU_SOURCE")
    tap.check("contract: builds", built.returncode == 0, built.stderr)
    glibc = harness.run([path])
    ours = harness.run([path], env=programs.preloaded())
    tap.equal("contract: without preload it is not on us", glibc.returncode, ON_ANOTHER)
    tap.equal("contract: with preload it is on us", (ours.returncode, ours.stderr), (ON_US, ""))
    expected, got = facts(glibc.stdout), facts(ours.stdout)
    tap.check("contract: there are facts to compare", len(expected) > 40, len(expected))
    for name, value in expected.items():
        tap.equal(f"contract: {name}", got.get(name), DEVIATIONS.get(name, value))


def expect_status(tap, name, result, status):
    tap.check(name, result.returncode == status, f"status {result.returncode}\n{result.stdout}{result.stderr}")


def dynamic(tap, programs):
    for source in ["operators.cc", "catch_only.cc", "threads.c", "threads.cc"]:
        path, built = programs.build(source, "dynamic_" + source.replace(".", "_"))
        tap.check(f"{source}: builds", built.returncode == 0, built.stderr)
        expect_status(tap, f"{source}: right on glibc", harness.run([path]), ON_ANOTHER)
        expect_status(tap, f"{source}: right preloaded", harness.run([path], env=programs.preloaded()), ON_US)


def late_runtime(tap, programs):
    plugin, built = programs.build("plugin.cc", "plugin.so", "-shared", "-fPIC")
    tap.check("plugin.cc: builds", built.returncode == 0, built.stderr)
    path, built = programs.build("late_runtime.c", "late_runtime")
    tap.check("late_runtime.c: builds", built.returncode == 0, built.stderr)
    expect_status(tap, "late_runtime.c: right on glibc", harness.run([path, plugin]), ON_ANOTHER)
    result = harness.run([path, plugin], env=programs.preloaded())
    expect_status(tap, "late_runtime.c: a C++ plug-in of a C program catches bad_alloc", result, ON_US)


def no_runtime(tap, programs):
    library = os.path.abspath(programs.args.library)
    path, built = programs.build("no_runtime.c", "no_runtime", library, "-Wl,-rpath," + os.path.dirname(library))
    tap.check("no_runtime.c: links with the library and without a C++ runtime", built.returncode == 0, built.stderr)
    result = harness.run([path], env=programs.preloaded())
    tap.equal("no_runtime.c: aborts", result.returncode, -6)
    tap.check("no_runtime.c: says why", "no C++ runtime" in result.stderr, result.stderr)


def hot_cold(tap, programs):
    library = os.path.abspath(programs.args.library)
    ways = {"linked": [library, "-Wl,-rpath," + os.path.dirname(library)],
            "static": ["-static", os.path.abspath(programs.args.archive)]}
    for way, options in ways.items():
        path, built = programs.build("hot_cold.cc", "hot_cold_" + way, "-I" + INCLUDE, *options)
        tap.check(f"hot_cold.cc: {way}: links with our operators", built.returncode == 0, built.stderr)
        expect_status(tap, f"hot_cold.cc: {way}: right and on us", harness.run([path]), ON_US)


def static(tap, programs):
    archive = os.path.abspath(programs.args.archive)
    ways = {
        "static": ["-static", archive],
        "static whole": ["-static", "-Wl,--whole-archive", archive, "-Wl,--no-whole-archive"],
        "static-pie": ["-static-pie", archive],
        "archive": [archive],
    }
    for way, options in ways.items():
        for source in ["threads.c", "contract.c", "threads.cc", "operators.cc", "catch_only.cc"]:
            name = f"{way} {source}"
            path, built = programs.build(source, name.replace(" ", "_").replace(".", "_"), "-DBM_STATIC", *options)
            tap.check(f"{name}: links without a word", (built.returncode, built.stderr) == (0, ""), built.stderr)
            expect_status(tap, f"{name}: right and on us", harness.run([path]), ON_US)


def main():
    args = harness.arguments(library="shared library", archive="static archive")
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="buddymalloc-test-") as folder:
        programs = Programs(args, folder)
        contract(tap, programs)
        dynamic(tap, programs)
        late_runtime(tap, programs)
        no_runtime(tap, programs)
        static(tap, programs)
        hot_cold(tap, programs)
    tap.finish()


if __name__ == "__main__":
    main()
