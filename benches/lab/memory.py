"""Parts `rss` and `idle`: what connections hold."""

import json
import resource
import time

from downloads import upload
from guard import holes_behind
from measure import Section
from programs import Nginx, Node

MIB = 1 << 20
KIB = 1 << 10


def part_rss(lab):
    section = Section("500 slow downloads")
    section.note("500 clients take 256 KiB/s each. RSS is sampled over the whole time; the largest counts. The "
                 "images are files of holes in memory, punched behind the upload.")
    clients, sizes = 500, [64 * MIB, lab.scale(4 << 30, 256 * MIB)]
    rows = []
    for size in sizes:
        with Node(lab.node, lab.folder(f"rss-{size}")) as node:
            with holes_behind(node.images_dir):
                image, _ = upload(lab, node, size)
            before = node.rss_bytes()
            load = lab.load.start("get", image, clients=clients, rate=256 * KIB, seconds=lab.scale(10, 3))
            most = 0
            while load.poll() is None:
                most = max(most, node.rss_bytes())
                time.sleep(0.05)
            result = lab.load.finish(load)
            rows.append([f"{size // MIB} MiB", before / MIB, most / MIB, result["bytes_in"] / MIB / result["seconds"]])
    section.table(["image", "RSS before, MiB", "largest RSS, MiB", "MiB/s in all"], rows)
    small, large = rows[0][2], rows[1][2]
    section.figure(f"RSS of {clients} slow downloads of {sizes[1] / 2**30:g} GiB, MiB", "<= 96", large, large <= 96)
    section.figure("the same to that of 64 MiB images", "<= 1.05 x", large / small, large / small <= 1.05)
    section.plot("rss", f"{clients} slow downloads", "largest RSS in MiB", [row[0] for row in rows],
                 {"glance": [row[2] for row in rows]})
    return section


def part_idle(lab):
    wanted = lab.scale(10_000, 1_000)
    count = min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500)
    section = Section(f"{count:,} idle connections")
    section.note("RSS before, and 12 s after the last of them was opened or answered. The request is the list of "
                 "images, by one connection after the other.")
    rows = []
    for name, asked in [("connected only", []), ("after one request", ["--asked"])]:
        folder = lab.folder(f"idle-{len(rows)}")
        options = {"max_connections": count + 100, "client_socket_timeout": 0}
        with Node(lab.node, folder + "/node", **options) as node, Nginx(folder + "/nginx") as nginx:
            for server, url in [(node, "/v1/images"), (nginx, "/up")]:
                rows.append([name, "glance" if server is node else "nginx",
                             _idle_bytes(lab, server, server.url + url, count, asked) / KIB])
    section.table(["connections", "server", "KiB of RSS each"], rows)
    section.plot("idle", f"{count:,} idle connections", "KiB of RSS each (less is better)",
                 ["connected only", "after one request"],
                 {who: [each for _, server, each in rows if server == who] for who in ("glance", "nginx")})
    for name, server, each in rows:
        if server == "glance":
            section.figure(f"{count:,} idle connections, {name}: KiB each", "<= 12", each, each <= 12)
    return section


def _idle_bytes(lab, server, url, count, asked):
    """What a server holds for each of so many connections at rest."""
    before = server.rss_bytes()
    load = lab.load.start("idle", url, *asked, clients=count, sources=8, seconds=120)
    line = load.stdout.readline()
    if not line or json.loads(line)["open"] != count:
        raise RuntimeError(f"{url}: {load.communicate()[1]}")
    time.sleep(lab.scale(12, 2))
    each = (server.rss_bytes() - before) / count
    load.communicate()
    return each
