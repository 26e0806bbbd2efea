#!/usr/bin/env python3
"""Prints the test programs of some targets, in the order in which they are named.

    cargo test --no-run --message-format=json | tests/executables.py TARGET...
    cargo test --no-run --message-format=json | tests/executables.py --except TARGET...

A target is the name of a file or folder of tests/, or the name of the library for its unit
tests.
"""

import json
import sys

paths = {}
for line in sys.stdin:
    message = json.loads(line) if line.startswith("{") else {}
    if message.get("executable") and message["profile"]["test"]:
        kind = message["target"]["kind"]
        if "test" in kind or "lib" in kind:
            paths[message["target"]["name"]] = message["executable"]
names = sys.argv[1:]
if names[:1] == ["--except"]:
    names = [name for name in paths if name not in names]
for name in names:
    print(paths[name])
