"""Parts `head` and `list`: requests that move no image."""

import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.request

from downloads import META, upload
from measure import Section, interleave, median, percentile, ratio, sample
from programs import CLIENT_CPU, Nginx, Node, pinned

CONNECTIONS = 64


def part_head(lab):
    section = Section("HEAD of an image")
    folder = lab.folder("head")
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(Node(lab.node, folder + "/node"))
        image, _ = upload(lab, node, 1 << 20)
        logging = stack.enter_context(Node(
            lab.node, folder + "/logging", access_log="true", log_file=f"{folder}/access.log"))
        logged_image, _ = upload(lab, logging, 1 << 20)
        head_bytes = lab.load("head", image, requests=1)["head_bytes"]
        nginx = stack.enter_context(padded_nginx(lab, folder, head_bytes))
        peers = {"glance": (node, image), "nginx return 200": (nginx, nginx.url + "/same"),
                 "glance, access log on": (logging, logged_image)}
        section.note(f"{CONNECTIONS} connections kept alive, one request at a time on each; answers of "
                     f"{head_bytes} bytes from both. The load is our own (`load head`), for wrk has no HEAD; oha, which "
                     "costs the client several times as much, is the second witness.")
        results = interleave({
            name: lambda server=server, url=url: sample(
                server, lambda: lab.load("head", url, clients=CONNECTIONS, seconds=lab.seconds))
            for name, (server, url) in peers.items()}, lab.rounds)
        _by_oha(lab, section, peers)
    section.table(["server", "requests/s", "CPU us/request", "p50 us", "p99 us"], [
        [name, median(of, "requests_per_s"), median(of, "us_per_request"), percentile(of, "p50"),
         percentile(of, "p99")] for name, of in results.items()])
    for name in ("glance", "glance, access log on"):
        got = ratio(results[name], results["nginx return 200"], "us_per_request")
        section.figure(f"HEAD ({name}): CPU per request to nginx return 200", "<= 1.0 x", got, got <= 1)
    section.plot("head-cpu", "HEAD of an image", "server CPU microseconds per request (less is better)",
                 ["CPU"], {name: [median(of, "us_per_request")] for name, of in results.items()})
    return section


def _by_oha(lab, section, peers):
    if not shutil.which("oha"):
        return section.note("oha is not installed: no second witness.")
    results = interleave({
        name: lambda server=server, url=url: sample(server, lambda: oha(lab, url))
        for name, (server, url) in peers.items()}, lab.rounds)
    section.table(["by oha", "requests/s", "CPU us/request"], [
        [name, median(of, "requests_per_s"), median(of, "us_per_request")] for name, of in results.items()])
    got = ratio(results["glance"], results["nginx return 200"], "us_per_request")
    section.figure("HEAD (glance), by oha: CPU per request to nginx return 200", "<= 1.0 x", got, got <= 1)


def oha(lab, url):
    """HEADs by oha over as many connections; what a result of our own client holds of them."""
    words = ["oha", "-m", "HEAD", "-c", str(CONNECTIONS), "-z", f"{lab.seconds}s", "--no-tui", "--output-format", "json",
             url]
    lab.load.note(words)
    output = subprocess.run(pinned(CLIENT_CPU, words), check=True, capture_output=True, text=True).stdout
    found = json.loads(output)
    count = found["statusCodeDistribution"].get("200", 0)
    if set(found["statusCodeDistribution"]) != {"200"}:
        raise RuntimeError(f"{url}: {found['statusCodeDistribution']}")
    seconds = found["summary"]["total"]
    return {"requests": count, "seconds": seconds, "requests_per_s": count / seconds, "bytes_in": 0, "bytes_out": 0}


def padded_nginx(lab, folder, head_bytes):
    """nginx whose `/same` answers with a head of exactly as many bytes."""
    def start(padding, again):
        # Six headers, so that nginx too writes more than one.
        lines = [f'add_header x-padding-{n} "{"x" * (padding // 6 + (padding % 6 if n == 0 else 0))}";'
                 for n in range(6)]
        return Nginx(f"{folder}/nginx{again}", "sendfile on;",
                     f'location = /same {{ {" ".join(lines)} return 200 ""; }}')
    probe = start(60, 1)
    with probe:
        overhead = lab.load("head", probe.url + "/same", requests=1)["head_bytes"] - 60
    return start(head_bytes - overhead, 2)


