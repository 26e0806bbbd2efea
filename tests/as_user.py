#!/usr/bin/env python3
"""Runs a command as an unprivileged user, with the restrictions of deploy/systemd.

    tests/as_user.py USER FOLDER COMMAND [ARGUMENT...]

Requires root. The command runs with the user's ids and no other groups, without capabilities,
without the ability to gain any, and with the UMask and the limits of glance-api.service. FOLDER
becomes its working folder, HOME and place for temporary files.

A checkout often lies below a folder that only its owner may enter, such as /root. The command
then gets a mount namespace of its own, in which each such folder contains the paths that tests
need and nothing else. The permissions of the folders themselves stay as they are.
"""

import ctypes
import os
import pwd
import re
import resource
import sys
from pathlib import Path

# From linux/prctl.h, linux/sched.h and linux/mount.h.
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 23, 24, 38
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)
checkout = Path(__file__).resolve().parent.parent


def check(result, what):
    """Raises the error of a libc call that failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind, flags, data=None):
    """Calls mount(2). Unlike mount(8) it takes a source that no path leads to any more."""
    words = [word if word is None else os.fsencode(word) for word in (source, target, kind)]
    data = None if data is None else data.encode()
    check(libc.mount(*words, ctypes.c_ulong(flags), data), f"mount {target}")


def unit_value(name):
    """Returns the value of an option of glance-api.service."""
    text = (checkout / "deploy/systemd/glance-api.service").read_text()
    return re.search(rf"^{name}=(.+)$", text, re.MULTILINE).group(1)


def closed_ancestor(path):
    """Returns the topmost folder on the way to `path` that other users may not enter."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


def needed_paths(folder):
    """Returns the existing paths that the tests read, each once."""
    named = [
        checkout,
        folder,
        os.environ.get("CARGO_TARGET_DIR"),
        os.environ.get("GLANCE_TEST_VENV"),
        os.environ.get("GLANCE_TEST_VENV_OLD"),
        os.environ.get("GLANCE_TEST_BACKENDS"),
        # A virtual environment refers to the Python that made it.
        sys.base_prefix,
    ]
    paths = {Path(path).resolve() for path in named if path}
    return sorted(path for path in paths if path.exists())


def open_the_way(paths):
    """Makes `paths` reachable in a mount namespace of this process."""
    closed = {}
    for path in paths:
        ancestor = closed_ancestor(path)
        if ancestor:
            closed.setdefault(ancestor, []).append(path)
    if not closed:
        return
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    for ancestor, inside in closed.items():
        # Descriptors keep the real folders reachable after the empty one covers them.
        held = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in inside}
        mount("glance-tests", ancestor, "tmpfs", 0, "mode=755,size=1m")
        for path, descriptor in held.items():
            # A path inside another of the list is there already.
            if not path.exists():
                path.mkdir(mode=0o755, parents=True)
                mount(f"/proc/self/fd/{descriptor}", path, None, MS_BIND | MS_REC)
            os.close(descriptor)


def restrict(user):
    """Gives up root's rights for good and sets the limits of the unit."""
    os.umask(int(unit_value("UMask"), 8))
    set_limit(resource.RLIMIT_NOFILE, int(unit_value("LimitNOFILE")))
    set_limit(resource.RLIMIT_MEMLOCK, int(unit_value("LimitMEMLOCK").removesuffix("M")) << 20)
    set_limit(resource.RLIMIT_CORE, int(unit_value("LimitCORE")))
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
            check(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "drop a capability")
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def set_limit(limit, value):
    """Sets a limit, or the most that this machine allows."""
    _, most = resource.getrlimit(limit)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(limit, (value, value))


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    user = pwd.getpwnam(sys.argv[1])
    folder = Path(sys.argv[2]).resolve()
    command = sys.argv[3:]
    open_the_way(needed_paths(folder))
    restrict(user)
    os.chdir(folder)
    os.environ.update(HOME=str(folder), TMPDIR=str(folder), GLANCE_TEST_FOLDER=str(folder),
                      USER=user.pw_name, LOGNAME=user.pw_name)
    os.execvp(command[0], command)


main()
