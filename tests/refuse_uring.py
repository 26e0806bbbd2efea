#!/usr/bin/env python3
"""Runs a command in a system that refuses io_uring.

    tests/refuse_uring.py COMMAND [ARGUMENT...]

io_uring_setup, io_uring_enter and io_uring_register answer EPERM to the command and to all
that it starts, as under the seccomp profiles of container engines.
"""

import ctypes
import os
import struct
import sys

# From linux/filter.h, linux/seccomp.h and linux/prctl.h.
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE_WITH_EPERM = 0x7FFF0000, 0x00050001
SET_NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2

# io_uring_setup, io_uring_enter, io_uring_register: the same numbers on every architecture.
REFUSED = (425, 426, 427)


def refuse_uring():
    """Sets the filter for this process and what it starts, for good."""
    steps = [(LOAD_NUMBER, 0, 0, 0)]
    for place, number in enumerate(REFUSED):
        steps.append((JUMP_IF_EQUAL, len(REFUSED) - place, 0, number))
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE_WITH_EPERM)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, MODE_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")


def main(command):
    if not command:
        sys.exit(__doc__)
    refuse_uring()
    # Tests that look for io_uring learn that it is missing on purpose.
    os.environ["GLANCE_TEST_URING_REFUSED"] = "1"
    os.execvp(command[0], command)


main(sys.argv[1:])
