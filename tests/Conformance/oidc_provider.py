"""An OpenID Connect provider that says who it is, publishes its key and has given bob an access token: what bearer tokens need.

oidc_provider.py FOLDER ISSUER CLIENT     serves ISSUER (https on port 443 of 127.0.0.1) with FOLDER/tls.crt and tls.key; writes FOLDER/access-token, then prints a line
"""
import http.server
import json
import ssl
import sys
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

folder, issuer, client = sys.argv[1:]
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
pages = {
    "/.well-known/openid-configuration": {
        "issuer": issuer,
        "jwks_uri": issuer + "keys",
        "authorization_endpoint": issuer + "authorize",
        "token_endpoint": issuer + "token",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    },
    "/keys": {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]},
}
now = int(time.time())
claims = {
    "iss": issuer, "sub": "1", "aud": client, "iat": now, "exp": now + 600,
    "preferred_username": "bob", "email": "bob@acme.example", "groups": ["developers", "designers"],
}
with open(folder + "/access-token", "w") as file:
    file.write(jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"}))


class Provider(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = pages.get(self.path)
        body = json.dumps(page).encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 443), Provider)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/tls.crt", folder + "/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
