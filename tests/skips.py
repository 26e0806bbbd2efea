#!/usr/bin/env python3
"""Prints the tests that a run skipped, and their reasons.

    tests/skips.py FILE             prints all of them
    tests/skips.py FILE --of STEP   prints program and test of those that STEP skipped for want
                                    of root's rights, separated by a tab

FILE has a line `== NAME` for each step of tests/run and the lines that the tests of the step
appended: program, test and reason, separated by tabs. With CI in the environment the exit code
is 1 when a reason is not expected, since a test that is not run where it should be checks
nothing.
"""

import os
import re
import sys

# Loop devices, mounts and ptrace of other users are root's.
ROOT = r"root|loop|ptrace|Operation not permitted|ermission denied"
# Step, and the reasons for which its tests may be skipped.
EXPECTED = {
    # tests/run runs these as root afterwards.
    "servers as an ordinary user": ROOT,
    "servers on FUSE, io_uring refused": ROOT + r"|io_uring|FUSE",
    "cargo test, io_uring refused": r"io_uring",
}


def entries(path):
    """Returns (step, program, test, reason) of each line."""
    step = ""
    with open(path, encoding="utf-8") as lines:
        for line in map(str.strip, lines):
            if line.startswith("== "):
                step = line[3:]
            elif line:
                program, test, reason = line.split("\t", 2)
                yield step, program, test, reason


def print_those_of(step, path):
    """Prints what root can run of the tests that a step skipped."""
    for own_step, program, test, reason in entries(path):
        if own_step == step and re.search(ROOT, reason):
            print(f"{program}\t{test}")


def report(path):
    """Prints all skips and returns the number of those that are not expected."""
    count = unexpected = 0
    for step, _, test, reason in entries(path):
        count += 1
        print(f"{step}: {test}: {reason}")
        if not re.search(EXPECTED.get(step, r"\Z\A."), reason):
            unexpected += 1
    if not count:
        print("none")
    if unexpected:
        print(f"{unexpected} skipped for a reason that is not expected")
    return unexpected


def main(arguments):
    """Runs the command line."""
    if len(arguments) == 3 and arguments[1] == "--of":
        print_those_of(arguments[2], arguments[0])
    elif len(arguments) == 1:
        sys.exit(1 if report(arguments[0]) and os.environ.get("CI") else 0)
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
