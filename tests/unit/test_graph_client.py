"""Asking Microsoft Graph: what is believed of its answers, and what is said when it does not give any."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agents.receivers import graph_client
from agents.receivers.graph_client import GraphClient, GraphError


@dataclass
class Api:
    """Answers by path: a status and a body. What was asked, with the token that was shown."""

    port: int = 0
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.asked.append((self.path, self.headers["Authorization"]))
            status, told = api.answers.get(self.path, (404, {}))
            text = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            for name, value in {**api.headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Msal:
    """An application of msal that answers what it is told to, and counts."""

    answer: dict[str, Any] | Exception | None
    made_count = 0

    def __init__(self, client_id: str, **options: Any) -> None:
        type(self).made_count += 1
        assert (client_id, options["client_credential"]) == ("client", "secret words")
        assert options["authority"] == "https://login.example/tenant"

    def acquire_token_for_client(self, scopes: list[str]) -> dict[str, Any] | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def signed_in(monkeypatch: pytest.MonkeyPatch) -> type[Msal]:
    class Application(Msal):
        answer = {"access_token": "token"}  # noqa: RUF012 - told anew in each test

    monkeypatch.setattr("msal.ConfidentialClientApplication", Application)
    return Application


def ask(api: Api, address: str = "thing", listed: bool = False) -> Any:
    async def run() -> Any:
        client = GraphClient("https://login.example", api.url, "tenant", "client", "secret words")
        try:
            return await (client.listed(address) if listed else client.resource(address))
        finally:
            await client.close()

    return asyncio.run(run())


def problem(api: Api, address: str = "thing") -> GraphError:
    with pytest.raises(GraphError) as caught:
        ask(api, address)
    assert "secret words" not in str(caught.value)
    return caught.value


def test_what_stands_at_an_address_is_given_and_what_is_gone_is_none() -> None:
    with serving() as api:
        api.answers["/v1.0/thing"] = (200, {"id": 1})
        assert ask(api) == {"id": 1}
        assert ask(api, "/other") is None
        assert api.asked == [("/v1.0/thing", "Bearer token"), ("/v1.0/other", "Bearer token")]


def test_pages_are_followed_on_graph_alone_since_nobody_else_may_see_the_token() -> None:
    with serving() as api:
        first = {"sessions": [{"id": 1}], "sessions@odata.nextLink": f"{api.url}/v1.0/more"}
        api.answers |= {
            "/v1.0/thing": (200, first),
            "/v1.0/more": (
                200,
                {"value": [{"id": 2}, "none"], "@odata.nextLink": f"http://elsewhere.example:{api.port}/"},
            ),
            "/v1.0/list": (200, {"value": [{"id": 7}], "@odata.nextLink": f"{api.url}/v1.0/more"}),
        }
        assert ask(api)["sessions"] == [{"id": 1}, {"id": 2}]
        assert ask(api, "list", listed=True) == [{"id": 7}, {"id": 2}]
        assert {path for path, _ in api.asked} == {"/v1.0/thing", "/v1.0/more", "/v1.0/list"}


def test_pages_without_end_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_client, "_MOST_PAGES", 3)
    with serving() as api:
        api.answers["/v1.0/list"] = (200, {"value": [{"id": 7}], "@odata.nextLink": f"{api.url}/v1.0/list"})
        assert len(ask(api, "list", listed=True)) == 3


def test_an_answer_is_bounded_and_no_redirect_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_client, "_LARGEST_ANSWER", 1_000)
    with serving() as api:
        api.answers["/v1.0/thing"] = (200, {"id": "x" * 1_000})
        assert "more than 1,000 bytes" in str(problem(api))
        api.answers["/v1.0/thing"] = (302, {})
        api.headers["Location"] = f"{api.url}/v1.0/elsewhere"
        assert str(problem(api)) == "Graph answered 302"
        assert "/v1.0/elsewhere" not in {path for path, _ in api.asked}


@pytest.mark.parametrize(
    ("status", "told", "words"),
    [
        (403, {"error": {"code": "Forbidden", "message": "secret words"}}, "403 Forbidden; has the application the"),
        (429, {"error": {"code": "TooManyRequests"}}, "429 TooManyRequests"),
        (503, b"<html>secret words", "503"),
        (500, {"error": "secret words"}, "500"),
        (500, [], "500"),
    ],
)
def test_what_graph_refuses_is_said_without_its_words(status: int, told: Any, words: str) -> None:
    with serving() as api:
        api.answers["/v1.0/thing"] = (status, told)
        api.headers["Retry-After"] = "17"
        error = problem(api)
        assert str(error).startswith(f"Graph answered {words}")
        assert (error.status, error.retry_after) == (status, 17)
        api.headers["Retry-After"] = "Fri, 01 Jan 2027 00:00:00 GMT"
        assert problem(api).retry_after == 30


def test_graph_that_cannot_be_reached_is_told_of() -> None:
    assert "cannot be reached at http://127.0.0.1:1: " in str(problem(Api(port=1)))


def test_a_token_that_was_taken_back_is_asked_for_again_once(signed_in: type[Msal]) -> None:
    with serving() as api:
        api.answers["/v1.0/thing"] = (401, {"error": {"code": "InvalidAuthenticationToken"}})
        assert problem(api).status == 401
        assert (len(api.asked), signed_in.made_count) == (2, 2)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "invalid_client", "error_description": "secret words"}, "invalid_client; see tenant, client_id and"),
        ({}, "no answer"),
        (None, "no answer"),
        (ConnectionError("secret words"), "ConnectionError"),
        (ValueError("secret words"), "ValueError"),
    ],
)
def test_an_application_that_cannot_sign_in_is_told_of(
    answer: dict[str, Any] | Exception | None, words: str, signed_in: type[Msal]
) -> None:
    signed_in.answer = answer
    assert str(problem(Api(port=1))).startswith(f"cannot sign in at https://login.example/tenant: {words}")
