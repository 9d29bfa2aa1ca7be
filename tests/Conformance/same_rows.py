"""Gives Debian's keystone the rows of another one, with the same ids: domains, projects, roles, users and who has what.

What is read: the identity API at URL with the token in TOKEN. What is written: the database of Debian's keystone, as its configuration
names it. The password of each user there is PASSWORD-NAME."""
import json
import os
import urllib.request

import keystone.conf
from keystone.common import sql
from keystone.server import backends

URL, TOKEN, PASSWORD = os.environ["URL"], os.environ["TOKEN"], os.environ["PASSWORD"]


def ask(collection, query=""):
    request = urllib.request.Request(f"{URL}/{collection}{query}", headers={"X-Auth-Token": TOKEN})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)[collection]


def only(row, *names):
    return {name: row[name] for name in names if name in row}


keystone.conf.configure()
sql.initialize()
keystone.conf.CONF([], project="keystone")
drivers = backends.load_backends()
resources, roles, grants = (drivers[name].driver for name in ("resource_api", "role_api", "assignment_api"))
identities = drivers["identity_api"].driver

for domain in ask("domains"):
    row = only(domain, "id", "name", "enabled", "description")
    resources.create_project(row["id"], row | {"is_domain": True, "domain_id": None, "parent_id": None})
for project in ask("projects"):
    resources.create_project(project["id"], only(project, "id", "name", "enabled", "description", "domain_id", "parent_id") | {"is_domain": False})
for role in ask("roles"):
    roles.create_role(role["id"], only(role, "id", "name", "domain_id"))
for inference in ask("role_inferences"):
    for implied in inference["implies"]:
        roles.create_implied_role(inference["prior_role"]["id"], implied["id"])
for user in ask("users"):
    identities.create_user(user["id"], only(user, "id", "name", "enabled", "domain_id") | {"password": f"{PASSWORD}-{user['name']}"})
for grant in ask("role_assignments"):
    role, user, scope = grant["role"]["id"], grant["user"]["id"], grant["scope"]
    if "system" in scope:
        grants.create_system_grant(role, user, "system", "UserSystem", False)
    else:
        grants.create_grant(role, user_id=user, project_id=scope.get("project", {}).get("id"), domain_id=scope.get("domain", {}).get("id"))
