#!/usr/bin/env python3
"""test_workloads.py: every workload of bench/workloads on the preloaded library, with little of its work.

The workloads check their own data; that they were on buddymalloc is what BUDDYMALLOC_VERBOSE's one line says.
"""
import os

import harness


def main():
    args = harness.arguments(library="shared library", workloads="bench/workloads")
    names = harness.output([args.workloads, "--list"]).split()
    ours = dict(os.environ, LD_PRELOAD=os.path.abspath(args.library), BUDDYMALLOC_VERBOSE="1")
    tap = harness.Tap()
    tap.check("no two have the same name", names and len(set(names)) == len(names), names)
    for name in names:
        result = harness.run([args.workloads, name, "0"], env=ours)
        tap.check(f"{name}: its data are right, on us, and it is silent",
                  result.returncode == 0 and not result.stdout and result.stderr.startswith("buddymalloc ")
                  and result.stderr.count("\n") == 1, f"status {result.returncode}\n{result.stdout}{result.stderr}")
    for wrong in [["no-such-workload"], [names[0], "x"], []]:
        result = harness.run([args.workloads, *wrong])
        tap.check(f"{wrong}: the usage and status 2", (result.returncode, result.stderr[:6]) == (2, "usage:"), result.stderr)
    tap.finish()


if __name__ == "__main__":
    main()
