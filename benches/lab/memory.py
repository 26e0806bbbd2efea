"""Parts `rss` and `idle`: what connections hold."""

import json
import resource
import time

from downloads import upload
from measure import Section
from programs import Nginx, Node

MIB = 1 << 20
KIB = 1 << 10


def part_rss(lab):
    section = Section("500 slow downloads")
    section.note("500 clients take 256 KiB/s each. RSS is sampled over the whole time; the largest counts.")
    clients, sizes = 500, [64 * MIB, lab.scale(4 << 30, 256 * MIB)]
    rows = []
    for size in sizes:
        with Node(lab.node, lab.folder(f"rss-{size}")) as node:
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
    rows = []
    for name, asked in [("connected only", []), ("after one request", ["--asked"])]:
        folder = lab.folder(f"idle-{len(rows)}")
        options = {"max_connections": count + 100, "client_socket_timeout": 0}
        with Node(lab.node, folder + "/node", **options) as node, Nginx(folder + "/nginx") as nginx:
            for server, url in [(node, "/healthcheck"), (nginx, "/up")]:
                before = server.rss_bytes()
                load = lab.load.start("idle", server.url + url, *asked, clients=count, sources=8, seconds=120)
                line = load.stdout.readline()
                if not line or json.loads(line)["open"] != count:
                    raise RuntimeError(f"{server.url}: {load.communicate()[1]}")
                time.sleep(1)
                each = (server.rss_bytes() - before) / count / KIB
                load.communicate()
                rows.append([name, "glance" if server is node else "nginx", each])
    section.table(["connections", "server", "KiB of RSS each"], rows)
    most = max(row[2] for row in rows if row[1] == "glance")
    section.figure(f"{count:,} idle connections, KiB each", "<= 12", most, most <= 12)
    return section
