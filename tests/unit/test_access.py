"""Secrets come from files and the environment, are read when they are needed, and are never shown."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials

from agents.access import faust_options, read_secrets
from pipeline.errors import ConfigurationError, TransientError
from schemas.kafka import NO_SECRETS, KafkaSettings, Secrets

SCRAM = {"security_protocol": "sasl_plaintext", "sasl_mechanism": "SCRAM-SHA-512", "username": "acme"}
OAUTH = {"security_protocol": "sasl_plaintext", "sasl_mechanism": "OAUTHBEARER", "token_file": "token"}


def settings(folder: Path, **values: Any) -> KafkaSettings:
    return KafkaSettings.model_validate(values).beside(str(folder))


def test_an_open_broker_needs_no_secrets(tmp_path: Path) -> None:
    assert read_secrets(settings(tmp_path), {}) == NO_SECRETS
    assert faust_options(settings(tmp_path, bootstrap="a:1,b:2")) == {
        "broker": ["kafka://a:1", "kafka://b:2"],
        "broker_credentials": None,
    }


def test_a_password_is_read_from_its_file_or_its_variable(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" pike and perch\n", encoding="utf-8")
    assert read_secrets(settings(tmp_path, **SCRAM, password_file="password"), {}) == Secrets("pike and perch")
    by_name = settings(tmp_path, **SCRAM, password_env="ACME")
    assert read_secrets(by_name, {"ACME": "pike"}) == Secrets("pike")
    credentials = faust_options(by_name, Secrets("pike"))["broker_credentials"]
    assert isinstance(credentials, SASLCredentials)
    assert (credentials.username, credentials.password, credentials.mechanism.value) == (
        "acme",
        "pike",
        "SCRAM-SHA-512",
    )
    assert "pike" not in repr(credentials)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({**SCRAM, "password_file": "absent"}, "kafka.password_file: .*absent cannot be read: no such file"),
        ({**SCRAM, "password_file": "empty"}, "kafka.password_file: .*empty is empty"),
        ({**SCRAM, "password_file": "binary"}, "kafka.password_file: .*binary is no UTF-8 text"),
        ({**SCRAM, "password_env": "ACME"}, "the environment has no ACME; set it to the password of acme"),
        ({**OAUTH, "token_file": "empty"}, "kafka.token_file: .*empty is empty"),
        ({"security_protocol": "ssl", "ca_file": "absent"}, "kafka.ca_file: .*absent cannot be read"),
    ],
)
def test_a_secret_that_cannot_be_read_stops_the_start(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    (tmp_path / "empty").write_text(" \n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=words):
        read_secrets(settings(tmp_path, **values), {})


def test_a_token_is_read_anew_at_every_connection(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first", encoding="utf-8")
    secrets = read_secrets(settings(tmp_path, **OAUTH), {})
    credentials = faust_options(settings(tmp_path, **OAUTH), secrets)["broker_credentials"]
    assert isinstance(credentials, OAuthCredentials)
    assert asyncio.run(credentials.oauth_cb.token()) == "first"
    (tmp_path / "token").write_text("second", encoding="utf-8")
    assert asyncio.run(credentials.oauth_cb.token()) == "second"
    assert secrets.token_provider.token() == "second"
    (tmp_path / "token").unlink()
    with pytest.raises(TransientError, match=r"kafka\.token_file"):
        secrets.token_provider.token()


def test_what_is_no_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing", encoding="utf-8")
    ssl = settings(tmp_path, security_protocol="ssl", ca_file="ca.pem")
    with pytest.raises(ConfigurationError, match="expected PEM files"):
        faust_options(ssl)
    assert isinstance(faust_options(settings(tmp_path, security_protocol="ssl"))["broker_credentials"], SSLCredentials)
