#!/usr/bin/env python3
"""Writes seccomp.json, or runs a command under it.

    deploy/container/seccomp.py > deploy/container/seccomp.json
    deploy/container/seccomp.py COMMAND [ARGUMENT...]

The system calls are grouped by purpose, which shows why each is permitted; all others fail with
EPERM. The second form runs a command under the profile; it needs the kernel headers
(linux-libc-dev) and x86-64.
"""

import ctypes
import json
import os
import re
import struct
import sys

ALLOWED = {
    "io_uring, which container engines forbid by default": """
        io_uring_setup io_uring_enter io_uring_register""",
    "files": """
        access chdir chmod close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
        fallocate fchdir fchmod fchmodat fchown fchownat fcntl fdatasync flock fstat fstatfs fsync ftruncate getcwd
        getdents getdents64 ioctl lgetxattr link linkat lseek lstat mkdir mkdirat mknodat newfstatat open openat openat2
        pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename
        renameat renameat2 rmdir sendfile splice stat statfs statx symlink symlinkat sync_file_range syncfs tee truncate
        umask unlink unlinkat utimensat vmsplice write writev""",
    "sockets": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg
        sendto setsockopt shutdown socket socketpair""",
    "waiting": """
        clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
        epoll_wait eventfd eventfd2 futex futex_waitv gettimeofday nanosleep pause poll ppoll pselect6 restart_syscall
        select timerfd_create timerfd_gettime timerfd_settime""",
    "memory": """
        brk madvise memfd_create mincore mlock mlock2 mmap mprotect mremap msync munlock munmap""",
    "threads and child processes": """
        arch_prctl clone clone3 execve execveat exit exit_group fork get_robust_list getcpu getpgid getpgrp getpid
        getppid getpriority getrandom getrlimit getrusage getsid gettid kill membarrier pidfd_open pidfd_send_signal
        prctl prlimit64 rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
        rt_sigtimedwait sched_getaffinity sched_getparam sched_getscheduler sched_setaffinity sched_yield
        set_robust_list set_tid_address setpgid setpriority setrlimit setsid sigaltstack sysinfo tgkill times tkill uname
        vfork wait4 waitid""",
    "users and groups, which the engine sets before the program runs": """
        capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setgid setgroups setresgid setresuid
        setuid seccomp""",
}

HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"

# From linux/filter.h, linux/seccomp.h, linux/audit.h and linux/prctl.h.
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL_WITH_EPERM = 0x7FFF0000, 0x00050001
SET_NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2


def profile():
    """Returns the profile in the format of container engines."""
    calls = [
        {"names": names.split(), "action": "SCMP_ACT_ALLOW", "comment": purpose}
        for purpose, names in ALLOWED.items()
    ]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": calls,
    }


def enforce():
    """Installs the filter permanently for this process and its children."""
    with open(HEADER) as header:
        numbers = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read()))
    names = [name for call in profile()["syscalls"] for name in call["names"]]
    allowed = [int(numbers[name]) for name in names if name in numbers]
    steps = [(LOAD, 0, 0, 0)]
    for number in allowed:
        # A jump reaches at most 255 steps, so each comparison is followed by its own return.
        steps += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    steps.append((RETURN, 0, 0, FAIL_WITH_EPERM))
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, MODE_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel accepts no seccomp filter")


def main(command):
    if not command:
        json.dump(profile(), sys.stdout, indent=2)
        print()
        return
    enforce()
    os.execvp(command[0], command)


main(sys.argv[1:])
