"""What the servers of this folder share: their processes, how they say that they are ready,
and how they end.

A program here stays in the foreground. It keeps everything in a temporary folder of its own
(TMPDIR is heeded), starts its servers as child processes on loopback ports the kernel chose,
writes how to reach them into a JSON file, and prints `ready FILE`. SIGTERM or SIGINT ends it,
or the end of its standard input with --until-eof; the servers and the folder go with it.
The servers also go when it is killed by force; then its folder stays.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import select
import signal
import socket
import string
import sys
import tempfile
import time
import urllib.request

LOOPBACK = "127.0.0.1"
HERE = pathlib.Path(__file__).resolve().parent

# How long a server may take to answer, on a busy machine.
READY_LIMIT_S = 180
# How long a server may take to end by itself.
TERM_LIMIT_S = 5

PR_SET_PDEATHSIG = 1


def arguments(description):
    """A parser with the options that every program here has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE",
                        help="where to write how to reach the servers")
    parser.add_argument("--until-eof", action="store_true",
                        help="end when the standard input does")
    return parser


def listen():
    """A listening socket on a loopback port of the kernel's choice. Bound before the server
    starts, so that nobody else can come to have the port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, 0))
    listener.listen(1024)
    return listener


def port(listener):
    return listener.getsockname()[1]


def write_config(name, folder, **values):
    """Fills in conf/NAME and writes it to the folder."""
    template = string.Template((HERE / "conf" / name).read_text())
    path = folder / name
    path.write_text(template.substitute(folder=folder, **values))
    return path


class Servers:
    """The child processes of this one."""

    def __init__(self, folder):
        self.folder = folder
        self.pids = {}

    def fork(self, name, run):
        """Calls `run` in a child process, with its output in NAME.log."""
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            become_child(parent)
            log = os.open(self.log(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            try:
                run()
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(1)
        self.pids[pid] = name

    def spawn(self, name, command, **env):
        """Starts a program as a child process."""
        self.fork(name, lambda: os.execvpe(command[0], command, {**os.environ, **env}))

    def log(self, name):
        return self.folder / f"{name}.log"

    def check(self):
        """Ends this program when a server has ended."""
        for pid, name in self.pids.items():
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self.pids[pid]
                log = self.log(name).read_text(errors="replace")
                sys.exit(f"{name} ended, wait status {status}:\n{log[-4000:]}")

    def await_file(self, path):
        """Waits until a server has written a file; its text."""
        deadline = time.monotonic() + READY_LIMIT_S
        while not path.exists():
            self.check()
            if time.monotonic() > deadline:
                sys.exit(f"{path} has not been written")
            time.sleep(0.01)
        return path.read_text()

    def await_answer(self, url):
        """Waits until a server answers well. It listens already, so the request waits."""
        try:
            urllib.request.urlopen(url, timeout=READY_LIMIT_S).close()
        except OSError as error:
            self.check()
            sys.exit(f"{url}: {error}")

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.pids:
                os.kill(pid, number)
            deadline = time.monotonic() + TERM_LIMIT_S
            while self.pids and time.monotonic() < deadline:
                for pid in list(self.pids):
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        del self.pids[pid]
                time.sleep(0.01)


def become_child(parent):
    """A child takes signals as usual, and ends with its parent."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@contextlib.contextmanager
def servers(prefix):
    """A temporary folder, and servers in it that end with the block."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        running = Servers(pathlib.Path(folder))
        try:
            yield running
        finally:
            running.stop()


def serve(running, options, description):
    """Tells that the servers are ready, and returns when they are to end."""
    path = options.json or running.folder / "server.json"
    description = {"pid": os.getpid(), "folder": str(running.folder), **description}
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(description, indent=1) + "\n")
    unfinished.rename(path)
    inputs = [sys.stdin] if options.until_eof else []
    try:
        print("ready", path, flush=True)
        while True:
            running.check()
            if select.select(inputs, [], [], 0.5)[0] and not os.read(0, 1024):
                return
    finally:
        path.unlink()
