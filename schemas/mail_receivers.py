"""Receivers of mail: copies that a mail server sends, and mailboxes that are looked into."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.receiver import ReceiverTable
from schemas.settings_values import VARIABLE_PATTERN, Duration


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("an address or a network such as '192.0.2.0/24'") from None


_Network = Annotated[str, AfterValidator(_network)]


class SmtpReceiver(ReceiverTable):
    """`[[receiver]]` of kind smtp: a mail server sends a copy of every message."""

    kind: Literal["smtp"] = Field(description="Takes in copies of mail over SMTP.", examples=["smtp"])
    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address at which it listens.", examples=["127.0.0.1"]
    )
    port: int = Field(
        default=2525, ge=0, le=65535, description="Port of it; 0 takes a free one and says which.", examples=[2525]
    )
    allowed_networks: list[_Network] = Field(
        default=["127.0.0.0/8", "::1/128"],
        min_length=1,
        description="Addresses and networks that may send; all others are turned away.",
        examples=[["192.0.2.25", "2001:db8::/64"]],
    )
    addresses: list[str] = Field(
        default=[],
        max_length=100,
        description="Addresses to which copies are sent: they are nobody's, and no recipients.",
        examples=[["journal@bypassflow.acme.fi"]],
    )
    largest_message: int = Field(
        default=150 * 1024 * 1024,
        ge=64 * 1024,
        le=2**31 - 1,
        description="What a message may have; nothing of it is kept but its header. Unit: bytes.",
        examples=[157_286_400],
    )
    recipients: int = Field(default=1_000, ge=1, le=100_000, description="Recipients of one message.", examples=[1_000])
    data_timeout: Duration = Field(
        default=timedelta(minutes=10), description="How long a message may take to come.", examples=["10min"]
    )
    idle_timeout: Duration = Field(
        default=timedelta(minutes=2), description="How long a sender may say nothing.", examples=["2min"]
    )
    connections: int = Field(
        default=50, ge=1, le=10_000, description="Connections at once; further ones are told to come again.",
        examples=[50],
    )  # fmt: skip
    messages_per_minute: int = Field(
        default=6_000,
        ge=1,
        le=1_000_000,
        description="Messages of one sender, on average over two seconds; further ones are told to come again.",
        examples=[6_000],
    )
    certificate_file: str | None = Field(
        default=None,
        min_length=1,
        description="Certificate with its chain (PEM), relative to the configuration: offers STARTTLS, and wants it.",
        examples=["mail.pem"],
    )
    key_file: str | None = Field(
        default=None,
        min_length=1,
        description="Its key (PEM), where it is not in the same file.",
        examples=["mail.key"],
    )
    username: str | None = Field(
        default=None, min_length=1, description="User name that senders have to sign in with.", examples=["journal"]
    )
    secret_env: str | None = Field(
        default=None,
        pattern=VARIABLE_PATTERN,
        description="Name of the environment variable that holds their password; never that itself.",
        examples=["JOURNAL_SECRET"],
    )
    secret_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with their password alone, relative to the configuration.",
        examples=["journal.secret"],
    )

    @model_validator(mode="after")
    def _check(self) -> SmtpReceiver:
        given = (self.secret_env is not None) + (self.secret_file is not None)
        problem = ""
        if given != (self.username is not None):
            problem = "who signs in has a username and one of secret_env and secret_file; set both, or neither"
        elif self.key_file is not None and self.certificate_file is None:
            problem = "key_file needs certificate_file"
        elif self.username is not None and self.certificate_file is None and self.host not in ("127.0.0.1", "::1"):
            problem = "a password would cross the network in clear; set certificate_file, or listen at 127.0.0.1"
        elif min(self.data_timeout, self.idle_timeout) < timedelta(seconds=1):
            problem = "data_timeout and idle_timeout are one second at least"
        if problem:
            raise PydanticCustomError("inconsistent", "{problem}", {"problem": problem})
        return self
