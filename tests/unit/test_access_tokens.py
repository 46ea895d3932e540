"""Tokens: what is kept of them, and who may read it."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from dashboard.access.tokens import Tokens
from pipeline.errors import ConfigurationError
from schemas.settings import SettingsError, parse_configuration
from tests.integration.companies import bypassflow

NOW = datetime(2024, 6, 1, 12)


def some_bytes(count: int) -> bytes:
    return bytes(range(count))


def make_token(kept: Path, name: str) -> str:
    """Make a token in a process of its own."""
    return Tokens(kept).create(name, ["read"], now=NOW, random_bytes=os.urandom)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "bypassflow.access.json"


def test_a_token_is_kept_as_a_digest_that_its_owner_alone_may_read(kept: Path) -> None:
    secret = Tokens(kept).create("grafana", ["read"], teams=["Sales"], now=NOW, random_bytes=some_bytes)
    assert secret == f"bypassflow_{bytes(range(32)).hex()}"
    assert secret.removeprefix("bypassflow_") not in kept.read_text(encoding="utf-8")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    found = Tokens(kept).matching(secret)
    assert found is not None
    assert (found.name, found.scopes, found.teams) == ("grafana", ("read",), ("Sales",))


def test_of_tokens_that_many_make_at_once_none_is_lost(kept: Path) -> None:
    names = [f"person-{number}" for number in range(24)]

    with ProcessPoolExecutor(4, get_context("spawn")) as processes, ThreadPoolExecutor(8) as threads:
        made = [processes.submit(make_token, kept, f"program-{number}") for number in range(24)]
        secrets = [*threads.map(partial(make_token, kept), names), *(each.result() for each in made)]

    assert [found.name for secret in secrets if (found := Tokens(kept).matching(secret))] == [
        *names,
        *(f"program-{number}" for number in range(24)),
    ]


def test_another_secret_is_none_of_them(kept: Path) -> None:
    tokens = Tokens(kept)
    secret = tokens.create("grafana", ["read"], now=NOW, random_bytes=some_bytes)
    assert [tokens.matching(each) for each in ("", secret[:-1], secret + "0", "bypassflow_é")] == [None] * 4


def test_a_token_expires_after_its_days(kept: Path) -> None:
    tokens = Tokens(kept)
    secret = tokens.create("guest", ["read"], days=2, now=NOW, random_bytes=some_bytes)
    found = tokens.matching(secret)
    assert found is not None
    assert [found.is_over(NOW + timedelta(days=days)) for days in (1, 2)] == [False, True]


def test_a_revoked_token_is_gone_for_who_reads_the_file_already(kept: Path) -> None:
    reading = Tokens(kept)
    secret = Tokens(kept).create("grafana", ["read"], now=NOW, random_bytes=some_bytes)
    assert reading.matching(secret) is not None
    Tokens(kept).revoke("grafana")
    assert reading.matching(secret) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_tokens_that_others_may_read_are_refused_with_the_remedy(kept: Path, mode: int) -> None:
    Tokens(kept).create("grafana", ["read"], now=NOW, random_bytes=some_bytes)
    kept.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"mode {mode:04o}.*chmod 600"):
        Tokens(kept).all()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"form": 2, "tokens": []}', '{"form": 1, "tokens": [{}]}'])
def test_a_damaged_file_is_refused_and_not_replaced(kept: Path, text: str) -> None:
    kept.write_text(text, encoding="utf-8")
    kept.chmod(0o600)
    with pytest.raises(ConfigurationError, match="holds no tokens"):
        Tokens(kept).create("grafana", ["read"], now=NOW, random_bytes=some_bytes)
    assert kept.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("name", "scopes", "days", "said"),
    [
        ("Grafana 1", ["read"], None, "no name of a token"),
        ("../x", ["read"], None, "no name of a token"),
        ("grafana", ["write"], None, "unknown scope 'write'"),
        ("grafana", [], None, "no scope"),
        ("grafana", ["read"], 0, "for 0 days"),
        ("taken", ["read"], None, "there is a token 'taken' already"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    kept: Path, name: str, scopes: list[str], days: int | None, said: str
) -> None:
    tokens = Tokens(kept)
    tokens.create("taken", ["read"], now=NOW, random_bytes=some_bytes)
    with pytest.raises(ConfigurationError, match=said):
        tokens.create(name, scopes, days=days, now=NOW, random_bytes=some_bytes)
    assert [each.name for each in tokens.all()] == ["taken"]


# The commands


def test_a_secret_is_shown_once_and_the_list_does_not_have_it(tmp_path: Path) -> None:
    config = tmp_path / "bypassflow.toml"
    config.write_text('[access]\nsign_in = "token"\n', encoding="utf-8")
    made = bypassflow("access", "create", "grafana", "--scope", "read", "--team", "Sales", "--config", config)
    assert made.exit_code == 0, made.error
    secret = made.out.strip()
    assert secret.startswith("bypassflow_")
    listed = bypassflow("access", "list", "--config", config, "--format", "json")
    assert secret not in listed.written
    (row,) = json.loads(listed.out)
    assert (row["name"], row["scopes"], row["teams"], row["is_expired"]) == ("grafana", ["read"], ["Sales"], False)
    assert "grafana" in bypassflow("access", "list", "--config", config).out
    assert bypassflow("access", "revoke", "grafana", "--config", config).exit_code == 0
    assert json.loads(bypassflow("access", "list", "--config", config, "--format", "json").out) == []
    assert "no token 'grafana'" in bypassflow("access", "revoke", "grafana", "--config", config).error


# The settings


OPENID = '[access]\nsign_in = "openid"\n[access.openid]\nissuer = "{issuer}"\nclient_id = "b"\n{secret}\n{more}\n'
SECRET = 'client_secret_env = "SECRET"'
SCOPES = 'scopes = { a = ["read"] }'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[access]\nsign_in = "maybe"\n', "access.sign_in"),
        ('[access]\nsign_in = "openid"\n', "must name the provider"),
        ("[access]\nrequests_per_minute = 0\n", "requests_per_minute"),
        ('[access]\nsession = "1s"\n', "one minute to 30 days"),
        ('[access]\npublic_url = "http://bypassflow.example"\n', "https://"),
        ('[access]\npublic_url = "https://bypassflow.example/path"\n', "without a path"),
        (OPENID.format(issuer="http://sign-in.example", secret=SECRET, more=SCOPES), "https://"),
        (OPENID.format(issuer="https://a@sign-in.example", secret=SECRET, more=SCOPES), "https://"),
        (OPENID.format(issuer="https://s.example", secret=SECRET, more='scopes = { a = ["write"] }'), "scopes"),
        (OPENID.format(issuer="https://s.example", secret='client_secret = "x"', more=SCOPES), "client_secret"),
    ],
)
def test_a_setting_that_would_not_be_safe_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse_configuration(text, "bypassflow.toml")


def test_without_the_table_nobody_has_to_sign_in() -> None:
    assert parse_configuration("", "bypassflow.toml").access.sign_in == "none"
