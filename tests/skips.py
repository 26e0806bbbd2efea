#!/usr/bin/env python3
"""Prints the tests that a run skipped, and their reasons.

    tests/skips.py FILE

FILE has a line `== NAME` for each step of tests/run and the lines that the tests of the step
appended. With CI in the environment the exit code is 1 when a reason is not expected, since a
test that is not run where it should be checks nothing.
"""

import os
import re
import sys

# Step, and the reasons for which its tests may be skipped.
EXPECTED = {
    # Loop devices and ptrace of other users are root's; the run before had them.
    "servers as an ordinary user": r"root|loop|ptrace|Operation not permitted",
    "servers on FUSE, io_uring refused": r"root|loop|ptrace|Operation not permitted|io_uring|FUSE",
    "cargo test, io_uring refused": r"io_uring",
}

step, unexpected, count = "", [], 0
with open(sys.argv[1], encoding="utf-8") as lines:
    for line in map(str.strip, lines):
        if line.startswith("== "):
            step = line[3:]
        elif line:
            count += 1
            print(f"{step}: {line}")
            if not re.search(EXPECTED.get(step, r"\Z\A."), line):
                unexpected.append(line)
if not count:
    print("none")
if unexpected:
    print(f"{len(unexpected)} skipped for a reason that is not expected")
    sys.exit(1 if os.environ.get("CI") else 0)
