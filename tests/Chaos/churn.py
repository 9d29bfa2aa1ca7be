"""People of a lab who each make a network with a router, a server and a floating IP, and take all of it away again, over and over, until the file STOP is there.

    churn.py COUNT STOP      with the credentials of the environment (OS_AUTH_URL ...), on a node that reaches the APIs

What is refused or not answered is asked for again: nothing that was made stays. Prints a line for each round that ended, and at the end how many there were.
"""
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request

count, stop = int(sys.argv[1]), sys.argv[2]
PATIENCE = 600


class Api:
    """The cloud as one user sees it; a token is asked for where none is, and anew when it is no longer taken."""

    def __init__(self):
        self.token, self.catalog = None, {}

    def send(self, method, url, body=None, headers=None):
        request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None, answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace"), error.headers
        except (urllib.error.URLError, OSError) as error:
            return 0, str(error), {}

    def __call__(self, method, service, path, body=None):
        if self.token is None:
            user = {"name": os.environ["OS_USERNAME"], "domain": {"name": "Default"}, "password": os.environ["OS_PASSWORD"]}
            status, answer, headers = self.send("POST", os.environ["OS_AUTH_URL"] + "/auth/tokens", {"auth": {
                "identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": {"name": os.environ["OS_PROJECT_NAME"], "domain": {"name": "Default"}}}}})
            if status != 201:
                return status, answer
            self.token = headers["X-Subject-Token"]
            self.catalog = {entry["type"]: next(end["url"] for end in entry["endpoints"] if end["interface"] == "public") for entry in answer["token"]["catalog"]}
        status, answer, _ = self.send(method, self.catalog[service] + path, body, {"X-Auth-Token": self.token})
        if status == 401:
            self.token = None
        return status, answer


def until(what, action):
    """Repeats an action until it gives something; a cloud that does not within the bound is at fault."""
    limit = time.monotonic() + PATIENCE
    while True:
        result, said = action()
        if result is not None:
            return result
        if time.monotonic() > limit:
            raise TimeoutError(f"{what}: {said}")
        time.sleep(0.5)


def find(api, service, path, plural, name):
    status, answer = api("GET", service, f"{path}?name={name}")
    return next((found["id"] for found in answer[plural] if found["name"] == name), None) if status == 200 else None


def make(api, service, path, singular, plural, body):
    """Makes a thing; one whose answer was lost is found by its name."""
    def ask():
        status, answer = api("POST", service, path, {singular: body})
        if 200 <= status < 300:
            return answer[singular]["id"], answer
        return find(api, service, path, plural, body["name"]), (status, answer)
    return until(f"a {singular} is made", ask)


def remove(api, service, path):
    def ask():
        status, answer = api("DELETE", service, path)
        return (True if status == 404 else None), (status, answer)
    until(f"{path} is gone", ask)


def change(api, path, body):
    """A change that may have been made although its answer was lost: the second one is refused."""
    def ask():
        status, answer = api("PUT", "network", path, body)
        return (True if 200 <= status < 300 or status in (400, 404, 409) else None), (status, answer)
    until(path, ask)


def round_of(api, name, public, image, flavor):
    network = make(api, "network", "/v2.0/networks", "network", "networks", {"name": name})
    subnet = make(api, "network", "/v2.0/subnets", "subnet", "subnets", {"name": name, "network_id": network, "ip_version": 4, "cidr": "10.9.0.0/24"})
    router = make(api, "network", "/v2.0/routers", "router", "routers", {"name": name, "external_gateway_info": {"network_id": public}})
    change(api, f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    server = make(api, "compute", "/servers", "server", "servers", {"name": name, "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}]})

    def settled():
        status, answer = api("GET", "compute", f"/servers/{server}")
        state = answer["server"]["status"] if status == 200 else None
        return (state if state in ("ACTIVE", "ERROR") else None), (status, answer)
    state = until("the server has settled", settled)

    def port():
        status, answer = api("GET", "network", f"/v2.0/ports?device_id={server}")
        return (answer["ports"] if status == 200 else None), (status, answer)
    ports = until("its ports", port)
    floating = []
    if ports:
        status, answer = api("POST", "network", "/v2.0/floatingips", {"floatingip": {"floating_network_id": public, "port_id": ports[0]["id"], "description": name}})
        if status == 201:
            floating = [answer["floatingip"]["id"]]
    def mine():
        status, answer = api("GET", "network", f"/v2.0/floatingips?description={name}")
        return ([found["id"] for found in answer["floatingips"]] if status == 200 else None), (status, answer)
    for each in {*floating, *until("the floating IPs", mine)}:
        remove(api, "network", f"/v2.0/floatingips/{each}")
    remove(api, "compute", f"/servers/{server}")

    def detached():
        change(api, f"/v2.0/routers/{router}/remove_router_interface", {"subnet_id": subnet})
        status, answer = api("GET", "network", f"/v2.0/ports?device_id={router}&device_owner=network:router_interface")
        return (True if status == 200 and not answer["ports"] else None), (status, answer)
    until("the router has no interface", detached)
    for path in (f"routers/{router}", f"subnets/{subnet}", f"networks/{network}"):
        remove(api, "network", f"/v2.0/{path}")
    return state


def person(number, rounds, failures):
    api, turn = Api(), 0
    try:
        public = until("the public network", lambda: (next((found["id"] for found in (api("GET", "network", "/v2.0/networks?router:external=true")[1] or {}).get("networks", [])), None), None))
        image = until("the image", lambda: (next((found["id"] for found in api("GET", "image", "/v2/images")[1]["images"]), None), None))
        flavor = until("the flavor", lambda: (next((found["id"] for found in api("GET", "compute", "/flavors")[1]["flavors"] if found["name"] == "m1.nano"), None), None))
        while not os.path.exists(stop):
            name = f"churn-{number}-{turn}"
            began = time.monotonic()
            state = round_of(api, name, public, image, flavor)
            rounds.append(state)
            print(f"{name} {state} {time.monotonic() - began:.1f} s", flush=True)
            turn += 1
    except Exception as error:
        failures.append(error)
        print(f"FAILED {number}: {error!r}", flush=True)


rounds, failures = [], []
people = [threading.Thread(target=person, args=(number, rounds, failures)) for number in range(count)]
for each in people:
    each.start()
for each in people:
    each.join()
print(f"{len(rounds)} rounds, {rounds.count('ERROR')} servers in ERROR, {len(failures)} people gave up", flush=True)
sys.exit(1 if failures else 0)
