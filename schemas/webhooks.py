"""Webhooks: systems that send what happens over HTTP. One server takes in all of them, each under a path of its own.

A configuration names secrets and never holds them: a variable of the environment, or a file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from schemas.receiver import ParsedReceiver, TranslatedReceiver
from schemas.settings_values import VARIABLE_PATTERN, Duration, SettingsTable

# Where the server tells of itself.
OWN_PATHS: Final = frozenset({"/healthz", "/readyz"})
_PATH: Final = r"^/[A-Za-z0-9._~/-]*$"
_SHORTEST: Final = timedelta(milliseconds=100)


class WebSettings(SettingsTable):
    """The server of all webhooks, and its limits."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address at which webhooks are taken in. It speaks HTTP: whoever listens to the internet needs a "
        "proxy that speaks TLS in front.",
        examples=["127.0.0.1"],
    )
    port: int = Field(
        default=8790, ge=0, le=65535, description="Port of it; 0 takes a free one and says which.", examples=[8790]
    )
    behind_proxy: bool = Field(
        default=False,
        description="Whether a proxy of yours stands in front: senders are then told apart by what it writes last into "
        "X-Forwarded-For.",
        examples=[True],
    )
    header_timeout: Duration = Field(
        default=timedelta(seconds=10),
        description="How long a connection may take to bring a whole header, and how long it may be idle.",
        examples=["10s"],
    )
    body_timeout: Duration = Field(
        default=timedelta(seconds=10), description="How long a request may take to bring its body.", examples=["10s"]
    )
    largest_body: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=64 * 1024 * 1024,
        description="What a request may bring at most. Unit: bytes.",
        examples=[1_048_576],
    )
    connections: int = Field(
        default=256, ge=1, le=10_000, description="Connections at once; further ones are turned away.", examples=[256]
    )
    connections_per_sender: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="Those of them from one address; not asked behind a proxy.",
        examples=[64],
    )
    requests_per_second: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="What one sender may ask, on average over two seconds; the others are told to come again.",
        examples=[100],
    )

    @field_validator("header_timeout", "body_timeout")
    @classmethod
    def _check_timeout(cls, value: timedelta) -> timedelta:
        if not _SHORTEST <= value <= timedelta(minutes=5):
            raise ValueError('a length of time up to five minutes, such as "10s"')
        return value


def variable_field(of_what: str, example: str) -> object:
    return Field(
        default=None,
        pattern=VARIABLE_PATTERN,
        description=f"Name of the environment variable that holds {of_what}; never that itself.",
        examples=[example],
    )


def file_field(of_what: str, example: str) -> object:
    """Return the field of a secret that stands in a file."""
    return Field(
        default=None,
        min_length=1,
        description=f"File with {of_what} alone, relative to the configuration.",
        examples=[example],
    )


def require_one(settings: SettingsTable, *names: str) -> None:
    """See that each of these secrets stands in one place.

    Raises:
        PydanticCustomError: when one has none, or two.
    """
    for name in names:
        given = [place for place in (f"{name}_env", f"{name}_file") if getattr(settings, place) is not None]
        if len(given) != 1:
            problem = f"expected one of {name}_env and {name}_file, found {'both' if given else 'neither'}"
            raise PydanticCustomError("inconsistent", "{problem}", {"problem": problem})


