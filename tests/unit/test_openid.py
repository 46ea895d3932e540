"""Sign-in with OpenID Connect, against a provider of the tests' own with real keys and tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from joserfc.jwk import RSAKey

from dashboard.access.openid import visitor_with
from pipeline.errors import ConfigurationError
from schemas.access import OpenIdSettings, Scope
from tests.openid_provider import CLIENT, SECRET, Provider, provider
from tests.served import Guarded

SCOPES: dict[str, tuple[Scope, ...]] = {"analysts": ("read", "customer"), "chiefs": ("admin",), "nobodies": ()}
TEAMS: dict[str, tuple[str, ...]] = {"sales-leads": ("Sales",), "service-leads": ("Service",)}


@pytest.fixture
def told() -> Iterator[Provider]:
    with provider() as running:
        yield running


def guarded(acme: Path, folder: Path, told: Provider, **more: Any) -> Guarded:
    openid = {
        "issuer": told.issuer, "client_id": CLIENT, "client_secret_env": "CLIENT_SECRET", "scopes": SCOPES,
        "teams": TEAMS,
    }  # fmt: skip
    return Guarded(acme, folder, {"CLIENT_SECRET": SECRET}, sign_in="openid", openid=openid, **more)


@pytest.fixture
def client(acme: Path, tmp_path: Path, told: Provider) -> Iterator[TestClient]:
    with guarded(acme, tmp_path, told).served() as asked:
        yield asked


def leave(client: TestClient) -> str:
    """Begin to sign in; return where the browser is sent."""
    away = client.get("/sign-in/openid")
    assert away.status_code in (302, 303), away.text
    return str(away.headers["location"])


def test_a_person_signs_in_at_the_provider_and_comes_to_where_they_wanted(told: Provider, client: TestClient) -> None:
    assert client.get("/customers/A2").headers["location"] == "/sign-in"
    assert "/sign-in/openid" in client.get("/sign-in").text
    back = told.sign_in(leave(client))
    assert back.startswith("http://localhost/sign-in/callback?")
    done = client.get(back)
    assert (done.status_code, done.headers["location"]) == (303, "/customers/A2"), done.text
    assert told.is_verified
    assert client.get("/customers/A2").status_code == 200
    assert client.get("/explore.csv").status_code == 403


def test_the_provider_is_asked_with_state_nonce_and_challenge_and_no_secret(told: Provider, client: TestClient) -> None:
    there = leave(client)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
    assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", CLIENT, "openid email")
    assert asked["code_challenge_method"] == "S256"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 20
    assert SECRET not in there
    again = parse_qs(urlsplit(leave(client)).query)
    assert all(again[name][0] != asked[name] for name in ("state", "nonce", "code_challenge"))


def test_behind_a_proxy_the_provider_sends_people_to_the_public_address(
    acme: Path, tmp_path: Path, told: Provider
) -> None:
    server = guarded(acme, tmp_path, told, public_url="https://bypassflow.acme.example")
    with server.served("bypassflow.acme.example") as client:
        asked = parse_qs(urlsplit(leave(client)).query)
    assert asked["redirect_uri"] == ["https://bypassflow.acme.example/sign-in/callback"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "another"}, {"aud": "another"}, {"iss": "http://127.0.0.1:1"}, {"exp": int(time.time()) - 1_000},
        {"nonce": None}, {"sub": None}, {"groups": ["strangers"]}, {"groups": []}, {"groups": ["nobodies"]},
        {"groups": {"analysts": True}}, {"groups": [["analysts"]]},
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_this_sign_in_or_opens_nothing_is_refused(
    told: Provider, client: TestClient, wrong: dict[str, Any]
) -> None:
    told.wrong = wrong
    refused = client.get(told.sign_in(leave(client)))
    assert refused.status_code == 403
    assert "bypassflow_session" not in client.cookies
    assert client.get("/explore").status_code == 303


def test_a_token_signed_with_another_key_is_refused(told: Provider, client: TestClient) -> None:
    told.signs_with = RSAKey.generate_key(2048, {"kid": "one"})
    assert client.get(told.sign_in(leave(client))).status_code == 403


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(told: Provider, client: TestClient) -> None:
    back = told.sign_in(leave(client))
    assert client.get(back.replace("state=", "state=x")).status_code == 403
    client.cookies.clear()
    assert client.get(back).status_code == 403
    assert client.get("/sign-in/callback").status_code == 403
    assert client.get("/sign-in/callback?error=access_denied&error_description=A+name").status_code == 403


def test_an_answer_counts_once(told: Provider, client: TestClient) -> None:
    back = told.sign_in(leave(client))
    assert client.get(back).status_code == 303
    client.post("/sign-out")
    assert client.get(back).status_code == 403


def test_a_description_of_another_provider_is_refused(told: Provider, client: TestClient) -> None:
    told.described_issuer = "https://evil.example"
    assert client.get("/sign-in/openid").status_code == 503


def test_a_provider_that_is_away_is_told_and_tokens_still_open(acme: Path, tmp_path: Path) -> None:
    with provider() as gone:
        server = guarded(acme, tmp_path, gone)
        headers = server.token("anna", "read")
    with server.served() as client:
        told = client.get("/sign-in/openid")
        assert told.status_code == 503
        assert gone.issuer not in told.text
        assert client.get("/v1/bypass-share", headers=headers).status_code == 200


def test_a_missing_secret_of_the_client_is_told_at_the_start(acme: Path, tmp_path: Path, told: Provider) -> None:
    server = guarded(acme, tmp_path, told)
    server._environment = {}
    with pytest.raises(ConfigurationError, match="CLIENT_SECRET is empty or not set"), server.served():
        pass


def test_claims_become_scopes_and_teams() -> None:
    settings = OpenIdSettings(
        issuer="https://sign-in.example", client_id="b", client_secret_env="S", scopes=SCOPES, teams=TEAMS
    )
    every = visitor_with({"sub": "anna", "groups": ["analysts", "chiefs", "others"]}, settings)
    assert (every.name, sorted(every.scopes), every.teams) == ("openid:anna", ["admin", "customer", "read"], None)
    lead = visitor_with({"sub": "b", "groups": ["analysts", "sales-leads", "service-leads"]}, settings)
    assert lead.teams == ("Sales", "Service")
    assert visitor_with({"sub": "c", "groups": "analysts"}, settings).scopes == {"read", "customer"}
