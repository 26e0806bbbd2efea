"""Part `workers`: downloads spread over four workers, and newcomers while all of them are busy."""

import contextlib
import os
import re
import statistics
import time
import urllib.request
from http.client import HTTPConnection

from downloads import BEST, upload
from measure import Section, interleave, median, ratio
from programs import Nginx, Node, free_port, thread_ns

WORKERS, DOWNLOADS = 4, 64
NEWCOMERS_EVERY_S = 0.02


def part_workers(lab):
    section = Section(f"{DOWNLOADS} downloads on {WORKERS} workers")
    section.note(f"Servers with {WORKERS} workers on both processors; the client shares the second. Meanwhile a new "
                 f"connection every {NEWCOMERS_EVERY_S * 1000:.0f} ms asks for a small answer; its time counts from "
                 "connect() on. \"off even\" is the worker farthest from an equal share of connections, and of "
                 "processor time.")
    size = lab.scale(256 << 20, 64 << 20)
    folder = lab.folder("workers")
    with contextlib.ExitStack() as stack:
        admin = free_port()
        node = stack.enter_context(Node(lab.node, folder + "/node", cpus=None, workers=WORKERS, admin_bind_port=admin))
        image, _ = upload(lab, node, size)
        nginx = stack.enter_context(Nginx(folder + "/nginx", BEST, f"root {node.images_dir};", cpus=None,
                                          workers=WORKERS))
        file = f"{nginx.url}/{image.rsplit('/', 1)[1]}"
        results = interleave({
            "glance": lambda: _round(lab, image, image, lambda: _of_node(node, admin)),
            "nginx best": lambda: _round(lab, file, nginx.probe, lambda: _of_nginx(nginx))}, lab.rounds)
    fields = ["uneven_connections", "uneven_cpu", "gib_per_s", "p50_ms", "p99_ms"]
    section.table(["server", "connections off even, %", "CPU off even, %", "GiB/s", "newcomers' p50 ms", "p99 ms"], [
        [name, *(median(of, field) for field in fields)] for name, of in results.items()])
    worst = max(round["uneven_connections"] for round in results["glance"])
    section.figure(f"{DOWNLOADS} downloads on {WORKERS} workers: farthest from even, %", "<= 25", worst, worst <= 25)
    got = ratio(results["glance"], results["nginx best"], "p99_ms")
    section.figure("newcomers' p99 while all workers are busy, to nginx best", "<= 1.0 x", got, got <= 1)
    return section


def _round(lab, url, small, workers):
    """`workers()` is a pair of lists: connections and processor time of each worker."""
    seconds = lab.seconds * 2
    idle, before = workers()
    load = lab.load.start("get", url, clients=DOWNLOADS, seconds=seconds)
    time.sleep(0.3)
    now, _ = workers()
    times = _newcomers(small, seconds - 0.6)
    _, after = workers()
    result = lab.load.finish(load)
    return result | {
        "uneven_connections": _uneven([a - b for a, b in zip(now, idle)]),
        "uneven_cpu": _uneven([a - b for a, b in zip(after, before)]),
        "p50_ms": statistics.median(times), "p99_ms": statistics.quantiles(times, n=100)[98]}


def _uneven(values):
    """How far the worst is from an equal share, in percent."""
    even = sum(values) / len(values)
    return max(abs(value - even) for value in values) / even * 100


def _newcomers(url, seconds):
    """Milliseconds that each new connection took for one answer."""
    host, path = re.fullmatch(r"http://([^/]+)(/.*)", url).groups()
    times = []
    due = begun = time.monotonic()
    while due < begun + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        asked = time.monotonic()
        with contextlib.closing(HTTPConnection(host, timeout=30)) as connection:
            connection.request("HEAD", path)
            connection.getresponse().read()
        times.append((time.monotonic() - asked) * 1000)
        due = max(due + NEWCOMERS_EVERY_S, time.monotonic())
    return times


def _of_node(node, admin):
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    found = dict(re.findall(r'^glance_http_connections\{worker="(\d+)"\} (\d+)', metrics, re.MULTILINE))
    names = {f"worker-{number}": number for number in range(WORKERS)}
    cpu = [0] * WORKERS
    tasks = f"/proc/{node.process.pid}/task"
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/comm") as comm:
            number = names.get(comm.read().strip())
        if number is not None:
            cpu[number] = thread_ns(f"{tasks}/{task}")
    return [int(found.get(str(number), 0)) for number in range(WORKERS)], cpu


def _of_nginx(nginx):
    workers = nginx.pids()[1:]
    return ([_sockets(pid) for pid in workers], [thread_ns(f"/proc/{pid}/task/{pid}") for pid in workers])


def _sockets(pid):
    folder, count = f"/proc/{pid}/fd", 0
    for fd in os.listdir(folder):
        # The last newcomer's may be closed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"{folder}/{fd}").startswith("socket:")
    return count