def whole_address(value: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """Return an address without a query.

    Raises:
        ValueError: when it is none.
    """
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_whole = False
    if not is_whole or any(mark in value for mark in "?#@ "):
        raise ValueError("a whole address without a query or password, such as 'https://hooks.acme.fi/twilio'")
    return value


_WebPath = Annotated[
    str,
    Field(
        pattern=_PATH,
        max_length=200,
        description="Where on the server it is sent to; letters, digits and -._~/ after a first slash.",
        examples=["/hooks/pbx"],
    ),
]


class Webhook(TranslatedReceiver):
    """What all webhooks share."""

    secrets: ClassVar[tuple[str, ...]] = ("secret",)
    path: _WebPath
    secret_env: str | None = variable_field("the secret", "HOOK_SECRET")  # type: ignore[assignment]
    secret_file: str | None = file_field("the secret", "hook.secret")  # type: ignore[assignment]

    @field_validator("path")
    @classmethod
    def _check_path(cls, value: str) -> str:
        if value in OWN_PATHS:
            raise ValueError(f"a path other than {' and '.join(sorted(OWN_PATHS))}, where the server tells of itself")
        return value

    @model_validator(mode="after")
    def _check_secrets(self) -> Webhook:
        require_one(self, *self.secrets)
        return self


class SignedWebhook(Webhook, ParsedReceiver):
    """`[[receiver]]` of kind webhook: any system that can sign what it sends, or show a token or password."""

    kind: Literal["webhook"] = Field(description="Takes in any format.", examples=["webhook"])
    authentication: Literal["signature", "bearer", "basic"] = Field(
        default="signature",
        description="signature: webhook-id, webhook-timestamp and webhook-signature as Standard Webhooks has them; "
        "bearer: the secret as a token; basic: user name and the secret as password.",
        examples=["bearer"],
    )
    username: str | None = Field(
        default=None, min_length=1, description="User name of basic authentication.", examples=["pbx"]
    )
    replay_window: Duration = Field(
        default=timedelta(minutes=5),
        description="How far the time of a signature may be from ours.",
        examples=["5min"],
    )

    @model_validator(mode="after")
    def _check_username(self) -> SignedWebhook:
        if (self.authentication == "basic") != (self.username is not None):
            problem = 'authentication = "basic" needs username, and no other does'
            raise PydanticCustomError("inconsistent", "{problem}", {"problem": problem})
        return self


class FreeswitchWebhook(Webhook):
    """`[[receiver]]` of kind freeswitch: a switch whose mod_json_cdr posts each call."""

    format: ClassVar[str] = "freeswitch_json"
    kind: Literal["freeswitch"] = Field(description="Takes in the calls of mod_json_cdr.", examples=["freeswitch"])
    username: str = Field(
        min_length=1, description="User name before the colon in `cred`; the secret is behind it.", examples=["cdr"]
    )


class TwilioWebhook(Webhook):
    """`[[receiver]]` of kind twilio: status callbacks of calls and messages, and messages that come in."""

    format: ClassVar[str] = "twilio"
    kind: Literal["twilio"] = Field(
        description="Takes in what Twilio tells of calls and messages; the secret is the account's auth token.",
        examples=["twilio"],
    )
    public_url: str = Field(
        description="The address as Twilio knows it, without a query: it is part of what Twilio signs. What stands "
        "behind a # in it (connection overrides) may be there or not.",
        examples=["https://hooks.acme.fi/twilio"],
    )

    @field_validator("public_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        address, _, _ = value.partition("#")
        whole_address(address)
        return value


class MetaWebhook(Webhook):
    """`[[receiver]]` of kind meta: messages of WhatsApp, Messenger and Instagram."""

    secrets: ClassVar[tuple[str, ...]] = ("secret", "verify_token")
    format: ClassVar[str] = "meta"
    kind: Literal["meta"] = Field(
        description="Takes in the webhooks of a Meta app; the secret is the app's.", examples=["meta"]
    )
    verify_token_env: str | None = variable_field(  # type: ignore[assignment]
        "the token that Meta shows when the webhook is set up", "META_VERIFY_TOKEN"
    )
    verify_token_file: str | None = file_field("that token", "meta.token")  # type: ignore[assignment]

    @model_validator(mode="after")
    def _check_mapping(self) -> MetaWebhook:
        if self.mapping:
            problem = "webhooks of Meta have nothing to map; leave out mapping"
            raise PydanticCustomError("inconsistent", "{problem}", {"problem": problem})
        return self
