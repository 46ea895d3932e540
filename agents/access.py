"""Signing in to the broker: secrets from files and the environment, and what Faust is told of them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigurationError, TransientError
from schemas.kafka import NO_SECRETS, KafkaSettings, Secrets


def read_secrets(settings: KafkaSettings, environment: Mapping[str, str]) -> Secrets:
    """Return the secrets that the settings name; names of files are whole, see `KafkaSettings.beside`.

    Raises:
        ConfigurationError: when a file cannot be read, or a variable is not set. A secret is never shown.
    """
    for name in ("ca_file", "certificate_file", "key_file"):
        if (path := getattr(settings, name)) is not None:
            _read_text(name, path)
    if settings.password_file is not None:
        return Secrets(password=_read_secret("password_file", settings.password_file))
    if settings.password_env is not None:
        password = environment.get(settings.password_env)
        if not password:
            raise ConfigurationError(
                f"kafka.password_env: the environment has no {settings.password_env}; set it to the password of "
                f"{settings.username}, or name a file in password_file"
            )
        return Secrets(password=password)
    if settings.token_file is not None:
        _read_secret("token_file", settings.token_file)
        return Secrets(token_provider=_token_provider(settings.token_file))
    return NO_SECRETS


def faust_options(settings: KafkaSettings, secrets: Secrets = NO_SECRETS) -> dict[str, Any]:
    """Return the arguments with which a Faust app reaches the broker: `broker` and `broker_credentials`.

    Raises:
        ConfigurationError: when a certificate cannot be used.
    """
    return {
        "broker": [f"kafka://{address}" for address in settings.bootstrap],
        "broker_credentials": _credentials(settings, secrets),
    }


def aiokafka_options(settings: KafkaSettings, secrets: Secrets = NO_SECRETS) -> dict[str, Any]:
    """Return the arguments with which aiokafka's own clients sign in, as Faust's do. Addresses are the caller's.

    Raises:
        ConfigurationError: when a certificate cannot be used.
    """
    if settings.security_protocol == "plaintext":
        # Faust takes two seconds to load, and has nothing to add here.
        return {"security_protocol": "PLAINTEXT"}
    from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

    return dict(credentials_to_aiokafka_auth(_credentials(settings, secrets)))


def _credentials(settings: KafkaSettings, secrets: Secrets) -> Any:
    from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials

    context = _ssl_context(settings) if settings.security_protocol.endswith("ssl") else None
    if settings.security_protocol == "ssl":
        return SSLCredentials(context)
    if settings.sasl_mechanism == "OAUTHBEARER":
        return OAuthCredentials(oauth_cb=_asynchronous(secrets.token_provider), ssl_context=context)
    if settings.sasl_mechanism is not None:
        return SASLCredentials(
            username=settings.username,
            password=secrets.password,
            ssl_context=context,
            mechanism=settings.sasl_mechanism,
        )
    return None


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.check_hostname = settings.check_hostname
        if settings.certificate_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(
            f"kafka: ca_file, certificate_file or key_file cannot be used ({error.strerror or type(error).__name__}); "
            "expected PEM files, and a key without a passphrase that belongs to the certificate"
        ) from None
    return context


def _token_provider(path: str) -> Any:
    from kafka.net.sasl.oauth import AbstractTokenProvider

    class FileTokenProvider(AbstractTokenProvider):  # type: ignore[misc]
        """Reads the file at every connection: somebody else renews it."""

        def token(self) -> str:
            try:
                return _read_secret("token_file", path)
            except ConfigurationError as error:
                # It was there at the start: whoever renews it is between two steps.
                raise TransientError(str(error)) from None

    return FileTokenProvider()


def _asynchronous(provider: Any) -> Any:
    """Return aiokafka's token provider that asks kafka-python's."""
    from aiokafka.abc import AbstractTokenProvider

    class ThreadedTokenProvider(AbstractTokenProvider):  # type: ignore[misc]
        async def token(self) -> str:
            return str(await asyncio.to_thread(provider.token))

    return ThreadedTokenProvider()


def _read_secret(name: str, path: str) -> str:
    text = _read_text(name, path).strip()
    if not text:
        raise ConfigurationError(f"kafka.{name}: {path} is empty")
    return text


def _read_text(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"kafka.{name}: {path} is no UTF-8 text") from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigurationError(f"kafka.{name}: {path} cannot be read: {reason}") from None