def wrk(lab, url):
    """GETs by wrk over as many connections; what a result of our own client holds of them."""
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(lab.seconds))}s", url]
    lab.load.note(words)
    output = subprocess.run(pinned(CLIENT_CPU, words), check=True, capture_output=True, text=True).stdout
    if re.search(r"Non-2xx|Socket errors", output):
        raise RuntimeError(f"{url}:\n{output}")
    count, seconds = re.search(r"(\d+) requests in ([\d.]+)s", output).groups()
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])
    return {"requests": int(count), "seconds": float(seconds), "requests_per_s": rate, "bytes_in": 0, "bytes_out": 0}


IMAGE_HEADERS = ["x-image-meta-name: image-{n}", "x-image-meta-disk_format: raw",
                 "x-image-meta-container_format: bare", "x-image-meta-is_public: True",
                 "x-image-meta-size: {n}", "x-image-meta-property-group: group-{m}"]

QUERIES = {
    "newest": "",
    "by name, one status": "sort_key=name&sort_dir=asc&status=queued",
    "by size, one property, 1 in 100": "sort_key=size&sort_dir=desc&property-group=group-42",
    "by name, at least so large": "sort_key=name&sort_dir=asc&size_min=90000&disk_format=raw",
    "a single match by name": "sort_key=created_at&name=image-777",
}


def part_list(lab):
    section = Section("Lists")
    folder = lab.folder("list")
    images = lab.scale(100_000, 5_000)
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(Node(lab.node, folder + "/node"))
        _lists_of_25(lab, section, stack, node, folder)
        print(f"  registering {images} images", flush=True)
        register(lab, node, 25, images - 25)
        rows, worst = [], 0
        for name, query in QUERIES.items():
            url = f"{node.url}/v1/images/detail?limit=25&{query}".rstrip("&")
            of = [sample(node, lambda: lab.load("get", url, clients=2, seconds=lab.seconds)) for _ in range(3)]
            p99 = percentile(of, "p99")
            worst = max(worst, p99)
            rows.append([name, median(of, "requests_per_s"), percentile(of, "p50"), p99,
                         percentile(of, "max"), median(of, "us_per_request")])
        section.table([f"25 of {images:,} images, 2 clients", "requests/s", "p50 us", "p99 us", "max us",
                       "CPU us/request"], rows)
        section.figure(f"a page of 25 of {images:,} images: worst p99, ms", "< 1", worst / 1000, worst < 1000)
        rss = node.rss_bytes()
    restart = _restart(lab, folder)
    section.figure(f"restart to the first page of {images:,} images, s", "< 2", restart, restart < 2)
    section.note(f"RSS with {images:,} images: {rss / 2**20:.0f} MiB.")
    return section


def _lists_of_25(lab, section, stack, node, folder):
    register(lab, node, 0, 25)
    with urllib.request.urlopen(node.url + "/v1/images", timeout=10) as answer:
        size = len(answer.read())
    nginx = stack.enter_context(Nginx(
        folder + "/nginx", "", f'location = /same {{ default_type application/json; return 200 "{"x" * size}"; }}'))
    results = interleave({
        "glance": lambda: sample(node, lambda: wrk(lab, node.url + "/v1/images")),
        "nginx return 200": lambda: sample(nginx, lambda: wrk(lab, nginx.url + "/same"))}, lab.rounds)
    section.note(f"`GET /v1/images` with 25 images ({size} bytes) by `wrk -t1 -c{CONNECTIONS}`; nginx returns as "
                 "many bytes that do not change.")
    section.table(["server", "requests/s", "CPU us/request"], [
        [name, median(of, "requests_per_s"), median(of, "us_per_request")] for name, of in results.items()])
    section.plot("list-cpu", "GET /v1/images, 25 images", "server CPU microseconds per request (less is better)",
                 ["CPU"], {name: [median(of, "us_per_request")] for name, of in results.items()})


def register(lab, node, begun, count):
    """Registers images without data through the API."""
    result = lab.load("post", node.url + "/v1/images", clients=min(256, count), requests=count, seconds=300,
                      header=IMAGE_HEADERS)
    if result["requests"] != count:
        raise RuntimeError(f"{result['requests']} of {count} images registered in time")


def _restart(lab, folder):
    def first_page(url):
        with urllib.request.urlopen(url, timeout=5) as answer:
            if b"image-" not in answer.read():
                raise RuntimeError("a page without images")
    node = Node(lab.node, folder + "/node", wait=False)
    node.probe = f"{node.url}/v1/images?limit=25&sort_key=name"
    with node:
        return node.await_answer(first_page)
