#!/usr/bin/env python3
"""test_background.py: what whole programs notice of the background thread, and BUDDYMALLOC_VALIDATE; both preloaded.

Programs exit with 3 when all is well and they were on buddymalloc.
"""
import os
import tempfile

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
ON_US, ON_ANOTHER = 3, 0
FREED_MB, LEFT_MB = 300, 45  # what 300 MB of blocks and their metadata may leave behind


def build(args, folder, source, *options):
    path = os.path.join(folder, os.path.splitext(source)[0])
    compiler = [args.cxx, "-std=c++20"] if source.endswith(".cc") else [args.cc]
    built = harness.run([*compiler, "-O1", "-fno-builtin", "-w", "-pthread", os.path.join(HERE, "programs", source), "-o",
                         path, *options])
    return path, built


def expect_status(tap, name, result, status):
    tap.check(name, result.returncode == status, f"status {result.returncode}\n{result.stdout}{result.stderr}")


def background(tap, args, folder, preloaded):
    path, built = build(args, folder, "background.c")
    tap.check("background.c: builds", built.returncode == 0, built.stderr)
    off = dict(preloaded, BUDDYMALLOC_BACKGROUND="0")
    for mode in ["single", "fork", "setid", "alone"]:
        expect_status(tap, f"{mode}: right on glibc", harness.run([path, mode]), ON_ANOTHER)
        expect_status(tap, f"{mode}: right with the thread", harness.run([path, mode], env=preloaded), ON_US)
        expect_status(tap, f"{mode}: right without it", harness.run([path, mode], env=off), ON_US)
    for name, env in [("with", preloaded), ("without", off)]:
        expect_status(tap, f"exit: the last thread ends the process {name} it", harness.run([path, "exit"], env=env), 0)
        result = harness.run([path, "sleep"], env=env)
        expect_status(tap, f"sleep: right {name} the thread", result, ON_US)
        ours, left = (result.stdout.split() + ["", ""])[:2]
        tap.equal(f"sleep: number of such threads {name} it", ours, "1" if name == "with" else "0")
        tap.check(f"sleep: {FREED_MB} MB have gone back {name} it", left.isdigit() and int(left) <= LEFT_MB, left)


def validated(tap, args, folder, preloaded):
    path, built = build(args, folder, "validated.cc", "-I", os.path.join(HERE, "..", "..", "lib"))
    tap.check("validated.cc: builds", built.returncode == 0, built.stderr)
    every = dict(preloaded, BUDDYMALLOC_VALIDATE="5")
    result = harness.run([path], env=every)
    expect_status(tap, "a sound heap is checked and nothing is said", result, ON_US)
    tap.equal("a sound heap: silent", result.stderr, "")
    for what, invariant in [("free", "PB-1"), ("order", "PB-2"), ("dirty", "PB-3")]:
        result = harness.run([path, what], env=every)
        tap.equal(f"damage ({what}): the program is aborted", result.returncode, -6)
        tap.check(f"damage ({what}): the invariant is named", f"invariant {invariant} broken" in result.stderr, result.stderr)


def main():
    args = harness.arguments(library="shared library", archive="static archive")
    preloaded = dict(os.environ, LD_PRELOAD=os.path.abspath(args.library))
    preloaded.pop("BUDDYMALLOC_BACKGROUND", None)
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="buddymalloc-test-") as folder:
        background(tap, args, folder, preloaded)
        validated(tap, args, folder, preloaded)
    tap.finish()


if __name__ == "__main__":
    main()
