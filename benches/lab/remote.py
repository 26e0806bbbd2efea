"""Parts `s3`, `swift` and `many`: the stores that are other servers."""

import contextlib
import json
import os
import time

from downloads import META, check, upload
from measure import Section, interleave, median, sample
from programs import CLIENT_CPU, Node, Server, free_port, pinned
from uploads import image_ids

MIB = 1 << 20

# Parts of an image beside the store: both as small as the real servers of the tests take.
S3 = {"s3_store_bucket": "bench", "s3_store_create_bucket_on_put": "true"}
SWIFT = {"swift_store_auth_version": "1", "swift_store_create_container_on_put": "true"}


class PlainStore(Server):
    """The load client as a store that keeps nothing, and whose objects all have one size."""

    def __init__(self, lab, size, cpus=CLIENT_CPU):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = lab.load.start("store", self.url, cpus=cpus, size=size, seconds=600)
        self.log = os.devnull
        self.probe = self.url + "/auth/v1.0"
        self.begun = time.monotonic()
        self.await_answer()

    def stop(self):
        self.process.communicate()


class RealStore(Server):
    """Swift with its S3, of the tests."""

    def __init__(self, folder):
        venv = real_servers()
        self.json = f"{folder}/swift.json"
        self.folder = folder
        command = [f"{venv}/bin/python", "-B", "tests/backends/run_swift.py", "--json", self.json]
        os.makedirs(folder, exist_ok=True)
        super().__init__(pinned(CLIENT_CPU, command), "", "", f"{folder}/out.log",
                         lambda: os.environ.update(TMPDIR=folder))
        while not os.path.exists(self.json):
            if self.process.poll() is not None or time.monotonic() - self.begun > 60:
                raise RuntimeError(f"Swift does not start: {open(self.log).read()[-2000:]}")
            time.sleep(0.05)
        with open(self.json) as told:
            self.told = json.load(told)
        self.url = self.told["url"]


def real_servers():
    """The folder of the servers that the tests run against."""
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    return os.environ.get("GLANCE_TEST_BACKENDS", f"{target}/test-backends-venv")


def s3_options(url, user="user", key="key", **more):
    return S3 | {"s3_store_host": url, "s3_store_access_key": user, "s3_store_secret_key": key} | more


def swift_options(url, user="test:tester", key="testing", **more):
    return SWIFT | {"swift_store_auth_address": url + "/auth/v1.0", "swift_store_user": user,
                    "swift_store_key": key} | more


def node_on(lab, folder, name, options, **defaults):
    """A node that keeps images in one store. The key may be read by its owner alone."""
    old = os.umask(0o077)
    try:
        sections = {"glance_store": {"stores": name, "default_store": name} | options}
        return Node(lab.node, folder, sections=sections, **defaults)
    finally:
        os.umask(old)


def part_s3(lab):
    return part_store(lab, "s3", "S3", s3_options, {})


def part_swift(lab):
    # The Swift of the tests takes objects of 64 MiB.
    return part_store(lab, "swift", "Swift", swift_options,
                      {"swift_store_large_object_size": 64, "swift_store_large_object_chunk_size": 64})


def part_store(lab, name, title, options, of_real):
    section = Section(f"Images in {title}")
    section.note(f"`plain` is a store of the load client: uploads end in the kernel, downloads come from memory. Node "
                 f"on one processor, store and client on the other. `real` is Swift{'' if name == 'swift' else ' s3api'}"
                 " 2.38 on the client's processor, which is what limits it; its figures say that the road is the "
                 "same. CPU is that of the node alone; PUT includes the MD5.")
    size, real_size = lab.scale(512 * MIB, 64 * MIB), lab.scale(128 * MIB, 64 * MIB)
    folder = lab.folder(name)
    rows = []
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(PlainStore(lab, size))
        nodes = {verify: stack.enter_context(node_on(lab, f"{folder}/{verify}", name, options(plain.url),
                                                     verify_downloads=verify)) for verify in ("false", "true")}
        images = {verify: upload(lab, node, size) for verify, node in nodes.items()}
        for image, md5 in images.values():
            check(lab, image, md5)
        for clients in (1, 16):
            works = {f"GET, {what}": get(lab, nodes[verify], images[verify][0], clients)
                     for what, verify in [("unchecked", "false"), ("checked", "true")]}
            works["PUT"] = put(lab, nodes["true"], clients, size)
            rows += rows_of("plain", clients, interleave(works, lab.rounds))
    if os.path.exists(f"{real_servers()}/bin/python"):
        rows += real_rows(lab, name, f"{folder}/real", options, of_real, real_size)
    else:
        section.note(f"Not measured beside the real server: {real_servers()} is not there (tests/run makes it).")
    section.table(["store", "clients", "what", "GiB/s", "CPU s/GiB"], rows)
    return section


def real_rows(lab, name, folder, options, more, size):
    rows = []
    with RealStore(folder) as real:
        account = real.told["account"]
        told = options(real.url, account["user"], account["key"], **more)
        with node_on(lab, folder + "/node", name, told) as node:
            image, md5 = upload(lab, node, size)
            check(lab, image, md5)
            works = {"GET, checked": get(lab, node, image, 1),
                     "PUT": lambda: put_and_forget(lab, node, image, size)}
            rows = rows_of("real", 1, interleave(works, lab.scale(3, 1)))
    return rows


def get(lab, node, image, clients):
    return lambda: sample(node, lambda: lab.load("get", image, clients=clients, seconds=lab.seconds))


def put(lab, node, clients, size):
    return lambda: sample(node, lambda: lab.load("post", node.url + "/v1/images", clients=clients, size=size,
                                                 requests=max(clients, 4), seconds=120, header=META))


def put_and_forget(lab, node, kept, size):
    """One upload; what was uploaded before is removed, so that little is in the store."""
    result = put(lab, node, 1, size)()
    for image in image_ids(node):
        if not kept.endswith(image):
            node.delete(f"{node.url}/v1/images/{image}")
    return result


def rows_of(store, clients, results):
    return [[store, clients, what, median(of, "gib_per_s"), median(of, "cpu_s_per_gib")]
            for what, of in results.items()]


def part_many(lab):
    uploads, size = 64, lab.scale(1 << 30, 64 * MIB)
    section = Section(f"{uploads} uploads at once to other servers")
    section.note(f"{uploads} uploads of {size // MIB} MiB at once, of known length, into a store that keeps nothing. "
                 "RSS is the most that the node had at any time (VmHWM).")
    rows = []
    for name, options in [("s3", s3_options), ("swift", swift_options)]:
        with PlainStore(lab, size) as store, \
                node_on(lab, lab.folder(f"many-{name}"), name, options(store.url)) as node:
            before = node.most_rss_bytes() / MIB
            result = sample(node, lambda: lab.load(
                "post", node.url + "/v1/images", clients=uploads, requests=uploads, size=size, seconds=300, header=META))
            most = node.most_rss_bytes() / MIB
        rows.append([name, before, most, result["gib_per_s"], result["cpu_s_per_gib"]])
        section.figure(f"RSS of {uploads} uploads at once, {name}, MiB", "<= 256", most, most <= 256)
    section.table(["store", "RSS before, MiB", "largest RSS, MiB", "GiB/s", "CPU s/GiB"], rows)
    return section
