"""Keystone on loopback: SQLite, fernet tokens, two tenants and their users, and a catalogue
with an image service and an object store, whose endpoints can be set afterwards.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import servers
from keystone_admin import DOMAIN, Admin

REGION = "RegionOne"
# Where nobody listens, until somebody sets it.
UNSET = "http://127.0.0.1:9"
INTERFACES = ("public", "internal", "admin")
ADMIN = "admin"
# User: project, roles. The admin is Keystone's own first user.
USERS = {
    "alice": ("tenant-a", ["member"]),
    "adam": ("tenant-a", ["member"]),
    "rita": ("tenant-a", ["reader"]),
    "bob": ("tenant-b", ["member"]),
    "glance": ("service", ["admin", "service"]),
    "swift": ("service", ["admin", "service"]),
}


def password(user):
    return f"{user}-secret"


def write_config(folder, url, token_s=3600):
    return servers.write_config("keystone.conf", folder, url=url, token_s=token_s)


def log_in(auth_url):
    return Admin(auth_url, ADMIN, password(ADMIN), ADMIN)


def populate(admin):
    """Tenants, users, and services that are nowhere yet."""
    roles = admin.ids("role")
    projects = {name: admin.create("project", name=name, domain_id=DOMAIN)
                for name in dict.fromkeys(project for project, _ in USERS.values())}
    for name, (project, own_roles) in USERS.items():
        user = admin.create("user", name=name, password=password(name), domain_id=DOMAIN,
                            default_project_id=projects[project])
        for role in own_roles:
            admin.call("PUT", f"/projects/{projects[project]}/users/{user}/roles/{roles[role]}")
    for name, kind in (("glance", "image"), ("swift", "object-store")):
        service = admin.create("service", name=name, type=kind)
        for interface in INTERFACES:
            admin.create("endpoint", service_id=service, interface=interface, url=UNSET,
                         region_id=REGION)


def make_seed(running):
    """A database and keys to start from; they take most of the time of a first start."""
    from cryptography.fernet import Fernet
    folder = running.folder
    keys = folder / "fernet-keys"
    # Readable, because tests/run starts Keystone as an ordinary user from root's seed too. These
    # keys protect nothing.
    keys.mkdir(mode=0o755)
    for name in ("0", "1"):
        (keys / name).write_bytes(Fernet.generate_key())
    config = write_config(folder, UNSET)
    manage(config, "db_sync")
    url = "$(public_endpoint)s/v3"
    manage(config, "bootstrap", "--bootstrap-password", password(ADMIN),
           "--bootstrap-region-id", REGION, "--bootstrap-public-url", url,
           "--bootstrap-internal-url", url, "--bootstrap-admin-url", url)
    populate(log_in(start(running)))
    running.stop()


def manage(config, *command):
    program = pathlib.Path(sys.executable).with_name("keystone-manage")
    done = subprocess.run([program, "--config-file", config, *command], capture_output=True,
                          text=True)
    if done.returncode != 0:
        sys.exit(f"keystone-manage {command[0]}:\n{done.stderr}")


def run_server(config, listener):
    # Keystone reads the command line, which is ours.
    sys.argv = ["keystone"]
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(config)
    import waitress
    from keystone.wsgi.api import application
    waitress.serve(application, sockets=[listener], threads=8)


def start(running, token_s=3600):
    """Starts it on the database of the folder; its URL."""
    listener = servers.listen()
    url = f"http://{servers.LOOPBACK}:{servers.port(listener)}"
    config = write_config(running.folder, url, token_s)
    running.fork("keystone", lambda: run_server(config, listener))
    listener.close()
    running.await_answer(f"{url}/v3")
    return f"{url}/v3"


def describe(auth_url):
    admin = log_in(auth_url)
    projects, users = admin.ids("project"), admin.ids("user")
    owned = {ADMIN: (ADMIN, []), **USERS}
    return {"auth_url": auth_url, "region": REGION, "domain_id": DOMAIN,
            "users": {name: {"name": name, "password": password(name), "id": users[name],
                             "project": project, "project_id": projects[project]}
                      for name, (project, _) in owned.items()}}


def copy_seed(source, target):
    shutil.copy(source / "keystone.db", target)
    shutil.copytree(source / "fernet-keys", target / "fernet-keys")


def main():
    parser = servers.arguments(__doc__)
    parser.add_argument("--seed", type=pathlib.Path, metavar="FOLDER",
                        help="start from what --make-seed made, which is quicker")
    parser.add_argument("--make-seed", type=pathlib.Path, metavar="FOLDER",
                        help="make a database and keys to start from, and end")
    parser.add_argument("--token-s", type=int, default=3600, metavar="SECONDS",
                        help="how long tokens are valid (default: an hour)")
    options = parser.parse_args()
    with servers.servers("glance-test-keystone-") as running:
        if options.seed:
            copy_seed(options.seed, running.folder)
        else:
            make_seed(running)
        if options.make_seed:
            options.make_seed.mkdir()
            return copy_seed(running.folder, options.make_seed)
        auth_url = start(running, options.token_s)
        servers.serve(running, options, describe(auth_url))


main()
