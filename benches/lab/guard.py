"""The machine's memory: a part begins only when there is enough, and ends before the machine swaps."""

import contextlib
import ctypes
import glob
import os
import re
import shutil
import signal
import tempfile
import threading

MEMORY = "/dev/shm"
PREFIX = "glance-bench-"
# What a part may keep in memory at any time, and what it leaves to everybody else.
ROOM_BYTES = 3 << 30
SPARE_BYTES = 1 << 30

KEEP_SIZE, PUNCH_HOLE = 1, 2


def available_bytes():
    with open("/proc/meminfo") as meminfo:
        available = int(re.search(r"MemAvailable:\s+(\d+)", meminfo.read())[1]) << 10
    return min(available, shutil.disk_usage(MEMORY).free)


def held_bytes(folder):
    """What the files below a folder take, holes not counted."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{place}/{name}").st_blocks * 512
    return total


def remove_leftovers():
    """Folders of runs that were killed before they could remove them."""
    for path in glob.glob(f"{MEMORY}/{PREFIX}*"):
        pid = path.removeprefix(f"{MEMORY}/{PREFIX}").split("-")[0]
        if not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def watched_folder():
    """A folder in memory, gone at the end. When it outgrows its room, or memory becomes short, the main thread
    gets a RuntimeError wherever it is."""
    remove_leftovers()
    if available_bytes() < ROOM_BYTES + SPARE_BYTES:
        raise RuntimeError(f"{(ROOM_BYTES + SPARE_BYTES) >> 30} GiB of free memory are wanted; there are "
                           f"{available_bytes() / (1 << 30):.1f}")
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=MEMORY)
    reasons = []

    def give_up(*_):
        raise RuntimeError(reasons[0])

    def watch(over):
        while not over.wait(0.2):
            held, available = held_bytes(folder), available_bytes()
            if held > ROOM_BYTES or available < SPARE_BYTES:
                reasons.append(f"given up: the part holds {held >> 20} MiB, {available >> 20} MiB are left")
                return os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, give_up)
    with background(watch):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def holes_behind(folder):
    """Gives back the memory of files while they are written: what was written reads as zeros."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]

    def punch(path):
        with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
            size = os.fstat(file.fileno()).st_size
            if size and libc.fallocate(file.fileno(), PUNCH_HOLE | KEEP_SIZE, 0, size):
                raise OSError(ctypes.get_errno(), "fallocate", path)

    def punch_all():
        for place, _, names in os.walk(folder):
            for name in names:
                punch(f"{place}/{name}")

    def work(over):
        while not over.wait(0.05):
            punch_all()
    with background(work):
        yield
    punch_all()


@contextlib.contextmanager
def background(work):
    """Runs `work` beside the block; it is to end when the event is set that it is given."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
