"""Part `identity`: what it costs to know who is asking."""

import contextlib
import http.server
import json
import threading
import time

from downloads import META
from measure import Section, interleave, median, percentile, sample
from programs import Node
from small import CONNECTIONS

# As long as a fernet token.
TOKEN = "gAAAAA" + "t" * 220


class Keystone(http.server.BaseHTTPRequestHandler):
    """Vouches for every token: what is measured is a token that is known already."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201)

    def do_GET(self):
        self.answer(200)

    def answer(self, status):
        issued, ends = (time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + later))
                        for later in (0, 3600))
        named = {"id": "f" * 32, "name": "somebody"}
        body = json.dumps({"token": {
            "user": named | {"domain": named}, "project": named | {"domain": named}, "expires_at": ends,
            "issued_at": issued, "methods": ["password"], "roles": [{"id": "1", "name": "admin"}]}}).encode()
        self.send_response(status)
        self.send_header("X-Subject-Token", "own")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def keystone():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keystone)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def part_identity(lab):
    section = Section("Who is asking")
    folder = lab.folder("identity")
    headers = [f"X-Auth-Token: {TOKEN}", "X-Identity-Status: Confirmed", "X-Tenant-Id: " + "f" * 32,
               "X-User-Id: " + "f" * 32, "X-Roles: admin"]
    with contextlib.ExitStack() as stack:
        account = {"auth_url": stack.enter_context(keystone()), "username": "glance", "password": "glance",
                   "project_name": "service"}
        flavors = {"none": {}, "trusted-auth": {}, "keystone": {"keystone_authtoken": account}}
        images = {}
        for flavor, sections in flavors.items():
            node = stack.enter_context(Node(
                lab.node, f"{folder}/{flavor}", sections=sections | {"paste_deploy": {"flavor": flavor}}))
            made = lab.load("post", node.url + "/v1/images", size=1 << 20, requests=1, seconds=60,
                            header=META + headers)
            images[flavor] = (node, made["location"])
        section.note(f"HEAD of an image over {CONNECTIONS} connections; every request has a token of {len(TOKEN)} "
                     "bytes and the headers of a proxy, so that all servers read as much. Keystone is asked once.")
        results = interleave({
            flavor: lambda node=node, url=url: sample(node, lambda: lab.load(
                "head", url, clients=CONNECTIONS, seconds=lab.seconds, header=headers))
            for flavor, (node, url) in images.items()}, lab.rounds)
    section.table(["flavor", "requests/s", "CPU us/request", "p50 us", "p99 us"], [
        [name, median(of, "requests_per_s"), median(of, "us_per_request"), percentile(of, "p50"),
         percentile(of, "p99")] for name, of in results.items()])
    for flavor in ("trusted-auth", "keystone"):
        added = median(results[flavor], "us_per_request") - median(results["none"], "us_per_request")
        section.figure(f"{flavor} adds to a request, CPU us", "< 50", added, added < 50)
    return section
