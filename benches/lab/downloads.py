"""Parts `get` and `cold`: downloads from the page cache and from a slow disk."""

import contextlib
import os
import subprocess
import urllib.request

from measure import Section, interleave, median, percentile, ratio, sample
from programs import Nginx, Node

BEST = "sendfile on; sendfile_max_chunk 512k; tcp_nopush on;"
DEFAULT = "sendfile on;"
AIO = "sendfile on; aio threads; sendfile_max_chunk 512k; tcp_nopush on;"

META = ["x-image-meta-name: bench", "x-image-meta-disk_format: raw",
        "x-image-meta-container_format: bare", "x-image-meta-is_public: True"]

DISK_BYTES_S = 100_000_000


def upload(lab, node, size_bytes, **options):
    """Uploads one image and checks its digest; its URL."""
    result = lab.load("post", node.url + "/v1/images", "--digest", size=size_bytes, requests=1,
                      seconds=300, header=META, **options)
    answer = urllib.request.urlopen(urllib.request.Request(result["location"], method="HEAD"), timeout=30)
    if answer.headers["x-image-meta-checksum"] != result["md5"]:
        raise RuntimeError(f"{result['location']} has another checksum than what was uploaded")
    return result["location"], result["md5"]


def check(lab, url, md5):
    found = lab.load("verify", url)
    if found["md5"] != md5:
        raise RuntimeError(f"{url} answered {found}, not MD5 {md5}")


def part_get(lab):
    section = Section("GET of one image from the page cache")
    size = lab.scale(1 << 30, 128 << 20)
    folder = lab.folder("get")
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(Node(lab.node, folder + "/node"))
        image, md5 = upload(lab, node, size)
        # The peers serve the very same file.
        path = "/" + image.rsplit("/", 1)[1]
        root = f"root {node.images_dir};"
        best = stack.enter_context(Nginx(folder + "/best", BEST, root))
        default = stack.enter_context(Nginx(folder + "/default", DEFAULT, root))
        peers = {"glance": (node, image), "nginx best": (best, best.url + path),
                 "nginx default": (default, default.url + path)}
        for _, url in peers.values():
            check(lab, url, md5)
        counts = [1, 16, 64]
        results = {}
        for clients in counts:
            contestants = {
                name: lambda server=server, url=url: sample(
                    server, lambda: lab.load("get", url, clients=clients, seconds=lab.seconds))
                for name, (server, url) in peers.items()}
            results[clients] = interleave(contestants, lab.rounds)
    _report_get(section, counts, results, list(peers))
    return section


def _report_get(section, counts, results, names):
    rows = []
    for clients in counts:
        of = results[clients]
        for name in names:
            rows.append([clients, name, median(of[name], "gib_per_s"), median(of[name], "cpu_s_per_gib"),
                         ratio(of["glance"], of[name], "gib_per_s"),
                         ratio(of["glance"], of[name], "cpu_s_per_gib")])
        speed = ratio(of["glance"], of["nginx best"], "gib_per_s")
        cpu = ratio(of["glance"], of["nginx best"], "cpu_s_per_gib")
        who = _clients(clients)
        section.figure(f"GET, {who}: throughput to nginx best", ">= 1.0 x", speed, speed >= 1)
        section.figure(f"GET, {who}: CPU/GiB to nginx best", "<= 1.0 x", cpu, cpu <= 1)
    cpu = ratio(results[64]["glance"], results[64]["nginx default"], "cpu_s_per_gib")
    section.figure("GET, 64 clients: CPU/GiB to nginx default", "<= 0.65 x", cpu, cpu <= 0.65)
    section.table(["clients", "server", "GiB/s", "CPU s/GiB", "glance's speed to it", "glance's CPU to it"], rows)
    groups = [_clients(clients) for clients in counts]
    for name, field, title, unit in [
            ("get-speed", "gib_per_s", "GET from the page cache", "GiB/s (more is better)"),
            ("get-cpu", "cpu_s_per_gib", "GET from the page cache", "server CPU seconds per GiB (less is better)")]:
        series = {n: [median(results[c][n], field) for c in counts] for n in names}
        section.plot(name, title, unit, groups, series)


def _clients(count):
    return "1 client" if count == 1 else f"{count} clients"


