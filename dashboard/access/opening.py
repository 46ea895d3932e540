"""Control of access as it is configured: what a server is given when it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI

from dashboard.access.gate import Gate
from dashboard.access.openid import Provider
from dashboard.access.rates import Rates
from dashboard.access.sessions import Sessions
from dashboard.access.signing import SigningIn
from dashboard.access.tokens import Tokens
from dashboard.access.trail import Trail
from dashboard.pages.rendering import Pages
from pipeline.errors import ConfigurationError
from schemas.access import AccessSettings
from sinks.keyfile import load_or_create_key

_REMEDY: Final = (
    'write sign_in = "token" under [access] in bypassflow.toml and make a token with `bypassflow access create`'
)


@dataclass(frozen=True)
class Access:
    """Access to one server."""

    signing_in: SigningIn
    sessions: Sessions
    tokens: Tokens
    rates: Rates
    trail: Trail
    public_url: str | None

    @property
    def names(self) -> frozenset[str]:
        """Return the names beside this machine's own under which browsers reach it."""
        return frozenset() if self.public_url is None else frozenset({urlsplit(self.public_url).netloc.lower()})

    def add(self, app: FastAPI, pages: Pages) -> None:
        """Put the gate before an application that has all its routes."""
        self.signing_in.add(app, pages)
        app.add_middleware(
            Gate,
            routes=app.routes,
            tokens=self.tokens,
            sessions=self.sessions,
            rates=self.rates,
            trail=self.trail,
            refuse=pages.refusal,
            now=self.signing_in.now,
        )


def open_access(
    settings: AccessSettings,
    base: Path,
    trail: Path,
    *,
    is_local: bool,
    environment: Mapping[str, str],
    random_bytes: Callable[[int], bytes],
    now: Callable[[], datetime],
    tell: Callable[[str], None],
) -> Access | None:
    """Return the control of access that is configured; None where whoever reaches the address may see everything.

    `base` is the folder of the configuration, `is_local` whether only this machine reaches the address. `tell` says
    what an administrator should know.

    Raises:
        ConfigurationError: when others reach the address and nobody has to sign in, when a file of keys or tokens may
            be read by others, or the secret of the client is missing.
    """
    if settings.sign_in == "none":
        if not is_local:
            raise ConfigurationError(
                "whoever reaches this address would see everything: other machines do, and nobody has to sign in; "
                f"listen on 127.0.0.1, or {_REMEDY}"
            )
        return None
    tokens = Tokens(base / settings.tokens_file)
    if not tokens.all() and settings.sign_in == "token":
        tell(
            f"nobody can sign in yet: there is no token in {base / settings.tokens_file}; `bypassflow access create` "
            "makes one, also while this runs"
        )
    key, _ = load_or_create_key(base / settings.key_file, random_bytes)
    secure = (settings.public_url or "").startswith("https://")
    sessions = Sessions(key, settings.session, tokens, lambda count: random_bytes(count).hex(), secure=secure)
    rates = Rates(settings)
    provider = None
    if settings.sign_in == "openid" and settings.openid is not None:
        secret = environment.get(settings.openid.client_secret_env, "")
        if not secret:
            raise ConfigurationError(
                f"the environment variable {settings.openid.client_secret_env} is empty or not set; "
                "[access.openid].client_secret_env says that it holds the secret of the client"
            )
        provider = Provider(settings.openid, secret)
    signing_in = SigningIn(tokens, sessions, rates, provider, settings.public_url, now)
    return Access(signing_in, sessions, tokens, rates, Trail(trail, key), settings.public_url)
