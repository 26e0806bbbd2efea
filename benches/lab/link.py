"""Part `gigabit`: a link of 1 Gbit/s between two network namespaces."""

import contextlib
import json
import os
import subprocess
import time

from downloads import META
from measure import Section, interleave, median, sample
from programs import Nginx, Node
from uploads import forget_images

NODE, CLIENT = "169.254.77.1", "169.254.77.2"
BITS_S = 1_000_000_000


class Link:
    """Two namespaces joined by a veth pair that tbf holds to 1 Gbit/s each way."""

    def __init__(self):
        self.names = [f"glance-{side}-{os.getpid()}" for side in "ab"]

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        with self.stack as stack:
            for name in self.names:
                _run("ip", "netns", "add", name)
                stack.callback(_run, "ip", "netns", "del", name)
            a, b = self.names
            _run("ip", "link", "add", "v0", "netns", a, "type", "veth", "peer", "name", "v0", "netns", b)
            for name, address in zip(self.names, (NODE, CLIENT)):
                _run("ip", "-n", name, "address", "add", address + "/30", "dev", "v0")
                _run("ip", "-n", name, "link", "set", "lo", "up")
                _run("ip", "-n", name, "link", "set", "v0", "up")
                _run(*self.within(name), "tc", "qdisc", "add", "dev", "v0", "root", "tbf", "rate", f"{BITS_S}",
                     "burst", "256kb", "latency", "20ms")
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def within(self, name):
        return ["ip", "netns", "exec", name]

    def sent_bytes(self, side):
        """Bytes that went through the limiter of a side, headers included."""
        words = [*self.within(self.names[side]), "tc", "-s", "-j", "qdisc", "show", "dev", "v0"]
        return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)[0]["bytes"]


def _run(*command):
    subprocess.run(command, check=True, capture_output=True)


def part_gigabit(lab):
    section = Section("A link of 1 Gbit/s")
    if os.geteuid() != 0:
        section.skipped = "needs root for network namespaces"
        return section
    section.note("Server and client in two network namespaces, joined by veth with tbf at 1 Gbit/s each way; 4 "
                 "clients. The fill counts the bytes on the link, headers included.")
    size = lab.scale(256 << 20, 64 << 20)
    folder = lab.folder("gigabit")
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(Link())
        inside, outside = (link.within(name) for name in link.names)
        node = stack.enter_context(Node(lab.node, folder + "/node", host=NODE, wrap=inside))
        wait(lab, node, outside)
        image = lab.load("post", node.url + "/v1/images", wrap=outside, size=size, requests=1, seconds=60,
                         header=META)["location"]
        root = f"root {node.images_dir};"
        nginx = stack.enter_context(Nginx(folder + "/nginx", "sendfile on; tcp_nopush on;", root, host=NODE,
                                          wrap=inside))
        wait(lab, nginx, outside)
        file = "/" + image.rsplit("/", 1)[1]

        def over(server, side, work):
            before = link.sent_bytes(side)
            result = sample(server, work)
            return result | {"fill": (link.sent_bytes(side) - before) * 8 / result["seconds"] / BITS_S}

        def get(server, url):
            return over(server, 0, lambda: lab.load("get", url, wrap=outside, clients=4, seconds=lab.scale(5, 2)))

        def post():
            result = over(node, 1, lambda: lab.load("post", node.url + "/v1/images", wrap=outside, clients=4,
                                                    requests=4, size=size // 2, seconds=60, header=META))
            return result
        results = interleave({"glance GET": lambda: get(node, image),
                              "nginx GET": lambda: get(nginx, nginx.url + file),
                              "glance hashed uploads": post}, lab.scale(3, 1))
    rows = [[name, median(of, "fill") * 100, median(of, "cpu_share") * 100,
             median(of, "cpu_share") / median(of, "fill") * 100] for name, of in results.items()]
    section.table(["transfer", "link filled, %", "of a core, %", "of a core for a full link, %"], rows)
    section.plot("gigabit", "A full link of 1 Gbit/s", "server processor, % of a core (less is better)", ["CPU"],
                 {name: [share] for name, *_, share in rows})
    (_, fill, _, share), _, (_, _, _, upload_share) = rows
    section.figure("downloads over 1 Gbit/s: link filled, %", ">= 99", fill, fill >= 99)
    section.figure("downloads over 1 Gbit/s: of a core, %", "< 5", share, share < 5)
    section.figure("hashed uploads over 1 Gbit/s: of a core, %", "< 30", upload_share, upload_share < 30)
    return section


def wait(lab, server, wrap):
    for _ in range(100):
        with contextlib.suppress(RuntimeError):
            return lab.load("get", server.probe, wrap=wrap, requests=1)
        time.sleep(0.05)
    raise RuntimeError(f"no answer from {server.probe}")