def part_cold(lab):
    section = Section("Neighbours of a cold download, disk at 100 MB/s")
    section.note("The image is on an ext4 file system on a loop device whose reads the kernel throttles "
                 "(cgroup blkio.throttle.read_bps_device). Meanwhile 8 clients ask for a small answer every 10 ms "
                 "each; latency counts from when a request was due.")
    if os.geteuid() != 0 or not os.path.isdir("/sys/fs/cgroup/blkio"):
        section.skipped = "needs root and the blkio controller of cgroup v1"
        return section
    size = lab.scale(512 << 20, 96 << 20)
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(slow_disk(lab, size))
        node = stack.enter_context(Node(lab.node, disk.folder + "/node", prepare=disk.join))
        image, md5 = upload(lab, node, size)
        name = image.rsplit("/", 1)[1]
        file = f"{node.images_dir}/{name}"
        root = f'root {node.images_dir}; location = /small {{ return 200 "{"x" * 500}"; }}'
        peers = {"glance": (node, image, image)}
        for peer, extra in [("nginx default", DEFAULT), ("nginx aio threads", AIO)]:
            nginx = stack.enter_context(Nginx(f"{disk.folder}/{peer.replace(' ', '-')}", extra, root,
                                              prepare=disk.join))
            peers[peer] = (nginx, f"{nginx.url}/{name}", nginx.url + "/small")
        for _, url, _ in peers.values():
            check(lab, url, md5)
        contestants = {peer: lambda url=url, small=small: _cold_round(lab, file, url, small)
                       for peer, (_, url, small) in peers.items()}
        results = interleave(contestants, lab.scale(3, 1))
    _report_cold(section, results)
    return section


def _cold_round(lab, file, url, small):
    drop_cache(file)
    cold = lab.load.start("get", url, clients=1, requests=1, seconds=60)
    seconds = os.path.getsize(file) / DISK_BYTES_S * 0.9
    neighbours = lab.load.start("head", small, clients=8, every_ms=10, seconds=round(seconds, 1))
    result = lab.load.finish(neighbours)
    return result | {"get_s": lab.load.finish(cold)["seconds"]}


def drop_cache(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _report_cold(section, results):
    section.table(["server", "p50 us", "p99 us", "max us", "cold GET s"], [
        [name, *(percentile(of, which) for which in ("p50", "p99", "max")), median(of, "get_s")]
        for name, of in results.items()])
    own = percentile(results["glance"], "p99")
    for peer, wanted in [("nginx default", 0.1), ("nginx aio threads", 1.5)]:
        got = own / percentile(results[peer], "p99")
        section.figure(f"neighbours' p99 while a cold image is read, to {peer}", f"<= {wanted} x", got, got <= wanted)
        slower = median(results["glance"], "get_s") / median(results[peer], "get_s")
        section.figure(f"time of the cold GET, to {peer}", "<= 1.05 x", slower, slower <= 1.05)
    section.plot("cold-p99", "Small requests beside a cold download at 100 MB/s", "p99 in ms (less is better)",
                 ["p99"], {name: [percentile(of, "p99") / 1000] for name, of in results.items()})


class slow_disk:
    """A file system whose reads are throttled for the processes that join."""

    def __init__(self, lab, room_bytes):
        self.lab, self.room_bytes = lab, room_bytes
        self.folder = lab.folder("disk")
        self.group = f"/sys/fs/cgroup/blkio/glance-bench-{os.getpid()}"

    def __enter__(self):
        backing = self.lab.folder("disk-backing") + "/disk.img"
        with open(backing, "wb") as file:
            file.truncate(self.room_bytes * 5 // 4 + (96 << 20))
        self.stack = contextlib.ExitStack()
        with self.stack as stack:
            self.device = _output("losetup", "--find", "--show", backing)
            stack.callback(_output, "losetup", "--detach", self.device)
            _output("mkfs.ext4", "-q", "-m", "0", self.device)
            _output("mount", self.device, self.folder)
            stack.callback(_output, "umount", self.folder)
            os.mkdir(self.group)
            stack.callback(os.rmdir, self.group)
            numbers = os.stat(self.device).st_rdev
            with open(self.group + "/blkio.throttle.read_bps_device", "w") as limit:
                limit.write(f"{os.major(numbers)}:{os.minor(numbers)} {DISK_BYTES_S}")
            self.stack = stack.pop_all()
        return self

    def join(self):
        with open(self.group + "/cgroup.procs", "w") as procs:
            procs.write(str(os.getpid()))

    def __exit__(self, *_):
        self.stack.close()


def _output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
