"""Who may look: `[access]` of `bypassflow.toml`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from schemas.settings_values import VARIABLE_PATTERN, Duration, SettingsTable

# read: figures. customer: who a customer is, and what was done with them. representative: figures of one
# representative. export: tables to take away. admin: measures and labels are added.
Scope = Literal["read", "customer", "representative", "export", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

PerMinute = Annotated[int, Field(ge=1, le=1_000_000)]
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def is_safe_url(url: str) -> bool:
    """Return whether an address is one of HTTPS, or of this machine itself, and no more than an address.

    >>> is_safe_url("https://sign-in.example/acme"), is_safe_url("http://sign-in.example")
    (True, False)
    """
    parts = urlsplit(url)
    if parts.username or parts.query or parts.fragment or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


class OpenIdSettings(SettingsTable):
    """`[access.openid]`: the provider at which people sign in."""

    issuer: str = Field(
        description="The provider's address; /.well-known/openid-configuration behind it describes it.",
        examples=["https://sign-in.example/acme"],
    )
    client_id: str = Field(
        min_length=1, description="Name under which the provider knows bypassflow.", examples=["bypassflow"]
    )
    client_secret_env: str = Field(
        pattern=VARIABLE_PATTERN,
        description="Name of the environment variable that holds the secret of the client; never the secret itself.",
        examples=["BYPASSFLOW_CLIENT_SECRET"],
    )
    scope: str = Field(
        default="openid email", min_length=1, description="What is asked of the provider.", examples=["openid groups"]
    )
    claim: str = Field(
        default="groups",
        min_length=1,
        description="Claim of the provider that holds a person's groups or roles.",
        examples=["roles"],
    )
    name_claim: str = Field(
        default="sub",
        min_length=1,
        description="Claim by which a person is named in the trail of access.",
        examples=["preferred_username"],
    )
    scopes: dict[str, tuple[Scope, ...]] = Field(
        description="Value of the claim = the scopes that it gives. Whoever has none of them is refused.",
        examples=[{"analysts": ["read", "customer", "export"]}],
    )
    teams: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Value of the claim = the teams that it restricts to. Whoever has several of these values sees "
        "the teams of all; whoever has none sees every team.",
        examples=[{"sales-leads": ["Sales"]}],
    )

    @field_validator("issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        if not is_safe_url(value):
            raise ValueError("an address that begins with https:// (http:// only of this machine itself)")
        return value.rstrip("/")

    @field_validator("scope")
    @classmethod
    def _check_scope(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError('words with openid among them, such as "openid email"')
        return value


class AccessSettings(SettingsTable):
    """`[access]`: who may look at the pages and ask the API."""

    sign_in: Literal["none", "token", "openid"] = Field(
        default="none",
        description="none: whoever reaches the address, which then must be this machine's own; token: tokens of "
        "`bypassflow access create`; openid: these, and people who sign in at [access.openid].",
        examples=["token"],
    )
    public_url: str | None = Field(
        default=None,
        description="Address under which browsers reach the pages, when a proxy stands before them.",
        examples=["https://bypassflow.acme.example"],
    )
    tokens_file: str = Field(
        default="bypassflow.access.json",
        min_length=1,
        description="File of the tokens, hashed, relative to the configuration.",
        examples=["bypassflow.access.json"],
    )
    key_file: str = Field(
        default="bypassflow.session.key",
        min_length=1,
        description="File of the key that signs sessions, relative to the configuration; made when there is none. "
        "Remove it, and everybody has to sign in anew.",
        examples=["bypassflow.session.key"],
    )
    session: Duration = Field(
        default=timedelta(hours=8), description="How long a person stays signed in.", examples=["8h"]
    )
    requests_per_minute: PerMinute = Field(
        default=600, description="So many requests of one token or person a minute; more are refused.", examples=[600]
    )
    tries_per_minute: PerMinute = Field(
        default=10,
        description="So many tokens that are none, from one address a minute; then it has to wait.",
        examples=[10],
    )
    openid: OpenIdSettings | None = Field(
        default=None,
        description="The provider at which people sign in.",
        examples=[{"issuer": "https://sign-in.example/acme", "client_id": "bypassflow"}],
    )

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not is_safe_url(value) or urlsplit(value).path.strip("/"):
            raise ValueError("an address without a path that begins with https:// (http:// only of this machine)")
        return value.rstrip("/")

    @field_validator("session")
    @classmethod
    def _check_session(cls, value: timedelta) -> timedelta:
        if not timedelta(minutes=1) <= value <= timedelta(days=30):
            raise ValueError("a length of time from one minute to 30 days")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sign_in == "openid" and self.openid is None:
            raise PydanticCustomError("inconsistent", "sign_in is openid, so [access.openid] must name the provider")
        return self


NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
