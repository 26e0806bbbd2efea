"""Parts `upload`, `uploads` and `uring-refused`."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

from downloads import META, check, upload
from measure import Section, interleave, median, ratio, sample
from programs import SERVER_CPU, Nginx, Node, pinned

GIB = 1 << 30


def part_upload(lab):
    section = Section("One upload beside pure MD5")
    section.note("The server may use both processors here (receiving and hashing are two threads); the client "
                 "shares the second. Pure MD5 is one stream on one processor: openssl, and the kernels of "
                 "`cargo bench --bench md5`.")
    rates = {"openssl": _openssl_rate()} | _own_rates(lab)
    size = lab.scale(GIB, 128 << 20)
    with Node(lab.node, lab.folder("upload"), cpus=None) as node:
        def one():
            result = sample(node, lambda: upload_all(lab, node, 1, 1, size))
            forget_images(node)
            return result
        upload(lab, node, size)
        samples = [one() for _ in range(lab.rounds)]
    speed = median(samples, "gb_per_s")
    fastest = max(rates, key=rates.get)
    got = speed / rates[fastest]
    section.table(["what", "GB/s"], [["one upload", speed], *rates.items()])
    section.table(["CPU s/GiB of the server"], [[median(samples, "cpu_s_per_gib")]])
    section.figure(f"one upload, to pure MD5 ({fastest})", ">= 0.95 x", got, got >= 0.95)
    section.plot("upload", "One upload beside pure MD5", "GB/s (more is better)", ["one stream"],
                 {"glance, one upload": [speed]} | {name: [rate] for name, rate in rates.items()})
    return section


def _openssl_rate():
    command = pinned(SERVER_CPU, ["openssl", "speed", "-seconds", "2", "-bytes", "16384", "md5"])
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(re.search(r"^md5\s+([\d.]+)k", output, re.MULTILINE | re.IGNORECASE)[1]) * 1e3 / 1e9


def _own_rates(lab):
    command = pinned(SERVER_CPU, [lab.programs["md5"], "--bench", "--warm-up-time", "1",
                                  "--measurement-time", "2", "--noplot", "md5/one"])
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^md5/one/(.+?)\s+time:.*\n\s+thrpt:\s+\[\S+ \S+ (\S+) (\S+)", output, re.MULTILINE)
    unit = {"MiB/s": 2**20, "GiB/s": 2**30}
    # Criterion breaks the line behind a long name.
    found += re.findall(r"^md5/one/(.+?)\n\s+time:.*\n\s+thrpt:\s+\[\S+ \S+ (\S+) (\S+)", output, re.MULTILINE)
    def named(name):
        return {"md-5 crate": name, "Md5": "glance's Md5"}.get(name, f"its kernel {name}")
    return {named(name.strip()): float(value) * unit[per] / 1e9 for name, value, per in found}


def upload_all(lab, server, clients, count, size, put_path=None):
    url = server.url + (put_path or "/v1/images")
    headers = [] if put_path else META
    result = lab.load("put" if put_path else "post", url, clients=clients, requests=count, size=size,
                      seconds=300, header=headers)
    return result | {"gb_per_s": result["bytes_out"] / result["seconds"] / 1e9}


def image_ids(node):
    with urllib.request.urlopen(node.url + "/v1/images?limit=1000", timeout=60) as answer:
        return [image["id"] for image in json.load(answer)["images"]]


def forget_images(node, but=""):
    """Deletes every image but one, and waits until the files are gone: that work belongs to no round."""
    kept = but.rsplit("/", 1)[-1]
    for image in image_ids(node):
        if image != kept:
            node.delete(f"{node.url}/v1/images/{image}")
    until = time.monotonic() + 30
    while any(entry.is_file() and entry.name != kept for entry in os.scandir(node.images_dir)):
        if time.monotonic() > until:
            raise RuntimeError(f"files of deleted images are still in {node.images_dir}")
        time.sleep(0.01)


def forget_files(folder):
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")


def part_uploads(lab):
    section = Section("8 and 16 uploads at once")
    section.note("Worker and hash thread share one processor. \"one by one\" is the same node receiving the same "
                 "bytes as one upload after another, so that each MD5 is computed alone. nginx dav hashes nothing.")
    size = lab.scale(128 << 20, 32 << 20)
    folder = lab.folder("uploads")
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(Node(lab.node, folder + "/node"))
        put = f"location /put/ {{ root {folder}/dav; dav_methods PUT; create_full_put_path on; }}"
        buffer = "client_body_buffer_size 1m; client_body_in_file_only off;"
        dav = stack.enter_context(Nginx(folder + "/dav", buffer, put))
        location, md5 = upload(lab, node, size)
        check(lab, location, md5)
        lab.load("put", dav.url + "/put/0", size=size, requests=1)
        with open(f"{folder}/dav/put/0", "rb") as file:
            if lab.md5_of(file) != md5:
                raise RuntimeError("nginx dav stored other bytes than were sent")

        # Each cleans up behind itself: 16 images of one of them are enough in memory.
        def to_node(clients, count):
            result = sample(node, lambda: upload_all(lab, node, clients, count, size))
            forget_images(node)
            return result

        def to_dav(clients):
            result = sample(dav, lambda: upload_all(lab, dav, clients, clients, size, "/put/{n}"))
            forget_files(f"{folder}/dav/put")
            return result
        forget_images(node)
        forget_files(f"{folder}/dav/put")
        contestants = {"glance, 8": lambda: to_node(8, 8), "nginx dav, 8": lambda: to_dav(8),
                       "glance, one by one": lambda: to_node(1, 8),
                       "glance, 16": lambda: to_node(16, 16), "nginx dav, 16": lambda: to_dav(16)}
        results = interleave(contestants, lab.rounds)
    rates = {"openssl": _openssl_rate()} | _own_rates(lab)
    fastest = max(rates.values())
    _report_uploads(section, results, GIB / 1e9 / fastest)
    return section


def _report_uploads(section, results, hash_s_per_gib):
    section.table(["uploads", "GiB/s", "CPU s/GiB"], [
        [name, median(of, "gib_per_s"), median(of, "cpu_s_per_gib")] for name, of in results.items()])
    # What the server costs besides hashing, and then one MD5 for each stream at the best rate.
    dav_and_hash = median(results["nginx dav, 8"], "cpu_s_per_gib") + hash_s_per_gib
    section.note(f"One MD5 alone costs {hash_s_per_gib:.2f} s/GiB here at the best rate; nginx dav plus that: "
                 f"{dav_and_hash:.2f} s/GiB.")
    for count in (8, 16):
        own = results[f"glance, {count}"]
        alone = ratio(own, results["glance, one by one"], "cpu_s_per_gib")
        section.figure(f"{count} uploads at once: CPU/GiB to one MD5 per stream", "<= 0.5 x", alone, alone <= 0.5)
        dav = ratio(own, results[f"nginx dav, {count}"], "cpu_s_per_gib")
        section.figure(f"{count} uploads at once: CPU/GiB to nginx dav", "<= 1.3 x (1.0 x stretch)", dav, dav <= 1.3)
    cost = {name: median(of, "cpu_s_per_gib") for name, of in results.items()}
    section.plot("uploads-cpu", "Uploads, whole server", "CPU seconds per GiB (less is better)",
                 ["one by one", "8 at once", "16 at once"],
                 {"glance": [cost["glance, one by one"], cost["glance, 8"], cost["glance, 16"]],
                  "nginx dav, which hashes nothing": [None, cost["nginx dav, 8"], cost["nginx dav, 16"]]})


def part_uring_refused(lab):
    section = Section("io_uring refused by seccomp")
    size = lab.scale(256 << 20, 32 << 20)
    folder = lab.folder("uring")
    with contextlib.ExitStack() as stack:
        with_uring = stack.enter_context(Node(lab.node, folder + "/uring"))
        without = stack.enter_context(Node(lab.node, folder + "/refused",
                                           wrap=[sys.executable, "tests/refuse_uring.py"]))
        without.await_answer()
        engines = [re.search(r"engine=(\w+)", open(node.log).read())[1] for node in (with_uring, without)]
        section.note(f"Both with io_backend = auto; the log says engine={engines[0]} and engine={engines[1]}. "
                     "tests/run runs the whole suite under the same refusal.")
        images = {node: upload(lab, node, size)[0] for node in (with_uring, without)}

        def four_uploads(node):
            result = sample(node, lambda: upload_all(lab, node, 4, 4, size))
            forget_images(node, images[node])
            return result
        works = {
            "GET, 16 clients": lambda node: sample(node, lambda: lab.load(
                "get", images[node], clients=16, seconds=lab.seconds)),
            "4 uploads at once": four_uploads,
        }
        for what, work in works.items():
            results = interleave({"uring": lambda: work(with_uring), "refused": lambda: work(without)}, lab.rounds)
            section.table([what, "GiB/s", "CPU s/GiB"], [
                [name, median(of, "gib_per_s"), median(of, "cpu_s_per_gib")] for name, of in results.items()])
            got = ratio(results["refused"], results["uring"], "gib_per_s")
            section.figure(f"io_uring refused, {what}: throughput", ">= 0.7 x", got, got >= 0.7)
    return section
