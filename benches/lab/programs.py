"""The programs of a run: building them, starting servers, asking the load client."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
import urllib.request

SERVER_CPU = "0"
CLIENT_CPU = "1"
START_TIMEOUT_S = 60


def build():
    """Builds the node, the load client and the kernels' bench; a dict of program name to path."""
    # In one go: on its own the node would not have the dependencies' features that the benches ask
    # for, and most dependencies would be built twice.
    command = ["cargo", "build", "--profile", "dist", "--bin", "glance-api", "--bench", "load", "--bench", "md5",
               "--message-format=json"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    return {m["target"]["name"]: m["executable"] for m in messages if m.get("executable")}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(cpus, command):
    return ["taskset", "-c", cpus, *command] if cpus else command


class Server:
    """A server process that is ended by its own pid."""

    def __init__(self, command, url, probe, log, prepare=None):
        self.url = url
        self.log = log
        self.probe = url + probe
        with open(log, "ab") as out:
            self.begun = time.monotonic()
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=prepare)

    def await_answer(self, opener=None):
        """Waits until the server answers; seconds from its start on."""
        ask = opener or (lambda url: urllib.request.urlopen(url, timeout=5).read())
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.process.args} ended:\n{tail(self.log)}")
            try:
                ask(self.probe)
                return time.monotonic() - self.begun
            except OSError:
                if time.monotonic() - self.begun > START_TIMEOUT_S:
                    self.stop()
                    raise RuntimeError(f"no answer from {self.probe}:\n{tail(self.log)}")
                time.sleep(0.002)

    def pids(self):
        pids = [self.process.pid]
        for pid in pids:
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/task/{pid}/children") as children:
                    pids += [int(child) for child in children.read().split()]
        return pids

    def cpu_seconds(self):
        """Time on a processor of all its threads so far."""
        return sum(_process_ns(pid) for pid in self.pids()) / 1e9

    def rss_bytes(self):
        return sum(_status_kib(pid, "VmRSS") for pid in self.pids()) * 1024

    def most_rss_bytes(self):
        """The most it has had in memory at any time."""
        return sum(_status_kib(pid, "VmHWM") for pid in self.pids()) * 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def _process_ns(pid):
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += thread_ns(f"/proc/{pid}/task/{task}")
    return total


def thread_ns(task):
    """Time on a processor of one thread, by its folder in /proc."""
    with open(f"{task}/schedstat") as stat:
        return int(stat.read().split()[0])


def _status_kib(pid, field):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(rf"{field}:\s+(\d+)", status.read())[1])


def tail(path):
    with open(path, errors="replace") as log:
        return log.read()[-2000:]


class Node(Server):
    """glance-api with a configuration of its own in `folder`; `options` are those of DEFAULT."""

    def __init__(self, program, folder, cpus=SERVER_CPU, host="127.0.0.1", wrap=(),
                 prepare=None, wait=True, sections=None, **options):
        os.makedirs(folder, exist_ok=True)
        port = free_port()
        values = {
            "bind_host": host, "bind_port": port, "admin_bind_port": 0, "workers": 1,
            "hash_threads": 1, "access_log": "false", "drain_timeout": 0,
            "data_dir": f"{folder}/data",
        } | options
        config = f"{folder}/glance-api.conf"
        with open(config, "w") as out:
            for section, options in {"DEFAULT": values, **(sections or {})}.items():
                out.write(f"[{section}]\n" + "".join(f"{k} = {v}\n" for k, v in options.items()))
        os.chmod(config, 0o600)  # the node refuses passwords that everybody may read
        self.images_dir = f"{folder}/data/images"
        command = [*wrap, *pinned(cpus, [program, config])]
        super().__init__(command, f"http://{host}:{port}", "/healthcheck", f"{folder}/node.log", prepare)
        if wait and not wrap:
            self.await_answer()

    def delete(self, url):
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=60).read()


NGINX = """
daemon off; master_process on; user root; worker_processes {workers}; worker_rlimit_nofile 20000;
error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ worker_connections 19000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; client_max_body_size 0;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/t1; fastcgi_temp_path {folder}/t2;
  uwsgi_temp_path {folder}/t3; scgi_temp_path {folder}/t4;
  {extra}
  server {{
    listen {host}:{port} backlog=4096;
    location = /up {{ return 200 "up"; }}
    {server}
  }}
}}
"""


class Nginx(Server):
    """nginx with the given directives, and one worker unless told."""

    def __init__(self, folder, extra="", server="", cpus=SERVER_CPU, host="127.0.0.1",
                 wrap=(), prepare=None, workers=1):
        os.makedirs(folder, exist_ok=True)
        port = free_port()
        config = f"{folder}/nginx.conf"
        with open(config, "w") as out:
            out.write(NGINX.format(folder=folder, host=host, port=port, extra=extra, server=server,
                                   workers=workers))
        command = [*wrap, *pinned(cpus, ["nginx", "-p", folder, "-c", config])]
        super().__init__(command, f"http://{host}:{port}", "/up", f"{folder}/out.log", prepare)
        if not wrap:
            self.await_answer()


class Load:
    """The load client."""

    def __init__(self, program):
        self.program = program
        self.commands = []
        self.running = []

    def start(self, command, url, *arguments, wrap=(), cpus=CLIENT_CPU, **options):
        words = [command, "--url", url, *arguments]
        for name, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                words += ["--" + name.replace("_", "-"), str(one)]
        self.note(["load", *words])
        process = subprocess.Popen([*wrap, *pinned(cpus, [self.program, *words])], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.running = [other for other in self.running if other.poll() is None] + [process]
        return process

    def finish(self, process):
        out, err = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{shlex.join(process.args)}: {err.strip()}")
        result = json.loads(out.splitlines()[-1])
        if result.get("failed"):
            raise RuntimeError(f"{shlex.join(process.args)}: {result['failed']} failed: {result['first_failure']}")
        return result

    def __call__(self, *arguments, **options):
        return self.finish(self.start(*arguments, **options))

    def end_all(self):
        """Ends what a part that failed has left running."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()

    def note(self, words):
        """Keeps a command line for the report: ports and identifiers by name, metadata left out."""
        shown = [word for at, word in enumerate(words)
                 if word != "--header" and words[at - 1] != "--header"]
        line = re.sub(r":\d+/", ":PORT/", shlex.join(shown))
        line = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", line)
        if line not in self.commands:
            self.commands.append(line)
