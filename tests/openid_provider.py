"""A provider of OpenID Connect on this machine, with keys of its own, that says what a test wants it to."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "bypassflow"
SECRET = "a secret of the client"


class Provider:
    """What the provider says, and what it was asked."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.issuer = ""
        # What is said of whoever signs in, and what a test has wrong.
        self.claims: dict[str, Any] = {"sub": "anna", "groups": ["analysts"]}
        self.wrong: dict[str, Any] = {}
        self.signs_with: RSAKey | None = None
        self.described_issuer: str | None = None
        self.asked: dict[str, str] = {}
        self.is_verified = False
        self.token_status = 200

    def description(self) -> dict[str, Any]:
        """Return what it says of itself."""
        issuer = self.described_issuer or self.issuer
        return {
            "issuer": issuer, "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
        }  # fmt: skip

    def sign_in(self, address: str) -> str:
        """Do what a person does who was sent to this address; return where the provider sends their browser."""
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        answer = urlencode({"code": "a code", "state": self.asked["state"]})
        return f"{self.asked['redirect_uri']}?{answer}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Return what it gives for a code: to the right client, with the verifier of the challenge."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        shown = base64.b64decode(authorization.partition(" ")[2]).decode()
        is_client = [unquote_plus(part) for part in shown.split(":")] == [CLIENT, SECRET]
        self.is_verified = challenge.decode() == self.asked["code_challenge"] and is_client
        if not self.is_verified or self.token_status != 200:
            return max(400, self.token_status), {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": self.asked["nonce"],
        } | self.claims | self.wrong  # fmt: skip
        id_token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.signs_with or self.key)
        return 200, {"access_token": "x", "token_type": "Bearer", "expires_in": 300, "id_token": id_token}


@contextmanager
def provider() -> Iterator[Provider]:
    """Run a provider on a free port."""
    told = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/.well-known/openid-configuration":
                self._send(200, told.description())
            elif self.path == "/keys":
                self._send(200, {"keys": [told.key.as_dict(private=False)]})
            else:
                self._send(404, {})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(text).items()}
            self._send(*told.token(form, self.headers.get("Authorization", "")))

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
