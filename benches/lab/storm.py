"""Part `storm`: a thousand machines boot one image, through the node's cache and through nginx's."""

import contextlib
import os
import subprocess
import time

from downloads import check
from measure import GIB, Section, interleave, median, percentile, sample
from programs import CLIENT_CPU, SERVER_CPU, Nginx, Node
from proxy import OPEN_NODE, link, make_image

READERS = 1000

# Counts what goes out, a line of bytes a request.
COUNTING = "log_format sent '$body_bytes_sent'; sendfile on; sendfile_max_chunk 512k; tcp_nopush on;"

# One request fetches; the others wait for it however long that takes.
CACHE = ("proxy_cache_path {folder}/cache keys_zone=images:10m max_size=2g use_temp_path=off; "
         "sendfile on; sendfile_max_chunk 512k; tcp_nopush on;")
CACHED = """
  location / {{
    proxy_pass {origin}; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_cache images; proxy_cache_key $uri; proxy_cache_valid 200 1h;
    proxy_cache_lock on; proxy_cache_lock_timeout 300s; proxy_cache_lock_age 300s;
    proxy_buffer_size 256k; proxy_buffers 8 256k; proxy_busy_buffers_size 1m;
  }}
"""


class Origin(Nginx):
    """A web server with one image under every name, which counts the bytes it sends."""

    def __init__(self, folder):
        self.sent = f"{folder}/sent.log"
        super().__init__(f"{folder}/origin", COUNTING, f"root {folder}; access_log {self.sent} sent; "
                         "location /image { rewrite ^ /data break; }", cpus=CLIENT_CPU)

    def sent_bytes(self):
        with open(self.sent) as log:
            return sum(int(line) for line in log)


class Contestant:
    """A cache, and how it comes by an image that it does not have."""

    def __init__(self, server, fresh):
        self.server, self.fresh, self.used = server, fresh, 0

    def cold(self):
        self.used += 1
        return self.fresh(self.used)


def part_storm(lab):
    section = Section("A thousand cold readers of one image")
    section.note("The cache has one processor to itself; the origin (nginx) shares the other with the readers, which "
                 "discard inside the kernel. nginx caches with `proxy_cache` and `proxy_cache_lock`. The node also "
                 "computes the MD5 of what it fetches and gives nobody the last bytes before it is right; nginx "
                 "checks nothing. `one, cold` is one reader's fetch, `rest, kept` the others when the image is kept "
                 "already; their sum is what the storm is held against.")
    size = lab.scale(64 << 20, 8 << 20)
    readers = lab.scale(READERS, 100)
    folder = lab.folder("storm")
    md5 = make_image(lab, f"{folder}/data", size)
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(Origin(folder))
        peers = _peers(lab, stack, folder, origin, md5)
        for peer in peers.values():
            check(lab, peer.cold(), md5)
        rounds = lab.scale(3, 1)
        results = interleave({name: lambda peer=peer: _storm(lab, origin, peer, readers, size)
                              for name, peer in peers.items()}, rounds)
        _report(section, results, size)
        _slow_readers(lab, section, peers, md5)
    return section


def _peers(lab, stack, folder, origin, md5):
    sections = OPEN_NODE | {"paste_deploy": {"flavor": "cachemanagement"}}
    node = stack.enter_context(Node(lab.node, f"{folder}/glance", sections=sections, image_cache_min_free=0,
                                    image_cache_max_size=2 << 30))
    nginx = stack.enter_context(Nginx(f"{folder}/nginx", CACHE.format(folder=folder),
                                      CACHED.format(origin=origin.url)))
    return {
        "glance": Contestant(node, lambda number: link(lab, node, f"{origin.url}/image{number}", md5)),
        "nginx": Contestant(nginx, lambda number: f"{nginx.url}/image{number}"),
    }


def _storm(lab, origin, peer, readers, size):
    """One cold reader, the rest when it is kept, and then all of them cold."""
    def get(url, clients):
        return lab.load("get", url, clients=clients, requests=clients, seconds=300)
    url = peer.cold()
    one = get(url, 1)
    rest = get(url, readers - 1)
    before, url = origin.sent_bytes(), peer.cold()
    storm = sample(peer.server, lambda: get(url, readers))
    apart = one["seconds"] + rest["seconds"]
    return storm | {"origin_images": (origin.sent_bytes() - before) / size, "one_s": one["seconds"],
                    "rest_s": rest["seconds"], "to_apart": storm["seconds"] / apart}


