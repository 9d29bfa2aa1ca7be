#!/usr/bin/python3
"""keystoneauth's own plugins for logins by others (Debian's python3-keystoneauth1); prints who came in, as JSON.

federated_client.py saml AUTH_URL IDP PROTOCOL IDP_URL USER PASSWORD PROJECT
federated_client.py k2k AUTH_URL USER PASSWORD PROJECT SERVICE_PROVIDER REMOTE_PROJECT
"""
import json
import sys

from keystoneauth1 import session
from keystoneauth1.extras import _saml2
from keystoneauth1.identity import v3

kind, auth_url, *rest = sys.argv[1:]
if kind == "saml":
    provider, protocol, provider_url, user, password, project = rest
    plugin = _saml2.V3Saml2Password(auth_url, provider, protocol, provider_url, user, password, project_name=project, project_domain_id="default")
else:
    user, password, project, other, project_there = rest
    home = v3.Password(auth_url, username=user, password=password, user_domain_id="default", project_name=project, project_domain_id="default")
    plugin = v3.Keystone2Keystone(home, other, project_name=project_there, project_domain_id="default")
access = plugin.get_access(session.Session())
print(json.dumps({"user": access.username, "user_domain": access.user_domain_name, "project": access.project_name, "roles": access.role_names, "token": access.auth_token}))
