"""What an administrator does in a running Keystone, over its API.

As a program: python keystone_admin.py KEYSTONE.json SERVICE_TYPE URL
sets the endpoints of a service in the catalogue.
"""

import json
import sys
import urllib.request

DOMAIN = "default"
LIMIT_S = 90


class Admin:
    def __init__(self, auth_url, user, password, project):
        self.auth_url = auth_url
        self.headers = {"Content-Type": "application/json"}
        domain = {"id": DOMAIN}
        user = {"name": user, "domain": domain, "password": password}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": project, "domain": domain}}}
        with self.send("POST", "/auth/tokens", {"auth": auth}) as answer:
            self.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]

    def send(self, method, path, body):
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.auth_url + path, data, self.headers, method=method)
        return urllib.request.urlopen(request, timeout=LIMIT_S)

    def call(self, method, path, body=None):
        with self.send(method, path, body) as answer:
            return json.loads(answer.read() or b"{}")

    def create(self, kind, **fields):
        """Makes a thing; its id."""
        return self.call("POST", f"/{kind}s", {kind: fields})[kind]["id"]

    def ids(self, kind):
        """The ids of all things of a kind, by name."""
        return {thing["name"]: thing["id"] for thing in self.call("GET", f"/{kind}s")[f"{kind}s"]}

    def set_endpoints(self, service_type, url):
        """Sets all endpoints of the one service of a type."""
        [service] = self.call("GET", f"/services?type={service_type}")["services"]
        for endpoint in self.call("GET", f"/endpoints?service_id={service['id']}")["endpoints"]:
            self.call("PATCH", f"/endpoints/{endpoint['id']}", {"endpoint": {"url": url}})


def admin_of(keystone):
    """The administrator, from what run_keystone.py wrote."""
    admin = keystone["users"]["admin"]
    return Admin(keystone["auth_url"], admin["name"], admin["password"], admin["project"])


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        admin_of(json.load(file)).set_endpoints(*sys.argv[2:])
