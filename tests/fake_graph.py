"""A Microsoft Graph on this machine: signing in, subscriptions with their handshake, call records and messages."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.certificates import make_certificates
from tests.webhooks import AALTO

TENANT, CLIENT, SECRET = "dc368399-474c-4d40-900c-6265431fd81f", "b2f7a3c0-5d0e-4f3e-9b7a-5f0e6d7c8b9a", "app~secret"
STATE = "state of the tests"


@dataclass
class FakeGraph:
    """What it knows and was asked. `failing` holds statuses that the next requests for addresses are answered."""

    port: int = 0
    ca: Path = Path()
    hook_port: int = 0
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    failing: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    token: str = "token-1"
    sign_in_count: int = 0
    made_count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        trust = {"SSL_CERT_FILE": str(self.ca), "REQUESTS_CA_BUNDLE": str(self.ca)}
        return {"GRAPH_SECRET": SECRET, "GRAPH_STATE": STATE, **trust}

    def answer(self, method: str, path: str, body: bytes, authorization: str) -> tuple[int, dict[str, Any]]:
        address = urllib.parse.urlsplit(path).path
        if address == f"/{TENANT}/v2.0/.well-known/openid-configuration":
            root = f"{self.url}/{TENANT}"
            return 200, {
                "issuer": f"{root}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
            }
        if address == f"/{TENANT}/oauth2/v2.0/token":
            return self._sign_in(dict(urllib.parse.parse_qsl(body.decode())))
        self.asked.append(f"{method} {address}")
        if self.failing.get(address):
            return self.failing[address].pop(0), {"error": {"code": "ordered", "message": "secret words"}}
        if authorization != f"Bearer {self.token}":
            return 401, {"error": {"code": "InvalidAuthenticationToken"}}
        if address.startswith("/v1.0/subscriptions"):
            return self._subscription(method, address.removeprefix("/v1.0/subscriptions").strip("/"), body)
        found = self.resources.get(urllib.parse.unquote(path).removeprefix("/v1.0/"))
        return (200, found) if found is not None else (404, {"error": {"code": "itemNotFound"}})

    def _sign_in(self, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.sign_in_count += 1
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client", "error_description": "secret words"}
        assert asked["scope"] == f"{self.url}/.default"
        return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": self.token}

    def _subscription(self, method: str, name: str, body: bytes) -> tuple[int, dict[str, Any]]:
        told = json.loads(body) if body else {}
        with self.lock:
            if method == "GET":
                return 200, {"value": [without_state(each) for each in self.subscriptions.values()]}
            if method == "POST":
                if not self._is_there(told["notificationUrl"]):
                    return 400, {"error": {"code": "ValidationError"}}
                self.made_count += 1
                name = f"subscription-{self.made_count}"
                self.subscriptions[name] = {"id": name, **told}
                return 201, without_state(self.subscriptions[name])
            if name not in self.subscriptions:
                return 404, {"error": {"code": "ResourceNotFound"}}
            if method == "DELETE":
                del self.subscriptions[name]
                return 204, {}
            self.subscriptions[name] |= told
            return 200, without_state(self.subscriptions[name])

    def _is_there(self, url: str) -> bool:
        """Return whether an address answers the handshake; where its proxy would pass it on."""
        token = "Validation: Testing client application reachability for subscription Request-Id: 7 & more"
        path = urllib.parse.urlsplit(url).path
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.hook_port}{path}?{urllib.parse.urlencode({'validationToken': token})}",
            data=b"",
            headers={"Content-Type": "text/plain; charset=utf-8"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(asked, timeout=10) as response:
                is_text = response.headers["Content-Type"].startswith("text/plain")
                return bool(response.status == 200 and is_text and response.read().decode() == token)
        except (OSError, http.client.HTTPException):
            return False


def without_state(subscription: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in subscription.items() if name != "clientState"}


def notice(resource: str, state: str = STATE, **fields: Any) -> dict[str, Any]:
    """Return a notification."""
    return {
        "subscriptionId": "subscription-1", "clientState": state, "changeType": "created", "resource": resource,
        "tenantId": TENANT, "resourceData": {"id": resource.rpartition("/")[2]}, **fields,
    }  # fmt: skip


def session(number: int) -> dict[str, Any]:
    """Return a session of a call record: a customer talked with one of ours, so many minutes after nine."""
    telephone = {"associatedIdentity": {"@odata.type": "#microsoft.graph.communicationsPhoneIdentity", "id": AALTO}}
    ours = {"associatedIdentity": {"displayName": "Aino Virta", "tenantId": TENANT, "id": "id-aino"}}
    return {
        "id": f"s{number}", "caller": telephone, "callee": ours, "startDateTime": f"2024-03-05T09:{number:02}:00Z",
        "endDateTime": f"2024-03-05T09:{number:02}:50Z", "segments": [{"media": ["secret words"]}],
    }  # fmt: skip


def receiver(graph: FakeGraph, path: str, source: str, format: str) -> str:
    """Return the configuration of a receiver that asks this Graph."""
    return (
        f'[[receiver]]\nkind = "graph"\nsource = "{source}"\npath = "{path}"\nformat = "{format}"\n'
        f'tenant = "{TENANT}"\nclient_id = "{CLIENT}"\nsecret_env = "GRAPH_SECRET"\nclient_state_env = "GRAPH_STATE"\n'
        f'sign_in_url = "{graph.url}"\ngraph_url = "{graph.url}"\npublic_url = "https://hooks.acme.example{path}"\n'
    )


@contextmanager
def fake_graph(folder: Path, hook_port: int) -> Iterator[FakeGraph]:
    """Give a running one, which speaks TLS."""
    certificates = make_certificates(folder)
    graph = FakeGraph(ca=certificates.ca, hook_port=hook_port)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, told = graph.answer(self.command, self.path, body, self.headers.get("Authorization", ""))
            text = json.dumps(told).encode() if status != 204 else b""
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            if status >= 429:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.keystore)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    graph.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield graph
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