def _report(section, results, size):
    fields = ["origin_images", "one_s", "rest_s", "seconds", "to_apart", "cpu_s_per_gib"]
    rows = [[name, *(median(samples, field) for field in fields)] for name, samples in results.items()]
    section.table(["cache", "images the origin sent", "one, cold (s)", "rest, kept (s)", "storm (s)",
                   "storm to their sum", "CPU s/GiB served"], rows)
    own, peer = results["glance"], results["nginx"]
    sent = max(sample["origin_images"] for sample in own)
    section.figure("storm: images that the origin sent", "1", sent, sent == 1)
    to_apart = median(own, "to_apart")
    section.figure("storm: time to one cold reader and the rest", "<= 1.3 x", to_apart, to_apart <= 1.3)
    for field, what in [("seconds", "time"), ("cpu_s_per_gib", "CPU/GiB")]:
        to_peer = median(own, field) / median(peer, field)
        section.figure(f"storm: {what} to nginx's cache", "<= 1.0 x", to_peer, to_peer <= 1)
    section.note(f"{size / (1 << 20):.0f} MiB for each reader, {len(own)} rounds.")


def _slow_readers(lab, section, peers, md5):
    """What 2,000 readers at 1 MB/s do to small requests on the same worker."""
    clients = lab.scale(2000, 200)
    contestants = {}
    for name, small in [("glance", ["/v1/images", "/healthcheck"]), ("nginx", ["/up"])]:
        server, url = peers[name].server, peers[name].cold()
        check(lab, url, md5)
        contestants[name] = lambda server=server, url=url, small=small: _beside(lab, server, url, small, clients)
    results = interleave(contestants, lab.scale(5, 1))
    rows = []
    for name, samples in results.items():
        for small in samples[0]["alone"]:
            alone, beside = (percentile([sample[when][small] for sample in samples], "p99")
                             for when in ("alone", "beside"))
            rows.append([f"{name} {small}", alone, beside, beside / alone, median(samples, "cpu_share")])
    for (name, _, _, times, _), what in zip(rows, ("list", "health")):
        section.figure(f"storm: p99 of {what} beside {clients} readers at 1 MB/s", "<= 2 x", times, times <= 2)
    section.table(["request", "p99 alone (us)", f"p99 beside {clients} slow readers (us)", "ratio",
                   "share of a processor that the slow readers cost"], rows)
    rate = median(results["glance"], "gib_per_s")
    section.note(f"The slow readers took {rate:.2f} GiB/s in all, each 64 KiB at a time as python-glanceclient 2.17 "
                 "does. They are asked beside when their sockets' buffers are full; until then they are as fast as any. "
                 "Who asks sits on the server's processor and comes before it, and both before the kernel's "
                 "housekeeping: on the readers' processor requests would wait for the kernel's work on the readers' "
                 "packets, which elsewhere other machines do.")


def _beside(lab, server, url, small, clients):
    """Small requests alone, and beside slow readers of `url`."""
    seconds, settling = lab.scale(5, 1), lab.scale(8, 2)
    # Beside the slow readers, on their processor, the kernel's work on their packets would be what is measured.
    first = ["chrt", "--fifo", "10"] if os.geteuid() == 0 else []

    def ask():
        with _before_housekeeping(server):
            return {path: lab.load("get", server.url + path, wrap=first, cpus=SERVER_CPU, clients=4, every_ms=10,
                                   seconds=seconds) for path in small}
    alone = ask()
    slow = lab.load.start("get", url, clients=clients, rate=1_000_000,
                          seconds=settling + seconds * len(small) + 5)
    # At first every socket takes what its buffers hold, which is a storm of its own.
    time.sleep(settling)
    before, begun = server.cpu_seconds(), time.monotonic()
    time.sleep(2)
    cpu_share = (server.cpu_seconds() - before) / (time.monotonic() - begun)
    beside = ask()
    return lab.load.finish(slow) | {"alone": alone, "beside": beside, "cpu_share": cpu_share}


@contextlib.contextmanager
def _before_housekeeping(server):
    """Puts a server before the kernel's own threads on its processor, as far as we may.

    One that looks after memory (kdamond) otherwise keeps it for up to 8 ms, often enough to be the p99 of whatever is
    asked meanwhile.
    """
    def schedule(policy, priority):
        for pid in server.pids() if os.geteuid() == 0 else []:
            subprocess.run(["chrt", "--all-tasks", policy, "--pid", str(priority), str(pid)], check=True)
    schedule("--fifo", 5)
    try:
        yield
    finally:
        schedule("--other", 0)
