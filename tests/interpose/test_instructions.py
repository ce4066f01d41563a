#!/usr/bin/env python3
"""test_instructions.py: how many instructions malloc and free take when a bin answers, against the golden table below.

Counted by single-stepping a program on the preloaded library (programs/instructions.c), returns included. A path that
grows fails; one that shrinks fails as well, so that the table (and docs/performance.md) says what is true.
"""
import os
import tempfile

import harness

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
ON_US = 3
# gcc 12, -O2, x86-64. Six of malloc's find the calling context.
GOLDEN = {
    "malloc 1": 19, "malloc 100": 19, "malloc 1024": 19,
    "malloc 4096": 32, "malloc 65536": 32, "malloc 1048576": 35,
    "free 1": 20, "free 100": 20, "free 1024": 20, "free 4096": 20, "free 65536": 20, "free 1048576": 20,
}


def main():
    args = harness.arguments(library="shared library", archive="static archive")
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="buddymalloc-test-") as folder:
        program = os.path.join(folder, "instructions")
        source = os.path.join(HERE, "instructions.c")
        built = harness.run([args.cc, "-O0", "-fno-builtin", source, "-o", program])
        tap.check("builds", built.returncode == 0, built.stderr)
        environment = dict(os.environ, LD_PRELOAD=os.path.abspath(args.library), BUDDYMALLOC_BACKGROUND="0")
        result = harness.run([program], env=environment)
        tap.check("is on us", result.returncode == ON_US, f"status {result.returncode}\n{result.stdout}{result.stderr}")
    counted = dict(line.split(" = ") for line in result.stdout.splitlines())
    for name, golden in GOLDEN.items():
        tap.equal(f"{name}: {golden} instructions", counted.get(name), str(golden))
    tap.finish()


if __name__ == "__main__":
    main()
