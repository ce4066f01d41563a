"""harness.py: what the interposition tests share: arguments, commands, results in TAP (one line a test, counted)."""
import argparse
import subprocess
import sys


class Tap:
    """Collects results; prints "ok n - name" or "not ok n - name" with the reason below."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def check(self, name, good, reason=""):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}")
        if not good:
            for line in str(reason).strip().splitlines():
                print(f"# {line}")

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}")

    def equal(self, name, got, expected):
        self.check(name, got == expected, f"got      {got!r}\nexpected {expected!r}")

    def finish(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed or not self.count else 0)


def arguments(**names):
    """Required options, given as name=help."""
    parser = argparse.ArgumentParser()
    for name, text in names.items():
        parser.add_argument("--" + name, required=True, help=text)
    parser.add_argument("--cc", default="gcc", help="C compiler of the test programs")
    parser.add_argument("--cxx", default="g++", help="C++ compiler of the test programs")
    return parser.parse_args()


def run(command, env=None, timeout=120):
    """The finished process, output as text. One that hangs, or was never built, is a failure with return code None."""
    try:
        return subprocess.run(command, env=env, timeout=timeout, text=True, capture_output=True, check=False)
    except subprocess.TimeoutExpired as hang:
        return subprocess.CompletedProcess(command, None, "", f"no end after {hang.timeout} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, None, "", str(error))


def output(command):
    """Standard output of a command that has to succeed."""
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
