"""Swift on loopback: proxy, account, container and object server, one replica, with
memcached. v1 auth and S3 for two accounts, and the tenants of a Keystone when one is given.
"""

import json
import os
import shutil
import socket
import threading

import servers
from keystone_admin import admin_of

# Small, so that segmentation is tested with little data.
MAX_OBJECT_BYTES = 64 << 20
DEVICE = "disk"
# Different in every encoding.
ODD_KEY = "CANARY/k+y@z:q=w&x?"
STORAGE = ("account", "container", "object")


def start_memcached(running):
    """Starts memcached on a port of the kernel's choice; the port."""
    memcached = shutil.which("memcached")
    if memcached is None:
        raise SystemExit("memcached is not installed")
    port_file = running.folder / "memcached.port"
    command = [memcached, "-l", servers.LOOPBACK, "-p", "-1", "-U", "0", "-m", "16"]
    if os.geteuid() == 0:
        command += ["-u", "root"]
    running.spawn("memcached", command, MEMCACHED_PORT_FILENAME=str(port_file))
    text = running.await_file(port_file)
    return int(text.split(":")[1])


def write_configs(folder, log_port, memcached_port, keystone):
    """The configuration; the path of each server's."""
    servers.write_config("swift.conf", folder, max_file_size_bytes=MAX_OBJECT_BYTES)
    configs = {"proxy": servers.write_config(
        "proxy-server.conf", folder, log_port=log_port, memcached_port=memcached_port,
        odd_key=ODD_KEY,
        keystone_filters="authtoken keystoneauth" if keystone else "",
        keystone_url=keystone["auth_url"] if keystone else "",
        keystone_password=keystone["users"]["swift"]["password"] if keystone else "")}
    for kind in STORAGE:
        path = servers.write_config("storage-server.conf", folder, kind=kind, log_port=log_port)
        configs[kind] = path.rename(folder / f"{kind}-server.conf")
    return configs


def write_rings(folder, ports):
    """One device and one copy of everything."""
    from swift.common.ring import RingBuilder
    for kind in STORAGE:
        builder = RingBuilder(4, 1, 0)
        builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": DEVICE,
                         "ip": servers.LOOPBACK, "port": ports[kind]})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


def run_server(kind, config, listener):
    """What Swift's own start-up does, on a socket that is already bound."""
    from eventlet.greenio import GreenSocket
    from swift.common import wsgi
    # Nobody cuts this Swift's power, and other tests wait for the same disk.
    os.fsync = os.fdatasync = lambda _: None
    section = "proxy-server" if kind == "proxy" else f"{kind}-server"
    conf, logger, log_name = wsgi._initrp(str(config), section)
    wsgi.run_server(conf, logger, GreenSocket(listener), {"log_name": log_name})


def write_log(log_socket, path):
    """Swift logs to syslog only: here is one for it."""
    with path.open("ab", buffering=0) as log:
        while True:
            log.write(log_socket.recv(65536).rstrip(b"\0\n") + b"\n")


def start(running, keystone):
    """Starts everything; the proxy's port."""
    folder = running.folder
    (folder / "devices" / DEVICE).mkdir(parents=True)
    listeners = {kind: servers.listen() for kind in ("proxy", *STORAGE)}
    ports = {kind: servers.port(listener) for kind, listener in listeners.items()}
    log_socket = socket.socket(type=socket.SOCK_DGRAM)
    log_socket.bind((servers.LOOPBACK, 0))
    memcached_port = start_memcached(running)
    configs = write_configs(folder, servers.port(log_socket), memcached_port, keystone)

    # Before anything else of Swift is imported: it reads its limits at import.
    from swift.common import utils
    utils.set_swift_dir(str(folder))
    write_rings(folder, ports)
    import swift.common.wsgi  # Once for all children.
    for kind, listener in listeners.items():
        running.fork(kind, lambda: run_server(kind, configs[kind], listener))
    # After the forks, which know nothing of threads.
    thread = threading.Thread(target=write_log, args=(log_socket, folder / "swift.log"),
                              daemon=True)
    thread.start()
    for listener in listeners.values():
        listener.close()
    for port in ports.values():
        running.await_answer(f"http://{servers.LOOPBACK}:{port}/healthcheck")
    return ports["proxy"]


def describe(port):
    url = f"http://{servers.LOOPBACK}:{port}"

    def account(name, key):
        return {"user": f"{name}:tester", "key": key, "storage_url": f"{url}/v1/TEMP_{name}"}

    return {"url": url, "auth_url": f"{url}/auth/v1.0", "s3_region": "us-east-1",
            "max_object_bytes": MAX_OBJECT_BYTES,
            "account": account("test", "testing"), "other": account("other", "othertesting"),
            "odd": account("odd", ODD_KEY)}


def main():
    parser = servers.arguments(__doc__)
    parser.add_argument("--keystone", type=open, metavar="FILE",
                        help="the JSON file of run_keystone.py: take its tokens too")
    options = parser.parse_args()
    keystone = json.load(options.keystone) if options.keystone else None
    with servers.servers("glance-test-swift-") as running:
        description = describe(start(running, keystone))
        if keystone:
            accounts = f"{description['url']}/v1/AUTH_$(project_id)s"
            admin_of(keystone).set_endpoints("object-store", accounts)
        servers.serve(running, options, description)


main()
