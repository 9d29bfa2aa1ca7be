#!/usr/bin/python3
"""An independent SAML identity provider (pysaml2), one call at a time.

saml_idp.py FOLDER metadata               prints the provider's metadata
saml_idp.py FOLDER respond SP URL         prints the answer, in Base64, to the request in URL of the service provider whose metadata is the file SP

FOLDER holds idp.key and idp.crt.
"""
import logging
import os
import sys
import urllib.parse

logging.disable(logging.CRITICAL)

from saml2 import BINDING_HTTP_REDIRECT, xmldsig  # noqa: E402
from saml2.config import IdPConfig  # noqa: E402
from saml2.metadata import entity_descriptor  # noqa: E402
from saml2.saml import NAME_FORMAT_BASIC, NAMEID_FORMAT_UNSPECIFIED, NameID  # noqa: E402
from saml2.server import Server  # noqa: E402

folder, command = sys.argv[1:3]
settings = {
    "entityid": "urn:test:idp",
    "service": {
        "idp": {
            "endpoints": {"single_sign_on_service": [("http://idp.test/sso", BINDING_HTTP_REDIRECT)]},
            "policy": {"default": {"name_form": NAME_FORMAT_BASIC, "lifetime": {"minutes": 5}}},
            "name_id_format": [NAMEID_FORMAT_UNSPECIFIED],
        }
    },
    "key_file": os.path.join(folder, "idp.key"),
    "cert_file": os.path.join(folder, "idp.crt"),
    "xmlsec_binary": "/usr/bin/xmlsec1",
}
if command == "respond":
    settings["metadata"] = {"local": [sys.argv[3]]}
config = IdPConfig().load(settings)
if command == "metadata":
    print(entity_descriptor(config))
    sys.exit()
query = urllib.parse.parse_qs(urllib.parse.urlparse(sys.argv[4]).query)
idp = Server(config=config)
request = idp.parse_authn_request(query["SAMLRequest"][0], BINDING_HTTP_REDIRECT)
response = idp.create_authn_response(
    identity={"uid": ["bob"], "mail": ["bob@example.com"], "groups": ["developers", "unknown"]},
    userid="bob",
    name_id=NameID(format=NAMEID_FORMAT_UNSPECIFIED, text="bob"),
    authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_auth": "urn:test:idp"},
    sign_assertion=True,
    sign_response=False,
    sign_alg=xmldsig.SIG_RSA_SHA256,
    digest_alg=xmldsig.DIGEST_SHA256,
    **idp.response_args(request.message),
)
import base64  # noqa: E402

print(base64.b64encode(str(response).encode()).decode())
