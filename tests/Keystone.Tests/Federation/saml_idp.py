#!/usr/bin/python3
"""An independent SAML identity provider (pysaml2). Each line of its input is a question, its words apart by tabs; each line that it prints an answer in Base64.

FOLDER metadata [PORT]        the provider's metadata
FOLDER respond SP URL         the answer to the request in URL of the service provider whose metadata is the file SP

saml_idp.py FOLDER metadata PORT  prints the provider's metadata.
saml_idp.py FOLDER serve SP PORT  answers the requests that clients bring (ECP) to http://127.0.0.1:PORT/ecp, for bob with password bob-secret; prints a line when it does.

FOLDER holds idp.key and idp.crt. ENTITY_ID in the environment is what the provider calls itself (urn:test:idp).
"""
import base64
import http.server
import logging
import os
import sys
import urllib.parse

logging.disable(logging.CRITICAL)

from saml2 import BINDING_HTTP_REDIRECT, BINDING_PAOS, BINDING_SOAP, xmldsig  # noqa: E402
from saml2.config import IdPConfig  # noqa: E402
from saml2.metadata import entity_descriptor  # noqa: E402
from saml2.saml import NAME_FORMAT_BASIC, NAMEID_FORMAT_UNSPECIFIED, NameID  # noqa: E402
from saml2.server import Server  # noqa: E402


def settings(folder, port, *service_providers):
    return IdPConfig().load({
        "entityid": os.environ.get("ENTITY_ID", "urn:test:idp"),
        "service": {
            "idp": {
                "endpoints": {"single_sign_on_service": [("http://idp.test/sso", BINDING_HTTP_REDIRECT), (f"http://127.0.0.1:{port}/ecp", BINDING_SOAP)]},
                "policy": {"default": {"name_form": NAME_FORMAT_BASIC, "lifetime": {"minutes": 5}}},
                "name_id_format": [NAMEID_FORMAT_UNSPECIFIED],
            }
        },
        "key_file": os.path.join(folder, "idp.key"),
        "cert_file": os.path.join(folder, "idp.crt"),
        "xmlsec_binary": "/usr/bin/xmlsec1",
        **({"metadata": {"local": list(service_providers)}} if service_providers else {}),
    })


def respond(idp, request, bindings=None):
    return str(idp.create_authn_response(
        identity={"uid": ["bob"], "mail": ["bob@example.com"], "groups": ["developers", "unknown"]},
        userid="bob",
        name_id=NameID(format=NAMEID_FORMAT_UNSPECIFIED, text="bob"),
        authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_auth": "urn:test:idp"},
        sign_assertion=True,
        sign_response=False,
        sign_alg=xmldsig.SIG_RSA_SHA256,
        digest_alg=xmldsig.DIGEST_SHA256,
        **idp.response_args(request, bindings),
    ))


def answer(folder, command, *rest):
    if command == "metadata":
        return str(entity_descriptor(settings(folder, *(rest or ["0"]))))
    metadata, url = rest
    idp = Server(config=settings(folder, "0", metadata))
    query = urllib.parse.parse_qs(urllib.parse.urlparse(url).query)
    return respond(idp, idp.parse_authn_request(query["SAMLRequest"][0], BINDING_HTTP_REDIRECT).message)


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        envelope = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers["Authorization"] != "Basic " + base64.b64encode(b"bob:bob-secret").decode():
            self.send_error(401)
            return
        request = self.server.idp.parse_authn_request(envelope, BINDING_SOAP).message
        response = respond(self.server.idp, request, [BINDING_PAOS])
        if response.startswith("<?xml"):
            response = response[response.index("?>") + 2:]
        body = (
            '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header>'
            '<ecp:Response xmlns:ecp="urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp" S:mustUnderstand="1" S:actor="http://schemas.xmlsoap.org/soap/actor/next"'
            f' AssertionConsumerServiceURL="{request.assertion_consumer_service_url}"/></S:Header><S:Body>{response}</S:Body></S:Envelope>'
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if len(sys.argv) > 1:
    folder, command, *rest = sys.argv[1:]
    if command == "metadata":
        print(answer(folder, command, *rest))
        sys.exit()
    metadata, port = rest
    server = http.server.HTTPServer(("127.0.0.1", int(port)), Provider)
    server.idp = Server(config=settings(folder, port, metadata))
    print("ready", flush=True)
    server.serve_forever()
for line in sys.stdin:
    print(base64.b64encode(answer(*line.rstrip("\n").split("\t")).encode()).decode(), flush=True)
