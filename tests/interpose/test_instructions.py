#!/usr/bin/env python3
"""test_instructions.py: how many instructions malloc and free take when a bin answers, and how many loads wait for each other,
against the golden tables below.

Counted by single-stepping a program on the preloaded library (programs/instructions.c), returns included; loads in the disassembly of
what lies before the first return. A path that grows fails; one that shrinks fails as well, so that the tables (and
docs/performance.md) say what is true.
"""
import os
import re
import tempfile

import harness

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
ON_US = 3
# gcc 12, -O2, x86-64. Six of malloc's find the calling context.
GOLDEN = {
    "malloc 1": 19, "malloc 100": 19, "malloc 1024": 19,
    "malloc 4096": 32, "malloc 65536": 32, "malloc 1048576": 35,
    "free 1": 19, "free 100": 19, "free 1024": 19, "free 4096": 19, "free 65536": 19, "free 1048576": 19,
}
# The first of each is that of where the thread-local block lies.
LOADS_IN_A_ROW = {"malloc": 5, "free": 3}
REGISTER = re.compile(r"%(?:[re]?([abcd])[xlh]|[re]?(si|di|bp|sp)l?|(r\d+)[dwb]?)\b")


def disassembly(library, function):
    listing = harness.run(["objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", library]).stdout
    lines = [line.split(":\t", 1)[1].split("#")[0].strip() for line in listing.splitlines() if ":\t" in line]
    for line in lines:
        if line.startswith("ret"):
            return
        yield line


def loads_in_a_row(lines):
    """The longest chain of loads of which each needs the one before it: for its address, or for what is computed with it."""
    chain = {}  # by register
    longest = 0
    for line in lines:
        name, _, rest = line.partition(" ")
        operands = re.findall(r"(?:[^,(]|\([^)]*\))+", rest.strip())
        if not operands or name.startswith("j"):
            continue

        def behind(operand):
            found = max((chain.get("".join(r), 0) for r in REGISTER.findall(operand)), default=0)
            return found + (1 if "(" in operand and name != "lea" else 0)

        target = operands[-1]
        overwrites = name.startswith(("mov", "lea")) or len(operands) == 3
        length = max(map(behind, operands[:-1] if overwrites else operands), default=0)
        if "(" not in target and not name.startswith(("cmp", "test")):
            chain["".join(REGISTER.search(target).groups(default=""))] = length
        longest = max(longest, length)
    return longest


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
    for function, golden in LOADS_IN_A_ROW.items():
        found = loads_in_a_row(disassembly(args.library, function))
        tap.equal(f"{function}: {golden} loads in a row", found, golden)
    tap.finish()


if __name__ == "__main__":
    main()
