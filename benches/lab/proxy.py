"""Part `proxy`: an image that stays on a plain HTTP server, passed on to clients."""

import contextlib
import os

from downloads import META, check
from measure import Section, interleave, median, ratio, sample
from programs import CLIENT_CPU, SERVER_CPU, Nginx, Node, Server, free_port, pinned

HAPROXY = """
global
  nbthread 1
  maxconn 1000
  tune.pipesize 1048576
defaults
  mode http
  option splice-response
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server origin 127.0.0.1:{origin}
"""

# Passes everything on as it comes, in large pieces.
UNBUFFERED = """
  location / {{
    proxy_pass {origin}; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_buffering off; proxy_buffer_size 256k; proxy_buffers 4 256k; proxy_busy_buffers_size 512k;
  }}
"""
# Reads ahead of the client, in memory only.
BUFFERED = """
  location / {{
    proxy_pass {origin}; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_buffering on; proxy_buffer_size 256k; proxy_buffers 8 256k; proxy_busy_buffers_size 1m;
    proxy_max_temp_file_size 0;
  }}
"""

OPEN_NODE = {
    "glance_store": {"stores": "file,http"},
    "import_filtering_opts": {"allow_private_addresses": "true", "allowed_ports": ""},
}


class Haproxy(Server):
    """haproxy on one thread, which splices answers."""

    def __init__(self, folder, origin):
        os.makedirs(folder, exist_ok=True)
        port = free_port()
        config = f"{folder}/haproxy.cfg"
        with open(config, "w") as out:
            out.write(HAPROXY.format(port=port, origin=origin.rsplit(":", 1)[1]))
        command = pinned(SERVER_CPU, ["haproxy", "-f", config])
        super().__init__(command, f"http://127.0.0.1:{port}", "/up", f"{folder}/out.log")
        self.await_answer()


def part_proxy(lab):
    section = Section("An image that stays on a plain HTTP server")
    section.note("The proxy has one processor to itself; the origin (nginx, sendfile, from memory) shares the other "
                 "with the client, which discards inside the kernel. CPU is that of the proxy alone. `checked` is "
                 "the node with verify_downloads: it computes the MD5 of what it passes on and keeps the last bytes "
                 "back until it is right.")
    size = lab.scale(512 << 20, 64 << 20)
    folder = lab.folder("proxy")
    md5 = make_image(lab, f"{folder}/image", size)
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        origin = enter(Nginx(folder + "/origin", "sendfile on; sendfile_max_chunk 512k; tcp_nopush on;",
                             f"root {folder};", cpus=CLIENT_CPU))
        peers = {}
        for name, checks in [("glance", "false"), ("glance checked", "true")]:
            node = enter(Node(lab.node, f"{folder}/{name.replace(' ', '-')}", sections=OPEN_NODE,
                              verify_downloads=checks))
            peers[name] = (node, link(lab, node, origin.url + "/image", md5))
        haproxy = enter(Haproxy(folder + "/haproxy", origin.url))
        peers["haproxy splice"] = (haproxy, haproxy.url + "/image")
        for name, server in [("nginx unbuffered", UNBUFFERED), ("nginx buffered", BUFFERED)]:
            nginx = enter(Nginx(f"{folder}/{name.replace(' ', '-')}", "", server.format(origin=origin.url)))
            peers[name] = (nginx, nginx.url + "/image")
        for _, url in peers.values():
            check(lab, url, md5)
        counts = [1, 16, 64]
        results = {clients: interleave({
            name: lambda server=server, url=url: sample(
                server, lambda: lab.load("get", url, clients=clients, seconds=lab.seconds))
            for name, (server, url) in peers.items()}, lab.rounds) for clients in counts}
    _report(section, counts, results, list(peers))
    return section


def make_image(lab, path, size):
    """A file without a pattern; its MD5."""
    with open(path, "wb") as out:
        for _ in range(size >> 20):
            out.write(os.urandom(1 << 20))
    with open(path, "rb") as image:
        return lab.md5_of(image)


def link(lab, node, source, md5):
    """An image whose data stay where they are; its URL."""
    header = [*META, f"x-image-meta-location: {source}", f"x-image-meta-checksum: {md5}"]
    return lab.load("post", node.url + "/v1/images", requests=1, header=header)["location"]


def _report(section, counts, results, names):
    rows = []
    for clients in counts:
        of = results[clients]
        for name in names:
            rows.append([clients, name, median(of[name], "gib_per_s"), median(of[name], "cpu_s_per_gib"),
                         ratio(of["glance"], of[name], "gib_per_s"),
                         ratio(of["glance"], of[name], "cpu_s_per_gib")])
        haproxy = of["haproxy splice"]
        speed = ratio(of["glance"], haproxy, "gib_per_s")
        cpu = ratio(of["glance"], haproxy, "cpu_s_per_gib")
        section.figure(f"proxy, {clients} clients: throughput to haproxy splice", ">= 1.0 x", speed, speed >= 1)
        section.figure(f"proxy, {clients} clients: CPU/GiB to haproxy splice", "<= 1.0 x", cpu, cpu <= 1)
    section.table(["clients", "server", "GiB/s", "CPU s/GiB", "glance's speed to it", "glance's CPU to it"], rows)
    groups = [f"{clients} clients" for clients in counts]
    for name, field, unit in [("proxy-speed", "gib_per_s", "GiB/s (more is better)"),
                              ("proxy-cpu", "cpu_s_per_gib", "proxy CPU seconds per GiB (less is better)")]:
        series = {n: [median(results[c][n], field) for c in counts] for n in names}
        section.plot(name, "Passing on a plain HTTP origin", unit, groups, series)
